#include "tool/programs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

extern char** environ;

namespace sluice::tool {
namespace {

namespace fs = std::filesystem;

fs::path own_folder() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::path(".") : self.parent_path();
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (std::string& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

std::string read_all(int fd) {
  std::string out;
  std::array<char, 4096> block{};
  for (ssize_t n = 0; (n = ::read(fd, block.data(), block.size())) != 0;) {
    if (n > 0) out.append(block.data(), static_cast<std::size_t>(n));
    if (n < 0 && errno != EINTR) break;
  }
  return out;
}

double cpu_seconds_of(const rusage& usage) {
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

Expected<std::string> find_program(const std::string& name) {
  std::vector<fs::path> places;
  if (const char* const given = std::getenv("SLUICE_PROGRAM_DIR"); given != nullptr)
    places.emplace_back(given);
  const fs::path here = own_folder();
  places.push_back(here);
  for (const char* const part : {"benchmarks", "fuzzers"})
    places.push_back(here.parent_path().parent_path() / part);
  std::string looked;
  for (const fs::path& place : places) {
    std::error_code error;
    const fs::path candidate = place / name;
    if (fs::is_regular_file(candidate, error)) return candidate.string();
    looked += fmt::format("{}{}", looked.empty() ? "" : ", ", place.string());
  }
  return input_error(
      fmt::format("program '{}' not found in {}: build it (cmake --build --preset release), or set "
                  "SLUICE_PROGRAM_DIR",
                  name, looked));
}

std::string sibling_build(const std::string& preset) {
  const fs::path builds =
      own_folder().parent_path().parent_path().parent_path();  // build/PRESET/harness/tool
  std::error_code error;
  return fs::is_directory(builds / preset, error) ? (builds / preset).string() : std::string();
}

Expected<std::string> find_scripts(const std::string& name) {
  std::error_code error;
  for (fs::path place = own_folder(); place != place.parent_path(); place = place.parent_path()) {
    if (fs::is_regular_file(place / name, error)) return (place / name).parent_path().string();
  }
  return input_error(fmt::format("'{}' not found above {}: run the sluice of a build tree", name,
                                 own_folder().string()));
}

Expected<Running> start_program(const std::vector<std::string>& command,
                                const RunOptions& options) {
  std::array<int, 2> pipe{-1, -1};
  if (options.capture && ::pipe2(pipe.data(), O_CLOEXEC) != 0) return system_error("make a pipe");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  if (!options.output_file.empty()) {
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, options.output_file.c_str(),
                                       O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  }
  if (options.capture) ::posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  if (options.own_group) ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::vector<std::string> arguments = command;
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  environment.insert(environment.end(), options.environment.begin(), options.environment.end());
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, command.front().c_str(), &actions, &attributes,
                                   pointers(arguments).data(), pointers(environment).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (options.capture) ::close(pipe[1]);
  if (error != 0) {
    if (options.capture) ::close(pipe[0]);
    return std::unexpected(SystemError{.number = error, .what = "start " + command.front()});
  }
  return Running{.pid = child, .out = pipe[0], .name = command.front()};
}

bool has_ended(const Running& running) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(running.pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid != 0;
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): it takes the process over.
Expected<Finished> finish_program(Running running) {
  Finished finished;
  if (running.out >= 0) {
    finished.out = read_all(running.out);
    ::close(running.out);
  }
  int state = 0;
  rusage usage{};
  while (::wait4(running.pid, &state, 0, &usage) < 0) {
    if (errno != EINTR) return system_error("wait for " + running.name);
  }
  finished.cpu_seconds = cpu_seconds_of(usage);
  finished.status = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  return finished;
}

void adopt_orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

double reap_orphans() {
  constexpr std::chrono::milliseconds kPause{10};
  constexpr unsigned kPatience = 1000;  // pauses
  double total = 0;
  rusage usage{};
  for (unsigned pauses = 0;;) {
    const pid_t pid = ::wait4(-1, nullptr, WNOHANG, &usage);
    if (pid > 0) {
      total += cpu_seconds_of(usage);
    } else if (pid < 0 || pauses++ == kPatience) {
      return total;
    } else {
      std::this_thread::sleep_for(kPause);
    }
  }
}

Expected<Finished> run_program(const std::vector<std::string>& command, const RunOptions& options) {
  auto running = start_program(command, options);
  if (!running) return std::unexpected(running.error());
  return finish_program(std::move(*running));
}

}  // namespace sluice::tool
