// Runs a sequence on one backend: every step, the oracle after each, the audit at the end, and what
// the author expects compared with what came.
#pragma once
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "oracle/differential.h"
#include "oracle/oracle.h"
#include "run/backend.h"
#include "run/expectation.h"
#include "run/verdict.h"

namespace sluice::run {

struct RunOptions {
  std::string file{};             // named in the verdict and in errors
  bool audit_every_step = false;  // tests: the whole state after each step, not only at the end
  std::vector<Outcome>* answers = nullptr;  // gets what each step answered, up to a finding
};

/// The findings of one run: the first real one, which ends it, and the first known-upstream one,
/// which does not.
struct Findings {
  std::optional<FoundAt> finding{};
  std::optional<FoundAt> known_upstream{};
};

/// The bare loop, also of fuzzers: no text, no allocation once warm. `on_step(index, outcome)` is
/// told every answer. Pre: the backend's start() succeeded.
template <Backend B, class OnStep>
Findings run_steps(B& backend, oracle::Oracle& oracle, const Sequence& sequence,
                   bool audit_every_step, OnStep&& on_step) {
  Findings found;
  // True if the run is over.
  const auto take = [&found](std::optional<oracle::Finding> finding, std::size_t step) {
    if (!finding) return false;
    const bool known = finding->cls == oracle::FindingClass::kKnownUpstream;
    std::optional<FoundAt>& place = known ? found.known_upstream : found.finding;
    if (!place) place = FoundAt{.finding = *finding, .step = step};
    return !known;
  };
  oracle.begin(backend.view());
  for (std::size_t i = 0; i < sequence.steps.size(); ++i) {
    const Outcome outcome = backend.apply(sequence.steps[i]);
    on_step(i, outcome);
    if (take(oracle.check(backend.view()), i)) return found;
    if (audit_every_step && take(oracle.audit(backend.view()), i)) return found;
  }
  const std::size_t end = sequence.steps.size();
  BackendTraits<B>::end(backend);
  if (take(oracle.check(backend.view()), end)) return found;
  take(oracle.audit(backend.view()), end);
  return found;
}

/// The expectations of a sequence, one per step. Error: "FILE:LINE: what is wrong".
std::expected<std::vector<Expectation>, std::string> resolve_expectations(const Sequence& sequence,
                                                                          std::string_view file);

/// One line of `# requires:`: `cap=sev_snp` wants a capability, `no=tdp` wants it absent.
struct Requirement {
  Capability capability = Capability::kNone;
  bool present = true;
};
/// Error: what is wrong, and what would be right.
std::expected<Requirement, std::string> parse_requirement(std::string_view text);

/// The first requirement that the backend does not meet, as "needs cap=sev_snp"; "" if it meets
/// all. Error: a requirement nobody knows, with `file` and line.
template <Backend B>
std::expected<std::string, std::string> missing_requirement(const B& backend,
                                                            const Sequence& sequence,
                                                            std::string_view file);

/// `profile` without what the sequence wants absent (`# requires: no=...`).
HostProfile profile_without(const HostProfile& profile, const Sequence& sequence);
/// A model of the default host on which the sequence's requirements are met.
Expected<model::ModelBackend> open_model_for(const Sequence& sequence);

/// Runs and judges. Never fails: what goes wrong is a verdict. Who runs many keeps the oracle.
template <Backend B>
Verdict run_sequence(B& backend, oracle::Oracle& oracle, const Sequence& sequence,
                     const RunOptions& options);
template <Backend B>
Verdict run_sequence(B& backend, const Sequence& sequence, const RunOptions& options) {
  oracle::Oracle oracle;
  return run_sequence(backend, oracle, sequence, options);
}

/// Collects what a step answered, for run_sequence() and for lockstep runs.
class Collector {
 public:
  Collector(const Sequence& sequence, std::span<const Expectation> expectations, Verdict& verdict)
      : sequence_(sequence), expectations_(expectations), verdict_(verdict) {}
  /// A skip is noted with `words` where there are any.
  void take(std::size_t step, const Outcome& outcome, const std::string& words);
  /// From here on a difference from an expectation is no mismatch: the state is not the one that
  /// the author had in mind.
  void excuse_the_rest() { parted_ = true; }
  /// This step's expectation is not held against the subject.
  void excuse(std::size_t step) { excused_ = step; }
  /// The model answered something else in `field`.
  void differs(std::size_t step, const oracle::Mismatch& mismatch);

 private:
  std::uint32_t line_of(std::size_t step) const {
    return step < sequence_.lines.size() ? sequence_.lines[step] : 0;
  }
  StepMismatch describe_step(std::size_t step, std::string expected, std::string got) const;
  const Sequence& sequence_;
  std::span<const Expectation> expectations_;
  Verdict& verdict_;
  bool parted_ = false;
  std::size_t excused_ = ~std::size_t{0};
};

/// What the author wants found (`# finds:`) is no finding but his expectation, met or not.
void compare_finding(Verdict& verdict, const Sequence& sequence, Findings& found);

/// Puts findings and mismatches together into the verdict's kind.
void conclude(Verdict& verdict, const Sequence& sequence, Findings found);

extern template Verdict run_sequence(model::ModelBackend&, oracle::Oracle&, const Sequence&,
                                     const RunOptions&);

}  // namespace sluice::run
