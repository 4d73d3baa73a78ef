#include <nlohmann/json.hpp>
#include <type_traits>

#include "record/row_json.h"

namespace sluice::record {
namespace {

using Json =
    nlohmann::ordered_json;  // keeps the order that people read: what it is first, details last

template <class T>
Json json_of(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json json_of(const Fact::Value& value) {
  return std::visit(
      [](const auto& v) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::monostate>) {
          return nullptr;
        } else {
          return v;
        }
      },
      value);
}

/// The object that facts make; a name with a dot goes into a nested object.
Json json_of(const Facts& facts) {
  Json object = Json::object();
  for (const Fact& fact : facts) {
    const std::size_t dot = fact.name.find('.');
    if (dot == std::string::npos) {
      object[fact.name] = json_of(fact.value);
    } else {
      object[fact.name.substr(0, dot)][fact.name.substr(dot + 1)] = json_of(fact.value);
    }
  }
  return object;
}

Json reasons_of(const Facts& facts) {
  Json object = Json::object();
  for (const Fact& fact : facts) {
    if (fact.missing() && !fact.reason.empty()) object[fact.name] = fact.reason;
  }
  return object;
}

Json json_of(const std::optional<Statistics>& statistics) {
  if (!statistics) return nullptr;
  return Json{{"median", statistics->median},
              {"p99", statistics->p99},
              {"min", statistics->min},
              {"mad", statistics->mad}};
}

Json json_of(const std::optional<Floor>& floor) {
  if (!floor) return nullptr;
  return Json{{"name", floor->name}, {"cpu_median", floor->cpu_median}};
}

Json json_of(const std::optional<RandomDraw>& random) {
  if (!random) return nullptr;
  return Json{{"seed", random->seed},
              {"first", random->first},
              {"count", random->count},
              {"acting_share", random->acting_share}};
}

Json json_of(const std::vector<Count>& counts) {
  Json object = Json::object();
  for (const Count& count : counts) object[count.name] = count.count;
  return object;
}

Json head_json(const char* kind, const Head& head) {
  return Json{{"schema", kSchema}, {"kind", kind},          {"run", head.run},
              {"time", head.time}, {"commit", head.commit}, {"dirty", head.dirty},
              {"host", head.host}};
}

Json row_json(const HostRow& row) {
  Json json = head_json("host", row.head);
  json["fingerprint"] = json_of(row.fingerprint);
  json["fingerprint_reasons"] = reasons_of(row.fingerprint);
  return json;
}

Json row_json(const BenchmarkRow& row) {
  Json json = head_json("benchmark", row.head);
  json["name"] = row.name;
  json["backend"] = row.backend;
  json["target"] = json_of(row.target);
  json["arguments"] = json_of(row.arguments);
  json["argument_reasons"] = reasons_of(row.arguments);
  json["unit"] = row.unit;
  json["items"] = row.items;
  json["repetitions"] = row.repetitions;
  json["cpu"] = json_of(row.cpu);
  json["wall"] = json_of(row.wall);
  json["floor"] = json_of(row.floor);
  json["ratio"] = json_of(row.ratio);
  json["ratio_unit"] = json_of(row.ratio_unit);
  json["limit"] = json_of(row.limit);
  json["limit_sense"] = row.limit_sense == LimitSense::kMax ? "max" : "min";
  json["met"] = json_of(row.met);
  json["counters"] = json_of(row.counters);
  json["counter_reasons"] = reasons_of(row.counters);
  json["simulated"] = row.simulated;
  json["label"] = json_of(row.label);
  json["smoke"] = row.smoke;
  json["skipped"] = json_of(row.skipped);
  return json;
}

Json row_json(const FuzzRow& row) {
  Json json = head_json("fuzz", row.head);
  json["name"] = row.name;
  json["engine"] = row.engine;
  json["seconds"] = json_of(row.seconds);
  json["executions"] = json_of(row.executions);
  json["executions_per_second"] = json_of(row.executions_per_second);
  json["empty_executions_per_second"] = json_of(row.empty_executions_per_second);
  json["ratio"] = json_of(row.ratio);
  json["target"] = json_of(row.target);
  json["limit"] = json_of(row.limit);
  json["met"] = json_of(row.met);
  json["corpus_entries"] = json_of(row.corpus_entries);
  json["features"] = json_of(row.features);
  json["findings"] = Json::array();
  for (const FuzzFinding& finding : row.findings) {
    json["findings"].push_back({{"invariant", finding.invariant}, {"file", finding.file}});
  }
  json["acting_share"] = json_of(row.acting_share);
  json["skipped"] = json_of(row.skipped);
  return json;
}

Json row_json(const DifferentialRow& row) {
  Json json = head_json("differential", row.head);
  json["backend"] = row.backend;
  json["random"] = json_of(row.random);
  json["sequences"] = row.sequences;
  json["compared"] = json_of(row.compared);
  json["uncomparable"] = json_of(row.uncomparable);
  json["mismatches"] = Json::array();
  for (const Mismatch& mismatch : row.mismatches) {
    json["mismatches"].push_back({{"file", mismatch.file},
                                  {"line", mismatch.line},
                                  {"field", mismatch.field},
                                  {"model", mismatch.model},
                                  {"kvm", mismatch.kvm}});
  }
  json["skipped_steps"] = json_of(row.skipped_steps);
  return json;
}

Json row_json(const SkipRow& row) {
  Json json = head_json("skip", row.head);
  json["name"] = row.name;
  json["reason"] = row.reason;
  return json;
}

const char* name_of(TestVerdict verdict) {
  switch (verdict) {
    case TestVerdict::kPassed:
      return "passed";
    case TestVerdict::kSkipped:
      return "skipped";
    case TestVerdict::kFailed:
      break;
  }
  return "failed";
}

Json row_json(const TestRow& row) {
  Json json = head_json("test", row.head);
  json["suite"] = row.suite;
  json["name"] = row.name;
  json["verdict"] = name_of(row.verdict);
  json["seconds"] = json_of(row.seconds);
  json["reason"] = row.reason;
  return json;
}

const char* name_of(AlternativeVerdict verdict) {
  switch (verdict) {
    case AlternativeVerdict::kBroken:
      return "broken";
    case AlternativeVerdict::kNothingFound:
      return "nothing_found";
    case AlternativeVerdict::kStale:
      return "stale";
    case AlternativeVerdict::kNotShown:
      break;
  }
  return "not_shown";
}

Json json_of(const std::optional<Counterexample>& shown) {
  if (!shown) return nullptr;
  Json steps = Json::array();
  for (const AnsweredStep& step : shown->steps)
    steps.push_back({{"operation", step.operation}, {"answer", step.answer}});
  return Json{{"text", shown->text},
              {"steps", std::move(steps)},
              {"at_end", shown->at_end},
              {"statement", shown->statement},
              {"finding", shown->finding}};
}

Json json_of(const std::optional<Explored>& explored) {
  if (!explored) return nullptr;
  return Json{{"policy", explored->policy},
              {"interleavings", explored->interleavings},
              {"complete", explored->complete},
              {"preemptions_max", explored->preemptions_max},
              {"interleavings_max", explored->interleavings_max}};
}

Json json_of(const std::optional<AlternativeCost>& cost) {
  if (!cost) return nullptr;
  return Json{{"workload", cost->workload},
              {"pages", cost->pages},
              {"arrived", cost->arrived},
              {"frames_when_shared", json_of(cost->frames_when_shared)},
              {"frames_when_private", json_of(cost->frames_when_private)},
              {"counts", json_of(cost->counts)},
              {"nanoseconds_a_page", json_of(cost->nanoseconds_a_page)},
              {"nanoseconds_a_try", json_of(cost->nanoseconds_a_try)},
              {"of_default", json_of(cost->of_default)},
              {"prices", json_of(cost->prices)}};
}

Json row_json(const AlternativeRow& row) {
  Json json = head_json("alternative", row.head);
  json["axis"] = row.axis;
  json["summary"] = row.summary;
  json["value"] = row.value;
  json["default"] = row.is_default;
  json["flavor"] = row.flavor;
  json["policy"] = row.policy;
  json["verdict"] = name_of(row.verdict);
  json["reason"] = row.reason;
  json["file"] = row.file;
  json["invariant"] = row.invariant;
  json["counterexample"] = json_of(row.counterexample);
  json["explored"] = json_of(row.explored);
  json["cost"] = json_of(row.cost);
  return json;
}

Json json_of(const std::optional<SimulatedTopology>& topology) {
  if (!topology) return nullptr;
  return Json{{"name", topology->name},
              {"processors", topology->processors},
              {"distances", json_of(topology->distances)},
              {"remote_factor", topology->remote_factor}};
}

Json row_json(const SimulationRow& row) {
  Json json = head_json("simulation", row.head);
  json["workload"] = row.workload;
  json["vcpus"] = row.vcpus;
  json["nodes"] = row.nodes;
  json["topology"] = json_of(row.topology);
  json["placement"] = row.placement;
  json["policy"] = row.policy;
  json["pages_a_vcpu"] = row.pages_a_vcpu;
  json["seed"] = row.seed;
  json["prices"] = json_of(row.prices);
  json["requests"] = row.requests;
  json["pages"] = row.pages;
  json["refused"] = row.refused;
  json["events"] = row.events;
  json["virtual_ns"] = row.virtual_ns;
  json["pages_per_second"] = row.pages_per_second;
  json["latency_ns"] = {{"p50", row.latency_ns.p50},
                        {"p90", row.latency_ns.p90},
                        {"p99", row.latency_ns.p99},
                        {"p99.9", row.latency_ns.p999},
                        {"max", row.latency_ns.max}};
  json["locks"] = Json::array();
  for (const LockTime& lock : row.locks) {
    json["locks"].push_back({{"name", lock.name},
                             {"taken", lock.taken},
                             {"contended", lock.contended},
                             {"waited_ns", lock.waited_ns},
                             {"held_ns", lock.held_ns}});
  }
  return json;
}

Json row_json(const GateRow& row) {
  Json json = head_json("gate", row.head);
  json["base"] = row.base;
  json["revision"] = row.revision;
  json["status"] = row.status;
  json["failures"] = row.failures;
  return json;
}

}  // namespace

std::string to_json(const Row& row) {
  const Json json = std::visit([](const auto& r) { return row_json(r); }, row);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice::record
