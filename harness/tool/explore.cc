// sluice explore: every interleaving of a small program.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ops/files.h"
#include "ops/text.h"
#include "run/explore.h"
#include "run/fuzz_run.h"
#include "tool/command.h"
#include "tool/explore_command.h"
#include "tool/progress.h"

namespace sluice::tool {
namespace {

using Json = nlohmann::ordered_json;

/// The first few runs say too little of how many there will be.
constexpr std::uint64_t kRunsBetweenLooks = 256;

std::string bound_words(const ExploreCommand& command) {
  if (!command.preemptions) return "all";
  return fmt::format("all with at most {} preemption{}", *command.preemptions,
                     *command.preemptions == 1 ? "" : "s");
}

void print_program(const run::Program& program, const ExploreCommand& command) {
  fmt::print("{}: from line {} on, behind {} operations:\n", command.in.front(), program.line,
             program.setup.steps.size());
  for (const Step& step : program.steps) fmt::print("    {}\n", format_step(step));
}

void print(const run::Exploration& result, const ExploreCommand& command) {
  std::string which = bound_words(command);
  if (result.cut != 0) {
    which = fmt::format("{} of them left at turn {}", result.cut, run::kMaxTurns);
  } else if (!result.complete) {
    which = fmt::format("some {:.2g} % of {}", 100 * result.share, bound_words(command));
  }
  fmt::print("{} interleavings ({}), {} end states; {} turns, the longest {}", result.runs, which,
             result.end_states.size(), result.turns, result.longest);
  if (result.left_out != 0)
    fmt::print("; {} turns not tried, which would do the same in another order", result.left_out);
  fmt::print("\n");
  for (const run::ExploreFinding& one : result.found)
    fmt::print("{}\n{} times, first by:\n{}", oracle::describe(one.finding), one.times,
               format_text(one.sequence));
  if (result.found.empty()) fmt::print("no finding\n");
}

void print_json(const run::Program& program, const run::Exploration& result,
                const ExploreCommand& command) {
  Json out{{"file", command.in.front()},
           {"line", program.line},
           {"setup", program.setup.steps.size()},
           {"operations", Json::array()},
           {"preemptions", nullptr},
           {"interleavings", result.runs},
           {"complete", result.complete},
           {"share", result.share},
           {"end_states", result.end_states.size()},
           {"turns", result.turns},
           {"longest", result.longest},
           {"left_out", result.left_out},
           {"cut", result.cut},
           {"found", Json::array()}};
  if (command.preemptions) out["preemptions"] = *command.preemptions;
  for (const Step& step : program.steps) out["operations"].push_back(format_step(step));
  for (const run::ExploreFinding& one : result.found) {
    out["found"].push_back({{"invariant", one.finding.name()},
                            {"class", class_of(one.finding)},
                            {"times", one.times},
                            {"sequence", format_text(one.sequence)}});
  }
  fmt::print("{}\n", out.dump(2));
}

Expected<void> write_first(const run::Exploration& result, const std::string& path) {
  for (const run::ExploreFinding& one : result.found) {
    if (one.finding.cls == oracle::FindingClass::kFinding)
      return write_file(path, format_text(one.sequence));
  }
  return {};
}

run::Exploration explore_with_progress(model::ModelBackend& model, const run::Program& program,
                                       const ExploreCommand& command) {
  Progress progress(command.runs, "interleavings");
  run::ExploreOptions options{.preemptions = command.preemptions,
                              .stop_at_finding = !command.keep_going};
  if (command.runs != 0) options.max_runs = command.runs;
  options.on_run = [&](std::uint64_t runs, double share) {
    if (runs % kRunsBetweenLooks != 0 || share <= 0) return;
    const double total = static_cast<double>(runs) / share;
    progress.expect(std::min(options.max_runs, static_cast<std::uint64_t>(std::min(total, 1e12))));
    progress.step(runs);
  };
  return run::explore(model, program, options);
}

}  // namespace

Expected<void> minimize_found(run::Exploration& result, const Sequence& on) {
  if (!result.has_finding()) return {};
  auto model = run::FuzzRun::open(run::profile_without(default_profile(kDefaultKernel), on));
  if (!model) return std::unexpected(model.error());
  for (run::ExploreFinding& one : result.found) {
    if (one.finding.cls != oracle::FindingClass::kFinding) continue;
    const auto again = model->run(one.sequence);
    if (!again || again->finding.invariant != one.finding.invariant)
      return input_error(fmt::format(
          "{}: found, but not again by its schedule: report this as a mistake in Sluice, with\n{}",
          one.finding.name(), format_text(one.sequence)));
    one.sequence = run::minimize_finding(*model, one.sequence, one.finding).sequence;
  }
  return {};
}

int explore_file(const ExploreCommand& command) {
  if (command.in.size() != 1)
    return complain("explore wants one FILE, or --random N and the folders to draw on");
  const std::string& path = command.in.front();
  auto sequence = read_sequence(path);
  if (!sequence) return complain(sequence.error());
  if (!command.policy.empty()) {
    const auto policy = parse_policy(command.policy);
    if (!policy) return complain("--policy: " + policy.error());
    sequence->header.policy = *policy;
  }
  const auto program = run::program_of(*sequence, path, command.from);
  if (!program) return complain(program.error());
  auto model = run::open_model_for(*sequence);
  if (!model) return complain(model.error());
  const auto missing = run::missing_requirement(*model, *sequence, path);
  if (!missing) return complain(missing.error());
  if (!missing->empty()) {
    fmt::print("skipped {}: {}\n", path, *missing);
    return kInconclusive;
  }
  if (!command.json) print_program(*program, command);
  std::fflush(stdout);
  run::Exploration result = explore_with_progress(*model, *program, command);
  if (result.unlike != 0)
    return complain(fmt::format(
        "{}: {} schedules ended in another state when they were replayed: report this as "
        "a mistake in Sluice, with the file",
        path, result.unlike));
  if (const auto minimized = minimize_found(result, *sequence); !minimized)
    return complain(minimized.error());
  if (!command.out.empty()) {
    if (const auto written = write_first(result, command.out); !written)
      return complain(written.error());
  }
  command.json ? print_json(*program, result, command) : print(result, command);
  if (result.has_finding()) return kFinding;
  return result.complete ? kFine : kInconclusive;
}

void add_explore(CLI::App& app, int& status) {
  Command command(
      app, "explore",
      "Every interleaving of a small program on the model, or all with few preemptions");
  static ExploreCommand options;
  command.option("FILE", options.in,
                 "A sequence; its last part is explored. With --random: files and folders "
                 "whose sequences are varied");
  command
      .option("--from", options.from,
              "Line of the first operation of that part (default: the first one that parks)")
      .between(1, 1 << 20);
  command
      .option("--preemptions", options.preemptions,
              "Only interleavings that leave an actor inside an operation so often at most")
      .between(0, 1000);
  command
      .option("--random", options.random,
              "Explore so many programs from a seed instead: the ends of FILE's sequences, "
              "mutated and crossed, and of random ones (--preemptions 2 --runs 300)")
      .between(1, std::uint64_t{1} << 40);
  command.option("--seed", options.seed, "Of --random: same seed, same programs (1)");
  command
      .option("--runs", options.runs,
              "Stop after so many interleavings of a program (status 2 but with --random)")
      .between(1, std::uint64_t{1} << 40);
  command.option("--policy", options.policy,
                 "axis=value,... instead of what the sequence says (axes: docs/ops.md)");
  command.option("--out", options.out,
                 "File for the sequence of the first finding, minimized; with --random a "
                 "folder for the first of each kind");
  command.flag("--keep-going", options.keep_going,
               "Explore on behind a finding, and count how often each is met");
  command.flag("--json", options.json, "Machine-readable output");
  command.on_run([&status] {
    status = options.random != 0 ? explore_random(options) : explore_file(options);
  });
}

}  // namespace sluice::tool
