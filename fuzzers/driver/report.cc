#include "fuzzers/driver/report.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "ops/text.h"

namespace sluice::fuzz {
namespace {

[[noreturn]] void print_and_abort(std::string_view head, std::string_view detail,
                                  const Sequence& sequence) {
  const std::string text = format_text(sequence);
  fmt::print(stderr, "{}\n", head);
  if (!detail.empty()) fmt::print(stderr, "{}\n", detail);
  fmt::print(stderr,
             "--- the sequence; save it as FILE.ops for 'sluice run' and 'sluice minimize'\n"
             "{}---\n",
             text);
  std::fflush(stderr);
  std::abort();
}

}  // namespace

void report_finding(std::string_view invariant, std::string_view detail, const Sequence& sequence) {
  print_and_abort(fmt::format("FINDING {}", invariant), detail, sequence);
}

void report_harness_bug(std::string_view what, const Sequence& sequence) {
  print_and_abort(fmt::format("HARNESS-BUG {}", what), {}, sequence);
}

}  // namespace sluice::fuzz
