// What a run went through, as numbers: which operation was answered what, after what, and who
// waited for what. Feedback for whoever looks for sequences that lead somewhere new.
#pragma once
#include <cstdint>

#include "base/hash.h"
#include "ops/op_list.h"
#include "trace/outcome.h"

namespace sluice::run {

/// One step's: `answer` tells the operation and its outcome, `pair` that and the answer before.
struct StepFeatures {
  std::uint64_t answer = 0;
  std::uint64_t pair = 0;
};

/// Of one sequence; a new object for each. Cost: two hashes a step.
class FeatureTrail {
 public:
  StepFeatures take(const Op& op, const Outcome& outcome) {
    Hash answer;
    answer.add(op.index());
    answer.add(static_cast<std::uint64_t>(outcome.check) << 16 |
               static_cast<std::uint64_t>(outcome.progression) << 8 |
               static_cast<std::uint64_t>(outcome.wait));
    Hash pair;
    pair.add(before_);
    pair.add(answer.value());
    before_ = answer.value();
    return {.answer = answer.value(), .pair = pair.value()};
  }

 private:
  std::uint64_t before_ = 0;
};

}  // namespace sluice::run
