// Every interleaving of a small program on the model, by running it from the start under each
// schedule: what is in flight cannot be copied (docs/design/explore.md).
//
// A program is what each actor does, in that order; who takes the next turn is what is explored. A
// turn goes to the next interleaving point of an operation (model/schedule/point.h), or to its end.
// Who is blocked goes on as soon as what it waits for is free, as in any sequence
// (model/schedule/scheduler.h): that a woken actor is late is not explored. A retry loop of the
// fault path that has gone round three times waits until somebody else had a turn, so that runs
// end.
#pragma once
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/model_backend.h"
#include "ops/sequence.h"
#include "oracle/oracle.h"

namespace sluice::run {

/// `setup` runs as it stands, each time; `steps` are in the file's order, without park points and
/// without `resume`.
struct Program {
  Sequence setup{};
  std::vector<Step> steps{};
  std::uint32_t line = 0;  // of the first of them; 0 where the sequence is not from text
};

/// Parts a sequence at its first step with a park point, or at the first one at `line` or below.
/// Error: "FILE[:LINE]: what is wrong, and what to do": no such step, a setup that stops inside an
/// operation, only one actor.
std::expected<Program, std::string> program_of(const Sequence& sequence, std::string_view file,
                                               std::optional<std::uint32_t> line);

struct ExploreOptions {
  /// At most; all if absent. A preemption is a turn that goes from an actor which is inside an
  /// operation and could go on to another actor. Being late with the next operation is none.
  std::optional<unsigned> preemptions{};
  std::uint64_t max_runs = ~std::uint64_t{0};
  /// Leaves out what differs only in the order of turns that changed nothing (sleep sets). Without
  /// effect under a bound of preemptions: what is left out could be what keeps to it.
  bool sleep_sets = true;
  bool stop_at_finding = true;
  /// Told after each run how many there were, and which share of all that is: an estimate.
  std::function<void(std::uint64_t runs, double share)> on_run{};
};

/// A finding, how many runs met it, and the first schedule that led to it, as a sequence.
struct ExploreFinding {
  oracle::Finding finding{};
  Sequence sequence{};
  std::uint64_t times = 0;
};

struct Exploration {
  std::uint64_t runs = 0;
  std::uint64_t turns = 0;     // of all runs
  std::size_t longest = 0;     // turns of the longest run
  std::uint64_t left_out = 0;  // turns that were not taken because of sleep sets
  std::uint64_t unlike = 0;    // whose sequence ended in another state: 0, or a mistake here
  std::uint64_t cut = 0;       // runs that were ended at kMaxTurns
  std::set<std::uint64_t> end_states{};  // hashes, of the runs without a finding
  std::vector<ExploreFinding> found{};   // by invariant and class; in the order of their first run
  double share = 0;                      // of all runs; an estimate unless `complete`
  bool complete = false;

  bool has_finding() const;  // other than what is known upstream
};
inline constexpr std::size_t kMaxTurns = 1000;

/// Each schedule runs turn by turn, and again with the turns of one operation in a row as one step.
/// Pre: no sequence is under way on the model; afterwards none is. Deterministic. Cost: a run is
/// twice the setup and the program on the model, some microseconds each, and a walk over the end
/// state; memory: some 50 bytes for each different end state.
Exploration explore(model::ModelBackend& model, const Program& program,
                    const ExploreOptions& options);

}  // namespace sluice::run
