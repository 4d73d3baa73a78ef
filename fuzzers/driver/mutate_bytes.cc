#include "fuzzers/driver/mutate_bytes.h"

#include "ops/codec.h"

namespace sluice::fuzz {

std::span<const std::uint8_t> BytesMutator::encode_to_fit(Sequence& sequence,
                                                          std::size_t max_size) {
  encode_sequence(sequence, bytes_);
  while (bytes_.size() > max_size && !sequence.steps.empty()) {
    sequence.steps.pop_back();
    encode_sequence(sequence, bytes_);
  }
  if (bytes_.size() > max_size) bytes_.resize(max_size);  // not even the header fits
  return bytes_;
}

std::span<const std::uint8_t> BytesMutator::mutate(std::span<const std::uint8_t> input,
                                                   std::size_t max_size, std::uint64_t seed) {
  decode_sequence(input, a_);
  mutator_.mutate(a_, seed);
  return encode_to_fit(a_, max_size);
}

std::span<const std::uint8_t> BytesMutator::cross_over(std::span<const std::uint8_t> a,
                                                       std::span<const std::uint8_t> b,
                                                       std::size_t max_size, std::uint64_t seed) {
  decode_sequence(a, a_);
  decode_sequence(b, b_);
  mutator_.cross_over(a_, b_, mixed_, seed);
  return encode_to_fit(mixed_, max_size);
}

}  // namespace sluice::fuzz
