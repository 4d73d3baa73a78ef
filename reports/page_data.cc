#include "reports/page_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "reports/columns.h"
#include "reports/newest.h"

namespace sluice::reports {
namespace {

constexpr std::size_t kGatesShown = 20;

struct Point {
  std::optional<double> main{};
  std::optional<double> mad{};
  std::optional<double> p99{};
  std::optional<double> ratio{};
  std::string skipped{};
};

struct Series {
  Json latest{};
  // By run: runs may overlap in time, and of two rows of one run the later one holds.
  std::map<std::size_t, Point> points{};
};

Point point_of(const Json& row) {
  Point point;
  point.skipped = text_of(row, "skipped");
  point.ratio = number_of(row, "ratio");
  if (text_of(row, "kind") == "fuzz") {
    point.main = number_of(row, "executions_per_second");
    return point;
  }
  const Json& times = main_times(row);
  point.main = number_of(times, "median");
  point.mad = number_of(times, "mad");
  point.p99 = number_of(times, "p99");
  return point;
}

// Fields of a value, nested ones as "mitigations.spectre_v2", as text that a reader can compare.
void flatten(const Json& value, const std::string& name,
             std::map<std::string, std::string>& fields) {
  if (!value.is_object()) {
    fields[name] = value.is_string() ? value.get<std::string>() : dump(value);
    return;
  }
  for (const auto& [key, part] : value.items()) {
    flatten(part, name.empty() ? key : name + "." + key, fields);
  }
}

Json changes_between(const Json& before, const Json& after) {
  std::map<std::string, std::string> from;
  std::map<std::string, std::string> to;
  flatten(before, "", from);
  flatten(after, "", to);
  Json changes = Json::array();
  for (const auto& [name, value] : to) {
    const auto old = from.find(name);
    const std::string old_value = old == from.end() ? "absent" : old->second;
    if (old_value != value) changes.push_back(fmt::format("{}: {} -> {}", name, old_value, value));
  }
  for (const auto& [name, value] : from) {
    if (!to.contains(name)) changes.push_back(fmt::format("{}: {} -> absent", name, value));
  }
  return changes;
}

class PageBuilder {
 public:
  explicit PageBuilder(const PageOptions& options) : options_(options) {}

  Expected<Json> build(const Store& store);

 private:
  using Lines = std::map<std::pair<std::string, std::string>, Series>;  // by host, identity

  Expected<void> add_runs(const Store& store);
  Expected<void> add_hosts(const Store& store);
  Expected<Lines> lines(const Store& store, const char* kind) const;
  Expected<Json> series(const Store& store, const char* kind);
  Json series_json(Series& line);
  Expected<Json> latest(const Expected<std::vector<std::string>>& texts);
  std::size_t run_index(const std::string& run) const;
  std::size_t host_index(const std::string& host);
  std::size_t reason_index(const std::string& reason);
  std::size_t points_index(const std::vector<std::size_t>& runs);
  void point_out_run(Json& row);

