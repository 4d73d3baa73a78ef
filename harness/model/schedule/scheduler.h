// The scheduler: who is inside which operation, where it stands, what it holds and waits for.
//
// A sequence's actors run one at a time, from one interleaving point to the next; what happens
// between two points is atomic. An actor is idle, running, parked (the sequence stopped it there),
// blocked (it waits for something another one holds) or spinning (a retry loop that has seen
// nothing new). A parked actor goes on when the sequence says `resume`; a blocked one by itself as
// soon as what it waits for is free, a spinning one as soon as another actor has done something:
// both first come, first served, at the end of the step that freed it.
#pragma once
#include <array>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <span>

#include "base/check.h"
#include "model/schedule/lock_observer.h"
#include "model/schedule/locks.h"
#include "model/schedule/point.h"
#include "model/schedule/task.h"
#include "ops/fields.h"
#include "trace/outcome.h"

namespace sluice::model {

enum class ActorState : std::uint8_t { kIdle, kRunning, kParked, kBlocked, kSpinning };

/// Why a retry loop goes round (kvm.md 5, rows that answer RETRY). kRmpOverlap is no loop of a
/// fault but the kernel's around RMPUPDATE and PSMASH, which every modelled version has: known
/// upstream (snp_host.md 1).
enum class RetryReason : std::uint8_t {
  kInvalidation,
  kSlotInvalid,
  kRootObsolete,
  kRootWentMeanwhile,  // of a loop that began with a valid one and never looks for another
  kOther,
  kRmpOverlap
};

/// A set of actors, bit = actor_slot().
using ActorMask = std::uint16_t;
static_assert(kMaxActors <= 16);

/// One actor's part of the schedule. Read by the view and the state hash; written by Scheduler.
struct ActorRecord {
  ActorState state = ActorState::kIdle;
  WaitFor wait = WaitFor::kNothing;
  Point point = Point::kNone;      // parked: where
  std::uint32_t points = 0;        // interleaving points passed in this operation
  std::uint32_t until_park = 0;    // 0: run on; K: park at the K-th point from here
  std::uint32_t held_locks = 0;    // bit = LockId::number()
  std::uint8_t srcu_readers = 0;   // bit = VM whose SRCU read side it is in
  std::uint8_t invalidations = 0;  // bit = VM of whose mn_active_invalidate_count it is part
  // What it waits for.
  LockId wait_lock{};
  LockMode wait_mode = LockMode::kExclusive;
  std::uint8_t wait_vm = 0;
  ActorMask grace_period = 0;  // readers that synchronize_srcu() still waits for
  RetryReason retry_reason = RetryReason::kOther;
  std::uint64_t retry_key = 0;
  std::uint64_t retry_seen = 0;  // Scheduler::progress_ at its last retry; 0: none
  std::uint64_t arrival = 0;     // when it began to wait
};

/// What the schedule has come to in a step, for invariants W1 and W2. Who stays stuck is seen anew
/// in each step that the scheduler runs.
struct Liveness {
  bool deadlock = false;  // a cycle of actors that wait for each other
  bool livelock =
      false;  // nobody can go on but a retry loop that sees nothing new, or a budget ran out
  RetryReason livelock_reason = RetryReason::kOther;
};

/// An operation that ended in the current step, whoever started it and when.
struct Completion {
  ActorId actor{};
  Outcome outcome{};
};

/// Thread: compatible. Nothing here is journaled: reset() goes with the journal's rollback.
/// No allocation. Preconditions are SLUICE_CHECKed: a broken lock order is a bug of the model.
class Scheduler {
 public:
  explicit Scheduler(Arena& arena) : arena_(arena) {}
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  ~Scheduler() { reset(); }

  Arena& arena() { return arena_; }

  // ---- For the backend ----
  /// True when no operation is in flight: the straight driver may be used.
  bool quiet() const { return in_flight_ == 0; }
  unsigned in_flight() const { return in_flight_; }
  const ActorRecord& actor(unsigned slot) const { return actors_[slot]; }
  bool is_busy(ActorId actor) const { return state_of(actor) != ActorState::kIdle; }
  bool is_parked(ActorId actor) const { return state_of(actor) == ActorState::kParked; }
  Liveness liveness() const { return liveness_; }
  std::span<const Completion> completions() const { return {completions_.data(), completed_}; }

