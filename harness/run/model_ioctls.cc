// KVM's ioctls but KVM_RUN, as operations of the model. Errnos that the model has no row for: Linux
// virt/kvm/kvm_main.c, arch/x86/kvm/x86.c, arch/x86/kvm/cpuid.c.
#include <algorithm>
#include <bit>
#include <cerrno>

#include "model/host/kernel.h"
#include "model/host/tdp_mmu.h"
#include "run/model_syscalls.h"
#include "trace/kernel_behavior.h"

namespace sluice::run {

using kvm::SysResult;

namespace {

constexpr std::uint64_t kMapGpaRangeBit = std::uint64_t{1} << kvm::uapi::kHypercallMapGpaRange;
constexpr std::uint64_t kUserSlots = 32764;  // KVM_USER_MEM_SLOTS

bool is_private_type(VmType type) {
  return type == VmType::kSwProtected || type == VmType::kSnp || type == VmType::kTdx;
}

}  // namespace

template <class Target>
SysResult ModelSyscalls::dispatch(Target target, unsigned long request, std::uintptr_t argument) {
  return std::visit(
      [&](const auto& decoded) {
        if constexpr (requires { this->answer(target, decoded); }) {
          return this->answer(target, decoded);
        } else if constexpr (std::is_same_v<std::decay_t<decltype(decoded)>, kvm::UnknownRequest>) {
          return SysResult::failed(decoded.fault ? EFAULT : ENOTTY);
        } else {
          return SysResult::failed(ENOTTY);
        }
      },
      kvm::decode_request(request, argument));
}

SysResult ModelSyscalls::ioctl(int fd, unsigned long request, std::uintptr_t argument) {
  const File* const file = find(fd);
  if (file == nullptr) return SysResult::failed(EBADF);
  switch (file->kind) {
    case File::Kind::kKvm:
      return dispatch(System{}, request, argument);
    case File::Kind::kVm:
      return dispatch(VmIndex{file->index}, request, argument);
    case File::Kind::kVcpu:
      return dispatch(VcpuIndex{file->index}, request, argument);
    default:
      return SysResult::failed(ENOTTY);
  }
}

// ---- /dev/kvm ----

SysResult ModelSyscalls::answer(System, const kvm::GetApiVersionRequest&) {
  return SysResult::of(12);  // KVM_API_VERSION, for good
}

SysResult ModelSyscalls::answer(System, const kvm::GetRunBytesRequest&) {
  return SysResult::of(kvm::EmulatedVcpu::kRunBytes);
}

SysResult ModelSyscalls::answer(System, const kvm::CreateVmRequest& request) {
  if (request.type > static_cast<unsigned long>(VmType::kTdx)) return SysResult::failed(EINVAL);
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    if (model_.view().vm({i}).exists) continue;
    const auto type = static_cast<VmType>(request.type);
    const SysResult created =
        syscall_result(apply(CreateVm{.vm = {i}, .type = type, .exit_hypercall = false}));
    if (!created.ok()) return created;
    vms_[i] = {.descriptors = 1, .type = type};
    return add({.kind = File::Kind::kVm, .index = i});
  }
  return SysResult::failed(ENOMEM);
}

SysResult ModelSyscalls::answer(System, const kvm::CheckExtensionRequest& request) {
  return SysResult::of(static_cast<std::int64_t>(capability(request.capability, nullptr)));
}

SysResult ModelSyscalls::answer(System, const kvm::GetSupportedCpuidRequest& request) {
  return kvm::write_supported_cpuid(*request.table, phys_addr_bits());
}

/// The MAXPHYADDR that puts the profile's last GFN where it is.
unsigned ModelSyscalls::phys_addr_bits() const {
  const auto bits = static_cast<unsigned>(std::bit_width(profile_.max_gfn)) + kPageShift;
  return static_cast<unsigned>(std::min<std::uint64_t>(bits, 52));
}

