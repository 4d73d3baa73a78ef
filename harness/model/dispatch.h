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
#include "model/host/one_piece.h"
#include "model/host/raw_ops.h"
#include "model/host/td_launch.h"
#include "model/host/vcpu_mode.h"
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

using Straight = Outcome (*)(Kernel&, ActorId, const Op&);
using Stoppable = Task<Outcome> (*)(Kernel&, ActorId, const Op&);

/// Resume is the backend's own: it acts on the schedule, not on the kernel.
inline Outcome apply(Kernel&, ActorId, const Resume&) {
  return outcome_of(Check::kSkipNothingToResume);
}

template <class O>
Outcome run_straight(Kernel& k, ActorId actor, const Op& op) {
  static_assert(HasHandler<O>,
                "this operation has no apply(Kernel&, ActorId, const Op&) in the model");
  return apply(k, actor, *std::get_if<O>(&op));
}

template <class O>
Task<Outcome> start_any(Kernel& k, ActorId actor, const Op& op) {
  if constexpr (CanStop<O>) {
    return start(k, actor, *std::get_if<O>(&op));
  } else {
    return start_in_one_piece(k, actor, *std::get_if<O>(&op));
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
