// What the two ways of `sluice run` (files, --random) share: the backends of one invocation, what
// they answered, and the report.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "run/kvm_run.h"
#include "run/runner.h"
#include "tool/rows.h"

namespace sluice::tool {

/// The command line of `sluice run`.
struct RunCommand {
  std::vector<std::string> paths{};
  std::string backend = "model";
  std::string policy{}, profile{};
  RowTarget rows{};
  std::uint64_t random = 0, seed = 1, first = 0, length = kMaxOps;
  std::string out{};
  bool on_this_host = false, json = false, audit = false, races = false;

  bool on_kvm() const { return backend != "model"; }
  bool on_model() const { return backend != "kvm"; }
};

/// Steps of one operation on one backend.
struct OpCount {
  std::uint64_t steps = 0;
  std::uint64_t acted = 0;
};

/// A thing that random sequences found, and how often.
struct RandomFound {
  std::string key{}, backend{}, file{}, replay{};
  std::uint64_t number = 0;  // of the first sequence that showed it
  std::uint64_t times = 0;
  std::size_t operations = 0, operations_before = 0;  // after and before minimizing
};

/// What only random sequences have to report. Those of another kernel than the modeled ones, the
/// host's own, are in no line of `of_kernel`.
struct RandomReport {
  std::uint64_t seed = 0, first = 0, sequences = 0;
  // By kernel version (kModeledKernels) and scope (host, machine).
  std::array<std::array<std::uint64_t, 2>, kModeledKernels.size()> of_kernel{};
  std::size_t answers = 0;      // different ones of the model
  std::uint64_t ran_twice = 0;  // on the model, from the start to the same state
  double seconds = 0;
  std::vector<RandomFound> found{};
};

/// The backends of one invocation, and what they answered.
struct Session {
  std::optional<model::ModelBackend> model{};  // as the sequences' own kernel version
  std::unique_ptr<kvm::KvmBackend> kvm{};
  std::optional<model::ModelBackend> twin{};  // the model with the kernel's profile
  oracle::Oracle oracle{};                    // of the model
  oracle::Differential differential{};
  std::vector<run::Verdict> verdicts{};
  run::Tally tally{};
  std::map<std::string, run::Tally> tally_of{};  // by backend
  std::map<std::string, std::uint64_t> skips{};  // by reason
  std::array<OpCount, AllOps::kCount> ops{};     // of the kernel, or of the model alone
  std::optional<RandomReport> random{};
};

/// Random sequences get the model of the kernel's host, where there is a kernel.
Expected<Session> open_session(const RunCommand& command);
/// The host that --profile describes, or the default one.
Expected<HostProfile> profile_for(const RunCommand& command);

run::Verdict run_on_model(Session& session, const Sequence& sequence, const run::RunOptions& how);
run::Verdict run_on_kernel(Session& session, const Sequence& sequence, const run::RunOptions& how);
/// Counts a verdict. Pre: of this sequence.
void count(Session& session, const run::Verdict& verdict, const Sequence& sequence);
/// What was compared with the kernel. Pre: something was counted for it.
record::DifferentialRow differential_row(const Session& session);
/// Prints all that was counted, writes the row. Answers the exit status.
int report(const Session& session, const RunCommand& command);

/// `sluice run --random`; `policy` instead of what the sequences draw.
int run_random(Session& session, const RunCommand& command, const std::optional<PolicySet>& policy);

}  // namespace sluice::tool