/// `vm`: null where /dev/kvm is asked, which answers for what is compiled in.
std::uint64_t ModelSyscalls::capability(unsigned number, const VmUse* vm) const {
  namespace uapi = kvm::uapi;
  const bool may_be_private = vm == nullptr || is_private_type(vm->type);
  switch (number) {
    case uapi::kCapNrMemslots:
      return kUserSlots;
    case uapi::kCapMultiAddressSpace:
      return profile_.smm_address_space && (vm == nullptr || !may_be_private) ? 2 : 1;
    case uapi::kCapExitHypercall:
      return profile_.exit_hypercall ? kMapGpaRangeBit : 0;
    case uapi::kCapDisableQuirks2:
      return profile_.slot_zap_all_quirk ? uapi::kQuirkSlotZapAll : 0;
    case uapi::kCapUserMemory2:
    case uapi::kCapMemoryFaultInfo:
      return 1;
    case uapi::kCapMemoryAttributes:
      return profile_.memory_attributes && may_be_private ? uapi::kAttributePrivate : 0;
    case uapi::kCapGuestMemfd:
      return profile_.guest_memfd &&
             (may_be_private || behavior::gmem_for_every_vm(profile_.version));
    case uapi::kCapVmTypes:
      return profile_.vm_types;
    case uapi::kCapPreFaultMemory:
      return profile_.tdp;
    case uapi::kCapGuestMemfdFlags:
      return vm != nullptr && may_be_private
                 ? profile_.gmem_flags & ~uapi::kGuestMemfdFlagInitShared
                 : profile_.gmem_flags;
    default:
      return 0;
  }
}

// ---- A VM ----

SysResult ModelSyscalls::answer(VmIndex vm, const kvm::CheckExtensionRequest& request) {
  return SysResult::of(static_cast<std::int64_t>(capability(request.capability, &vms_[vm.value])));
}

/// No operation: create_vm carries the answer to this call, so it is set in the model's VM.
SysResult ModelSyscalls::answer(VmIndex vm, const kvm::EnableCapRequest& request) {
  namespace uapi = kvm::uapi;
  const bool is_quirk = request.capability == uapi::kCapDisableQuirks2;
  const bool is_known = is_quirk || request.capability == uapi::kCapExitHypercall;
  const std::uint64_t values = is_known ? capability(request.capability, &vms_[vm.value]) : 0;
  if (values == 0 || request.flags != 0 || (request.argument & ~values) != 0) {
    return SysResult::failed(EINVAL);
  }
  model::Kernel& kernel = model_.kernel();
  model::Vm& subject = kernel.vm(vm);
  if (subject.dead) return SysResult::failed(EIO);
  if (!is_quirk) kernel.set(subject.exit_hypercall, request.argument != 0);
  if (is_quirk && request.argument != 0) kernel.set(subject.slot_zap_all, false);
  return SysResult::of(0);
}

GmemRef ModelSyscalls::gmem_of(int fd) {
  const File* const file = find(fd);
  if (file == nullptr) return {.value = GmemRef::kNone};
  if (file->kind != File::Kind::kGmem) return {.value = GmemRef::kOther};
  return {.value = file->index};
}

SysResult ModelSyscalls::answer(VmIndex vm, const kvm::SetMemoryRegionRequest& request) {
  const kvm::uapi::UserspaceMemoryRegion2& region = request.region;
  SetMemoryRegion op{.vm = vm,
                     .slot = {region.slot},
                     .flags = {region.flags},
                     .gpa = {region.guest_phys_addr},
                     .size = {region.memory_size},
                     .hva = host_address(region.userspace_addr, region.memory_size),
                     .gmem_offset = {region.guest_memfd_offset},
                     .legacy = request.legacy};
  if (!request.legacy) op.gmem = gmem_of(static_cast<int>(region.guest_memfd));
  return syscall_result(apply(op));
}

SysResult ModelSyscalls::answer(VmIndex vm, const kvm::SetMemoryAttributesRequest& request) {
  return syscall_result(apply(SetMemoryAttributes{.vm = vm,
                                                  .address = {request.attributes.address},
                                                  .size = {request.attributes.size},
                                                  .attributes = {request.attributes.attributes},
                                                  .flags = {request.attributes.flags}}));
}

SysResult ModelSyscalls::answer(VmIndex vm, const kvm::CreateGuestMemfdRequest& request) {
  for (std::uint8_t i = 0; i < kMaxGmems; ++i) {
    if (model_.view().gmem({i}).open) continue;
    const SysResult created = syscall_result(apply(CreateGuestMemfd{
        .vm = vm, .gmem = {i}, .size = {request.file.size}, .flags = {request.file.flags}}));
    return created.ok() ? add({.kind = File::Kind::kGmem, .index = i}) : created;
  }
  return SysResult::failed(ENOMEM);
}