  /// Nobody, or who is told of each lock from now on; the straight driver takes none. Pre: it
  /// outlives that.
  void observe_locks(LockObserver* observer) { observer_ = observer; }

  /// Who ran since begin_step().
  ActorMask ran() const { return ran_; }

  /// Forgets what happened in the step before.
  void begin_step() { completed_ = 0, ran_ = 0, liveness_ = {}; }
  /// Runs `start()`, which returns a Task<Outcome>, as `actor`; parks at its `park`-th point (0:
  /// never). Answers the outcome if the operation ended, else how it stands. Pre: not
  /// is_busy(actor).
  template <class Start>
  Outcome run(ActorId actor, std::uint8_t park, Start&& start) {
    enter(actor, park);
    tasks_[current_].emplace(start());
    leave();
    return outcome_of_step(actor);
  }
  /// Lets a parked actor go on. Pre: is_parked(actor).
  Outcome resume(ActorId actor, std::uint8_t park);
  /// Resumes parked actors, vmm0 first, until none is left; bounded.
  void drain();
  /// Destroys what is in flight and forgets everything. Cost: nothing when already quiet.
  void reset();

  // ---- For operations, through the functions below this class ----
  /// A loop inside one step whose inputs cannot change before it ends: W2.
  void report_livelock(RetryReason reason) {
    liveness_.livelock = true;
    liveness_.livelock_reason = reason;
  }
  unsigned current() const { return current_; }
  ActorId current_actor() const { return ids_[current_]; }
  bool stops_at(Point point);
  void park(std::coroutine_handle<> at, Point point);
  bool try_lock(LockId id, LockMode mode);
  void block_on_lock(std::coroutine_handle<> at, LockId id, LockMode mode);
  void unlock(LockId id);
  bool holds(LockId id) const { return (me().held_locks >> id.number() & 1) != 0; }
  void srcu_read_lock(VmIndex vm);
  void srcu_read_unlock(VmIndex vm);
  bool grace_period_is_over(VmIndex vm);
  void block_on_srcu(std::coroutine_handle<> at, VmIndex vm);
  void begin_active_invalidation(VmIndex vm);
  void end_active_invalidation(VmIndex vm);
  /// The VM has gone: what is active of it ends unseen.
  void forget_active_invalidations(VmIndex vm);
  bool no_active_invalidations(VmIndex vm) const;
  void block_on_invalidations(std::coroutine_handle<> at, VmIndex vm);
  bool sees_something_new(RetryReason reason, std::uint64_t key);
  void spin(std::coroutine_handle<> at);

 private:
  struct LockRecord {
    ActorMask exclusive = 0;
    ActorMask shared = 0;
  };
  static constexpr unsigned kNobody = kMaxActors;
  // Of one operation: at most a gigabyte of pages, with some ten points each.
  static constexpr std::uint32_t kMaxPoints = 32 * kFramesPer1G;
  static constexpr unsigned kMaxActivations = 4096;  // of one step

  ActorState state_of(ActorId actor) const { return actors_[actor_slot(actor)].state; }
  ActorRecord& me() { return actors_[current_]; }
  const ActorRecord& me() const { return actors_[current_]; }
  void set_state(unsigned slot, ActorState state);
  void enter(ActorId actor, std::uint8_t park);
  void leave();
  void stop_running();
  void activate(unsigned slot);
  void settle();
  void wait(std::coroutine_handle<> at, WaitFor what);
  unsigned next_runnable() const;
  bool can_go_on(unsigned slot) const;
  bool lock_is_free(unsigned slot, LockId id, LockMode mode) const;
  ActorMask waits_for(unsigned slot) const;
  bool waits_in_cycle(unsigned slot) const;
  void judge();
  Outcome outcome_of_step(ActorId actor) const;

