// What sluice simulate found, as a row.
#pragma once
#include <string>

#include "record/row.h"
#include "run/simulate.h"
#include "tool/simulate_topology.h"

namespace sluice::tool {

/// What the row says of how it was made, beside the options.
struct SimulationNotes {
  const ChosenTopology& topology;
  std::string prices{};  // the file, "": the defaults
};

/// Pre: the options are those that the result is of.
record::SimulationRow row_of(const run::SimulateResult& result, const run::SimulateOptions& options,
                             const SimulationNotes& notes);

}  // namespace sluice::tool
