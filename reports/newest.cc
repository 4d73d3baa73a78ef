#include "reports/newest.h"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "reports/json_row.h"

namespace sluice::reports {
namespace {

/// Rows that are shown together, of one run.
struct Group {
  std::size_t run = 0;                                      // by the first row of each
  std::vector<std::pair<std::string, std::string>> rows{};  // by identity

  void add(std::string identity, std::string text) {
    const auto same = std::ranges::find(rows, identity, &decltype(rows)::value_type::first);
    if (same == rows.end()) {
      rows.emplace_back(std::move(identity), std::move(text));
    } else {
      same->second = std::move(text);  // of two in one run the later holds
    }
  }
};

Expected<std::vector<std::string>> newest_of(const Store& store, const char* kind,
                                             std::initializer_list<const char*> together) {
  std::vector<Group> groups;
  std::map<std::string, std::size_t> group_of;
  std::map<std::string, std::size_t> runs;
  const auto walked = store.each_row({.kind = kind}, [&](std::string_view text) -> Expected<void> {
    const auto row = parse_row(text);
    if (!row) return std::unexpected(row.error());
    Json key = Json::array();
    for (const char* const field : together) key.push_back(row->value(field, Json()));
    const std::size_t run = runs.try_emplace(text_of(*row, "run"), runs.size()).first->second;
    const auto [place, is_new] = group_of.try_emplace(dump(key), groups.size());
    if (is_new) groups.push_back({.run = run});
    Group& group = groups[place->second];
    if (run < group.run) return {};
    if (run > group.run) group = {.run = run};
    group.add(row_identity(*row), std::string(text));
    return {};
  });
  if (!walked) return std::unexpected(walked.error());
  std::vector<std::string> texts;
  for (Group& group : groups) {
    for (auto& [identity, text] : group.rows) texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace

Expected<std::vector<std::string>> newest_alternatives(const Store& store) {
  return newest_of(store, "alternative", {"axis"});
}

Expected<std::vector<std::string>> newest_simulations(const Store& store) {
  return newest_of(
      store, "simulation",
      {"workload", "nodes", "topology", "placement", "policy", "pages_a_vcpu", "seed", "prices"});
}

}  // namespace sluice::reports
