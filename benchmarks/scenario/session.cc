#include "benchmarks/scenario/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <regex>
#include <utility>

#include "benchmarks/scenario/measure.h"
#include "benchmarks/scenario/statistics.h"
#include "platform/clock.h"

namespace sluice::bench {
namespace {

constexpr unsigned kRepetitionsSmoke = 3;

/// A scenario that has shown once that it does its work.
struct Prepared {
  std::unique_ptr<Scenario> scenario;
  Refusal refusal;  // where there is no scenario
};

class Session {
 public:
  Session(const Options& options, const std::vector<Instance>& all, const SessionHost& host)
      : options_(options), all_(all), host_(host) {}

  void run(const Instance& instance) {
    record::BenchmarkRow row = blank_row(instance);
    Prepared subject = prepare(instance);
    if (subject.scenario == nullptr) return refuse(std::move(row), subject.refusal);
    if (options_.count) return count_calls(instance, *subject.scenario, std::move(row));
    const Instance* const floor_instance = find_floor(instance, all_);
    Prepared floor;
    if (floor_instance != nullptr) floor = prepare(*floor_instance);

    Facts counted;
    Facts counted_of_floor;
    std::vector<Subject> subjects{timed(instance, *subject.scenario, &counted)};
    if (floor.scenario != nullptr) {
      subjects.push_back(timed(*floor_instance, *floor.scenario, &counted_of_floor));
      subjects.back().name = "floor of " + instance.name + ": " + floor_instance->name;
    }
    const std::vector<Measured> measured = measure(subjects, repetitions(instance));
    if (measured[0].failure)
      return refuse(std::move(row), {Refusal::Kind::kFailure, *measured[0].failure});

    row.items = subject.scenario->items();
    row.repetitions = measured[0].cpu_ns.size();
    row.cpu = per_item(measured[0].cpu_ns, row.items);
    row.wall = per_item(measured[0].wall_ns, row.items);
    row.counters = subject.scenario->counters();
    row.counters.insert(row.counters.end(), counted.begin(), counted.end());
    if (floor.scenario != nullptr && !measured[1].failure) {
      row.floor =
          record::Floor{.name = floor_instance->name,
                        .cpu_median = per_item(measured[1].cpu_ns, floor.scenario->items()).median};
    }
    judge(instance, *subject.scenario, row);
    ++result_.measured;
    report(row);
  }

  SessionResult result() const { return result_; }

 private:
  unsigned repetitions(const Instance& instance) const {
    if (options_.repetitions != 0) return options_.repetitions;
    return options_.smoke ? kRepetitionsSmoke : instance.definition->repetitions;
  }

  record::BenchmarkRow blank_row(const Instance& instance) const {
    const Definition& definition = *instance.definition;
    record::BenchmarkRow row;
    row.head = host_.head;
    row.name = instance.name;
    row.backend = definition.backend;
    if (!definition.target.empty()) row.target = definition.target;
    row.arguments = instance.arguments.facts();
    if (find_fact(row.arguments, "threads") == nullptr)
      row.arguments.push_back({.name = "threads", .value = std::int64_t{1}});
    row.arguments.push_back({.name = "cpu_node", .value = std::int64_t{options_.cpu_node}});
    row.arguments.push_back({.name = "memory_node", .value = std::int64_t{options_.memory_node}});
    row.unit = definition.unit;
    row.limit = definition.limit;
    row.limit_sense = definition.limit_sense;
    row.simulated = definition.simulated;
    if (!definition.label.empty()) row.label = definition.label;
    row.smoke = options_.smoke;
    return row;
  }

