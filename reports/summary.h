// summary.json: what a script or a person at a terminal asks first, from the newest row of every
// benchmark, fuzz target and differential. Times stay in rows.jsonl.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/system_error.h"
#include "reports/json_row.h"
#include "reports/store.h"

namespace sluice::reports {

/// {"schema":1,"title","newest_run","rows","totals","targets":{"met","missed","unmeasured"},"findings","mismatches",
/// "tests":{"failed","skipped"},"skipped"}. Smoke and simulated rows count as measured but never
/// meet or miss a target: their sizes and clocks are not those that the targets speak of. Errors:
/// store.h's.
Expected<Json> summarize(const Store& store, const std::string& title);

}  // namespace sluice::reports
