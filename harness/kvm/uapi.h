// The KVM user API this suite speaks: <linux/kvm.h> as Debian 12 has it (6.1), plus our own
// definitions of what came later. Own names, in one namespace, so that a newer system header never
// clashes with them. Every layout and ioctl number is asserted. Source: kvm.md 0; Linux
// include/uapi/linux/kvm.h.
#pragma once
#include <linux/kvm.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::kvm::uapi {

// Capabilities (KVM_CHECK_EXTENSION on the VM descriptor; the system descriptor answers for what is
// compiled in, not for the VM: probe.h).
inline constexpr unsigned kCapNrMemslots = 10;
inline constexpr unsigned kCapMultiAddressSpace = 118;
inline constexpr unsigned kCapExitHypercall = 201;
inline constexpr unsigned kCapBinaryStatsFd = 203;
inline constexpr unsigned kCapDisableQuirks2 = 213;
inline constexpr unsigned kCapUserMemory2 = 231;
inline constexpr unsigned kCapMemoryFaultInfo = 232;
inline constexpr unsigned kCapMemoryAttributes = 233;
inline constexpr unsigned kCapGuestMemfd = 234;
inline constexpr unsigned kCapVmTypes = 235;
inline constexpr unsigned kCapPreFaultMemory = 236;
inline constexpr unsigned kCapGuestMemfdFlags = 244;
static_assert(KVM_CAP_NR_MEMSLOTS == kCapNrMemslots && KVM_CAP_EXIT_HYPERCALL == kCapExitHypercall);
static_assert(KVM_CAP_BINARY_STATS_FD == kCapBinaryStatsFd &&
              KVM_CAP_DISABLE_QUIRKS2 == kCapDisableQuirks2);

inline constexpr std::uint64_t kQuirkSlotZapAll = 1 << 7;  // from 6.12

// Values of KVM_CREATE_VM's argument, and bits of kCapVmTypes.
inline constexpr unsigned long kVmTypeDefault = 0;
inline constexpr unsigned long kVmTypeSwProtected = 1;
inline constexpr unsigned long kVmTypeSev = 2;
inline constexpr unsigned long kVmTypeSevEs = 3;
inline constexpr unsigned long kVmTypeSnp = 4;
inline constexpr unsigned long kVmTypeTdx = 5;

inline constexpr std::uint32_t kMemLogDirtyPages = 1;
inline constexpr std::uint32_t kMemReadonly = 2;
inline constexpr std::uint32_t kMemGuestMemfd = 4;
static_assert(KVM_MEM_LOG_DIRTY_PAGES == kMemLogDirtyPages && KVM_MEM_READONLY == kMemReadonly);

inline constexpr std::uint64_t kAttributePrivate = 8;
inline constexpr std::uint64_t kMemoryExitFlagPrivate = 8;
inline constexpr std::uint64_t kGuestMemfdFlagMmap = 1;
inline constexpr std::uint64_t kGuestMemfdFlagInitShared = 2;

inline constexpr std::uint32_t kExitMemoryFault = 39;
inline constexpr std::uint64_t kHypercallMapGpaRange = 12;
static_assert(KVM_EXIT_HYPERCALL == 3);

struct UserspaceMemoryRegion2 {
  std::uint32_t slot = 0;
  std::uint32_t flags = 0;
  std::uint64_t guest_phys_addr = 0;
  std::uint64_t memory_size = 0;
  std::uint64_t userspace_addr = 0;
  std::uint64_t guest_memfd_offset = 0;
  std::uint32_t guest_memfd = 0;
  std::uint32_t pad1 = 0;
  std::array<std::uint64_t, 14> pad2{};
};
static_assert(sizeof(UserspaceMemoryRegion2) == 160);
static_assert(offsetof(UserspaceMemoryRegion2, userspace_addr) == 24);
static_assert(offsetof(UserspaceMemoryRegion2, guest_memfd_offset) == 32);
static_assert(offsetof(UserspaceMemoryRegion2, guest_memfd) == 40);
static_assert(offsetof(UserspaceMemoryRegion2, pad2) == 48);

struct MemoryAttributes {
  std::uint64_t address = 0;
  std::uint64_t size = 0;
  std::uint64_t attributes = 0;
  std::uint64_t flags = 0;
};
static_assert(sizeof(MemoryAttributes) == 32 && offsetof(MemoryAttributes, attributes) == 16);

struct CreateGuestMemfd {
  std::uint64_t size = 0;
  std::uint64_t flags = 0;
  std::array<std::uint64_t, 6> reserved{};
};
static_assert(sizeof(CreateGuestMemfd) == 64 && offsetof(CreateGuestMemfd, reserved) == 16);

