// libFuzzer's hooks (also honored by engines that OSS-Fuzz links): mutation and crossover on
// sequences. One call in 64 is left to the engine's own byte mutation, so that byte strings that no
// encoder writes stay in the corpus.
#include <algorithm>

#include "fuzzers/driver/mutate_bytes.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

sluice::fuzz::BytesMutator& mutator(unsigned first_seed) {
  static sluice::fuzz::BytesMutator one(first_seed);
  return one;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  if (seed % 64 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const auto result = mutator(seed).mutate({data, size}, max_size, seed);
  std::ranges::copy(result, data);
  return result.size();
}

// NOLINTNEXTLINE(readability-function-size): libFuzzer says which parameters there are.
extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* a, std::size_t a_size,
                                                 const std::uint8_t* b, std::size_t b_size,
                                                 std::uint8_t* out, std::size_t max_size,
                                                 unsigned seed) {
  const auto result = mutator(seed).cross_over({a, a_size}, {b, b_size}, max_size, seed);
  std::ranges::copy(result, out);
  return result.size();
}
