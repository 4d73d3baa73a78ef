#include "tool/simulate_topology.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "platform/topology.h"

namespace sluice::tool {
namespace {

/// By its name alone: what is meant must not depend on which files there are.
bool is_file(std::string_view what) {
  return what.find('/') != std::string_view::npos || what.ends_with(".xml");
}

Expected<platform::Topology> open_topology(const std::string& what) {
  if (is_file(what)) return platform::Topology::from_xml(what);
  if (what != "host") return platform::Topology::synthetic(what);
  auto topology = platform::Topology::open();
  if (topology && !topology->is_this_system())
    return input_error("hwloc's environment variables (HWLOC_*) name another machine than this");
  return topology;
}

Expected<ChosenTopology> convert(const std::string& name, const platform::Topology& topology) {
  const std::vector<platform::Node>& nodes = topology.nodes();
  if (nodes.empty() || nodes.size() > run::kMaxSimulatedNodes)
    return input_error(fmt::format("{} has {} NUMA nodes, and a simulation 1 to {}", name,
                                   nodes.size(), run::kMaxSimulatedNodes));
  ChosenTopology chosen{.name = name};
  run::SimulatedTopology& machine = chosen.machine;
  machine.nodes = static_cast<unsigned>(nodes.size());
  for (unsigned i = 0; i < machine.nodes; ++i) machine.processors[i] = nodes[i].cpu_count;
  const auto distances = topology.distances();
  if (!distances) return std::unexpected(distances.error());
  if (!*distances) return chosen;
  chosen.distances = (*distances)->name;
  for (unsigned from = 0; from < machine.nodes; ++from)
    std::ranges::copy((*distances)->from[from], machine.factor[from].begin());
  return chosen;
}

std::span<const unsigned> processors_of(const run::SimulatedTopology& machine) {
  return std::span(machine.processors).first(machine.nodes);
}

/// "1.70 times", or "1.20 to 2.10 times" where not all are the same. Pre: two nodes or more.
std::string remote_factors(const run::SimulatedTopology& machine) {
  std::vector<double> factors;
  for (unsigned from = 0; from < machine.nodes; ++from) {
    for (unsigned to = 0; to < machine.nodes && machine.processors[from] != 0; ++to) {
      if (from != to) factors.push_back(machine.factor[from][to]);
    }
  }
  const auto [least, most] = std::ranges::minmax(factors);
  if (least == most) return fmt::format("{:.2f} times", least);
  return fmt::format("{:.2f} to {:.2f} times", least, most);
}

}  // namespace

Expected<ChosenTopology> choose_topology(const std::string& what, std::optional<unsigned> nodes) {
  if (what.empty()) return ChosenTopology{.machine = {.nodes = nodes.value_or(1)}};
  if (nodes)
    return input_error("--nodes and --topology: give one of them; a topology has its own nodes");
  const auto topology = open_topology(what);
  if (!topology) return input_error("--topology: " + topology.error().message());
  const auto chosen = convert(what, *topology);
  if (!chosen) return input_error("--topology: " + chosen.error().message());
  // What one vCPU does not fit on, none does.
  const std::string wrong = run::why_invalid(chosen->machine, 1);
  if (!wrong.empty()) return input_error(fmt::format("--topology: {}: {}", what, wrong));
  return chosen;
}

std::vector<unsigned> default_vcpus(const run::SimulatedTopology& machine) {
  const auto most = static_cast<unsigned>(
      std::min<std::uint64_t>(machine.processor_count(), run::kMaxSimulatedVcpus));
  std::vector<unsigned> counts;
  for (unsigned count = 1; count < most; count *= 2) counts.push_back(count);
  counts.push_back(most);
  return counts;
}

std::string text_of(const ChosenTopology& topology) {
  if (topology.name.empty()) return {};
  const run::SimulatedTopology& machine = topology.machine;
  std::string text = fmt::format("topology {}, {} processor{}", topology.name,
                                 fmt::join(processors_of(machine), " + "),
                                 machine.processor_count() == 1 ? "" : "s");
  if (machine.nodes > 1) {
    text += fmt::format(
        ", remote memory takes {} as long ({})", remote_factors(machine),
        topology.distances.empty() ? "the default: it has no distances" : topology.distances);
  }
  return text + '\n';
}

nlohmann::ordered_json json_of(const ChosenTopology& topology) {
  using Json = nlohmann::ordered_json;
  if (topology.name.empty()) return nullptr;
  const run::SimulatedTopology& machine = topology.machine;
  Json factors = Json::array();
  for (unsigned from = 0; from < machine.nodes; ++from)
    factors.push_back(std::span(machine.factor[from]).first(machine.nodes));
  return {{"name", topology.name},
          {"processors", processors_of(machine)},
          {"distances", topology.distances.empty() ? Json(nullptr) : Json(topology.distances)},
          {"remote_factor", factors}};
}

}  // namespace sluice::tool
