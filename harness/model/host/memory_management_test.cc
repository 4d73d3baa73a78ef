// Memory management: what sequences cannot show, since it needs a host without nested paging.
#include "model/host/memory_management.h"

#include <gtest/gtest.h>

#include "model/guest/guest_ops.h"
#include "model/host/host_fixture.h"

namespace sluice::model {
namespace {

HostProfile shadow_profile(KernelVersion version) {
  HostProfile profile = Host::profile_of(version);
  profile.tdp = false;
  return profile;
}

void touch(Host& host) {
  host.boot(VmType::kDefault, k2M);
  ASSERT_TRUE(host.run(GuestAccess{.kind = AccessKind::kWrite, .value = {7}}).ok());
  ASSERT_TRUE(host.leaf(0).present);
}

TEST(Shrinker, TakesPagesOfTheShadowMmuAndNoContents) {
  Host host(shadow_profile({6, 12}));
  touch(host);
  const std::uint64_t seq = host.vm().invalidate_seq;
  EXPECT_TRUE(host.run(DropCaches{}).ok());
  EXPECT_FALSE(host.leaf(0).present);
  EXPECT_EQ(host.count_events(EventKind::kTlbFlush), 1U);
  EXPECT_EQ(host.vm().invalidate_seq, seq);  // the pages of memory stay where they are
  EXPECT_EQ(host.run(GuestAccess{}).value, 7U);
}

TEST(Shrinker, FindsNothingToFlushTwice) {
  Host host(shadow_profile({6, 12}));
  touch(host);
  EXPECT_TRUE(host.run(DropCaches{}).ok());
  EXPECT_TRUE(host.run(DropCaches{}).ok());
  EXPECT_EQ(host.count_events(EventKind::kTlbFlush), 0U);
}

TEST(Shrinker, IsGoneFromLaterKernels) {
  Host host(shadow_profile({6, 14}));
  touch(host);
  EXPECT_TRUE(host.run(DropCaches{}).ok());
  EXPECT_TRUE(host.leaf(0).present);
}

TEST(Shrinker, LeavesTheTdpMmuAlone) {
  Host host(KernelVersion{6, 12});
  touch(host);
  EXPECT_TRUE(host.run(DropCaches{}).ok());
  EXPECT_TRUE(host.leaf(0).present);
}

TEST(MemoryFailure, TakesTheFrameOutOfUseForGood) {
  Host host;
  host.boot(VmType::kSwProtected, k2M);
  host.succeed(convert(0, k2M, true));
  host.succeed(pre_fault(0, kPageBytes));
  const Pfn failed = host.page(0).pfn;
  EXPECT_TRUE(host.run(GmemMemoryFailure{}).ok());
  EXPECT_EQ(host.machine().frames.view(failed).use, FrameUse::kGmem);  // of its file still
  host.succeed(GmemPunchHole{});
  const FrameView view = host.machine().frames.view(failed);
  EXPECT_EQ(view.use, FrameUse::kLeaked);
  EXPECT_TRUE(view.poisoned);
  EXPECT_FALSE(view.leaked);
  host.succeed(pre_fault(0, kPageBytes));
  EXPECT_NE(host.page(0).pfn, failed);
}

TEST(MemoryFailure, OfAPageThatAFaultHoldsWaitsForTheFault) {
  Host host;
  host.boot(VmType::kSwProtected, k2M);
  host.succeed(convert(0, k2M, true));
  constexpr std::uint8_t kFolioFound = 4;
  const Outcome parked = host.run_stoppable(pre_fault(0, kPageBytes), kVcpu0, kFolioFound);
  ASSERT_EQ(parked.progression, Progression::kParked);
  const Pfn failed = host.page(0).pfn;
  EXPECT_TRUE(host.run(GmemMemoryFailure{}).ok());
  host.succeed(GmemPunchHole{});
  EXPECT_EQ(host.machine().frames.view(failed).use, FrameUse::kGmem);  // held
  host.drain();
  EXPECT_EQ(host.machine().frames.view(failed).use, FrameUse::kLeaked);
}

}  // namespace
}  // namespace sluice::model
