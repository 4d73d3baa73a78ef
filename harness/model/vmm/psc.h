// Page state changes by the GHCB: KVM_RUN and user space in turn, until the guest has its answer
// (snp_host.md 5, 6). KVM's part is host/psc.h, what user space does with an exit is
// vmm/conversion.h.
//
// A request may exit several times. vmm=ignore answers every exit with ret = 0; the operation ends
// with map_gpa_range.ignored if nothing else is wrong. vmm=kill ends it at its first exit. Where
// KVM answers the guest, outcome.value is SW_EXITINFO2, or the MSR; outcome.exit is the last exit.
#pragma once
#include "model/host/psc.h"
#include "model/schedule/task.h"
#include "ops/ghcb_ops.h"
#include "ops/psc_ops.h"

namespace sluice::model {

/// Fails: run_gate(), psc_msr.*, map_gpa_range.ignored and .killed.  Cost: that of the conversion.
Outcome apply(Kernel& k, ActorId actor, const PscMsr& op);
/// Stops as start_reaction() does.
Task<Outcome> start(Kernel& k, ActorId actor, const PscMsr& op);

/// Fails: run_gate(), psc.*, map_gpa_range.ignored and .killed.  Cost: that of the conversions.
Outcome apply(Kernel& k, ActorId actor, const Psc& op);
/// Stops where the kernel has read an entry (psc.entry_read), and as start_reaction() does.
Task<Outcome> start(Kernel& k, ActorId actor, const Psc& op);

/// Skipped where there is no such vCPU. Never refused: the page is shared.
Outcome apply(Kernel& k, ActorId actor, const GhcbWriteHeader& op);
Outcome apply(Kernel& k, ActorId actor, const GhcbWriteEntry& op);
Outcome apply(Kernel& k, ActorId actor, const GhcbWriteScratch& op);

/// A request that begin_psc() began, to its end. Pre: the vCPU exists and the request is open.
Outcome run_psc(Kernel& k, ActorId actor, VcpuIndex vcpu);
/// The same, stoppable. Pre: the actor holds the vCPU's mutex, which is free afterwards.
Task<Outcome> start_psc(Kernel& k, ActorId actor, VcpuIndex vcpu);

}  // namespace sluice::model
