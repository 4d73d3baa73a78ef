// The model and every invariant over the sequence that the input decodes to. A finding is a bug of
// the modeled kernel, or of the model; a run that does not repeat itself is a bug of ours.
// With SLUICE_FUZZ_STATS set, the share of steps that acted (target F3) is printed at the exit.
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/check.h"
#include "base/hash.h"
#include "fuzzers/driver/fuzz_target.h"
#include "fuzzers/driver/report.h"
#include "fuzzers/driver/state_features.h"
#include "ops/codec.h"
#include "ops/text.h"
#include "run/features.h"
#include "run/runner.h"

namespace {

using namespace sluice;

std::uint64_t steps = 0;
std::uint64_t acted = 0;

void print_stats() { fmt::print(stderr, "SLUICE_FUZZ_STATS steps={} acted={}\n", steps, acted); }

model::ModelBackend open_model() {
  auto model = model::ModelBackend::open(default_profile(kDefaultKernel));
  if (!model) {
    fmt::print(stderr, "fuzz_sequence: {}\n", model.error().message());
    std::exit(3);
  }
  return *std::move(model);
}

/// Warm before the first input, and taken back after each, not before the next: every run of an
/// input takes the same path (AFL++ calls that stability). Opened at start-up, not at the first
/// input.
struct Target {
  Target() {
    decode_sequence({}, sequence);
    if (std::getenv("SLUICE_FUZZ_STATS") != nullptr) std::atexit(print_stats);
  }

  /// Runs the decoded sequence from the start and goes back there; known-upstream findings do not
  /// count. `end`, where asked for, is the hash of the state that it ended in.
  std::optional<run::FoundAt> run_once(std::uint64_t* end = nullptr) {
    model.begin(sequence.header);
    run::FeatureTrail trail;
    const run::Findings found =
        run::run_steps(model, judge, sequence, false, [&](std::size_t i, const Outcome& outcome) {
          ++steps;
          acted += outcome.skipped() ? 0u : 1u;
          // Beside the code that it executed. Pairs are many: half of the places are for them, so
          // that they cannot drown the answers.
          const run::StepFeatures features = trail.take(sequence.steps[i].op, outcome);
          fuzz::hit_state_feature(features.answer);
          fuzz::hit_state_feature(features.pair % (fuzz::kStateFeatures / 2));
        });
    if (end != nullptr) *end = model.state_hash();
    model.reset();
    return found.finding;
  }

  model::ModelBackend model = open_model();
  oracle::Oracle judge{};
  Sequence sequence{};
};
Target target;

[[noreturn]] void report(const run::FoundAt& found) {
  const Sequence& sequence = target.sequence;
  const std::string where =
      found.step < sequence.steps.size()
          ? fmt::format("step {}: {}", found.step, format_step(sequence.steps[found.step]))
          : std::string("the end of the sequence");
  fuzz::report_finding(oracle::describe(found.finding) + "\nat " + where, sequence);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  decode_sequence({data, size}, target.sequence);
  // An alternative that is unsound by design is no bug of the modeled kernel.
  target.sequence.header.policy = with_mainline_kernel(target.sequence.header.policy);
  // One input in 64, told by its bytes, runs twice (target F5).
  Hash bytes;
  for (std::size_t i = 0; i < size; ++i) bytes.add(data[i]);
  const bool twice = bytes.value() % 64 == 0;
  std::uint64_t first = 0, second = 0;
  if (const auto found = target.run_once(twice ? &first : nullptr)) report(*found);
  if (twice) {
    target.run_once(&second);
    if (first != second)
      fuzz::report_harness_bug("the same sequence ended in two states", target.sequence);
  }
  target.sequence.clear();
  return 0;
}
