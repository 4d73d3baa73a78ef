#include "reports/compare_read.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "reports/store.h"

namespace sluice::reports {
namespace {

constexpr std::size_t kRunsListed = 10;

bool is_database(const std::filesystem::path& path) {
  constexpr std::string_view magic("SQLite format 3\0", 16);
  std::array<char, magic.size()> start{};
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), start.size());
  return file && std::string_view(start.data(), start.size()) == magic;
}

Expected<Store> open_any(const std::filesystem::path& path) {
  if (is_database(path)) return Store::open_read_only(path);
  auto store = Store::open(":memory:");
  if (!store) return store;
  if (const auto imported = store->import_file(path); !imported) {
    return std::unexpected(imported.error());
  }
  return store;
}

std::vector<std::string> distinct(const std::vector<RunInfo>& runs) {
  std::vector<std::string> ids;
  for (const RunInfo& run : runs) {
    if (std::find(ids.begin(), ids.end(), run.run) == ids.end()) ids.push_back(run.run);
  }
  return ids;
}

std::unexpected<SystemError> no_run(const RunSelector& wanted,
                                    const std::vector<std::string>& ids) {
  std::string known;
  for (std::size_t i = 0; i < ids.size() && i < kRunsListed; ++i) {
    known += "\n  " + ids[ids.size() - 1 - i];
  }
  if (ids.size() > kRunsListed) known += fmt::format("\n  and {} older", ids.size() - kRunsListed);
  if (ids.empty()) known = " none";
  return input_error(fmt::format(
      "compare: {}: no benchmark rows of {}; runs that have some:{}", wanted.path.string(),
      wanted.run.empty() ? "an earlier run" : "run " + wanted.run, known));
}

// The named run, or the newest before `before` (empty: the newest of all).
Expected<std::string> choose(const RunSelector& wanted, const std::vector<std::string>& ids,
                             const std::string& before) {
  const auto end = std::find(ids.begin(), ids.end(), before);
  if (!wanted.run.empty()) {
    if (std::find(ids.begin(), ids.end(), wanted.run) == ids.end()) return no_run(wanted, ids);
    return wanted.run;
  }
  if (end == ids.begin()) return no_run(wanted, ids);
  return *std::prev(end);
}

Expected<Side> read_side(const Store& store, const std::string& run) {
  Side side{.run = run};
  std::map<std::pair<std::string, std::string>, Json> newest;
  const auto walked = store.each_row(
      {.kind = "benchmark", .run = run}, [&](std::string_view text) -> Expected<void> {
        auto row = parse_row(text);
        if (!row) return std::unexpected(row.error());
        side.commit = text_of(*row, "commit");
        newest.insert_or_assign({row_identity(*row), text_of(*row, "host")}, std::move(*row));
        return {};
      });
  if (!walked) return std::unexpected(walked.error());
  for (auto& [key, row] : newest) side.rows.push_back(std::move(row));
  return side;
}

Expected<Side> find_side(const RunSelector& wanted, const std::string& before) {
  const auto store = open_any(wanted.path);
  if (!store) return std::unexpected(store.error());
  const auto runs = store->runs("benchmark");
  if (!runs) return std::unexpected(runs.error());
  const auto run = choose(wanted, distinct(*runs), before);
  if (!run) return std::unexpected(run.error());
  return read_side(*store, *run);
}

}  // namespace

Expected<Sides> read_sides(const RunSelector& old_run, const RunSelector& new_run) {
  auto new_side = find_side(new_run, "");
  if (!new_side) return std::unexpected(new_side.error());
  std::error_code error;
  const bool one_file = std::filesystem::equivalent(old_run.path, new_run.path, error) && !error;
  auto old_side = find_side(old_run, one_file ? new_side->run : "");
  if (!old_side) return std::unexpected(old_side.error());
  return Sides{.old_side = std::move(*old_side), .new_side = std::move(*new_side)};
}

}  // namespace sluice::reports
