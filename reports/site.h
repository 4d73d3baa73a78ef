// The static dashboard: one directory that opens from disk, without a server and without the
// network.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "base/system_error.h"

namespace sluice::reports {

struct SiteOptions {
  std::vector<std::filesystem::path> rows_files{};  // rows.jsonl files, imported first
  std::filesystem::path database{};                 // the run store; empty: the rows files alone
  std::filesystem::path out_dir{};                  // made where missing
  std::string title = "Sluice";
  bool copy_database = false;  // leave a copy of the store as OUT/sluice.db
  std::size_t points_max =
      1000;  // newest points kept per line of history in the page; rows.jsonl keeps all
};

struct SiteSummary {
  std::filesystem::path index{};  // the page
  std::size_t rows = 0;           // in the store
  std::size_t rows_added = 0;     // by this call
  std::size_t incomplete = 0;     // last lines cut off by an interruption
  std::size_t series = 0;         // lines of history on the page
  std::size_t targets_met = 0;
  std::size_t targets_missed = 0;
  std::size_t findings = 0;      // of fuzzers
  std::size_t mismatches = 0;    // of the differential
  std::size_t tests_failed = 0;  // of other suites
  std::size_t skipped = 0;
};

/// Writes OUT/index.html, OUT/rows.jsonl (every row of the store; left alone where it is itself one
/// of `rows_files`), OUT/summary.json (summary.h) and, where asked, OUT/sluice.db. Each file is
/// replaced only once its successor is whole. The same rows give the same bytes: the page carries
/// the date of its newest row, not of its making. Pre: one of rows_files and database is not empty.
/// Errors: store.h's; a directory or file that cannot be written; no row at all.  Thread: one
/// thread. Cost: parses every row of the store once (about 10 us each).
Expected<SiteSummary> generate_site(const SiteOptions& options);

}  // namespace sluice::reports
