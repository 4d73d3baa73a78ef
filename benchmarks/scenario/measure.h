// The timed part: scenarios through Google Benchmark's loop, one run() per repetition.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "benchmarks/scenario/scenario.h"

namespace sluice::bench {

/// A prepared scenario and how its threads are placed.
struct Subject {
  std::string name{};
  Scenario* scenario = nullptr;
  unsigned threads = 1;
  std::function<void(unsigned thread)>
      place{};  // called by each thread before each repetition, untimed
  std::function<void()>
      before{};                   // called by one thread before and after each repetition, untimed:
  std::function<void()> after{};  // counters
};

struct Measured {
  std::vector<double> cpu_ns{};   // per repetition, all threads together
  std::vector<double> wall_ns{};  // per repetition
  std::optional<std::string> failure{};
};

/// Runs each subject `repetitions` times, in random order among all of them: what disturbs the
/// machine for a while disturbs a subject and its floor alike. A subject that fails is stopped
/// (SkipWithError), the others go on. Results stand in the order of the subjects. Thread: one at a
/// time per process (Google Benchmark's registry is global).
std::vector<Measured> measure(const std::vector<Subject>& subjects, unsigned repetitions);

/// What one repetition after the other took by the clock, less what reading the clock takes: for a
/// clock that counts instructions.
struct Counted {
  std::vector<std::uint64_t> values{};  // at most one per repetition: those without a tick in them
  bool has_ticks = false;  // too long for one tick: each value begins right after one, and has some
  std::optional<std::string> failure{};
};

/// Which repetitions count: those with a timer tick in them only where there is no other. The first
/// one that takes longer than kLong shows that the call is long: what was made before is forgotten,
/// and each further one begins right after a tick, so that where it can end before the next, it
/// does. One thread.
class CountedRepetitions {
 public:
  static constexpr std::uint64_t kLong = 1'000'000;  // nanoseconds of the clock

  /// `reading`: what reading the clock takes, subtracted from each repetition.
  explicit CountedRepetitions(std::uint64_t reading) : reading_(reading) {}

  bool begins_after_tick() const;
  void add(std::uint64_t took, bool has_tick);
  std::size_t size() const { return quiet_.size() + ticked_.size(); }
  Counted result(std::optional<std::string> failure) &&;

 private:
  std::uint64_t reading_;
  std::vector<std::uint64_t> quiet_{};
  std::vector<std::uint64_t> ticked_{};
  bool is_long_ = false;
};

/// Makes `repetitions` of them, one after the other; nothing of a library stands between.
Counted count(const Subject& subject, unsigned repetitions);

}  // namespace sluice::bench
