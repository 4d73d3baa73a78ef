// sluice run: sequences on the model, or on the real kernel in lockstep with the model.
#include <fmt/core.h>
#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "ops/files.h"
#include "ops/random.h"
#include "ops/text.h"
#include "run/kvm_run.h"
#include "run/runner.h"
#include "tool/command.h"
#include "tool/rows.h"

namespace sluice::tool {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> paths{};
  std::string backend = "model";
  std::string policy{}, profile{};
  RowTarget rows{};
  std::uint64_t random = 0, seed = 1;
  bool on_this_host = false, json = false, audit = false;

  bool on_kvm() const { return backend != "model"; }
  bool on_model() const { return backend != "kvm"; }
};

/// The backends of one invocation, and what they answered.
struct Session {
  std::optional<model::ModelBackend> model{};  // as the sequences' own kernel version
  std::unique_ptr<kvm::KvmBackend> kvm{};
  std::optional<model::ModelBackend> twin{};  // the model with the kernel's profile
  oracle::Differential differential{};
  std::vector<run::Verdict> verdicts{};
  run::Tally tally{};
};

Expected<HostProfile> profile_for(const Options& options) {
  if (options.profile.empty()) return default_profile(kDefaultKernel);
  const auto text = read_file(options.profile, kMaxTextBytes);
  if (!text) return std::unexpected(text.error());
  return parse_profile(*text, options.profile);
}

Expected<Session> open_session(const Options& options) {
  Session session;
  if (options.on_model()) {
    const auto profile = profile_for(options);
    if (!profile) return std::unexpected(profile.error());
    auto model = model::ModelBackend::open(*profile);
    if (!model) return std::unexpected(model.error());
    session.model.emplace(std::move(*model));
  }
  if (options.on_kvm()) {
    auto kvm = kvm::KvmBackend::open();
    if (!kvm)
      return std::unexpected(SystemError{
          .number = 0,
          .what = kvm.error().message() +
                  "; 'sluice doctor' says what this host has; --backend model needs no /dev/kvm"});
    session.kvm = std::move(*kvm);
    auto twin = model::ModelBackend::open(session.kvm->profile());
    if (!twin) return std::unexpected(twin.error());
    session.twin.emplace(std::move(*twin));
  }
  return session;
}

/// A sequence that wants something absent (`# requires: no=tdp`) gets a model of such a host.
run::Verdict run_on_model(model::ModelBackend& model, const Sequence& sequence,
                          const run::RunOptions& how) {
  const HostProfile& profile = model.view().profile();
  const HostProfile wanted = run::profile_without(profile, sequence);
  if (wanted == profile) return run::run_sequence(model, sequence, how);
  auto other = model::ModelBackend::open(wanted);
  if (!other) return run::run_sequence(model, sequence, how);
  return run::run_sequence(*other, sequence, how);
}

void judge(Session& session, const Options& options, const Sequence& sequence,
           const std::string& file) {
  const run::RunOptions how{.file = file, .audit_every_step = options.audit};
  const auto take = [&](run::Verdict verdict) {
    session.tally.add(verdict);
    const bool quiet = verdict.kind == run::VerdictKind::kPass && options.random != 0;
    if (!options.json && !quiet) fmt::print("{}", run::format_verdict(verdict));
    if (!quiet) session.verdicts.push_back(std::move(verdict));
  };
  if (session.model) take(run_on_model(*session.model, sequence, how));
  if (session.kvm)
    take(run::run_differential(*session.kvm, *session.twin, sequence, session.differential, how));
}

std::map<std::string, std::uint64_t> skips_by_reason(const Session& session) {
  std::map<std::string, std::uint64_t> out;
  for (const run::Verdict& verdict : session.verdicts) {
    if (verdict.kind == run::VerdictKind::kSkipped) ++out["whole sequence: " + verdict.reason];
    for (const run::StepSkip& skip : verdict.skips) ++out[skip.reason];
  }
  return out;
}

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
    out["skips"].push_back({{"line", s.line}, {"step", s.text}, {"reason", s.reason}});
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

record::DifferentialRow row_of(const Session& session) {
  record::DifferentialRow row{.backend = "kvm", .sequences = session.tally.sequences};
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
  for (const auto& [reason, count] : skips_by_reason(session))
    row.skipped_steps.push_back({.name = reason, .count = count});
  return row;
}

