#include "kvm/deadline.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/check.h"

namespace sluice::kvm {
namespace {

// Real-time, since those are queued: as many arrive as were sent.
int interrupt_signal() { return SIGRTMIN + 4; }

thread_local std::atomic<std::uint32_t> delivered{0};  // signals this thread has taken
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

void on_interrupt(int) { delivered.fetch_add(1, std::memory_order_relaxed); }

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_handler = on_interrupt;  // no SA_RESTART: the call must return
    sigemptyset(&action.sa_mask);
    SLUICE_CHECK(::sigaction(interrupt_signal(), &action, nullptr) == 0);
  });
}

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void end_process() {
  std::fputs(
      "FINDING kvm.hang: an ioctl sleeps uninterruptibly; the process ends, see the last line of "
      "the log for the operation\n",
      stderr);
  std::_Exit(1);
}

}  // namespace

Deadline::Deadline(Limits limits, std::function<void()> on_stuck)
    : limits_(limits), on_stuck_(on_stuck ? std::move(on_stuck) : end_process) {
  install_handler();
  watchdog_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

Deadline::~Deadline() {
  SLUICE_CHECK(started_.load(std::memory_order_acquire) == 0);
  watchdog_.request_stop();
  watchdog_.join();
}

void Deadline::arm() {
  static thread_local const int own_id = static_cast<int>(::syscall(SYS_gettid));
  thread_id_.store(own_id, std::memory_order_relaxed);
  delivered.store(0, std::memory_order_relaxed);
  sent_.store(0, std::memory_order_relaxed);
  started_.store(now_ns(), std::memory_order_release);
}

bool Deadline::disarm() {
  std::int64_t started = started_.load(std::memory_order_acquire);
  while (started == kFiring ||
         !started_.compare_exchange_weak(started, 0, std::memory_order_acq_rel)) {
    std::this_thread::yield();
    started = started_.load(std::memory_order_acquire);
  }
  const std::uint32_t sent = sent_.load(std::memory_order_relaxed);
  // A signal still on its way would interrupt the next operation.
  while (delivered.load(std::memory_order_relaxed) != sent) std::this_thread::yield();
  return sent != 0;
}

void Deadline::watch(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    wake_.wait_for(lock, stop, limits_.poll, [] { return false; });
    check();
  }
}

void Deadline::check() {
  std::int64_t started = started_.load(std::memory_order_acquire);
  if (started == 0) {
    stuck_reported_ = false;
    return;
  }
  const std::chrono::nanoseconds running(now_ns() - started);
  if (running < limits_.interrupt_after) return;
  if (!started_.compare_exchange_strong(started, kFiring, std::memory_order_acq_rel)) return;
  sent_.fetch_add(1, std::memory_order_relaxed);
  ::syscall(SYS_tgkill, ::getpid(), thread_id_.load(std::memory_order_relaxed), interrupt_signal());
  started_.store(started, std::memory_order_release);
  if (running >= limits_.stuck_after && !stuck_reported_) {
    stuck_reported_ = true;
    on_stuck_();
  }
}

}  // namespace sluice::kvm
