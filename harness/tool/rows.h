// Rows that the tool itself writes: who measured, on what, and where the rows go.
#pragma once
#include <optional>
#include <string>

#include "record/row_file.h"

namespace sluice::tool {

struct RowTarget {
  std::string file{};  // empty: no rows are written
  std::string run{};   // empty: a new id
};

/// The rows of one command that appends several: the host's row once, then each as it comes, so
/// that what was written outlives a kernel that dies. Thread: compatible.
class RowWriter {
 public:
  /// Appends the host's row. Errors: the file's. Without a file it does nothing, and so do appends.
  static Expected<RowWriter> open(const RowTarget& target);
  /// Its head filled in. Errors: the file's.
  Expected<void> append(record::Row row);

 private:
  RowWriter() = default;
  std::optional<record::RowSink> sink_{};
  record::Head head_{};
};

/// Opens the file and closes it, for who would learn only after long work that it cannot be
/// written. Errors: the file's, with what to do. Does nothing without a file.
Expected<void> check_writable(const RowTarget& target);

/// Appends the host's row and then `row`, its head filled in. Errors: the file's. Does nothing
/// without a file.
Expected<void> append_row(const RowTarget& target, record::Row row);

}  // namespace sluice::tool
