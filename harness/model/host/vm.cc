// VMs and vCPUs: birth, death, and the gate of every ioctl (kvm.md 0; Linux kvm_main.c, x86.c).
#include "model/host/adversity.h"
#include "model/host/apic_page.h"
#include "model/host/attributes.h"
#include "model/host/guest_memfd.h"
#include "model/host/handlers.h"
#include "model/host/memslots.h"
#include "model/host/psc.h"
#include "model/host/tdp_mmu.h"
#include "model/schedule/scheduler.h"

namespace sluice::model {
namespace {

/// kvm_destroy_vm(): the last user is gone.
void destroy(Kernel& k, Vm& vm) {
  free_roots(k, vm);
  free_slots(k, vm);
  free_apic_page(k, vm);
  free_attributes(k, vm);
  arch_destroy_vm(k, vm);
  k.set(vm.exists, false);
  k.set(vm.dead, false);
  k.set(vm.pre_fault_allowed, false);
  k.set(vm.had_slot, false);
  k.set(vm.irqchip, false);
  k.set(vm.apic_access_enabled, false);
  k.set(vm.exit_hypercall, false);
  k.set(vm.slot_zap_all, false);
  k.set(vm.invalidate_seq, 0);
  // Unregistered between a notifier's start and end, it never sees the end.
  k.set(vm.invalidate_in_progress, 0);
  k.scheduler.forget_active_invalidations(k.index_of(vm));
  k.set(vm.life, vm.life + 1);
  for (std::uint64_t& generation : vm.generation) k.set(generation, 0);
}

/// kvm_is_vm_type_supported(): private memory is what only the TDP MMU maps.
// Assumption: SNP and TDX need nested paging as SW_PROTECTED does; shadow paging would have to read
// the guest's page tables, which are encrypted.
bool has_vm_type(const HostProfile& profile, VmType type) {
  return profile.has_vm_type(type) && (profile.tdp || !has_private_memory(type));
}

/// Closes the descriptors of the VM's vCPUs and of the VM.
void close_descriptors(Kernel& k, Vm& vm) {
  for (Vcpu& vcpu : k.vcpus) {
    if (!vcpu.exists || vcpu.vm != k.index_of(vm)) continue;
    unload_root(k, vcpu);
    arch_destroy_vcpu(k, vcpu);
    forget_psc(k, vcpu);
    k.set(vcpu.exists, false);
    k.set(vcpu.ran, false);
    k.set(vcpu.td.initialized, false);
    k.set(vcpu.smm, false);
    k.set(vcpu.block_irq, false);
    k.set(vcpu.guest_mode, GuestMode::kNone);
    put_vm(k, vm);
  }
  k.set(vm.vcpu_count, 0);
  k.set(vm.vcpus_in_creation, 0);
  put_vm(k, vm);
}

}  // namespace

Check vm_gate(const Kernel& k, VmIndex index) {
  const Vm& vm = k.vm(index);
  if (!vm.open) return Check::kSkipNoVm;
  return vm.dead && !planted(Planted::kDeadVmWorks) ? Check::kVmDead : Check::kOk;
}

Check vcpu_gate(const Kernel& k, VcpuIndex index) {
  const Vcpu& vcpu = k.vcpu(index);
  if (!vcpu.exists || !k.vm(vcpu.vm).open) return Check::kSkipNoVcpu;
  return k.vm(vcpu.vm).dead ? Check::kVmDead : Check::kOk;
}

void put_vm(Kernel& k, Vm& vm) {
  SLUICE_CHECK(vm.users > 0);
  k.set(vm.users, vm.users - 1);
  if (vm.users == 0) destroy(k, vm);
}

Outcome apply(Kernel& k, ActorId, const CreateVm& op) {
  Vm& vm = k.vm(op.vm);
  // A VM whose descriptor is closed lives on while a guest_memfd of it is open; its index is taken
  // until then.
  if (vm.exists) return skip(Check::kSkipVmExists);
  const Check no_memory = check_allocation(k, Check::kCreateVmNoMemory);
  if (no_memory != Check::kOk) return refuse(no_memory);
  if (!has_vm_type(k.machine.profile, op.type)) return refuse(Check::kCreateVmType);
  k.set(vm.exists, true);
  k.set(vm.open, true);
  k.set(vm.type, op.type);
  k.set(vm.users, 1);
  k.set(vm.exit_hypercall, op.exit_hypercall && k.machine.profile.exit_hypercall);
  const bool quirk = op.slot_zap_all || !k.machine.profile.slot_zap_all_quirk;
  k.set(vm.slot_zap_all, op.type == VmType::kDefault && quirk);
  k.set(vm.pre_fault_allowed, pre_fault_allowed_at_birth(op.type));
  for (std::uint64_t i = 0; i < kAddressSpaces; ++i) k.set(vm.generation[i], i);
  return {};
}

LockPlan locks_of(const Kernel&, ActorId, const CreateVm&) { return LockPlan{}.then(mmap_lock()); }

Outcome apply(Kernel& k, ActorId, const DestroyVm& op) {
  Vm& vm = k.vm(op.vm);
  if (!vm.open) return skip(Check::kSkipNoVm);
  k.set(vm.open, false);
  close_descriptors(k, vm);
  return {};
}

Task<Outcome> start(Kernel& k, ActorId, const DestroyVm& op) {
  Vm& vm = k.vm(op.vm);
  if (!vm.open) co_return skip(Check::kSkipNoVm);
  k.set(vm.open, false);
  // An ioctl in flight holds a reference to its descriptor: the VM goes when the last of them ends.
  // Their locks stand for those references.
  std::array<bool, kMaxVcpus> locked{};
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    if (!k.vcpus[i].exists || k.vcpus[i].vm != op.vm) continue;
    co_await lock(k, vcpu_mutex(VcpuIndex{i}));
    locked[i] = true;
  }
  co_await lock(k, slots_lock(op.vm));
  close_descriptors(k, vm);
  unlock(k, slots_lock(op.vm));
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    if (locked[i]) unlock(k, vcpu_mutex(VcpuIndex{i}));
  }
  co_return Outcome{};
}

