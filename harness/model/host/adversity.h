// Obstacles that later operations meet (ops/adversity_ops.h): arming them, and meeting them.
//
// A signal has no time of its own here: it comes when its thread looks, at the places where Linux
// looks. Left out: signals that kill, and looks of get_user_pages(), which happen only where a page
// waits for a device.
//
// An allocation that may fail is one whose failure user space gets to see. Left out: the direct
// map's split, eager splitting for dirty logging, and pages of user space itself.
#pragma once
#include "model/host/kernel.h"
#include "ops/adversity_ops.h"
#include "ops/tdx_ops.h"

namespace sluice::model {

/// Fails: skip.capability on a host without SNP, where no RMP instruction runs.
Outcome apply(Kernel& k, ActorId actor, const RmpContention& op);
/// Fails: skip.wrong_actor for a worker of the kernel, which takes no signals.
Outcome apply(Kernel& k, ActorId actor, const SendSignal& op);
Outcome apply(Kernel& k, ActorId actor, const FailAllocation& op);
Outcome apply(Kernel& k, ActorId actor, const SeamcallContention& op);

/// signal_pending(current): the thread that runs looks for a signal. True once for each that was
/// sent; the caller returns to user space, where it is delivered. Cost: one load where none is on
/// its way.
bool signal_pending(Kernel& k);

/// `check` if a signal is pending, else kOk.
inline Check check_signal(Kernel& k, Check check) {
  return signal_pending(k) ? fail(check) : Check::kOk;
}

/// The kernel allocates for the thread that runs; true if that fails. Cost: as above.
bool allocation_fails(Kernel& k);

/// `check` if the allocation fails, else kOk.
inline Check check_allocation(Kernel& k, Check check) {
  return allocation_fails(k) ? fail(check) : Check::kOk;
}

}  // namespace sluice::model
