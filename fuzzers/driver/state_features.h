// Features of the state that a run went through, handed to the engine beside its edge coverage: two
// inputs with the same edges but other states are both kept. Each driver implements it.
#pragma once
#include <cstdint>

namespace sluice::fuzz {

inline constexpr std::uint32_t kStateFeatures = 4096;

/// Counts feature `hash` % kStateFeatures. Cost: one byte add.
void hit_state_feature(std::uint64_t hash);

}  // namespace sluice::fuzz
