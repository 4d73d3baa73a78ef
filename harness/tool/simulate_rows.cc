#include "tool/simulate_rows.h"

#include <algorithm>
#include <cstddef>

#include "ops/text.h"

namespace sluice::tool {
namespace {

std::optional<record::SimulatedTopology> topology_of(const ChosenTopology& chosen) {
  if (chosen.name.empty()) return std::nullopt;
  const run::SimulatedTopology& machine = chosen.machine;
  record::SimulatedTopology topology{.name = chosen.name};
  if (!chosen.distances.empty()) topology.distances = chosen.distances;
  for (std::size_t from = 0; from < machine.nodes; ++from) {
    topology.processors.push_back(machine.processors[from]);
    const auto& factors = machine.factor[from];
    topology.remote_factor.emplace_back(factors.begin(), factors.begin() + machine.nodes);
  }
  return topology;
}

}  // namespace

record::SimulationRow row_of(const run::SimulateResult& result, const run::SimulateOptions& options,
                             const SimulationNotes& notes) {
  const auto workload = static_cast<std::size_t>(options.workload);
  const auto placement = static_cast<std::size_t>(options.placement);
  record::SimulationRow row{.workload = std::string(run::kSimulatedWorkloads[workload]),
                            .vcpus = options.vcpus,
                            .nodes = options.topology.nodes,
                            .topology = topology_of(notes.topology),
                            .placement = std::string(run::kPlacements[placement]),
                            .policy = format_policy(options.policy),
                            .pages_a_vcpu = options.pages,
                            .seed = options.seed,
                            .requests = result.requests,
                            .pages = result.pages,
                            .refused = result.refused,
                            .events = result.events,
                            .virtual_ns = result.virtual_ns,
                            .pages_per_second = result.pages_per_second()};
  const auto& [p50, p90, p99, p999, max] = result.latency_ns;
  row.latency_ns = {.p50 = p50, .p90 = p90, .p99 = p99, .p999 = p999, .max = max};
  if (!notes.prices.empty()) row.prices = notes.prices;
  for (const run::LockTime& lock : result.locks) {
    row.locks.push_back({.name = lock.name,
                         .taken = lock.taken,
                         .contended = lock.contended,
                         .waited_ns = lock.waited_ns,
                         .held_ns = lock.held_ns});
  }
  return row;
}

}  // namespace sluice::tool
