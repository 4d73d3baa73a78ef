// The scheduler: parking, blocking, lock order, grace periods, deadlock, livelock, abandoning.
#include "model/schedule/scheduler.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::model {
namespace {

constexpr ActorId kVmm0{.kind = ActorKind::kVmm, .index = 0};
constexpr ActorId kVmm1{.kind = ActorKind::kVmm, .index = 1};
constexpr ActorId kVmm2{.kind = ActorKind::kVmm, .index = 2};
constexpr ActorId kVcpu0{.kind = ActorKind::kVcpu, .index = 0};
constexpr VmIndex kVm{};

/// What the test operations leave behind, in order.
using Trail = std::vector<int>;

Outcome value_of(std::uint64_t value) {
  Outcome out{};
  out.value = value;
  return out;
}

Task<int> child(Scheduler& s, int value) {
  co_await point(s, Point::kFaultAfterPfn);
  co_return value;
}
Task<Outcome> three_points(Scheduler& s, Trail& trail, int name) {
  trail.push_back(name);
  co_await point(s, Point::kFaultAfterSnapshot);
  const int got = co_await child(s, name + 1);
  trail.push_back(got);
  co_await point(s, Point::kFaultRetry);
  trail.push_back(name + 2);
  co_return value_of(7);
}
Task<Outcome> with_lock(Scheduler& s, Trail& trail, LockId id, int name) {
  co_await lock(s, id);
  trail.push_back(name);
  co_await point(s, Point::kSlotZapped);
  unlock(s, id);
  co_return value_of(0);
}
Task<Outcome> with_shared_lock(Scheduler& s, Trail& trail, LockId id, int name) {
  co_await lock_shared(s, id);
  trail.push_back(name);
  co_await point(s, Point::kAllocateNextPage);
  unlock(s, id);
  co_return value_of(0);
}
Task<Outcome> two_locks(Scheduler& s, LockId first, LockId second) {
  co_await lock(s, first);
  co_await point(s, Point::kSlotZapped);
  co_await lock(s, second);
  unlock(s, second);
  unlock(s, first);
  co_return value_of(0);
}
Task<Outcome> reader(Scheduler& s, Trail& trail, int name) {
  srcu_read_lock(s, kVm);
  co_await point(s, Point::kFaultAfterSlotLookup);
  srcu_read_unlock(s, kVm);
  trail.push_back(name);
  co_return value_of(0);
}
Task<Outcome> updater(Scheduler& s, Trail& trail) {
  co_await lock(s, slots_lock(kVm));
  co_await synchronize_srcu(s, kVm);
  trail.push_back(99);
  unlock(s, slots_lock(kVm));
  co_return value_of(0);
}
Task<Outcome> locks_under_srcu(Scheduler& s, LockId id) {
  srcu_read_lock(s, kVm);
  co_await point(s, Point::kFaultAfterSlotLookup);
  co_await lock(s, id);
  unlock(s, id);
  srcu_read_unlock(s, kVm);
  co_return value_of(0);
}
Task<Outcome> grace_period_under(Scheduler& s, LockId id) {
  co_await lock(s, id);
  co_await synchronize_srcu(s, kVm);
  unlock(s, id);
  co_return value_of(0);
}
Task<Outcome> retries(Scheduler& s, const bool& over) {
  srcu_read_lock(s, kVm);
  co_await point(s, Point::kFaultAfterSlotLookup);
  while (!over) {
    co_await retry(s, RetryReason::kSlotInvalid, 1);
  }
  srcu_read_unlock(s, kVm);
  co_return value_of(1);
}
Task<Outcome> sets(Scheduler& s, bool& flag) {
  flag = true;
  co_await point(s, Point::kSlotZapped);
  co_return value_of(0);
}
Task<Outcome> notifier(Scheduler& s) {
  begin_active_invalidation(s, kVm);
  co_await point(s, Point::kNotifierAfterStart);
  end_active_invalidation(s, kVm);
  co_return value_of(0);
}
Task<Outcome> swaps_slots(Scheduler& s, Trail& trail) {
  co_await wait_no_active_invalidations(s, kVm);
  trail.push_back(5);
  co_return value_of(0);
}

struct SchedulerTest : testing::Test {
  Arena arena;
  Scheduler s{arena};
  Trail trail;

