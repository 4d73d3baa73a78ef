// Whether this machine is one that random sequences may wreck: a lane guest, or not.
#pragma once
#include <string>

namespace sluice::tool {

/// Empty in a lane guest; elsewhere why this is none. A lane guest has the lane's settings at its
/// root (ci/lane/init reads them), and that root is the memory it was booted into: a machine whose
/// root is a disk, or a container on one, stays none whatever files it is given. `root` is "/" but
/// in tests.
std::string why_no_lane_guest(const std::string& root = "/");

}  // namespace sluice::tool
