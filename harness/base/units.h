// Addresses, frames, page sizes and counts as distinct types: two different things never convert
// into each other silently. Sources: AMD APM vol. 2 (GPA; SPA, here HPA), Linux (gfn_t, kvm_pfn_t);
// names in docs/glossary.md.
#pragma once
#include <compare>
#include <cstdint>

#include "base/check.h"

namespace sluice {

inline constexpr std::uint64_t kPageShift = 12;
inline constexpr std::uint64_t kPageBytes = std::uint64_t{1} << kPageShift;
inline constexpr std::uint64_t kFramesPer2M = 512;
inline constexpr std::uint64_t kFramesPer1G = kFramesPer2M * 512;
inline constexpr std::uint64_t kBytesPer2M = kFramesPer2M * kPageBytes;
inline constexpr std::uint64_t kBytesPer1G = kFramesPer1G * kPageBytes;

/// A number of 4 KiB pages.
struct PageCount {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(PageCount, PageCount) = default;
};

/// A number of bytes.
struct ByteCount {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(ByteCount, ByteCount) = default;
};

/// An index of a 4 KiB frame in one address space. Arithmetic wraps like the u64 it is; callers
/// check ranges first.
template <class Tag>
struct Frame {
  std::uint64_t value = 0;

  constexpr Frame operator+(PageCount n) const { return {value + n.value}; }
  constexpr Frame operator-(PageCount n) const { return {value - n.value}; }
  constexpr PageCount operator-(Frame other) const { return {value - other.value}; }
  constexpr Frame align_down(std::uint64_t frames) const { return {value & ~(frames - 1)}; }
  constexpr bool is_aligned(std::uint64_t frames) const { return (value & (frames - 1)) == 0; }
  friend constexpr auto operator<=>(Frame, Frame) = default;
};

/// A byte address in one address space; `frame()` wants it page aligned, `containing_frame()` does
/// not.
template <class Tag>
struct Address {
  std::uint64_t value = 0;

  constexpr bool is_page_aligned() const { return (value & (kPageBytes - 1)) == 0; }
  constexpr Frame<Tag> frame() const {
    SLUICE_CHECK(is_page_aligned());
    return {value >> kPageShift};
  }
  constexpr Frame<Tag> containing_frame() const { return {value >> kPageShift}; }
  friend constexpr auto operator<=>(Address, Address) = default;
};

struct GuestSpace;
struct HostSpace;
using Gfn = Frame<GuestSpace>;    // guest-physical frame number
using Gpa = Address<GuestSpace>;  // guest-physical address
using Pfn = Frame<HostSpace>;     // host-physical (AMD: system-physical) frame number
using Hpa = Address<HostSpace>;   // host-physical address

template <class Tag>
constexpr Address<Tag> address_of(Frame<Tag> frame) {
  return {frame.value << kPageShift};
}

/// Page size as the RMP knows it (bit 1 of an entry). Source: shared layout of RMPUPDATE, APM
/// vol. 3.
enum class PageSize : std::uint8_t { k4K = 0, k2M = 1 };

/// Level of a leaf in a page table or in the direct map.
enum class MapLevel : std::uint8_t { k4K = 1, k2M = 2, k1G = 3 };

constexpr std::uint64_t frames_in(PageSize size) {
  return size == PageSize::k4K ? 1 : kFramesPer2M;
}
constexpr std::uint64_t frames_in(MapLevel level) {
  return std::uint64_t{1} << (9 * (static_cast<unsigned>(level) - 1));
}

/// The next smaller level. Pre: not 4K.
constexpr MapLevel below(MapLevel level) {
  return static_cast<MapLevel>(static_cast<unsigned>(level) - 1);
}

/// Address-space identifier of a guest; 0 is the hypervisor and the AMD-SP.
struct Asid {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(Asid, Asid) = default;
};

/// Virtual machine privilege level, 0 (most) to 3.
struct Vmpl {
  std::uint8_t value = 0;
  friend constexpr auto operator<=>(Vmpl, Vmpl) = default;
};
inline constexpr unsigned kVmplCount = 4;

}  // namespace sluice
