#include "model/schedule/scheduler.h"

#include <bit>

namespace sluice::model {
namespace {

constexpr ActorMask bit_of(unsigned slot) { return static_cast<ActorMask>(1u << slot); }
constexpr std::uint8_t bit_of(VmIndex vm) { return static_cast<std::uint8_t>(1u << vm.value); }

/// Takes the lowest slot out of the set. Pre: it is not empty.
unsigned take_lowest(ActorMask& actors) {
  const auto slot = static_cast<unsigned>(std::countr_zero(actors));
  actors &= static_cast<ActorMask>(actors - 1);
  return slot;
}

}  // namespace

// ---- Running actors ----

/// The one way in which an actor's state changes: the sets of those who stand still follow.
void Scheduler::set_state(unsigned slot, ActorState state) {
  actors_[slot].state = state;
  const auto note = [bit = bit_of(slot)](ActorMask& actors, bool is_in) {
    actors = static_cast<ActorMask>(is_in ? actors | bit : actors & ~bit);
  };
  note(waiting_, state == ActorState::kBlocked || state == ActorState::kSpinning);
  note(parked_, state == ActorState::kParked);
}

void Scheduler::enter(ActorId actor, std::uint8_t park) {
  const unsigned slot = actor_slot(actor);
  SLUICE_CHECK(current_ == kNobody);
  SLUICE_CHECK(actors_[slot].state == ActorState::kIdle);
  current_ = slot;
  ids_[slot] = actor;
  ran_ |= bit_of(slot);
  actors_[slot] = {};
  set_state(slot, ActorState::kRunning);
  actors_[slot].until_park = park;
  ++in_flight_;
  ++progress_;
}

void Scheduler::leave() {
  stop_running();
  settle();
}

/// Takes the current actor off the processor: it has ended, or its awaiter has said why it stops.
void Scheduler::stop_running() {
  const unsigned slot = current_;
  ActorRecord& record = actors_[slot];
  current_ = kNobody;
  if (record.state == ActorState::kSpinning) {
    record.retry_seen = progress_;
    return;
  }
  ++progress_;
  if (record.state != ActorState::kRunning) return;
  SLUICE_CHECK(tasks_[slot]->done());
  SLUICE_CHECK(record.held_locks == 0);
  SLUICE_CHECK(record.srcu_readers == 0);
  SLUICE_CHECK(record.invalidations == 0);
  if (completed_ < completions_.size()) {
    completions_[completed_++] = {.actor = ids_[slot], .outcome = tasks_[slot]->result()};
  }
  tasks_[slot].reset();
  record = {};
  --in_flight_;
}

/// Puts a stopped actor back on the processor, with what it waited for in its hands.
void Scheduler::activate(unsigned slot) {
  ActorRecord& record = actors_[slot];
  const ActorState before = record.state;
  const RetryReason reason = record.retry_reason;
  const std::uint64_t key = record.retry_key;
  current_ = slot;
  ran_ |= bit_of(slot);
  if (before == ActorState::kBlocked && wait_for(record.wait_lock.kind) == record.wait) {
    const bool granted = try_lock(record.wait_lock, record.wait_mode);
    SLUICE_CHECK(granted);
  }
  set_state(slot, ActorState::kRunning);
  record.point = Point::kNone;
  record.wait = WaitFor::kNothing;
  std::exchange(resume_at_[slot], {}).resume();
  const bool spins_in_place = before == ActorState::kSpinning &&
                              record.state == ActorState::kSpinning &&
                              record.retry_reason == reason && record.retry_key == key;
  // An actor that newly begins to spin has come from somewhere else: the others may look again.
  if (record.state == ActorState::kSpinning && !spins_in_place) ++progress_;
  stop_running();
}

Outcome Scheduler::resume(ActorId actor, std::uint8_t park) {
  const unsigned slot = actor_slot(actor);
  SLUICE_CHECK(actors_[slot].state == ActorState::kParked);
  actors_[slot].until_park = park;
  activate(slot);
  settle();
  return outcome_of_step(actor);
}

/// Runs whoever no longer has to wait, first come, first served, then looks whether anyone is
/// stuck.
void Scheduler::settle() {
  unsigned activations = 0;
  for (unsigned slot = next_runnable(); slot != kNobody; slot = next_runnable()) {
    if (++activations > kMaxActivations) {
      report_livelock(RetryReason::kOther);
      return;
    }
    activate(slot);
  }
  if (in_flight_ != 0) judge();
}

void Scheduler::drain() {
  // Every round ends or moves on at least one parked actor, and only a step parks anew: with no
  // park count set, as many rounds as there are actors suffice.
  for (unsigned round = 0; round < kMaxActors && in_flight_ != 0; ++round) {
    for (unsigned slot = 0; slot < kMaxActors; ++slot) {
      if (actors_[slot].state == ActorState::kBlocked) actors_[slot].until_park = 0;
      if (actors_[slot].state == ActorState::kSpinning) actors_[slot].until_park = 0;
    }
    for (unsigned slot = 0; slot < kMaxActors; ++slot) {
      if (actors_[slot].state != ActorState::kParked) continue;
      actors_[slot].until_park = 0;
      activate(slot);
      settle();
    }
  }
  if (in_flight_ != 0) judge();
}

void Scheduler::reset() {
  if (in_flight_ != 0) {
    for (auto& task : tasks_) task.reset();
    actors_ = {};
    resume_at_ = {};
    locks_ = {};
    waiting_ = parked_ = 0;
    in_flight_ = 0;
  }
  completed_ = 0;
  ran_ = 0;
  current_ = kNobody;
  arrivals_ = 0;
  progress_ = 1;
  liveness_ = {};
}

Outcome Scheduler::outcome_of_step(ActorId actor) const {
  const ActorRecord& record = actors_[actor_slot(actor)];
  if (record.state == ActorState::kIdle) {
    for (const Completion& done : completions()) {
      if (done.actor == actor) return done.outcome;
    }
  }
  SLUICE_CHECK(record.state != ActorState::kIdle);
  Outcome out{};
  out.progression =
      record.state == ActorState::kParked ? Progression::kParked : Progression::kBlocked;
  out.wait = record.wait;
  return out;
}

// ---- Stops ----

bool Scheduler::stops_at(Point) {
  ActorRecord& record = me();
  ++record.points;
  if (record.points >= kMaxPoints) {
    report_livelock(RetryReason::kOther);
    return true;
  }
  return record.until_park != 0 && --record.until_park == 0;
}

void Scheduler::park(std::coroutine_handle<> at, Point point) {
  ActorRecord& record = me();
  resume_at_[current_] = at;
  set_state(current_, ActorState::kParked);
  record.point = point;
}

void Scheduler::wait(std::coroutine_handle<> at, WaitFor what) {
  ActorRecord& record = me();
  resume_at_[current_] = at;
  set_state(current_, ActorState::kBlocked);
  record.wait = what;
  record.arrival = ++arrivals_;
}

bool Scheduler::lock_is_free(unsigned slot, LockId id, LockMode mode) const {
  const LockRecord& lock = locks_[id.number()];
  const ActorMask others = static_cast<ActorMask>(~bit_of(slot));
  if ((lock.exclusive & others) != 0) return false;
  if (mode == LockMode::kExclusive) return (lock.shared & others) == 0;
  // A reader does not overtake a writer that waits already (qrwlock, rwsem hand-off).
  for (ActorMask left = waiting_ & others; left != 0;) {
    const ActorRecord& other = actors_[take_lowest(left)];
    const bool waits_here = other.state == ActorState::kBlocked &&
                            other.wait == wait_for(id.kind) && other.wait_lock == id &&
                            other.wait_mode == LockMode::kExclusive;
    const bool came_earlier =
        actors_[slot].state != ActorState::kBlocked || other.arrival < actors_[slot].arrival;
    if (waits_here && came_earlier) return false;
  }
  return true;
}

bool Scheduler::try_lock(LockId id, LockMode mode) {
  ActorRecord& record = me();
  SLUICE_CHECK(mode == LockMode::kExclusive || can_be_shared(id.kind));
  SLUICE_CHECK((record.held_locks >> id.number()) == 0);  // lock order: kvm.md 10
  SLUICE_CHECK(record.srcu_readers == 0 || id.kind >= LockKind::kInvalidateLock);
  if (!lock_is_free(current_, id, mode)) return false;
  LockRecord& lock = locks_[id.number()];
  (mode == LockMode::kExclusive ? lock.exclusive : lock.shared) |= bit_of(current_);
  record.held_locks |= 1u << id.number();
  if (observer_ != nullptr) observer_->on_taken(id, mode);
  return true;
}

void Scheduler::block_on_lock(std::coroutine_handle<> at, LockId id, LockMode mode) {
  me().wait_lock = id;
  me().wait_mode = mode;
  wait(at, wait_for(id.kind));
}

void Scheduler::unlock(LockId id) {
  SLUICE_CHECK(holds(id));
  if (observer_ != nullptr) observer_->on_let_go(id);
  me().held_locks &= ~(1u << id.number());
  LockRecord& lock = locks_[id.number()];
  lock.exclusive &= static_cast<ActorMask>(~bit_of(current_));
  lock.shared &= static_cast<ActorMask>(~bit_of(current_));
}

void Scheduler::srcu_read_lock(VmIndex vm) {
  SLUICE_CHECK((me().srcu_readers & bit_of(vm)) == 0);
  me().srcu_readers |= bit_of(vm);
}

void Scheduler::srcu_read_unlock(VmIndex vm) {
  SLUICE_CHECK((me().srcu_readers & bit_of(vm)) != 0);
  me().srcu_readers &= static_cast<std::uint8_t>(~bit_of(vm));
  for (ActorRecord& other : actors_) {
    if (other.wait == WaitFor::kSrcu && other.wait_vm == vm.value) {
      other.grace_period &= static_cast<ActorMask>(~bit_of(current_));
    }
  }
}

bool Scheduler::grace_period_is_over(VmIndex vm) {
  ActorRecord& record = me();
  SLUICE_CHECK((record.srcu_readers & bit_of(vm)) == 0);  // would wait for itself
  SLUICE_CHECK((record.held_locks >> LockId::kFirst[static_cast<unsigned>(LockKind::kMmuLock)]) ==
               0);  // sleeps under a spinning lock
  record.grace_period = 0;
  for (unsigned slot = 0; slot < kMaxActors; ++slot) {
    if ((actors_[slot].srcu_readers & bit_of(vm)) != 0) record.grace_period |= bit_of(slot);
  }
  return record.grace_period == 0;
}

void Scheduler::block_on_srcu(std::coroutine_handle<> at, VmIndex vm) {
  me().wait_vm = vm.value;
  wait(at, WaitFor::kSrcu);
}

void Scheduler::begin_active_invalidation(VmIndex vm) {
  SLUICE_CHECK((me().invalidations & bit_of(vm)) == 0);
  me().invalidations |= bit_of(vm);
}

void Scheduler::end_active_invalidation(VmIndex vm) {
  SLUICE_CHECK((me().invalidations & bit_of(vm)) != 0);
  me().invalidations &= static_cast<std::uint8_t>(~bit_of(vm));
}

void Scheduler::forget_active_invalidations(VmIndex vm) {
  for (ActorRecord& record : actors_) {
    record.invalidations &= static_cast<std::uint8_t>(~bit_of(vm));
  }
}

bool Scheduler::no_active_invalidations(VmIndex vm) const {
  for (const ActorRecord& record : actors_) {
    if ((record.invalidations & bit_of(vm)) != 0) return false;
  }
  return true;
}

void Scheduler::block_on_invalidations(std::coroutine_handle<> at, VmIndex vm) {
  me().wait_vm = vm.value;
  wait(at, WaitFor::kActiveInvalidations);
}

bool Scheduler::sees_something_new(RetryReason reason, std::uint64_t key) {
  ActorRecord& record = me();
  const bool same =
      record.retry_reason == reason && record.retry_key == key && record.retry_seen == progress_;
  record.retry_reason = reason;
  record.retry_key = key;
  record.retry_seen = progress_;
  return !same;
}

void Scheduler::spin(std::coroutine_handle<> at) {
  wait(at, WaitFor::kRetry);
  set_state(current_, ActorState::kSpinning);
}

// ---- Who can go on, who is stuck ----

bool Scheduler::can_go_on(unsigned slot) const {
  const ActorRecord& record = actors_[slot];
  if (record.state == ActorState::kSpinning) return record.retry_seen != progress_;
  if (record.state != ActorState::kBlocked) return false;
  if (record.wait == WaitFor::kSrcu) return record.grace_period == 0;
  if (record.wait == WaitFor::kActiveInvalidations) {
    return no_active_invalidations(VmIndex{record.wait_vm});
  }
  return lock_is_free(slot, record.wait_lock, record.wait_mode);
}

unsigned Scheduler::next_runnable() const {
  unsigned best = kNobody;
  for (ActorMask left = waiting_; left != 0;) {
    const unsigned slot = take_lowest(left);
    if (!can_go_on(slot)) continue;
    if (best == kNobody || actors_[slot].arrival < actors_[best].arrival) best = slot;
  }
  return best;
}

/// The actors that must all move before this blocked one can.
ActorMask Scheduler::waits_for(unsigned slot) const {
  const ActorRecord& record = actors_[slot];
  if (record.state != ActorState::kBlocked) return 0;
  if (record.wait == WaitFor::kSrcu) return record.grace_period;
  ActorMask mask = 0;
  for (unsigned i = 0; i < kMaxActors; ++i) {
    const ActorRecord& other = actors_[i];
    if (record.wait == WaitFor::kActiveInvalidations) {
      if ((other.invalidations >> record.wait_vm & 1) != 0) mask |= bit_of(i);
      continue;
    }
    const LockRecord& lock = locks_[record.wait_lock.number()];
    if (((lock.exclusive | lock.shared) & bit_of(i)) != 0) mask |= bit_of(i);
    const bool writer_before = other.state == ActorState::kBlocked && other.wait == record.wait &&
                               other.wait_lock == record.wait_lock &&
                               other.wait_mode == LockMode::kExclusive &&
                               other.arrival < record.arrival;
    if (record.wait_mode == LockMode::kShared && writer_before) mask |= bit_of(i);
  }
  return mask & static_cast<ActorMask>(~bit_of(slot));
}

bool Scheduler::waits_in_cycle(unsigned start) const {
  ActorMask seen = 0;
  ActorMask todo = waits_for(start);
  while (todo != 0) {
    const auto slot = static_cast<unsigned>(std::countr_zero(todo));
    if (slot == start) return true;
    todo &= static_cast<ActorMask>(~bit_of(slot));
    if ((seen & bit_of(slot)) != 0) continue;
    seen |= bit_of(slot);
    todo |= static_cast<ActorMask>(waits_for(slot) & ~seen);
  }
  return false;
}

/// W1: someone waits in a cycle. W2: somebody spins and nobody else in flight can go on.
void Scheduler::judge() {
  unsigned spinning = kNobody;
  for (ActorMask left = waiting_; left != 0;) {
    const unsigned slot = take_lowest(left);
    const ActorState state = actors_[slot].state;
    if (state == ActorState::kBlocked && waits_in_cycle(slot)) liveness_.deadlock = true;
    if (state == ActorState::kSpinning && spinning == kNobody) spinning = slot;
  }
  if (spinning != kNobody && parked_ == 0) report_livelock(actors_[spinning].retry_reason);
}

}  // namespace sluice::model
