// What this program was built from and with.
#pragma once
#include <string>

namespace sluice::platform {

struct BuildInfo {
  std::string commit{};    // 40 hex digits; empty in a tree without git (a tarball)
  bool dirty = false;      // the work tree differed from the commit when it was built
  std::string compiler{};  // "clang 19.1.7"
  std::string build_type{};
};

/// Fixed when the program was built, so that a row names the code that ran, whatever the work tree
/// holds by then.
const BuildInfo& build_info();

}  // namespace sluice::platform
