// One RMP entry in the 16-byte legacy layout of Zen 3 and Zen 4 (rmp.md 1; Linux
// arch/x86/virt/svm/sev.c, struct rmpentry).
#pragma once
#include <array>
#include <cstdint>

#include "base/units.h"

namespace sluice::model {

/// Packed as hardware keeps it; fields are read and replaced by value. Bits 3-11 (sub-page count)
/// belong to firmware.
struct RmpEntry {
  std::uint64_t low = 0;
  std::uint64_t high = 0;  // bytes 0-3: masks of VMPL0-3

  static constexpr std::uint64_t kAssigned = std::uint64_t{1} << 0;
  static constexpr std::uint64_t kSize2M = std::uint64_t{1} << 1;
  static constexpr std::uint64_t kImmutable = std::uint64_t{1} << 2;
  static constexpr std::uint64_t kGpaMask = 0x0007'ffff'ffff'f000;  // GPA[50:12] in place
  static constexpr unsigned kAsidShift = 51;
  static constexpr std::uint64_t kAsidMask = std::uint64_t{0x3ff} << kAsidShift;
  static constexpr std::uint64_t kVmsa = std::uint64_t{1} << 61;
  static constexpr std::uint64_t kValidated = std::uint64_t{1} << 62;
  static constexpr std::uint64_t kLock = std::uint64_t{1} << 63;

  constexpr bool assigned() const { return (low & kAssigned) != 0; }
  constexpr bool immutable() const { return (low & kImmutable) != 0; }
  constexpr bool validated() const { return (low & kValidated) != 0; }
  constexpr bool vmsa() const { return (low & kVmsa) != 0; }
  constexpr PageSize page_size() const {
    return (low & kSize2M) != 0 ? PageSize::k2M : PageSize::k4K;
  }
  constexpr Gpa gpa() const { return {low & kGpaMask}; }
  constexpr Asid asid() const {
    return {static_cast<std::uint32_t>((low & kAsidMask) >> kAsidShift)};
  }
  constexpr std::uint8_t mask(Vmpl vmpl) const {
    return static_cast<std::uint8_t>(high >> (8 * vmpl.value));
  }
  constexpr bool is_live_2m() const {
    return (low & (kAssigned | kSize2M)) == (kAssigned | kSize2M);
  }

  friend constexpr bool operator==(const RmpEntry&, const RmpEntry&) = default;
};
static_assert(sizeof(RmpEntry) == 16);

inline constexpr std::uint32_t kMaxAsid = 0x3ff;
inline constexpr std::uint8_t kMaskAll = 0x1f;
inline constexpr std::uint64_t kFreshMasks =
    kMaskAll;  // on assignment VMPL0 may do all, VMPL1-3 nothing

/// The entry that assignment to a guest or to the AMD-SP writes. Pre: gpa page aligned and below
/// 2^51, asid <= kMaxAsid.
constexpr RmpEntry make_entry(Gpa gpa, Asid asid, PageSize size, bool immutable) {
  return {.low = RmpEntry::kAssigned | (size == PageSize::k2M ? RmpEntry::kSize2M : 0) |
                 (immutable ? RmpEntry::kImmutable : 0) | gpa.value |
                 std::uint64_t{asid.value} << RmpEntry::kAsidShift,
          .high = kFreshMasks};
}

}  // namespace sluice::model
