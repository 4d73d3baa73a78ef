// Which rows of design alternatives and of simulations are shown. They say nothing of a host, so
// the newest run has them, whichever host it was made on.
#pragma once
#include <string>
#include <vector>

#include "base/system_error.h"
#include "reports/store.h"

namespace sluice::reports {

/// Of each policy axis the rows of the newest run that has any of it: a value that is no longer
/// there is not shown. Axes and values come as they were written. Errors: store.h's.
Expected<std::vector<std::string>> newest_alternatives(const Store& store);

/// Of each workload, policy, topology and size the rows of the newest run that has it, whatever its
/// numbers of vCPUs: no curve has points of two builds. Errors: store.h's.
Expected<std::vector<std::string>> newest_simulations(const Store& store);

}  // namespace sluice::reports
