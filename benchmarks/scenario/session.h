// One invocation of a benchmark program: every selected benchmark prepared, verified, timed beside
// its floor, and recorded.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/system_error.h"
#include "benchmarks/scenario/options.h"
#include "benchmarks/scenario/scenario.h"
#include "benchmarks/scenario/watchdog.h"
#include "platform/counters.h"
#include "platform/topology.h"
#include "record/row.h"

namespace sluice::bench {

/// What the session needs from outside, so that tests can stand in.
struct SessionHost {
  record::Head head{};                           // time is filled in per row
  const platform::Topology* topology = nullptr;  // where threads and memory go
  Watchdog* watchdog = nullptr;                  // none: a benchmark may take for ever
  platform::Counters* counters =
      nullptr;  // read around the last repetition; none: rows have the scenario's own only
  std::function<void(const record::Row&)> write{};  // takes each row as it is ready
  std::function<void(const std::string&)> print{};  // takes each line for people
};

struct SessionResult {
  unsigned measured = 0;
  unsigned skipped = 0;
  unsigned failed = 0;
};

/// Runs the instances that the filter selects; floors are taken from all of them. Errors: a filter
/// that is no regular expression or selects nothing, a node that does not exist.
Expected<SessionResult> run_session(const Options& options, const std::vector<Instance>& instances,
                                    const SessionHost& host);

/// The whole program: arguments, host row, session, exit status (0, 1 or 3).
int benchmark_main(int argc, char** argv);

}  // namespace sluice::bench
