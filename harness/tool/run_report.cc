// What `sluice run` says in the end: for people, as JSON, as a row.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "ops/text.h"
#include "tool/command.h"
#include "tool/run_session.h"

namespace sluice::tool {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const run::Verdict& verdict) {
  Json out = {{"file", verdict.file},
              {"title", verdict.title},
              {"backend", verdict.backend},
              {"verdict", run::name_of(verdict.kind)}};
  if (!verdict.reason.empty()) out["reason"] = verdict.reason;
  if (verdict.ahead_of_mainline) out["label"] = "ahead of mainline";
  const auto found = verdict.finding ? verdict.finding : verdict.known_upstream;
  if (found)
    out["finding"] = {{"invariant", found->finding.name()},
                      {"line", verdict.finding_line},
                      {"step", verdict.finding_text}};
  const auto add = [&out](const char* name, const std::vector<run::StepMismatch>& list) {
    for (const run::StepMismatch& m : list)
      out[name].push_back(
          {{"line", m.line}, {"step", m.text}, {"expected", m.expected}, {"got", m.got}});
  };
  add("mismatches", verdict.mismatches);
  add("differences", verdict.differences);
  for (const run::StepSkip& s : verdict.skips)
    out["skips"].push_back({{"line", s.line}, {"step", s.text()}, {"reason", s.reason()}});
  return out;
}

Json json_of(const oracle::Differential& differential) {
  Json out = Json::object();
  for (std::size_t i = 0; i < oracle::kDifferentialFieldCount; ++i) {
    const auto field = static_cast<oracle::DifferentialField>(i);
    const oracle::FieldCounts& counts = differential.counts(field);
    out[std::string(oracle::name_of(field))] = {{"compared", counts.compared},
                                                {"mismatched", counts.mismatched},
                                                {"uncomparable", counts.uncomparable}};
  }
  return out;
}

OpCount sum_of(const Session& session) {
  OpCount sum;
  for (const OpCount& counts : session.ops) {
    sum.steps += counts.steps;
    sum.acted += counts.acted;
  }
  return sum;
}

/// Of the operations that acted; 0 where there were none.
double share_of(const OpCount& sum) {
  return sum.steps == 0 ? 0 : static_cast<double>(sum.acted) / static_cast<double>(sum.steps);
}

Json json_of(const RandomReport& random, const Session& session) {
  const OpCount sum = sum_of(session);
  Json out = {{"seed", random.seed},
              {"first", random.first},
              {"sequences", random.sequences},
              {"operations", sum.steps},
              {"acted", sum.acted},
              {"answers", random.answers},
              {"ran_twice", random.ran_twice},
              {"known_upstream", session.tally.known_upstream},
              {"seconds", random.seconds},
              {"by_operation", Json::object()},
              {"found", Json::array()}};
  for (std::size_t i = 0; i < session.ops.size(); ++i) {
    const OpCount& counts = session.ops[i];
    if (counts.steps == 0) continue;
    out["by_operation"][std::string(kOpInfo[i].name)] = {{"operations", counts.steps},
                                                         {"acted", counts.acted}};
  }
  for (std::size_t i = 0; i < kModeledKernels.size(); ++i) {
    const auto& [host, machine] = random.of_kernel[i];
    if (host + machine != 0)
      out["by_kernel"][format_kernel(kModeledKernels[i])] = {{"host", host}, {"machine", machine}};
  }
  for (const RandomFound& found : random.found) {
    out["found"].push_back({{"what", found.key},
                            {"backend", found.backend},
                            {"number", found.number},
                            {"times", found.times},
                            {"replays", found.replay},
                            {"operations", found.operations},
                            {"operations_before", found.operations_before},
                            {"file", found.file}});
  }
  return out;
}

