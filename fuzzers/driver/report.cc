#include "fuzzers/driver/report.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "ops/text.h"

namespace sluice::fuzz {
namespace {

[[noreturn]] void print_and_abort(std::string_view what, const Sequence& sequence) {
  fmt::print(stderr,
             "{}\n--- the sequence; save it as FILE.ops for 'sluice run' and 'sluice minimize'\n"
             "{}---\n",
             what, format_text(sequence));
  std::fflush(stderr);
  std::abort();
}

}  // namespace

void report_finding(std::string_view description, const Sequence& sequence) {
  print_and_abort(description, sequence);
}

void report_harness_bug(std::string_view what, const Sequence& sequence) {
  print_and_abort(fmt::format("HARNESS-BUG {}", what), sequence);
}

}  // namespace sluice::fuzz