  /// Sets up, runs once and checks the effect: nothing is timed that does not work. The run also
  /// warms caches and tables.
  Prepared prepare(const Instance& instance) const {
    Prepared prepared{.scenario = instance.definition->make(instance.arguments), .refusal = {}};
    Scenario& scenario = *prepared.scenario;
    const auto refused = [&](Refusal refusal) {
      prepared.scenario.reset();
      prepared.refusal = std::move(refusal);
      return std::move(prepared);
    };
    if (Status ready = scenario.setup(); !ready) return refused(ready.error());
    const auto threads = static_cast<unsigned>(instance.arguments.number_or("threads", 1));
    scenario.before();
    if (!scenario.failure()) {
      for (unsigned thread = 0; thread < threads; ++thread) {
        scenario.arrive(thread);
        scenario.run(thread);
      }
    }
    if (auto failure = scenario.failure()) return refused({Refusal::Kind::kFailure, *failure});
    if (Status works = scenario.verify(); !works) {
      const bool skipped = works.error().kind == Refusal::Kind::kSkip;
      return refused(
          {works.error().kind, (skipped ? "" : "verification: ") + works.error().reason});
    }
    scenario.after();
    if (auto failure = scenario.failure()) return refused({Refusal::Kind::kFailure, *failure});
    return prepared;
  }

  Subject timed(const Instance& instance, Scenario& scenario, Facts* counted) const {
    return {
        .name = instance.name,
        .scenario = &scenario,
        .threads = static_cast<unsigned>(instance.arguments.number_or("threads", 1)),
        .place =
            [this](unsigned thread) {
              // Errors were looked for when the session began; a core that went away since is not
              // worth a stop.
              static_cast<void>(
                  host_.topology->bind_thread_to_core_of_node(options_.cpu_node, thread));
              static_cast<void>(host_.topology->bind_thread_memory_to_node(options_.memory_node));
            },
        .before =
            [this] {
              if (host_.counters != nullptr) host_.counters->start();
            },
        .after =
            [this, counted] {
              if (host_.counters != nullptr) *counted = host_.counters->stop();
            }};
  }

  /// What the call takes. The smallest repetition is the call alone, since what comes between only
  /// ever adds; of a call that no repetition makes between two ticks, the middle one: ticks differ
  /// a little, and the smallest would be the luckiest.
  static std::uint64_t count_of(const Counted& counted) {
    std::vector<std::uint64_t> values = counted.values;
    std::ranges::sort(values);
    return values[counted.has_ticks ? values.size() / 2 : 0];
  }

  void count_calls(const Instance& instance, Scenario& scenario, record::BenchmarkRow row) {
    const Counted counted = count(timed(instance, scenario, nullptr), repetitions(instance));
    if (counted.failure) return refuse(std::move(row), {Refusal::Kind::kFailure, *counted.failure});
    row.items = scenario.items();
    row.repetitions = counted.values.size();
    row.cpu = per_item({counted.values.begin(), counted.values.end()}, row.items);
    std::map<std::uint64_t, std::int64_t> times;
    for (const std::uint64_t value : counted.values) ++times[value];
    const auto most = std::ranges::max_element(times, {}, [](const auto& t) { return t.second; });
    const auto number = [](std::uint64_t n) { return static_cast<std::int64_t>(n); };
    row.counters = {{.name = "instructions", .value = number(count_of(counted))},
                    {.name = "most_frequent", .value = number(most->first)},
                    {.name = "times_most_frequent", .value = most->second}};
    ++result_.measured;
    report(row);
  }

  static record::Statistics per_item(std::vector<double> nanoseconds, std::uint64_t items) {
    for (double& value : nanoseconds) value /= static_cast<double>(items);
    return statistics_of(std::move(nanoseconds));
  }

  static void judge(const Instance& instance, const Scenario& scenario, record::BenchmarkRow& row) {
    std::optional<Bounded> bounded = scenario.bounded();
    if (instance.definition->limit_is_time) bounded = Bounded{row.cpu->median, row.unit};
    if (bounded) {
      row.ratio = bounded->value;
      row.ratio_unit = std::move(bounded->unit);
    } else if (row.floor && row.floor->cpu_median > 0) {
      row.ratio = row.cpu->median / row.floor->cpu_median;
    }
    if (!row.ratio || !row.limit || row.smoke)
      return;  // at smoke size a bound on speed means nothing
    row.met = row.limit_sense == record::LimitSense::kMax ? *row.ratio <= *row.limit
                                                          : *row.ratio >= *row.limit;
  }

