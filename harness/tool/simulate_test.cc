// sluice simulate as its user meets it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

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
  expect_refused({"--vcpus", "256", "--pages", "128"}, "take fewer pages");
  expect_refused({"--policy", "pace=fast"}, "unknown policy axis 'pace'");
  expect_refused({"--costs", folder_.file("x.costs", "luck = 1\n")},
                 "x.costs:1: nothing is called");
}

}  // namespace
}  // namespace sluice::tool
