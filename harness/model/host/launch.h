// Launch of an SNP guest: KVM_SEV_INIT2 and the SNP_LAUNCH_* commands, with the firmware behind
// them, and what the guest gives back when it goes (snp_host.md 7; Linux __sev_guest_init(),
// snp_launch_start(), snp_launch_update(), sev_gmem_post_populate(), snp_launch_finish(),
// sev_vm_destroy(), sev_free_vcpu()).
//
// Left out: measurement, ID blocks, and what firmware does with the contents of CPUID and SECRETS
// pages; their page states are those of NORMAL pages.
#pragma once
#include "model/host/kernel.h"
#include "model/machine/encryption.h"
#include "model/schedule/lock_plan.h"
#include "ops/vm_ops.h"

namespace sluice::model {

// Assumption: the firmware set-up leaves ASIDs 1 to 3 to SNP guests, so that reuse of one is within
// reach of a short sequence.
inline constexpr unsigned kSnpAsidCount = 3;
static_assert(kSnpAsidCount >= kMaxVms, "an ASID can always be found");

/// KVM's INITIAL_VMSA_GPA: all VMSAs of a guest share it.
inline constexpr Gpa kVmsaGpa{0xffff'ffff'f000};

/// Each: skip.no_vm and vm.dead, then the check group that carries its name.  On a host without SNP
/// the step is skipped (capability sev_snp).
Outcome apply(Kernel& k, ActorId actor, const SevInit2& op);
Outcome apply(Kernel& k, ActorId actor, const LaunchStart& op);
/// progress = {GPA of the next page, bytes left}: less than asked is success, too.
/// Deviation: a source of LAUNCH_UPDATE that is not page aligned is read as the page that holds its
/// first byte; Linux copies from two pages, so that EFAULT of the second is not seen here.
Outcome apply(Kernel& k, ActorId actor, const LaunchUpdate& op);
/// Deviation: a VMSA page is allocated here, not with its vCPU; only its frame number shows it.
Outcome apply(Kernel& k, ActorId actor, const LaunchFinish& op);

/// The key of a guest's private accesses: that of its ASID, fresh for each guest, or of its TD;
/// none for other VMs.
inline MemoryKey memory_key(const Kernel& k, const Vm& vm) {
  if (!vm.sev.active) return vm.td.initialized ? k.machine.sept.key(k.index_of(vm)) : MemoryKey{};
  const std::uint64_t asid = vm.sev.asid.value;
  return {asid << 32 | k.snp.asid_keys[asid]};
}

/// kvm->lock for each, slots_lock too for LAUNCH_UPDATE.
LockPlan locks_of(const Kernel& k, ActorId actor, const SevInit2& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const LaunchStart& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const LaunchUpdate& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const LaunchFinish& op);

/// Decommissions the guest context and gives the ASID back; pages still assigned to it then poison
/// it: ACTIVATE of the next guest with this ASID fails (launch_start.asid_in_use).
void sev_vm_destroy(Kernel& k, Vm& vm);
/// The VMSA page becomes shared and free; leaked, and the VM dead, where it cannot.
/// Deviation: a VMSA page goes back when its vCPU's descriptor is closed; Linux frees vCPUs with
/// the VM, which a guest_memfd that is still open keeps alive (kvm_destroy_vcpus()).
void sev_free_vcpu(Kernel& k, Vcpu& vcpu);

}  // namespace sluice::model
