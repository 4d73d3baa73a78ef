// The program around a session: arguments in, rows and exit status out.
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <optional>
#include <span>

#include "benchmarks/scenario/session.h"
#include "platform/build_info.h"
#include "platform/clock.h"
#include "platform/counters.h"
#include "platform/fingerprint.h"
#include "record/row_file.h"

namespace sluice::bench {
namespace {

constexpr std::array kCounters = {"page_faults", "context_switches", "instructions",
                                  "cycles",      "cache_misses",     "dtlb_load_misses"};
constexpr std::chrono::minutes kPatience{5};  // the longest benchmark takes seconds
constexpr int kFine = 0;
constexpr int kFinding = 1;
constexpr int kUsage = 3;

int stop(const std::string& program, const SystemError& error) {
  fmt::print(stderr, "{}: {}\n", program, error.message());
  return kUsage;
}

int list(const std::vector<Instance>& instances) {
  for (const Instance& instance : instances) {
    const Definition& definition = *instance.definition;
    fmt::print("{}\t{}\t{}\t{}\n", instance.name, definition.backend, definition.target,
               definition.floor);
  }
  return kFine;
}

}  // namespace

int benchmark_main(int argc, char** argv) {
  const std::string program = argc > 0 ? argv[0] : "sluice_bench";
  const Expected<Options> options = parse_options({argv + 1, argv + argc});
  if (!options) return stop(program, options.error());
  if (options->help) {
    fmt::print("{}", usage(program));
    return kFine;
  }
  const std::vector<Instance> instances = all_instances(options->smoke);
  if (options->list) return list(instances);

  const Expected<platform::Topology> topology = platform::Topology::open();
  if (!topology) return stop(program, topology.error());
  std::optional<record::RowSink> sink;
  if (!options->rows.empty()) {
    Expected<record::RowSink> opened = record::RowSink::open(options->rows);
    if (!opened) return stop(program, opened.error());
    sink = std::move(*opened);
  }
  const platform::Fingerprint fingerprint = platform::read_fingerprint({.topology = &*topology});
  const Fact* const lane = find_fact(fingerprint.facts, "lane");
  const auto* const machine = lane == nullptr ? nullptr : std::get_if<std::string>(&lane->value);
  if (options->count && (machine == nullptr || machine->find("instructions") == std::string::npos))
    return stop(program, {.number = 0,
                          .what = "--count: this machine's clock counts time, not instructions; "
                                  "run it inside 'sluice lane --icount --flavour cost -- ...'"});
  // Before any thread is started: counters follow the threads that come later.
  platform::Counters counters = platform::Counters::open({kCounters.begin(), kCounters.end()});
  std::optional<SystemError> lost_row;
  SessionHost host{.head = {.run = options->run.empty() ? platform::new_run_id() : options->run,
                            .time = platform::utc_now(),
                            .commit = platform::build_info().commit,
                            .dirty = platform::build_info().dirty,
                            .host = fingerprint.id},
                   .topology = &*topology,
                   .counters = &counters,
                   .write =
                       [&](const record::Row& row) {
                         if (!sink) return;
                         if (Expected<void> written = sink->append(row); !written)
                           lost_row = written.error();
                       },
                   .print =
                       [](const std::string& line) {
                         fmt::print("{}\n", line);
                         std::fflush(stdout);
                       }};
  host.write(record::HostRow{.head = host.head, .fingerprint = fingerprint.facts});
  // Its thread only waits, and it starts after the counters were opened: they count it, which adds
  // nothing.
  Watchdog watchdog(kPatience, [&](const std::string& name) {
    record::BenchmarkRow row{.head = host.head, .name = name};
    row.skipped = fmt::format("FAILED: did not return within {} minutes; the run ends here",
                              kPatience.count());
    host.write(row);
    fmt::print("{}\t{}\n", name, *row.skipped);
  });
  host.watchdog = &watchdog;
  const Expected<SessionResult> result = run_session(*options, instances, host);
  if (!result) return stop(program, result.error());
  if (lost_row) return stop(program, *lost_row);
  return result->failed == 0 ? kFine : kFinding;
}

}  // namespace sluice::bench
