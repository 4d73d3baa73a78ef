// sluice compare OLD NEW: two runs side by side.
#include "reports/compare.h"

#include <fmt/core.h>

#include "tool/command.h"

namespace sluice::tool {
namespace {

int compare(const reports::CompareOptions& options, bool json) {
  const auto result = reports::compare_runs(options);
  if (!result) return complain(result.error());
  fmt::print("{}", json ? reports::compare_json(*result) : reports::compare_text(*result));
  return kFine;
}

}  // namespace

void add_compare(CLI::App& app, int& status) {
  Command command(app, "compare",
                  "Two runs side by side: medians, ratio, noise band, changed counters");
  static reports::CompareOptions options;
  static std::string old_path, new_path, sort = "name";
  static bool json = false;
  command.option("OLD", old_path, "rows.jsonl or sluice.db with the old run").required();
  command.option("NEW", new_path,
                 "rows.jsonl or sluice.db with the new run (default: the same file)");
  command.option("--old-run", options.old_run.run,
                 "Run id (default: the newest, or the newest but one of a single file)");
  command.option("--new-run", options.new_run.run, "Run id (default: the newest)");
  command.option("--sort", sort, "name | ratio | old | new")
      .one_of({"name", "ratio", "old", "new"});
  command.flag("--json", json, "Machine-readable output");
  command.on_run([&status] {
    options.old_run.path = old_path;
    options.new_run.path = new_path.empty() ? old_path : new_path;
    using Sort = reports::CompareSort;
    options.sort = sort == "ratio" ? Sort::kRatio
                   : sort == "old" ? Sort::kOld
                   : sort == "new" ? Sort::kNew
                                   : Sort::kName;
    status = compare(options, json);
  });
}

}  // namespace sluice::tool
