// Replay: nobody looks at features.
#include "fuzzers/driver/state_features.h"

namespace sluice::fuzz {

void hit_state_feature(std::uint64_t /*hash*/) {}

}  // namespace sluice::fuzz
