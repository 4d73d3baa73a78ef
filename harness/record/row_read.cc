#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "record/row_json.h"

namespace sluice::record {
namespace {

using Json = nlohmann::ordered_json;

/// Reads the keys of one object and remembers the first thing that is wrong, so that a row is read
/// straight down.
class Fields {
 public:
  Fields(const Json& object, std::string& error) : object_(object), error_(error) {}

  void read(const char* key, std::string& to) {
    if (const Json* at = want(key, "a text", &Json::is_string)) to = at->get<std::string>();
  }
  void read(const char* key, bool& to) {
    if (const Json* at = want(key, "true or false", &Json::is_boolean)) to = at->get<bool>();
  }
  void read(const char* key, double& to) {
    if (const Json* at = want(key, "a number", &Json::is_number)) to = at->get<double>();
  }
  void read(const char* key, std::uint64_t& to) {
    if (const Json* at = want(key, "a whole number from 0", &Json::is_number_unsigned))
      to = at->get<std::uint64_t>();
  }
  void read(const char* key, int& to) {
    if (const Json* at = want(key, "a whole number", &Json::is_number_integer)) to = at->get<int>();
  }
  template <class T>
  void read(const char* key, std::optional<T>& to) {
    if (absent(key)) return;
    read(key, to.emplace());
  }
  void read(const char* key, Statistics& to) {
    nested(key, [&](Fields in) {
      in.read("median", to.median);
      in.read("p99", to.p99);
      in.read("min", to.min);
      in.read("mad", to.mad);
    });
  }
  void read(const char* key, Floor& to) {
    nested(key, [&](Fields in) {
      in.read("name", to.name);
      in.read("cpu_median", to.cpu_median);
    });
  }
  void read(const char* key, RandomDraw& to) {
    nested(key, [&](Fields in) {
      in.read("seed", to.seed);
      in.read("first", to.first);
      in.read("count", to.count);
      in.read("acting_share", to.acting_share);
    });
  }
  void read(const char* key, Counterexample& to) {
    nested(key, [&](Fields in) {
      in.read("text", to.text);
      in.read_list("steps", to.steps, [](Fields one, AnsweredStep& step) {
        one.read("operation", step.operation);
        one.read("answer", step.answer);
      });
      in.read("at_end", to.at_end);
      in.read("statement", to.statement);
      in.read("finding", to.finding);
    });
  }
  void read(const char* key, Explored& to) {
    nested(key, [&](Fields in) {
      in.read("policy", to.policy);
      in.read("interleavings", to.interleavings);
      in.read("complete", to.complete);
      in.read("preemptions_max", to.preemptions_max);
      in.read("interleavings_max", to.interleavings_max);
    });
  }
  void read(const char* key, AlternativeCost& to) {
    nested(key, [&](Fields in) {
      in.read("workload", to.workload);
      in.read("pages", to.pages);
      in.read("arrived", to.arrived);
      in.read("frames_when_shared", to.frames_when_shared);
      in.read("frames_when_private", to.frames_when_private);
      in.read("counts", to.counts);
      in.read("nanoseconds_a_page", to.nanoseconds_a_page);
      in.read("nanoseconds_a_try", to.nanoseconds_a_try);
      in.read("of_default", to.of_default);
      in.read("prices", to.prices);
    });
  }
  void read(const char* key, SimulatedTopology& to) {
    nested(key, [&](Fields in) {
      in.read("name", to.name);
      in.read("processors", to.processors);
      in.read("distances", to.distances);
      in.read("remote_factor", to.remote_factor);
    });
  }
  void read(const char* key, Latencies& to) {
    nested(key, [&](Fields in) {
      in.read("p50", to.p50);
      in.read("p90", to.p90);
      in.read("p99", to.p99);
      in.read("p99.9", to.p999);
      in.read("max", to.max);
    });
  }
  void read(const char* key, std::vector<Count>& to) {
    const Json* const at = want(key, "an object", &Json::is_object);
    if (at == nullptr) return;
    for (const auto& item : at->items()) {
      Fields(*at, error_)
          .read(item.key().c_str(), to.emplace_back(Count{.name = item.key()}).count);
    }
  }
  /// Facts, with the reasons for the missing ones from the key `reasons`.
  void read(const char* key, const char* reasons, Facts& to) {
    const Json* const at = want(key, "an object", &Json::is_object);
    if (at == nullptr) return;
    add_facts(*at, "", to);
    const auto found = object_.find(reasons);
    if (found == object_.end() || !found->is_object()) return;
    for (Fact& fact : to) {
      const auto reason = found->find(fact.name);
      if (reason != found->end() && reason->is_string()) fact.reason = reason->get<std::string>();
    }
  }
  template <class T, class Read>
  void read_list(const char* key, std::vector<T>& to, Read read_one) {
    const Json* const at = want(key, "a list", &Json::is_array);
    if (at == nullptr) return;
    for (const Json& element : *at) {
      if (!element.is_object()) return fail(key, "a list of objects");
      read_one(Fields(element, error_), to.emplace_back());
    }
  }
  void read(const char* key, std::vector<std::string>& to) {
    read_values(key, to, "a list of texts", &Json::is_string);
  }
  void read(const char* key, std::vector<std::uint64_t>& to) {
    read_values(key, to, "a list of whole numbers from 0", &Json::is_number_unsigned);
  }
  void read(const char* key, std::vector<std::vector<double>>& to) {
    const Json* const at = want(key, "a list", &Json::is_array);
    if (at == nullptr) return;
    for (const Json& row : *at) {
      const auto is_number = [](const Json& value) { return value.is_number(); };
      if (!row.is_array() || !std::ranges::all_of(row, is_number))
        return fail(key, "a list of lists of numbers");
      to.push_back(row.get<std::vector<double>>());
    }
  }
  void fail(const char* key, const char* wanted) {
    if (error_.empty()) error_ = fmt::format("key \"{}\" should be {}", key, wanted);
  }

