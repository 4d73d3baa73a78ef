#include "run/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <queue>
#include <unordered_map>

#include "base/check.h"
#include "base/rng.h"
#include "model/host/kernel.h"
#include "model/schedule/scheduler.h"
#include "ops/sequence.h"

namespace sluice::run {
namespace {

using model::LockId;
using model::LockKind;
using model::LockMode;

constexpr std::uint64_t kPrivateAttribute = 8;                   // KVM_MEMORY_ATTRIBUTE_PRIVATE
constexpr std::uint32_t kGuestMemfdFlag = 4, kLogDirtyFlag = 1;  // KVM_MEM_*
constexpr std::uint64_t kPiece = 16;  // pages of a pre-fault, and of what a balloon takes
constexpr ActorId kVmm{.kind = ActorKind::kVmm, .index = 0};

/// An operation of an actor's program.
struct Planned {
  Op op{};
  std::uint64_t first = 0;  // page that it is about
  std::uint64_t pages = 0;  // that have arrived when it is done
  bool begins = false;      // a request
  bool ends = false;
};

/// Virtual time, in picoseconds: whole numbers, so that who comes first does not depend on how sums
/// are rounded.
using Time = std::uint64_t;
Time time_of(double ns) { return static_cast<Time>(std::llround(ns * 1000)); }
double ns_of(Time time) { return static_cast<double>(time) / 1000; }

/// A moment of an operation: work, or a lock.
struct Piece {
  enum class Kind : std::uint8_t { kWork, kTake, kLetGo };
  Kind kind = Kind::kWork;
  LockMode mode = LockMode::kExclusive;
  std::uint32_t lock = 0;  // index into Simulation::locks_
  Time time = 0;
};

struct Actor {
  ActorId id{};
  std::uint8_t node = 0;
  std::vector<Planned> program{};
  std::size_t next = 0;  // of the program
  std::vector<Piece> pieces{};
  std::size_t at = 0;    // of the pieces
  Time began = 0;        // the request
  bool inside = false;   // an operation
  bool refused = false;  // an operation of the request
};

struct Waiter {
  std::uint32_t actor = 0;
  LockMode mode = LockMode::kExclusive;
  Time since = 0;
};
struct Lock {
  std::size_t kind = 0;  // whose LockTime it counts for
  std::uint32_t readers = 0;
  bool writer = false;
  Time taken_at = 0;  // by the writer
  std::deque<Waiter> waiting{};
};

/// Names of LockTime: the model's kinds, then the RMP's regions.
constexpr std::array<std::string_view, 7> kLockNames{"kvm_lock",        "vcpu_mutex", "slots_lock",
                                                     "invalidate_lock", "mmap_lock",  "mmu_lock",
                                                     "rmp_region"};
constexpr std::size_t kRegionKind = 6;

struct Moment {
  Time time = 0;
  std::uint64_t order = 0;  // who came first goes first
  std::uint32_t actor = 0;
  friend bool operator>(const Moment& a, const Moment& b) {
    return a.time != b.time ? a.time > b.time : a.order > b.order;
  }
};

class Simulation final : public model::LockObserver {
 public:
  Simulation(model::ModelBackend& model, const SimulateOptions& options)
      : model_(model),
        options_(options),
        meter_(model),
        pages_(options.topology, options.placement, options.vcpus * options.pages) {
    for (unsigned i = 0; i < model::kLockCount; ++i) locks_.emplace_back();
    for (std::size_t kind = 0; kind < kRegionKind; ++kind) {
      for (unsigned i = LockId::kFirst[kind]; i < LockId::kFirst[kind + 1]; ++i)
        locks_[i].kind = kind;
    }
    for (std::size_t kind = 0; kind < kLockNames.size(); ++kind)
      times_[kind].name = kLockNames[kind];
  }
  ~Simulation() {
    scheduler().observe_locks(nullptr);
    model_.finish();
    model_.always_use_coroutines(false);
    model_.reset();
  }
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  SimulateResult run() {
    boot();
    plan();
    scheduler().observe_locks(this);
    for (std::uint32_t i = 0; i < actors_.size(); ++i) wake(i, 0);
    while (!queue_.empty()) {
      const Moment now = queue_.top();
      queue_.pop();
      ++result_.events;
      step(now.actor, now.time);
    }
    return finish();
  }

