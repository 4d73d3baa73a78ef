// What a sequence shows, told step by step, for readers who do not run it themselves.
#pragma once
#include <string>
#include <vector>

#include "run/runner.h"

namespace sluice::run {

struct ToldStep {
  std::string operation{};  // as text
  std::string answer{};     // the model's
};

struct Narrative {
  std::vector<ToldStep> steps{};   // up to the finding
  std::optional<FoundAt> found{};  // other than what is known upstream
  /// The finding came when all operations were done, and whoever was parked had gone on.
  bool at_end() const { return found && found->step >= steps.size(); }
};

/// Runs the sequence on a model of the default host. Error: the model's memory. Deterministic.
Expected<Narrative> narrate(const Sequence& sequence);

}  // namespace sluice::run
