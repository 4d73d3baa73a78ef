// sluice simulate --topology as its user meets it.
#include "tool/simulate_topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tool/command.h"
#include "tool/test_folder.h"

namespace sluice::tool {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::ordered_json;

const std::string kFixtures = SLUICE_SOURCE_DIR "/harness/platform/testdata/";
const std::string kUnevenNodes = kFixtures + "uneven_nodes.xml";

class SimulateTopology : public ::testing::Test {
 protected:
  Answer sluice(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {SLUICE_PROGRAM, "simulate", "--pages", "16"});
    return folder_.run(arguments);
  }
  Json json(std::vector<std::string> arguments) const {
    arguments.emplace_back("--json");
    const Answer answer = sluice(std::move(arguments));
    EXPECT_EQ(answer.status, kFine) << answer.text;
    return Json::parse(answer.text, nullptr, false);
  }
  void expect_refused(const std::vector<std::string>& arguments, const std::string& why) const {
    const Answer answer = sluice(arguments);
    EXPECT_EQ(answer.status, kUsage) << answer.text;
    EXPECT_THAT(answer.text, HasSubstr(why));
  }
  /// Two nodes of two processors, a matrix of distances between them.
  std::string two_nodes(const std::string& matrix) const {
    std::string text = read_file(kFixtures + "two_nodes.xml", 1 << 16).value_or("");
    const std::string there = "10 21 21 10";
    const std::size_t at = text.find(there);
    EXPECT_NE(at, std::string::npos);
    if (at != std::string::npos) text.replace(at, there.size(), matrix);
    return folder_.file("two_nodes.xml", text);
  }
  const TestFolder folder_{::testing::TempDir() + "sluice_simulate_topology_" +
                           ::testing::UnitTest::GetInstance()->current_test_info()->name()};
};

TEST_F(SimulateTopology, ADescriptionIsNamedWithItsProcessorsAndTheDefaultFactor) {
  const std::string description = "package:2 numa:2 core:3 pu:2";
  const Answer answer = sluice({"--topology", description, "--vcpus", "5"});
  EXPECT_EQ(answer.status, kFine) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("4 nodes, placement local\ntopology " + description +
                                     ", 6 + 6 + 6 + 6 processors, remote memory takes 1.70 times "
                                     "as long (the default: it has no distances)\n"));
  const Json run = json({"--topology", description, "--vcpus", "5"})[0];
  EXPECT_EQ(run["nodes"], 4);
  EXPECT_EQ(run["topology"]["name"], description);
  EXPECT_EQ(run["topology"]["processors"], Json({6, 6, 6, 6}));
  EXPECT_TRUE(run["topology"]["distances"].is_null());
  EXPECT_EQ(run["topology"]["remote_factor"][3], Json({1.7, 1.7, 1.7, 1.0}));
}

TEST_F(SimulateTopology, AFilesDistancesTakeThePlaceOfTheDefault) {
  const Answer answer = sluice({"--topology", kUnevenNodes, "--vcpus", "6"});
  EXPECT_EQ(answer.status, kFine) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr(", 4 + 2 + 0 processors, remote memory takes 1.70 to 2.80 "
                                     "times as long (NUMALatency)\n"));
  const Json topology = json({"--topology", kUnevenNodes, "--vcpus", "6"})[0]["topology"];
  EXPECT_EQ(topology["distances"], "NUMALatency");
  EXPECT_EQ(topology["remote_factor"], Json({{1.0, 2.1, 1.7}, {2.0, 1.0, 2.8}, {1.4, 2.8, 1.0}}));
}

TEST_F(SimulateTopology, OneNodeHasNoRemoteMemory) {
  const Answer answer = sluice({"--topology", "pu:1"});
  EXPECT_EQ(answer.status, kFine) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("1 node, placement local\ntopology pu:1, 1 processor\n"));
}

TEST_F(SimulateTopology, EqualDistancesAreTheSameBytesAsACountOfNodes) {
  const std::string file = two_nodes("10 17 17 10");
  for (const std::string workload : {"premap", "ping_pong"}) {
    const std::vector<std::string> common{"--workload",  workload,      "--vcpus", "1,3,4",
                                          "--placement", "interleaved", "--json"};
    std::vector<std::string> by_count = common, by_file = common;
    by_count.insert(by_count.end(), {"--nodes", "2"});
    by_file.insert(by_file.end(), {"--topology", file});
    Json with_topology = Json::parse(sluice(by_file).text, nullptr, false);
    for (Json& run : with_topology) run.erase("topology");
    EXPECT_EQ(with_topology.dump(2) + '\n', sluice(by_count).text);
  }
}