void print_random(const Session& session) {
  const RandomReport& random = *session.random;
  const OpCount sum = sum_of(session);
  fmt::print("{:<28}{:>10}{:>10}\n", "operation", "steps", "acted");
  for (std::size_t i = 0; i < session.ops.size(); ++i) {
    const OpCount& counts = session.ops[i];
    if (counts.steps != 0)
      fmt::print("{:<28}{:>10}{:>10}\n", kOpInfo[i].name, counts.steps, counts.acted);
  }
  const double rate =
      random.seconds > 0 ? static_cast<double>(random.sequences) / random.seconds : 0;
  fmt::print("{:<28}{:>10}{:>10}  ({:.1f} %)\n", "all", sum.steps, sum.acted,
             100.0 * share_of(sum));
  fmt::print(
      "seed {}, numbers {} to {}: {:.0f} sequences a second, {} different answers of the model\n",
      random.seed, random.first, random.first + random.sequences - 1, rate, random.answers);
  if (random.ran_twice != 0)
    fmt::print("{} ran twice on the model, each to the same state\n", random.ran_twice);
  fmt::print("{:<28}{:>10}{:>10}\n", "kernel", "host", "machine");
  for (std::size_t i = 0; i < kModeledKernels.size(); ++i) {
    const auto& [host, machine] = random.of_kernel[i];
    if (host + machine != 0)
      fmt::print("{:<28}{:>10}{:>10}\n", format_kernel(kModeledKernels[i]), host, machine);
  }
  for (const RandomFound& found : random.found) {
    fmt::print("{} [{}]\n    number {}, {} times; replays {}; {} of {} operations{}{}\n", found.key,
               found.backend, found.number, found.times, found.replay, found.operations,
               found.operations_before, found.file.empty() ? "" : ": ", found.file);
  }
}

void print(const Session& session) {
  if (session.random) print_random(session);
  if (!session.skips.empty()) fmt::print("Skipped, with reasons:\n");
  for (const auto& [reason, count] : session.skips) fmt::print("  {:>6}  {}\n", count, reason);
  if (session.kvm) fmt::print("{}", session.differential.table());
  if (session.tally_of.size() > 1) {
    for (const auto& [backend, tally] : session.tally_of)
      fmt::print("{}: {}\n", backend, run::format_tally(tally));
  }
  fmt::print("{}\n", run::format_tally(session.tally));
}

void print_json(const Session& session) {
  Json out = {{"tally", run::format_tally(session.tally)},
              {"verdicts", Json::array()},
              {"skipped", session.skips}};
  for (const run::Verdict& verdict : session.verdicts) out["verdicts"].push_back(json_of(verdict));
  if (session.kvm) out["differential"] = json_of(session.differential);
  if (session.random) out["random"] = json_of(*session.random, session);
  fmt::print("{}\n", out.dump(2));
}

}  // namespace

record::DifferentialRow differential_row(const Session& session) {
  record::DifferentialRow row{.backend = "kvm", .sequences = session.tally_of.at("kvm").sequences};
  if (session.random)
    row.random = record::RandomDraw{.seed = session.random->seed,
                                    .first = session.random->first,
                                    .count = session.random->sequences,
                                    .acting_share = share_of(sum_of(session))};
  for (std::size_t i = 0; i < oracle::kDifferentialFieldCount; ++i) {
    const auto field = static_cast<oracle::DifferentialField>(i);
    row.compared.push_back({.name = std::string(oracle::name_of(field)),
                            .count = session.differential.counts(field).compared});
    row.uncomparable.push_back({.name = std::string(oracle::name_of(field)),
                                .count = session.differential.counts(field).uncomparable});
  }
  for (const run::Verdict& verdict : session.verdicts) {
    for (const run::StepMismatch& m : verdict.differences)
      row.mismatches.push_back({.file = verdict.file,
                                .line = m.line,
                                .field = m.text,
                                .model = m.expected,
                                .kvm = m.got});
  }
  for (const auto& [reason, count] : session.skips)
    row.skipped_steps.push_back({.name = reason, .count = count});
  return row;
}

int report(const Session& session, const RunCommand& command) {
  command.json ? print_json(session) : print(session);
  // A corpus of which hardly anything was compared has shown nothing (decision 30).
  const auto thin = session.kvm ? session.differential.below_floor(
                                      {.status_per_mille = 100, .compared_at_least = {1, 0, 0, 0}})
                                : std::nullopt;
  if (session.kvm) {
    if (const auto written = append_row(command.rows, differential_row(session)); !written)
      return complain(written.error());
  }
  if (session.tally.errors > 0) return kUsage;
  if (session.tally.findings + session.tally.mismatched + session.tally.differed > 0)
    return kFinding;
  if (thin) fmt::print(stderr, "sluice: inconclusive: {}\n", *thin);
  return thin ? kInconclusive : kFine;
}

}  // namespace sluice::tool
