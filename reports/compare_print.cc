// A comparison as text for a terminal and as JSON for programs.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "reports/compare.h"
#include "reports/json_row.h"

namespace sluice::reports {
namespace {

using Cells = std::array<std::string, 6>;

std::string value_text(const std::optional<double>& value) {
  if (!value) return "-";
  return *value >= 1000 ? fmt::format("{:.0f}", *value) : fmt::format("{:.4g}", *value);
}

std::string name_text(const CompareRow& row) {
  std::string name = row.name;
  const Json arguments = Json::parse(row.arguments, nullptr, false);
  if (arguments.is_object()) {
    for (const auto& [key, value] : arguments.items()) {
      name +=
          fmt::format(" {}={}", key, value.is_string() ? value.get<std::string>() : dump(value));
    }
  }
  return row.label.empty() ? name : fmt::format("{} [{}]", name, row.label);
}

// Names come from files: a control character could rewrite the terminal's lines.
std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

Cells cells_of(const CompareRow& row) {
  std::string remark = remark_name(row.remark);
  if (row.band) remark += fmt::format(" (band {:.1f} %)", *row.band * 100);
  if (!row.reason.empty()) remark += ": " + row.reason;
  return {printable(name_text(row)),
          value_text(row.old_median),
          value_text(row.new_median),
          printable(row.unit),
          row.ratio ? fmt::format("{:.3f}", *row.ratio) : "-",
          printable(std::move(remark))};
}

std::string line_of(const Cells& cells, const std::array<std::size_t, 6>& widths) {
  return fmt::format("{:<{}}  {:>{}}  {:>{}}  {:<{}}  {:>{}}  {}\n", cells[0], widths[0], cells[1],
                     widths[1], cells[2], widths[2], cells[3], widths[3], cells[4], widths[4],
                     cells[5]);
}

Json run_json(const std::string& run, const std::string& commit) {
  return {{"run", run}, {"commit", commit}};
}

Json number_json(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

Json row_json(const CompareRow& row) {
  Json counters = Json::object();
  for (const CounterChange& change : row.counters) {
    counters[change.name] = {{"old", change.old_value}, {"new", change.new_value}};
  }
  return {{"name", row.name},
          {"backend", row.backend},
          {"arguments", Json::parse(row.arguments, nullptr, false)},
          {"label", row.label},
          {"unit", row.unit},
          {"old_median", number_json(row.old_median)},
          {"new_median", number_json(row.new_median)},
          {"ratio", number_json(row.ratio)},
          {"noise_band", number_json(row.band)},
          {"remark", remark_name(row.remark)},
          {"reason", row.reason.empty() ? Json() : Json(row.reason)},
          {"counters_changed", std::move(counters)}};
}

}  // namespace

std::string compare_text(const CompareResult& result) {
  std::string text =
      fmt::format("old: {} {}\nnew: {} {}\n", result.old_run, result.old_commit.substr(0, 12),
                  result.new_run, result.new_commit.substr(0, 12));
  if (result.hosts_differ) text += "The runs are of different hosts: their times do not compare.\n";
  std::vector<Cells> table{{"benchmark", "old", "new", "unit", "new/old", "remark"}};
  for (const CompareRow& row : result.rows) table.push_back(cells_of(row));
  std::array<std::size_t, 6> widths{};
  for (const Cells& cells : table) {
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  text += "\n" + line_of(table[0], widths);
  for (std::size_t i = 0; i < result.rows.size(); ++i) {
    text += line_of(table[i + 1], widths);
    for (const CounterChange& change : result.rows[i].counters) {
      text += fmt::format("    counter {}: {:.15g} -> {:.15g}\n", printable(change.name),
                          change.old_value, change.new_value);
    }
  }
  const auto outside =
      std::count_if(result.rows.begin(), result.rows.end(), [](const CompareRow& row) {
        return row.remark == Remark::kOutsideNoiseHigher ||
               row.remark == Remark::kOutsideNoiseLower;
      });
  text += fmt::format(
      "\n{} of {} outside the noise of their own repetitions. Runs differ more than repetitions "
      "do: measure again, or let "
      "ci/gate judge.\n",
      outside, result.rows.size());
  return text;
}

std::string compare_json(const CompareResult& result) {
  Json rows = Json::array();
  for (const CompareRow& row : result.rows) rows.push_back(row_json(row));
  return dump(Json{{"schema", 1},
                   {"old", run_json(result.old_run, result.old_commit)},
                   {"new", run_json(result.new_run, result.new_commit)},
                   {"hosts_differ", result.hosts_differ},
                   {"rows", std::move(rows)}},
              2) +
         "\n";
}

}  // namespace sluice::reports
