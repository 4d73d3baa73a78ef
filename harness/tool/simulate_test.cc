// sluice simulate as its user meets it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "record/row_file.h"
#include "run/simulate.h"
#include "tool/command.h"
#include "tool/test_folder.h"

namespace sluice::tool {
namespace {

using ::testing::HasSubstr;

class SimulateTool : public ::testing::Test {
 protected:
  Answer sluice(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {SLUICE_PROGRAM, "simulate"});
    return folder_.run(arguments);
  }
  void expect_refused(const std::vector<std::string>& arguments, const std::string& why) {
    const Answer answer = sluice(arguments);
    EXPECT_EQ(answer.status, kUsage) << answer.text;
    EXPECT_THAT(answer.text, HasSubstr(why));
  }
  const TestFolder folder_{::testing::TempDir() + "sluice_simulate_tool_" +
                           ::testing::UnitTest::GetInstance()->current_test_info()->name()};
};

TEST_F(SimulateTool, PrintsALineForEachNumberOfVcpus) {
  const Answer answer = sluice({"--workload", "ping_pong", "--vcpus", "1,64", "--nodes", "2"});
  EXPECT_EQ(answer.status, kFine) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("ping_pong, 64 pages a vCPU, 2 nodes, placement local"));
  EXPECT_THAT(answer.text, HasSubstr("slots_lock"));
}

TEST_F(SimulateTool, JsonIsTheSameBytesEveryTime) {
  const std::vector<std::string> arguments{"--workload", "boot_lazy", "--vcpus", "3,17",
                                           "--nodes",    "2",         "--pages", "32",
                                           "--seed",     "7",         "--json"};
  const Answer one = sluice(arguments), other = sluice(arguments);
  EXPECT_EQ(one.status, kFine) << one.text;
  EXPECT_EQ(one.text, other.text);
  const auto json = nlohmann::json::parse(one.text);
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[1]["vcpus"], 17);
  EXPECT_EQ(json[1]["pages"], 17 * 32);
  EXPECT_GT(json[1]["pages_per_second"], 0);
  EXPECT_FALSE(json[1]["locks"].empty());
}

TEST_F(SimulateTool, ARowForEachNumberOfVcpusSaysWhatTheJsonSays) {
  const std::string file = folder_.path("rows.jsonl");
  const Answer answer =
      sluice({"--workload", "ping_pong", "--vcpus", "1,8", "--nodes", "2", "--policy",
              "convert_reclaim=keep,vmm=convert", "--json", "--rows", file, "--run", "r7"});
  EXPECT_EQ(answer.status, kFine) << answer.text;
  const auto json = nlohmann::json::parse(answer.text);
  const auto read = record::read_rows(file);
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_EQ(read->rows.size(), 3u) << "the host's and two";
  const auto& row = std::get<record::SimulationRow>(read->rows[2]);
  EXPECT_EQ(row.head.run, "r7");
  EXPECT_EQ(row.workload, "ping_pong");
  EXPECT_EQ(row.vcpus, 8u);
  EXPECT_EQ(row.nodes, 2u);
  EXPECT_EQ(row.placement, "local");
  EXPECT_EQ(row.policy, "convert_reclaim=keep") << "without what is the default";
  EXPECT_FALSE(row.prices);
  EXPECT_EQ(row.pages, json[1]["pages"]);
  EXPECT_EQ(row.pages_per_second, json[1]["pages_per_second"]);
  EXPECT_EQ(row.latency_ns.p50, json[1]["latency_ns"]["p50"]);
  EXPECT_EQ(row.latency_ns.p999, json[1]["latency_ns"]["p99.9"]);
  ASSERT_EQ(row.locks.size(), json[1]["locks"].size());
  EXPECT_EQ(row.locks[0].name, json[1]["locks"][0]["name"].get<std::string>());
  EXPECT_EQ(row.locks[0].waited_ns, json[1]["locks"][0]["waited_ns"]);
}

TEST_F(SimulateTool, ARowNamesTheMachineThatWasAskedFor) {
  const std::string file = folder_.path("rows.jsonl");
  const Answer answer = sluice({"--topology", "pack:2 [numa] core:2 pu:1", "--vcpus", "3",
                                "--placement", "first", "--rows", file});
  EXPECT_EQ(answer.status, kFine) << answer.text;
  const auto read = record::read_rows(file);
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_EQ(read->rows.size(), 2u);
  const auto& row = std::get<record::SimulationRow>(read->rows[1]);
  EXPECT_EQ(row.nodes, 2u);
  EXPECT_EQ(row.placement, "first");
  const record::SimulatedTopology wanted{.name = "pack:2 [numa] core:2 pu:1",
                                         .processors = {2, 2},
                                         .remote_factor = {{1, 1.7}, {1.7, 1}}};
  EXPECT_TRUE(row.topology == wanted);
}

TEST_F(SimulateTool, AllWorkloadsRunOneAfterTheOther) {
  const std::string file = folder_.path("rows.jsonl");
  const Answer answer = sluice({"--workload", "all", "--vcpus", "2", "--pages", "16", "--costs",
                                folder_.file("own.costs", "lock = 1\n"), "--rows", file});
  EXPECT_EQ(answer.status, kFine) << answer.text;
  const auto read = record::read_rows(file);
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_EQ(read->rows.size(), 1 + run::kSimulatedWorkloads.size());
  for (std::size_t i = 0; i < run::kSimulatedWorkloads.size(); ++i) {
    const auto& row = std::get<record::SimulationRow>(read->rows[1 + i]);
    EXPECT_EQ(row.workload, run::kSimulatedWorkloads[i]);
    EXPECT_THAT(answer.text, HasSubstr(row.workload + ", 16 pages a vCPU"));
    EXPECT_EQ(row.prices, folder_.path("own.costs"));
  }
}

TEST_F(SimulateTool, APolicyThatLetsNothingThroughIsInconclusive) {
  const Answer answer =
      sluice({"--workload", "ping_pong", "--vcpus", "2", "--policy", "vmm=refuse"});
  EXPECT_EQ(answer.status, kInconclusive) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("operations were refused"));
}

TEST_F(SimulateTool, WrongInputIsNamed) {
  expect_refused({"--workload", "golf"}, "golf");
  expect_refused({"--placement", "far"}, "far");
  expect_refused({"--vcpus", "1,many"}, "--vcpus: 'many' is no number from 1 to 256");
  expect_refused({"--vcpus", "0"}, "'0' is no number");
  expect_refused({"--vcpus", "257"}, "'257' is no number");
  expect_refused({"--vcpus", "4,"}, "'' is no number");
  expect_refused({"--nodes", "9"}, "--nodes");
  expect_refused({"--pages", "8"}, "--pages");
  expect_refused({"--rows", folder_.path() + "/none/rows.jsonl"},
                 "none/rows.jsonl for appending rows: No such file or directory; name a file in a "
                 "folder that exists");
  expect_refused({"--vcpus", "256", "--pages", "128"}, "take fewer pages");
  expect_refused({"--policy", "pace=fast"}, "unknown policy axis 'pace'");
  expect_refused({"--costs", folder_.file("x.costs", "luck = 1\n")},
                 "x.costs:1: nothing is called");
}

}  // namespace
}  // namespace sluice::tool
