// AFL++'s custom mutator, a shared object for AFL_CUSTOM_MUTATOR_LIBRARY: its persistent driver
// never calls LLVMFuzzerCustomMutator. One call in 8 mixes in another queue entry.
#include <memory>
#include <span>

#include "base/rng.h"
#include "fuzzers/driver/mutate_bytes.h"

namespace {

struct State {
  explicit State(unsigned seed) : rng(seed), mutator(seed) {}
  sluice::Rng rng;
  sluice::fuzz::BytesMutator mutator;
};

}  // namespace

extern "C" void* afl_custom_init(void* /*afl*/, unsigned seed) {
  return std::make_unique<State>(seed).release();
}

// NOLINTNEXTLINE(readability-function-size): AFL++ says which parameters there are.
extern "C" std::size_t afl_custom_fuzz(void* state, std::uint8_t* data, std::size_t size,
                                       std::uint8_t** out, std::uint8_t* other,
                                       std::size_t other_size, std::size_t max_size) {
  State& mine = *static_cast<State*>(state);
  const std::uint64_t seed = mine.rng.next();
  std::span<const std::uint8_t> result;
  if (other != nullptr && other_size > 0 && mine.rng.one_in(8)) {
    result = mine.mutator.cross_over({data, size}, {other, other_size}, max_size, seed);
  } else {
    result = mine.mutator.mutate({data, size}, max_size, seed);
  }
  // AFL++ only reads what it is handed; its interface lacks the const.
  *out = const_cast<std::uint8_t*>(result.data());
  return result.size();
}

extern "C" void afl_custom_deinit(void* state) {
  const std::unique_ptr<State> owner(static_cast<State*>(state));
}
