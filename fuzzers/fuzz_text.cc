// Any text is a sequence or an error that names the place; the canonical text of a sequence means
// the same sequence.
#include <string>
#include <string_view>

#include "fuzzers/driver/fuzz_target.h"
#include "fuzzers/driver/report.h"
#include "ops/text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using sluice::fuzz::report_harness_bug;
  const std::string text(data, data + size);
  const auto sequence = sluice::parse_text(text, "input.ops");
  if (!sequence) {
    const std::string message = sequence.error().message();
    if (!message.starts_with("input.ops:")) report_harness_bug("no place in: " + message, {});
    return 0;
  }
  const std::string canonical = sluice::format_text(*sequence);
  const auto again = sluice::parse_text(canonical, "canonical.ops");
  if (!again) report_harness_bug(again.error().message(), *sequence);
  if (sluice::format_text(*again) != canonical) {
    report_harness_bug("formatting is not stable", *sequence);
  }
  return 0;
}
