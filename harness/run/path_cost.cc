#include "run/path_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "model/host/kernel.h"
#include "model/schedule/scheduler.h"
#include "ops/sequence.h"

namespace sluice::run {
namespace {

constexpr ActorId kVmm{.kind = ActorKind::kVmm, .index = 0};
constexpr ActorId kVcpu{.kind = ActorKind::kVcpu, .index = 0};
constexpr std::uint64_t kBytes = kCostPages * kPageBytes;
constexpr std::uint64_t kPrivate = 8;         // KVM_MEMORY_ATTRIBUTE_PRIVATE
constexpr std::uint32_t kGuestMemfdFlag = 4;  // KVM_MEM_GUEST_MEMFD
constexpr std::uint32_t kSmmSlot = 1 << 16;
constexpr unsigned kTries = 4;  // of a page: mended, accepted, touched, and one to spare

void add(PathCounts& counts, const Event& event) {
  switch (event.kind) {
    case EventKind::kNpf:
      ++counts[CostItem::kNestedFault];
      return;
    case EventKind::kExitToUser:
      ++counts[CostItem::kUserExit];
      return;
    case EventKind::kMap:
    case EventKind::kRetry:
      ++counts[CostItem::kFaultTry];
      return;
    case EventKind::kRmpUpdate:
      ++counts[CostItem::kRmpUpdate];
      return;
    case EventKind::kPsmash:
      ++counts[CostItem::kPsmash];
      return;
    case EventKind::kTlbFlush:
      ++counts[CostItem::kTlbFlush];
      return;
    case EventKind::kDirectMapSplit:
      ++counts[CostItem::kDirectMapSplit];
      return;
    case EventKind::kCacheFlush:
      counts[CostItem::kCacheFlush] += event.b;
      return;
    case EventKind::kInvalidateBegin:
      ++counts[CostItem::kInvalidation];
      return;
    default:
      return;
  }
}

/// Applies operations one by one and adds up what each did.
class Path {
 public:
  Path(model::ModelBackend& model, const PolicySet& policy) : model_(model), policy_(policy) {
    model_.reset();
    SequenceHeader header{};
    header.policy = policy;
    model_.begin(header);
    model_.always_use_coroutines(true);  // else no lock is taken
  }
  ~Path() {
    model_.finish();
    model_.always_use_coroutines(false);
    model_.reset();
  }
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;

  Outcome apply(const Op& op) {
    const ActorId actor = info_of(op).actor == ActorKind::kVcpu ? kVcpu : kVmm;
    const Outcome out = model_.apply({.actor = actor, .op = op});
    count(op);
    return out;
  }
  /// Forgets what has been counted: the preparation is over.
  void start() {
    counts_ = {};
    locks_before_ = model_.kernel().scheduler.locks_taken();
  }
  PathCounts counts() {
    counts_[CostItem::kLock] = model_.kernel().scheduler.locks_taken() - locks_before_;
    return counts_;
  }

  /// The guest touches a page until that succeeds, accepting it where it is told to; user space
  /// mends what it is told of, as its policy says.
  bool touch(Gfn gfn, bool c_bit) {
    for (unsigned i = 0; i < kTries; ++i) {
      const Outcome out =
          apply(GuestAccess{.gfn = gfn, .kind = AccessKind::kWrite, .c_bit = c_bit, .value = {7}});
      if (out.ok()) return true;
      const bool accepts = out.has_check && out.check == Check::kGuestNotValidated;
      if (accepts) {
        apply(Pvalidate{.gfn = gfn});
      } else if (out.exit.reason != kExitMemoryFault || policy_.vmm != VmmPolicy::kConvert) {
        return false;
      } else {
        mend(out.exit);
      }
    }
    return false;
  }

 private:
  void mend(const ExitInfo& exit) {
    const bool to_private = (exit.flags & kMemoryFaultPrivate) != 0;
    apply(SetMemoryAttributes{
        .address = {exit.gpa}, .size = {exit.size}, .attributes = {to_private ? kPrivate : 0}});
    const bool reclaims = reclaims_by_hole(policy_) && !to_private;
    if (reclaims) apply(GmemPunchHole{.offset = {exit.gpa}, .size = {exit.size}});
  }

  void count(const Op& op) {
    meter_.begin_step();
    counts_ += own_counts(op, policy_);
    counts_ += meter_.take();
  }

