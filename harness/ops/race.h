// Races for a sequence to end in: operations that stop on their way while others, of other actors,
// work on the same things. What mutation puts together by chance now and then (mutate.h), on
// purpose.
#pragma once
#include <array>
#include <cstdint>

#include "base/rng.h"
#include "ops/sequence.h"

namespace sluice {

/// By operation: the highest point at which one was seen to stop. Whoever runs races learns it.
using StopsSeen = std::array<std::uint8_t, AllOps::kCount>;

/// Races stop nobody at a point beyond this one: the fault path, the longest, has six up to the
/// leaf.
inline constexpr unsigned kMostRacePoints = 6;

/// Replaces `out` by a scene: a VM as append_setup() makes it, and what a few operations near it
/// leave. Nobody stops in it. Deterministic.
void random_scene(Rng& rng, Sequence& out);

/// Appends two or three operations, of which all but the last are to stop on their way, and what
/// resumes them, in any order. Many fields have their defaults, which is where set-ups put things,
/// so that the operations meet. Deterministic. At most kMaxOps steps stay; without a VM to act on,
/// none come.
void append_race(Rng& rng, const StopsSeen& seen, Sequence& sequence);

/// The same operations of the same actors, from the first that stops on, with other fields for half
/// of them, and other points to stop at for some. Deterministic.
void redraw_race(Rng& rng, const StopsSeen& seen, Sequence& sequence);

/// The two operations have fields of a domain in common, other than flags and the names of objects:
/// guest frames, offsets in a file, entries of a buffer. Then they may work on the same thing.
bool share_a_domain(std::size_t one, std::size_t other);

}  // namespace sluice
