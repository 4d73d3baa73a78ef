#include "model/host/apic_page.h"

#include "model/host/handlers.h"
#include "model/host/memslots.h"
#include "model/host/snp_rmp.h"

namespace sluice::model {
namespace {

/// Where KVM maps the page in user space: nobody else knows of it.
constexpr std::uint64_t kPageAddress = 0x7e00'0000'0000;

bool blocks_irq(const Kernel& k, const Vm& vm) {
  for (const Vcpu& vcpu : k.vcpus) {
    if (vcpu.exists && vcpu.vm == k.index_of(vm) && vcpu.block_irq) return true;
  }
  return false;
}

}  // namespace

bool is_apicv_active(const Kernel& k, const Vm& vm) {
  return vm.irqchip && !vm.sev.active && !blocks_irq(k, vm);
}

bool is_apic_page(const Vm& vm, const Vcpu& vcpu, Gfn gfn) {
  if (gfn != kApicGfn || !vm.irqchip) return false;
  const SlotIndex slot = find_slot(vm, vcpu.smm ? 1 : 0, gfn);
  return slot != kNoSlot && vm.slots[slot].id == kApicAccessSlot;
}

bool needs_apic_page(const Kernel& k, const Vm& vm) {
  return is_apicv_active(k, vm) && !vm.apic_access_enabled;
}

Check alloc_apic_page(Kernel& k, Vm& vm) {
  const std::uint64_t index = kHostRegionPages + k.index_of(vm).value;
  for (std::uint8_t space = 0; space < address_space_count(k, vm); ++space) {
    // A slot that a failed attempt has left is in the way, too (__x86_set_memory_region()).
    if (find_slot(vm, space, kApicGfn) != kNoSlot) return Check::kCreateVcpuApicPage;
    if (vm.apic_frame == Pfn{}) {
      const auto pfn = k.machine.frames.allocate(k.machine.journal,
                                                 {.use = FrameUse::kHostUser, .index = index});
      if (!pfn) return Check::kSkipLimit;
      zero_kernel_page(k, *pfn);
      k.set(vm.apic_frame, *pfn);
    }
    // Assumption: there is memory for the slot.
    add_own_slot(k, vm,
                 {.used = true,
                  .address_space = space,
                  .hva_raw = true,
                  .id = kApicAccessSlot,
                  .base = kApicGfn,
                  .page_count = {1},
                  .hva = kPageAddress + k.index_of(vm).value * kPageBytes});
  }
  k.set(vm.apic_access_enabled, true);
  return Check::kOk;
}

void free_apic_page(Kernel& k, Vm& vm) {
  if (vm.apic_frame == Pfn{}) return;
  k.machine.frames.release(k.machine.journal, vm.apic_frame);
  k.set(vm.apic_frame, Pfn{});
}

// Deviation: KVM_CREATE_IRQCHIP does not take kvm->lock, as Linux does.
Outcome apply(Kernel& k, ActorId, const CreateIrqchip& op) {
  if (const Check gate = vm_gate(k, op.vm); gate != Check::kOk) return answer(gate);
  Vm& vm = k.vm(op.vm);
  if (vm.irqchip) return refuse(Check::kCreateIrqchipExists);
  // Assumption: a TD takes none; the end of its interrupts is the TDX module's to see. It has the
  // split one from its creation on, without which it could have no vCPU.
  if (has_vcpus(vm) || vm.type == VmType::kTdx) return refuse(Check::kCreateIrqchipLate);
  k.set(vm.irqchip, true);
  return {};
}

Outcome apply(Kernel& k, ActorId actor, const SetGuestDebug& op) {
  const VcpuIndex index{actor.index};
  if (const Check gate = vcpu_gate(k, index); gate != Check::kOk) return answer(gate);
  Vcpu& vcpu = k.vcpu(index);
  Vm& vm = k.vm(vcpu.vm);
  const bool is_protected = vcpu.sev.has_vmsa || vm.type == VmType::kTdx;
  if (is_protected) return refuse(Check::kSetGuestDebugProtected);
  const bool was_active = is_apicv_active(k, vm);
  k.set(vcpu.block_irq, op.block_irq);
  const bool inhibits = was_active && !is_apicv_active(k, vm);
  if (inhibits && !planted(Planted::kApicvInhibitSkipsZap)) {
    zap_gfn_range(k, vm, {.first = kApicGfn, .last = kApicGfn + PageCount{1}});
  }
  return {};
}

// Deviation: Linux holds apicv_update_lock, which only changes of this kind take.
LockPlan locks_of(const Kernel& k, ActorId actor, const SetGuestDebug&) {
  const VcpuIndex index{actor.index};
  return LockPlan{}.then(vcpu_mutex(index)).then(mmu_lock(k.vcpu(index).vm));
}

}  // namespace sluice::model
