#include "model/host/run_gate.h"

#include "model/host/adversity.h"
#include "model/host/ap_creation.h"
#include "model/host/fault.h"
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
  // A vCPU that came after the launch has a VMSA only by AP creation.
  const bool has_vmsa = vcpu.sev.has_vmsa || vcpu.sev.ap.requested || vcpu.sev.ap.applied;
  return vm.sev.launched && has_vmsa ? Check::kOk : Check::kRunNotLaunched;
}

Check enter_gate(Kernel& k, VcpuIndex index) {
  const Check gate = run_gate(k, index);
  if (gate == Check::kOk) return enter_again(k, k.vcpu(index), true);
  if (gate != Check::kRunNotLaunched) return gate;
  const Check signal = check_signal(k, Check::kRunSignal);
  return signal != Check::kOk ? signal : gate;
}

// Deviation: a signal is looked for before obsolete roots are freed and a root is loaded. In Linux
// vcpu_enter_guest() does these first, and ENOMEM wins over EINTR.
Check enter_again(Kernel& k, Vcpu& vcpu, bool looks_for_signal) {
  const Vm& vm = k.vm(vcpu.vm);
  // KVM_REQ_VM_DEAD, of which every vCPU is told, comes before all else.
  if (vm.dead && !planted(Planted::kDeadVmWorks)) return fail(Check::kVmDead);
  const bool has_vmsa = vm.sev.active;
  const Check reset = has_vmsa ? apply_reset(k, vcpu) : Check::kOk;
  if (row_of(reset).kind == StatusKind::kSkipped) return reset;
  // A halted vCPU waits, and its wait ends with a signal, too.
  const Check signal = looks_for_signal ? check_signal(k, Check::kRunSignal) : Check::kOk;
  if (signal != Check::kOk) return signal;
  return has_vmsa && reset == Check::kOk ? check_vmsa(k, vcpu) : reset;
}

// Deviation: a vCPU counts as run also where no root could be loaded. In Linux it has run once it
// has left the guest, so that its CPUID may still change.
Check enter_with_root(Kernel& k, Vcpu& vcpu) {
  enter_guest(k, vcpu);
  if (vcpu.guest_mode != GuestMode::kNested) return reload_root(k, vcpu);
  free_obsolete_roots(k, vcpu);
  return Check::kOk;
}

Check run_to_event(Kernel& k, VcpuIndex index) {
  const Check gate = enter_gate(k, index);
  return gate == Check::kOk ? enter_with_root(k, k.vcpu(index)) : gate;
}

}  // namespace sluice::model
