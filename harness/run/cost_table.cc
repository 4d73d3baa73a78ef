#include "run/cost_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "ops/files.h"
#include "ops/text.h"

namespace sluice::run {
namespace {

std::string known_names() {
  std::string names;
  for (const CostItemRow& row : kCostItemRows)
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

/// One line without its comment. Error: what is wrong, and what would be right.
std::expected<void, std::string> read_line(std::string_view line, CostTable& table) {
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos)
    return std::unexpected(fmt::format("'{}' is no 'NAME = NANOSECONDS'", line));
  const std::string_view name = trimmed(line.substr(0, equals));
  const std::string_view text = trimmed(line.substr(equals + 1));
  const auto row = std::ranges::find(kCostItemRows, name, &CostItemRow::name);
  if (row == kCostItemRows.end())
    return std::unexpected(
        fmt::format("nothing is called '{}'; known are: {}", name, known_names()));
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  if (!whole || !std::isfinite(value) || value < 0)
    return std::unexpected(
        fmt::format("'{}' is no number of nanoseconds from 0 on, as 3600 or 0.5", text));
  table.nanoseconds[static_cast<std::size_t>(row->item)] = value;
  return {};
}

}  // namespace

const std::array<CostItemRow, kCostItems> kCostItemRows{{
    {CostItem::kNestedFault, "nested_fault", 1250, "published numbers 1: a plain VMEXIT"},
    {CostItem::kVmgexit, "vmgexit", 3600,
     "published numbers 1: an exit of an SNP guest by VMGEXIT"},
    {CostItem::kUserExit, "user_exit", 1800,
     "Assumption: the way to user space and back is half a VMEXIT more than one"},
    {CostItem::kSystemCall, "system_call", 300,
     "Assumption: entry, exit and the checks of an ioctl; its work is counted apart"},
    {CostItem::kFaultTry, "fault_try", 620,
     "measured on a host of ours: 0.62 us a page allocated, lookup and locks included"},
    {CostItem::kRmpUpdate, "rmpupdate", 400,
     "Assumption: nobody has published RMPUPDATE in nanoseconds; a cache miss and a broadcast"},
    {CostItem::kPsmash, "psmash", 800, "Assumption: as two RMPUPDATEs"},
    {CostItem::kPvalidate, "pvalidate", 1500,
     "Assumption: part of the 3.4 us a page of published numbers 2"},
    {CostItem::kTlbFlush, "tlb_flush", 2000,
     "Assumption: an interrupt to each processor of the VM, and its answer"},
    {CostItem::kDirectMapFlush, "direct_map_flush", 4000,
     "Assumption: an interrupt to every processor of the host"},
    {CostItem::kDirectMapSplit, "direct_map_split", 3000,
     "Assumption: a page table is allocated and filled with 512 entries"},
    {CostItem::kCacheFlush, "cache_flush", 250, "Assumption: 64 lines of a page, CLFLUSHOPT"},
    {CostItem::kInvalidation, "invalidation", 100, "Assumption: two counters under mmu_lock"},
    {CostItem::kLock, "lock", 20, "Assumption: an atomic instruction without contention"},
    {CostItem::kWalk, "walk", 40, "Assumption: four loads, of which one misses the cache"},
    {CostItem::kEntry, "entry", 15, "Assumption: an atomic exchange in a line that is near"},
    {CostItem::kPageStore, "page_store", 100, "Assumption: 4 KiB at some 40 GB/s"},
    {CostItem::kByteZeroed, "byte_zeroed", 0.025, "Assumption: some 40 GB/s"},
    {CostItem::kSetUpdate, "set_update", 40,
     "Assumption: a counter of the frame's own, in a line that is far; its lock is counted apart"},
    {CostItem::kFrameReference, "frame_reference", 10,
     "Assumption: an atomic addition in a line that is near"},
    {CostItem::kShotProcessor, "shot_processor", 60,
     "Assumption: what each processor adds to a shoot-down, of its sender's time"},
}};

CostTable CostTable::defaults() {
  CostTable table;
  for (const CostItemRow& row : kCostItemRows)
    table.nanoseconds[static_cast<std::size_t>(row.item)] = row.nanoseconds;
  return table;
}

std::expected<CostTable, std::string> CostTable::parse(std::string_view text,
                                                       std::string_view file) {
  CostTable table = defaults();
  for (std::uint32_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = trimmed(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    if (const auto read = read_line(line, table); !read)
      return std::unexpected(fmt::format("{}:{}: {}", file, number, read.error()));
  }
  return table;
}

Expected<CostTable> CostTable::read(const std::string& path) {
  if (path.empty()) return defaults();
  constexpr std::size_t kMaxBytes = 1 << 20;
  const auto text = read_file(path, kMaxBytes);
  if (!text) return std::unexpected(text.error());
  const auto table = parse(*text, path);
  if (!table) return input_error(table.error());
  return *table;
}

double CostTable::price(const PathCounts& counts) const {
  double sum = 0;
  for (std::size_t i = 0; i < kCostItems; ++i)
    sum += nanoseconds[i] * static_cast<double>(counts.times[i]);
  return sum;
}

}  // namespace sluice::run