int report(const Session& session, const Options& options) {
  const auto skips = skips_by_reason(session);
  // A corpus of which hardly anything was compared has shown nothing (decision 30).
  const auto thin = session.kvm ? session.differential.below_floor(
                                      {.status_per_mille = 100, .compared_at_least = {1, 0, 0, 0}})
                                : std::nullopt;
  if (options.json) {
    Json out = {{"tally", run::format_tally(session.tally)},
                {"verdicts", Json::array()},
                {"skipped", skips}};
    for (const run::Verdict& verdict : session.verdicts)
      out["verdicts"].push_back(json_of(verdict));
    if (session.kvm) out["differential"] = json_of(session.differential);
    fmt::print("{}\n", out.dump(2));
  } else {
    if (!skips.empty()) fmt::print("Skipped, with reasons:\n");
    for (const auto& [reason, count] : skips) fmt::print("  {:>6}  {}\n", count, reason);
    if (session.kvm) fmt::print("{}", session.differential.table());
    fmt::print("{}\n", run::format_tally(session.tally));
  }
  if (session.kvm) {
    if (const auto written = append_row(options.rows, row_of(session)); !written)
      return complain(written.error());
  }
  if (session.tally.errors > 0) return kUsage;
  if (session.tally.findings + session.tally.mismatched + session.tally.differed > 0)
    return kFinding;
  if (thin) fmt::print(stderr, "sluice: inconclusive: {}\n", *thin);
  return thin ? kInconclusive : kFine;
}

int run_files(Session& session, const Options& options, const std::optional<PolicySet>& policy) {
  const auto files = find_sequences(options.paths);
  if (!files) return complain(files.error());
  for (const std::string& file : *files) {
    auto sequence = read_sequence(file);
    if (!sequence) return complain(sequence.error());
    if (sequence->steps.empty())
      return complain(file + ": no operation in it, so there is nothing to run; is it cut off?");
    if (policy) sequence->header.policy = *policy;
    judge(session, options, *sequence, file);
  }
  return report(session, options);
}

int run_random(Session& session, const Options& options, const std::optional<PolicySet>& policy) {
  Rng rng(options.seed);
  Sequence sequence;
  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  for (std::uint64_t i = 0; i < options.random; ++i) {
    random_sequence(rng, {.implausible = rng.one_in(4)}, sequence);
    if (policy) sequence.header.policy = *policy;
    judge(session, options, sequence, fmt::format("random(seed={}, number={})", options.seed, i));
    if (!session.verdicts.empty() && session.verdicts.back().bad()) {
      if (!options.json) fmt::print("{}", format_text(sequence));
      break;
    }
    if (terminal && i % 1000 == 999)
      fmt::print(stderr, "\r{} of {} sequences", i + 1, options.random);
  }
  if (terminal) fmt::print(stderr, "\r{:40}\r", "");
  return report(session, options);
}

int run(const Options& options) {
  if (options.paths.empty() == (options.random == 0))
    return complain("run wants either files or directories with .ops files, or --random N");
  if (options.random != 0 && options.on_kvm() && !options.on_this_host) {
    return complain(
        "random sequences on the real kernel are refused: one that wedges or crashes a kernel "
        "takes this machine with it. "
        "--on-this-host says that you mean it; --backend model needs no such word");
  }
  std::optional<PolicySet> policy;
  if (!options.policy.empty()) {
    const auto parsed = parse_policy(options.policy);
    if (!parsed) return complain("--policy: " + parsed.error());
    policy = *parsed;
  }
  auto session = open_session(options);
  if (!session) return complain(session.error());
  return options.random != 0 ? run_random(*session, options, policy)
                             : run_files(*session, options, policy);
}

}  // namespace

void add_run(CLI::App& app, int& status) {
  CLI::App* const command = app.add_subcommand(
      "run", "Run sequences on the model, or on the real kernel in lockstep with the model");
  static Options options;
  command->add_option("PATH", options.paths, ".ops files, or directories with them");
  command
      ->add_option(
          "--backend", options.backend,
          "model (default) | kvm: the real kernel against the model that has its profile | both")
      ->check(CLI::IsMember({"model", "kvm", "both"}));
  command->add_option("--policy", options.policy,
                      "axis=value,... instead of what the sequences say (axes: docs/ops.md)");
  command->add_option("--profile", options.profile,
                      "Host profile for the model, as 'sluice doctor --profile' writes it");
  command->add_option("--random", options.random, "Run N random sequences instead of files")
      ->check(CLI::PositiveNumber);
  command->add_option("--seed", options.seed, "Seed of --random")->check(CLI::NonNegativeNumber);
  command->add_flag("--on-this-host", options.on_this_host,
                    "Allow random sequences on this machine's own kernel");
  command->add_flag("--audit", options.audit,
                    "Audit the whole state after each step, not only at the end");
  command->add_option("--rows", options.rows.file, "Append a differential row to this file");
  command->add_option("--run", options.rows.run, "Run id of that row");
  command->add_flag("--json", options.json, "Machine-readable output");
  command->callback([&status] { status = run(options); });
}

}  // namespace sluice::tool
