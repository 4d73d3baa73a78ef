// Ends a program whose benchmark does not come back: a stuck system call is a finding, not a hang.
#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace sluice::bench {

/// One thread that waits. Thread: watch() and its result on one thread at a time.
class Watchdog {
 public:
  /// After `patience` in one watched stretch, calls `overdue` with its name on the watchdog's
  /// thread, then ends the process with status 1 at once: the stuck thread cannot be asked to stop.
  Watchdog(std::chrono::milliseconds patience, std::function<void(const std::string&)> overdue);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog();

  void begin(const std::string& name);
  void end();

 private:
  void wait(const std::stop_token& stop);

  const std::chrono::milliseconds patience_;
  const std::function<void(const std::string&)> overdue_;
  std::mutex mutex_;  // guards the three below
  std::condition_variable_any changed_;
  std::string name_;         // empty: nothing is watched
  unsigned long begun_ = 0;  // which stretch
  std::jthread thread_;      // last: it uses the others
};

}  // namespace sluice::bench
