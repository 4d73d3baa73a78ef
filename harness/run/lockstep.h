// A subject and the model in lockstep over one sequence: the model has the subject's profile, every
// answer is compared (oracle/differential.h), and what the author expects is held against the
// subject.
#pragma once
#include "model/model_backend.h"
#include "oracle/differential.h"
#include "run/run_template.h"
#include "trace/outcome_text.h"

namespace sluice::run {

/// The newest kernel whose behavior is modelled; a difference on a newer one is drift.
inline constexpr KernelVersion kNewestModeled = kModeledKernels.back();

/// True of a skip that follows from the sequence alone, and from nothing of the host.
constexpr bool follows_from_sequence(Check skip) {
  switch (skip) {
    case Check::kSkipNoVm:
    case Check::kSkipVmExists:
    case Check::kSkipNoVcpu:
    case Check::kSkipVcpuElsewhere:
    case Check::kSkipNoGmem:
    case Check::kSkipGmemExists:
    case Check::kSkipWrongActor:
    case Check::kSkipScope:
      return true;
    default:
      return false;
  }
}

/// `subject` runs a step first: what it skips has not happened, and the model does not run it
/// either - except that it, too, must skip where the sequence alone leaves nothing to act on. Other
/// skips are the host's or the harness's limits: neither they nor what follows is held against the
/// subject. A hang of the subject ends the run; it is known upstream where the model of this
/// version says so of the same step. After the first difference the two states have parted, and
/// later steps count as uncomparable. The sequence runs as of `version`, the subject's: an
/// expectation that was written for another version or host, and that the model of this one does
/// not meet either, is not held against the subject.
template <Backend Subject>
Verdict run_lockstep(Subject& subject, model::ModelBackend& model, const Sequence& sequence,
                     oracle::Differential& differential, const RunOptions& options) {
  const KernelVersion version = model.view().profile().version;
  Sequence here = sequence;
  here.header.kernel = version;
  Verdict verdict{};
  verdict.file = options.file;
  verdict.title = sequence.notes.title;
  verdict.backend = BackendTraits<Subject>::kName;
  const auto expectations = prepare(subject, here, verdict);
  if (!expectations) return verdict;
  static_cast<void>(BackendTraits<model::ModelBackend>::start(model, here));
  oracle::Oracle oracle;
  Collector collector(here, *expectations, verdict);
  bool parted = false;
  constexpr std::size_t kNever = ~std::size_t{0};
  std::size_t known_hang = kNever;
  const auto differs = [&](std::size_t i, const oracle::Mismatch& mismatch) {
    parted = true;
    collector.differs(i, mismatch);
    collector.excuse_the_rest();
  };
  const auto on_skip = [&](std::size_t i, const Outcome& real) {
    if (!follows_from_sequence(real.check)) return collector.excuse_the_rest();
    const Outcome modeled = model.apply(here.steps[i]);
    if (!modeled.skipped()) {
      return differs(i, oracle::mismatch_of(oracle::DifferentialField::kStatus, modeled, real));
    }
    if (!meets((*expectations)[i], modeled)) collector.excuse(i);
  };
  const auto on_answer = [&](std::size_t i, const Outcome& real) {
    const Outcome modeled = model.apply(here.steps[i]);
    const auto difference = differential.compare(modeled, real);
    if (model.view().progress().known_upstream) known_hang = std::min(known_hang, i);
    // What happened there did not happen here; a refusal has changed nothing.
    parted = modeled.skipped() && real.kind != StatusKind::kErrno;
    if (difference) return differs(i, *difference);
    if (!meets((*expectations)[i], modeled)) collector.excuse(i);
  };
  const auto on_step = [&](std::size_t i, const Outcome& real) {
    if (parted || real.skipped()) differential.skip_step();
    if (!parted) real.skipped() ? on_skip(i, real) : on_answer(i, real);
    collector.take(i, real, BackendTraits<Subject>::skip_words(subject));
  };
  Findings found = run_steps(subject, oracle, here, options.audit_every_step, on_step);
  if (found.finding && found.finding->step == known_hang && subject.view().progress().livelock) {
    found.finding->finding.cls = oracle::FindingClass::kKnownUpstream;
    if (!found.known_upstream) found.known_upstream = found.finding;
    found.finding.reset();
  }
  conclude(verdict, here, found);
  if (verdict.kind == VerdictKind::kDifference && version > kNewestModeled) {
    verdict.kind = VerdictKind::kDrift;
  }
  return verdict;
}

}  // namespace sluice::run
