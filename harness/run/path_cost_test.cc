// What a page costs: the counts are what the model did.
#include "run/path_cost.h"

#include <gtest/gtest.h>

namespace sluice::run {
namespace {

model::ModelBackend open_model() {
  return *model::ModelBackend::open(default_profile(kDefaultKernel));
}

PolicySet with(DirectMapPolicy direct_map) {
  PolicySet policy;
  policy.direct_map = direct_map;
  return policy;
}

TEST(PathCost, CountsWhatAPageTakes) {
  auto model = open_model();
  const PathCost cost = measure_path(model, {}, Workload::kTouch);
  EXPECT_EQ(cost.pages, kCostPages);
  EXPECT_EQ(cost.done, kCostPages);
  // Each page: a fault that exits, a conversion, a fault that maps, an acceptance, and the access.
  EXPECT_EQ(cost.counts[CostItem::kUserExit], kCostPages);
  EXPECT_EQ(cost.counts[CostItem::kSystemCall], kCostPages);
  EXPECT_EQ(cost.counts[CostItem::kNestedFault], 2 * kCostPages);
  EXPECT_EQ(cost.counts[CostItem::kRmpUpdate], kCostPages);
  EXPECT_EQ(cost.counts[CostItem::kPvalidate], kCostPages);
  EXPECT_EQ(cost.counts[CostItem::kByteZeroed], kCostPages * kPageBytes);
  EXPECT_EQ(cost.counts[CostItem::kPageStore], 0u);
  EXPECT_EQ(cost.counts[CostItem::kVmgexit], 0u);
  EXPECT_EQ(cost.counts[CostItem::kPsmash], 0u);
  EXPECT_GT(cost.counts[CostItem::kLock], kCostPages);
  EXPECT_GT(cost.counts[CostItem::kWalk], kCostPages);
}

TEST(PathCost, AConversionIsPvalidateOfEachPageAndUserSpacesCalls) {
  auto model = open_model();
  const PathCost cost = measure_path(model, {}, Workload::kConvert);
  // Accepted, rescinded, accepted again.
  EXPECT_EQ(cost.counts[CostItem::kPvalidate], 3 * kCostPages);
  EXPECT_EQ(cost.counts[CostItem::kSystemCall], 3u) << "attributes there and back, and a hole";
  EXPECT_EQ(cost.counts[CostItem::kVmgexit], 2u) << "64 entries each";
  PolicySet in_place;
  in_place.backing = Backing::kFdInPlace;
  in_place.host_fault = HostFault::kFolioRef;
  EXPECT_EQ(measure_path(model, in_place, Workload::kConvert).counts[CostItem::kSystemCall], 2u);
}

TEST(PathCost, WhatUserSpaceFreesIsACallEach) {
  auto model = open_model();
  const auto calls = [&](ConvertReclaim reclaim) {
    PolicySet policy;
    policy.convert_reclaim = reclaim;
    return measure_path(model, policy, Workload::kConvert).counts[CostItem::kSystemCall];
  };
  EXPECT_EQ(calls(ConvertReclaim::kKeep), 2u);
  EXPECT_EQ(calls(ConvertReclaim::kPunchSharedOnly), 3u);
  EXPECT_EQ(calls(ConvertReclaim::kUnsupported), 3u) << "it asks, and is refused";
  EXPECT_EQ(calls(ConvertReclaim::kRandomHoles), 5u);
}

TEST(PathCost, WhatIsKeptTakesFrames) {
  auto model = open_model();
  const auto frames = [&](ConvertReclaim reclaim) {
    PolicySet policy;
    policy.convert_reclaim = reclaim;
    const PathCost cost = measure_path(model, policy, Workload::kConvert);
    return std::pair(cost.frames_when_shared / kCostPages, cost.frames_when_private / kCostPages);
  };
  EXPECT_EQ(frames(ConvertReclaim::kPunchHole), std::pair(1ul, 2ul));
  EXPECT_EQ(frames(ConvertReclaim::kKeep), std::pair(2ul, 2ul));
  EXPECT_EQ(frames(ConvertReclaim::kPunchSharedOnly), std::pair(2ul, 1ul));
  EXPECT_EQ(frames(ConvertReclaim::kUnsupported), std::pair(2ul, 2ul));
  PolicySet in_place;
  in_place.backing = Backing::kVmaGup;
  in_place.host_fault = HostFault::kFolioRef;
  const PathCost cost = measure_path(model, in_place, Workload::kConvert);
  EXPECT_EQ(cost.frames_when_shared, kCostPages);
  EXPECT_EQ(cost.frames_when_private, kCostPages);
}

TEST(PathCost, EveryWayToPopulateATdDoes) {
  auto model = open_model();
  const auto cost = [&](TdxPopulate populate) {
    PolicySet policy;
    policy.tdx_populate = populate;
    const PathCost counted = measure_path(model, policy, Workload::kPopulate);
    EXPECT_EQ(counted.done, kCostPages) << static_cast<int>(populate);
    return counted.counts;
  };
  const PathCounts hybrid = cost(TdxPopulate::kHybrid_6_16);
  EXPECT_EQ(cost(TdxPopulate::kMainline), hybrid) << "on 6.18";
  EXPECT_EQ(cost(TdxPopulate::kTwoPass)[CostItem::kSystemCall], 2u);
  EXPECT_EQ(hybrid[CostItem::kSystemCall], 1u);
  EXPECT_GT(cost(TdxPopulate::kOneIoctlTwoLoops)[CostItem::kWalk], hybrid[CostItem::kWalk]);
  EXPECT_EQ(cost(TdxPopulate::kOneLoop)[CostItem::kFaultTry], kCostPages);
  cost(TdxPopulate::kRecordedSource_7_0);
}

TEST(PathCost, IsTheSameEveryTimeAndLeavesTheModelAsItWas) {
  auto model = open_model();
  for (const Workload workload : {Workload::kTouch, Workload::kConvert, Workload::kPremap,
                                  Workload::kPremapInSmm, Workload::kPopulate}) {
    const PathCost once = measure_path(model, {}, workload);
    EXPECT_EQ(once.done, once.pages) << name_of(workload);
    EXPECT_EQ(measure_path(model, {}, workload).counts, once.counts) << name_of(workload);
    EXPECT_EQ(model.live_frames(), 0u);
  }
}

TEST(PathCost, UnmappingFlushesForEachFrameAndNoflushDoesNot) {
  auto model = open_model();
  const auto flushes = [&](DirectMapPolicy direct_map) {
    return measure_path(model, with(direct_map), Workload::kConvert)
        .counts[CostItem::kDirectMapFlush];
  };
  EXPECT_GE(flushes(DirectMapPolicy::kUnmap), 2 * kCostPages);  // private twice
  EXPECT_EQ(flushes(DirectMapPolicy::kUnmapNoFlush), flushes(DirectMapPolicy::kSplit));
}

TEST(PathCost, ARequestIsAnExitForEachBufferThatIsFull) {
  const auto exits = [](std::uint16_t pages, bool large) {
    return own_counts(GuestConvert{.page_count = {pages}, .large = large}, {})[CostItem::kVmgexit];
  };
  EXPECT_EQ(exits(1, false), 1u);
  EXPECT_EQ(exits(64, false), 1u);
  EXPECT_EQ(exits(65, false), 2u);
  EXPECT_EQ(exits(65, true), 1u);
  EXPECT_EQ(own_counts(Psc{}, {})[CostItem::kVmgexit], 1u);
  EXPECT_EQ(own_counts(PscMsr{}, {})[CostItem::kVmgexit], 1u);
}

TEST(PathCost, AGuestThatIsToldByAnExceptionAsksPageByPage) {
  auto model = open_model();
  for (const NpfMismatch mismatch : {NpfMismatch::kInject, NpfMismatch::kRequirePsc}) {
    PolicySet policy;
    policy.npf_mismatch = mismatch;
    const PathCost cost = measure_path(model, policy, Workload::kTouch);
    EXPECT_EQ(cost.done, kCostPages);
    EXPECT_EQ(cost.counts[CostItem::kVmgexit], kCostPages);
  }
}

TEST(PathCost, WhatIsNotPremappedTheGuestFaultsIn) {
  auto model = open_model();
  PolicySet policy;
  policy.premap_mode = PremapMode::kReject;
  const PathCost cost = measure_path(model, policy, Workload::kPremapInSmm);
  EXPECT_EQ(cost.done, kCostPages);
  EXPECT_EQ(cost.counts[CostItem::kNestedFault], kCostPages);
  EXPECT_EQ(measure_path(model, {}, Workload::kPremapInSmm).counts[CostItem::kNestedFault], 0u);
}

TEST(PathCost, TheKernelsOwnWritesCostWhatGuardsThem) {
  auto model = open_model();
  const auto cost = [&](HostFault host_fault, MappedSetLock lock = MappedSetLock::kSpin) {
    PolicySet policy = with_what_it_needs({.host_fault = host_fault, .mapped_set_lock = lock});
    const PathCost counted = measure_path(model, policy, Workload::kConvertWritten);
    EXPECT_EQ(counted.done, kCostPages) << static_cast<int>(host_fault);
    EXPECT_EQ(counted.counts[CostItem::kPageStore], kCostPages) << static_cast<int>(host_fault);
    return counted.counts;
  };
  const PathCounts plain = cost(HostFault::kUpm);
  EXPECT_EQ(plain[CostItem::kSetUpdate], 0u);
  EXPECT_EQ(plain[CostItem::kFrameReference], 0u);
  const PathCounts references = cost(HostFault::kFolioRef);
  EXPECT_EQ(references[CostItem::kSetUpdate], 0u);
  EXPECT_EQ(references[CostItem::kFrameReference], 2 * kCostPages);
  const PathCounts set = cost(HostFault::kMappedSet);
  EXPECT_EQ(set[CostItem::kSetUpdate], 2 * kCostPages);
  // Each update, and each conversion.
  const PathCounts free = cost(HostFault::kMappedSet, MappedSetLock::kUnlocked);
  EXPECT_EQ(set[CostItem::kLock], free[CostItem::kLock] + 2 * kCostPages + 2);
}

TEST(PathCost, AWayThatEndsEarlySaysHowFarItCame) {
  auto model = open_model();
  PolicySet policy;
  policy.npf_mismatch = NpfMismatch::kKill;
  const PathCost killed = measure_path(model, policy, Workload::kTouch);
  EXPECT_EQ(killed.done, 0u);
  EXPECT_EQ(killed.tried, 1u) << "there is nobody to try the next page";
  EXPECT_EQ(killed.counts[CostItem::kNestedFault], 1u);
  policy = {};
  policy.vmm = VmmPolicy::kRefuse;
  const PathCost refused = measure_path(model, policy, Workload::kTouch);
  EXPECT_EQ(refused.done, 0u);
  EXPECT_EQ(refused.tried, kCostPages);
  const PathCost boot = measure_path(model, with(DirectMapPolicy::kLeave), Workload::kConvert);
  EXPECT_EQ(boot.tried, 0u) << "the host dies before the first page";
}

}  // namespace
}  // namespace sluice::run
