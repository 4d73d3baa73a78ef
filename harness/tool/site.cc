// sluice site: rows to a static dashboard.
#include "reports/site.h"

#include <fmt/core.h>

#include "tool/command.h"

namespace sluice::tool {
namespace {

int make_site(const reports::SiteOptions& options) {
  if (options.rows_files.empty() && options.database.empty()) {
    return complain("site needs rows: name a rows.jsonl, or a run store with --db");
  }
  const auto made = reports::generate_site(options);
  if (!made) return complain(made.error());
  fmt::print(
      "{}: {} rows ({} new), {} series, targets {} met {} missed, {} findings, {} mismatches, {} "
      "tests failed, {} skipped\n",
      made->index.string(), made->rows, made->rows_added, made->series, made->targets_met,
      made->targets_missed, made->findings, made->mismatches, made->tests_failed, made->skipped);
  if (made->incomplete > 0)
    fmt::print("{} line(s) cut off by an interruption were left out\n", made->incomplete);
  return kFine;
}

}  // namespace

void add_site(CLI::App& app, int& status) {
  Command command(app, "site", "Rows to a static dashboard that opens from disk");
  static reports::SiteOptions options;
  static std::vector<std::string> rows;
  static std::string database, out;
  command.option("ROWS", rows, "rows.jsonl files");
  command.option("--db", database, "The run store: history is kept there (made where missing)");
  command.option("--out", out, "The folder to write").required();
  command.option("--title", options.title, "Title of the page");
  command.flag("--copy-db", options.copy_database, "Leave a copy of the store in the folder");
  command.on_run([&status] {
    options.rows_files.assign(rows.begin(), rows.end());
    options.database = database;
    options.out_dir = out;
    status = make_site(options);
  });
}

}  // namespace sluice::tool
