// The command line of a benchmark program.
#pragma once
#include <span>
#include <string>

#include "base/system_error.h"

namespace sluice::bench {

struct Options {
  bool smoke = false;  // smoke sizes, few repetitions: does it work, not how fast
  bool count = false;  // instructions, where the clock counts them; only what is made for it
  bool list = false;   // names only
  bool help = false;
  std::string filter{};      // regular expression searched in the names; empty: all
  std::string rows{};        // file to append rows to; empty: none
  std::string run{};         // id of the run; empty: a new one
  unsigned repetitions = 0;  // 0: the benchmark's own, or 3 with smoke
  unsigned cpu_node = 0;     // node whose cores run the threads
  unsigned memory_node = 0;  // node that memory comes from
};

/// Errors: the argument that is wrong and what would be right.
Expected<Options> parse_options(std::span<const char* const> arguments);

/// The text of --help.
std::string usage(const std::string& program);

}  // namespace sluice::bench
