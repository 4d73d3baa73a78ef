// What KVM_RUN refuses before the guest executes anything (kvm.md 5; rmp.md 6; Linux
// svm_vcpu_pre_run(), pre_sev_run()).
#pragma once
#include "model/host/kernel.h"

namespace sluice::model {

/// Before the first entry of a vCPU, whatever its guest will do then.  Fails: skip.no_vcpu,
/// vm.dead, run.*.
Check run_gate(const Kernel& k, VcpuIndex vcpu);

/// run_gate(), and vcpu_run()'s look for a signal: before VMRUN, behind what svm_vcpu_pre_run()
/// asks.  Fails: run.signal, too.
Check enter_gate(Kernel& k, VcpuIndex vcpu);

/// The vCPU has passed the gate and runs.
inline void enter_guest(Kernel& k, Vcpu& vcpu) {
  if (!vcpu.ran) k.set(vcpu.ran, true);
}

}  // namespace sluice::model
