#include "platform/counters.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "base/system_error.h"

extern char** environ;

namespace sluice::platform {

Expected<std::string> find_counterd() {
  if (const char* from_environment = std::getenv("SLUICE_COUNTERD"))
    return std::string(from_environment);
  std::error_code ignored;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  std::string beside = (self.parent_path() / "sluice-counterd").string();
  if (::access(beside.c_str(), X_OK) == 0) return beside;
  std::string built = SLUICE_COUNTERD_PATH;
  if (built.empty()) return input_error(SLUICE_COUNTERD_MISSING);
  if (::access(built.c_str(), X_OK) == 0) return built;
  return system_error(fmt::format("find sluice-counterd beside this program or as {}", built));
}

namespace {

constexpr int kCounterdSocket = 3;  // where counterd finds its end

struct Answer {
  int error = 0;
  int fd = -1;
};

/// One message of counterd's, or nothing if it has gone.
std::optional<Answer> receive(int socket) {
  std::array<char, 16> text{};
  iovec part{.iov_base = text.data(), .iov_len = text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return std::nullopt;
  Answer answer;
  std::from_chars(text.data(), text.data() + got, answer.error);
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS)
    std::memcpy(&answer.fd, CMSG_DATA(header), sizeof answer.fd);
  return answer;
}

std::string reason_of(int error) {
  switch (error) {
    case ENOENT:
    case ENODEV:
    case EOPNOTSUPP:
      return fmt::format(
          "no such counter on this host ({}): no hardware counters, or a kernel without it",
          error == ENOENT ? "ENOENT" : std::strerror(error));
    case EACCES:
    case EPERM:
      return fmt::format(
          "not allowed ({}): give sluice-counterd CAP_PERFMON or set kernel.perf_event_paranoid to "
          "1 or less",
          std::strerror(error));
    case EINVAL:
      return "counterd knows no counter of this name (EINVAL)";
    default:
      return fmt::format("opening it failed: {}", std::strerror(error));
  }
}

/// Starts counterd with its end of the socket; its process id.
Expected<pid_t> spawn(const std::string& program, const std::vector<std::string>& names,
                      int its_end) {
  std::vector<std::string> words{program, std::to_string(kCounterdSocket),
                                 std::to_string(::getpid())};
  words.insert(words.end(), names.begin(), names.end());
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, its_end,
                                     kCounterdSocket);  // also clears close-on-exec
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return std::unexpected(SystemError{.number = error, .what = "start " + program});
  return pid;
}

/// Answers in the order of the names; fewer if counterd stopped early.
Expected<std::vector<Answer>> ask(const std::string& program,
                                  const std::vector<std::string>& names) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return system_error("make a socket pair for counterd");
  const Expected<pid_t> pid = spawn(program, names, ends[1]);
  ::close(ends[1]);
  std::vector<Answer> answers;
  while (pid && answers.size() < names.size()) {
    const std::optional<Answer> answer = receive(ends[0]);
    if (!answer) break;
    answers.push_back(*answer);
  }
  ::close(ends[0]);
  if (!pid) return std::unexpected(pid.error());
  int status = 0;
  while (::waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
  }
  return answers;
}

}  // namespace

Counters::Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
Counters::Descriptor& Counters::Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
Counters::Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

bool Counters::Descriptor::read(Reading& to) const {
  std::array<std::uint64_t, 3> words{};
  ssize_t got = 0;
  do {
    got = ::read(fd_, words.data(), sizeof words);
  } while (got < 0 && errno == EINTR);
  to = {.count = words[0], .enabled_ns = words[1], .running_ns = words[2]};
  return got == static_cast<ssize_t>(sizeof words);
}

Counters::~Counters() = default;

Counters Counters::open(const std::vector<std::string>& names, const std::string& counterd) {
  Counters result;
  for (const std::string& name : names) result.counters_.push_back({.name = name});
  if (names.empty()) return result;
  std::string none = "sluice-counterd stopped before it answered";
  std::vector<Answer> answers;
  const auto program = counterd.empty() ? find_counterd() : Expected<std::string>(counterd);
  if (!program) {
    none = program.error().message();
  } else if (Expected<std::vector<Answer>> got = ask(*program, names); !got) {
    none = got.error().message();
  } else {
    answers = std::move(*got);
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    Counter& counter = result.counters_[i];
    if (i >= answers.size()) {
      counter.reason = none;
    } else if (answers[i].fd < 0) {
      counter.reason = reason_of(answers[i].error);
    } else {
      counter.descriptor = Descriptor(answers[i].fd);
    }
  }
  return result;
}

void Counters::start() {
  for (Counter& counter : counters_) {
    if (counter.descriptor.is_open()) static_cast<void>(counter.descriptor.read(counter.at_start));
  }
}

Fact Counters::difference(const Counter& counter) {
  if (!counter.descriptor.is_open()) return missing_fact(counter.name, counter.reason);
  Reading now;
  if (!counter.descriptor.read(now))
    return missing_fact(counter.name, "reading the counter failed");
  const std::uint64_t enabled = now.enabled_ns - counter.at_start.enabled_ns;
  const std::uint64_t running = now.running_ns - counter.at_start.running_ns;
  if (running < enabled) {
    // Scaling up would make an estimate look like a count.
    return missing_fact(
        counter.name,
        fmt::format("counted only {} % of the time: more hardware events than counters",
                    100 * running / enabled));
  }
  return {.name = counter.name,
          .value = static_cast<std::int64_t>(now.count - counter.at_start.count)};
}

Facts Counters::stop() {
  Facts result;
  result.reserve(counters_.size());
  for (const Counter& counter : counters_) result.push_back(difference(counter));
  return result;
}

}  // namespace sluice::platform
