// Rows that the tool itself writes: who measured, on what, and where the rows go.
#pragma once
#include <string>

#include "record/row_file.h"

namespace sluice::tool {

struct RowTarget {
  std::string file{};  // empty: no rows are written
  std::string run{};   // empty: a new id
};

/// Appends the host's row and then `row`, its head filled in. Errors: the file's. Does nothing
/// without a file.
Expected<void> append_row(const RowTarget& target, record::Row row);

}  // namespace sluice::tool
