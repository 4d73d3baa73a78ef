#include "reports/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

namespace sluice::reports {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

// Text first, then to the disk itself: the rename must not overtake the contents at a power cut.
bool write_all(std::FILE* file, std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0 &&
         fsync(fileno(file)) == 0;
}

}  // namespace

Expected<std::string> read_text(const std::filesystem::path& path) {
  const File file(std::fopen(path.c_str(), "rbe"));
  if (!file) return system_error("read " + path.string());
  std::string text;
  char buffer[1 << 16];
  std::size_t count = sizeof(buffer);
  while (count == sizeof(buffer)) {  // less is the end, or an error
    count = std::fread(buffer, 1, sizeof(buffer), file.get());
    text.append(buffer, count);
  }
  if (std::ferror(file.get()) != 0) return system_error("read " + path.string());
  return text;
}

Expected<void> write_text(const std::filesystem::path& path, std::string_view text) {
  const std::filesystem::path temporary = temporary_beside(path);
  File file(std::fopen(temporary.c_str(), "wbe"));
  if (!file) return system_error("write " + temporary.string());
  if (!write_all(file.get(), text)) {
    auto error = system_error("write " + temporary.string());
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    return error;
  }
  file.reset();
  return replace_file(temporary, path);
}

std::filesystem::path temporary_beside(const std::filesystem::path& path) {
  std::filesystem::path temporary = path;
  temporary += fmt::format(".new-{}", getpid());
  std::error_code ignored;
  std::filesystem::remove(temporary, ignored);
  return temporary;
}

Expected<void> replace_file(const std::filesystem::path& temporary,
                            const std::filesystem::path& path) {
  if (std::rename(temporary.c_str(), path.c_str()) == 0) return {};
  auto error = system_error(fmt::format("rename {} to {}", temporary.string(), path.string()));
  std::error_code ignored;
  std::filesystem::remove(temporary, ignored);
  return error;
}

}  // namespace sluice::reports
