// The whole of a fuzz target but its name: bytes in, a finding or none out.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "ops/minimize.h"
#include "run/runner.h"

namespace sluice::run {

/// Keeps model, oracle and sequence, so that a warm one allocates nothing. Thread: compatible.
class FuzzRun {
 public:
  static Expected<FuzzRun> open(const HostProfile& profile);

  /// Decodes and runs, with KVM as mainline has it: an alternative may be unsound by design.
  /// Answers what was found; known-upstream findings do not count. Cost: some
  /// 100 ns a step.
  std::optional<FoundAt> run_bytes(std::span<const std::uint8_t> bytes);
  /// The same for a sequence at hand.
  std::optional<FoundAt> run(const Sequence& sequence);

  /// The sequence of the last run_bytes(), for the report of a finding.
  const Sequence& sequence() const { return sequence_; }
  model::ModelBackend& model() { return model_; }
  /// Steps of all runs, and how many of them acted (F3).
  std::uint64_t steps() const { return steps_; }
  std::uint64_t acted() const { return acted_; }

 private:
  explicit FuzzRun(model::ModelBackend model) : model_(std::move(model)) {}
  model::ModelBackend model_;
  oracle::Oracle oracle_{};
  Sequence sequence_{};
  std::uint64_t steps_ = 0;
  std::uint64_t acted_ = 0;
};

/// The smallest sequence that still shows this finding. Pre: run(start) answers it. Cost: up to
/// 20,000 runs.
MinimizeResult minimize_finding(FuzzRun& model, const Sequence& start,
                                const oracle::Finding& finding);

/// "FINDING ...", the step, and the sequence as text: what a fuzzer prints before it aborts.
std::string describe_finding(const Sequence& sequence, const FoundAt& found);

}  // namespace sluice::run
