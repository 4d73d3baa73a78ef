// libFuzzer reads (and clears) the counters of this section beside its own. Not static: a static
// array that is only written is optimized away, and the features with it.
#include "fuzzers/driver/state_features.h"

extern "C" __attribute__((section("__libfuzzer_extra_counters")))
std::uint8_t sluice_state_features[sluice::fuzz::kStateFeatures];
std::uint8_t sluice_state_features[sluice::fuzz::kStateFeatures];

namespace sluice::fuzz {

void hit_state_feature(std::uint64_t hash) {
  std::uint8_t& count = sluice_state_features[hash % kStateFeatures];
  if (count != 255) ++count;
}

}  // namespace sluice::fuzz
