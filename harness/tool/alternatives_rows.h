// What sluice alternatives says of one value, and that as rows.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "record/row.h"
#include "run/alternatives.h"
#include "tool/rows.h"

namespace sluice::tool {

/// What is said of one value.
struct AlternativeLine {
  run::Alternative one{};
  run::AlternativeShown plain{}, tdx{};
  run::PathCost cost{};
  double nanoseconds = 0;  // a page, or a try where none arrives
  double of_default = 0;   // nanoseconds over the default's; 0 where either does not arrive

  run::AlternativeShown& shown(run::Flavor flavor) {
    return flavor == run::Flavor::kTdx ? tdx : plain;
  }
  /// Of the guests that it is about some are shown nothing.
  bool says_nothing() const {
    const auto lacks = [this](const run::AlternativeShown& shown, run::Flavor flavor) {
      return shown.verdict == run::AlternativeVerdict::kStale ||
             (one.is_of(flavor) && shown.verdict == run::AlternativeVerdict::kNotShown);
    };
    return lacks(plain, run::Flavor::kPlain) || lacks(tdx, run::Flavor::kTdx);
  }
  bool arrives() const { return cost.done == cost.pages; }
  /// What the cost is a part of: the pages, or how many were tried where not all arrive.
  std::uint64_t divisor() const {
    return arrives() ? cost.pages : std::max<std::uint64_t>(cost.tried, 1);
  }
  bool converts() const {
    return arrives() && (one.workload() == run::Workload::kConvert ||
                         one.workload() == run::Workload::kConvertWritten);
  }
};

/// What the rows say of how they were made.
struct AlternativeRowNotes {
  run::ShowOptions bounds{};
  std::string prices{};  // the file, "": the defaults
};

/// A row for the value, with what it costs, and one more for TDs where something shows it on one;
/// of an axis that is about TDs alone the one is of TDs.
/// Error: the model's memory; a tour that cannot be read any more.
Expected<std::vector<record::AlternativeRow>> rows_of(const AlternativeLine& line,
                                                      const AlternativeRowNotes& notes);

/// Appends the rows of all lines. Does nothing without a file. Errors: the file's, the model's.
Expected<void> append_rows(const RowTarget& target, const std::vector<AlternativeLine>& lines,
                           const AlternativeRowNotes& notes);

}  // namespace sluice::tool
