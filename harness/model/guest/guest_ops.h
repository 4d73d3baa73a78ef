// The operations of a guest: accesses and the RMP instructions that a vCPU may use.
//
// With the policy guest=accepts_on_vc an access to a page that is not validated validates it and is
// done again: what a guest does that has no other notion of lazy acceptance, and that breaks the
// rule of snp_host.md 10 that such a #VC means the host took a page away.
//
// User space takes no part: guest_access hands an exit (MEMORY_FAULT, MMIO) back to the sequence,
// which is user space there. Fails: guest/run.h.
#pragma once
#include "model/guest/run.h"
#include "ops/memory_ops.h"
#include "ops/rmp_ops.h"

namespace sluice::model {

/// value = the token read.
Outcome apply(Kernel& k, ActorId actor, const GuestAccess& op);
Outcome apply(Kernel& k, ActorId actor, const Pvalidate& op);
Outcome apply(Kernel& k, ActorId actor, const RmpAdjust& op);
/// value = the target's mask.
Outcome apply(Kernel& k, ActorId actor, const RmpQuery& op);

Task<Outcome> start(Kernel& k, ActorId actor, const GuestAccess& op);
Task<Outcome> start(Kernel& k, ActorId actor, const Pvalidate& op);
Task<Outcome> start(Kernel& k, ActorId actor, const RmpAdjust& op);
Task<Outcome> start(Kernel& k, ActorId actor, const RmpQuery& op);

}  // namespace sluice::model