  // Of the operation that the model applies now.
  void on_taken(LockId id, LockMode mode) override {
    add_work();
    if (id.kind == LockKind::kVcpuMutex) return;  // each simulated vCPU has its own
    acting_->pieces.push_back({.kind = Piece::Kind::kTake, .mode = mode, .lock = id.number()});
  }
  void on_let_go(LockId id) override {
    add_work();
    if (id.kind == LockKind::kVcpuMutex) return;
    acting_->pieces.push_back({.kind = Piece::Kind::kLetGo, .lock = id.number()});
  }

 private:
  model::Scheduler& scheduler() { return model_.kernel().scheduler; }
  bool is_migration() const { return options_.workload == SimulatedWorkload::kMigration; }
  std::uint64_t all_pages() const { return options_.vcpus * options_.pages; }
  std::uint64_t bytes() const {
    return (all_pages() * kPageBytes + kBytesPer2M - 1) / kBytesPer2M * kBytesPer2M;
  }

  void apply_setup(const Op& op) {
    const ActorId actor = default_actor(op);
    const Outcome out = model_.apply({.actor = actor, .op = op});
    result_.refused += out.ok() ? 0u : 1u;
  }

  void boot() {
    model_.reset();
    SequenceHeader header{};
    header.policy = options_.policy;
    model_.begin(header);
    const bool snp = !is_migration();
    apply_setup(CreateVm{.type = snp ? VmType::kSnp : VmType::kDefault});
    if (snp) apply_setup(SevInit2{});
    SetMemoryRegion region{.size = {bytes()}};
    if (snp) {
      apply_setup(CreateGuestMemfd{.size = {bytes()}});
      region.flags = {kGuestMemfdFlag};
      region.gmem = {.value = 0};
    }
    apply_setup(region);
    for (std::uint8_t i = 0; i < kMaxVcpus; ++i) apply_setup(CreateVcpu{.vcpu = {i}});
    if (snp) {
      apply_setup(LaunchStart{});
      apply_setup(LaunchFinish{});
      apply_setup(SetMemoryAttributes{.size = {bytes()}, .attributes = {kPrivateAttribute}});
    } else {
      apply_setup(PreFaultMemory{.size = {bytes()}});
    }
    const bool accepted = options_.workload == SimulatedWorkload::kPingPong ||
                          options_.workload == SimulatedWorkload::kBallooning;
    for (std::uint64_t page = 0; accepted && page < all_pages(); ++page)
      apply_setup(Pvalidate{.gfn = {page}});
    model_.always_use_coroutines(true);  // else no lock is taken
    meter_.take();                       // the preparation is not counted
  }

  // ---- What each actor does ----

  void plan() {
    for (unsigned v = 0; v < options_.vcpus; ++v) {
      Actor actor{
          .id = {.kind = ActorKind::kVcpu, .index = static_cast<std::uint8_t>(v % kMaxVcpus)},
          .node = options_.topology.node_of(v, options_.vcpus)};
      plan_vcpu(actor, v * options_.pages, v);
      actors_.push_back(std::move(actor));
    }
    if (!is_migration()) return;
    // It runs beside the first vCPU.
    Actor vmm{.id = kVmm, .node = actors_.front().node};
    SetMemoryRegion logs{.flags = {kLogDirtyFlag}, .size = {bytes()}};
    vmm.program.push_back({.op = logs, .begins = true, .ends = true});
    actors_.push_back(std::move(vmm));
  }

