// sluice explore --random: the interleavings of many small programs, made from a seed and a corpus.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ops/files.h"
#include "ops/text.h"
#include "run/program_source.h"
#include "tool/command.h"
#include "tool/explore_command.h"
#include "tool/progress.h"

namespace sluice::tool {
namespace {

using Json = nlohmann::ordered_json;

/// Kinds of findings after which more are not looked for.
constexpr std::size_t kEnough = 10;
constexpr unsigned kPreemptions = 2;
/// Of one program: with its first few hundred interleavings of few preemptions most programs are
/// through, and the next program shows more than the rest of this one.
constexpr std::uint64_t kRunsOfAProgram = 300;

/// An invariant that was broken: in how many programs, and how in the first.
struct Kind {
  run::ExploreFinding first{};
  std::uint64_t number = 0;  // of the first program, from 0
  std::uint64_t programs = 0;
  std::string file{};
};
struct Report {
  std::uint64_t programs = 0, complete = 0, interleavings = 0, turns = 0;
  std::vector<Kind> kinds{};
  double seconds = 0;

  std::size_t findings() const {
    return static_cast<std::size_t>(std::ranges::count_if(kinds, [](const Kind& kind) {
      return kind.first.finding.cls == oracle::FindingClass::kFinding;
    }));
  }
};

Expected<std::vector<Sequence>> read_corpus(const std::vector<std::string>& paths) {
  std::vector<Sequence> corpus;
  if (paths.empty()) return corpus;
  const auto files = find_sequences(paths);
  if (!files) return std::unexpected(files.error());
  for (const std::string& file : *files) {
    auto sequence = read_sequence(file);
    if (!sequence) return std::unexpected(sequence.error());
    corpus.push_back(*std::move(sequence));
  }
  return corpus;
}

Expected<std::string> write_kind(const Kind& kind, const ExploreCommand& command) {
  Sequence sequence = kind.first.sequence;
  sequence.notes.title = oracle::describe(kind.first.finding);
  sequence.notes.source =
      fmt::format("sluice explore --random, seed {}, number {}", command.seed, kind.number);
  const std::string path =
      fmt::format("{}/explore-{}-{}.ops", command.out, command.seed, kind.number);
  if (const auto written = write_file(path, format_text(sequence)); !written)
    return std::unexpected(written.error());
  return path;
}

class RandomExploration {
 public:
  RandomExploration(model::ModelBackend& model, const ExploreCommand& command)
      : model_(model),
        command_(command),
        options_{.preemptions = command.preemptions.value_or(kPreemptions),
                 .max_runs = command.runs != 0 ? command.runs : kRunsOfAProgram,
                 .stop_at_finding = !command.keep_going} {}

  /// Error: a mistake of Sluice's own, or a file that cannot be written.
  Expected<void> take(const run::Program& program) {
    run::Exploration result = run::explore(model_, program, options_);
    if (result.unlike != 0)
      return input_error(fmt::format(
          "seed {}, number {}: {} schedules ended in another state when they were replayed: report "
          "this as a mistake in Sluice, with the seed and the number",
          command_.seed, report_.programs, result.unlike));
    report_.complete += result.complete ? 1u : 0u;
    report_.interleavings += result.runs;
    report_.turns += result.turns;
    std::erase_if(result.found,
                  [this](const run::ExploreFinding& one) { return counts_as_known(one); });
    // On a host that has everything, as all these programs are for.
    if (const auto minimized = minimize_found(result, Sequence{}); !minimized) return minimized;
    for (run::ExploreFinding& one : result.found) {
      if (const auto added = add(std::move(one)); !added) return added;
    }
    ++report_.programs;
    return {};
  }

  Report& report() { return report_; }

 private:
  /// Counts it where it is one of those that were found before.
  bool counts_as_known(const run::ExploreFinding& one) {
    const auto same = [&one](const Kind& kind) {
      return kind.first.finding.invariant == one.finding.invariant &&
             kind.first.finding.cls == one.finding.cls;
    };
    const auto known = std::ranges::find_if(report_.kinds, same);
    if (known == report_.kinds.end()) return false;
    ++known->programs;
    return true;
  }

  Expected<void> add(run::ExploreFinding&& one) {
    Kind kind{.first = std::move(one), .number = report_.programs, .programs = 1};
    if (!command_.out.empty() && kind.first.finding.cls == oracle::FindingClass::kFinding) {
      auto path = write_kind(kind, command_);
      if (!path) return std::unexpected(path.error());
      kind.file = *std::move(path);
    }
    report_.kinds.push_back(std::move(kind));
    return {};
  }

  model::ModelBackend& model_;
  const ExploreCommand& command_;
  run::ExploreOptions options_;
  Report report_{};
};

void print(const Report& report, const ExploreCommand& command) {
  for (const Kind& kind : report.kinds) {
    const bool is_finding = kind.first.finding.cls == oracle::FindingClass::kFinding;
    fmt::print("{}\n    in {} programs, first in number {}\n", oracle::describe(kind.first.finding),
               kind.programs, kind.number);
    if (is_finding) fmt::print("{}\n", format_text(kind.first.sequence));
    if (!kind.file.empty()) fmt::print("    written to {}\n", kind.file);
  }
  fmt::print(
      "seed {}: {} programs, {} of them in all interleavings within the bounds; {} "
      "interleavings, {} turns; {} kinds of findings\n",
      command.seed, report.programs, report.complete, report.interleavings, report.turns,
      report.findings());
}

void print_json(const Report& report, const ExploreCommand& command) {
  Json out{{"seed", command.seed},        {"programs", report.programs},
           {"complete", report.complete}, {"interleavings", report.interleavings},
           {"turns", report.turns},       {"seconds", report.seconds},
           {"found", Json::array()}};
  for (const Kind& kind : report.kinds) {
    out["found"].push_back({{"invariant", kind.first.finding.name()},
                            {"class", class_of(kind.first.finding)},
                            {"programs", kind.programs},
                            {"number", kind.number},
                            {"file", kind.file},
                            {"sequence", format_text(kind.first.sequence)}});
  }
  fmt::print("{}\n", out.dump(2));
}

}  // namespace

int explore_random(const ExploreCommand& command) {
  if (command.from || !command.policy.empty())
    return complain("--from and --policy are of one file's program, --random makes its own");
  auto corpus = read_corpus(command.in);
  if (!corpus) return complain(corpus.error());
  auto source = run::ProgramSource::open(*std::move(corpus), command.seed);
  if (!source) return complain(source.error());
  auto model = model::ModelBackend::open(default_profile(kDefaultKernel));
  if (!model) return complain(model.error());
  if (const auto made = make_out_folder(command.out); !made) return complain(made.error());
  Progress progress(command.random, "programs");
  RandomExploration exploration(*model, command);
  Report& report = exploration.report();
  while (report.programs < command.random && report.findings() < kEnough) {
    if (const auto taken = exploration.take(source->next()); !taken) {
      progress.clear();
      return complain(taken.error());
    }
    progress.step(report.programs);
  }
  progress.clear();
  report.seconds = progress.seconds();
  if (report.findings() >= kEnough)
    fmt::print(stderr, "sluice: {} kinds of findings are enough: stopped after {} programs\n",
               kEnough, report.programs);
  command.json ? print_json(report, command) : print(report, command);
  return report.findings() != 0 ? kFinding : kFine;
}

}  // namespace sluice::tool
