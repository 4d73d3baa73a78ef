// Source: kvm.md 0, ioctl encodings; Linux include/uapi/linux/kvm.h.
#include "kvm/request.h"

#include <cstring>

namespace sluice::kvm {
namespace {

/// What copy_from_user() brings. Pre: `argument` is not null.
template <class T>
T copied(std::uintptr_t argument) {
  T value{};
  std::memcpy(&value, reinterpret_cast<const void*>(argument), sizeof value);
  return value;
}

SetMemoryRegionRequest legacy_region(std::uintptr_t argument) {
  const auto old = copied<kvm_userspace_memory_region>(argument);
  SetMemoryRegionRequest request{.legacy = true};
  request.region.slot = old.slot;
  request.region.flags = old.flags;
  request.region.guest_phys_addr = old.guest_phys_addr;
  request.region.memory_size = old.memory_size;
  request.region.userspace_addr = old.userspace_addr;
  return request;
}

EnableCapRequest capability(std::uintptr_t argument) {
  const auto enable = copied<kvm_enable_cap>(argument);
  return {.capability = enable.cap, .flags = enable.flags, .argument = enable.args[0]};
}

/// Requests whose argument is a number, or nothing.
Request decode_plain(unsigned long request, std::uintptr_t argument) {
  switch (request) {
    case KVM_GET_API_VERSION:
      return GetApiVersionRequest{};
    case KVM_GET_VCPU_MMAP_SIZE:
      return GetRunBytesRequest{};
    case KVM_CREATE_VM:
      return CreateVmRequest{.type = argument};
    case KVM_CHECK_EXTENSION:
      return CheckExtensionRequest{.capability = static_cast<unsigned>(argument)};
    case KVM_CREATE_VCPU:
      return CreateVcpuRequest{.id = argument};
    case KVM_RUN:
      return RunRequest{};
    default:
      return UnknownRequest{};
  }
}

Request decode_structure(unsigned long request, std::uintptr_t argument) {
  switch (request) {
    case uapi::kGetSupportedCpuid:
      return GetSupportedCpuidRequest{reinterpret_cast<uapi::CpuidTable*>(argument)};
    case KVM_ENABLE_CAP:
      return capability(argument);
    case uapi::kSetUserMemoryRegion:
      return legacy_region(argument);
    case uapi::kSetUserMemoryRegion2:
      return SetMemoryRegionRequest{.region = copied<uapi::UserspaceMemoryRegion2>(argument)};
    case uapi::kSetMemoryAttributes:
      return SetMemoryAttributesRequest{copied<uapi::MemoryAttributes>(argument)};
    case uapi::kCreateGuestMemfd:
      return CreateGuestMemfdRequest{copied<uapi::CreateGuestMemfd>(argument)};
    case uapi::kSetCpuid2:
      return SetCpuidRequest{reinterpret_cast<const uapi::CpuidTable*>(argument)};
    case KVM_GET_VCPU_EVENTS:
    case KVM_SET_VCPU_EVENTS:
      return VcpuEventsRequest{.events = reinterpret_cast<kvm_vcpu_events*>(argument),
                               .set = request == KVM_SET_VCPU_EVENTS};
    case uapi::kPreFaultMemory:
      return PreFaultMemoryRequest{reinterpret_cast<uapi::PreFaultMemory*>(argument)};
    case KVM_GET_REGS:
    case KVM_SET_REGS:
    case KVM_GET_SREGS:
    case KVM_SET_SREGS:
    case uapi::kGetCpuid2:
      return RegistersRequest{.request = request, .argument = argument};
    default:
      return UnknownRequest{};
  }
}

}  // namespace

Request decode_request(unsigned long request, std::uintptr_t argument) {
  const Request plain = decode_plain(request, argument);
  if (!std::holds_alternative<UnknownRequest>(plain)) return plain;
  if (argument != 0) return decode_structure(request, argument);
  // A request that is known is refused for its argument, an unknown one for being so.
  static constexpr unsigned char kZeros[sizeof(uapi::UserspaceMemoryRegion2)] = {};
  const Request known = decode_structure(request, reinterpret_cast<std::uintptr_t>(kZeros));
  return UnknownRequest{.fault = !std::holds_alternative<UnknownRequest>(known)};
}

}  // namespace sluice::kvm