  void plan_vcpu(Actor& actor, std::uint64_t first, std::uint64_t number) {
    std::vector<std::uint64_t> order(options_.pages);
    for (std::uint64_t i = 0; i < order.size(); ++i) order[i] = first + i;
    switch (options_.workload) {
      case SimulatedWorkload::kBootEager:
        for (const std::uint64_t page : order) add_alone(actor, page, Pvalidate{.gfn = {page}});
        return;
      case SimulatedWorkload::kBootLazy: {
        Rng rng(options_.seed * kMaxSimulatedVcpus + number);
        for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
        for (const std::uint64_t page : order) add_lazy(actor, page);
        return;
      }
      case SimulatedWorkload::kPremap:
        for (std::uint64_t i = 0; i < options_.pages; i += kPiece) add_premap(actor, first + i);
        return;
      case SimulatedWorkload::kPingPong:
        for (const std::uint64_t page : order) add_bounce(actor, page);
        return;
      case SimulatedWorkload::kBallooning:
        for (std::uint64_t i = 0; i < options_.pages; i += kPiece) add_balloon(actor, first + i);
        return;
      case SimulatedWorkload::kMigration:
        for (const std::uint64_t page : order) add_alone(actor, page, write_to(page, false));
        return;
    }
  }

  static GuestAccess write_to(std::uint64_t page, bool c_bit) {
    return {.gfn = {page}, .kind = AccessKind::kWrite, .c_bit = c_bit, .value = {7}};
  }
  GuestConvert conversion(std::uint64_t page, std::uint64_t count, bool to_private) const {
    return {.gfn = {page},
            .page_count = {static_cast<std::uint16_t>(count)},
            .to_private = to_private,
            .large = false};
  }
  std::uint64_t piece_at(std::uint64_t page) const {
    return std::min(kPiece, options_.pages - page % options_.pages);
  }

  static void add_alone(Actor& actor, std::uint64_t page, const Op& op) {
    actor.program.push_back({.op = op, .first = page, .pages = 1, .begins = true, .ends = true});
  }
  static void add_lazy(Actor& actor, std::uint64_t page) {
    actor.program.push_back({.op = write_to(page, true), .first = page, .begins = true});
    actor.program.push_back({.op = Pvalidate{.gfn = {page}}, .first = page});
    actor.program.push_back({.op = write_to(page, true), .first = page, .pages = 1, .ends = true});
  }
  void add_premap(Actor& actor, std::uint64_t page) const {
    const std::uint64_t count = piece_at(page);
    const PreFaultMemory op{.gpa = {page << kPageShift}, .size = {count << kPageShift}};
    actor.program.push_back({.op = op, .first = page, .begins = true});
    for (std::uint64_t i = 0; i < count; ++i) {
      actor.program.push_back({.op = Pvalidate{.gfn = {page + i}},
                               .first = page + i,
                               .pages = 1,
                               .ends = i + 1 == count});
    }
  }
  void add_bounce(Actor& actor, std::uint64_t page) const {
    actor.program.push_back({.op = conversion(page, 1, false), .first = page, .begins = true});
    actor.program.push_back({.op = write_to(page, false), .first = page});
    actor.program.push_back(
        {.op = conversion(page, 1, true), .first = page, .pages = 1, .ends = true});
  }
  void add_balloon(Actor& actor, std::uint64_t page) const {
    const std::uint64_t count = piece_at(page);
    actor.program.push_back({.op = conversion(page, count, false), .first = page, .begins = true});
    actor.program.push_back(
        {.op = conversion(page, count, true), .first = page, .pages = count, .ends = true});
  }

  // ---- What an operation takes ----

  /// The model applies the actor's next operation, at its moment.
  void begin_operation(Actor& actor) {
    const Planned& planned = actor.program[actor.next];
    actor.pieces.clear();
    actor.at = 0;
    acting_ = &actor;
    memory_factor_ = pages_.touch(planned.first, actor.node);
    meter_.begin_step();
    regions_seen_ = 0;
    const Outcome out = model_.apply({.actor = actor.id, .op = planned.op});
    const bool is_vc = out.has_check && out.check == Check::kGuestNotValidated;
    const bool refused = !out.ok() && !is_vc;
    result_.refused += refused ? 1u : 0u;
    actor.refused = actor.refused || refused;
    add_work(own_counts(planned.op, options_.policy));
    acting_ = nullptr;
  }

