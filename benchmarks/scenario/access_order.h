// In which order a benchmark visits its entries: the floor and the subject read the same list, so
// that it costs both the same.
#pragma once
#include <cstdint>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "base/rng.h"

namespace sluice::bench {

/// 0..count-1, rising ("sequential") or shuffled by a fixed seed ("random").
inline std::vector<std::uint32_t> access_order(std::uint64_t count, std::string_view order) {
  std::vector<std::uint32_t> list(count);
  std::iota(list.begin(), list.end(), 0u);
  if (order != "random") return list;
  Rng rng(0x51);
  for (std::uint64_t i = count; i > 1; --i) std::swap(list[i - 1], list[rng.below(i)]);
  return list;
}

}  // namespace sluice::bench
