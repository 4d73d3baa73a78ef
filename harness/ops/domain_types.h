// Domain<T> for every field type. A new field type needs a specialization here; a field without
// one does not compile. Names of values: Linux include/uapi/linux/kvm.h, falloc.h.
#pragma once
#include "ops/domain.h"  // circular only in name: domain.h includes this file at its end

namespace sluice {
namespace domains {

inline constexpr std::uint64_t kAll = ~std::uint64_t{0};

/// Page-granular positions: the first 16 pages, the surroundings of 2 MiB and larger boundaries,
/// then what ioctls refuse (unaligned, wrapping, beyond any address width).
inline constexpr HotValues kHotAddresses{
    0x0,        0x1000,     0x2000,      0x3000,         0x4000,     0x5000,     0x6000,
    0x7000,     0x8000,     0x9000,      0xa000,         0xb000,     0xc000,     0xd000,
    0xe000,     0xf000,     0x10000,     0x20000,        0x40000,    0x80000,    0x100000,
    0x1fe000,   0x1ff000,   0x200000,    0x201000,       0x202000,   0x210000,   0x300000,
    0x3ff000,   0x400000,   0x401000,    0x5ff000,       0x600000,   0x7ff000,   0x800000,
    0xa00000,   0xc00000,   0xe00000,    0xfff000,       0x1000000,  0x1fff000,  0x2000000,
    0x3e00000,  0x3fff000,  0x4000000,   0x3fe00000,     0x40000000, 0x40200000, 0x80000000,
    0xfee00000, 0xfffff000, 0x100000000, 0xff0000000000, 1ull << 47, 1ull << 52, 1ull << 63,
    0x1,        0x800,      0xfff,       0x1001,         0x1fffff,   0x200001,   kAll - 4095,
    kAll};

inline constexpr HotValues kHotSizes{
    0x1000,     0x200000,   0x0,        0x2000,     0x3000,      0x4000,      0x5000,
    0x6000,     0x7000,     0x8000,     0x9000,     0xa000,      0xc000,      0xf000,
    0x10000,    0x11000,    0x20000,    0x40000,    0x80000,     0x100000,    0x1fe000,
    0x1ff000,   0x201000,   0x202000,   0x3ff000,   0x400000,    0x401000,    0x600000,
    0x800000,   0xa00000,   0x1000000,  0x2000000,  0x3e00000,   0x3fff000,   0x4000000,
    0x4001000,  0x40000000, 0x7ffff000, 0x80000000, 0xfffff000,  0x100000000, 0x10000000000,
    1ull << 47, 1ull << 52, 1ull << 62, 1ull << 63, 1,           2,           3,
    4,          16,         64,         511,        512,         513,         0x800,
    0xfff,      0x1001,     0x1fffff,   0x200001,   kAll - 8191, kAll - 4096, kAll - 4095,
    kAll};

inline constexpr HotValues kHotFrames{0,
                                      1,
                                      2,
                                      3,
                                      4,
                                      5,
                                      6,
                                      7,
                                      8,
                                      9,
                                      10,
                                      11,
                                      12,
                                      13,
                                      14,
                                      15,
                                      16,
                                      17,
                                      31,
                                      32,
                                      63,
                                      64,
                                      127,
                                      128,
                                      254,
                                      255,
                                      256,
                                      257,
                                      510,
                                      511,
                                      512,
                                      513,
                                      514,
                                      528,
                                      640,
                                      767,
                                      768,
                                      1022,
                                      1023,
                                      1024,
                                      1025,
                                      1535,
                                      1536,
                                      2047,
                                      2048,
                                      2560,
                                      3072,
                                      4095,
                                      4096,
                                      8191,
                                      8192,
                                      15872,
                                      16383,
                                      16384,
                                      262143,
                                      262144,
                                      262656,
                                      524288,
                                      1048575,
                                      1048576,
                                      1 << 30,
                                      1ull << 35,
                                      (1ull << 40) - 1,
                                      (1ull << 52) - 1};

inline constexpr HotValues kHotFlags{
    0,        1,           2,          3,          4,          5,          6,          7,
    8,        9,           10,         11,         12,         13,         14,         15,
    16,       17,          18,         20,         24,         0x1f,       0x20,       0x21,
    0x40,     0x41,        0x60,       0x7f,       0x80,       0xc0,       0xff,       0x100,
    0x200,    0x400,       0x800,      0x1000,     0x2000,     0x4000,     0x8000,     0xffff,
    1u << 16, 1u << 17,    3u << 16,   1u << 18,   1u << 19,   1u << 20,   1u << 21,   1u << 22,
    1u << 23, 1u << 24,    1u << 25,   1u << 26,   1u << 27,   1u << 28,   1u << 29,   1u << 30,
    1u << 31, 0x7fffffffu, 0xfffffffe, 0xffffffff, 1ull << 32, 1ull << 62, 1ull << 63, kAll};

/// `base` with its first values replaced: the first 8 are by far the likeliest (codec.h).
constexpr HotValues starting_with(std::array<std::uint64_t, 8> first, HotValues base) {
  for (std::size_t i = 0; i < first.size(); ++i) base[i] = first[i];
  return base;
}
inline constexpr HotValues kHotPlainFlags = starting_with({0, 0, 0, 0, 1, 2, 4, 16}, kHotFlags);
inline constexpr HotValues kHotSlotFlags = starting_with({0, 4, 0, 4, 1, 2, 5, 6}, kHotFlags);
inline constexpr HotValues kHotAttributes = starting_with({8, 0, 8, 0, 8, 0, 1, 9}, kHotFlags);
inline constexpr HotValues kHotFallocate = starting_with({1, 1, 3, 0, 3, 2, 0x11, 0x10}, kHotFlags);
inline constexpr HotValues kHotSnpPolicy =
    starting_with({0x30000, 0x30000, 0x30000, 0x20000, 0x10000, 0xb0000, 0, 0x130000}, kHotFlags);

inline constexpr HotValues kHotNumbers{
    0,    1,    2,     3,     4,     5,     6,     7,     8,     9,       10,       11,        12,
    13,   14,   15,    16,    17,    18,    19,    20,    24,    31,      32,       33,        36,
    40,   47,   48,    49,    51,    52,    53,    56,    57,    63,      64,       65,        99,
    100,  127,  128,   129,   254,   255,   256,   509,   510,   511,     512,      1000,      1022,
    1023, 1024, 32763, 32764, 32767, 65534, 65535, 65536, 65537, 1 << 17, 1u << 31, 0xffffffff};

inline constexpr HotValues kHotSmallCounts = starting_with({1, 1, 1, 1, 2, 2, 3, 4}, kHotNumbers);
inline constexpr HotValues kHotVmpls = starting_with({0, 1, 2, 3, 0, 1, 0, 4}, kHotNumbers);
inline constexpr HotValues kHotPageTypes = starting_with({1, 3, 1, 3, 4, 5, 6, 2}, kHotNumbers);
inline constexpr HotValues kHotAddressBits =
    starting_with({48, 52, 47, 49, 36, 32, 40, 51}, kHotNumbers);

inline constexpr std::array<NamedValue, 2> kBoolNames{{{"0", 0}, {"1", 1}}};
inline constexpr std::array<NamedValue, 2> kGmemRefNames{{{"none", 4}, {"other", 5}}};
inline constexpr std::array<NamedValue, 3> kSlotFlagNames{
    {{"log_dirty", 1}, {"readonly", 2}, {"guest_memfd", 4}}};
inline constexpr std::array<NamedValue, 1> kAttributeNames{{{"private", 8}}};
inline constexpr std::array<NamedValue, 7> kFallocateNames{{{"keep_size", 0x01},
                                                            {"punch_hole", 0x02},
                                                            {"no_hide_stale", 0x04},
                                                            {"collapse_range", 0x08},
                                                            {"zero_range", 0x10},
                                                            {"insert_range", 0x20},
                                                            {"unshare_range", 0x40}}};
inline constexpr std::array<NamedValue, 6> kVmTypeNames{
    {{"default", 0}, {"sw_protected", 1}, {"sev", 2}, {"sev_es", 3}, {"snp", 4}, {"tdx", 5}}};
inline constexpr std::array<NamedValue, 3> kAccessNames{{{"read", 0}, {"write", 1}, {"fetch", 2}}};
inline constexpr std::array<NamedValue, 2> kPageSizeNames{{{"4K", 0}, {"2M", 1}}};
inline constexpr std::array<NamedValue, 3> kPageSizeArgNames{
    {{"4K", 0}, {"2M", 1}, {"invalid", 2}}};
inline constexpr std::array<NamedValue, 3> kMapLevelNames{{{"4K", 0}, {"2M", 1}, {"1G", 2}}};
inline constexpr std::array<NamedValue, 2> kL2PagingNames{{{"shadow", 0}, {"nested", 1}}};
inline constexpr std::array<NamedValue, 2> kRmpBusyNames{{{"in_use", 0}, {"overlap", 1}}};
inline constexpr std::array<NamedValue, 2> kCplNames{{{"0", 0}, {"3", 1}}};
inline constexpr std::array<NamedValue, 6> kPageTypeNames{
    {{"normal", 1}, {"vmsa", 2}, {"zero", 3}, {"unmeasured", 4}, {"secrets", 5}, {"cpuid", 6}}};
inline constexpr std::array<NamedValue, 5> kVmplMaskNames{
    {{"read", 1}, {"write", 2}, {"user_exec", 4}, {"supervisor_exec", 8}, {"shadow_stack", 16}}};
inline constexpr std::array<NamedValue, kMaxActors> kActorNames{{{"vmm0", 0},
                                                                 {"vmm1", 1},
                                                                 {"vmm2", 2},
                                                                 {"vmm3", 3},
                                                                 {"vcpu0", 4},
                                                                 {"vcpu1", 5},
                                                                 {"vcpu2", 6},
                                                                 {"vcpu3", 7},
                                                                 {"kernel0", 8},
                                                                 {"kernel1", 9}}};
static_assert(kMaxVmmThreads == 4 && kMaxVcpus == 4 && kMaxKernelWorkers == 2,
              "kActorNames spells the actors out");

/// Most field types are a struct with one member, `value`.
template <class T>
struct OneMember {
  static constexpr FieldValue to(T field) { return {.bits = field.value}; }
  static constexpr T from(FieldValue value) {
    T field{};
    field.value = static_cast<decltype(field.value)>(value.bits);
    return field;
  }
};
/// Enumerations whose first enumerator is `First`.
template <class T, unsigned First = 0>
struct Enumeration {
  static constexpr FieldValue to(T field) { return {.bits = static_cast<unsigned>(field) - First}; }
  static constexpr T from(FieldValue value) {
    return static_cast<T>(static_cast<unsigned>(value.bits) + First);
  }
};

constexpr DomainSpec index_below(unsigned count, std::string_view name) {
  return {.name = name, .max = count - 1, .max_number = count - 1};
}
constexpr DomainSpec choice(std::span<const NamedValue> names, std::string_view name) {
  return {.name = name,
          .text = TextKind::kChoice,
          .max = names.size() - 1,
          .takes_numbers = false,
          .names = names};
}
constexpr DomainSpec number(std::uint64_t max, std::string_view name,
                            const HotValues& hot = kHotNumbers) {
  return {.name = name, .max = max, .max_number = max, .hot = &hot};
}
constexpr DomainSpec address(std::string_view name) {
  return {.name = name, .text = TextKind::kAddress, .hot = &kHotAddresses};
}
constexpr DomainSpec flags(std::uint64_t max, std::span<const NamedValue> names,
                           const HotValues& hot, std::string_view name) {
  return {.name = name,
          .text = TextKind::kFlags,
          .max = max,
          .max_number = max,
          .names = names,
          .hot = &hot};
}

}  // namespace domains

template <>
struct Domain<bool> {
  static constexpr DomainSpec kSpec = domains::choice(domains::kBoolNames, "yes or no");
  static constexpr FieldValue to(bool field) { return {.bits = field}; }
  static constexpr bool from(FieldValue value) { return value.bits != 0; }
};
template <>
struct Domain<VmIndex> : domains::OneMember<VmIndex> {
  static constexpr DomainSpec kSpec = domains::index_below(kMaxVms, "a VM of the sequence");
};
template <>
struct Domain<VcpuIndex> : domains::OneMember<VcpuIndex> {
  static constexpr DomainSpec kSpec = domains::index_below(kMaxVcpus, "a vCPU of the sequence");
};
template <>
struct Domain<GmemIndex> : domains::OneMember<GmemIndex> {
  static constexpr DomainSpec kSpec =
      domains::index_below(kMaxGmems, "a guest_memfd of the sequence");
};
template <>
struct Domain<GmemRef> {
  static constexpr DomainSpec kSpec{
      .name = "a guest_memfd of the sequence, no file or another file",
      .text = TextKind::kChoice,
      .max = kMaxGmems + 1,
      .max_number = kMaxGmems - 1,
      .names = domains::kGmemRefNames};
  static constexpr FieldValue to(GmemRef field) {
    if (field.is_gmem()) return {.bits = field.value};
    return {.bits = field.value == GmemRef::kNone ? kMaxGmems : kMaxGmems + 1};
  }
  static constexpr GmemRef from(FieldValue value) {
    if (value.bits < kMaxGmems) return {.value = static_cast<std::uint8_t>(value.bits)};
    return {.value = value.bits == kMaxGmems ? GmemRef::kNone : GmemRef::kOther};
  }
};
template <>
struct Domain<RawSlot> : domains::OneMember<RawSlot> {
  static constexpr DomainSpec kSpec =
      domains::number(0xffffffff, "a slot: address space << 16 | slot id");
};
template <>
struct Domain<RawGpa> : domains::OneMember<RawGpa> {
  static constexpr DomainSpec kSpec = domains::address("a guest-physical address");
};
template <>
struct Domain<RawHpa> : domains::OneMember<RawHpa> {
  static constexpr DomainSpec kSpec = domains::address("a host-physical address");
};
template <>
struct Domain<RawOffset> : domains::OneMember<RawOffset> {
  static constexpr DomainSpec kSpec = domains::address("an offset in bytes");
};
template <>
struct Domain<RawSize> : domains::OneMember<RawSize> {
  static constexpr DomainSpec kSpec{
      .name = "a size", .text = TextKind::kSize, .hot = &domains::kHotSizes};
};
template <>
struct Domain<Gfn> : domains::OneMember<Gfn> {
  static constexpr DomainSpec kSpec{.name = "a guest frame number",
                                    .text = TextKind::kAddress,
                                    .max = (std::uint64_t{1} << 52) - 1,
                                    .max_number = (std::uint64_t{1} << 52) - 1,
                                    .hot = &domains::kHotFrames};
};
template <>
struct Domain<RawFlags> : domains::OneMember<RawFlags> {
  static constexpr DomainSpec kSpec =
      domains::flags(domains::kAll, {}, domains::kHotPlainFlags, "flags");
};
template <>
struct Domain<RawSlotFlags> : domains::OneMember<RawSlotFlags> {
  static constexpr DomainSpec kSpec =
      domains::flags(0xffffffff, domains::kSlotFlagNames, domains::kHotSlotFlags, "memslot flags");
};
template <>
struct Domain<RawAttributes> : domains::OneMember<RawAttributes> {
  static constexpr DomainSpec kSpec = domains::flags(domains::kAll, domains::kAttributeNames,
                                                     domains::kHotAttributes, "memory attributes");
};
template <>
struct Domain<RawFallocateMode> : domains::OneMember<RawFallocateMode> {
  static constexpr DomainSpec kSpec = domains::flags(0xffffffff, domains::kFallocateNames,
                                                     domains::kHotFallocate, "a fallocate mode");
};
template <>
struct Domain<HostVa> {
  static constexpr DomainSpec kSpec{.name = "an offset into the host region, or raw:ADDRESS",
                                    .text = TextKind::kHostVa,
                                    .hot = &domains::kHotAddresses};
  static constexpr FieldValue to(HostVa field) { return {.bits = field.value, .raw = field.raw}; }
  static constexpr HostVa from(FieldValue value) { return {.value = value.bits, .raw = value.raw}; }
};
template <>
struct Domain<Token> : domains::OneMember<Token> {
  static constexpr DomainSpec kSpec = domains::number(domains::kAll, "a page's content token");
};
template <>
struct Domain<VmType> : domains::Enumeration<VmType> {
  static constexpr DomainSpec kSpec = domains::choice(domains::kVmTypeNames, "a VM type");
};
template <>
struct Domain<AccessKind> : domains::Enumeration<AccessKind> {
  static constexpr DomainSpec kSpec = domains::choice(domains::kAccessNames, "an access");
};
template <>
struct Domain<PageSize> : domains::Enumeration<PageSize> {
  static constexpr DomainSpec kSpec = domains::choice(domains::kPageSizeNames, "a page size");
};
template <>
struct Domain<PageSizeArg> : domains::Enumeration<PageSizeArg> {
  static constexpr DomainSpec kSpec =
      domains::choice(domains::kPageSizeArgNames, "a page size as an instruction argument");
};
template <>
struct Domain<MapLevel> : domains::Enumeration<MapLevel, 1> {
  static constexpr DomainSpec kSpec = domains::choice(domains::kMapLevelNames, "a mapping level");
};
template <>
struct Domain<PhysAddrBits> : domains::OneMember<PhysAddrBits> {
  static constexpr DomainSpec kSpec =
      domains::number(0xff, "a number of address bits", domains::kHotAddressBits);
};
template <>
struct Domain<Cpl> {
  static constexpr DomainSpec kSpec = domains::choice(domains::kCplNames, "a privilege level");
  static constexpr FieldValue to(Cpl field) { return {.bits = field.value != 0}; }
  static constexpr Cpl from(FieldValue value) {
    return {.value = static_cast<std::uint8_t>(value.bits == 0 ? 0 : 3)};
  }
};
template <>
struct Domain<RawVmpl> : domains::OneMember<RawVmpl> {
  static constexpr DomainSpec kSpec = domains::number(0xff, "a VMPL", domains::kHotVmpls);
};
template <>
struct Domain<VmplMask> : domains::OneMember<VmplMask> {
  static constexpr DomainSpec kSpec =
      domains::flags(0xff, domains::kVmplMaskNames, domains::kHotFlags, "VMPL permissions");
};
template <>
struct Domain<RawAsid> : domains::OneMember<RawAsid> {
  static constexpr DomainSpec kSpec = domains::number(0xffffffff, "an ASID");
};
template <>
struct Domain<RawPageType> : domains::OneMember<RawPageType> {
  static constexpr DomainSpec kSpec{.name = "a launch page type",
                                    .text = TextKind::kChoice,
                                    .max = 0xff,
                                    .max_number = 0xff,
                                    .names = domains::kPageTypeNames,
                                    .hot = &domains::kHotPageTypes};
};
template <>
struct Domain<RawPolicy> : domains::OneMember<RawPolicy> {
  static constexpr DomainSpec kSpec =
      domains::flags(domains::kAll, {}, domains::kHotSnpPolicy, "an SNP guest policy");
};
template <>
struct Domain<L2Paging> : domains::Enumeration<L2Paging> {
  static constexpr DomainSpec kSpec = domains::choice(domains::kL2PagingNames, "how L2 is paged");
};
template <>
struct Domain<RmpBusy> : domains::Enumeration<RmpBusy> {
  static constexpr DomainSpec kSpec =
      domains::choice(domains::kRmpBusyNames, "a code of an RMP instruction");
};
template <>
struct Domain<ShortCount> : domains::OneMember<ShortCount> {
  static constexpr DomainSpec kSpec =
      domains::number(15, "a small count", domains::kHotSmallCounts);
};
template <>
struct Domain<ActorId> {
  static constexpr DomainSpec kSpec = domains::choice(domains::kActorNames, "an actor");
  static constexpr FieldValue to(ActorId field) { return {.bits = actor_slot(field)}; }
  static constexpr ActorId from(FieldValue value) {
    auto slot = static_cast<unsigned>(value.bits);
    if (slot < kMaxVmmThreads) {
      return {.kind = ActorKind::kVmm, .index = static_cast<std::uint8_t>(slot)};
    }
    slot -= kMaxVmmThreads;
    if (slot < kMaxVcpus) {
      return {.kind = ActorKind::kVcpu, .index = static_cast<std::uint8_t>(slot)};
    }
    return {.kind = ActorKind::kKernel, .index = static_cast<std::uint8_t>(slot - kMaxVcpus)};
  }
};

}  // namespace sluice

#include "ops/ghcb_domains.h"  // more specializations
#include "ops/psc_domains.h"
