// What a page costs on its way under a set of policies: how often the model did what takes time on
// a machine, as exact integers, and what a table of prices makes of it. The counts are the model's;
// the prices are published numbers where there are any, and assumptions elsewhere
// (alternatives.md).
#pragma once
#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "model/model_backend.h"
#include "ops/policy.h"

namespace sluice::run {

/// What is counted, and what it costs by default.
enum class CostItem : std::uint8_t {
  kNestedFault,     // exits of a guest by a nested page fault
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
  kPageStore,       // pages of 4 KiB zeroed or copied
  kShotProcessor    // processors that a flush interrupts beside the sender (simulate)
};
struct CostItemRow {
  CostItem item;
  std::string_view name;
  double nanoseconds;  // each
  std::string_view source;
};
inline constexpr std::size_t kCostItems = 17;
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
  double price(const PathCounts& counts) const;
};

/// Adds up what the model does while operations run.
class WorkMeter {
 public:
  explicit WorkMeter(model::ModelBackend& model) : model_(model) {}
  /// A step begins: its events are counted from the first.
  void begin_step() { seen_ = 0; }
  /// What was done since the last call. Calls, instructions of the guest and locks are not in it.
  PathCounts take();

 private:
  model::ModelBackend& model_;
  std::size_t seen_ = 0;  // events of the step
};

/// What an operation is by itself, beside what the meter sees: the guest's PVALIDATEs, and calls of
/// user space, those by which it answers a page state change among them (one request, one slot).
PathCounts own_counts(const Op& op, const PolicySet& policy);

/// A way that pages go, of a guest that reacts as its policies say and a user space that mends what
/// it is told of.
enum class Workload : std::uint8_t {
  kTouch,       // an SNP guest without page state changes touches shared pages as private ones
  kConvert,     // an SNP guest's pages become private, shared, and private again, each time touched
  kPremap,      // pages of an ordinary VM are pre-faulted, then touched
  kPremapInSmm  // the same on a vCPU that is in SMM, with memory of its own for that mode
};
std::string_view name_of(Workload workload);

struct PathCost {
  PathCounts counts{};      // of the way itself, not of its preparation
  std::uint64_t pages = 0;  // that were asked for
  std::uint64_t done = 0;   // pages that arrived; with fewer than `pages` the way is no way
};
inline constexpr std::uint64_t kCostPages = 64;

/// Runs the workload on the model, every operation by its locks. Pre: no sequence is under way;
/// afterwards none is. Deterministic. Cost: some milliseconds.
PathCost measure_path(model::ModelBackend& model, const PolicySet& policy, Workload workload);

}  // namespace sluice::run
