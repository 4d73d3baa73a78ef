#include "platform/clock.h"

#include <fmt/format.h>
#include <unistd.h>

#include <ctime>

namespace sluice::platform {
namespace {

timespec read_clock(clockid_t id) {
  timespec at{};
  ::clock_gettime(id, &at);
  return at;
}

std::uint64_t nanoseconds(const timespec& at) {
  return static_cast<std::uint64_t>(at.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(at.tv_nsec);
}

}  // namespace

std::string utc_now() {
  const timespec now = read_clock(CLOCK_REALTIME);
  tm parts{};
  ::gmtime_r(&now.tv_sec, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string new_run_id() {
  // Not random: the process id and the sub-second part differ between runs that could start in one
  // second on one host.
  const auto mixed = static_cast<std::uint64_t>(::getpid()) * 40503U ^
                     nanoseconds(read_clock(CLOCK_REALTIME)) / 1000U;
  return fmt::format("{}-{:04x}", utc_now(), mixed & 0xffff);
}

std::uint64_t steady_ns() { return nanoseconds(read_clock(CLOCK_MONOTONIC)); }
std::uint64_t ticked_ns() { return nanoseconds(read_clock(CLOCK_MONOTONIC_COARSE)); }
std::uint64_t thread_cpu_ns() { return nanoseconds(read_clock(CLOCK_THREAD_CPUTIME_ID)); }
std::uint64_t process_cpu_ns() { return nanoseconds(read_clock(CLOCK_PROCESS_CPUTIME_ID)); }

}  // namespace sluice::platform
