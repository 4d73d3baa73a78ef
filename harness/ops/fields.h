// The types of operation fields. A field's type is its domain (domain.h): its bytes, range,
// interesting values and text. `Raw*` types carry an ioctl argument as it stands and cover all of
// u64, so that the order of errnos can be tested; the others hold only what makes sense. Nothing
// here judges a value: backends do.
#pragma once
#include <cstdint>

#include "base/units.h"
#include "ops/ghcb_fields.h"
#include "ops/psc_fields.h"

namespace sluice {

inline constexpr unsigned kMaxVms = 2;
inline constexpr unsigned kMaxVcpus =
    4;  // over all VMs: `vcpu2` names one vCPU of the whole sequence
inline constexpr unsigned kMaxGmems = 4;  // over all VMs, like file descriptors
inline constexpr unsigned kMaxVmmThreads = 4;
inline constexpr unsigned kMaxKernelWorkers = 2;

/// Which VM (an index into the sequence's VMs, not a KVM number).
struct VmIndex {
  std::uint8_t value = 0;
  friend constexpr auto operator<=>(VmIndex, VmIndex) = default;
};

/// Which vCPU of the sequence; create_vcpu binds it to a VM.
struct VcpuIndex {
  std::uint8_t value = 0;
  friend constexpr auto operator<=>(VcpuIndex, VcpuIndex) = default;
};

/// Which guest_memfd of the sequence.
struct GmemIndex {
  std::uint8_t value = 0;
  friend constexpr auto operator<=>(GmemIndex, GmemIndex) = default;
};

/// What is passed where a guest_memfd descriptor is wanted: one of the sequence's, no descriptor
/// (-1), or an open file that is no guest_memfd.
struct GmemRef {
  static constexpr std::uint8_t kNone = 0xff;
  static constexpr std::uint8_t kOther = 0xfe;
  std::uint8_t value = kNone;
  constexpr bool is_gmem() const { return value < kMaxGmems; }
  friend constexpr auto operator<=>(GmemRef, GmemRef) = default;
};

/// kvm_userspace_memory_region2.slot: address space in the high half, slot id in the low half.
struct RawSlot {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(RawSlot, RawSlot) = default;
};

// One distinct type per meaning of a u64 argument; all are aggregates with one member.
struct RawGpa {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(RawGpa, RawGpa) = default;
};
struct RawHpa {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(RawHpa, RawHpa) = default;
};
struct RawSize {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(RawSize, RawSize) = default;
};
struct RawOffset {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(RawOffset, RawOffset) = default;
};
struct RawFlags {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(RawFlags, RawFlags) = default;
};
/// kvm_userspace_memory_region2.flags; text knows log_dirty, readonly and guest_memfd.
struct RawSlotFlags {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(RawSlotFlags, RawSlotFlags) = default;
};
/// kvm_memory_attributes.attributes; text knows private.
struct RawAttributes {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(RawAttributes, RawAttributes) = default;
};
/// The mode argument of fallocate(2); text knows keep_size, punch_hole, ...
struct RawFallocateMode {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(RawFallocateMode, RawFallocateMode) = default;
};

/// A host virtual address: an offset into the 64 MiB region that the harness maps, or a raw address
/// passed through (`raw:0x...`).
struct HostVa {
  std::uint64_t value = 0;
  bool raw = false;
  friend constexpr auto operator<=>(HostVa, HostVa) = default;
};
inline constexpr std::uint64_t kHostRegionBytes = std::uint64_t{64} << 20;

/// What a write leaves at the start of a page and a read finds there; 0 is a page never written
/// (zeroed).
struct Token {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(Token, Token) = default;
};

/// kvm.md 0: KVM_X86_*_VM.
enum class VmType : std::uint8_t {
  kDefault = 0,
  kSwProtected = 1,
  kSev = 2,
  kSevEs = 3,
  kSnp = 4,
  kTdx = 5
};

enum class AccessKind : std::uint8_t { kRead, kWrite, kFetch };

/// The page size a guest passes to PVALIDATE and RMPADJUST; kInvalid stands for any ECX other than
/// 0 and 1.
enum class PageSizeArg : std::uint8_t { k4K = 0, k2M = 1, kInvalid = 2 };

/// Level of the host mapping through which a raw store goes (MapLevel as a field).
using MapLevelArg = MapLevel;

/// CPUID MAXPHYADDR as user space sets it: picks 4- or 5-level nested paging.
struct PhysAddrBits {
  std::uint8_t value = 48;
  friend constexpr auto operator<=>(PhysAddrBits, PhysAddrBits) = default;
};

/// Current privilege level of a guest instruction: 0 or 3.
struct Cpl {
  std::uint8_t value = 0;
  friend constexpr auto operator<=>(Cpl, Cpl) = default;
};

/// A VMPL as an instruction argument; the whole byte, since values above 3 are refused rather than
/// impossible.
struct RawVmpl {
  std::uint8_t value = 0;
  friend constexpr auto operator<=>(RawVmpl, RawVmpl) = default;
};

/// VMPL permission mask: bit 0 read, 1 write, 2 execute-user, 3 execute-supervisor, 4 supervisor
/// shadow stack.
struct VmplMask {
  std::uint8_t value = 0;
  friend constexpr auto operator<=>(VmplMask, VmplMask) = default;
};

/// ASID as an RMPUPDATE record carries it: 32 bits, of which hardware takes 10.
struct RawAsid {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(RawAsid, RawAsid) = default;
};

/// kvm_sev_snp_launch_update.type; text knows normal, vmsa, zero, unmeasured, secrets and cpuid.
struct RawPageType {
  std::uint8_t value = 1;
  friend constexpr auto operator<=>(RawPageType, RawPageType) = default;
};

/// SNP guest policy. Default: ABI 0.0, SMT allowed, the must-be-one bit set.
struct RawPolicy {
  std::uint64_t value = 0x30000;
  friend constexpr auto operator<=>(RawPolicy, RawPolicy) = default;
};

/// How a guest pages its own guest (L2): with page tables that it makes itself, or nested.
enum class L2Paging : std::uint8_t { kShadow, kNested };

/// What an RMP instruction answers while another processor is in its way (rmp.md 4.1).
enum class RmpBusy : std::uint8_t { kInUse, kOverlap };

/// How many of the next events an obstacle lasts, or which of them it hits.
struct ShortCount {
  std::uint8_t value = 1;
  friend constexpr auto operator<=>(ShortCount, ShortCount) = default;
};

/// Who runs an operation. Text: vmm0.., vcpu0.., kernel0..
enum class ActorKind : std::uint8_t { kVmm, kVcpu, kKernel };
struct ActorId {
  ActorKind kind = ActorKind::kVmm;
  std::uint8_t index = 0;
  friend constexpr auto operator<=>(ActorId, ActorId) = default;
};
inline constexpr unsigned kMaxActors = kMaxVmmThreads + kMaxVcpus + kMaxKernelWorkers;
constexpr unsigned actor_slot(ActorId actor) {
  switch (actor.kind) {
    case ActorKind::kVmm:
      return actor.index;
    case ActorKind::kVcpu:
      return kMaxVmmThreads + actor.index;
    case ActorKind::kKernel:
      break;
  }
  return kMaxVmmThreads + kMaxVcpus + actor.index;
}
constexpr unsigned actors_of(ActorKind kind) {
  return kind == ActorKind::kVmm    ? kMaxVmmThreads
         : kind == ActorKind::kVcpu ? kMaxVcpus
                                    : kMaxKernelWorkers;
}

}  // namespace sluice
