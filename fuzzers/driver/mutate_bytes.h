// Mutation and crossover of the byte form by way of sequences: what the libFuzzer and the AFL++
// mutator share.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/mutate.h"
#include "ops/sequence.h"

namespace sluice::fuzz {

/// Keeps its memory between calls. Results never exceed `max_size`: steps are dropped from the end
/// until the sequence fits. Thread: compatible.
class BytesMutator {
 public:
  explicit BytesMutator(std::uint64_t seed) : mutator_(seed) {}

  /// The result stays valid until the next call.
  std::span<const std::uint8_t> mutate(std::span<const std::uint8_t> input, std::size_t max_size,
                                       std::uint64_t seed);
  std::span<const std::uint8_t> cross_over(std::span<const std::uint8_t> a,
                                           std::span<const std::uint8_t> b, std::size_t max_size,
                                           std::uint64_t seed);

 private:
  std::span<const std::uint8_t> encode_to_fit(Sequence& sequence, std::size_t max_size);

  Mutator mutator_;
  Sequence a_{};
  Sequence b_{};
  Sequence mixed_{};
  std::vector<std::uint8_t> bytes_{};
};

}  // namespace sluice::fuzz
