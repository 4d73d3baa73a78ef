// Machines that are described: what hwloc makes of a line or of a file, their processors and
// distances.
#include "platform/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace sluice::platform {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kTwoNodes = SLUICE_SOURCE_DIR "/harness/platform/testdata/two_nodes.xml";
/// Four processors, two, and a node of memory only, which the file's matrix names first.
const std::string kUnevenNodes = SLUICE_SOURCE_DIR "/harness/platform/testdata/uneven_nodes.xml";

std::vector<unsigned> processors_of(const Expected<Topology>& topology) {
  if (!topology) {
    ADD_FAILURE() << topology.error().message();
    return {};
  }
  std::vector<unsigned> processors;
  for (const Node& node : topology->nodes()) processors.push_back(node.cpu_count);
  return processors;
}

/// two_nodes.xml with something else in it, or something less.
class ChangedTopology : public ::testing::Test {
 protected:
  ChangedTopology()
      : path_(::testing::TempDir() + "sluice_topology_" + std::to_string(::getpid()) + ".xml") {
    std::ostringstream text;
    text << std::ifstream(kTwoNodes).rdbuf();
    text_ = text.str();
  }
  ~ChangedTopology() override { std::filesystem::remove(path_); }
  Expected<Topology> with(const std::string& old, const std::string& changed) {
    const std::size_t at = text_.find(old);
    if (at == std::string::npos) return input_error("the file has no " + old);
    return from(std::string(text_).replace(at, old.size(), changed));
  }
  Expected<Topology> cut_at(const std::string& where) {
    return from(text_.substr(0, text_.find(where)));
  }
  Expected<Topology> without_lines_of(const std::string& word) {
    std::istringstream lines(text_);
    std::string text;
    for (std::string line; std::getline(lines, line);) {
      if (line.find(word) == std::string::npos) text += line + '\n';
    }
    return from(text);
  }
  std::string path_;

 private:
  Expected<Topology> from(const std::string& text) {
    std::ofstream(path_) << text;
    return Topology::from_xml(path_);
  }
  std::string text_;
};

TEST(DescribedTopology, EachProcessorCountsForItsNearestNode) {
  EXPECT_THAT(processors_of(Topology::synthetic("core:3 pu:2")), ElementsAre(6u));
  EXPECT_THAT(processors_of(Topology::synthetic("package:2 numa:2 core:8 pu:2")),
              ElementsAre(16u, 16u, 16u, 16u));
  EXPECT_THAT(processors_of(Topology::synthetic("[numa] pack:2 [numa] core:2 pu:1")),
              ElementsAre(2u, 2u, 0u))
      << "the machine's own node serves all, and is the nearest of none";
  EXPECT_THAT(processors_of(Topology::synthetic("pack:2 [numa] [numa] core:2 pu:1")),
              ElementsAre(2u, 0u, 2u, 0u))
      << "of two nodes at one place the first has them";
  EXPECT_THAT(processors_of(Topology::from_xml(kUnevenNodes)), ElementsAre(4u, 2u, 0u));
}

TEST(DescribedTopology, ADescriptionSaysNothingOfDistances) {
  const auto topology = Topology::synthetic("numa:4 core:1 pu:1");
  ASSERT_TRUE(topology.has_value());
  const auto distances = topology->distances();
  ASSERT_TRUE(distances.has_value()) << distances.error().message();
  EXPECT_FALSE(distances->has_value());
}

TEST(DescribedTopology, DistancesAreMultiplesOfANodesOwn) {
  const auto topology = Topology::from_xml(kUnevenNodes);
  ASSERT_TRUE(topology.has_value()) << topology.error().message();
  EXPECT_FALSE(topology->is_this_system());
  const auto distances = topology->distances();
  ASSERT_TRUE(distances.has_value()) << distances.error().message();
  ASSERT_TRUE(distances->has_value());
  EXPECT_EQ((*distances)->name, "NUMALatency");
  EXPECT_THAT((*distances)->from, ElementsAre(ElementsAre(1, 2.1, 1.7), ElementsAre(2, 1, 2.8),
                                              ElementsAre(1.4, 2.8, 1)));
}

TEST(DescribedTopology, AFilesTopologyRefusesPlacement) {
  const auto topology = Topology::from_xml(kTwoNodes);
  ASSERT_TRUE(topology.has_value()) << topology.error().message();
  EXPECT_THAT(topology->bind_thread_to_node(0).error().message(), HasSubstr("or a file's"));
}

TEST(DescribedTopology, AFileThatIsNoTopologyIsAnErrorThatNamesIt) {
  EXPECT_THAT(Topology::from_xml("/nowhere/machine.xml").error().message(),
              HasSubstr("/nowhere/machine.xml: No such file"));
  EXPECT_THAT(Topology::from_xml(::testing::TempDir()).error().message(),
              HasSubstr("no topology that hwloc can read"));
}

TEST_F(ChangedTopology, AFileThatEndsTooEarlyIsNoTopology) {
  EXPECT_THAT(cut_at("<distances2").error().message(),
              HasSubstr(path_ + ": no topology that hwloc can read"));
}

TEST_F(ChangedTopology, AMachineWithoutProcessorsHasNone) {
  EXPECT_THAT(processors_of(without_lines_of("type=\"PU\"")), ElementsAre(0u, 0u));
}

TEST_F(ChangedTopology, BandwidthsAreNoDistances) {
  const auto topology = with("kind=\"6\"", "kind=\"10\"");
  ASSERT_TRUE(topology.has_value()) << topology.error().message();
  EXPECT_FALSE(topology->distances()->has_value());
}

TEST_F(ChangedTopology, ANodeThatIsNothingFromItselfIsAnError) {
  const auto topology = with("10 21 21 10", "10 21 21 00");
  ASSERT_TRUE(topology.has_value()) << topology.error().message();
  EXPECT_THAT(topology->distances().error().message(),
              HasSubstr("NUMALatency: node 1 is 0 from itself"));
}

}  // namespace
}  // namespace sluice::platform
