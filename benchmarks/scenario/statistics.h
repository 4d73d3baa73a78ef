// What is said about the repetitions of one benchmark: order statistics only, never a mean.
#pragma once
#include <vector>

#include "record/row.h"

namespace sluice::bench {

/// Median (mean of the middle two for an even count), p99 (nearest rank: with fewer than 100
/// values, the largest), smallest, and median absolute deviation. Pre: at least one value.
record::Statistics statistics_of(std::vector<double> values);

}  // namespace sluice::bench