  void refuse(record::BenchmarkRow row, const Refusal& refusal) {
    const bool skipped = refusal.kind == Refusal::Kind::kSkip;
    ++(skipped ? result_.skipped : result_.failed);
    row.skipped = skipped ? refusal.reason : "FAILED: " + refusal.reason;
    report(row);
  }

  void report(record::BenchmarkRow& row) const {
    row.head.time = platform::utc_now();
    host_.write(row);
    host_.print(line_of(row));
  }

  static std::string line_of(const record::BenchmarkRow& row) {
    if (row.skipped) return fmt::format("{:<52} skipped: {}", row.name, *row.skipped);
    if (!row.wall)
      return fmt::format("{:<52} {:>11.2f} {:>11.2f} {:>11}  {}", row.name, row.cpu->min,
                         row.cpu->median, "-", row.unit);
    std::string line = fmt::format("{:<52} {:>11.2f} {:>11.2f} {:>11.2f}  {}", row.name,
                                   row.cpu->median, row.cpu->p99, row.wall->median, row.unit);
    if (row.ratio)
      line += row.ratio_unit ? fmt::format("  {:.3f} {}", *row.ratio, *row.ratio_unit)
                             : fmt::format("  ratio {:.3f}", *row.ratio);
    if (row.limit && !row.smoke)
      line += fmt::format(" (target {} {} {})", row.target.value_or("-"),
                          row.limit_sense == record::LimitSense::kMax ? "<=" : ">=", *row.limit);
    if (row.met) line += *row.met ? " met" : " NOT MET";
    return line;
  }

  const Options& options_;
  const std::vector<Instance>& all_;
  const SessionHost& host_;
  SessionResult result_;
};

Expected<std::vector<const Instance*>> select(const std::vector<Instance>& instances,
                                              const Options& options) {
  const std::string& filter = options.filter;
  std::regex wanted;
  try {  // the library reports a malformed expression in no other way
    wanted = std::regex(filter);
  } catch (const std::regex_error& error) {
    return input_error(
        fmt::format("--filter \"{}\" is no regular expression: {}", filter, error.what()));
  }
  std::vector<const Instance*> selected;
  for (const Instance& instance : instances) {
    if (instance.definition->counted == options.count && std::regex_search(instance.name, wanted))
      selected.push_back(&instance);
  }
  if (selected.empty())
    return input_error(
        fmt::format("--filter \"{}\" selects no benchmark; --list prints their names", filter));
  return selected;
}

}  // namespace

Expected<SessionResult> run_session(const Options& options, const std::vector<Instance>& instances,
                                    const SessionHost& host) {
  const Expected<std::vector<const Instance*>> selected = select(instances, options);
  if (!selected) return std::unexpected(selected.error());
  if (Expected<void> ok = host.topology->bind_thread_to_core_of_node(options.cpu_node, 0); !ok)
    return std::unexpected(ok.error());
  if (Expected<void> ok = host.topology->bind_thread_memory_to_node(options.memory_node); !ok)
    return std::unexpected(ok.error());
  host.print(options.count ? fmt::format("{:<52} {:>11} {:>11}", "benchmark", "least", "median")
                           : fmt::format("{:<52} {:>11} {:>11} {:>11}", "benchmark", "cpu median",
                                         "cpu p99", "wall median"));
  Session session(options, instances, host);
  for (const Instance* instance : *selected) {
    if (host.watchdog != nullptr) host.watchdog->begin(instance->name);
    session.run(*instance);
    if (host.watchdog != nullptr) host.watchdog->end();
  }
  const SessionResult result = session.result();
  host.print(fmt::format("{} measured, {} skipped, {} failed", result.measured, result.skipped,
                         result.failed));
  return result;
}

}  // namespace sluice::bench
