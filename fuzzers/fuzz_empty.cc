// A target that does nothing: the speed of the engine alone, which targets F1 and F2 are measured
// against.
#include "fuzzers/driver/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* /*data*/, std::size_t /*size*/) {
  return 0;
}
