#include "benchmarks/scenario/watchdog.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

namespace sluice::bench {

Watchdog::Watchdog(std::chrono::milliseconds patience,
                   std::function<void(const std::string&)> overdue)
    : patience_(patience),
      overdue_(std::move(overdue)),
      thread_([this](const std::stop_token& stop) { wait(stop); }) {}

Watchdog::~Watchdog() {
  thread_.request_stop();
  thread_.join();
}

void Watchdog::begin(const std::string& name) {
  const std::lock_guard lock(mutex_);
  name_ = name;
  ++begun_;
  changed_.notify_all();
}

void Watchdog::end() {
  const std::lock_guard lock(mutex_);
  name_.clear();
  ++begun_;
  changed_.notify_all();
}

void Watchdog::wait(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const unsigned long stretch = begun_;
    const auto other_stretch = [&] { return begun_ != stretch; };
    if (name_.empty()) {
      changed_.wait(lock, stop, other_stretch);
    } else if (!changed_.wait_for(lock, stop, patience_, other_stretch) && !stop.stop_requested()) {
      overdue_(name_);
      std::fflush(nullptr);
      ::_exit(1);
    }
  }
}

}  // namespace sluice::bench
