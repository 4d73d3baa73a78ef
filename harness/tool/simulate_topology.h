// sluice simulate --topology: a machine for the simulation, from what hwloc says about one.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/system_error.h"
#include "run/simulated_topology.h"

namespace sluice::tool {

struct ChosenTopology {
  std::string name{};       // as --topology has it; "" where --nodes says all there is to say
  std::string distances{};  // hwloc's name of the matrix; "" where the remote factor is the default
  run::SimulatedTopology machine{};
};

inline constexpr const char* kTopologyHelp =
    "Machine instead of --nodes: an hwloc description (\"pack:2 [numa] core:8 pu:2\"), a file of "
    "lstopo --of xml (a name with a slash, or that ends in .xml), or host";

/// At most one of the two may be given; 1 node where none is. Errors: both are; no such topology;
/// one of more nodes than a simulation may have; distances that are none.
Expected<ChosenTopology> choose_topology(const std::string& what, std::optional<unsigned> nodes);

/// How many vCPUs are tried where nobody says: 1, 2, 4 and so on, at last one for each processor.
std::vector<unsigned> default_vcpus(const run::SimulatedTopology& machine);

/// A line with its name, its processors and what remote memory takes; "" where it has no name.
std::string text_of(const ChosenTopology& topology);
/// The same, with the factor from each node to each; "distances" is null where it is the default.
/// Null where the topology has no name.
nlohmann::ordered_json json_of(const ChosenTopology& topology);

}  // namespace sluice::tool
