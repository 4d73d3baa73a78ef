// Schedules by priority (PCT: Burckhardt et al., ASPLOS 2010): whoever has the highest priority
// goes on, but for a few places drawn beforehand, at which he falls behind all others. A race that
// needs d such places is met with a chance that falls with the d-th power of the length alone.
#pragma once
#include "base/rng.h"
#include "ops/sequence.h"

namespace sluice {

inline constexpr std::uint64_t kMostPriorityChanges = 3;

/// The last few operations of the sequence in the order that priorities of their actors give, with
/// one to three places where the one who runs stops inside an operation and the next one goes on.
/// Each actor does the same operations in the same order; who was stopped is resumed. Nothing
/// changes where fewer than two actors are at work there. At most kMaxOps steps stay.
/// Deterministic.
void schedule_by_priority(Rng& rng, Sequence& sequence);

}  // namespace sluice
