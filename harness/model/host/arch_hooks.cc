#include "model/host/arch_hooks.h"

namespace sluice::model {

// A VM without an RMP needs nothing of these: its frames have no owner but the host.

Check gmem_prepare(Kernel&, Vm&, Pfn, Gfn, unsigned) { return Check::kOk; }

void gmem_invalidate(Kernel& k, Pfn first, PageCount count) {
  for (std::uint64_t i = 0; i < count.value; ++i) {
    k.machine.events.add({.kind = EventKind::kArchInvalidate, .a = first.value + i});
  }
}

unsigned private_max_mapping_level(const Kernel&, const Vm&, Pfn) { return 0; }

void arch_destroy_vm(Kernel& k, Vm& vm) {
  k.set(vm.sev.active, false);
  k.set(vm.sev.context, false);
  k.set(vm.sev.launched, false);
}

void arch_destroy_vcpu(Kernel& k, Vcpu& vcpu) { k.set(vcpu.sev.has_vmsa, false); }

bool pre_fault_allowed_at_birth(VmType type) {
  return type != VmType::kSnp && type != VmType::kTdx;
}

}  // namespace sluice::model
