// sluice bench: runs the benchmark programs, placed as asked, and records rows.
#include <fmt/core.h>

#include "tool/command.h"
#include "tool/programs.h"

namespace sluice::tool {
namespace {

struct Options {
  std::string filter{}, backend{}, rows{}, run{};
  unsigned cpu_node = 0, memory_node = 0, repetitions = 0;
  bool smoke = false, count = false;
};

int run_backend(const Options& options, const std::string& backend) {
  const auto program = find_program("sluice_bench_" + backend);
  if (!program) return complain(program.error());
  std::vector<std::string> command{*program};
  const auto give = [&command](const char* flag, const std::string& value) {
    if (!value.empty()) command.insert(command.end(), {flag, value});
  };
  give("--filter", options.filter);
  give("--rows", options.rows);
  give("--run", options.run);
  give("--cpu-node", std::to_string(options.cpu_node));
  give("--memory-node", std::to_string(options.memory_node));
  if (options.repetitions > 0) give("--repetitions", std::to_string(options.repetitions));
  if (options.smoke) command.emplace_back("--smoke");
  if (options.count) command.emplace_back("--count");
  const auto finished = run_program(command);
  if (!finished) return complain(finished.error());
  return finished->status;
}

int bench(const Options& options) {
  if (!options.backend.empty()) return run_backend(options, options.backend);
  const int model = run_backend(options, "model");
  return model != kFine ? model : run_backend(options, "kvm");
}

}  // namespace

void add_bench(CLI::App& app, int& status) {
  Command command(app, "bench", "Run benchmarks and record rows");
  static Options options;
  command.option("--filter", options.filter, "Regular expression searched in the names");
  command.option("--backend", options.backend, "model | kvm (default: both)")
      .one_of({"model", "kvm"});
  command.option("--rows", options.rows, "File to append rows to");
  command.option("--run", options.run, "Run id (default: a new one)");
  command.option("--cpu-node", options.cpu_node, "NUMA node whose cores run the threads");
  command.option("--memory-node", options.memory_node, "NUMA node that memory comes from");
  command.option("--repetitions", options.repetitions, "Repetitions of each benchmark");
  command.flag("--smoke", options.smoke, "Smallest sizes: does it work, not how fast");
  command.flag("--count", options.count,
               "Instructions of single system calls, not times; inside 'sluice lane --icount'");
  command.on_run([&status] { status = bench(options); });
}

}  // namespace sluice::tool
