// sluice simulate: how a way of doing things scales, in virtual time.
#include "run/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "ops/text.h"
#include "tool/command.h"
#include "tool/rows.h"
#include "tool/simulate_rows.h"
#include "tool/simulate_topology.h"

namespace sluice::tool {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kAllWorkloads = "all";

struct SimulateCommand {
  std::string workload = "boot_eager", placement = "local";
  std::string vcpus{}, topology{}, policy{}, costs{};
  std::uint64_t pages = 64, seed = 1;
  std::optional<unsigned> nodes{};
  RowTarget rows{};
  bool json = false;
};

struct Run {
  unsigned vcpus = 0;
  run::SimulateResult result{};
};
/// Of one workload.
struct Runs {
  run::SimulatedWorkload workload{};
  std::vector<Run> all{};
};

template <std::size_t N>
std::vector<std::string> words_of(const std::array<std::string_view, N>& names) {
  return {names.begin(), names.end()};
}

/// "1,2,4". Error: what is no such list.
Expected<std::vector<unsigned>> parse_list(std::string_view text) {
  std::vector<unsigned> numbers;
  while (true) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view one = text.substr(0, comma);
    unsigned value = 0;
    const auto [end, error] = std::from_chars(one.data(), one.data() + one.size(), value);
    const bool whole = error == std::errc{} && end == one.data() + one.size();
    if (!whole || value < 1 || value > run::kMaxSimulatedVcpus)
      return input_error(
          fmt::format("--vcpus: '{}' is no number from 1 to {}, nor a list of such "
                      "with commas",
                      one, run::kMaxSimulatedVcpus));
    numbers.push_back(value);
    if (comma == text.size()) return numbers;
    text.remove_prefix(comma + 1);
  }
}

std::vector<std::string> workload_words() {
  std::vector<std::string> words = words_of(run::kSimulatedWorkloads);
  words.emplace_back(kAllWorkloads);
  return words;
}

/// Of a name among the names.
template <std::size_t N>
std::uint8_t place(const std::array<std::string_view, N>& names, std::string_view name) {
  return static_cast<std::uint8_t>(std::ranges::find(names, name) - names.begin());
}

std::vector<run::SimulatedWorkload> workloads_of(const SimulateCommand& command) {
  std::vector<run::SimulatedWorkload> chosen;
  for (std::size_t i = 0; i < run::kSimulatedWorkloads.size(); ++i) {
    if (command.workload == run::kSimulatedWorkloads[i] || command.workload == kAllWorkloads)
      chosen.push_back(static_cast<run::SimulatedWorkload>(i));
  }
  return chosen;
}

std::string_view name_of(run::SimulatedWorkload workload) {
  return run::kSimulatedWorkloads[static_cast<std::size_t>(workload)];
}

Expected<run::SimulateOptions> options_of(const SimulateCommand& command,
                                          const run::SimulatedTopology& machine) {
  run::SimulateOptions options{.topology = machine, .pages = command.pages, .seed = command.seed};
  options.placement = static_cast<run::Placement>(place(run::kPlacements, command.placement));
  if (!command.policy.empty()) {
    const auto policy = parse_policy(command.policy);
    if (!policy) return input_error("--policy: " + policy.error());
    if (policy->tdx_populate != TdxPopulate::kMainline)
      return input_error("--policy: tdx_populate is about TDs, and no workload has one");
    options.policy = *policy;
  }
  const auto table = run::CostTable::read(command.costs);
  if (!table) return std::unexpected(table.error());
  options.costs = *table;
  return options;
}

/// What most time is waited for; "-" where nobody waits.
std::string worst_lock(const run::SimulateResult& result, unsigned vcpus) {
  const auto worst = std::ranges::max_element(result.locks, {}, &run::LockTime::waited_ns);
  if (worst == result.locks.end() || worst->waited_ns == 0) return "-";
  const double share = worst->waited_ns / (result.virtual_ns * vcpus);
  return fmt::format("{} {:.0f} %", worst->name, 100 * share);
}

