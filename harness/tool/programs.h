// The programs that stand beside `sluice`: benchmarks and fuzzers are separate binaries, so that
// their libraries and instrumentation stay out of the tool.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/system_error.h"

namespace sluice::tool {

/// Where a program of this build is: $SLUICE_PROGRAM_DIR, the tool's own folder, or its build
/// folder's benchmarks/ and fuzzers/. Error: not found; the message lists where it was looked for.
Expected<std::string> find_program(const std::string& name);

/// The build folder of another preset beside this one ("fuzz-libfuzzer", "fuzz-afl"); empty if the
/// tool is not in a build tree.
std::string sibling_build(const std::string& preset);

/// The folder of the source tree's script `name` ("ci/lane/kernel"): of the tree that this build
/// lies in. Error: not found; the message says what to do.
Expected<std::string> find_scripts(const std::string& name);

struct Finished {
  int status = 0;          // exit status; 128 + n after signal n
  double cpu_seconds = 0;  // user and system time
  std::string out{};       // what it wrote to stdout, if asked for
};
struct RunOptions {
  bool capture = false;                    // keep stdout; else it goes where ours goes
  std::string output_file{};               // stdout and stderr go there; empty: where ours go
  std::vector<std::string> environment{};  // NAME=value, added to ours
  // A process group of its own: a signal to -pid reaches all that it starts, and one to us does
  // not.
  bool own_group = false;
};
/// A program that runs. Ended by finish_program().
struct Running {
  int pid = 0;
  int out = -1;  // read end of its stdout, if captured
  std::string name{};
};
/// Error: it could not be started. Interrupting us interrupts it, too (same process group), unless
/// it has a group of its own.
Expected<Running> start_program(const std::vector<std::string>& command,
                                const RunOptions& options = {});
/// True if it has ended; it still wants finish_program().
bool has_ended(const Running& running);
/// Waits for its end.
Expected<Finished> finish_program(Running running);
/// From now on, processes that a finished program leaves behind become our children, so that
/// reap_orphans() can wait for them. For the rest of our life.
void adopt_orphans();
/// Waits for all that finished programs left behind, at most 10 s. CPU seconds that they
/// took. Pre: nothing that start_program() started still runs.
double reap_orphans();
/// Both.
Expected<Finished> run_program(const std::vector<std::string>& command,
                               const RunOptions& options = {});

}  // namespace sluice::tool
