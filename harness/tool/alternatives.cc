// sluice alternatives: the table of design alternatives, each shown anew by running it.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "ops/files.h"
#include "ops/text.h"
#include "tool/alternatives_rows.h"
#include "tool/command.h"
#include "tool/progress.h"

namespace sluice::tool {
namespace {

using Json = nlohmann::ordered_json;
using run::Alternative;
using run::AlternativeShown;
using run::AlternativeVerdict;
using run::Flavor;

struct AlternativesCommand {
  std::string corpus = "corpora/alternatives", tours = "corpora/tours";
  std::string axis{}, costs{}, search{};
  std::uint64_t seed = 1, sequences = 200000, runs = 5000;
  unsigned preemptions = 2;
  RowTarget rows{};
  bool json = false;

  run::ShowOptions bounds() const { return {.preemptions = preemptions, .max_runs = runs}; }
};

std::string verdict_words(const AlternativeShown& shown) {
  switch (shown.verdict) {
    case AlternativeVerdict::kBroken:
      return fmt::format("broken: {}, {} operations", shown.invariant, shown.operations);
    case AlternativeVerdict::kNothingFound:
      return fmt::format("nothing found in {}{} interleavings, {} preemptions at most",
                         shown.complete ? "all " : "", shown.interleavings, shown.preemptions);
    case AlternativeVerdict::kStale:
      return "STALE: " + shown.reason;
    case AlternativeVerdict::kNotShown:
      break;
  }
  return "not shown: no counterexample, and no tour";
}

std::string cost_words(const AlternativeLine& line) {
  if (line.cost.tried == 0) return "the host dies";  // before the first page
  if (!line.arrives()) return fmt::format("{:.0f} ns a try", line.nanoseconds);
  return fmt::format("{:.0f} ns", line.nanoseconds);
}
std::string ratio_words(const AlternativeLine& line) {
  return line.of_default == 0 ? "-" : fmt::format("{:.2f}", line.of_default);
}

Json json_of(const AlternativeShown& shown) {
  if (shown.verdict == AlternativeVerdict::kNotShown) return nullptr;
  Json out{{"verdict", name_of(shown.verdict)}, {"file", shown.file}};
  if (shown.verdict == AlternativeVerdict::kBroken) {
    out["invariant"] = shown.invariant;
    out["operations"] = shown.operations;
  }
  if (shown.interleavings != 0) {
    out["interleavings"] = shown.interleavings;
    out["preemptions_max"] = shown.preemptions;
    out["complete"] = shown.complete;
  }
  if (!shown.reason.empty()) out["reason"] = shown.reason;
  return out;
}

Json json_of(const AlternativeLine& line) {
  Json counts = Json::object();
  for (const run::CostItemRow& row : run::kCostItemRows)
    counts[std::string(row.name)] = line.cost.counts[row.item];
  Json out{{"axis", line.one.axis_name()},
           {"value", line.one.value_name()},
           {"default", line.one.is_default()},
           {"snp", json_of(line.plain)},
           {"tdx", json_of(line.tdx)},
           {"workload", name_of(line.one.workload())},
           {"pages", line.cost.pages},
           {"arrived", line.cost.done},
           {"tried", line.cost.tried},
           {"frames_when_shared", nullptr},
           {"frames_when_private", nullptr},
           {"counts", std::move(counts)},
           {"nanoseconds_a_page", nullptr},
           {"nanoseconds_a_try", nullptr},
           {"of_default", nullptr}};
  if (line.converts()) {
    out["frames_when_shared"] = line.cost.frames_when_shared;
    out["frames_when_private"] = line.cost.frames_when_private;
  }
  if (line.cost.tried != 0)
    out[line.arrives() ? "nanoseconds_a_page" : "nanoseconds_a_try"] = line.nanoseconds;
  if (line.of_default != 0) out["of_default"] = line.of_default;
  return out;
}

std::string heading(const Alternative& one) {
  return fmt::format("{}: {} (cost: the way '{}', {} pages)", one.axis_name(),
                     kPolicyAxes[one.axis].source, name_of(one.workload()), run::kCostPages);
}

void print(const std::vector<AlternativeLine>& lines) {
  std::size_t axis = kPolicyAxes.size();
  for (const AlternativeLine& line : lines) {
    if (line.one.axis != axis)
      fmt::print("{}{}\n", axis == kPolicyAxes.size() ? "" : "\n", heading(line.one));
    axis = line.one.axis;
    const std::string name =
        std::string(line.one.value_name()) + (line.one.is_default() ? " (default)" : "");
    const bool of_tds = !line.one.is_of(Flavor::kPlain);
    const std::string tdx = "TDX: " + verdict_words(line.tdx);
    fmt::print("  {:<22} {:>14} {:>6}  {}\n", name, cost_words(line), ratio_words(line),
               of_tds ? tdx : verdict_words(line.plain));
    if (!of_tds && line.one.is_of(Flavor::kTdx))
      fmt::print("  {:<22} {:>14} {:>6}  {}\n", "", "", "", tdx);
    for (const AlternativeShown* shown : {&line.plain, &line.tdx}) {
      if (shown->verdict == AlternativeVerdict::kBroken)
        fmt::print("  {:<45}  {}\n", "", shown->file);
    }
  }
}

Expected<std::vector<Alternative>> chosen(const AlternativesCommand& command) {
  std::vector<Alternative> all = run::all_alternatives();
  if (command.axis.empty()) return all;
  std::erase_if(all, [&](const Alternative& one) { return one.axis_name() != command.axis; });
  if (all.empty())
    return input_error(
        fmt::format("--axis: no alternatives are known of '{}': see sluice list "
                    "alternatives",
                    command.axis));
  return all;
}

/// One line each. Error: a file that is no sequence.
Expected<std::vector<AlternativeLine>> show_all(const std::vector<Alternative>& all,
                                                const run::CostTable& costs,
                                                const AlternativesCommand& command) {
  auto model = model::ModelBackend::open(default_profile(kDefaultKernel));
  if (!model) return std::unexpected(model.error());
  Progress progress(all.size(), "alternatives");
  std::vector<AlternativeLine> lines;
  double usual = 0;  // nanoseconds a page of the axis's default, which is its first value
  for (const Alternative& one : all) {
    AlternativeLine line{.one = one};
    for (const Flavor flavor : {Flavor::kPlain, Flavor::kTdx}) {
      const auto shown =
          run::show_alternative({.counterexamples = command.corpus, .tours = command.tours}, one,
                                flavor, command.bounds());
      if (!shown) return input_error(shown.error());
      line.shown(flavor) = *shown;
    }
    line.cost = run::measure_path(*model, one.on_its_own(), one.workload());
    line.nanoseconds = costs.price(line.cost.counts) / static_cast<double>(line.divisor());
    if (one.is_default()) usual = line.arrives() ? line.nanoseconds : 0;
    if (line.arrives() && usual > 0) line.of_default = line.nanoseconds / usual;
    lines.push_back(std::move(line));
    progress.step(lines.size());
  }
  progress.clear();
  return lines;
}

Expected<void> check_folder(const std::string& folder, std::string_view option,
                            std::string_view usual) {
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) return {};
  return input_error(
      fmt::format("{}: {} is no folder: run where Sluice's sources are, or name its {}", option,
                  folder, usual));
}
Expected<void> check_tours(const AlternativesCommand& command) {
  return command.tours.empty() ? Expected<void>{}
                               : check_folder(command.tours, "--tours", "corpora/tours");
}

int show(const AlternativesCommand& command) {
  const auto all = chosen(command);
  if (!all) return complain(all.error());
  const auto costs = run::CostTable::read(command.costs);
  if (!costs) return complain(costs.error());
  if (const auto there = check_folder(command.corpus, "--corpus", "corpora/alternatives"); !there)
    return complain(there.error());
  if (const auto there = check_tours(command); !there) return complain(there.error());
  if (const auto writable = check_writable(command.rows); !writable)
    return complain(writable.error());
  const auto lines = show_all(*all, *costs, command);
  if (!lines) return complain(lines.error());
  if (command.json) {
    Json out = Json::array();
    for (const AlternativeLine& line : *lines) out.push_back(json_of(line));
    fmt::print("{}\n", out.dump(2));
  } else {
    print(*lines);
  }
  const auto appended =
      append_rows(command.rows, *lines, {.bounds = command.bounds(), .prices = command.costs});
  if (!appended) return complain(appended.error());
  return std::ranges::any_of(*lines, &AlternativeLine::says_nothing) ? kInconclusive : kFine;
}

Expected<void> write_found(const Sequence& sequence, const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (error)
    return input_error(fmt::format("cannot make the folder of {}: {}", path, error.message()));
  return write_file(path, format_text(sequence));
}

/// Looks for each value but the defaults, on a TD where the axis is about TDs, too.
int search(const AlternativesCommand& command) {
  if (!command.rows.file.empty())
    return complain(
        "--rows: a search shows nothing yet; run it, then --corpus with its folder and --rows");
  const auto all = chosen(command);
  if (!all) return complain(all.error());
  if (const auto there = check_tours(command); !there) return complain(there.error());
  if (const auto made = make_out_folder(command.search, "--search"); !made)
    return complain(made.error());
  for (const Alternative& one : *all) {
    if (one.is_default()) continue;
    for (const Flavor flavor : {Flavor::kPlain, Flavor::kTdx}) {
      if (!one.is_of(flavor)) continue;
      const auto found = run::find_counterexample(
          one, flavor,
          {.seed = command.seed, .sequences = command.sequences, .tours = command.tours});
      if (!found) return complain(found.error());
      const std::string words = fmt::format("{}={}{}", one.axis_name(), one.value_name(),
                                            flavor == Flavor::kTdx ? " on a TD" : "");
      if (!*found) {
        fmt::print(
            "{}: nothing in {} random sequences, as many that end in a race, {} programs and {}\n",
            words, command.sequences, command.sequences / run::kSequencesPerProgram,
            run::find_tour(command.tours, one, flavor) ? "the tour" : "no tour");
        std::fflush(stdout);
        continue;
      }
      const std::string path = run::counterexample_path(command.search, one, flavor);
      if (const auto written = write_found(**found, path); !written)
        return complain(written.error());
      fmt::print("{}: {} ({} operations)\n", words, path, (*found)->steps.size());
      std::fflush(stdout);
    }
  }
  return kFine;
}

}  // namespace