void print(const Runs& runs, const SimulateCommand& command, const ChosenTopology& topology) {
  const unsigned nodes = topology.machine.nodes;
  fmt::print("{}, {} pages a vCPU, {} node{}, placement {}{}{}\n", name_of(runs.workload),
             command.pages, nodes, nodes == 1 ? "" : "s", command.placement,
             command.policy.empty() ? "" : ", ", command.policy);
  fmt::print("{}", text_of(topology));
  fmt::print("{:>6} {:>14} {:>9} {:>12} {:>12}  {}\n", "vCPUs", "pages/s", "speed-up", "p50 us",
             "p99 us", "waited most for, of all time");
  // Over one vCPU, if that is the first line.
  const Run& first = runs.all.front();
  const double one = first.vcpus == 1 ? first.result.pages_per_second() : 0;
  for (const Run& run : runs.all) {
    const run::SimulateResult& r = run.result;
    const double rate = r.pages_per_second();
    fmt::print("{:>6} {:>14.0f} {:>9} {:>12.2f} {:>12.2f}  {}\n", run.vcpus, rate,
               one > 0 ? fmt::format("{:.2f}", rate / one) : "-", r.latency_ns[0] / 1e3,
               r.latency_ns[2] / 1e3, worst_lock(r, run.vcpus));
    if (r.refused != 0)
      fmt::print("{:>6} {} operations were refused: this policy does not let it work\n", "",
                 r.refused);
  }
}

Json json_of(const Run& run, std::string_view workload, const SimulateCommand& command,
             const ChosenTopology& topology) {
  const run::SimulateResult& r = run.result;
  Json out{{"workload", workload},
           {"vcpus", run.vcpus},
           {"nodes", topology.machine.nodes},
           {"placement", command.placement},
           {"policy", command.policy},
           {"pages_a_vcpu", command.pages},
           {"seed", command.seed},
           {"requests", r.requests},
           {"pages", r.pages},
           {"refused", r.refused},
           {"events", r.events},
           {"virtual_ns", r.virtual_ns},
           {"pages_per_second", r.pages_per_second()},
           {"latency_ns", Json::object()},
           {"locks", Json::array()}};
  constexpr std::array<std::string_view, 5> kNames{"p50", "p90", "p99", "p99.9", "max"};
  for (std::size_t i = 0; i < kNames.size(); ++i)
    out["latency_ns"][std::string(kNames[i])] = r.latency_ns[i];
  for (const run::LockTime& lock : r.locks) {
    out["locks"].push_back({{"name", lock.name},
                            {"taken", lock.taken},
                            {"contended", lock.contended},
                            {"waited_ns", lock.waited_ns},
                            {"held_ns", lock.held_ns}});
  }
  if (!topology.name.empty()) out["topology"] = json_of(topology);
  return out;
}

Expected<Runs> simulate_each(model::ModelBackend& model, run::SimulateOptions& options,
                             const std::vector<unsigned>& vcpus) {
  Runs runs{.workload = options.workload};
  for (const unsigned count : vcpus) {
    options.vcpus = count;
    const auto result = run::simulate(model, options);
    if (!result) return input_error(result.error());
    runs.all.push_back({.vcpus = count, .result = *result});
  }
  return runs;
}

/// The workloads one after the other.
Expected<std::vector<Runs>> simulate_all(run::SimulateOptions options,
                                         const std::vector<unsigned>& vcpus,
                                         const SimulateCommand& command) {
  auto model = model::ModelBackend::open(default_profile(kDefaultKernel));
  if (!model) return std::unexpected(model.error());
  std::vector<Runs> all;
  for (const run::SimulatedWorkload workload : workloads_of(command)) {
    options.workload = workload;
    auto runs = simulate_each(*model, options, vcpus);
    if (!runs) return std::unexpected(runs.error());
    all.push_back(*std::move(runs));
  }
  return all;
}

