// What takes time on the way of a page, and a table of prices for it: published numbers where there
// are any, and assumptions elsewhere (docs/design/alternatives.md).
#pragma once
#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/system_error.h"

namespace sluice::run {

/// What is counted, and what it costs by default.
enum class CostItem : std::uint8_t {
  kNestedFault,     // exits of a guest by a nested page fault
  kVmgexit,         // exits of an SNP guest by VMGEXIT, for a page state change
  kUserExit,        // returns of KVM_RUN to user space
  kSystemCall,      // calls of user space, but KVM_RUN
  kFaultTry,        // goes through the fault path that mapped a page, or had to be tried again
  kRmpUpdate,       // RMPUPDATE
  kPsmash,          // PSMASH
  kPvalidate,       // PVALIDATE
  kTlbFlush,        // flushes of guests' translations, on all processors of the VM
  kDirectMapFlush,  // flushes of the kernel's own, on all processors
  kDirectMapSplit,  // pages of the direct map split
  kCacheFlush,      // pages flushed from the caches
  kInvalidation,    // beginnings of an invalidation
  kLock,            // locks taken
  kWalk,            // walks of a nested page table
  kEntry,           // leaves of nested page tables zapped or write-protected
  kPageStore,       // pages of 4 KiB copied or written by the kernel
  kByteZeroed,      // bytes zeroed by the kernel
  kSetUpdate,       // pages entered into the set of mapped pages or taken out (host_fault)
  kFrameReference,  // references to a page that its writer took or dropped (host_fault)
  kShotProcessor    // processors that a flush interrupts beside the sender (simulate)
};
struct CostItemRow {
  CostItem item;
  std::string_view name;
  double nanoseconds;  // each
  std::string_view source;
};
inline constexpr std::size_t kCostItems = 21;
extern const std::array<CostItemRow, kCostItems> kCostItemRows;

/// How often, in all.
struct PathCounts {
  std::array<std::uint64_t, kCostItems> times{};
  std::uint64_t& operator[](CostItem item) { return times[static_cast<std::size_t>(item)]; }
  std::uint64_t operator[](CostItem item) const { return times[static_cast<std::size_t>(item)]; }
  PathCounts& operator+=(const PathCounts& other) {
    for (std::size_t i = 0; i < kCostItems; ++i) times[i] += other.times[i];
    return *this;
  }
  friend bool operator==(const PathCounts&, const PathCounts&) = default;
};

/// Prices, one each. Text: lines `NAME = NANOSECONDS`, `#` begins a comment; what is not named
/// keeps its default.
struct CostTable {
  std::array<double, kCostItems> nanoseconds{};
  static CostTable defaults();
  /// Error: "FILE:LINE: what is wrong, and what would be right".
  static std::expected<CostTable, std::string> parse(std::string_view text, std::string_view file);
  /// The table in a file; the defaults for "". Error: as parse(), or why it cannot be read.
  static Expected<CostTable> read(const std::string& path);
  double price(const PathCounts& counts) const;
};

}  // namespace sluice::run
