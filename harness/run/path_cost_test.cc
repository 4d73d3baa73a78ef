// What a page costs: the counts are what the model did, the price is theirs alone.
#include "run/path_cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::run {
namespace {

using ::testing::HasSubstr;

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
  EXPECT_EQ(cost.counts[CostItem::kPageStore], kCostPages);
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
  PolicySet in_place;
  in_place.backing = Backing::kFdInPlace;
  in_place.host_fault = HostFault::kFolioRef;
  EXPECT_EQ(measure_path(model, in_place, Workload::kConvert).counts[CostItem::kSystemCall], 2u);
}

TEST(PathCost, IsTheSameEveryTimeAndLeavesTheModelAsItWas) {
  auto model = open_model();
  for (const Workload workload :
       {Workload::kTouch, Workload::kConvert, Workload::kPremap, Workload::kPremapInSmm}) {
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

TEST(PathCost, AWayThatEndsEarlySaysHowFarItCame) {
  auto model = open_model();
  PolicySet policy;
  policy.npf_mismatch = NpfMismatch::kKill;
  EXPECT_EQ(measure_path(model, policy, Workload::kTouch).done, 0u);
}

TEST(CostTable, PricesWhatWasCounted) {
  const auto table = CostTable::parse("rmpupdate = 10 # ours\n\n  walk=0.5\nlock = 0\n", "x");
  ASSERT_TRUE(table.has_value()) << table.error();
  PathCounts counts;
  counts[CostItem::kRmpUpdate] = 3;
  counts[CostItem::kWalk] = 4;
  counts[CostItem::kLock] = 1000;
  EXPECT_DOUBLE_EQ(table->price(counts), 32);
  counts[CostItem::kPsmash] = 1;
  EXPECT_DOUBLE_EQ(table->price(counts) - 32, 800) << "what is not named keeps its default";
}

TEST(CostTable, RefusesWhatItCannotReadWithItsPlace) {
  const auto error = [](std::string_view text) {
    const auto table = CostTable::parse(text, "host.costs");
    return table ? std::string() : table.error();
  };
  EXPECT_THAT(error("lock = 1\nfrob = 2\n"),
              HasSubstr("host.costs:2: nothing is called 'frob'; known are: nested_fault"));
  EXPECT_THAT(error("lock\n"), HasSubstr("host.costs:1: 'lock' is no 'NAME = NANOSECONDS'"));
  for (const char* const bad : {"lock = -1", "lock = fast", "lock = 1 ns", "lock =", "lock = inf"})
    EXPECT_THAT(error(bad), HasSubstr("is no number of nanoseconds")) << bad;
}

TEST(CostTable, EveryItemHasARowInItsPlace) {
  for (std::size_t i = 0; i < kCostItems; ++i) {
    EXPECT_EQ(static_cast<std::size_t>(kCostItemRows[i].item), i);
    EXPECT_FALSE(kCostItemRows[i].source.empty());
    EXPECT_GT(kCostItemRows[i].nanoseconds, 0);
  }
}

}  // namespace
}  // namespace sluice::run
