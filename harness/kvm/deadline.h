// A limit on how long one operation may take. An ioctl that does not return in time is interrupted
// by a signal and becomes a finding; the harness itself never hangs.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

namespace sluice::kvm {

/// One watchdog for one operating thread at a time. Armed around each operation; while one is
/// overdue the watchdog sends its thread a real-time signal again and again (the handler does
/// nothing, but without SA_RESTART a sleeping system call returns EINTR; repeated, since the first
/// may arrive just before the call is entered). If even that does not end it, the task sleeps
/// uninterruptibly: `on_stuck` is called, once, from the watchdog, and may end the process.
///
/// Cost of arm + disarm: two clock readings and two atomic stores, no system call.
/// Thread: arm and disarm from the operating thread only.
class Deadline {
 public:
  using Milliseconds = std::chrono::milliseconds;
  struct Limits {
    Milliseconds interrupt_after{5000};  // from here on, signals
    Milliseconds stuck_after{30000};     // from here on, on_stuck
    Milliseconds poll{100};
  };
  /// The default on_stuck prints a finding to stderr and ends the process with status 1.
  explicit Deadline(Limits limits, std::function<void()> on_stuck = {});
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  void arm();
  /// True if the operation was overdue and has been interrupted. No signal of this Deadline is
  /// pending afterwards.
  bool disarm();

 private:
  void watch(const std::stop_token& stop);
  void check();

  // started_: 0 nothing runs; kFiring the watchdog is sending; else when the operation began, in
  // ns. acquire/release: pairs arm()/disarm() with check(). The signal is sent only between the
  // exchange to kFiring and back, so disarm() can never miss one.
  static constexpr std::int64_t kFiring = -1;
  Limits limits_;
  std::function<void()> on_stuck_;
  std::atomic<std::int64_t> started_{0};
  std::atomic<int> thread_id_{0};       // relaxed: written before started_ is released
  std::atomic<std::uint32_t> sent_{0};  // relaxed: read only after started_ was taken back
  bool stuck_reported_ = false;         // watchdog only
  std::mutex mutex_;                    // guards nothing but the wait
  std::condition_variable_any wake_;
  std::jthread watchdog_;  // last: starts when all else is there
};

/// Arms for a scope.
class DeadlineScope {
 public:
  explicit DeadlineScope(Deadline& deadline) : deadline_(deadline) { deadline_.arm(); }
  ~DeadlineScope() { static_cast<void>(finish()); }
  DeadlineScope(const DeadlineScope&) = delete;
  DeadlineScope& operator=(const DeadlineScope&) = delete;
  /// Disarms now; true if the operation was interrupted.
  bool finish() {
    if (!armed_) return fired_;
    armed_ = false;
    fired_ = deadline_.disarm();
    return fired_;
  }

 private:
  Deadline& deadline_;
  bool armed_ = true;
  bool fired_ = false;
};

}  // namespace sluice::kvm
