// Runs inputs through a fuzz target without an engine: any compiler, any sanitizer, under a
// debugger. Takes files and directories; a file that ends in .ops is text, which a target of the
// byte form gets encoded. Exit status: 0 fine, 1 a target aborted (its message names the finding,
// ours the file), 3 usage.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "fuzzers/driver/fuzz_target.h"
#include "ops/codec.h"
#include "ops/files.h"
#include "ops/text.h"

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxInputBytes = std::size_t{1} << 20;
constexpr int kStatusFinding = 1;
constexpr int kStatusUsage = 3;

std::array<char, 4096> current_file{};  // for the signal handler

void write_line(const char* text) {
  [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, text, std::strlen(text));
}

extern "C" void on_abort(int /*signal*/) {
  write_line("replay: the target aborted on ");
  write_line(current_file.data());
  write_line("\n");
  ::_exit(kStatusFinding);
}

void set_current_file(const std::string& path) {
  const std::size_t size = std::min(path.size(), current_file.size() - 1);
  std::memcpy(current_file.data(), path.data(), size);
  current_file[size] = '\0';
}

sluice::Expected<std::vector<std::string>> files_of(const std::string& path) {
  std::error_code code;
  if (!fs::is_directory(path, code)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(path, code)) {
    if (entry.is_regular_file(code)) files.push_back(entry.path().string());
  }
  if (files.empty()) return sluice::input_error(path + ": no file in this directory");
  std::ranges::sort(files);
  return files;
}

sluice::Expected<void> run_file(const std::string& path, bool wants_text) {
  auto contents = sluice::read_file(path, kMaxInputBytes);
  if (!contents) return std::unexpected(contents.error());
  set_current_file(path);
  std::vector<std::uint8_t> bytes(contents->begin(), contents->end());
  if (path.ends_with(".ops") && !wants_text) {
    const auto sequence = sluice::parse_text(*contents, path);
    if (!sequence) return std::unexpected(sequence.error());
    sluice::encode_sequence(*sequence, bytes);
  }
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  return {};
}

int usage() {
  fmt::print(
      stderr,
      "usage: REPLAY [--text] FILE|DIRECTORY...\n"
      "Runs every file through the fuzz target. FILE.ops is text and is encoded first, unless "
      "--text says that the target reads text.\n");
  return kStatusUsage;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> paths(argv + 1, argv + argc);
  const std::string_view program = argv[0];
  const bool wants_text = std::erase(paths, "--text") > 0 || program.ends_with("fuzz_text_replay");
  if (paths.empty() || paths.front().starts_with("-")) return usage();
  std::signal(SIGABRT, on_abort);
  std::size_t count = 0;
  for (const std::string& path : paths) {
    const auto files = files_of(path);
    if (!files) {
      fmt::print(stderr, "replay: {}\n", files.error().message());
      return kStatusUsage;
    }
    for (const std::string& file : *files) {
      if (const auto done = run_file(file, wants_text); !done) {
        fmt::print(stderr, "replay: {}\n", done.error().message());
        return kStatusUsage;
      }
      ++count;
    }
  }
  fmt::print("replay: {} inputs, nothing found\n", count);
  return 0;
}
