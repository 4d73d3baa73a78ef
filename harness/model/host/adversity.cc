#include "model/host/adversity.h"

#include "model/schedule/scheduler.h"

namespace sluice::model {
namespace {

/// Whose operation runs: the scheduled actor's, or the only one.
unsigned acting_slot(const Kernel& k) {
  return k.scheduler.quiet() ? actor_slot(k.straight_actor) : k.scheduler.current();
}

void arm(Kernel& k, Countdowns& countdowns, ActorId actor, std::uint8_t after) {
  const unsigned slot = actor_slot(actor);
  k.set(countdowns.armed, static_cast<std::uint16_t>(countdowns.armed | 1u << slot));
  k.set(countdowns.left[slot], after);
}

/// The acting actor asks once; true if what waits for it comes now.
bool comes(Kernel& k, Countdowns& countdowns) {
  const unsigned slot = acting_slot(k);
  if ((countdowns.armed >> slot & 1) == 0) return false;
  if (countdowns.left[slot] > 0) {
    k.set(countdowns.left[slot], static_cast<std::uint8_t>(countdowns.left[slot] - 1));
    return false;
  }
  k.set(countdowns.armed, static_cast<std::uint16_t>(countdowns.armed & ~(1u << slot)));
  return true;
}

}  // namespace

Outcome apply(Kernel& k, ActorId, const RmpContention& op) {
  if (!k.machine.profile.snp) return skip_without(Capability::kSnp);
  k.machine.rmp.contend(k.machine.journal,
                        {.code = op.code, .left = op.count.value, .wait = op.after.value});
  return {};
}

Outcome apply(Kernel& k, ActorId, const SendSignal& op) {
  if (op.target.kind == ActorKind::kKernel) return skip(Check::kSkipWrongActor);
  arm(k, k.signals, op.target, op.after.value);
  return {};
}

Outcome apply(Kernel& k, ActorId, const FailAllocation& op) {
  if (op.target.kind == ActorKind::kKernel) return skip(Check::kSkipWrongActor);
  arm(k, k.failures, op.target, op.after.value);
  return {};
}

Outcome apply(Kernel& k, ActorId, const SeamcallContention& op) {
  k.machine.sept.contend(k.machine.journal, {.left = op.count.value, .wait = op.after.value});
  return {};
}

// Assumption: a signal is sent at the moment its thread looks for one; a call that does not look
// leaves it to a later one, as if it had been sent then.
bool signal_pending(Kernel& k) { return k.signals.armed != 0 && comes(k, k.signals); }

// Assumption: a place that allocates does so once each time, whatever its caches still hold; a
// conversion's reservations are one allocation.
bool allocation_fails(Kernel& k) { return k.failures.armed != 0 && comes(k, k.failures); }

}  // namespace sluice::model
