#include "kvm/guarded_access.h"

#include <csetjmp>
#include <csignal>
#include <cstring>
#include <mutex>

#include "base/check.h"

namespace sluice::kvm {
namespace {

thread_local sigjmp_buf* landing = nullptr;  // where this thread's touch in progress returns to
struct sigaction previous_segv {};
struct sigaction previous_bus {};

void on_fault(int signal, siginfo_t* info, void* context) {
  if (landing != nullptr) siglongjmp(*landing, signal);
  // Not ours: hand the fault to whoever was there before (a sanitizer's report, or the default).
  const struct sigaction& previous = signal == SIGBUS ? previous_bus : previous_segv;
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
    return;
  }
  ::sigaction(signal, &previous, nullptr);  // the instruction faults again, under the old handler
}

// Installed once and kept: two system calls a touch would cost more than the touch.
void install() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    SLUICE_CHECK(::sigaction(SIGSEGV, &action, &previous_segv) == 0);
    SLUICE_CHECK(::sigaction(SIGBUS, &action, &previous_bus) == 0);
  });
}

#if defined(__clang__) || defined(__GNUC__)
#define SLUICE_RAW_ACCESS __attribute__((noinline, no_sanitize("address", "undefined")))
#endif

SLUICE_RAW_ACCESS std::uint64_t raw_load(std::uintptr_t address) {
  std::uint64_t value = 0;
  asm volatile("movq (%1), %0" : "=r"(value) : "r"(address) : "memory");
  return value;
}
SLUICE_RAW_ACCESS void raw_store(std::uintptr_t address, std::uint64_t value) {
  asm volatile("movq %1, (%0)" : : "r"(address), "r"(value) : "memory");
}

}  // namespace

int guarded_load(std::uintptr_t address, std::uint64_t& value) {
  install();
  sigjmp_buf here;
  const int signal = sigsetjmp(here, 0);
  if (signal == 0) {
    landing = &here;
    value = raw_load(address);
  }
  landing = nullptr;
  return signal;
}

int guarded_store(std::uintptr_t address, std::uint64_t value) {
  install();
  sigjmp_buf here;
  const int signal = sigsetjmp(here, 0);
  if (signal == 0) {
    landing = &here;
    raw_store(address, value);
  }
  landing = nullptr;
  return signal;
}

}  // namespace sluice::kvm
