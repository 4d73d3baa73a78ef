#include "ops/files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "ops/text.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

std::unexpected<SystemError> error_of(const std::error_code& code, std::string what) {
  return std::unexpected(SystemError{.number = code.value(), .what = std::move(what)});
}

Expected<void> add_directory(const std::string& path, std::vector<std::string>& out) {
  std::error_code code;
  const std::size_t first = out.size();
  fs::recursive_directory_iterator entry(path, code);
  if (code) return error_of(code, "read directory " + path);
  while (entry != fs::recursive_directory_iterator()) {
    std::error_code type_code;
    if (entry->path().extension() == ".ops" && entry->is_regular_file(type_code)) {
      out.push_back(entry->path().string());
    }
    entry.increment(code);
    if (code) return error_of(code, "read directory " + path);
  }
  if (out.size() == first) {
    return input_error(
        fmt::format("{}: no .ops file in this directory; name a file or a directory "
                    "with sequences",
                    path));
  }
  std::sort(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  return {};
}

}  // namespace

Expected<std::string> read_file(const std::string& path, std::size_t max_bytes) {
  std::error_code code;
  if (fs::is_directory(path, code)) return input_error(path + ": is a directory, not a file");
  const File file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return system_error("open " + path);
  std::string contents(max_bytes + 1, '\0');
  const std::size_t size = std::fread(contents.data(), 1, contents.size(), file.get());
  if (std::ferror(file.get()) != 0) return system_error("read " + path);
  if (size > max_bytes) {
    return input_error(
        fmt::format("{}: has more than {} bytes; is it the right file?", path, max_bytes));
  }
  contents.resize(size);
  return contents;
}

Expected<Sequence> read_sequence(const std::string& path) {
  const Expected<std::string> text = read_file(path, kMaxTextBytes);
  if (!text) return std::unexpected(text.error());
  return parse_text(*text, path);
}

Expected<std::vector<std::string>> find_sequences(std::span<const std::string> paths) {
  std::vector<std::string> found;
  for (const std::string& path : paths) {
    std::error_code code;
    const fs::file_status status = fs::status(path, code);
    if (!fs::exists(status)) return error_of(code, "find " + path);
    if (!fs::is_directory(status)) {
      found.push_back(path);
    } else if (const Expected<void> added = add_directory(path, found); !added) {
      return std::unexpected(added.error());
    }
  }
  return found;
}

Expected<void> write_file(const std::string& path, std::string_view contents) {
  const std::string temporary = path + ".new";
  std::error_code code;
  if (fs::is_directory(path, code)) return input_error(path + ": is a directory, not a file");
  {
    const File file(std::fopen(temporary.c_str(), "wb"));
    if (file == nullptr) return system_error("create " + temporary);
    if (std::fwrite(contents.data(), 1, contents.size(), file.get()) != contents.size() ||
        std::fflush(file.get()) != 0) {
      auto error = system_error("write " + temporary);
      fs::remove(temporary, code);
      return error;
    }
  }
  if (std::rename(temporary.c_str(), path.c_str()) == 0) return {};
  auto error = system_error("rename to " + path);
  fs::remove(temporary, code);
  return error;
}

}  // namespace sluice
