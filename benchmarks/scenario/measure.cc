#include "benchmarks/scenario/measure.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/check.h"
#include "platform/clock.h"
#include "platform/vm_statistics.h"

namespace sluice::bench {
namespace {

/// Collects the times of each repetition by name; prints nothing.
class Collector : public benchmark::BenchmarkReporter {
 public:
  explicit Collector(std::map<std::string, Measured*> by_name) : by_name_(std::move(by_name)) {}

  bool ReportContext(const Context&) override { return true; }

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration) continue;
      const auto found = by_name_.find(run.run_name.function_name);
      SLUICE_CHECK(found != by_name_.end());
      if (run.error_occurred) {
        if (!found->second->failure) found->second->failure = run.error_message;
        continue;
      }
      found->second->cpu_ns.push_back(run.cpu_accumulated_time * 1e9);
      found->second->wall_ns.push_back(run.real_accumulated_time * 1e9);
    }
  }

 private:
  std::map<std::string, Measured*> by_name_;
};

/// One repetition: one iteration of the library's loop, so that its timer holds run() alone and
/// needs no pauses. Its loop begins and ends with a barrier of all threads.
void repeat_once(benchmark::State& state, const Subject& subject) {
  const auto thread = static_cast<unsigned>(state.thread_index());
  subject.place(thread);
  if (thread == 0 && !subject.scenario->failure()) {
    subject.scenario->before();
    subject.before();
  }
  subject.scenario->arrive(thread);
  for (auto unused : state) {
    static_cast<void>(unused);
    subject.scenario->run(thread);
  }
  if (thread != 0) return;
  subject.after();
  subject.scenario->after();
  if (const std::optional<std::string> failure = subject.scenario->failure())
    state.SkipWithError(failure->c_str());
}

void start_library_once() {
  static const bool started = [] {
    std::string program = "sluice_bench";
    std::string interleave = "--benchmark_enable_random_interleaving=true";
    std::array<char*, 3> arguments = {program.data(), interleave.data(), nullptr};
    int count = 2;
    benchmark::Initialize(&count, arguments.data());
    return count == 1;
  }();
  SLUICE_CHECK(started);
}

}  // namespace

std::vector<Measured> measure(const std::vector<Subject>& subjects, unsigned repetitions) {
  start_library_once();
  std::vector<Measured> results(subjects.size());
  std::map<std::string, Measured*> by_name;
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    const Subject& subject = subjects[i];
    by_name[subject.name] = &results[i];
    benchmark::RegisterBenchmark(
        subject.name.c_str(), [&subject](benchmark::State& state) { repeat_once(state, subject); })
        ->Iterations(1)
        ->Repetitions(static_cast<int>(repetitions))
        ->Threads(static_cast<int>(subject.threads))
        ->UseRealTime();
  }
  SLUICE_CHECK(by_name.size() == subjects.size());
  Collector collector(std::move(by_name));
  benchmark::RunSpecifiedBenchmarks(&collector, "all");
  benchmark::ClearRegisteredBenchmarks();
  return results;
}

namespace {

/// Repetitions of a short call before the next tick is awaited.
constexpr std::size_t kInOneTick = 4;

/// Until the next timer tick is over, or no tick comes.
void wait_for_tick() {
  constexpr unsigned kPatience = 100'000'000;
  const std::uint64_t now = platform::ticked_ns();
  for (unsigned i = 0; i < kPatience && platform::ticked_ns() == now; ++i) {
  }
}

/// What reading the clock takes by itself.
std::uint64_t least_reading() {
  const auto clock_alone = [] {
    const std::uint64_t begin = platform::steady_ns();
    return platform::steady_ns() - begin;
  };
  std::uint64_t least = clock_alone();
  for (int i = 0; i < 100; ++i) least = std::min(least, clock_alone());
  return least;
}

}  // namespace

bool CountedRepetitions::begins_after_tick() const {
  // Short calls all made within one tick would share whatever that tick has of its own.
  return is_long_ || size() % kInOneTick == kInOneTick - 1;
}

void CountedRepetitions::add(std::uint64_t took, bool has_tick) {
  if (!is_long_ && took > kLong) {
    is_long_ = true;
    quiet_.clear();
    ticked_.clear();
    return;
  }
  (has_tick ? ticked_ : quiet_).push_back(took - std::min(took, reading_));
}

Counted CountedRepetitions::result(std::optional<std::string> failure) && {
  const bool has_ticks = quiet_.empty();
  return {.values = std::move(has_ticks ? ticked_ : quiet_),
          .has_ticks = has_ticks,
          .failure = std::move(failure)};
}

Counted count(const Subject& subject, unsigned repetitions) {
  CountedRepetitions made(least_reading());
  Scenario& scenario = *subject.scenario;
  subject.place(0);
  while (made.size() < repetitions && !scenario.failure()) {
    scenario.before();
    scenario.arrive(0);
    platform::fold_vm_statistics();
    if (made.begins_after_tick()) wait_for_tick();
    const std::uint64_t tick = platform::ticked_ns();
    const std::uint64_t begin = platform::steady_ns();
    scenario.run(0);
    const std::uint64_t took = platform::steady_ns() - begin;
    const bool has_tick = platform::ticked_ns() != tick;
    scenario.after();
    made.add(took, has_tick);
  }
  return std::move(made).result(scenario.failure());
}

}  // namespace sluice::bench
