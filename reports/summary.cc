#include "reports/summary.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "reports/newest.h"

namespace sluice::reports {
namespace {

// Copies the named fields that the row has.
Json pick(const Json& row, std::initializer_list<const char*> keys) {
  Json picked = Json::object();
  for (const char* key : keys) {
    const auto field = row.find(key);
    if (field != row.end() && !field->is_null()) picked[key] = *field;
  }
  return picked;
}

class Summary {
 public:
  void add_benchmark(const Json& row);
  void add_fuzz(const Json& row);
  void add_differential(const Json& row);
  void add_test(const Json& row);
  void add_alternative(const Json& row);
  void add_skip(const Json& row) {
    skipped_.push_back(pick(row, {"name", "reason", "host", "run"}));
  }
  Json finish(const std::string& title, const std::vector<RunInfo>& runs, std::size_t rows);

 private:
  void add_skipped(const Json& row, const std::string& reason);
  void judge(const Json& row);

  std::size_t benchmarks_measured_ = 0;
  std::size_t smoke_ = 0;
  std::size_t simulated_ = 0;
  std::size_t fuzz_measured_ = 0;
  std::uint64_t executions_ = 0;
  std::uint64_t sequences_ = 0;
  std::uint64_t compared_ = 0;
  std::uint64_t uncomparable_ = 0;
  Json met_ = Json::array();
  Json missed_ = Json::array();
  Json unmeasured_ = Json::array();
  Json findings_ = Json::array();
  Json mismatches_ = Json::array();
  std::size_t tests_passed_ = 0;
  Json tests_failed_ = Json::array();
  Json tests_skipped_ = Json::array();
  Json skipped_ = Json::array();
  std::size_t broken_ = 0;
  std::size_t nothing_found_ = 0;
  Json stale_ = Json::array();
};

std::uint64_t sum_of(const Json& counts) {
  std::uint64_t sum = 0;
  for (const auto& count : counts) {
    if (count.is_number_unsigned()) sum += count.get<std::uint64_t>();
  }
  return sum;
}

void Summary::judge(const Json& row) {
  if (text_of(row, "target").empty() || flag_of(row, "smoke") || flag_of(row, "simulated")) return;
  Json item = pick(row, {"target", "name", "backend", "engine", "arguments", "label", "ratio",
                         "ratio_unit", "limit", "limit_sense", "host", "run"});
  const auto met = row.find("met");
  if (met == row.end() || !met->is_boolean()) {
    unmeasured_.push_back(std::move(item));
  } else {
    (met->get<bool>() ? met_ : missed_).push_back(std::move(item));
  }
}

void Summary::add_skipped(const Json& row, const std::string& reason) {
  Json item = pick(row, {"name", "backend", "engine", "arguments"});
  item["reason"] = reason;
  item["host"] = text_of(row, "host");
  item["run"] = text_of(row, "run");
  skipped_.push_back(std::move(item));
}

void Summary::add_benchmark(const Json& row) {
  judge(row);
  if (const std::string reason = text_of(row, "skipped"); !reason.empty()) {
    add_skipped(row, reason);
    return;
  }
  benchmarks_measured_++;
  if (flag_of(row, "smoke")) smoke_++;
  if (flag_of(row, "simulated")) simulated_++;
}

void Summary::add_fuzz(const Json& row) {
  judge(row);
  if (const std::string reason = text_of(row, "skipped"); !reason.empty()) {
    add_skipped(row, reason);
    return;
  }
  fuzz_measured_++;
  executions_ += static_cast<std::uint64_t>(number_of(row, "executions").value_or(0));
  const auto findings = row.find("findings");
  if (findings == row.end() || !findings->is_array()) return;
  for (const Json& finding : *findings) {
    Json item = pick(row, {"name", "engine"});
    item.update(pick(finding, {"invariant", "file"}));
    item.update(pick(row, {"host", "run"}));
    findings_.push_back(std::move(item));
  }
}

void Summary::add_differential(const Json& row) {
  sequences_ += static_cast<std::uint64_t>(number_of(row, "sequences").value_or(0));
  compared_ += sum_of(object_of(row, "compared"));
  uncomparable_ += sum_of(object_of(row, "uncomparable"));
  const auto mismatches = row.find("mismatches");
  if (mismatches == row.end() || !mismatches->is_array()) return;
  for (const Json& mismatch : *mismatches) {
    Json item = pick(mismatch, {"file", "line", "field", "model", "kvm"});
    item.update(pick(row, {"host", "run"}));
    mismatches_.push_back(std::move(item));
  }
}

void Summary::add_test(const Json& row) {
  const std::string verdict = text_of(row, "verdict");
  if (verdict == "passed") {
    tests_passed_++;
    return;
  }
  Json& list = verdict == "skipped" ? tests_skipped_ : tests_failed_;
  list.push_back(pick(row, {"suite", "name", "seconds", "reason", "host", "run"}));
}

void Summary::add_alternative(const Json& row) {
  const std::string verdict = text_of(row, "verdict");
  if (verdict == "broken") broken_++;
  if (verdict == "nothing_found") nothing_found_++;
  if (verdict == "stale")
    stale_.push_back(pick(row, {"axis", "value", "flavor", "file", "reason", "run"}));
}

Json Summary::finish(const std::string& title, const std::vector<RunInfo>& runs, std::size_t rows) {
  Json newest = nullptr;
  if (!runs.empty()) {
    const RunInfo& run = runs.back();
    newest = {{"run", run.run},
              {"time", run.time},
              {"host", run.host},
              {"commit", run.commit},
              {"dirty", run.dirty}};
  }
  const Json benchmarks = {
      {"measured", benchmarks_measured_}, {"smoke", smoke_}, {"simulated", simulated_}};
  const Json fuzz = {
      {"measured", fuzz_measured_}, {"executions", executions_}, {"findings", findings_.size()}};
  const Json differential = {{"sequences", sequences_},
                             {"compared", compared_},
                             {"uncomparable", uncomparable_},
                             {"mismatches", mismatches_.size()}};
  const Json tests = {{"passed", tests_passed_},
                      {"failed", tests_failed_.size()},
                      {"skipped", tests_skipped_.size()}};
  return Json{
      {"schema", 1},
      {"title", title},
      {"newest_run", std::move(newest)},
      {"rows", rows},
      {"totals",
       {{"targets_met", met_.size()},
        {"targets_missed", missed_.size()},
        {"targets_unmeasured", unmeasured_.size()},
        {"benchmarks", benchmarks},
        {"fuzz", fuzz},
        {"differential", differential},
        {"tests", tests},
        {"alternatives",
         {{"broken", broken_}, {"nothing_found", nothing_found_}, {"stale", stale_.size()}}},
        {"skipped", skipped_.size()}}},
      {"targets",
       {{"met", std::move(met_)},
        {"missed", std::move(missed_)},
        {"unmeasured", std::move(unmeasured_)}}},
      {"findings", std::move(findings_)},
      {"mismatches", std::move(mismatches_)},
      {"tests", {{"failed", std::move(tests_failed_)}, {"skipped", std::move(tests_skipped_)}}},
      {"alternatives", {{"stale", std::move(stale_)}}},
      {"skipped", std::move(skipped_)}};
}

Expected<void> add_each(const Expected<std::vector<std::string>>& texts, Summary& summary,
                        void (Summary::*add)(const Json&)) {
  if (!texts) return std::unexpected(texts.error());
  for (const std::string& text : *texts) {
    const auto row = parse_row(text);
    if (!row) return std::unexpected(row.error());
    (summary.*add)(*row);
  }
  return {};
}

}  // namespace

Expected<Json> summarize(const Store& store, const std::string& title) {
  Summary summary;
  for (const auto& added :
       {add_each(store.latest("benchmark"), summary, &Summary::add_benchmark),
        add_each(store.latest("fuzz"), summary, &Summary::add_fuzz),
        add_each(store.latest("differential"), summary, &Summary::add_differential),
        add_each(store.latest("test"), summary, &Summary::add_test),
        add_each(newest_alternatives(store), summary, &Summary::add_alternative),
        add_each(store.skips(), summary, &Summary::add_skip)}) {
    if (!added) return std::unexpected(added.error());
  }
  const auto runs = store.runs();
  if (!runs) return std::unexpected(runs.error());
  const auto rows = store.row_count();
  if (!rows) return std::unexpected(rows.error());
  return summary.finish(title, *runs, *rows);
}

}  // namespace sluice::reports
