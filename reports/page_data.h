// What the page shows, as one JSON value: hosts with the moments at which their fingerprints
// changed, runs, and a line of history per benchmark x arguments x host, column by column
// (columns.h), with the newest row of each in full.
#pragma once
#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/system_error.h"
#include "reports/json_row.h"
#include "reports/store.h"

namespace sluice::reports {

struct PageOptions {
  std::string title{};
  std::size_t points_max = 1000;
};

/// {"schema":1,"title","newest","hosts","runs","points","reasons","benchmarks","fuzz","differential","tests","skips","gates",
/// "alternatives","simulations","left_out"}; docs/report-format.md describes each.
/// Errors: store.h's.  Cost: parses every row once, keeps one per line of history.
Expected<Json> page_data(const Store& store, const PageOptions& options);

}  // namespace sluice::reports
