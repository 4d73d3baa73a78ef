#include "tool/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "platform/clock.h"

namespace sluice::tool {
namespace {

constexpr std::uint64_t kBetweenChangesNs = 250'000'000;
constexpr double kNs = 1e-9;

std::string duration(double seconds) {
  const auto whole = static_cast<std::uint64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

}  // namespace

Progress::Progress(std::uint64_t total, std::string what)
    : total_(total),
      what_(std::move(what)),
      begin_ns_(platform::steady_ns()),
      shown_ns_(begin_ns_),
      next_line_(std::max<std::uint64_t>(total / 10, 1)),
      // A guest's serial line calls itself a terminal, too, but nobody types there.
      terminal_(::isatty(STDERR_FILENO) != 0 && ::isatty(STDIN_FILENO) != 0) {}

double Progress::seconds() const {
  return static_cast<double>(platform::steady_ns() - begin_ns_) * kNs;
}

void Progress::step(std::uint64_t done) {
  if (!terminal_) {
    if (done < next_line_ || total_ < 10) return;
    next_line_ = done + std::max<std::uint64_t>(total_ / 10, 1);
    fmt::print(stderr, "{}\n", progress_line(done, total_, what_, seconds()));
    return;
  }
  const std::uint64_t now = platform::steady_ns();
  if (now - shown_ns_ < kBetweenChangesNs) return;
  shown_ns_ = now;
  dirty_ = true;
  fmt::print(stderr, "\r{:<78}", progress_line(done, total_, what_, seconds()));
}

void Progress::clear() {
  if (dirty_) fmt::print(stderr, "\r{:78}\r", "");
  dirty_ = false;
}

std::string progress_line(std::uint64_t done, std::uint64_t total, const std::string& what,
                          double seconds) {
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string line = fmt::format("{} of {} {}, {:.0f} a second", done, total, what, rate);
  if (rate > 0 && done < total) {
    line += fmt::format(", {} left", duration(static_cast<double>(total - done) / rate));
  }
  return line;
}

}  // namespace sluice::tool
