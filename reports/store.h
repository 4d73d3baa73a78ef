// The run store: every row of every run in one SQLite file, so that history outlives the run that
// made it. A row stays the JSON text that the record room wrote; columns beside it exist only to
// find it. Nothing here judges a row.
#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/system_error.h"

namespace sluice::reports {

/// The layout of the file, kept in SQLite's user_version. A store of a newer layout is refused,
/// never rewritten.
inline constexpr int kStoreSchema = 1;

struct ImportSummary {
  std::size_t added = 0;
  std::size_t already_there = 0;
  std::size_t incomplete =
      0;  // a last line without its newline: the writer was interrupted, the row never existed
};

/// Which rows to return; an empty field means any.
struct RowFilter {
  std::string kind{};  // "benchmark", "fuzz", "skip", "differential", "host", "gate", "test",
                       // "alternative", "simulation"
  std::string host{};
  std::string run{};
};

/// One line of history: benchmark x arguments x host (or fuzz target x engine x host). Never spans
/// two hosts.
struct SeriesKey {
  std::string kind{};
  std::string host{};
  std::string identity{};  // identity_of() of any of its rows
};

struct RunInfo {
  std::string run{};
  std::string time{};  // of its first row
  std::string host{};
  std::string commit{};
  bool dirty = false;
};

/// What makes two rows of a kind the same measurement on a host, as canonical JSON text: for a
/// benchmark its name, backend, arguments, unit, label, and whether it was simulated or a smoke
/// run; those never share a line. Nor does a differential of random sequences share one with files.
/// Errors: text that is no row.  Source: the row format,
/// harness/record.
Expected<std::string> identity_of(std::string_view row_json);

/// Thread: one thread.  Errors everywhere: the file's path, what SQLite said, what to do about it.
class Store {
 public:
  /// Opens the store, creating it where there is none; ":memory:" makes one that no file holds.
  /// Errors: not a database, a corrupt one, another program's, one of a newer schema: the file is
  /// left as it was. Cost: one integrity check, proportional to the file.
  static Expected<Store> open(const std::filesystem::path& path);

  /// Opens an existing store that will not be written. Errors: as open(), and a missing file.
  static Expected<Store> open_read_only(const std::filesystem::path& path);

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  /// Adds the rows of a rows.jsonl. A row that is there already counts once, however often and in
  /// whatever key order it comes. One transaction: either every row of the file is in, or none.
  /// Errors: unreadable file, a line that is no row (file:line), a row of a newer schema.
  Expected<ImportSummary> import_file(const std::filesystem::path& path);

  /// The same for text; `origin` names it in messages.
  Expected<ImportSummary> import_text(std::string_view text, std::string_view origin);

  /// Calls `visit` with each row's text, oldest first (time, then order of import), one in memory
  /// at a time. An error that `visit` returns ends the walk and is handed on.
  Expected<void> each_row(const RowFilter& filter,
                          const std::function<Expected<void>(std::string_view)>& visit) const;

  /// The same as a list.
  Expected<std::vector<std::string>> rows(const RowFilter& filter) const;

  /// The newest row of each identity on each host: latest results, fuzz and differential summaries.
  Expected<std::vector<std::string>> latest(std::string_view kind) const;

  /// What hosts lacked at their newest run that recorded a skip: kind=skip rows.
  Expected<std::vector<std::string>> skips() const;

  /// All rows of one line of history, oldest first.
  Expected<std::vector<std::string>> history(const SeriesKey& key) const;

  Expected<std::size_t> row_count() const;

  /// Runs with rows of a kind, empty for any, oldest first. A run with rows of two hosts (a kernel
  /// booted in an emulator) is listed once for each.
  Expected<std::vector<RunInfo>> runs(std::string_view kind = {}) const;

  /// Writes a consistent copy, replacing `target` only once the copy is whole.
  Expected<void> copy_to(const std::filesystem::path& target) const;

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  static Expected<Store> open_with(const std::filesystem::path& path, bool writable);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::reports
