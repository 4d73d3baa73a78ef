// Every byte string is a sequence; its canonical bytes and its text mean the same sequence.
#include <vector>

#include "fuzzers/driver/fuzz_target.h"
#include "fuzzers/driver/report.h"
#include "ops/codec.h"
#include "ops/text.h"

namespace {

/// Warm before the first input and empty after each, so that every run of an input takes the same
/// path (AFL++ calls that stability).
struct Buffers {
  Buffers() {
    sluice::decode_sequence({}, sequence);
    sluice::decode_sequence({}, again);
    canonical.reserve(sluice::kMaxEncodedBytes);
    bytes.reserve(sluice::kMaxEncodedBytes);
  }
  sluice::Sequence sequence{};
  sluice::Sequence again{};
  std::vector<std::uint8_t> canonical{};
  std::vector<std::uint8_t> bytes{};

  void clear() {
    sequence.clear();
    again.clear();
    canonical.clear();
    bytes.clear();
  }
};
Buffers buffers;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using sluice::fuzz::report_harness_bug;
  auto& [sequence, again, canonical, bytes] = buffers;
  sluice::decode_sequence({data, size}, sequence);
  sluice::encode_sequence(sequence, canonical);
  sluice::decode_sequence(canonical, again);
  sluice::encode_sequence(again, bytes);
  if (bytes != canonical) report_harness_bug("canonical bytes decode to something else", sequence);
  const auto parsed = sluice::parse_text(sluice::format_text(sequence), "decoded.ops");
  if (!parsed) report_harness_bug("no text form: " + parsed.error().message(), sequence);
  sluice::encode_sequence(*parsed, bytes);
  if (bytes != canonical) report_harness_bug("the text means something else", sequence);
  buffers.clear();
  return 0;
}
