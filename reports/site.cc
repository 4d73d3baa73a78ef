#include "reports/site.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "reports/assets.h"
#include "reports/files.h"
#include "reports/page_data.h"
#include "reports/store.h"
#include "reports/summary.h"

namespace sluice::reports {
namespace {

struct Replacement {
  std::string_view name;
  std::string_view text;
};

// One pass from left to right, so a "{{" inside an inserted text is left alone.
std::string fill_in(std::string_view page, const std::vector<Replacement>& replacements) {
  std::string filled;
  while (true) {
    const std::size_t begin = page.find("{{");
    filled += page.substr(0, begin);
    if (begin == std::string_view::npos) return filled;
    const std::size_t end = page.find("}}", begin);
    const std::string_view name = page.substr(begin + 2, end - begin - 2);
    for (const Replacement& replacement : replacements) {
      if (replacement.name == name) filled += replacement.text;
    }
    page.remove_prefix(end + 2);
  }
}

std::string html_escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string page_text(const std::string& title, const Json& data) {
  const std::string escaped_title = html_escaped(title);
  const std::string escaped_license = html_escaped(assets::kChartLicense);
  const std::string data_text = script_safe(data);
  return fill_in(assets::kPage, {{"title", escaped_title},
                                 {"style", assets::kStyle},
                                 {"chart_style", assets::kChartStyle},
                                 {"chart_program", assets::kChartProgram},
                                 {"chart_license", escaped_license},
                                 {"program", assets::kProgram},
                                 {"data", data_text}});
}

bool same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code error;
  return std::filesystem::equivalent(a, b, error) && !error;
}

Expected<Store> open_store(const SiteOptions& options) {
  if (options.database.empty() && options.rows_files.empty()) {
    return input_error("site: no rows: name a rows.jsonl file or a run store");
  }
  if (options.database.empty()) return Store::open(":memory:");
  // A store that nothing is added to must exist; a mistyped name would otherwise make an empty one.
  return options.rows_files.empty() ? Store::open_read_only(options.database)
                                    : Store::open(options.database);
}

Expected<void> write_rows(const SiteOptions& options, const Store& store) {
  const std::filesystem::path target = options.out_dir / "rows.jsonl";
  for (const auto& source : options.rows_files) {
    if (same_file(source, target)) return {};  // a run may still be appending to it
  }
  std::string text;
  const auto walked = store.each_row({}, [&text](std::string_view row) -> Expected<void> {
    text += row;
    text += '\n';
    return {};
  });
  if (!walked) return walked;
  return write_text(target, text);
}

Expected<void> write_database(const SiteOptions& options, const Store& store) {
  const std::filesystem::path target = options.out_dir / "sluice.db";
  if (!options.copy_database || same_file(options.database, target)) return {};
  return store.copy_to(target);
}

Expected<void> write_site(const SiteOptions& options, const Store& store, SiteSummary& result) {
  const auto data = page_data(store, {.title = options.title, .points_max = options.points_max});
  if (!data) return std::unexpected(data.error());
  const auto summary = summarize(store, options.title);
  if (!summary) return std::unexpected(summary.error());
  const Json& totals = summary->at("totals");
  result.series = data->at("benchmarks").size() + data->at("fuzz").size();
  result.targets_met = totals.at("targets_met").get<std::size_t>();
  result.targets_missed = totals.at("targets_missed").get<std::size_t>();
  result.findings = summary->at("findings").size();
  result.mismatches = summary->at("mismatches").size();
  result.tests_failed = summary->at("tests").at("failed").size();
  result.skipped = summary->at("skipped").size();
  result.index = options.out_dir / "index.html";
  if (auto written = write_rows(options, store); !written) return written;
  if (auto written = write_database(options, store); !written) return written;
  if (auto written = write_text(options.out_dir / "summary.json", dump(*summary, 2) + "\n");
      !written) {
    return written;
  }
  return write_text(result.index, page_text(options.title, *data));
}

}  // namespace

Expected<SiteSummary> generate_site(const SiteOptions& options) {
  auto store = open_store(options);
  if (!store) return std::unexpected(store.error());
  SiteSummary result;
  for (const auto& file : options.rows_files) {
    const auto imported = store->import_file(file);
    if (!imported) return std::unexpected(imported.error());
    result.rows_added += imported->added;
    result.incomplete += imported->incomplete;
  }
  const auto rows = store->row_count();
  if (!rows) return std::unexpected(rows.error());
  if (*rows == 0) return input_error("site: no rows in what was given: run `sluice bench` first");
  result.rows = *rows;
  std::error_code error;
  std::filesystem::create_directories(options.out_dir, error);
  if (error) {
    return std::unexpected(
        SystemError{.number = error.value(), .what = "create " + options.out_dir.string()});
  }
  if (auto written = write_site(options, *store, result); !written) {
    return std::unexpected(written.error());
  }
  return result;
}

}  // namespace sluice::reports
