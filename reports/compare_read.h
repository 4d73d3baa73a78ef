// Finds the two runs of a comparison and reads their benchmark rows. Internal to compare.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/system_error.h"
#include "reports/compare.h"
#include "reports/json_row.h"

namespace sluice::reports {

struct Side {
  std::string run{};
  std::string commit{};
  std::vector<Json> rows{};  // kind benchmark; of two rows of one measurement the later
};

struct Sides {
  Side old_side{};
  Side new_side{};
};

/// Errors: as compare_runs().
Expected<Sides> read_sides(const RunSelector& old_run, const RunSelector& new_run);

}  // namespace sluice::reports
