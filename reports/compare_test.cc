#include "reports/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "reports/store.h"
#include "reports/test_rows.h"

namespace sluice::reports {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class CompareTest : public testing::Test {
 protected:
  std::filesystem::path file(const char* name, const std::string& rows) {
    const auto path = dir_.path() / name;
    std::ofstream(path) << rows;
    return path;
  }
  // Two files of one run each.
  Expected<CompareResult> compare(const std::string& old_rows, const std::string& new_rows,
                                  CompareSort sort = CompareSort::kName) {
    return compare_runs({.old_run = {.path = file("old.jsonl", old_rows)},
                         .new_run = {.path = file("new.jsonl", new_rows)},
                         .sort = sort});
  }
  TempDir dir_;
};

std::string line(const BenchmarkFields& fields) { return benchmark_row(fields) + "\n"; }

TEST_F(CompareTest, BandIsThreeSigmasOfBothRuns) {
  const auto result = compare(line({.run = 1, .median = 2.0, .mad = 0.03}),
                              line({.run = 2, .median = 2.1, .mad = 0.04}));
  ASSERT_TRUE(result) << result.error().message();
  ASSERT_EQ(result->rows.size(), 1u);
  const CompareRow& row = result->rows.front();
  EXPECT_DOUBLE_EQ(row.ratio.value(), 1.05);
  // 3 * 1.4826 * sqrt(0.03^2 + 0.04^2) / 2 = 0.111195
  EXPECT_NEAR(row.band.value(), 0.111195, 1e-9);
  EXPECT_EQ(row.remark, Remark::kWithinNoise);
}

TEST_F(CompareTest, OutsideTheBandSaysWhichWayAndNoMore) {
  const auto higher = compare(line({.run = 1, .median = 2.0, .mad = 0.01}),
                              line({.run = 2, .median = 2.2, .mad = 0.01}));
  ASSERT_TRUE(higher) << higher.error().message();
  EXPECT_EQ(higher->rows.front().remark, Remark::kOutsideNoiseHigher);
  const auto lower = compare(line({.run = 1, .median = 2.0, .mad = 0.01}),
                             line({.run = 2, .median = 1.8, .mad = 0.01}));
  ASSERT_TRUE(lower) << lower.error().message();
  EXPECT_EQ(lower->rows.front().remark, Remark::kOutsideNoiseLower);
  for (const auto* result : {&*higher, &*lower}) {
    EXPECT_THAT(compare_text(*result), AllOf(HasSubstr("outside noise"), Not(HasSubstr("slower")),
                                             Not(HasSubstr("regression"))));
  }
}

TEST_F(CompareTest, SkippedIsNeverANumber) {
  const auto result = compare(line({.run = 1}), line({.run = 2, .skipped = "KVM_CAP_X=0"}));
  ASSERT_TRUE(result) << result.error().message();
  const CompareRow& row = result->rows.front();
  EXPECT_EQ(row.remark, Remark::kSkipped);
  EXPECT_EQ(row.reason, "new run: KVM_CAP_X=0");
  EXPECT_FALSE(row.ratio);
  EXPECT_FALSE(row.new_median);
  EXPECT_THAT(compare_text(*result), HasSubstr("skipped: new run: KVM_CAP_X=0"));
}

TEST_F(CompareTest, DifferentHostsAreNotCompared) {
  const auto result =
      compare(line({.run = 1, .median = 1}), line({.run = 2, .host = kOtherHost, .median = 5}));
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE(result->hosts_differ);
  EXPECT_EQ(result->rows.front().remark, Remark::kHostsDiffer);
  EXPECT_FALSE(result->rows.front().ratio);
  EXPECT_THAT(compare_text(*result), HasSubstr("different hosts"));
}

TEST_F(CompareTest, SmokeRunsAndOtherArgumentsDoNotPair) {
  const auto result =
      compare(line({.run = 1, .smoke = true}) + line({.run = 1, .pages = 512}), line({.run = 2}));
  ASSERT_TRUE(result) << result.error().message();
  ASSERT_EQ(result->rows.size(), 3u);
  EXPECT_EQ(std::count_if(result->rows.begin(), result->rows.end(),
                          [](const auto& row) { return row.remark == Remark::kOnlyOld; }),
            2);
}

TEST_F(CompareTest, CountersAreComparedExactly) {
  auto changed = nlohmann::json::parse(benchmark_row({.run = 2}));
  changed["counters"]["rmpupdate"] = 4097;
  changed["counters"]["instructions"] = 5;  // null before: nothing to compare with
  const auto result = compare(line({.run = 1}), changed.dump() + "\n");
  ASSERT_TRUE(result) << result.error().message();
  const auto& counters = result->rows.front().counters;
  ASSERT_EQ(counters.size(), 1u);
  EXPECT_EQ(counters.front().name, "rmpupdate");
  EXPECT_EQ(counters.front().old_value, 4096);
  EXPECT_EQ(counters.front().new_value, 4097);
  EXPECT_THAT(compare_text(*result), HasSubstr("counter rmpupdate: 4096 -> 4097"));
}

TEST_F(CompareTest, SortsByRatioLargestFirstAndNothingLast) {
  const auto result = compare(
      line({.run = 1, .name = "a"}) + line({.run = 1, .name = "b"}) + line({.run = 1, .name = "c"}),
      line({.run = 2, .name = "a", .median = 2.5}) + line({.run = 2, .name = "b", .median = 3}) +
          line({.run = 2, .name = "c", .skipped = "gone"}),
      CompareSort::kRatio);
  ASSERT_TRUE(result) << result.error().message();
  std::vector<std::string> names;
  for (const auto& row : result->rows) names.push_back(row.name);
  EXPECT_THAT(names, testing::ElementsAre("b", "a", "c"));
}

TEST_F(CompareTest, OneStoreGivesItsTwoNewestRuns) {
  const auto path = dir_.path() / "sluice.db";
  {
    auto store = Store::open(path);
    ASSERT_TRUE(store) << store.error().message();
    ASSERT_TRUE(store->import_text(line({.run = 1}) + line({.run = 2}) + line({.run = 3}) +
                                       skip_row(4, "x", "a run without benchmarks") + "\n",
                                   "a"));
  }
  const auto result = compare_runs({.old_run = {.path = path}, .new_run = {.path = path}});
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->old_run, run_id(2));
  EXPECT_EQ(result->new_run, run_id(3));
  const auto named = compare_runs(
      {.old_run = {.path = path, .run = run_id(1)}, .new_run = {.path = path, .run = run_id(2)}});
  ASSERT_TRUE(named) << named.error().message();
  EXPECT_EQ(named->old_run, run_id(1));
}

