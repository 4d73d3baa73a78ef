#include "reports/compare.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "reports/compare_read.h"
#include "reports/json_row.h"

namespace sluice::reports {
namespace {

constexpr double kMadToSigma = 1.4826;  // for normally distributed values

std::vector<CounterChange> counter_changes(const Json& old_row, const Json& new_row) {
  std::vector<CounterChange> changes;
  const Json& old_counters = object_of(old_row, "counters");
  const Json& new_counters = object_of(new_row, "counters");
  for (const auto& [name, value] : new_counters.items()) {
    const auto old_value = number_of(old_counters, name.c_str());
    if (!old_value || !value.is_number() || value.get<double>() == *old_value) continue;
    changes.push_back({.name = name, .old_value = *old_value, .new_value = value.get<double>()});
  }
  return changes;
}

// The clock that both rows have: a median of CPU time never meets one of wall time.
const char* common_clock(const Json& old_row, const Json& new_row) {
  for (const char* clock : {"cpu", "wall"}) {
    if (!object_of(old_row, clock).empty() && !object_of(new_row, clock).empty()) return clock;
  }
  return nullptr;
}

Remark noise_remark(const CompareRow& row) {
  if (!row.ratio || !row.band) return Remark::kNoSpread;
  if (std::abs(*row.ratio - 1) <= *row.band) return Remark::kWithinNoise;
  return *row.ratio > 1 ? Remark::kOutsideNoiseHigher : Remark::kOutsideNoiseLower;
}

CompareRow described(const Json& row) {
  CompareRow result{.name = text_of(row, "name"),
                    .backend = text_of(row, "backend"),
                    .arguments = dump(object_of(row, "arguments")),
                    .unit = text_of(row, "unit")};
  for (const Json& label : labels_of(row)) {
    if (!result.label.empty()) result.label += ", ";
    result.label += label.get<std::string>();
  }
  return result;
}

CompareRow one_sided(const Json& row, bool is_new) {
  CompareRow result = described(row);
  (is_new ? result.new_median : result.old_median) = number_of(main_times(row), "median");
  result.remark = is_new ? Remark::kOnlyNew : Remark::kOnlyOld;
  result.reason = text_of(row, "skipped");
  return result;
}

CompareRow pair(const Json& old_row, const Json& new_row, double band_sigmas) {
  CompareRow result = described(new_row);
  result.old_median = number_of(main_times(old_row), "median");
  result.new_median = number_of(main_times(new_row), "median");
  result.counters = counter_changes(old_row, new_row);
  for (const auto& [row, side] : {std::pair{&old_row, "old run: "}, {&new_row, "new run: "}}) {
    if (const std::string reason = text_of(*row, "skipped"); !reason.empty()) {
      result.remark = Remark::kSkipped;
      result.reason = side + reason;
      return result;
    }
  }
  if (text_of(old_row, "host") != text_of(new_row, "host")) {
    result.remark = Remark::kHostsDiffer;
    return result;
  }
  const char* clock = common_clock(old_row, new_row);
  if (clock == nullptr) return result;
  const Json& old_times = object_of(old_row, clock);
  const Json& new_times = object_of(new_row, clock);
  result.old_median = number_of(old_times, "median");
  result.new_median = number_of(new_times, "median");
  if (!result.old_median || !result.new_median || *result.old_median <= 0) return result;
  result.ratio = *result.new_median / *result.old_median;
  const auto old_mad = number_of(old_times, "mad");
  const auto new_mad = number_of(new_times, "mad");
  if (old_mad && new_mad) {
    result.band = band_sigmas * kMadToSigma * std::hypot(*old_mad, *new_mad) / *result.old_median;
  }
  result.remark = noise_remark(result);
  return result;
}

using ByIdentity = std::map<std::string, std::vector<const Json*>>;

ByIdentity by_identity(const std::vector<Json>& rows) {
  ByIdentity found;
  for (const Json& row : rows) found[row_identity(row)].push_back(&row);
  return found;
}

// A run can hold rows of two hosts (a kernel booted in an emulator beside the machine itself): the
// same host first.
const Json* take_partner(std::vector<const Json*>& candidates, const Json& row) {
  if (candidates.empty()) return nullptr;
  auto found = std::find_if(candidates.begin(), candidates.end(), [&row](const Json* candidate) {
    return text_of(*candidate, "host") == text_of(row, "host");
  });
  if (found == candidates.end()) found = candidates.begin();
  const Json* partner = *found;
  candidates.erase(found);
  return partner;
}

std::vector<CompareRow> pair_all(const std::vector<Json>& old_rows,
                                 const std::vector<Json>& new_rows, double band_sigmas) {
  ByIdentity waiting = by_identity(old_rows);
  std::vector<CompareRow> rows;
  for (const auto& [identity, news] : by_identity(new_rows)) {
    for (const Json* row : news) {
      const Json* partner = take_partner(waiting[identity], *row);
      rows.push_back(partner != nullptr ? pair(*partner, *row, band_sigmas)
                                        : one_sided(*row, true));
    }
  }
  for (const auto& [identity, olds] : waiting) {
    for (const Json* row : olds) rows.push_back(one_sided(*row, false));
  }
  return rows;
}

std::optional<double> sort_value(const CompareRow& row, CompareSort sort) {
  switch (sort) {
    case CompareSort::kRatio:
      return row.ratio;
    case CompareSort::kOld:
      return row.old_median;
    case CompareSort::kNew:
      return row.new_median;
    case CompareSort::kName:
      break;
  }
  return std::nullopt;
}

// Largest first; what has no value last; then by name.
void sort_rows(std::vector<CompareRow>& rows, CompareSort sort) {
  std::sort(rows.begin(), rows.end(), [sort](const CompareRow& a, const CompareRow& b) {
    const auto left = sort_value(a, sort);
    const auto right = sort_value(b, sort);
    if (left != right) return left > right;  // an empty optional is less than any value
    return std::tie(a.name, a.backend, a.arguments, a.label) <
           std::tie(b.name, b.backend, b.arguments, b.label);
  });
}

}  // namespace

Expected<CompareResult> compare_runs(const CompareOptions& options) {
  const auto sides = read_sides(options.old_run, options.new_run);
  if (!sides) return std::unexpected(sides.error());
  CompareResult result{.old_run = sides->old_side.run,
                       .new_run = sides->new_side.run,
                       .old_commit = sides->old_side.commit,
                       .new_commit = sides->new_side.commit};
  result.rows = pair_all(sides->old_side.rows, sides->new_side.rows, options.band_sigmas);
  result.hosts_differ = std::any_of(result.rows.begin(), result.rows.end(), [](const auto& row) {
    return row.remark == Remark::kHostsDiffer;
  });
  sort_rows(result.rows, options.sort);
  return result;
}

const char* remark_name(Remark remark) {
  switch (remark) {
    case Remark::kWithinNoise:
      return "within noise";
    case Remark::kOutsideNoiseHigher:
      return "outside noise, higher";
    case Remark::kOutsideNoiseLower:
      return "outside noise, lower";
    case Remark::kNoSpread:
      return "no spread recorded";
    case Remark::kSkipped:
      return "skipped";
    case Remark::kOnlyOld:
      return "only in old run";
    case Remark::kOnlyNew:
      return "only in new run";
    case Remark::kHostsDiffer:
      return "hosts differ, times do not compare";
  }
  return "unknown";
}

}  // namespace sluice::reports