  const PageOptions& options_;
  Json runs_ = Json::array();
  Json hosts_ = Json::array();
  Json reasons_ = Json::array();
  Json points_ = Json::array();
  std::map<std::string, std::size_t> run_indices_{};
  std::map<std::string, std::size_t> host_indices_{};
  std::map<std::string, std::size_t> reason_indices_{};
  std::map<std::string, std::size_t> points_indices_{};
  std::size_t left_out_ = 0;
  std::string newest_{};
};

std::size_t index_in(std::map<std::string, std::size_t>& indices, const std::string& key) {
  return indices.try_emplace(key, indices.size()).first->second;
}

std::size_t PageBuilder::run_index(const std::string& run) const { return run_indices_.at(run); }

std::size_t PageBuilder::host_index(const std::string& host) {
  const std::size_t index = index_in(host_indices_, host);
  if (index == hosts_.size()) {
    hosts_.push_back({{"id", host}, {"fingerprint", nullptr}, {"changes", Json::array()}});
  }
  return index;
}

std::size_t PageBuilder::reason_index(const std::string& reason) {
  const std::size_t index = index_in(reason_indices_, reason);
  if (index == reasons_.size()) reasons_.push_back(reason);
  return index;
}

std::size_t PageBuilder::points_index(const std::vector<std::size_t>& runs) {
  const std::string text = encode_indices(runs);
  const std::size_t index = index_in(points_indices_, text);
  if (index == points_.size()) points_.push_back(text);
  return index;
}

Expected<void> PageBuilder::add_runs(const Store& store) {
  const auto runs = store.runs();
  if (!runs) return std::unexpected(runs.error());
  for (const RunInfo& run : *runs) {
    host_index(run.host);
    if (!run_indices_.try_emplace(run.run, runs_.size()).second) continue;
    runs_.push_back(
        {{"id", run.run}, {"time", run.time}, {"commit", run.commit}, {"dirty", run.dirty}});
  }
  return {};
}

Expected<void> PageBuilder::add_hosts(const Store& store) {
  return store.each_row({.kind = "host"}, [this](std::string_view text) -> Expected<void> {
    const auto row = parse_row(text);
    if (!row) return std::unexpected(row.error());
    Json& host = hosts_[host_index(text_of(*row, "host"))];
    const Json& fingerprint = object_of(*row, "fingerprint");
    const std::size_t run = run_index(text_of(*row, "run"));
    if (host["fingerprint"].is_object()) {
      Json changes = changes_between(host["fingerprint"], fingerprint);
      if (!changes.empty()) host["changes"].push_back({{"run", run}, {"what", std::move(changes)}});
    }
    host["fingerprint"] = fingerprint;
    host["reasons"] = object_of(*row, "fingerprint_reasons");
    host["run"] = run;
    return {};
  });
}

Expected<PageBuilder::Lines> PageBuilder::lines(const Store& store, const char* kind) const {
  Lines found;
  const auto walked = store.each_row({.kind = kind}, [&](std::string_view text) -> Expected<void> {
    auto row = parse_row(text);
    if (!row) return std::unexpected(row.error());
    Series& line = found[{text_of(*row, "host"), row_identity(*row)}];
    line.points.insert_or_assign(run_index(text_of(*row, "run")), point_of(*row));
    line.latest = std::move(*row);
    return {};
  });
  if (!walked) return std::unexpected(walked.error());
  return found;
}

// The page looks runs up by index; a row's own head would only repeat what the run says.
void PageBuilder::point_out_run(Json& row) {
  newest_ = std::max(newest_, text_of(row, "time"));
  row["run"] = run_index(text_of(row, "run"));
  row["host"] = host_index(text_of(row, "host"));
  for (const char* key : {"schema", "kind", "commit", "dirty"}) row.erase(key);
}

Json PageBuilder::series_json(Series& line) {
  while (line.points.size() > options_.points_max) {
    line.points.erase(line.points.begin());
    left_out_++;
  }
  std::vector<std::size_t> runs;
  Column main;
  Column mad;
  Column p99;
  Column ratio;
  Json skips = Json::array();
  for (const auto& [run, point] : line.points) {
    if (!point.skipped.empty()) skips.push_back({runs.size(), reason_index(point.skipped)});
    runs.push_back(run);
    main.push_back(point.main);
    mad.push_back(point.mad);
    p99.push_back(point.p99);
    ratio.push_back(point.ratio);
  }
  Json series = {{"at", points_index(runs)}};
  series["main"] = encode_column(main, 4, Precision::kSmallest);
  series["mad"] = encode_column(mad, 2, Precision::kMedian);
  series["p99"] = encode_column(p99, 3, Precision::kSmallest);
  series["ratio"] = encode_column(ratio, 3, Precision::kSmallest);
  series["skips"] = std::move(skips);
  series["labels"] = labels_of(line.latest);
  point_out_run(line.latest);
  series["latest"] = std::move(line.latest);
  return series;
}

Expected<Json> PageBuilder::series(const Store& store, const char* kind) {
  auto found = lines(store, kind);
  if (!found) return std::unexpected(found.error());
  Json all = Json::array();
  for (auto& [key, line] : *found) all.push_back(series_json(line));
  return all;
}

Expected<Json> PageBuilder::latest(const Expected<std::vector<std::string>>& texts) {
  if (!texts) return std::unexpected(texts.error());
  Json all = Json::array();
  for (const std::string& text : *texts) {
    auto row = parse_row(text);
    if (!row) return std::unexpected(row.error());
    point_out_run(*row);
    all.push_back(std::move(*row));
  }
  return all;
}

Expected<Json> PageBuilder::build(const Store& store) {
  if (auto added = add_runs(store); !added) return std::unexpected(added.error());
  if (auto added = add_hosts(store); !added) return std::unexpected(added.error());
  auto benchmarks = series(store, "benchmark");
  if (!benchmarks) return benchmarks;
  auto fuzz = series(store, "fuzz");
  if (!fuzz) return fuzz;
  auto differential = latest(store.latest("differential"));
  if (!differential) return differential;
  auto skips = latest(store.skips());
  if (!skips) return skips;
  auto tests = latest(store.latest("test"));
  if (!tests) return tests;
  auto alternatives = latest(newest_alternatives(store));
  if (!alternatives) return alternatives;
  auto simulations = latest(newest_simulations(store));
  if (!simulations) return simulations;
  auto gate_rows = store.rows({.kind = "gate"});
  if (!gate_rows) return std::unexpected(gate_rows.error());
  std::reverse(gate_rows->begin(), gate_rows->end());
  gate_rows->resize(std::min(gate_rows->size(), kGatesShown));
  auto gates = latest(gate_rows);
  if (!gates) return gates;
  if (newest_.empty() && !runs_.empty()) newest_ = text_of(runs_.back(), "time");
  return Json{{"schema", 1},
              {"title", options_.title},
              {"newest", newest_},
              {"hosts", std::move(hosts_)},
              {"runs", std::move(runs_)},
              {"points", std::move(points_)},
              {"reasons", std::move(reasons_)},
              {"benchmarks", std::move(*benchmarks)},
              {"fuzz", std::move(*fuzz)},
              {"differential", std::move(*differential)},
              {"tests", std::move(*tests)},
              {"skips", std::move(*skips)},
              {"gates", std::move(*gates)},
              {"alternatives", std::move(*alternatives)},
              {"simulations", std::move(*simulations)},
              {"left_out", left_out_}};
}

}  // namespace

Expected<Json> page_data(const Store& store, const PageOptions& options) {
  return PageBuilder(options).build(store);
}

}  // namespace sluice::reports