struct PreFaultMemory {
  std::uint64_t gpa = 0;
  std::uint64_t size = 0;
  std::uint64_t flags = 0;
  std::array<std::uint64_t, 5> padding{};
};
static_assert(sizeof(PreFaultMemory) == 64 && offsetof(PreFaultMemory, padding) == 24);

/// What kvm_run's union holds for kExitMemoryFault.
struct MemoryFaultExit {
  std::uint64_t flags = 0;
  std::uint64_t gpa = 0;
  std::uint64_t size = 0;
};
static_assert(sizeof(MemoryFaultExit) == 24);
inline constexpr std::size_t kRunUnionOffset = 32;
static_assert(offsetof(kvm_run, hw) == kRunUnionOffset &&
              offsetof(kvm_run, mmio) == kRunUnionOffset);
static_assert(offsetof(kvm_run, exit_reason) == 8 && offsetof(kvm_run, immediate_exit) == 1);

inline constexpr unsigned long kSetUserMemoryRegion =
    _IOW(KVMIO, 0x46, kvm_userspace_memory_region);
inline constexpr unsigned long kSetUserMemoryRegion2 = _IOW(KVMIO, 0x49, UserspaceMemoryRegion2);
inline constexpr unsigned long kSetMemoryAttributes = _IOW(KVMIO, 0xd2, MemoryAttributes);
inline constexpr unsigned long kCreateGuestMemfd = _IOWR(KVMIO, 0xd4, CreateGuestMemfd);
inline constexpr unsigned long kPreFaultMemory = _IOWR(KVMIO, 0xd5, PreFaultMemory);
static_assert(kSetUserMemoryRegion == KVM_SET_USER_MEMORY_REGION &&
              kSetUserMemoryRegion == 0x4020ae46);
static_assert(kSetUserMemoryRegion2 == 0x40a0ae49);
static_assert(kSetMemoryAttributes == 0x4020aed2);
static_assert(kCreateGuestMemfd == 0xc040aed4);
static_assert(kPreFaultMemory == 0xc040aed5);

// CPUID. Debian's header ends kvm_cpuid2 in a flexible array that has a size in C++, which makes
// the system's own KVM_SET_CPUID2 the wrong number there: hence these.
struct CpuidHeader {
  std::uint32_t entry_count = 0;
  std::uint32_t padding = 0;
};
static_assert(sizeof(CpuidHeader) == 8 && sizeof(kvm_cpuid_entry2) == 40);
inline constexpr unsigned long kGetSupportedCpuid = _IOWR(KVMIO, 0x05, CpuidHeader);
inline constexpr unsigned long kSetCpuid2 = _IOW(KVMIO, 0x90, CpuidHeader);
inline constexpr unsigned long kGetCpuid2 = _IOWR(KVMIO, 0x91, CpuidHeader);
static_assert(kGetSupportedCpuid == 0xc008ae05 && kSetCpuid2 == 0x4008ae90 &&
              kGetCpuid2 == 0xc008ae91);

/// What both take: the header, then that many entries.
struct CpuidTable {
  CpuidHeader header{.entry_count = 256};
  std::array<kvm_cpuid_entry2, 256> entries{};
};
static_assert(offsetof(CpuidTable, entries) == 8);

// Binary statistics: the file that KVM_GET_STATS_FD opens. Source: Documentation/virt/kvm/api.rst
// 4.133.
struct StatsHeader {
  std::uint32_t flags = 0;
  std::uint32_t name_size = 0;
  std::uint32_t descriptor_count = 0;
  std::uint32_t id_offset = 0;
  std::uint32_t descriptor_offset = 0;
  std::uint32_t data_offset = 0;
};
static_assert(sizeof(StatsHeader) == 24 && sizeof(StatsHeader) == sizeof(kvm_stats_header));

/// One descriptor; `name_size` bytes of name follow it.
struct StatsDescriptor {
  std::uint32_t flags = 0;
  std::int16_t exponent = 0;
  std::uint16_t size = 0;
  std::uint32_t offset = 0;
  std::uint32_t bucket_size = 0;
};
static_assert(sizeof(StatsDescriptor) == 16 && offsetof(StatsDescriptor, bucket_size) == 12);
inline constexpr unsigned long kGetStatsFd = _IO(KVMIO, 0xce);
static_assert(kGetStatsFd == KVM_GET_STATS_FD);

}  // namespace sluice::kvm::uapi
