// An ioctl of the KVM user API as the one who answers it reads it: the request number and its
// argument decoded into one type each, so that a seam implementation outside this room needs
// neither request numbers nor <linux/kvm.h>. The other side of vm.h.
#pragma once
#include <cstdint>
#include <variant>

#include "kvm/uapi.h"

namespace sluice::kvm {

/// A number this room does not use, or an argument that cannot be read (then `fault`).
struct UnknownRequest {
  bool fault = false;
};

// /dev/kvm. check_extension is asked of a VM, too.
struct GetApiVersionRequest {};
struct GetRunBytesRequest {};
struct CreateVmRequest {
  unsigned long type = 0;
};
struct CheckExtensionRequest {
  unsigned capability = 0;
};
struct GetSupportedCpuidRequest {
  uapi::CpuidTable* table = nullptr;  // of header.entry_count entries only
};

// A VM.
struct EnableCapRequest {
  unsigned capability = 0;
  std::uint32_t flags = 0;
  std::uint64_t argument = 0;
};
struct SetMemoryRegionRequest {
  uapi::UserspaceMemoryRegion2 region{};
  bool legacy = false;  // KVM_SET_USER_MEMORY_REGION, which carries no guest_memfd
};
struct SetMemoryAttributesRequest {
  uapi::MemoryAttributes attributes{};
};
struct CreateGuestMemfdRequest {
  uapi::CreateGuestMemfd file{};
};
struct CreateVcpuRequest {
  unsigned long id = 0;
};

// A vCPU.
struct RunRequest {};
/// KVM_{GET,SET}_{REGS,SREGS,CPUID2}: what the answerer of registers takes as it is
/// (EmulatedVcpu::registers).
struct RegistersRequest {
  unsigned long request = 0;
  std::uintptr_t argument = 0;
};
/// KVM_SET_CPUID2. Pre for using it: entry_count of the header, no more, entries can be read.
struct SetCpuidRequest {
  const uapi::CpuidTable* table = nullptr;
};
/// KVM_{GET,SET}_VCPU_EVENTS. Pre for using it: the structure can be read and written.
struct VcpuEventsRequest {
  kvm_vcpu_events* events = nullptr;
  bool set = false;
};
struct PreFaultMemoryRequest {
  uapi::PreFaultMemory* range = nullptr;  // the rest of the range is written back here
};

using Request =
    std::variant<UnknownRequest, GetApiVersionRequest, GetRunBytesRequest, CreateVmRequest,
                 CheckExtensionRequest, GetSupportedCpuidRequest, EnableCapRequest,
                 SetMemoryRegionRequest, SetMemoryAttributesRequest, CreateGuestMemfdRequest,
                 CreateVcpuRequest, RunRequest, RegistersRequest, SetCpuidRequest,
                 VcpuEventsRequest, PreFaultMemoryRequest>;

/// Pre: an `argument` that is an address is one of this process, or null; null becomes
/// UnknownRequest{.fault = true} (copy_from_user() of a real kernel fails likewise).
Request decode_request(unsigned long request, std::uintptr_t argument);

}  // namespace sluice::kvm