/// Does nothing without a file.
Expected<void> append_rows(const std::vector<Runs>& all, run::SimulateOptions options,
                           const SimulateCommand& command, const ChosenTopology& topology) {
  auto rows = RowWriter::open(command.rows);
  if (!rows) return std::unexpected(rows.error());
  const SimulationNotes notes{.topology = topology, .prices = command.costs};
  for (const Runs& runs : all) {
    options.workload = runs.workload;
    for (const Run& run : runs.all) {
      options.vcpus = run.vcpus;
      if (auto written = rows->append(row_of(run.result, options, notes)); !written) return written;
    }
  }
  return {};
}

void print_json(const std::vector<Runs>& all, const SimulateCommand& command,
                const ChosenTopology& topology) {
  Json out = Json::array();
  for (const Runs& runs : all) {
    for (const Run& run : runs.all)
      out.push_back(json_of(run, name_of(runs.workload), command, topology));
  }
  // The name of a topology is any text.
  fmt::print("{}\n", out.dump(2, ' ', false, Json::error_handler_t::replace));
}

int run_all(const SimulateCommand& command) {
  const auto topology = choose_topology(command.topology, command.nodes);
  if (!topology) return complain(topology.error());
  const auto vcpus =
      command.vcpus.empty() ? default_vcpus(topology->machine) : parse_list(command.vcpus);
  if (!vcpus) return complain(vcpus.error());
  const auto options = options_of(command, topology->machine);
  if (!options) return complain(options.error());
  if (const auto writable = check_writable(command.rows); !writable)
    return complain(writable.error());
  const auto all = simulate_all(*options, *vcpus, command);
  if (!all) return complain(all.error());
  if (command.json) {
    print_json(*all, command, *topology);
  } else {
    for (const Runs& runs : *all) print(runs, command, *topology);
  }
  if (const auto appended = append_rows(*all, *options, command, *topology); !appended)
    return complain(appended.error());
  const auto refuses = [](const Runs& runs) {
    return std::ranges::any_of(runs.all, [](const Run& run) { return run.result.refused != 0; });
  };
  return std::ranges::any_of(*all, refuses) ? kInconclusive : kFine;
}

}  // namespace

void add_simulate(CLI::App& app, int& status) {
  Command command(app, "simulate",
                  "How a workload scales with vCPUs and nodes, in virtual time on the model");
  static SimulateCommand options;
  command
      .option(
          "--workload", options.workload,
          "boot_eager | boot_lazy | premap | ping_pong | ballooning | migration | all: one after "
          "the other (boot_eager)")
      .one_of(workload_words());
  command
      .option("--vcpus", options.vcpus,
              "Numbers with commas, each 1 to 256 (1,2,4,... to 256, or to all processors of the "
              "topology)")
      .not_empty();
  command.option("--nodes", options.nodes, "NUMA nodes that they are spread over (1)")
      .between(1, run::kMaxSimulatedNodes);
  command.option("--topology", options.topology, kTopologyHelp).not_empty();
  command
      .option("--placement", options.placement,
              "Which node memory lies on: local | interleaved | first (local)")
      .one_of(words_of(run::kPlacements));
  command.option("--pages", options.pages, "Of each vCPU (64)")
      .between(16, run::kMaxSimulatedPages);
  command.option("--policy", options.policy, "axis=value,... (sluice list alternatives)");
  command.option("--costs", options.costs, "File with lines NAME = NANOSECONDS");
  command.option("--seed", options.seed, "Of the order in which boot_lazy touches pages (1)");
  command.option("--rows", options.rows.file,
                 "Append a row for each number of vCPUs to this file, for 'sluice site'");
  command.option("--run", options.rows.run, "Run id of those rows");
  command.flag("--json", options.json, "Machine-readable output, with every lock");
  command.on_run([&status] { status = run_all(options); });
}

}  // namespace sluice::tool
