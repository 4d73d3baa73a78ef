#include "tool/sandbox.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "ops/files.h"

namespace sluice::tool {

std::string why_no_lane_guest(const std::string& root) {
  constexpr const char* kSettings = "lane/settings";
  constexpr std::size_t kMaxSettings = 4096;
  const std::string path = root + (root.ends_with('/') ? "" : "/") + kSettings;
  const auto settings = read_file(path, kMaxSettings);
  if (!settings) return fmt::format("{} is not there", path);
  if (!settings->contains("token=")) return fmt::format("{} is not the lane's", path);
  struct statfs about {};
  if (::statfs(root.c_str(), &about) != 0) return fmt::format("{} cannot be looked at", root);
  const bool in_memory = about.f_type == RAMFS_MAGIC || about.f_type == TMPFS_MAGIC;
  return in_memory ? std::string() : fmt::format("{} is not the memory it was booted into", root);
}

}  // namespace sluice::tool
