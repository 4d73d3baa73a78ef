#include "reports/json_row.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace sluice::reports {

using nlohmann::json;

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

Expected<json> parse_row(std::string_view line) {
  if (too_deep(line)) return input_error("not a row: nested too deeply");
  json row = json::parse(line, nullptr, false);
  if (row.is_discarded()) return input_error("not JSON");
  if (!row.is_object()) return input_error("not a JSON object");
  const auto schema = row.find("schema");
  if (schema == row.end() || !schema->is_number_integer()) {
    return input_error("not a row: no \"schema\"");
  }
  if (schema->get<long long>() > kRowSchema) {
    return input_error(
        fmt::format("row schema {}, this program reads up to {}: use the sluice that wrote it",
                    schema->get<long long>(), kRowSchema));
  }
  for (const char* key : {"kind", "run", "time", "host"}) {
    const auto field = row.find(key);
    if (field == row.end() || !field->is_string() || field->get_ref<const std::string&>().empty()) {
      return input_error(fmt::format("not a row: no \"{}\"", key));
    }
  }
  return row;
}

bool cut_off(std::string_view line) {
  return line.starts_with("{\"") && !too_deep(line) && !json::accept(line);
}

std::string text_of(const json& object, const char* key) {
  const auto field = object.find(key);
  return field != object.end() && field->is_string() ? field->get<std::string>() : std::string{};
}

std::optional<double> number_of(const json& object, const char* key) {
  const auto field = object.find(key);
  if (field == object.end() || !field->is_number()) return std::nullopt;
  return field->get<double>();
}

bool flag_of(const json& object, const char* key) {
  const auto field = object.find(key);
  return field != object.end() && field->is_boolean() && field->get<bool>();
}

const json& object_of(const json& object, const char* key) {
  static const json empty = json::object();
  const auto field = object.find(key);
  return field != object.end() && field->is_object() ? *field : empty;
}

json labels_of(const json& row) {
  json labels = json::array();
  if (flag_of(row, "smoke")) labels.push_back("smoke");
  if (flag_of(row, "simulated")) labels.push_back("simulated");
  if (std::string label = text_of(row, "label"); !label.empty()) labels.push_back(std::move(label));
  return labels;
}

const json& main_times(const json& row) {
  const json& cpu = object_of(row, "cpu");
  return cpu.empty() ? object_of(row, "wall") : cpu;
}

std::string row_identity(const json& row) {
  const std::string kind = text_of(row, "kind");
  json identity = json::array({text_of(row, "name"), text_of(row, "backend")});
  if (kind == "benchmark") {
    identity.push_back(object_of(row, "arguments"));
    identity.push_back(text_of(row, "unit"));
    identity.push_back(labels_of(row));
  } else if (kind == "fuzz") {
    identity.push_back(text_of(row, "engine"));
    identity.push_back(labels_of(row));
  }
  return dump(identity);
}

std::string script_safe(const json& value) {
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

std::string dump(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

}  // namespace sluice::reports
