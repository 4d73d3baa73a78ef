// For the tests of this room: a folder of a test's own, removed at its end, in which programs run.
#pragma once
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ops/files.h"
#include "tool/programs.h"

namespace sluice::tool {

/// How a program ended, and what it wrote to standard output and standard error.
struct Answer {
  int status = -1;  // -1: it could not be started
  std::string text{};
};

class TestFolder {
 public:
  /// `path` and the process's number: the tests of two builds may run at once. Pre: no other test
  /// of this process uses the path.
  explicit TestFolder(const std::string& path) : path_(path + "_" + std::to_string(::getpid())) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string path(const std::string& name) const { return path_ + "/" + name; }

  /// Writes a file of the folder. Its path.
  std::string file(const std::string& name, std::string_view contents) const {
    if (!write_file(path(name), contents)) std::abort();
    return path(name);
  }
  /// The same, to be run.
  std::string script(const std::string& name, std::string_view contents) const {
    file(name, contents);
    std::filesystem::permissions(path(name), std::filesystem::perms::owner_all);
    return path(name);
  }
  Answer run(const std::vector<std::string>& command) const {
    constexpr std::size_t kMaxOutput = std::size_t{1} << 20;
    const std::string log = path("log");
    const auto finished = run_program(command, {.output_file = log});
    const auto text = read_file(log, kMaxOutput);
    if (!finished || !text) return {};
    return {.status = finished->status, .text = *text};
  }

 private:
  std::string path_;
};

}  // namespace sluice::tool
