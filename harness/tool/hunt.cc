// sluice hunt: how many random sequences it takes until planted bugs are found, with interleaving
// and without. In the planted build; the others have no bugs to find.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ops/text.h"
#include "run/hunt.h"
#include "tool/command.h"
#include "tool/progress.h"

namespace sluice::tool {
namespace {

using Json = nlohmann::ordered_json;

struct HuntCommand {
  std::vector<std::string> bugs{};
  std::string corpus = "corpora", stops = "both";
  std::uint64_t seeds = 10, seed = 1, limit = 1'000'000, length = kMaxOps;
  bool races = false, only_list = false, json = false;
};

/// One bug's hunts with stops or without, seed by seed.
struct Hunts {
  run::Race race{};
  bool is_race = false, stops = true;
  std::vector<run::Hunt> of_seed{};

  std::size_t found() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        of_seed, [](const run::Hunt& hunt) { return hunt.finding.has_value(); }));
  }
};

Json json_of(const Hunts& hunts, const HuntCommand& command) {
  Json out{{"bug", hunts.race.row.name},
           {"invariant", hunts.race.row.invariant},
           {"meaning", hunts.race.row.meaning},
           {"race", hunts.is_race},
           {"preemptions", nullptr},
           {"stops", hunts.stops},
           {"limit", command.limit},
           {"length", command.length},
           {"races", command.races},
           {"found", hunts.found()},
           {"seeds", Json::array()}};
  if (hunts.race.preemptions) out["preemptions"] = *hunts.race.preemptions;
  for (std::size_t i = 0; i < hunts.of_seed.size(); ++i) {
    const run::Hunt& hunt = hunts.of_seed[i];
    Json one{{"seed", command.seed + i},          {"runs", hunt.runs}, {"operations", hunt.steps},
             {"found_anyway", hunt.found_anyway}, {"found", nullptr},  {"sequence", nullptr}};
    if (hunt.finding) {
      one["found"] = hunt.finding->name();
      one["sequence"] = format_text(hunt.sequence);
    }
    if (hunt.found_anyway != 0) one["anyway"] = format_text(hunt.anyway);
    out["seeds"].push_back(std::move(one));
  }
  return out;
}

void print(const Hunts& hunts, const HuntCommand& command) {
  fmt::print("{} {}: found by {} of {} seeds within {} sequences;", hunts.race.row.name,
             hunts.stops ? "with interleaving" : "without", hunts.found(), hunts.of_seed.size(),
             command.limit);
  for (const run::Hunt& hunt : hunts.of_seed)
    fmt::print(" {}{}", hunt.finding ? "" : ">", hunt.runs);
  fmt::print("\n");
  const auto anyway = std::ranges::count_if(
      hunts.of_seed, [](const run::Hunt& hunt) { return hunt.found_anyway != 0; });
  if (anyway != 0)
    fmt::print(
        "  {} of these seeds found something without the bug, too: --json has the sequence\n",
        anyway);
  std::fflush(stdout);
}

/// The bugs of the command line, or all races. Error: a word that names no bug.
Expected<std::vector<Hunts>> chosen(const HuntCommand& command) {
  const auto planted = run::read_corpus(command.corpus, "planted");
  if (!planted) return std::unexpected(planted.error());
  if (planted->empty())
    return input_error(command.corpus + "/planted: no sequences there (--corpus)");
  const std::vector<run::Race> races = run::find_races(*planted);
  std::vector<Hunts> out;
  for (const std::string& bug : command.bugs) {
    const auto row = run::planted_row_of(bug);
    if (!row) return input_error(fmt::format("'{}' is no planted bug (sluice list planted)", bug));
    const auto race =
        std::ranges::find(races, row->bug, [](const run::Race& one) { return one.row.bug; });
    const bool is_race = race != races.end();
    out.push_back({.race = is_race ? *race : run::Race{.row = *row}, .is_race = is_race});
  }
  if (!command.bugs.empty()) return out;
  for (const run::Race& race : races) out.push_back({.race = race, .is_race = true});
  return out;
}

Expected<void> fill(Hunts& hunts, const HuntCommand& command) {
  Progress progress(command.seeds, fmt::format("seeds of {}", hunts.race.row.name));
  for (std::uint64_t i = 0; i < command.seeds; ++i) {
    auto one =
        run::hunt({.bug = hunts.race.row.bug,
                   .seed = command.seed + i,
                   .limit = command.limit,
                   .length = command.length,
                   .stops = hunts.stops,
                   .focus = command.races ? run::RandomFocus::kRaces : run::RandomFocus::kNone});
    if (!one) return std::unexpected(one.error());
    hunts.of_seed.push_back(*std::move(one));
    progress.step(i + 1);
  }
  return {};
}

int list(const std::vector<Hunts>& all) {
  for (const Hunts& one : all) {
    const std::string preemptions =
        one.race.preemptions ? fmt::format("{}", *one.race.preemptions) : "-";
    fmt::print("{} {}\n", one.race.row.name, preemptions);
  }
  return kFine;
}

int hunt(const HuntCommand& command) {
  if (!model::kPlantedBuild)
    return complain("this build has no planted bugs to find: ci/build planted");
  const auto all = chosen(command);
  if (!all) return complain(all.error());
  if (command.only_list) return list(*all);
  Json rows = Json::array();
  bool found_all = true;
  for (const Hunts& one : *all) {
    for (const bool stops : {true, false}) {
      if (command.stops != "both" && (command.stops == "on") != stops) continue;
      Hunts hunts = one;
      hunts.stops = stops;
      if (const auto filled = fill(hunts, command); !filled) return complain(filled.error());
      found_all = found_all && (!stops || hunts.found() == hunts.of_seed.size());
      command.json ? rows.push_back(json_of(hunts, command)) : print(hunts, command);
    }
  }
  if (command.json) fmt::print("{}\n", rows.dump(2));
  return found_all ? kFine : kInconclusive;
}

}  // namespace

void add_hunt(CLI::App& app, int& status) {
  Command command(app, "hunt",
                  "How many random sequences it takes to find planted bugs (planted build only)");
  static HuntCommand options;
  command.option("BUG", options.bugs,
                 "Names (sluice list planted); without any, the races: what no sequence shows in "
                 "which every operation runs to its end");
  command.option("--corpus", options.corpus, "Folder with planted/BUG.ops (corpora)");
  command.option("--seeds", options.seeds, "How often, each with a seed of its own (10)")
      .between(1, 1000);
  command.option("--seed", options.seed, "The first of the seeds (1)").non_negative();
  command.option("--limit", options.limit, "Sequences at most, for each seed (1000000)")
      .between(1, std::uint64_t{1} << 40);
  command.option("--length", options.length, "Operations of a sequence at most")
      .between(1, kMaxOps);
  command
      .option("--stops", options.stops,
              "on: operations stop on their way; off: they run to their end; both (default)")
      .one_of({"on", "off", "both"});
  command.flag("--races", options.races,
               "Three of four sequences end in a race that is made on purpose");
  command.flag("--list", options.only_list,
               "Only names, and the preemptions with which exploration finds each");
  command.flag("--json", options.json, "Machine-readable output, with the sequences");
  command.on_run([&status] { status = hunt(options); });
}

}  // namespace sluice::tool
