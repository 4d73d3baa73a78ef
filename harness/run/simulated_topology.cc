#include "run/simulated_topology.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "base/check.h"

namespace sluice::run {
namespace {

constexpr std::uint8_t kNowhere = 0xff;

std::string why_invalid_factors(const SimulatedTopology& topology) {
  for (unsigned from = 0; from < topology.nodes; ++from) {
    for (unsigned to = 0; to < topology.nodes; ++to) {
      const double factor = topology.factor[from][to];
      if (from == to ? factor == 1 : std::isfinite(factor) && factor >= 1) continue;
      return fmt::format(
          "memory of node {} takes {} times as long from node {}, and must take {}: "
          "no memory is nearer than a node's own",
          to, factor, from, from == to ? "1" : "1 or more");
    }
  }
  return {};
}

}  // namespace

std::uint64_t SimulatedTopology::processor_count() const {
  return std::accumulate(processors.begin(), processors.begin() + nodes, std::uint64_t{0});
}

std::uint8_t SimulatedTopology::node_of(unsigned vcpu, unsigned vcpus) const {
  const std::uint64_t all = processor_count();
  std::uint64_t processor = vcpu * all / vcpus;
  SLUICE_CHECK(processor < all);
  std::uint8_t node = 0;
  while (processor >= processors[node]) processor -= processors[node++];
  return node;
}

std::string why_invalid(const SimulatedTopology& topology, unsigned vcpus) {
  if (topology.nodes < 1 || topology.nodes > kMaxSimulatedNodes)
    return fmt::format("nodes is {}, and must be 1 to {}", topology.nodes, kMaxSimulatedNodes);
  const std::uint64_t processors = topology.processor_count();
  if (processors == 0) return "no node has a processor for a vCPU to run on";
  if (vcpus > processors)
    return fmt::format(
        "{} vCPUs, and the topology has {} processor{}, of which each vCPU needs one: "
        "take fewer vCPUs, or a larger topology",
        vcpus, processors, processors == 1 ? "" : "s");
  return why_invalid_factors(topology);
}

PlacedPages::PlacedPages(const SimulatedTopology& topology, Placement placement,
                         std::uint64_t pages)
    : topology_(topology), placement_(placement), node_of_page_(pages, kNowhere) {}

double PlacedPages::touch(std::uint64_t page, std::uint8_t from) {
  if (page >= node_of_page_.size()) return 1;
  std::uint8_t& node = node_of_page_[page];
  if (node == kNowhere) {
    node = placement_ == Placement::kLocal ? from
           : placement_ == Placement::kInterleaved
               ? static_cast<std::uint8_t>(page % topology_.nodes)
               : std::uint8_t{0};
  }
  return topology_.factor[from][node];
}

}  // namespace sluice::run
