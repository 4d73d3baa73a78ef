// Clocks: points in time for rows, durations for progress. Benchmark loops have their own timers
// (benchmarks/scenario).
#pragma once
#include <cstdint>
#include <string>

namespace sluice::platform {

/// Now, UTC, to the second: "2026-11-21T09:20:05Z".
std::string utc_now();

/// A new id for one invocation: time and four hex digits, so that two runs of one second differ:
/// "2026-11-21T09:20:01Z-1a2b".
std::string new_run_id();

/// Nanoseconds of a clock that never steps back; only differences mean something. Cost: some 40 ns.
std::uint64_t steady_ns();

/// The same clock as of the last timer tick: it moves when the tick does, and not else.
std::uint64_t ticked_ns();

/// CPU time of the calling thread and of the whole process, in nanoseconds. Cost: a system call, up
/// to 1 us.
std::uint64_t thread_cpu_ns();
std::uint64_t process_cpu_ns();

}  // namespace sluice::platform