TEST_F(CompareTest, MissingRunListsThoseThatAreThere) {
  const auto path = file("rows.jsonl", line({.run = 1}));
  const auto unknown =
      compare_runs({.old_run = {.path = path, .run = "never"}, .new_run = {.path = path}});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message(),
              AllOf(HasSubstr(path.string()), HasSubstr("run never"), HasSubstr(run_id(1))));
  const auto only_one = compare_runs({.old_run = {.path = path}, .new_run = {.path = path}});
  ASSERT_FALSE(only_one);
  EXPECT_THAT(only_one.error().message(), HasSubstr("an earlier run"));
}

TEST_F(CompareTest, MissingFileIsAnError) {
  const auto path = file("rows.jsonl", line({.run = 1}));
  const auto result =
      compare_runs({.old_run = {.path = "/nonexistent.jsonl"}, .new_run = {.path = path}});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message(), HasSubstr("/nonexistent.jsonl"));
}

TEST_F(CompareTest, JsonHasWhatTheTableHas) {
  const auto result = compare(line({.run = 1, .median = 2}), line({.run = 2, .median = 3}));
  ASSERT_TRUE(result) << result.error().message();
  const auto json = nlohmann::json::parse(compare_json(*result));
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["old"]["run"], run_id(1));
  EXPECT_EQ(json["rows"][0]["ratio"], 1.5);
  EXPECT_EQ(json["rows"][0]["remark"], "outside noise, higher");
  EXPECT_EQ(json["rows"][0]["arguments"]["pages"], 4096);
}

TEST_F(CompareTest, ControlCharactersDoNotReachTheTerminal) {
  const auto result =
      compare(line({.run = 1, .name = "a\x1b[2Jb\nc"}), line({.run = 2, .name = "a\x1b[2Jb\nc"}));
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_THAT(compare_text(*result), AllOf(HasSubstr("a?[2Jb?c"), Not(HasSubstr("\x1b"))));
}

}  // namespace
}  // namespace sluice::reports
