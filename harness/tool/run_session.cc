#include "tool/run_session.h"

#include "ops/files.h"
#include "ops/text.h"

namespace sluice::tool {

Expected<HostProfile> profile_for(const RunCommand& command) {
  if (command.profile.empty()) return default_profile(kDefaultKernel);
  const auto text = read_file(command.profile, kMaxTextBytes);
  if (!text) return std::unexpected(text.error());
  return parse_profile(*text, command.profile);
}

Expected<Session> open_session(const RunCommand& command) {
  Session session;
  if (command.on_kvm()) {
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
  if (command.on_model()) {
    const bool as_kernel = session.kvm && command.random != 0;
    const auto profile =
        as_kernel ? Expected<HostProfile>(session.kvm->profile()) : profile_for(command);
    if (!profile) return std::unexpected(profile.error());
    auto model = model::ModelBackend::open(*profile);
    if (!model) return std::unexpected(model.error());
    session.model.emplace(std::move(*model));
  }
  return session;
}

/// A sequence that wants something absent (`# requires: no=tdp`) gets a model of such a host.
run::Verdict run_on_model(Session& session, const Sequence& sequence, const run::RunOptions& how) {
  model::ModelBackend& model = *session.model;
  const HostProfile& profile = model.view().profile();
  const HostProfile wanted = run::profile_without(profile, sequence);
  if (wanted == profile) return run::run_sequence(model, session.oracle, sequence, how);
  auto other = model::ModelBackend::open(wanted);
  return run::run_sequence(other ? *other : model, session.oracle, sequence, how);
}

run::Verdict run_on_kernel(Session& session, const Sequence& sequence, const run::RunOptions& how) {
  return run::run_differential(*session.kvm, *session.twin, sequence, session.differential, how);
}

void count(Session& session, const run::Verdict& verdict, const Sequence& sequence) {
  session.tally.add(verdict);
  session.tally_of[verdict.backend].add(verdict);
  const bool beside_kernel =
      session.kvm && verdict.backend == run::BackendTraits<model::ModelBackend>::kName;
  // The same random sequence on both: each skip would stand there twice, in other words.
  if (beside_kernel && session.random) return;
  if (verdict.kind == run::VerdictKind::kSkipped) {
    ++session.skips["whole sequence: " + verdict.reason];
  }
  for (const run::StepSkip& skip : verdict.skips) ++session.skips[skip.reason()];
  if (beside_kernel) return;
  for (std::size_t i = 0; i < verdict.counts.steps; ++i) {
    OpCount& counts = session.ops[sequence.steps[i].op.index()];
    ++counts.steps, ++counts.acted;
  }
  for (const run::StepSkip& skip : verdict.skips) {
    --session.ops[sequence.steps[skip.step].op.index()].acted;
  }
}

}  // namespace sluice::tool
