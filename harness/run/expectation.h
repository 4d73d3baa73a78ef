// What the author of a sequence expects of a step: the text behind `=>`, resolved.
//
//   ok    ok(gpa=0x1000, left=0x1ff000)    ok(value=0x5)      success, and what it hands back
//   ok(exit=memory_fault)                                     success beside an exit left behind
//   EAGAIN                                                    an errno, whatever the reason
//   set_memory_region.overlap                                 a reason (docs/checks.md)
//   memory_fault(private)   memory_fault(shared, gpa=0x1000)   mmio   hypercall   exits
//   parked    blocked(srcu)    blocked                         still in flight
//   skipped   skip.no_vm                                       did not act
//
// A value in brackets is compared only if it is written. A reason is compared by name where the
// backend knows reasons, else by what the caller sees of it.
#pragma once
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "trace/outcome.h"

namespace sluice::run {

struct Expectation {
  enum class Kind : std::uint8_t { kNone, kOk, kErrno, kCheck, kExit, kParked, kBlocked, kSkipped };
  Kind kind = Kind::kNone;
  std::uint16_t number = 0;  // kErrno: errno; kExit: reason
  Check check = Check::kOk;  // kCheck
  std::optional<WaitFor> wait{};
  std::optional<bool> is_private{};          // memory_fault
  std::optional<std::uint16_t> left_exit{};  // beside the answer of a pre-fault: reason
  std::optional<std::uint64_t> gpa{};
  std::optional<std::uint64_t> left{};
  std::optional<std::uint64_t> value{};
};

/// Error: what is wrong, and what would be right. Pre: none; "" gives kNone.
std::expected<Expectation, std::string> parse_expectation(std::string_view text);

/// True if `outcome` is what was expected.
bool meets(const Expectation& expected, const Outcome& outcome);

}  // namespace sluice::run
