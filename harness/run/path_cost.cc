#include "run/path_cost.h"

#include <algorithm>

#include "model/host/kernel.h"
#include "model/schedule/scheduler.h"
#include "ops/sequence.h"

namespace sluice::run {
namespace {

constexpr std::uint64_t kBytes = kCostPages * kPageBytes;
constexpr std::uint64_t kPrivate = 8;         // KVM_MEMORY_ATTRIBUTE_PRIVATE
constexpr std::uint32_t kGuestMemfdFlag = 4;  // KVM_MEM_GUEST_MEMFD
constexpr std::uint32_t kSmmSlot = 1 << 16;
constexpr unsigned kTries = 4;  // of a page: mended, accepted, touched, and one to spare

/// Page state changes that the guest asks for by a GHCB's buffer, as many as it fills at a time;
/// with large entries as if each block were one.
std::uint64_t requests_of(const GuestConvert& op) {
  const std::uint64_t of_entry = op.large ? kFramesPer2M : 1;
  const std::uint64_t entries = (op.page_count.value + of_entry - 1) / of_entry;
  return (entries + kPscEntriesPerRequest - 1) / kPscEntriesPerRequest;
}

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
class Path final : public model::LockObserver {
 public:
  Path(model::ModelBackend& model, const PolicySet& policy, KernelVersion kernel)
      : model_(model), policy_(policy) {
    model_.reset();
    SequenceHeader header{};
    header.kernel = kernel;
    header.policy = policy;
    model_.begin(header);
    model_.always_use_coroutines(true);  // else no lock is taken
    model_.kernel().scheduler.observe_locks(this);
  }
  ~Path() {
    model_.kernel().scheduler.observe_locks(nullptr);
    model_.finish();
    model_.always_use_coroutines(false);
    model_.reset();
  }
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;

  Outcome apply(const Op& op) {
    const Outcome out = model_.apply({.actor = default_actor(op), .op = op});
    count(op);
    return out;
  }
  /// Forgets what has been counted: the preparation is over.
  void start() {
    counts_ = {};
    tried_ = 0;
  }
  const PathCounts& counts() const { return counts_; }
  const PolicySet& policy() const { return policy_; }
  /// In use as memory of guests and user space.
  std::uint64_t frames() const {
    const auto by_use = model_.kernel().machine.frames.accounting().by_use;
    return by_use[static_cast<std::size_t>(FrameUse::kGmem)] +
           by_use[static_cast<std::size_t>(FrameUse::kHostUser)];
  }

  void on_taken(model::LockId, model::LockMode) override { ++counts_[CostItem::kLock]; }
  void on_let_go(model::LockId) override {}

  bool is_over() const {
    const model::Kernel& k = model_.kernel();
    return k.snp.host_dead || (k.vms[0].exists && k.vms[0].dead);
  }
  std::uint64_t tried() const { return tried_; }