TEST_F(SimulateTopology, FartherMemoryCostsMore) {
  const auto latency = [this](const std::string& matrix, const std::string& placement) {
    const Json run = json({"--workload", "ping_pong", "--vcpus", "2", "--placement", placement,
                           "--topology", two_nodes(matrix)})[0];
    return run["latency_ns"]["max"].get<double>();
  };
  const double own = latency("10 12 12 10", "local");
  const double near = latency("10 12 12 10", "first");
  EXPECT_GT(near, own);
  EXPECT_GT(latency("10 21 21 10", "first"), near);
  EXPECT_EQ(latency("10 21 21 10", "local"), own);
  EXPECT_EQ(latency("10 99 12 10", "first"), near) << "nobody goes from the first node to another";
}

TEST_F(SimulateTopology, TheSameArgumentsGiveTheSameBytes) {
  const std::vector<std::string> arguments{"--topology", kUnevenNodes, "--workload", "boot_lazy",
                                           "--json"};
  EXPECT_EQ(sluice(arguments).text, sluice(arguments).text);
}

TEST_F(SimulateTopology, WhereNobodySaysAllProcessorsAreUsed) {
  std::vector<unsigned> counts;
  for (const Json& run : json({"--topology", kUnevenNodes})) counts.push_back(run["vcpus"]);
  EXPECT_THAT(counts, ElementsAre(1, 2, 4, 6));
  EXPECT_THAT(default_vcpus({.nodes = 1, .processors = {1}}), ElementsAre(1));
  EXPECT_THAT(default_vcpus({.nodes = 8}), ElementsAre(1, 2, 4, 8, 16, 32, 64, 128, 256));
}

TEST_F(SimulateTopology, ThisMachineIsOneToo) {
  const Answer answer = sluice({"--topology", "host", "--vcpus", "1"});
  EXPECT_EQ(answer.status, kFine) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("topology host, "));
  const Answer other = folder_.run(
      {"/usr/bin/env", "HWLOC_SYNTHETIC=pu:3", SLUICE_PROGRAM, "simulate", "--topology", "host"});
  EXPECT_EQ(other.status, kUsage) << other.text;
  EXPECT_THAT(other.text, HasSubstr("name another machine than this"));
}

TEST_F(SimulateTopology, UpToEightNodesAreTaken) {
  EXPECT_EQ(json({"--topology", "numa:8 core:1 pu:1"})[0]["nodes"], 8);
  expect_refused({"--topology", "numa:9 core:1 pu:1"},
                 "--topology: numa:9 core:1 pu:1 has 9 NUMA nodes, and a simulation 1 to 8");
}

TEST_F(SimulateTopology, WrongTopologiesAreNamed) {
  expect_refused({"--topology", "three potatoes"}, "write it like");
  expect_refused({"--topology", ""}, "--topology: it is empty");
  expect_refused({"--topology", folder_.path("none.xml")}, "none.xml: No such file");
  expect_refused({"--topology", "none.xml"}, "read the topology in none.xml: No such file");
  expect_refused({"--topology", folder_.file("text.xml", "pack:2")}, "text.xml: no topology");
  expect_refused({"--topology", two_nodes("10 21 21 00")}, "node 1 is 0 from itself");
  expect_refused({"--topology", two_nodes("10 21 05 10")}, "and must take 1 or more");
  expect_refused({"--topology", "pu:2", "--nodes", "1"}, "--nodes and --topology: give one");
}

TEST_F(SimulateTopology, MoreVcpusThanProcessorsAreRefusedBeforeAnythingIsShown) {
  const Answer answer = sluice({"--topology", kUnevenNodes, "--vcpus", "6,7"});
  EXPECT_EQ(answer.status, kUsage) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("7 vCPUs, and the topology has 6 processors"));
  EXPECT_THAT(answer.text, HasSubstr("take fewer vCPUs, or a larger topology"));
  EXPECT_THAT(answer.text, Not(HasSubstr("pages/s")));
}

TEST_F(SimulateTopology, WithoutProcessorsNothingRuns) {
  std::string text = read_file(kUnevenNodes, 1 << 16).value_or("");
  for (std::size_t at = 0; (at = text.find("<object type=\"PU\"")) != std::string::npos;)
    text.erase(at, text.find("/>", at) + 2 - at);
  expect_refused({"--topology", folder_.file("none.xml", text)}, "no node has a processor");
}

}  // namespace
}  // namespace sluice::tool
