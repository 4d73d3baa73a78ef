// Operations: the interrupt controller in the kernel, as far as it maps a page into every guest:
// the APIC-access page, through which the processor virtualizes accesses to the local APIC (AVIC,
// APICv).
#pragma once
#include "ops/op_info.h"

namespace sluice {

/// KVM_CREATE_IRQCHIP. The VM's first vCPU then comes with the APIC-access page, a memslot of KVM's
/// own at 0xfee00000 in every address space.  Refused: group create_irqchip.
struct CreateIrqchip {
  VmIndex vm{};
  static constexpr OpInfo kInfo{
      .name = "create_irqchip",
      .weight = 1,
      .source = "KVM_CREATE_IRQCHIP; kvm_alloc_apic_access_page()",
      .summary = "Gives the VM an interrupt controller in the kernel; vCPUs come after it."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm);
  }
};
SLUICE_OPERATION(CreateIrqchip);

/// KVM_SET_GUEST_DEBUG, of which only KVM_GUESTDBG_BLOCKIRQ counts here: while one vCPU of the VM
/// has it, nobody's APIC is virtualized, and the APIC-access page is not mapped.  Refused: group
/// set_guest_debug.
struct SetGuestDebug {
  bool block_irq = true;
  static constexpr OpInfo kInfo{
      .name = "set_guest_debug",
      .actor = ActorKind::kVcpu,
      .weight = 2,
      .source = "kvm_arch_vcpu_guestdbg_update_apicv_inhibit(), __kvm_set_or_clear_apicv_inhibit()",
      .summary = "Blocks or lets in the vCPU's interrupts, which inhibits AVIC and APICv."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("block_irq", op.block_irq);
  }
};
SLUICE_OPERATION(SetGuestDebug);

}  // namespace sluice