  Arena& arena_;
  std::array<ActorRecord, kMaxActors> actors_{};
  std::array<ActorId, kMaxActors> ids_{};
  std::array<std::coroutine_handle<>, kMaxActors> resume_at_{};
  std::array<std::optional<Task<Outcome>>, kMaxActors> tasks_{};
  std::array<LockRecord, kLockCount> locks_{};
  ActorMask waiting_ = 0;  // blocked or spinning
  ActorMask parked_ = 0;
  std::array<Completion, std::size_t{2} * kMaxActors> completions_{};
  std::size_t completed_ = 0;
  ActorMask ran_ = 0;
  unsigned current_ = kNobody;
  unsigned in_flight_ = 0;
  std::uint64_t arrivals_ = 0;
  LockObserver* observer_ = nullptr;
  std::uint64_t progress_ = 1;  // rises whenever an actor did anything but spin in place
  Liveness liveness_{};
};

inline Scheduler& scheduler_of(Scheduler& scheduler) { return scheduler; }

// ---- What operations say. `k` is a kernel: anything with a scheduler_of(k). ----

struct PointStop {
  Scheduler& scheduler;
  Point where;
  bool await_ready() const { return !scheduler.stops_at(where); }
  void await_suspend(std::coroutine_handle<> at) const { scheduler.park(at, where); }
  void await_resume() const {}
};
/// `co_await point(k, Point::kX);`: others may run here.
template <class K>
PointStop point(K& k, Point where) {
  return {scheduler_of(k), where};
}

struct LockStop {
  Scheduler& scheduler;
  LockId id;
  LockMode mode;
  bool await_ready() const { return scheduler.try_lock(id, mode); }
  void await_suspend(std::coroutine_handle<> at) const { scheduler.block_on_lock(at, id, mode); }
  void await_resume() const {}
};
/// `co_await lock(k, slots_lock(vm));`. Held locks must all be further out (kvm.md 10), and
/// kvm_lock, vcpu_mutex and slots_lock are never taken inside an SRCU read side.
template <class K>
LockStop lock(K& k, LockId id) {
  return {scheduler_of(k), id, LockMode::kExclusive};
}
template <class K>
LockStop lock_shared(K& k, LockId id) {
  return {scheduler_of(k), id, LockMode::kShared};
}
template <class K>
void unlock(K& k, LockId id) {
  scheduler_of(k).unlock(id);
}

/// kvm->srcu, read side. Does not nest (the model has no use for it).
template <class K>
void srcu_read_lock(K& k, VmIndex vm) {
  scheduler_of(k).srcu_read_lock(vm);
}
template <class K>
void srcu_read_unlock(K& k, VmIndex vm) {
  scheduler_of(k).srcu_read_unlock(vm);
}
struct GracePeriodStop {
  Scheduler& scheduler;
  VmIndex vm;
  bool await_ready() const { return scheduler.grace_period_is_over(vm); }
  void await_suspend(std::coroutine_handle<> at) const { scheduler.block_on_srcu(at, vm); }
  void await_resume() const {}
};
/// `co_await synchronize_srcu(k, vm);`: waits for the readers of now, not for later ones.
/// Pre: not inside a read side of this VM, no mmu_lock held.
template <class K>
GracePeriodStop synchronize_srcu(K& k, VmIndex vm) {
  return {scheduler_of(k), vm};
}

/// kvm->mn_active_invalidate_count, raised from the start to the end of an MMU notifier's range.
template <class K>
void begin_active_invalidation(K& k, VmIndex vm) {
  scheduler_of(k).begin_active_invalidation(vm);
}
template <class K>
void end_active_invalidation(K& k, VmIndex vm) {
  scheduler_of(k).end_active_invalidation(vm);
}
struct InvalidationStop {
  Scheduler& scheduler;
  VmIndex vm;
  bool await_ready() const { return scheduler.no_active_invalidations(vm); }
  void await_suspend(std::coroutine_handle<> at) const { scheduler.block_on_invalidations(at, vm); }
  void await_resume() const {}
};
/// `co_await wait_no_active_invalidations(k, vm);` (kvm_swap_active_memslots()).
template <class K>
InvalidationStop wait_no_active_invalidations(K& k, VmIndex vm) {
  return {scheduler_of(k), vm};
}

struct RetryStop {
  Scheduler& scheduler;
  RetryReason reason;
  std::uint64_t key;
  bool await_ready() const { return scheduler.sees_something_new(reason, key); }
  void await_suspend(std::coroutine_handle<> at) const { scheduler.spin(at); }
  void await_resume() const {}
};
/// `co_await retry(k, RetryReason::kX, gfn.value);` once a round in every retry loop. The second
/// round for the same reason and key with nothing done by anybody in between stops the actor until
/// somebody does something; if nobody can, that is a livelock (W2).
template <class K>
RetryStop retry(K& k, RetryReason reason, std::uint64_t key) {
  return {scheduler_of(k), reason, key};
}

}  // namespace sluice::model
