#include "run/fuzz_run.h"

#include <fmt/format.h>

#include "ops/codec.h"
#include "ops/text.h"

namespace sluice::run {

Expected<FuzzRun> FuzzRun::open(const HostProfile& profile) {
  auto model = model::ModelBackend::open(profile);
  if (!model) return std::unexpected(model.error());
  return FuzzRun(std::move(*model));
}

std::optional<FoundAt> FuzzRun::run_bytes(std::span<const std::uint8_t> bytes) {
  decode_sequence(bytes, sequence_);
  sequence_.header.policy = with_mainline_kernel(sequence_.header.policy);
  return run(sequence_);
}

std::optional<FoundAt> FuzzRun::run(const Sequence& sequence) {
  using Traits = BackendTraits<model::ModelBackend>;
  if (!Traits::start(model_, sequence)) return std::nullopt;  // never: the model always starts
  return run_steps(model_, oracle_, sequence, false,
                   [this](std::size_t, const Outcome& outcome) {
                     ++steps_;
                     acted_ += outcome.skipped() ? 0u : 1u;
                   })
      .finding;
}

MinimizeResult minimize_finding(FuzzRun& model, const Sequence& start,
                                const oracle::Finding& finding) {
  return minimize(start, [&](const Sequence& candidate) {
    const auto again = model.run(candidate);
    return again && again->finding.invariant == finding.invariant;
  });
}

std::string describe_finding(const Sequence& sequence, const FoundAt& found) {
  const bool at_end = found.step >= sequence.steps.size();
  return fmt::format(
      "{}\n  at {}\n{}", oracle::describe(found.finding),
      at_end ? "the end of the sequence"
             : fmt::format("step {}: {}", found.step, format_step(sequence.steps[found.step])),
      format_text(sequence));
}

}  // namespace sluice::run
