// Field types of page state changes (snp_host.md 5.1): as fields.h, which includes this file.
#pragma once
#include <cstdint>

#include "base/units.h"

namespace sluice {

/// Where every vCPU's GHCB is; outside of the memory that sequences give to guests.
inline constexpr std::uint64_t kGhcbAddress = 0x7ffff000;
/// GHCB: the page's shared buffer, as offsets in the page.
inline constexpr std::uint64_t kGhcbBufferBegin = 0x800;
inline constexpr std::uint64_t kGhcbBufferEnd = 0xff0;
inline constexpr unsigned kPscMaxEntries = (kGhcbBufferEnd - kGhcbBufferBegin - 8) / 8;
static_assert(kPscMaxEntries == 253);
/// Of those a guest fills so many before it asks (Linux VMGEXIT_PSC_MAX_COUNT).
inline constexpr unsigned kPscEntriesPerRequest = 64;

/// The operation of a page state change, four bits; text knows private, shared, smash and unsmash.
struct PscOperation {
  static constexpr std::uint8_t kPrivate = 1, kShared = 2, kSmash = 3, kUnsmash = 4;
  std::uint8_t value = 0;
  friend constexpr auto operator<=>(PscOperation, PscOperation) = default;
};

/// cur_entry, end_entry, or the index of an entry: sixteen bits, whatever the buffer holds.
struct PscIndex {
  std::uint16_t value = 0;
  friend constexpr auto operator<=>(PscIndex, PscIndex) = default;
};

/// The reserved half of a PSC header.
struct PscReserved {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(PscReserved, PscReserved) = default;
};

/// An entry as it lies in the buffer: cur_page [11:0], gfn [51:12], operation [55:52],
/// pagesize [56], reserved [63:57]. Text: shared:0x200:2M+300, an operation, a GFN, the size if it
/// is 2 MiB, the pages done if there are any, !0x1 for reserved bits.
struct PscEntry {
  std::uint64_t value = 0;

  static constexpr std::uint64_t kGfnMask = (std::uint64_t{1} << 40) - 1;
  constexpr unsigned cur_page() const { return value & 0xfff; }
  constexpr Gfn gfn() const { return {value >> 12 & kGfnMask}; }
  constexpr std::uint8_t operation() const { return value >> 52 & 0xf; }
  constexpr bool is_2m() const { return (value >> 56 & 1) != 0; }
  constexpr unsigned reserved() const { return static_cast<unsigned>(value >> 57); }
  constexpr unsigned pages() const { return is_2m() ? kFramesPer2M : 1; }
  constexpr PscEntry with_cur_page(unsigned pages) const {
    return {(value & ~std::uint64_t{0xfff}) | (pages & 0xfff)};
  }
  friend constexpr auto operator<=>(PscEntry, PscEntry) = default;
};
constexpr PscEntry psc_entry(std::uint8_t operation, Gfn gfn, bool is_2m = false,
                             unsigned cur_page = 0) {
  return {(cur_page & 0xfff) | (gfn.value & PscEntry::kGfnMask) << 12 |
          std::uint64_t{operation & 0xfu} << 52 | std::uint64_t{is_2m} << 56};
}

/// The buffer's first eight bytes: cur_entry [15:0], end_entry [31:16], reserved [63:32].
struct PscHeader {
  std::uint64_t value = 0;
  constexpr std::uint16_t cur_entry() const { return static_cast<std::uint16_t>(value); }
  constexpr std::uint16_t end_entry() const { return static_cast<std::uint16_t>(value >> 16); }
  constexpr std::uint32_t reserved() const { return static_cast<std::uint32_t>(value >> 32); }
  constexpr PscHeader with_cur_entry(std::uint16_t entry) const {
    return {(value & ~std::uint64_t{0xffff}) | entry};
  }
};
constexpr PscHeader psc_header(PscIndex cur_entry, PscIndex end_entry, PscReserved reserved = {}) {
  return {std::uint64_t{cur_entry.value} | std::uint64_t{end_entry.value} << 16 |
          std::uint64_t{reserved.value} << 32};
}

/// How many pages a guest changes with one call; at most two blocks of 2 MiB less one page.
struct GuestPageCount {
  std::uint16_t value = 1;
  friend constexpr auto operator<=>(GuestPageCount, GuestPageCount) = default;
};

/// What KVM finds when it looks at the GHCB: all well, an address that was not registered, a usage
/// that is not the standard one, no valid SW_SCRATCH.
enum class GhcbState : std::uint8_t { kUsable, kUnregistered, kBadUsage, kNoScratch };

/// The protocol version: 1 or 2.
struct GhcbVersion {
  std::uint8_t value = 2;
  friend constexpr auto operator<=>(GhcbVersion, GhcbVersion) = default;
};

/// SW_SCRATCH: where the PSC buffer starts, counted from the start of the GHCB's page (modulo
/// 2^64).
struct GhcbScratch {
  std::uint64_t value = kGhcbBufferBegin;
  friend constexpr auto operator<=>(GhcbScratch, GhcbScratch) = default;
};

}  // namespace sluice
