#include "reports/json_row.h"

#include <nlohmann/json.hpp>

#include "record/row_json.h"

namespace sluice::reports {

namespace {

constexpr int kDepthMax = 64;

// Dumping a value recurses once per level, so a hostile line could exhaust the stack: rows are a
// few levels deep.
bool too_deep(std::string_view line) {
  int depth = 0;
  bool in_text = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (in_text && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_text = !in_text;
    } else if (!in_text && (c == '{' || c == '[')) {
      if (++depth > kDepthMax) return true;
    } else if (!in_text && (c == '}' || c == ']')) {
      --depth;
    }
  }
  return false;
}

}  // namespace

Expected<Json> parse_row(std::string_view line) {
  if (too_deep(line)) return input_error("not a row: nested too deeply");
  Json row = Json::parse(line, nullptr, false);
  if (row.is_discarded() || !row.is_object()) return input_error("not a JSON object");
  return row;
}

Expected<Json> parse_checked_row(std::string_view line) {
  auto row = parse_row(line);
  if (!row) return row;
  if (const auto checked = record::from_json(line); !checked) {
    return std::unexpected(checked.error());
  }
  return row;
}

std::string text_of(const Json& object, const char* key) {
  const auto field = object.find(key);
  return field != object.end() && field->is_string() ? field->get<std::string>() : std::string{};
}

std::optional<double> number_of(const Json& object, const char* key) {
  const auto field = object.find(key);
  if (field == object.end() || !field->is_number()) return std::nullopt;
  return field->get<double>();
}

bool flag_of(const Json& object, const char* key) {
  const auto field = object.find(key);
  return field != object.end() && field->is_boolean() && field->get<bool>();
}

const Json& object_of(const Json& object, const char* key) {
  static const Json empty = Json::object();
  const auto field = object.find(key);
  return field != object.end() && field->is_object() ? *field : empty;
}

Json labels_of(const Json& row) {
  Json labels = Json::array();
  if (flag_of(row, "smoke")) labels.push_back("smoke");
  if (flag_of(row, "simulated")) labels.push_back("simulated");
  if (std::string label = text_of(row, "label"); !label.empty()) labels.push_back(std::move(label));
  return labels;
}

const Json& main_times(const Json& row) {
  const Json& cpu = object_of(row, "cpu");
  return cpu.empty() ? object_of(row, "wall") : cpu;
}

namespace {

void add_fields(Json& identity, const Json& row, std::initializer_list<const char*> keys) {
  for (const char* const key : keys) {
    const auto field = row.find(key);
    identity.push_back(field == row.end() ? Json() : *field);
  }
}

}  // namespace

std::string row_identity(const Json& row) {
  const std::string kind = text_of(row, "kind");
  Json identity = Json::array({text_of(row, "name"), text_of(row, "backend")});
  if (kind == "benchmark") {
    identity.push_back(object_of(row, "arguments"));
    identity.push_back(text_of(row, "unit"));
    identity.push_back(labels_of(row));
  } else if (kind == "fuzz") {
    identity.push_back(text_of(row, "engine"));
    identity.push_back(labels_of(row));
  } else if (kind == "differential" && !object_of(row, "random").empty()) {
    identity.push_back("random");  // never takes the place of the files' row
  } else if (kind == "test") {
    identity.push_back(text_of(row, "suite"));
  } else if (kind == "alternative") {
    add_fields(identity, row, {"axis", "value", "flavor"});
  } else if (kind == "simulation") {
    add_fields(identity, row,
               {"workload", "vcpus", "nodes", "topology", "placement", "policy", "pages_a_vcpu",
                "seed", "prices"});
  }
  return sorted_dump(identity);
}

std::string script_safe(const Json& value) {
  std::string text;
  for (const char c : dump(value)) {
    if (c == '<') {
      text += "\\u003c";  // "</script>" and "<!--" both begin with it
    } else {
      text += c;
    }
  }
  return text;
}

std::string sorted_dump(const Json& value) {
  return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string dump(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice::reports