  Outcome start_points(ActorId actor, std::uint8_t park, int name) {
    return s.run(actor, park, [&] { return three_points(s, trail, name); });
  }
};

TEST_F(SchedulerTest, RunsToTheEndUnlessParked) {
  const Outcome out = start_points(kVmm0, 0, 10);
  EXPECT_EQ(out.progression, Progression::kDone);
  EXPECT_EQ(out.value, 7u);
  EXPECT_EQ(trail, (Trail{10, 11, 12}));
  EXPECT_TRUE(s.quiet());
  EXPECT_EQ(arena.live(), 0u);
}

TEST_F(SchedulerTest, ParkCountsThePointsOfTheOperation) {
  EXPECT_EQ(start_points(kVmm0, 2, 10).progression, Progression::kParked);
  EXPECT_EQ(s.actor(actor_slot(kVmm0)).point, Point::kFaultAfterPfn);
  EXPECT_EQ(trail, (Trail{10}));
  EXPECT_EQ(start_points(kVcpu0, 0, 20).progression, Progression::kDone);
  EXPECT_EQ(s.resume(kVmm0, 1).progression, Progression::kParked);
  EXPECT_EQ(s.actor(actor_slot(kVmm0)).point, Point::kFaultRetry);
  EXPECT_EQ(s.resume(kVmm0, 0).value, 7u);
  EXPECT_EQ(trail, (Trail{10, 20, 21, 22, 11, 12}));
}

TEST_F(SchedulerTest, AMutexBlocksAndGoesToTheFirstWhoCame) {
  const LockId id = slots_lock(kVm);
  EXPECT_EQ(s.run(kVmm0, 1, [&] { return with_lock(s, trail, id, 1); }).progression,
            Progression::kParked);
  const Outcome blocked = s.run(kVmm2, 0, [&] { return with_lock(s, trail, id, 3); });
  EXPECT_EQ(blocked.progression, Progression::kBlocked);
  EXPECT_EQ(blocked.wait, WaitFor::kSlotsLock);
  EXPECT_EQ(s.run(kVmm1, 0, [&] { return with_lock(s, trail, id, 2); }).wait, WaitFor::kSlotsLock);
  s.begin_step();
  EXPECT_EQ(s.resume(kVmm0, 0).progression, Progression::kDone);
  EXPECT_EQ(trail, (Trail{1, 3, 2}));
  EXPECT_EQ(s.completions().size(), 3u);
  EXPECT_TRUE(s.quiet());
}

TEST_F(SchedulerTest, ReadersShareAndDoNotOvertakeAWaitingWriter) {
  const LockId id = mmu_lock(kVm);
  EXPECT_EQ(s.run(kVmm0, 1, [&] { return with_shared_lock(s, trail, id, 1); }).progression,
            Progression::kParked);
  EXPECT_EQ(s.run(kVmm1, 0, [&] { return with_shared_lock(s, trail, id, 2); }).progression,
            Progression::kDone);
  EXPECT_EQ(s.run(kVcpu0, 0, [&] { return with_lock(s, trail, id, 3); }).wait, WaitFor::kMmuLock);
  EXPECT_EQ(s.run(kVmm2, 0, [&] { return with_shared_lock(s, trail, id, 4); }).wait,
            WaitFor::kMmuLock);
  EXPECT_EQ(s.resume(kVmm0, 0).progression, Progression::kDone);
  EXPECT_EQ(trail, (Trail{1, 2, 3, 4}));
  EXPECT_FALSE(s.liveness().deadlock);
}

TEST_F(SchedulerTest, AGracePeriodWaitsForEarlierReadersOnly) {
  EXPECT_EQ(s.run(kVcpu0, 1, [&] { return reader(s, trail, 1); }).progression,
            Progression::kParked);
  EXPECT_EQ(s.run(kVmm0, 0, [&] { return updater(s, trail); }).wait, WaitFor::kSrcu);
  EXPECT_EQ(s.run(kVmm1, 1, [&] { return reader(s, trail, 2); }).progression, Progression::kParked);
  EXPECT_EQ(s.resume(kVcpu0, 0).progression, Progression::kDone);
  EXPECT_EQ(trail, (Trail{1, 99}));
  EXPECT_TRUE(s.is_parked(kVmm1));
}

TEST_F(SchedulerTest, SlotsAreNotSwappedDuringAnInvalidation) {
  EXPECT_EQ(s.run(kVmm0, 1, [&] { return notifier(s); }).progression, Progression::kParked);
  EXPECT_EQ(s.run(kVmm1, 0, [&] { return swaps_slots(s, trail); }).wait,
            WaitFor::kActiveInvalidations);
  s.drain();
  EXPECT_EQ(trail, (Trail{5}));
  EXPECT_TRUE(s.quiet());
}

TEST_F(SchedulerTest, WaitingForOneWhoCanStillMoveIsNoDeadlock) {
  EXPECT_EQ(s.run(kVcpu0, 1, [&] { return locks_under_srcu(s, mmu_lock(kVm)); }).progression,
            Progression::kParked);
  EXPECT_EQ(s.run(kVmm0, 1, [&] { return with_lock(s, trail, mmu_lock(kVm), 1); }).progression,
            Progression::kParked);
  EXPECT_EQ(s.run(kVmm1, 0, [&] { return updater(s, trail); }).wait, WaitFor::kSrcu);
  EXPECT_EQ(s.resume(kVcpu0, 0).wait, WaitFor::kMmuLock);
  EXPECT_FALSE(s.liveness().deadlock);
  s.drain();
  EXPECT_TRUE(s.quiet());
}

TEST_F(SchedulerTest, AWaitCycleIsADeadlock) {
  // Lock order alone forbids cycles; one through a grace period it cannot see.
  const LockId id = invalidate_lock(GmemIndex{0});
  EXPECT_EQ(s.run(kVcpu0, 1, [&] { return locks_under_srcu(s, id); }).progression,
            Progression::kParked);
  EXPECT_EQ(s.run(kVmm0, 0, [&] { return grace_period_under(s, id); }).wait, WaitFor::kSrcu);
  EXPECT_FALSE(s.liveness().deadlock);
  EXPECT_EQ(s.resume(kVcpu0, 0).wait, WaitFor::kInvalidateLock);
  EXPECT_TRUE(s.liveness().deadlock);
  EXPECT_FALSE(s.liveness().livelock);
  s.drain();
  EXPECT_EQ(s.in_flight(), 2u);
}

TEST_F(SchedulerTest, ARetryLoopThatSeesNothingNewIsALivelock) {
  bool over = false;
  EXPECT_EQ(s.run(kVcpu0, 1, [&] { return retries(s, over); }).progression, Progression::kParked);
  EXPECT_EQ(s.run(kVmm0, 0, [&] { return updater(s, trail); }).wait, WaitFor::kSrcu);
  EXPECT_FALSE(s.liveness().livelock);
  const Outcome out = s.resume(kVcpu0, 0);
  EXPECT_EQ(out.wait, WaitFor::kRetry);
  EXPECT_TRUE(s.liveness().livelock);
  EXPECT_EQ(s.liveness().livelock_reason, RetryReason::kSlotInvalid);
  s.drain();
  EXPECT_FALSE(s.quiet());
}

TEST_F(SchedulerTest, ARetryLoopGoesOnWhenSomebodyDidSomething) {
  bool over = false;
  EXPECT_EQ(s.run(kVmm1, 1, [&] { return three_points(s, trail, 1); }).progression,
            Progression::kParked);
  EXPECT_EQ(s.run(kVcpu0, 0, [&] { return retries(s, over); }).wait, WaitFor::kRetry);
  EXPECT_FALSE(s.liveness().livelock) << "vmm1 is only parked";
  EXPECT_EQ(s.run(kVmm0, 1, [&] { return sets(s, over); }).progression, Progression::kParked);
  EXPECT_FALSE(s.is_busy(kVcpu0));
}

TEST_F(SchedulerTest, TwoSpinningActorsDoNotWakeEachOtherForEver) {
  const bool over = false;
  EXPECT_EQ(s.run(kVcpu0, 0, [&] { return retries(s, over); }).wait, WaitFor::kRetry);
  EXPECT_EQ(s.run(kVmm0, 0, [&] { return retries(s, over); }).wait, WaitFor::kRetry);
  EXPECT_TRUE(s.liveness().livelock);
}

TEST_F(SchedulerTest, AbandoningInFlightLeaksNothing) {
  EXPECT_EQ(start_points(kVmm0, 2, 10).progression, Progression::kParked);
  EXPECT_EQ(s.run(kVmm1, 1, [&] { return with_lock(s, trail, slots_lock(kVm), 1); }).progression,
            Progression::kParked);
  EXPECT_EQ(s.run(kVmm2, 0, [&] { return updater(s, trail); }).wait, WaitFor::kSlotsLock);
  EXPECT_EQ(s.in_flight(), 3u);
  EXPECT_GT(arena.live(), 0u);
  s.reset();
  EXPECT_EQ(arena.live(), 0u);
  EXPECT_TRUE(s.quiet());
  trail.clear();
  EXPECT_EQ(s.run(kVmm0, 0, [&] { return updater(s, trail); }).progression, Progression::kDone);
  EXPECT_EQ(trail, (Trail{99}));
}

TEST_F(SchedulerTest, DrainEndsWhatIsParked) {
  EXPECT_EQ(start_points(kVcpu0, 1, 20).progression, Progression::kParked);
  EXPECT_EQ(start_points(kVmm1, 1, 10).progression, Progression::kParked);
  s.drain();
  EXPECT_TRUE(s.quiet());
  EXPECT_EQ(trail, (Trail{20, 10, 11, 12, 21, 22}));
}

using SchedulerDeathTest = SchedulerTest;
TEST_F(SchedulerDeathTest, LockOrderIsEnforced) {
  EXPECT_DEATH(static_cast<void>(
                   s.run(kVmm0, 0, [&] { return two_locks(s, mmu_lock(kVm), slots_lock(kVm)); })),
               "HARNESS-BUG");
  EXPECT_DEATH(static_cast<void>(
                   s.run(kVmm0, 0, [&] { return two_locks(s, slots_lock(kVm), slots_lock(kVm)); })),
               "HARNESS-BUG");
  EXPECT_DEATH(
      static_cast<void>(s.run(kVcpu0, 0, [&] { return locks_under_srcu(s, slots_lock(kVm)); })),
      "HARNESS-BUG");
  EXPECT_EQ(
      s.run(kVmm0, 0, [&] { return two_locks(s, slots_lock(kVm), mmu_lock(kVm)); }).progression,
      Progression::kDone);
}

}  // namespace
}  // namespace sluice::model
