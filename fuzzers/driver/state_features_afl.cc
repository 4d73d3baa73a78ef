// AFL++: a guard array of our own reserves places in the coverage map, in a constructor so that
// they exist before the map is sized.
#include <array>

#include "fuzzers/driver/state_features.h"

extern "C" std::uint8_t* __afl_area_ptr;
extern "C" void __sanitizer_cov_trace_pc_guard_init(std::uint32_t* start, std::uint32_t* stop);

namespace {

std::array<std::uint32_t, sluice::fuzz::kStateFeatures> guards{};

__attribute__((constructor)) void reserve_places() {
  __sanitizer_cov_trace_pc_guard_init(guards.data(), guards.data() + guards.size());
}

}  // namespace

namespace sluice::fuzz {

void hit_state_feature(std::uint64_t hash) {
  const std::uint32_t place = guards[hash % kStateFeatures];
  if (place != 0) ++__afl_area_ptr[place];
}

}  // namespace sluice::fuzz
