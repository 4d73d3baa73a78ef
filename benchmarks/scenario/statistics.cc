#include "benchmarks/scenario/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/check.h"

namespace sluice::bench {
namespace {

/// Pre: sorted, not empty.
double median_of(const std::vector<double>& sorted) {
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

}  // namespace

record::Statistics statistics_of(std::vector<double> values) {
  SLUICE_CHECK(!values.empty());
  std::ranges::sort(values);
  const double median = median_of(values);
  const std::size_t rank = (values.size() * 99 + 99) / 100;  // nearest rank, counted from 1
  const record::Statistics result{.median = median, .p99 = values[rank - 1], .min = values.front()};
  std::vector<double> deviations;
  deviations.reserve(values.size());
  for (const double value : values) deviations.push_back(std::abs(value - median));
  std::ranges::sort(deviations);
  return {
      .median = result.median, .p99 = result.p99, .min = result.min, .mad = median_of(deviations)};
}

}  // namespace sluice::bench
