// The smallest sequence that still shows something. Works on operations, so that every candidate is
// a program that a reader would write.
#pragma once
#include <functional>

#include "ops/sequence.h"

namespace sluice {

/// True if the candidate still shows what is looked for.
using StillShows = std::function<bool(const Sequence&)>;

struct MinimizeResult {
  Sequence sequence{};
  std::size_t tries = 0;    // how often the predicate was asked
  bool is_minimal = false;  // false: the budget ran out before nothing more could be left out
};

/// Drops ranges, then single steps, park points, actors and header values, then moves every field
/// to its default or a simpler value, until nothing more can go or `max_tries` is used up. Pre:
/// `shows(start)`. Post: shows(result.sequence). Deterministic. Notes are kept, expectations of the
/// steps that stay too (they may no longer hold).
MinimizeResult minimize(const Sequence& start, const StillShows& shows,
                        std::size_t max_tries = 20000);

}  // namespace sluice
