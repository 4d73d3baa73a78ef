// sluice list WHAT: what this build knows. The lists come from the declarations themselves.
#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "model/planted.h"
#include "ops/op_list.h"
#include "oracle/invariant_list.h"
#include "run/alternatives.h"
#include "tool/command.h"
#include "tool/programs.h"
#include "trace/check_list.h"

namespace sluice::tool {
namespace {

using Json = nlohmann::ordered_json;

Json list_ops() {
  Json out = Json::array();
  for_each_op_type([&]<class Op>() {
    Json fields = Json::array();
    Op op{};
    Op::each(op, [&](std::string_view name, auto&) { fields.push_back(name); });
    out.push_back({{"name", Op::kInfo.name},
                   {"summary", Op::kInfo.summary},
                   {"fields", fields},
                   {"machine_scope_only", Op::kInfo.machine_scope_only},
                   {"source", Op::kInfo.source}});
  });
  return out;
}
Json list_checks() {
  Json out = Json::array();
  for (const CheckRow& row : kChecks)
    out.push_back({{"name", row.name},
                   {"kind", name_of(row.kind)},
                   {"number", row.number},
                   {"source", row.source}});
  return out;
}
Json list_invariants() {
  Json out = Json::array();
  for (const oracle::InvariantRow& row : oracle::kInvariants) {
    out.push_back({{"name", row.name},
                   {"id", row.id},
                   {"strength", oracle::name_of(row.strength)},
                   {"scope", row.host_scope_only ? "host" : "both"},
                   {"summary", row.statement},
                   {"source", row.source}});
  }
  return out;
}
Json list_alternatives() {
  Json out = Json::array();
  for (const run::Alternative& one : run::all_alternatives()) {
    out.push_back({{"name", fmt::format("{}={}", one.axis_name(), one.value_name())},
                   {"default", one.is_default() ? "default" : ""},
                   {"summary", kPolicyAxes[one.axis].source}});
  }
  return out;
}
Json list_planted() {
  Json out = Json::array();
  for (const model::PlantedRow& row : model::kPlanted) {
    if (row.bug != model::Planted::kNone)
      out.push_back({{"name", row.name}, {"invariant", row.invariant}, {"summary", row.meaning}});
  }
  return out;
}

/// The benchmark programs know their own names; we ask them. A line is name, backend, target and
/// floor, with tabs between.
Expected<Json> list_benchmarks() {
  Json out = Json::array();
  for (const char* const backend : {"model", "kvm"}) {
    const auto program = find_program(std::string("sluice_bench_") + backend);
    if (!program) return std::unexpected(program.error());
    const auto finished =
        run_program({*program, "--list"}, {.capture = true, .output_file = {}, .environment = {}});
    if (!finished) return std::unexpected(finished.error());
    if (finished->status != kFine)
      return input_error(fmt::format("{} --list ended with status {}", *program, finished->status));
    std::istringstream lines(finished->out);
    for (std::string line; std::getline(lines, line);)
      out.push_back({{"name", line.substr(0, line.find('\t'))}, {"backend", backend}});
  }
  return out;
}

Expected<Json> collect(const std::string& what) {
  if (what == "ops") return list_ops();
  if (what == "checks") return list_checks();
  if (what == "invariants") return list_invariants();
  if (what == "planted") return list_planted();
  if (what == "alternatives") return list_alternatives();
  return list_benchmarks();
}

int print(const std::string& what, bool json) {
  const Expected<Json> items = collect(what);
  if (!items) return complain(items.error());
  if (json) {
    fmt::print("{}\n", items->dump(2));
    return kFine;
  }
  for (const Json& item : *items) {
    std::string rest;
    for (const auto& [key, value] : item.items()) {
      if (key == "name") continue;
      const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
      if (!text.empty()) rest += rest.empty() ? text : "  " + text;
    }
    fmt::print("{:<36} {}\n", item["name"].get<std::string>(), rest);
  }
  return kFine;
}

}  // namespace

void add_list(CLI::App& app, int& status) {
  Command command(
      app, "list",
      "What this build knows: ops, checks, invariants, benchmarks, alternatives, planted");
  static std::string what;
  static bool json = false;
  command.option("WHAT", what, "ops | checks | invariants | benchmarks | alternatives | planted")
      .required()
      .one_of({"ops", "checks", "invariants", "benchmarks", "alternatives", "planted"});
  command.flag("--json", json, "Machine-readable output");
  command.on_run([&status] { status = print(what, json); });
}

}  // namespace sluice::tool