 private:
  bool absent(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null();
  }
  const Json* want(const char* key, const char* wanted, bool (Json::*is_type)() const noexcept) {
    const auto found = object_.find(key);
    if (found != object_.end() && ((*found).*is_type)()) return &*found;
    fail(key, wanted);
    return nullptr;
  }
  template <class T>
  void read_values(const char* key, std::vector<T>& to, const char* wanted,
                   bool (Json::*is_type)() const noexcept) {
    const Json* const at = want(key, "a list", &Json::is_array);
    if (at == nullptr) return;
    for (const Json& element : *at) {
      if (!(element.*is_type)()) return fail(key, wanted);
      to.push_back(element.get<T>());
    }
  }
  template <class Read>
  void nested(const char* key, Read read_fields) {
    if (const Json* at = want(key, "an object", &Json::is_object)) read_fields(Fields(*at, error_));
  }
  void add_facts(const Json& object, const std::string& prefix, Facts& to) {
    for (const auto& item : object.items()) {
      const Json& value = item.value();
      const std::string name = prefix + item.key();
      if (value.is_object() && prefix.empty()) {
        add_facts(value, name + ".", to);
        continue;
      }
      Fact fact{.name = name};
      if (value.is_boolean()) {
        fact.value = value.get<bool>();
      } else if (value.is_number_integer()) {
        fact.value = value.get<std::int64_t>();
      } else if (value.is_number_float()) {
        fact.value = value.get<double>();
      } else if (value.is_string()) {
        fact.value = value.get<std::string>();
      } else if (!value.is_null()) {
        fail(name.c_str(), "null, true or false, a number or a text");
      }
      to.push_back(std::move(fact));
    }
  }

