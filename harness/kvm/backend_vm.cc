// VMs and vCPUs on the real kernel. Source: kvm.md 0.
#include <cerrno>
#include <string>

#include "kvm/kvm_backend.h"
#include "kvm/outcomes.h"

namespace sluice::kvm {

/// Where the kernel has no room, the VMs that are kept for later give theirs up.
template <class Make>
SysResult KvmBackend::with_room(const Make& make) {
  const SysResult made = make();
  if (made.error != ENOMEM || recycled_.empty()) return made;
  recycled_.clear();
  return make();
}

Outcome KvmBackend::run(const Step&, const CreateVm& op) {
  std::optional<LiveVm>& place = vms_[op.vm.value];
  if (is_index_taken(op.vm)) return skip(Check::kSkipVmExists, "vm is open, or a file of it is");
  std::optional<LiveVm> made = take_recycled(op.type);
  if (!made) {
    const SysResult created =
        with_room([&] { return kvm_.create_vm_fd(static_cast<unsigned long>(op.type)); });
    if (!created.ok()) return of_result(created);
    made.emplace();
    made->vm = Vm(kvm_.sys(), Fd(kvm_.sys(), created.fd()));
    made->type = op.type;
    made->slots.reserve(kMaxOps);
    made->converted.reserve(kMaxOps);
  }
  if (made->exit_hypercall != op.exit_hypercall && probe_.has(Capability::kHypercallExit)) {
    const std::uint64_t mask =
        op.exit_hypercall ? std::uint64_t{1} << uapi::kHypercallMapGpaRange : 0;
    const SysResult enabled = made->vm.enable_capability(uapi::kCapExitHypercall, mask);
    if (!enabled.ok()) return of_result(enabled);
    made->exit_hypercall = op.exit_hypercall;
  }
  if (!op.slot_zap_all && probe_.has(Capability::kSlotZapAllQuirk)) {
    const SysResult disabled =
        made->vm.enable_capability(uapi::kCapDisableQuirks2, uapi::kQuirkSlotZapAll);
    if (!disabled.ok()) return of_result(disabled);
    made->reusable = false;  // a quirk is off for good
  }
  // A slot that came later would make MMIO entries stale, and with private memory that shows (see
  // note_mmio()). Where it is refused, the first guest operation says so.
  const bool early = probe_.tdp && op.type == VmType::kSwProtected && runs_guest_;
  if (early && payload_allowed_ && !made->payload_installed && payload_.install(made->vm).ok()) {
    made->payload_installed = made->had_slot = true;
  }
  place = std::move(*made);
  return of_result(SysResult::of(0));
}

/// A VM whose descriptor is closed lives on while a guest_memfd of it is open; so does its index.
bool KvmBackend::is_index_taken(VmIndex index) const {
  if (vms_[index.value]) return true;
  for (unsigned i = 0; i < kMaxGmems; ++i) {
    if (gmems_[i].is_open() && gmem_vm_[i] == index) return true;
  }
  return false;
}

Outcome KvmBackend::run(const Step&, const DestroyVm& op) {
  if (vm_of(op.vm) == nullptr) return skip(Check::kSkipNoVm, "vm is not open");
  return of_result(destroy(op.vm));
}

SysResult KvmBackend::destroy(VmIndex index) {
  LiveVm& vm = *vms_[index.value];
  for (unsigned i = 0; i < kMaxVcpus; ++i) {
    if (vcpu_vm_[i] == index) vcpu_vm_[i].reset();
    vm.vcpus[i].reset();
  }
  const SysResult closed = vm.vm.close();
  vms_[index.value].reset();
  return closed;
}

Outcome KvmBackend::run(const Step&, const CreateVcpu& op) {
  LiveVm* const vm = vm_of(op.vm);
  if (vm == nullptr) return skip(Check::kSkipNoVm, "vm is not open");
  const unsigned id = op.vcpu.value;
  if (vcpu_vm_[id] && *vcpu_vm_[id] != op.vm) {
    return skip(Check::kSkipVcpuElsewhere, "the vCPU belongs to the other VM");
  }
  std::unique_ptr<LiveVcpu>& vcpu = vm->vcpus[id];
  if (vcpu && !vcpu->bound) {  // a recycled VM has it already
    vcpu->bound = true;
    vcpu_vm_[id] = op.vm;
    return of_result(SysResult::of(0));
  }
  const SysResult created = with_room([&] { return vm->vm.create_vcpu_fd(id); });
  if (!created.ok()) return of_result(created);
  auto adopted = Vcpu::adopt(kvm_, created.fd());
  if (!adopted) return skip(Check::kSkipLimit, adopted.error().message());
  vcpu = std::make_unique<LiveVcpu>(std::move(*adopted), id);
  vcpu->bound = true;
  vcpu_vm_[id] = op.vm;
  return of_result(created);
}

Outcome KvmBackend::run(const Step& step, const SetCpuid& op) {
  const Acting acting = acting_vcpu(step);
  if (acting.vcpu == nullptr) return skip(Check::kSkipNoVcpu, "the vCPU has not been created");
  LiveVcpu& vcpu = *acting.vcpu;
  const std::uint8_t bits = op.phys_addr_bits.value;
  const SysResult set = vcpu.has_cpuid ? change_phys_addr_bits(vcpu.vcpu, bits)
                                       : set_supported_cpuid(kvm_, vcpu.vcpu, bits);
  if (set.ok()) {
    vcpu.has_cpuid = vcpu.chosen_cpuid = true;
    vcpu.phys_addr_bits = bits;
  }
  return of_result(set);
}

Outcome KvmBackend::change_smm(const Step& step, bool smm) {
  const Acting acting = acting_vcpu(step);
  if (acting.vcpu == nullptr) return skip(Check::kSkipNoVcpu, "the vCPU has not been created");
  if (!probe_.has(Capability::kSmmAddressSpace)) return skip(Capability::kSmmAddressSpace);
  if (acting.vm->type != VmType::kDefault) {
    return skip(Check::kSkipNoSmm, std::string(row_of(Check::kSkipNoSmm).source));
  }
  const SysResult set = set_smm(acting.vcpu->vcpu, smm);
  if (set.ok()) acting.vcpu->smm = smm;
  return of_result(set);
}

Outcome KvmBackend::run(const Step& step, const EnterSmm&) { return change_smm(step, true); }
Outcome KvmBackend::run(const Step& step, const LeaveSmm&) { return change_smm(step, false); }

}  // namespace sluice::kvm