void add_alternatives(CLI::App& app, int& status) {
  Command command(app, "alternatives",
                  "What each design alternative costs and what breaks it, by running it");
  static AlternativesCommand options;
  command.option("--axis", options.axis, "Only this axis (sluice list alternatives)");
  command.option("--corpus", options.corpus,
                 "Folder with counterexamples, AXIS/VALUE.ops (corpora/alternatives)");
  command.option("--tours", options.tours,
                 "Folder with tours of the machinery, AXIS.ops, which show the values without a "
                 "counterexample and end a search; '': none (corpora/tours)");
  command.option("--costs", options.costs,
                 "File with lines NAME = NANOSECONDS for the counts of --json, instead of the "
                 "defaults in harness/run/cost_table.cc");
  command
      .option("--preemptions", options.preemptions, "Of the interleavings of a tour, at most (2)")
      .between(0, 1000);
  command.option("--runs", options.runs, "Interleavings of a tour, at most (5000)")
      .between(1, std::uint64_t{1} << 40);
  command.option("--search", options.search,
                 "Look for counterexamples from nothing instead, and write them to this folder");
  command.option("--seed", options.seed, "Of --search: same seed, same counterexamples (1)");
  command
      .option("--sequences", options.sequences,
              "Of --search: random sequences for each value, and as many that end in a race; a "
              "hundredth as many programs are explored behind them (200000)")
      .between(1, std::uint64_t{1} << 40);
  command.option("--rows", options.rows.file,
                 "Append a row for each value to this file, for 'sluice site'");
  command.option("--run", options.rows.run, "Run id of those rows");
  command.flag("--json", options.json, "Machine-readable output, with every count");
  command.on_run([&status] { status = options.search.empty() ? show(options) : search(options); });
}

}  // namespace sluice::tool
