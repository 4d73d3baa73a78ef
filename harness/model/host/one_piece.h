// An operation in one piece, under its locks: how one without points of its own runs beside others.
#pragma once
#include <concepts>
#include <optional>

#include "model/host/kernel.h"
#include "model/schedule/lock_plan.h"
#include "model/schedule/task.h"

namespace sluice::model {

template <class O>
concept HasLockPlan = requires(const Kernel& k, ActorId actor, const O& op) {
  { locks_of(k, actor, op) } -> std::same_as<LockPlan>;
};

template <class O>
concept HasRetry = requires(const Kernel& k, ActorId actor, const O& op) {
  { retried_page(k, actor, op) } -> std::same_as<std::optional<Gfn>>;
};

/// What a lock guards says which lock comes next (the file of a slot, looked up under slots_lock),
/// so the plan is made again after each: others may have been there while it was waited for. A
/// fault of its own that would be retried is waited for here.
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
  const Outcome out = apply(k, actor, op);
  while (held.count > 0) unlock(k, held.locks[--held.count]);
  co_return out;
}

}  // namespace sluice::model
