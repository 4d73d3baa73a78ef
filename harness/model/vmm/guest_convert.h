// A guest changes the state of a range of its memory, as its kernel does (snp_host.md 10; Linux
// arch/x86/coco/sev: set_pages_state(), pvalidate_pages(), vmgexit_psc()): PVALIDATE, requests of
// at most 64 entries, and what it makes of the answers.
//
// The policy axis `guest` says which rule it breaks, if any. An instruction that leaves the guest
// for user space (a MEMORY_FAULT, a failing KVM_RUN) ends the operation there: the sequence is user
// space.
// Assumption: a guest that ended itself is run again if the sequence says so; KVM does not know.
#pragma once
#include "model/host/kernel.h"
#include "model/schedule/task.h"
#include "ops/psc_ops.h"

namespace sluice::model {

/// Fails: run_gate(), guest_convert.*, and what the instructions and requests of it fail with that
/// the guest does not end itself for: fault.*, psc.unregistered_kills, pvalidate.not_snp,
/// map_gpa_range.ignored and .killed.  Cost: one instruction a page, plus the conversions.
Outcome apply(Kernel& k, ActorId actor, const GuestConvert& op);
/// Stops before and after each request, inside it as start_psc() does, and where PVALIDATE faults.
Task<Outcome> start(Kernel& k, ActorId actor, const GuestConvert& op);

}  // namespace sluice::model