  const Json& object_;
  std::string& error_;
};

void read_head(Fields in, Head& head) {
  in.read("run", head.run);
  in.read("time", head.time);
  in.read("commit", head.commit);
  in.read("dirty", head.dirty);
  in.read("host", head.host);
}

void read_row(Fields in, HostRow& row) {
  in.read("fingerprint", "fingerprint_reasons", row.fingerprint);
}

void read_row(Fields in, BenchmarkRow& row) {
  in.read("name", row.name);
  in.read("backend", row.backend);
  in.read("target", row.target);
  in.read("arguments", "argument_reasons", row.arguments);
  in.read("unit", row.unit);
  in.read("items", row.items);
  in.read("repetitions", row.repetitions);
  in.read("cpu", row.cpu);
  in.read("wall", row.wall);
  in.read("floor", row.floor);
  in.read("ratio", row.ratio);
  in.read("ratio_unit", row.ratio_unit);
  in.read("limit", row.limit);
  std::string sense;
  in.read("limit_sense", sense);
  if (sense != "max" && sense != "min") in.fail("limit_sense", "\"max\" or \"min\"");
  row.limit_sense = sense == "min" ? LimitSense::kMin : LimitSense::kMax;
  in.read("met", row.met);
  in.read("counters", "counter_reasons", row.counters);
  in.read("simulated", row.simulated);
  in.read("label", row.label);
  in.read("smoke", row.smoke);
  in.read("skipped", row.skipped);
}

void read_row(Fields in, FuzzRow& row) {
  in.read("name", row.name);
  in.read("engine", row.engine);
  in.read("seconds", row.seconds);
  in.read("executions", row.executions);
  in.read("executions_per_second", row.executions_per_second);
  in.read("empty_executions_per_second", row.empty_executions_per_second);
  in.read("ratio", row.ratio);
  in.read("target", row.target);
  in.read("limit", row.limit);
  in.read("met", row.met);
  in.read("corpus_entries", row.corpus_entries);
  in.read("features", row.features);
  in.read_list("findings", row.findings, [](Fields one, FuzzFinding& finding) {
    one.read("invariant", finding.invariant);
    one.read("file", finding.file);
  });
  in.read("acting_share", row.acting_share);
  in.read("skipped", row.skipped);
}

void read_row(Fields in, DifferentialRow& row) {
  in.read("backend", row.backend);
  in.read("random", row.random);
  in.read("sequences", row.sequences);
  in.read("compared", row.compared);
  in.read("uncomparable", row.uncomparable);
  in.read_list("mismatches", row.mismatches, [](Fields one, Mismatch& mismatch) {
    one.read("file", mismatch.file);
    one.read("line", mismatch.line);
    one.read("field", mismatch.field);
    one.read("model", mismatch.model);
    one.read("kvm", mismatch.kvm);
  });
  in.read("skipped_steps", row.skipped_steps);
}

void read_row(Fields in, SkipRow& row) {
  in.read("name", row.name);
  in.read("reason", row.reason);
}

void read_row(Fields in, TestRow& row) {
  in.read("suite", row.suite);
  in.read("name", row.name);
  std::string verdict;
  in.read("verdict", verdict);
  if (verdict == "passed") {
    row.verdict = TestVerdict::kPassed;
  } else if (verdict == "skipped") {
    row.verdict = TestVerdict::kSkipped;
  } else if (verdict != "failed") {
    in.fail("verdict", R"("passed", "failed" or "skipped")");
  }
  in.read("seconds", row.seconds);
  in.read("reason", row.reason);
}

void read_row(Fields in, AlternativeRow& row) {
  in.read("axis", row.axis);
  in.read("summary", row.summary);
  in.read("value", row.value);
  in.read("default", row.is_default);
  in.read("flavor", row.flavor);
  if (row.flavor != "plain" && row.flavor != "tdx") in.fail("flavor", R"("plain" or "tdx")");
  in.read("policy", row.policy);
  std::string verdict;
  in.read("verdict", verdict);
  if (verdict == "broken") {
    row.verdict = AlternativeVerdict::kBroken;
  } else if (verdict == "nothing_found") {
    row.verdict = AlternativeVerdict::kNothingFound;
  } else if (verdict == "stale") {
    row.verdict = AlternativeVerdict::kStale;
  } else if (verdict != "not_shown") {
    in.fail("verdict", R"("broken", "nothing_found", "stale" or "not_shown")");
  }
  in.read("reason", row.reason);
  in.read("file", row.file);
  in.read("invariant", row.invariant);
  in.read("counterexample", row.counterexample);
  in.read("explored", row.explored);
  in.read("cost", row.cost);
}

void read_row(Fields in, SimulationRow& row) {
  in.read("workload", row.workload);
  in.read("vcpus", row.vcpus);
  in.read("nodes", row.nodes);
  in.read("topology", row.topology);
  in.read("placement", row.placement);
  in.read("policy", row.policy);
  in.read("pages_a_vcpu", row.pages_a_vcpu);
  in.read("seed", row.seed);
  in.read("prices", row.prices);
  in.read("requests", row.requests);
  in.read("pages", row.pages);
  in.read("refused", row.refused);
  in.read("events", row.events);
  in.read("virtual_ns", row.virtual_ns);
  in.read("pages_per_second", row.pages_per_second);
  in.read("latency_ns", row.latency_ns);
  in.read_list("locks", row.locks, [](Fields one, LockTime& lock) {
    one.read("name", lock.name);
    one.read("taken", lock.taken);
    one.read("contended", lock.contended);
    one.read("waited_ns", lock.waited_ns);
    one.read("held_ns", lock.held_ns);
  });
}

void read_row(Fields in, GateRow& row) {
  in.read("base", row.base);
  in.read("revision", row.revision);
  in.read("status", row.status);
  in.read("failures", row.failures);
}

template <class R>
Expected<Row> read_as(const Json& json) {
  R row;
  std::string error;
  read_head(Fields(json, error), row.head);
  read_row(Fields(json, error), row);
  if (!error.empty()) return input_error(error + "; delete or mend the line");
  return row;
}

/// Where JSON ends too early the parser stops behind the last byte; elsewhere it stops at the byte
/// that is wrong.
class StopFinder : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t) override { return true; }
  bool number_unsigned(std::uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(Json::binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(std::string&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    stop = position;
    return false;
  }
  std::size_t stop = 0;
};

}  // namespace

bool is_torn(std::string_view line) {
  if (line.empty() || line.front() != '{') return false;
  StopFinder finder;
  return !Json::sax_parse(line, &finder) && finder.stop > line.size();
}

Expected<Row> from_json(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (json.is_discarded() || !json.is_object()) {
    return input_error("not a JSON object; is this a file of rows (rows.jsonl)?");
  }
  std::string error;
  int schema = 0;
  std::string kind;
  Fields in(json, error);
  in.read("schema", schema);
  in.read("kind", kind);
  if (!error.empty()) return input_error(error + "; is this a file of rows (rows.jsonl)?");
  if (schema != kSchema) {
    return input_error(
        fmt::format("row of schema {}, this build reads schema {}; use the build that wrote it",
                    schema, kSchema));
  }
  if (kind == "host") return read_as<HostRow>(json);
  if (kind == "benchmark") return read_as<BenchmarkRow>(json);
  if (kind == "fuzz") return read_as<FuzzRow>(json);
  if (kind == "differential") return read_as<DifferentialRow>(json);
  if (kind == "skip") return read_as<SkipRow>(json);
  if (kind == "test") return read_as<TestRow>(json);
  if (kind == "alternative") return read_as<AlternativeRow>(json);
  if (kind == "simulation") return read_as<SimulationRow>(json);
  if (kind == "gate") return read_as<GateRow>(json);
  return input_error(fmt::format("unknown kind of row \"{}\"; use the build that wrote it", kind));
}

}  // namespace sluice::record
