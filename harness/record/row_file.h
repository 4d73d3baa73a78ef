// The file of rows: JSON Lines, append only. What has been written survives an interruption of the
// writer at any moment.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/system_error.h"
#include "record/row.h"

namespace sluice::record {

/// Appends rows. Each row is one write(2) on a descriptor opened with O_APPEND, so a killed run
/// keeps all rows that it appended, and several processes may append to one file. A last line that
/// an earlier run left unfinished is closed with a newline first: the reader reports it, and no
/// later row is lost in it. Thread: compatible.
class RowSink {
 public:
  /// Opens the file, making it if there is none. Errors: the open or read that failed, with the
  /// path.
  static Expected<RowSink> open(const std::string& path);
  RowSink(RowSink&& other) noexcept;
  RowSink& operator=(RowSink&& other) noexcept;
  ~RowSink();

  /// Errors: the write that failed, with the path; rows appended before are not touched.
  Expected<void> append(const Row& row);
  const std::string& path() const { return path_; }

 private:
  RowSink(std::string path, int fd, bool line_open)
      : path_(std::move(path)), fd_(fd), line_open_(line_open) {}
  std::string path_;
  int fd_;
  bool line_open_;  // the file does not end in a newline
};

struct RowsRead {
  std::vector<Row> rows{};
  std::vector<std::string>
      torn{};  // one note per unfinished line that was passed over: "rows.jsonl:12: ..."
};

/// All rows of a file, in order. A line that ends too early (its writer was cut off) is passed over
/// with a note; anything else that is not a row is an error. Errors: "FILE:LINE: what is wrong;
/// what to do", or the open or read that failed.
Expected<RowsRead> read_rows(const std::string& path);

/// The same for text already in memory; `name` stands for the file in messages.
Expected<RowsRead> parse_rows(std::string_view text, const std::string& name);

}  // namespace sluice::record
