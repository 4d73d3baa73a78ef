// The machine under a simulation: where vCPUs and pages come to lie, and what is no such machine.
#include "run/simulated_topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::run {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<unsigned> nodes_of(const SimulatedTopology& topology, unsigned vcpus) {
  std::vector<unsigned> nodes;
  for (unsigned v = 0; v < vcpus; ++v) nodes.push_back(topology.node_of(v, vcpus));
  return nodes;
}

TEST(SimulatedTopology, NodesOfEqualSizeTakeEqualSharesOfNeighbors) {
  EXPECT_THAT(nodes_of({.nodes = 2}, 4), ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(nodes_of({.nodes = 2}, 5), ElementsAre(0, 0, 0, 1, 1));
  EXPECT_THAT(nodes_of({.nodes = 8}, 2), ElementsAre(0, 4));
}

TEST(SimulatedTopology, HowManyProcessorsEqualNodesHaveDoesNotMatter) {
  for (unsigned nodes = 1; nodes <= kMaxSimulatedNodes; ++nodes) {
    const SimulatedTopology large{.nodes = nodes};
    const SimulatedTopology small{.nodes = nodes, .processors = equal_processors(7)};
    for (unsigned vcpus = 1; vcpus <= 7 * nodes; ++vcpus)
      EXPECT_EQ(nodes_of(large, vcpus), nodes_of(small, vcpus)) << nodes << " nodes";
  }
}

TEST(SimulatedTopology, ANodeTakesTheShareOfItsProcessors) {
  const SimulatedTopology uneven{.nodes = 3, .processors = {4, 0, 2}};
  EXPECT_EQ(uneven.processor_count(), 6u);
  EXPECT_THAT(nodes_of(uneven, 6), ElementsAre(0, 0, 0, 0, 2, 2));
  EXPECT_THAT(nodes_of(uneven, 3), ElementsAre(0, 0, 2)) << "the node without processors has none";
  const SimulatedTopology memory_first{.nodes = 2, .processors = {0, 3}};
  EXPECT_THAT(nodes_of(memory_first, 3), ElementsAre(1, 1, 1));
}

TEST(SimulatedTopology, APageLiesWhereItsPlacementSays) {
  SimulatedTopology topology{.nodes = 2};
  topology.factor[0][1] = 3;
  topology.factor[1][0] = 2;
  PlacedPages local(topology, Placement::kLocal, 4);
  EXPECT_EQ(local.touch(2, 1), 1);
  EXPECT_EQ(local.touch(2, 0), 3) << "from node 0 to what node 1 touched first";
  EXPECT_EQ(local.touch(2, 1), 1) << "where it stays";
  EXPECT_EQ(local.touch(4, 0), 1) << "no page of these";
  PlacedPages interleaved(topology, Placement::kInterleaved, 4);
  EXPECT_EQ(interleaved.touch(2, 1), 2);
  EXPECT_EQ(interleaved.touch(3, 1), 1);
  PlacedPages first(topology, Placement::kFirst, 4);
  EXPECT_EQ(first.touch(3, 1), 2);
  EXPECT_EQ(first.touch(3, 0), 1);
}

TEST(SimulatedTopology, WhatIsNoMachineForSoManyIsSaid) {
  EXPECT_EQ(why_invalid({}, kMaxSimulatedVcpus), "");
  EXPECT_EQ(why_invalid({.nodes = 1, .processors = {4}}, 4), "");
  EXPECT_THAT(why_invalid({.nodes = 0}, 1), HasSubstr("nodes is 0, and must be 1 to 8"));
  EXPECT_THAT(why_invalid({.nodes = 9}, 1), HasSubstr("nodes is 9"));
  EXPECT_THAT(why_invalid({.nodes = 2, .processors = {}}, 1), HasSubstr("no node has a processor"));
  EXPECT_THAT(why_invalid({.nodes = 1, .processors = {1}}, 2),
              HasSubstr("2 vCPUs, and the topology has 1 processor, of which"));
  EXPECT_THAT(why_invalid({.nodes = 2, .processors = {2, 3}}, 6), HasSubstr("take fewer vCPUs"));
  SimulatedTopology near{.nodes = 2};
  near.factor[1][0] = 0.5;
  EXPECT_THAT(why_invalid(near, 1), HasSubstr("of node 0 takes 0.5 times as long from node 1"));
  near.factor[1][0] = 2;
  near.factor[1][1] = 1.1;
  EXPECT_THAT(why_invalid(near, 1), HasSubstr("must take 1: "));
}

}  // namespace
}  // namespace sluice::run
