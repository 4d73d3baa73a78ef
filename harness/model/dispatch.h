// From an operation's number to its handlers, as constexpr tables over the list of operations.
//
// Every operation has   Outcome apply(Kernel&, ActorId, const Op&);
// one with points has   Task<Outcome> start(Kernel&, ActorId, const Op&);
// one without may have  LockPlan locks_of(const Kernel&, ActorId, const Op&);
// all in namespace sluice::model, found by argument-dependent lookup.
#pragma once
#include <array>
#include <concepts>
#include <cstddef>
#include <optional>

#include "model/guest/guest_ops.h"
#include "model/guest/td_guest.h"
#include "model/host/adversity.h"
#include "model/host/ap_creation.h"
#include "model/host/apic_page.h"
#include "model/host/ghcb.h"
#include "model/host/handlers.h"
#include "model/host/host_region.h"
#include "model/host/kernel.h"
#include "model/host/kernel_write.h"
#include "model/host/launch.h"
#include "model/host/memory_management.h"
#include "model/host/raw_ops.h"
#include "model/host/td_launch.h"
#include "model/host/vcpu_mode.h"
#include "model/schedule/lock_plan.h"
#include "model/vmm/guest_convert.h"
#include "model/vmm/map_gpa_range.h"
#include "model/vmm/psc.h"
#include "model/vmm/td_map_gpa.h"
#include "ops/op_list.h"

namespace sluice::model {

template <class O>
concept HasHandler = requires(Kernel& k, ActorId actor, const O& op) {
  { apply(k, actor, op) } -> std::same_as<Outcome>;
};
template <class O>
concept CanStop = requires(Kernel& k, ActorId actor, const O& op) {
  { start(k, actor, op) } -> std::same_as<Task<Outcome>>;
};
template <class O>
concept HasLockPlan = requires(const Kernel& k, ActorId actor, const O& op) {
  { locks_of(k, actor, op) } -> std::same_as<LockPlan>;
};

template <class O>
concept HasRetry = requires(const Kernel& k, ActorId actor, const O& op) {
  { retried_page(k, actor, op) } -> std::same_as<std::optional<Gfn>>;
};

using Straight = Outcome (*)(Kernel&, ActorId, const Op&);
using Stoppable = Task<Outcome> (*)(Kernel&, ActorId, const Op&);

/// Resume is the backend's own: it acts on the schedule, not on the kernel.
template <class O>
Outcome run_straight(Kernel& k, ActorId actor, const Op& op) {
  if constexpr (std::same_as<O, Resume>) {
    return outcome_of(Check::kSkipNothingToResume);
  } else {
    static_assert(HasHandler<O>,
                  "this operation has no apply(Kernel&, ActorId, const Op&) in the model");
    return apply(k, actor, *std::get_if<O>(&op));
  }
}

/// An operation in one piece, under its locks. What a lock guards says which lock comes next (the
/// file of a slot, looked up under slots_lock), so the plan is made again after each: others may
/// have been there while it was waited for. A fault of its own that would be retried is waited for
/// here.
template <class O>
Task<Outcome> start_in_one_piece(Kernel& k, ActorId actor, const O& op) {
  LockPlan held{};
  if constexpr (HasLockPlan<O>) {
    for (;;) {
      const LockPlan plan = locks_of(k, actor, op);
      const std::size_t common = plan.common_with(held);
      while (held.count > common) unlock(k, held.locks[--held.count]);
      if (held.count < plan.count) {
        co_await lock(k, plan.locks[common]);
        held.then(plan.locks[common]);
        continue;
      }
      std::optional<Gfn> retried{};
      if constexpr (HasRetry<O>) retried = retried_page(k, actor, op);
      if (!retried) break;
      // Each round of a fault takes these anew.
      while (held.count > 0 && held.locks[held.count - 1].kind >= LockKind::kMmapLock)
        unlock(k, held.locks[--held.count]);
      co_await retry(k, RetryReason::kInvalidation, retried->value);
    }
  }
  const Outcome out = run_straight<O>(k, actor, Op{op});
  while (held.count > 0) unlock(k, held.locks[--held.count]);
  co_return out;
}

template <class O>
Task<Outcome> start_any(Kernel& k, ActorId actor, const Op& op) {
  if constexpr (CanStop<O>) {
    return start(k, actor, *std::get_if<O>(&op));
  } else {
    return start_in_one_piece<O>(k, actor, *std::get_if<O>(&op));
  }
}

struct Handlers {
  Straight straight;
  Stoppable stoppable;
  bool can_stop;     // has points of its own
  bool needs_locks;  // has a plan
};

inline constexpr auto kHandlers = []<class... Ops>(OpList<Ops...>) {
  return std::array<Handlers, sizeof...(Ops)>{
      Handlers{&run_straight<Ops>, &start_any<Ops>, CanStop<Ops>, HasLockPlan<Ops>}...};
}(AllOps{});

}  // namespace sluice::model
