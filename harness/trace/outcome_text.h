// Outcomes as people read them, and names of errnos. The words are those of expectations
// (run/expectation.h), so that what a report says can be pasted behind `=>`.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "trace/outcome.h"

namespace sluice {

/// "EAGAIN"; "errno 4711" where the C library knows no name.
std::string errno_name(int number);
/// The number of "EAGAIN"; nothing if there is no such errno.
std::optional<int> find_errno(std::string_view name);

/// What the caller sees, as a sentence has it: "errno 22", "EAX = 0, CF = 1", "success".
std::string describe_answer(StatusKind kind, unsigned number);

/// "ok", "ok(gpa=0x1000, left=0x1000)", "EEXIST", "memory_fault(private, gpa=0x1000)", "parked",
/// "blocked(srcu)", "skip.no_vm", ...; with the check's name in brackets where the backend knows it
/// and it says more: "EEXIST [set_memory_region.overlap]".
std::string describe(const Outcome& outcome);

/// The same without the values that differ from one sequence to the next: no address, no progress.
/// "ok", "memory_fault(private)", "EEXIST [set_memory_region.overlap]".
std::string describe_status(const Outcome& outcome);

}  // namespace sluice
