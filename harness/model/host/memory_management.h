// What memory management does to a VM's pages on its own account, without the host region
// (host_region.h): memory failures of guest_memfds, and KVM's shrinker. Source: kvm.md 1.7, 4, 5.
//
// A memory failure is found by the hardware, not by who uses the page: nobody consumes the poison.
// Left out: the SIGBUS that memory_failure() itself sends, which a process must ask for
// (PR_MCE_KILL_EARLY).
#pragma once
#include "model/host/kernel.h"
#include "model/schedule/lock_plan.h"
#include "ops/adversity_ops.h"

namespace sluice::model {

/// Fails: skip.no_gmem, skip.no_page.
Outcome apply(Kernel& k, ActorId actor, const GmemMemoryFailure& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const GmemMemoryFailure& op);

/// Every shrinker runs until it finds no more.  Cost: nothing where KVM has none that takes pages.
Outcome apply(Kernel& k, ActorId actor, const DropCaches& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const DropCaches& op);

}  // namespace sluice::model
