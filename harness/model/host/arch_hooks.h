// The places where generic KVM asks the architecture (kvm.md 9). For a VM that is no SNP VM
// they do nothing; the SNP side is snp_host.md 3.
#pragma once
#include "model/host/kernel.h"

namespace sluice::model {

/// kvm_arch_gmem_prepare(): makes a frame ready to be mapped for the guest. `max_level`
/// (Linux: max_order) is more than 4K where the whole 2 MiB block around it belongs to the same
/// folio and is congruent with the GFN.
/// Fails: fault.prepare_lookup, fault.prepare_assign.
Check gmem_prepare(Kernel& k, Vm& vm, Pfn pfn, Gfn gfn, MapLevel max_level);

/// kvm_arch_gmem_invalidate(), from free_folio: frames that leave the page cache become the
/// hypervisor's again.
void gmem_invalidate(Kernel& k, Pfn first, PageCount count);

/// kvm_x86_ops.private_max_mapping_level(): 0 has no opinion, else the largest MapLevel allowed.
unsigned private_max_mapping_level(const Kernel& k, const Vm& vm, Pfn pfn);

/// sev_vm_destroy() and sev_free_vcpu(): what a VM and a vCPU give back when they go.
void arch_destroy_vm(Kernel& k, Vm& vm);
void arch_destroy_vcpu(Kernel& k, Vcpu& vcpu);

/// Whether vCPUs of the VM may be pre-faulted from its birth (kvm.md 0); SNP waits for
/// LAUNCH_FINISH.
bool pre_fault_allowed_at_birth(VmType type);

}  // namespace sluice::model
