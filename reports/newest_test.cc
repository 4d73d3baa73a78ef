// Rows of design alternatives and simulations on their way through the store to the page's data.
#include "reports/newest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "record/row_json.h"
#include "reports/page_data.h"
#include "reports/summary.h"
#include "reports/test_rows.h"

namespace sluice::reports {
namespace {

using record::AlternativeRow;
using record::SimulationRow;
using testing::ElementsAre;

record::Head head(int run, const std::string& host = kHost) {
  return {.run = run_id(run), .time = run_time(run), .commit = std::string(40, 'a'), .host = host};
}

AlternativeRow alternative(int run, const std::string& axis, const std::string& value) {
  AlternativeRow row{.head = head(run), .axis = axis, .summary = "what it is about"};
  row.value = value;
  row.flavor = "plain";
  row.verdict = record::AlternativeVerdict::kNothingFound;
  row.explored = record::Explored{.interleavings = 287, .complete = true, .preemptions_max = 2};
  return row;
}

SimulationRow simulation(int run, const std::string& policy, std::uint64_t vcpus) {
  SimulationRow row{.head = head(run), .workload = "ping_pong", .vcpus = vcpus, .nodes = 1};
  row.placement = "local";
  row.policy = policy;
  row.pages_a_vcpu = 64;
  row.pages_per_second = 1000.0 * static_cast<double>(run);
  return row;
}

class Newest : public testing::Test {
 protected:
  void add(const record::Row& row) {
    const std::string line = record::to_json(row);
    const auto imported = store_.import_text(line + "\n", "test");
    ASSERT_TRUE(imported) << imported.error().message();
    last_ = line;
  }
  /// Axis, value and run of each, with spaces between.
  std::vector<std::string> alternatives() {
    const auto texts = newest_alternatives(store_);
    EXPECT_TRUE(texts);
    std::vector<std::string> words;
    for (const std::string& text : texts.value_or(std::vector<std::string>{})) {
      const auto row = nlohmann::json::parse(text);
      words.push_back(fmt::format("{} {} {}", row["axis"].get<std::string>(),
                                  row["value"].get<std::string>(),
                                  row["run"].get<std::string>().substr(11, 5)));
    }
    return words;
  }
  std::vector<std::string> simulations() {
    const auto texts = newest_simulations(store_);
    EXPECT_TRUE(texts);
    std::vector<std::string> words;
    for (const std::string& text : texts.value_or(std::vector<std::string>{})) {
      const auto row = nlohmann::json::parse(text);
      words.push_back(fmt::format("{} {} {}", row["policy"].get<std::string>(),
                                  row["vcpus"].get<int>(),
                                  row["run"].get<std::string>().substr(11, 5)));
    }
    return words;
  }
  Store store_ = *Store::open(":memory:");
  std::string last_{};
};

TEST_F(Newest, RowsComeOutOfTheStoreAsTheyWentIn) {
  AlternativeRow broken = alternative(1, "direct_map", "leave");
  broken.verdict = record::AlternativeVerdict::kBroken;
  broken.counterexample = record::Counterexample{
      .text = "create_vm\n", .steps = {{.operation = "create_vm", .answer = "ok"}}};
  broken.cost = record::AlternativeCost{.workload = "convert",
                                        .counts = {{.name = "rmpupdate", .count = ~0ull}}};
  add(broken);
  EXPECT_THAT(store_.rows({.kind = "alternative"}).value(), ElementsAre(last_));
  EXPECT_TRUE(*record::from_json(last_) == record::Row(broken));
  add(broken);
  EXPECT_EQ(store_.row_count().value(), 1u) << "a row that is there already is not added again";
  add(simulation(1, "", 4));
  EXPECT_THAT(store_.rows({.kind = "simulation"}).value(), ElementsAre(last_));
}

TEST_F(Newest, OfAnAxisOnlyTheNewestRunIsShown) {
  add(alternative(1, "host_fault", "none"));
  add(alternative(1, "direct_map", "split"));
  add(alternative(1, "direct_map", "gone"));
  add(alternative(2, "direct_map", "split"));
  add(alternative(2, "direct_map", "leave"));
  EXPECT_THAT(alternatives(), ElementsAre("host_fault none 00:01", "direct_map split 00:02",
                                          "direct_map leave 00:02"));
}

TEST_F(Newest, TheNewestRunIsShownWhicheverHostMadeIt) {
  AlternativeRow elsewhere = alternative(3, "direct_map", "split");
  elsewhere.head = head(3, kOtherHost);
  add(elsewhere);
  add(alternative(2, "direct_map", "split"));
  EXPECT_THAT(alternatives(), ElementsAre("direct_map split 00:03"));
}

TEST_F(Newest, FlavorsStandBesideEachOtherAndOfTwoInOneRunTheLaterHolds) {
  AlternativeRow on_td = alternative(1, "vmm", "kill");
  on_td.flavor = "tdx";
  AlternativeRow again = alternative(1, "vmm", "kill");
  again.head.time = run_time(2);
  again.reason = "again";
  add(alternative(1, "vmm", "kill"));
  add(on_td);
  add(again);
  const auto texts = newest_alternatives(store_);
  ASSERT_EQ(texts->size(), 2u);
  EXPECT_EQ(nlohmann::json::parse(texts->front())["reason"], "again");
  EXPECT_EQ(nlohmann::json::parse(texts->back())["flavor"], "tdx");
}

TEST_F(Newest, ACurveHasPointsOfOneRunOnly) {
  for (const std::uint64_t vcpus : {1u, 4u, 16u}) add(simulation(1, "", vcpus));
  add(simulation(1, "vmm=kill", 4));
  add(simulation(2, "", 1));
  add(simulation(2, "", 4));
  EXPECT_THAT(simulations(), ElementsAre(" 1 00:02", " 4 00:02", "vmm=kill 4 00:01"));
}

TEST_F(Newest, MachinesOfOneNameAreNotOneMachine) {
  SimulationRow small = simulation(1, "", 4), large = simulation(2, "", 4);
  small.topology = record::SimulatedTopology{.name = "host", .processors = {2}};
  large.topology = record::SimulatedTopology{.name = "host", .processors = {64}};
  add(small);
  add(large);
  EXPECT_EQ(simulations().size(), 2u);
}

TEST_F(Newest, ThePageHasThemInFullAndTheSummaryCountsVerdicts) {
  add(alternative(1, "direct_map", "split"));
  AlternativeRow stale = alternative(1, "direct_map", "leave");
  stale.verdict = record::AlternativeVerdict::kStale;
  stale.reason = "search anew";
  add(stale);
  add(simulation(1, "", 4));
  const auto page = page_data(store_, {.title = "t"});
  ASSERT_TRUE(page) << page.error().message();
  const Json& shown = page->at("alternatives");
  ASSERT_EQ(shown.size(), 2u);
  EXPECT_EQ(shown[0]["explored"]["interleavings"], 287);
  EXPECT_EQ(shown[0]["run"], 0);
  EXPECT_FALSE(shown[0].contains("commit")) << "the run says it";
  EXPECT_EQ(page->at("simulations")[0]["pages_per_second"], 1000.0);
  const auto summary = summarize(store_, "t");
  ASSERT_TRUE(summary) << summary.error().message();
  const Json counts{{"broken", 0}, {"nothing_found", 1}, {"stale", 1}};
  EXPECT_EQ(summary->at("totals").at("alternatives"), counts);
  EXPECT_EQ(summary->at("alternatives").at("stale")[0]["reason"], "search anew");
}

TEST_F(Newest, AStoreWithoutThemShowsNone) {
  EXPECT_TRUE(alternatives().empty());
  EXPECT_TRUE(simulations().empty());
}

}  // namespace
}  // namespace sluice::reports
