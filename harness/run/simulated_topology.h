// The machine under a simulation: its nodes, how many processors each has, and how much longer
// memory of another node takes. Plain numbers, so that whoever has them (a count of nodes, hwloc's
// description of a machine) can fill them in. Left out: caches, hyperthreads (each is a processor),
// how much memory a node has.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::run {

inline constexpr unsigned kMaxSimulatedVcpus = 256;
inline constexpr unsigned kMaxSimulatedNodes = 8;

// Assumption: memory of another node takes 1.7 times as long to store to and to walk, where nothing
// says how far the nodes are.
inline constexpr double kRemoteFactor = 1.7;

/// How much longer memory takes than a node's own: of each node (first index) to each.
using RemoteFactors = std::array<std::array<double, kMaxSimulatedNodes>, kMaxSimulatedNodes>;

/// 1 for a node's own memory, `remote` for all other. Pre: remote is not negative.
constexpr RemoteFactors equal_factors(double remote) {
  RemoteFactors factors{};
  for (std::size_t from = 0; from < factors.size(); ++from) {
    for (std::size_t to = 0; to < factors.size(); ++to) factors[from][to] = from == to ? 1 : remote;
  }
  return factors;
}

constexpr std::array<unsigned, kMaxSimulatedNodes> equal_processors(unsigned each) {
  std::array<unsigned, kMaxSimulatedNodes> processors{};
  processors.fill(each);
  return processors;
}

/// With nothing but `nodes` given: nodes of equal size, with a processor for every vCPU there may
/// be, equally far from one another. What lies behind the first `nodes` entries is not looked at.
struct SimulatedTopology {
  unsigned nodes = 1;  // 1 to kMaxSimulatedNodes
  /// Of each node; 0 is a node that has memory only.
  std::array<unsigned, kMaxSimulatedNodes> processors = equal_processors(kMaxSimulatedVcpus);
  RemoteFactors factor = equal_factors(kRemoteFactor);

  std::uint64_t processor_count() const;
  /// Where a vCPU runs: they are spread evenly over the processors, vCPU v of n on processor v * p
  /// / n of all p, counted node by node. So neighbors share a node, a node's share is that of its
  /// processors, and no two vCPUs meet on a processor.
  /// Pre: why_invalid() has nothing to say; vcpu < vcpus.
  std::uint8_t node_of(unsigned vcpu, unsigned vcpus) const;
};

/// What keeps so many vCPUs from running on it; "" where nothing does. Each needs a processor of
/// its own, since what a host's scheduler does with more of them is not simulated.
std::string why_invalid(const SimulatedTopology& topology, unsigned vcpus);

/// Which node a page of memory lies on.
enum class Placement : std::uint8_t {
  kLocal,        // of the vCPU that touched it first
  kInterleaved,  // page by page in turn
  kFirst         // all on the first node
};
inline constexpr std::array<std::string_view, 3> kPlacements{"local", "interleaved", "first"};

/// Which node each page lies on, from its first touch on. Pre: the topology is valid and outlives
/// this.
class PlacedPages {
 public:
  PlacedPages(const SimulatedTopology& topology, Placement placement, std::uint64_t pages);
  /// How much longer than a node's own memory the page takes for who touches it from there; 1 for a
  /// page that is none of these.
  double touch(std::uint64_t page, std::uint8_t from);

 private:
  const SimulatedTopology& topology_;
  Placement placement_;
  std::vector<std::uint8_t> node_of_page_;
};

}  // namespace sluice::run