  /// Work since the last piece, RMPUPDATEs each under its region.
  void add_work(const PathCounts& own = {}) {
    add_regions();
    PathCounts counts = meter_.take();
    counts += own;
    counts[CostItem::kRmpUpdate] = 0;  // these have pieces of their own
    PathCounts memory;
    for (const CostItem item : {CostItem::kWalk, CostItem::kPageStore, CostItem::kByteZeroed}) {
      memory[item] = counts[item];
      counts[item] = 0;
    }
    const std::uint64_t flushes = counts[CostItem::kTlbFlush] + counts[CostItem::kDirectMapFlush];
    counts[CostItem::kShotProcessor] = flushes * (options_.vcpus - 1);
    const double ns = options_.costs.price(counts) + options_.costs.price(memory) * memory_factor_;
    add_work_of(ns);
  }
  void add_regions() {
    const auto events = model_.kernel().machine.events.events();
    for (; regions_seen_ < events.size(); ++regions_seen_) {
      const Event& event = events[regions_seen_];
      if (event.kind != EventKind::kRmpUpdate) continue;
      const std::uint32_t lock = lock_of_region(event.a / kFramesPer2M);
      acting_->pieces.push_back({.kind = Piece::Kind::kTake, .lock = lock});
      add_work_of(options_.costs.nanoseconds[static_cast<std::size_t>(CostItem::kRmpUpdate)]);
      acting_->pieces.push_back({.kind = Piece::Kind::kLetGo, .lock = lock});
    }
  }
  void add_work_of(double ns) {
    const Time time = time_of(ns);
    if (time != 0) acting_->pieces.push_back({.kind = Piece::Kind::kWork, .time = time});
  }
  std::uint32_t lock_of_region(std::uint64_t region) {
    const auto [at, is_new] =
        regions_.try_emplace(region, static_cast<std::uint32_t>(locks_.size()));
    if (is_new) locks_.push_back({.kind = kRegionKind});
    return at->second;
  }

  // ---- Who goes on when ----

  void wake(std::uint32_t actor, Time time) {
    queue_.push({.time = time, .order = order_++, .actor = actor});
  }

  void step(std::uint32_t index, Time now) {
    Actor& actor = actors_[index];
    if (actor.at == actor.pieces.size() && !next_operation(actor, now)) return;
    if (actor.pieces.empty()) return wake(index, now);  // it cost nothing
    const Piece& piece = actor.pieces[actor.at];
    switch (piece.kind) {
      case Piece::Kind::kWork:
        ++actor.at;
        return wake(index, now + piece.time);
      case Piece::Kind::kTake:
        return take(index, piece, now);
      case Piece::Kind::kLetGo:
        ++actor.at;
        let_go(locks_[piece.lock], now);
        return wake(index, now);
    }
  }

  /// False where the actor is done.
  bool next_operation(Actor& actor, Time now) {
    if (actor.inside) end_operation(actor, now);
    if (actor.next == actor.program.size()) return false;
    if (actor.program[actor.next].begins) actor.began = now, actor.refused = false;
    begin_operation(actor);
    actor.inside = true;
    return true;
  }
  void end_operation(Actor& actor, Time now) {
    const Planned& planned = actor.program[actor.next];
    if (!actor.refused) result_.pages += planned.pages;
    if (planned.ends) {
      ++result_.requests;
      latencies_.push_back(now - actor.began);
    }
    if (planned.pages != 0) end_ = std::max(end_, now);
    ++actor.next;
    actor.inside = false;
  }

  static bool is_free(const Lock& lock, LockMode mode) {
    return !lock.writer && (mode == LockMode::kShared || lock.readers == 0);
  }
  void hold(Lock& lock, LockMode mode, Time now) {
    ++times_[lock.kind].taken;
    if (mode == LockMode::kShared) {
      ++lock.readers;
    } else {
      lock.writer = true;
      lock.taken_at = now;
    }
  }

