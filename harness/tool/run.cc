// sluice run: sequences on the model, or on the real kernel in lockstep with the model.
#include <fmt/core.h>

#include "ops/files.h"
#include "ops/text.h"
#include "tool/command.h"
#include "tool/run_session.h"
#include "tool/sandbox.h"

namespace sluice::tool {
namespace {

int run_files(Session& session, const RunCommand& command, const std::optional<PolicySet>& policy) {
  const auto files = find_sequences(command.paths);
  if (!files) return complain(files.error());
  for (const std::string& file : *files) {
    auto sequence = read_sequence(file);
    if (!sequence) return complain(sequence.error());
    if (sequence->steps.empty())
      return complain(file + ": no operation in it, so there is nothing to run; is it cut off?");
    if (policy) sequence->header.policy = *policy;
    const run::RunOptions how{.file = file, .audit_every_step = command.audit};
    const auto take = [&](run::Verdict verdict) {
      count(session, verdict, *sequence);
      if (!command.json) fmt::print("{}", run::format_verdict(verdict));
      session.verdicts.push_back(std::move(verdict));
    };
    if (session.model) take(run_on_model(session, *sequence, how));
    if (session.kvm) take(run_on_kernel(session, *sequence, how));
  }
  return report(session, command);
}

int run(const RunCommand& command) {
  if (command.paths.empty() == (command.random == 0))
    return complain("run wants either files or directories with .ops files, or --random N");
  std::optional<PolicySet> policy;
  if (!command.policy.empty()) {
    const auto parsed = parse_policy(command.policy);
    if (!parsed) return complain("--policy: " + parsed.error());
    policy = *parsed;
  }
  if (command.races && (command.random == 0 || command.on_kvm()))
    return complain(
        "--races is of random sequences on the model: a kernel stops nowhere inside an operation");
  if (command.random != 0 && command.on_kvm() && !command.on_this_host) {
    if (const std::string reason = why_no_lane_guest(); !reason.empty())
      return complain(
          "random sequences on the real kernel are refused outside a lane guest: one that wedges "
          "or crashes a kernel takes this machine with it (no lane guest: " +
          reason +
          "). 'sluice lane -- sluice run --random N --backend both' runs them in one; "
          "--on-this-host says that you mean this machine; --backend model needs neither");
  }
  if (!command.rows.file.empty()) {
    if (!command.on_kvm())
      return complain(
          "--rows: the row is of the comparison with the real kernel, and the model alone has none "
          "to compare with (--backend kvm or both)");
    if (const auto writable = check_writable(command.rows); !writable)
      return complain(writable.error());
  }
  auto session = open_session(command);
  if (!session) return complain(session.error());
  return command.random != 0 ? run_random(*session, command, policy)
                             : run_files(*session, command, policy);
}

void add_random_options(Command& command, RunCommand& options) {
  command
      .option("--random", options.random,
              "Run N random sequences instead of files; what goes wrong is minimized")
      .between(1, std::uint64_t{1} << 40);
  command.option("--seed", options.seed, "Seed of --random: same seed, same sequences")
      .non_negative();
  command
      .option("--first", options.first,
              "Number of the first of them (0); those before are made but not run")
      .non_negative();
  command
      .option("--length", options.length,
              "Operations of one of them at most: shorter ones are more in the same time")
      .between(1, kMaxOps);
  command.flag("--races", options.races,
               "Three of four random sequences end in a race made on purpose (model only)");
  command.option("--out", options.out,
                 "Folder for the .ops files of what --random finds, and for the number of the "
                 "sequence that runs");
  command.flag("--on-this-host", options.on_this_host,
               "Allow random sequences on this machine's own kernel");
}

}  // namespace

void add_run(CLI::App& app, int& status) {
  Command command(app, "run",
                  "Run sequences on the model, or on the real kernel in lockstep with the model");
  static RunCommand options;
  command.option("PATH", options.paths, ".ops files, or directories with them");
  command
      .option(
          "--backend", options.backend,
          "model (default) | kvm: the real kernel against the model that has its profile | both")
      .one_of({"model", "kvm", "both"});
  command.option("--policy", options.policy,
                 "axis=value,... instead of what the sequences say (axes: docs/ops.md)");
  command.option("--profile", options.profile,
                 "Host profile for the model, as 'sluice doctor --profile' writes it");
  add_random_options(command, options);
  command.flag("--audit", options.audit,
               "Audit the whole state after each step, not only at the end");
  command.option("--rows", options.rows.file, "Append a differential row to this file");
  command.option("--run", options.rows.run, "Run id of that row");
  command.flag("--json", options.json, "Machine-readable output");
  command.on_run([&status] { status = run(options); });
}

}  // namespace sluice::tool
