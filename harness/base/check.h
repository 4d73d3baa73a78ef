// Assertions about ourselves. A failed one is a bug of the harness, never of the subject: it prints
// HARNESS-BUG and aborts. SLUICE_CHECK   always on. SLUICE_DCHECK  on hot paths: off where NDEBUG
// is defined. SLUICE_AUDIT   a walk over whole state: on only where the caller's build defines
// SLUICE_AUDITS (tests, fuzzers).
#pragma once

namespace sluice {
/// Prints "HARNESS-BUG file:line: expression" to stderr and aborts. Thread: safe.
[[noreturn]] void harness_bug(const char* expression, const char* file, int line) noexcept;
}  // namespace sluice

#define SLUICE_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::sluice::harness_bug(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define SLUICE_DCHECK(condition) static_cast<void>(sizeof(!(condition)))
#else
#define SLUICE_DCHECK(condition) SLUICE_CHECK(condition)
#endif

#ifdef SLUICE_AUDITS
#define SLUICE_AUDIT(condition) SLUICE_CHECK(condition)
#else
#define SLUICE_AUDIT(condition) static_cast<void>(sizeof(!(condition)))
#endif
