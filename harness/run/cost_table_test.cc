// Prices: of what was counted, and of a host's own file.
#include "run/cost_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::run {
namespace {

using ::testing::HasSubstr;

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