/// vCPU ids are a VM's own, the model's vCPUs are the machine's: any free one serves.
SysResult ModelSyscalls::answer(VmIndex vm, const kvm::CreateVcpuRequest& request) {
  const auto is_it = [&](const VcpuUse& use) {
    return use.cpu != nullptr && use.vm == vm && use.id == request.id;
  };
  auto at = std::ranges::find_if(vcpus_, is_it);
  if (at == vcpus_.end()) at = std::ranges::find(vcpus_, nullptr, &VcpuUse::cpu);
  if (at == vcpus_.end()) return SysResult::failed(ENOMEM);
  const auto index = static_cast<std::uint8_t>(at - vcpus_.begin());
  const SysResult created = syscall_result(apply(CreateVcpu{.vm = vm, .vcpu = {index}}));
  if (!created.ok()) return created;
  *at = {.cpu = std::make_shared<kvm::EmulatedVcpu>(), .vm = vm, .id = request.id};
  ++vms_[vm.value].descriptors;
  return add({.kind = File::Kind::kVcpu, .index = index});
}

// ---- A vCPU ----

SysResult ModelSyscalls::answer(VcpuIndex vcpu, const kvm::RegistersRequest& request) {
  const auto answered = vcpus_[vcpu.value].cpu->registers(request);
  // kvm_mmu_reset_context(): no operation switches paging, so the root is let go of directly.
  if (answered.resets_mmu) {
    model::unload_root(model_.kernel(), model_.kernel().vcpu(vcpu));
  }
  return answered.result;
}

SysResult ModelSyscalls::answer(VcpuIndex vcpu, const kvm::SetCpuidRequest& request) {
  kvm::EmulatedVcpu& cpu = *vcpus_[vcpu.value].cpu;
  // The model knows MAXPHYADDR only; once the vCPU ran, KVM takes nothing but what it has.
  const bool ran = model_.kernel().vcpu(vcpu).ran;
  if (ran && !cpu.has_cpuid(*request.table)) return SysResult::failed(EINVAL);
  const auto bits = static_cast<std::uint8_t>(kvm::phys_addr_bits_of(*request.table));
  const SysResult set = syscall_result(
      apply({.kind = ActorKind::kVcpu, .index = vcpu.value}, SetCpuid{.phys_addr_bits = {bits}}));
  return set.ok() ? cpu.set_cpuid(*request.table) : set;
}

/// Of all events the model has system management mode only.
SysResult ModelSyscalls::answer(VcpuIndex vcpu, const kvm::VcpuEventsRequest& request) {
  if (!request.set) {
    *request.events = {};
    request.events->smi.smm = model_.kernel().vcpu(vcpu).smm ? 1 : 0;
    return SysResult::of(0);
  }
  if ((request.events->flags & KVM_VCPUEVENT_VALID_SMM) == 0) return SysResult::of(0);
  const ActorId actor{.kind = ActorKind::kVcpu, .index = vcpu.value};
  return syscall_result(request.events->smi.smm != 0 ? apply(actor, EnterSmm{})
                                                     : apply(actor, LeaveSmm{}));
}

SysResult ModelSyscalls::answer(VcpuIndex vcpu, const kvm::PreFaultMemoryRequest& request) {
  const Outcome out = apply({.kind = ActorKind::kVcpu, .index = vcpu.value},
                            PreFaultMemory{.gpa = {request.range->gpa},
                                           .size = {request.range->size},
                                           .flags = {request.range->flags}});
  if (out.has_progress) {
    request.range->gpa = out.progress.gpa;
    request.range->size = out.progress.left;
  }
  const SysResult result = syscall_result(out);
  if (out.exit.reason == kExitMemoryFault) {  // a private fault leaves its exit behind
    static_cast<void>(vcpus_[vcpu.value].cpu->leave({.kind = kvm::ExitKind::kMemoryFault,
                                                     .error = result.error,
                                                     .gpa = out.exit.gpa,
                                                     .size = out.exit.size,
                                                     .flags = out.exit.flags}));
  }
  return result;
}

}  // namespace sluice::run
