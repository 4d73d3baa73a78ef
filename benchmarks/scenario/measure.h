// The timed part: scenarios through Google Benchmark's loop, one run() per repetition.
#pragma once
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
/// clock that counts instructions. Repetitions with a timer tick in them count only where there is
/// no other. One thread; nothing of a library stands between.
struct Counted {
  std::vector<std::uint64_t> values{};
  bool has_ticks = false;  // too long for one tick: each value begins right after one, and has some
  std::optional<std::string> failure{};
};
Counted count(const Subject& subject, unsigned repetitions);

}  // namespace sluice::bench
