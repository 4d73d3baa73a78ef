// What KVM_RUN refuses before the guest executes anything (kvm.md 5; snp_host.md 8; rmp.md 6; Linux
// svm_vcpu_pre_run(), vcpu_enter_guest(), pre_sev_run()).
#pragma once
#include "model/host/kernel.h"

namespace sluice::model {

/// Before the first entry of a vCPU, whatever its guest will do then.  Fails: skip.no_vcpu,
/// vm.dead, run.*.
Check run_gate(const Kernel& k, VcpuIndex vcpu);

/// run_gate(), and vcpu_run()'s look for a signal: before VMRUN, behind what svm_vcpu_pre_run()
/// asks; then enter_again().  Fails: what either does.
Check enter_gate(Kernel& k, VcpuIndex vcpu);

/// An entry without a return to user space in between: what AP creation asks of the vCPU, a look
/// for a signal if wanted, VMRUN.  Fails: run.signal, run.halted, run.no_vmsa, run.vmsa,
/// skip.limit. Cost: none but for SNP guests.
Check enter_again(Kernel& k, Vcpu& vcpu, bool looks_for_signal);

/// The vCPU has passed the gate and runs.
inline void enter_guest(Kernel& k, Vcpu& vcpu) {
  if (!vcpu.ran) k.set(vcpu.ran, true);
}

/// enter_guest() with a root (kvm_mmu_reload()): obsolete ones are freed, and one is loaded where
/// there is none. Under nested paging that is not the TDP MMU's.  Fails: fault.no_memory.
Check enter_with_root(Kernel& k, Vcpu& vcpu);

/// KVM_RUN up to what the guest leaves for by itself: a hypercall, a VMGEXIT, a change of mode.
/// Fails: what enter_gate() and enter_with_root() do.
Check run_to_event(Kernel& k, VcpuIndex vcpu);

}  // namespace sluice::model