// Deviation: KVM_CREATE_VCPU does not take kvm->lock at its begin and at its end, as Linux does.
Outcome apply(Kernel& k, ActorId, const CreateVcpu& op) {
  Vcpu& vcpu = k.vcpu(op.vcpu);
  if (vcpu.exists && vcpu.vm != op.vm) return skip(Check::kSkipVcpuElsewhere);
  if (const Check gate = vm_gate(k, op.vm); gate != Check::kOk) return answer(gate);
  Vm& vm = k.vm(op.vm);
  if (const Check check = check_allocation(k, Check::kCreateVcpuNoMemory); check != Check::kOk) {
    if (planted(Planted::kNoMemoryKeepsVm)) k.set(vm.users, vm.users + 1);
    return refuse(check);
  }
  const bool no_td = vm.type == VmType::kTdx && (!vm.td.initialized || vm.td.runnable);
  if (no_td) return refuse(Check::kCreateVcpuTd);
  if (needs_apic_page(k, vm)) {
    if (const Check check = alloc_apic_page(k, vm); check != Check::kOk) return answer(check);
  }
  if (vcpu.exists) return refuse(Check::kCreateVcpuExists);
  k.set(vcpu.exists, true);
  k.set(vcpu.vm, op.vm);
  k.set(vcpu.phys_addr_bits, PhysAddrBits{}.value);
  k.set(vm.users, vm.users + 1);
  k.set(vm.vcpu_count, static_cast<std::uint8_t>(vm.vcpu_count + 1));
  return {};
}

Task<Outcome> start(Kernel& k, ActorId actor, const CreateVcpu& op) {
  if (k.vcpu(op.vcpu).exists || vm_gate(k, op.vm) != Check::kOk) co_return apply(k, actor, op);
  Vm& vm = k.vm(op.vm);
  const std::uint32_t life = vm.life;
  k.set(vm.vcpus_in_creation, static_cast<std::uint8_t>(vm.vcpus_in_creation + 1));
  co_await point(k, Point::kVcpuInCreation);
  const bool adds_slot = vm.open && needs_apic_page(k, vm);
  if (adds_slot) {
    co_await lock(k, slots_lock(op.vm));
    // Nobody reads the VM's slots: it has no vCPU yet.
    co_await wait_no_active_invalidations(k, op.vm);
  }
  const Outcome out = apply(k, actor, op);
  if (adds_slot) unlock(k, slots_lock(op.vm));
  // A VM that has gone meanwhile took its count with it.
  if (vm.life == life && vm.exists)
    k.set(vm.vcpus_in_creation, static_cast<std::uint8_t>(vm.vcpus_in_creation - 1));
  co_return out;
}

}  // namespace sluice::model
