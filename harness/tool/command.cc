#include "tool/command.h"

#include <fmt/core.h>

#include <cstdio>

namespace sluice::tool {

int complain(std::string_view message) {
  std::fflush(stdout);  // what was printed before comes first
  fmt::print(stderr, "sluice: {}\n", message);
  return kUsage;
}

}  // namespace sluice::tool
