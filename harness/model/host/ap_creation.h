// AP creation: a guest starts its vCPUs from VMSA pages that it has made by RMPADJUST, and stops
// them (snp_host.md 8; Linux sev_snp_ap_creation(), sev_snp_init_protected_guest_state(),
// sev_snp_reload_vmsa()), and what VMRUN asks of a VMSA (rmp.md 6).
//
// Left out: INIT and SIPI, so that what CREATE_ON_INIT stages takes effect only together with a
// request that kicks; what VMRUN loads from a VMSA and #VMEXIT saves there; its busy bit, which
// keeps two vCPUs from running on one.
#pragma once
#include "model/host/kernel.h"
#include "model/schedule/lock_plan.h"
#include "ops/ghcb_ops.h"

namespace sluice::model {

/// value = SW_EXITINFO2.  Fails: what KVM_RUN refuses, vmgexit.*, ap_creation.*.  Cost: O(1).
Outcome apply(Kernel& k, ActorId actor, const ApCreation& op);
/// KVM_RUN of the vCPU that asks; the one asked about is not waited for.
LockPlan locks_of(const Kernel& k, ActorId actor, const ApCreation& op);

/// Before an entry of the vCPU: what was asked of it by AP creation is done now. Its new VMSA is
/// looked up in the guest_memfd, and nothing keeps the page there afterwards.  Fails: run.halted,
/// skip.limit.  Cost: none without a request, else at most one page.
Check apply_reset(Kernel& k, Vcpu& vcpu);
/// VMRUN: the processor checks the VMSA.  Pre: an SNP vCPU.  Fails: run.no_vmsa, run.vmsa.
Check check_vmsa(Kernel& k, Vcpu& vcpu);

/// The VMSA that the VMCB names.
std::optional<Pfn> named_vmsa(const Vcpu& vcpu);
/// The one that the processor has: of the last entry, until the VMCB is marked dirty.
std::optional<Pfn> held_vmsa(const Vcpu& vcpu);

/// Forgets everything, as the vCPU goes.
void forget_reset(Kernel& k, Vcpu& vcpu);

}  // namespace sluice::model
