#include "ops/nearest.h"

#include <algorithm>
#include <vector>

namespace sluice {

unsigned edit_distance(std::string_view a, std::string_view b) {
  const std::size_t width = b.size() + 1;
  std::vector<unsigned> cost((a.size() + 1) * width);
  const auto at = [&](std::size_t i, std::size_t j) -> unsigned& { return cost[i * width + j]; };
  for (std::size_t i = 0; i <= a.size(); ++i) at(i, 0) = static_cast<unsigned>(i);
  for (std::size_t j = 0; j <= b.size(); ++j) at(0, j) = static_cast<unsigned>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const unsigned replaced = at(i - 1, j - 1) + (a[i - 1] == b[j - 1] ? 0 : 1);
      at(i, j) = std::min(replaced, std::min(at(i - 1, j), at(i, j - 1)) + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
      }
    }
  }
  return at(a.size(), b.size());
}

std::string_view nearest_name(std::string_view typed, std::span<const std::string_view> names) {
  constexpr std::size_t kLongest = 64;  // nobody mistypes a name that long; keeps the table small
  if (typed.size() > kLongest) return {};
  std::string_view best;
  unsigned best_distance = ~0u;
  for (const std::string_view name : names) {
    const unsigned distance = edit_distance(typed, name);
    if (distance < best_distance) best_distance = distance, best = name;
  }
  const std::size_t allowed = std::max<std::size_t>(1, best.size() / 3);
  return best_distance <= allowed ? best : std::string_view{};
}

std::string suggestion(std::string_view typed, std::span<const std::string_view> names) {
  if (const std::string_view near = nearest_name(typed, names); !near.empty()) {
    return "; did you mean '" + std::string(near) + "'?";
  }
  std::string known = "; known are: ";
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) known += ", ";
    known += names[i];
  }
  return known;
}

}  // namespace sluice
