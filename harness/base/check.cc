#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace sluice {

void harness_bug(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "HARNESS-BUG %s:%d: %s\n", file, line, expression);
  std::abort();
}

}  // namespace sluice
