#include "model/host/run_gate.h"

#include "model/host/adversity.h"
#include "model/host/handlers.h"

namespace sluice::model {

Check run_gate(const Kernel& k, VcpuIndex index) {
  if (const Check gate = vcpu_gate(k, index); gate != Check::kOk) return gate;
  const Vcpu& vcpu = k.vcpu(index);
  const Vm& vm = k.vm(vcpu.vm);
  if (vm.type == VmType::kTdx) {
    return vcpu.td.initialized && vm.td.runnable ? Check::kOk : Check::kRunTdState;
  }
  if (vm.type != VmType::kSnp) return Check::kOk;
  if (!vm.sev.active) return Check::kRunNotInitialized;
  if (!vm.sev.launched || !vcpu.sev.has_vmsa) return Check::kRunNotLaunched;
  return Check::kOk;
}

Check enter_gate(Kernel& k, VcpuIndex index) {
  const Check gate = run_gate(k, index);
  if (gate != Check::kOk && gate != Check::kRunNotLaunched) return gate;
  const Check signal = check_signal(k, Check::kRunSignal);
  return signal != Check::kOk ? signal : gate;
}

}  // namespace sluice::model