  /// The guest touches a page until that succeeds, accepting it where it is told to, or asking for
  /// it; user space mends what it is told of, as its policy says.
  bool touch(Gfn gfn, bool c_bit) {
    ++tried_;
    for (unsigned i = 0; i < kTries; ++i) {
      const Outcome out =
          apply(GuestAccess{.gfn = gfn, .kind = AccessKind::kWrite, .c_bit = c_bit, .value = {7}});
      if (out.ok()) return true;
      const bool accepts = out.has_check && out.check == Check::kGuestNotValidated;
      const bool asks = out.has_check && (out.check == Check::kGuestMismatchInjected ||
                                          out.check == Check::kGuestMismatchNotified);
      if (accepts) {
        apply(Pvalidate{.gfn = gfn});
      } else if (asks) {
        apply(GuestConvert{.gfn = gfn, .page_count = {1}, .to_private = c_bit, .large = false});
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
    // GFN, page of the file and page of the host region have the same number here.
    const ReclaimSteps steps = reclaim_after(policy_, to_private);
    const std::uint64_t other = page_punched_anywhere(exit.gpa >> kPageShift);
    if (steps.copy) apply(GmemPunchHole{.offset = {exit.gpa}, .size = {exit.size}});
    if (steps.shared) apply(HostDontneed{.hva = {.value = exit.gpa}, .size = {exit.size}});
    if (steps.elsewhere) apply(GmemPunchHole{.offset = {other << kPageShift}});
  }

  void count(const Op& op) {
    meter_.begin_step();
    counts_ += own_counts(op, policy_);
    counts_ += meter_.take();
  }

  model::ModelBackend& model_;
  PolicySet policy_;
  PathCounts counts_{};
  std::uint64_t tried_ = 0;
  WorkMeter meter_{model_};
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
  for (std::uint64_t i = 0; i < kCostPages && !path.is_over(); ++i)
    done += path.touch({i}, c_bit) ? 1u : 0u;
  return done;
}

bool write_all(Path& path) {
  bool written = true;
  for (std::uint64_t i = 0; i < kCostPages; ++i)
    written = path.apply(KernelWrite{.gfn = {i}, .value = {9}}).ok() && written;
  return written;
}

bool convert_all(Path& path, bool to_private) {
  return path
      .apply(GuestConvert{
          .gfn = {0}, .page_count = {kCostPages}, .to_private = to_private, .large = false})
      .ok();
}

void run_convert(Path& path, PathCost& cost, bool written) {
  boot_snp(path, kPrivate);
  path.start();
  const std::uint64_t before = path.frames();
  const std::uint64_t first = touch_all(path, true);
  if (path.is_over() || !convert_all(path, false)) return;
  const std::uint64_t shared = touch_all(path, false);
  if (written && !write_all(path)) return;
  cost.frames_when_shared = path.frames() - before;
  if (!convert_all(path, true)) return;
  cost.done = std::min({first, shared, touch_all(path, true)});
  cost.frames_when_private = path.frames() - before;
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
  path.apply(PreFaultMemory{.size = {kBytes}});  // what it does not map the guest faults in
  return touch_all(path, false);
}

std::uint64_t run_populate(Path& path) {
  path.apply(CreateVm{.type = VmType::kTdx});
  path.apply(TdxInitVm{});
  path.apply(CreateGuestMemfd{.size = {kBytesPer2M}});
  path.apply(
      SetMemoryRegion{.flags = {kGuestMemfdFlag}, .size = {kBytesPer2M}, .gmem = {.value = 0}});
  path.apply(CreateVcpu{});
  path.apply(TdxInitVcpu{});
  path.apply(SetMemoryAttributes{.size = {kBytesPer2M}, .attributes = {kPrivate}});
  path.start();
  if (path.policy().tdx_populate == TdxPopulate::kTwoPass)
    path.apply(PreFaultMemory{.size = {kBytes}});
  const Outcome out = path.apply(TdxInitMemRegion{.page_count = {kCostPages}});
  return out.has_progress ? kCostPages - (out.progress.left >> kPageShift) : 0;
}

}  // namespace

PathCounts WorkMeter::take() {
  PathCounts counts;
  model::Kernel& kernel = model_.kernel();
  const auto events = kernel.machine.events.events();
  for (; seen_ < events.size(); ++seen_) add(counts, events[seen_]);
  model::PathCounters& path = kernel.path;
  counts[CostItem::kWalk] = path.walks;
  counts[CostItem::kEntry] = path.entries;
  counts[CostItem::kPageStore] = path.page_stores;
  counts[CostItem::kByteZeroed] = path.bytes_zeroed;
  counts[CostItem::kSetUpdate] = path.set_updates;
  counts[CostItem::kFrameReference] = path.frame_references;
  counts[CostItem::kLock] = path.set_locks;
  counts[CostItem::kDirectMapFlush] = path.direct_map_flushes;
  path = {};
  return counts;
}

PathCounts own_counts(const Op& op, const PolicySet& policy) {
  PathCounts counts;
  const bool is_call = (info_of(op).actor == ActorKind::kVmm && !is_one_of<HostAccess>(op)) ||
                       is_one_of<PreFaultMemory, TdxInitMemRegion>(op);
  if (is_call) ++counts[CostItem::kSystemCall];
  if (is_one_of<Pvalidate>(op)) ++counts[CostItem::kPvalidate];
  if (is_one_of<Psc, PscMsr>(op)) ++counts[CostItem::kVmgexit];
  if (const auto* const convert = std::get_if<GuestConvert>(&op)) {
    counts[CostItem::kPvalidate] += convert->page_count.value;
    counts[CostItem::kVmgexit] += requests_of(*convert);
    counts[CostItem::kSystemCall] += 1 + reclaim_after(policy, convert->to_private).count();
  }
  return counts;
}

std::string_view name_of(Workload workload) {
  switch (workload) {
    case Workload::kTouch:
      return "touch";
    case Workload::kConvert:
      return "convert";
    case Workload::kConvertWritten:
      return "convert_written";
    case Workload::kPremap:
      return "premap";
    case Workload::kPremapInSmm:
      return "premap_in_smm";
    case Workload::kPopulate:
      return "populate";
  }
  return "?";
}

PathCost measure_path(model::ModelBackend& model, const PolicySet& policy, Workload workload) {
  const bool has_tds = workload == Workload::kPopulate;
  Path path(model, policy, has_tds ? KernelVersion{6, 18} : kDefaultKernel);
  PathCost cost{.pages = kCostPages};
  switch (workload) {
    case Workload::kTouch:
      cost.done = run_touch(path);
      break;
    case Workload::kConvert:
    case Workload::kConvertWritten:
      run_convert(path, cost, workload == Workload::kConvertWritten);
      break;
    case Workload::kPremap:
    case Workload::kPremapInSmm:
      cost.done = run_premap(path, workload == Workload::kPremapInSmm);
      break;
    case Workload::kPopulate:
      cost.done = run_populate(path);
      break;
  }
  cost.counts = path.counts();
  cost.tried = path.tried();
  return cost;
}

}  // namespace sluice::run