  model::ModelBackend& model_;
  PolicySet policy_;
  PathCounts counts_{};
  WorkMeter meter_{model_};
  std::uint64_t locks_before_ = 0;
};

void boot_snp(Path& path, std::uint64_t attributes) {
  path.apply(CreateVm{.type = VmType::kSnp});
  path.apply(SevInit2{});
  path.apply(CreateGuestMemfd{.size = {kBytesPer2M}});
  path.apply(
      SetMemoryRegion{.flags = {kGuestMemfdFlag}, .size = {kBytesPer2M}, .gmem = {.value = 0}});
  path.apply(CreateVcpu{});
  path.apply(LaunchStart{});
  path.apply(LaunchFinish{});
  if (attributes != 0)
    path.apply(SetMemoryAttributes{.size = {kBytesPer2M}, .attributes = {attributes}});
}

std::uint64_t touch_all(Path& path, bool c_bit) {
  std::uint64_t done = 0;
  for (std::uint64_t i = 0; i < kCostPages; ++i) done += path.touch({i}, c_bit) ? 1u : 0u;
  return done;
}

bool convert_all(Path& path, bool to_private) {
  return path
      .apply(GuestConvert{
          .gfn = {0}, .page_count = {kCostPages}, .to_private = to_private, .large = false})
      .ok();
}

std::uint64_t run_convert(Path& path) {
  boot_snp(path, kPrivate);
  path.start();
  std::uint64_t done = touch_all(path, true);
  if (!convert_all(path, false)) return 0;
  done = std::min(done, touch_all(path, false));
  if (!convert_all(path, true)) return 0;
  return std::min(done, touch_all(path, true));
}

std::uint64_t run_touch(Path& path) {
  boot_snp(path, 0);
  path.start();
  return touch_all(path, true);
}

std::uint64_t run_premap(Path& path, bool in_smm) {
  path.apply(CreateVm{});
  path.apply(SetMemoryRegion{.size = {kBytesPer2M}});
  if (in_smm)
    path.apply(SetMemoryRegion{
        .slot = {kSmmSlot}, .size = {kBytesPer2M}, .hva = {.value = 2 * kBytesPer2M}});
  path.apply(CreateVcpu{});
  if (in_smm) path.apply(EnterSmm{});
  path.start();
  const Outcome out = path.apply(PreFaultMemory{.size = {kBytes}});
  if (!out.ok() || out.progress.left != 0) return 0;
  return touch_all(path, false);
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }
std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

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
  const std::string_view name = trim(line.substr(0, equals));
  const std::string_view text = trim(line.substr(equals + 1));
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
    {CostItem::kShotProcessor, "shot_processor", 60,
     "Assumption: what each processor adds to a shoot-down, of its sender's time"},
}};

PathCounts WorkMeter::take() {
  PathCounts counts;
  model::Kernel& kernel = model_.kernel();
  const auto events = kernel.machine.events.events();
  for (; seen_ < events.size(); ++seen_) add(counts, events[seen_]);
  model::PathCounters& path = kernel.path;
  counts[CostItem::kWalk] = path.walks;
  counts[CostItem::kEntry] = path.entries;
  counts[CostItem::kPageStore] = path.page_stores;
  counts[CostItem::kDirectMapFlush] = path.direct_map_flushes;
  path = {};
  return counts;
}

PathCounts own_counts(const Op& op, const PolicySet& policy) {
  PathCounts counts;
  const bool is_call = (info_of(op).actor == ActorKind::kVmm && !is_one_of<HostAccess>(op)) ||
                       is_one_of<PreFaultMemory>(op);
  if (is_call) ++counts[CostItem::kSystemCall];
  if (is_one_of<Pvalidate>(op)) ++counts[CostItem::kPvalidate];
  if (const auto* const convert = std::get_if<GuestConvert>(&op)) {
    counts[CostItem::kPvalidate] += convert->page_count.value;
    const bool punches = reclaims_by_hole(policy) && !convert->to_private;
    counts[CostItem::kSystemCall] += punches ? 2 : 1;
  }
  return counts;
}

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
    line = trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    if (const auto read = read_line(line, table); !read)
      return std::unexpected(fmt::format("{}:{}: {}", file, number, read.error()));
  }
  return table;
}

double CostTable::price(const PathCounts& counts) const {
  double sum = 0;
  for (std::size_t i = 0; i < kCostItems; ++i)
    sum += nanoseconds[i] * static_cast<double>(counts.times[i]);
  return sum;
}

std::string_view name_of(Workload workload) {
  switch (workload) {
    case Workload::kTouch:
      return "touch";
    case Workload::kConvert:
      return "convert";
    case Workload::kPremap:
      return "premap";
    case Workload::kPremapInSmm:
      return "premap_in_smm";
  }
  return "?";
}

PathCost measure_path(model::ModelBackend& model, const PolicySet& policy, Workload workload) {
  Path path(model, policy);
  PathCost cost{.pages = kCostPages};
  switch (workload) {
    case Workload::kTouch:
      cost.done = run_touch(path);
      break;
    case Workload::kConvert:
      cost.done = run_convert(path);
      break;
    case Workload::kPremap:
    case Workload::kPremapInSmm:
      cost.done = run_premap(path, workload == Workload::kPremapInSmm);
      break;
  }
  cost.counts = path.counts();
  return cost;
}

}  // namespace sluice::run