  /// In turn: nobody overtakes who waits.
  void take(std::uint32_t index, const Piece& piece, Time now) {
    Lock& lock = locks_[piece.lock];
    if (!lock.waiting.empty() || !is_free(lock, piece.mode)) {
      lock.waiting.push_back({.actor = index, .mode = piece.mode, .since = now});
      return;
    }
    hold(lock, piece.mode, now);
    ++actors_[index].at;
    wake(index, now);
  }

  void let_go(Lock& lock, Time now) {
    LockTime& time = times_[lock.kind];
    if (lock.writer) {
      lock.writer = false;
      time.held_ns += ns_of(now - lock.taken_at);
    } else {
      --lock.readers;
    }
    while (!lock.waiting.empty() && is_free(lock, lock.waiting.front().mode)) {
      const Waiter waiter = lock.waiting.front();
      lock.waiting.pop_front();
      ++time.contended;
      time.waited_ns += ns_of(now - waiter.since);
      hold(lock, waiter.mode, now);
      ++actors_[waiter.actor].at;
      wake(waiter.actor, now);
    }
  }

  SimulateResult finish() {
    for (const Actor& actor : actors_) SLUICE_CHECK(actor.next == actor.program.size());
    std::ranges::sort(latencies_);
    for (std::size_t i = 0; i < kLatencyShares.size() && !latencies_.empty(); ++i) {
      const double place = kLatencyShares[i] * static_cast<double>(latencies_.size() - 1);
      result_.latency_ns[i] = ns_of(latencies_[static_cast<std::size_t>(place)]);
    }
    result_.virtual_ns = ns_of(end_);
    for (const LockTime& time : times_) {
      if (time.taken != 0) result_.locks.push_back(time);
    }
    return std::move(result_);
  }

  model::ModelBackend& model_;
  const SimulateOptions& options_;
  WorkMeter meter_;
  PlacedPages pages_;
  std::vector<Actor> actors_{};
  std::deque<Lock> locks_{};  // the model's by number, then regions
  std::unordered_map<std::uint64_t, std::uint32_t> regions_{};
  std::array<LockTime, kLockNames.size()> times_{};
  std::priority_queue<Moment, std::vector<Moment>, std::greater<>> queue_{};
  std::uint64_t order_ = 0;
  std::vector<Time> latencies_{};
  Time end_ = 0;  // of the last page
  SimulateResult result_{};
  // Of the operation that is being applied.
  Actor* acting_ = nullptr;
  double memory_factor_ = 1;  // how much longer it takes than the actor's own
  std::size_t regions_seen_ = 0;
};

std::string out_of_range(std::string_view what, std::uint64_t value, std::uint64_t low,
                         std::uint64_t high) {
  return fmt::format("{} is {}, and must be {} to {}", what, value, low, high);
}

}  // namespace

std::expected<SimulateResult, std::string> simulate(model::ModelBackend& model,
                                                    const SimulateOptions& options) {
  if (options.vcpus < 1 || options.vcpus > kMaxSimulatedVcpus)
    return std::unexpected(out_of_range("vcpus", options.vcpus, 1, kMaxSimulatedVcpus));
  if (options.pages < kPiece || options.pages > kMaxSimulatedPages)
    return std::unexpected(out_of_range("pages", options.pages, kPiece, kMaxSimulatedPages));
  const std::uint64_t all = options.vcpus * options.pages;
  if (all > kMaxSimulatedPagesInAll)
    return std::unexpected(
        fmt::format("{} vCPUs with {} pages each have {} pages, and may have {}: "
                    "take fewer pages",
                    options.vcpus, options.pages, all, kMaxSimulatedPagesInAll));
  const std::string no_machine = why_invalid(options.topology, options.vcpus);
  if (!no_machine.empty()) return std::unexpected(no_machine);
  const std::string_view wrong = why_invalid(options.policy);
  if (!wrong.empty()) return std::unexpected(std::string(wrong));
  Simulation simulation(model, options);
  return simulation.run();
}

}  // namespace sluice::run
