// The text form of sequences: what git, bug reports and people see. One operation a line,
//     @vcpu0 pre_fault_memory gpa=0x0 size=2M park=1 => EAGAIN   # a comment
// fields at their default left out, header lines (`# key: value`: title, source, requires, finds,
// kernel, scope, policy) before the first operation. Any other `#` line is a comment and is not
// kept. format_text() is canonical: parse_text() of it gives the same sequence, formatting that the
// same text. Expectations stay strings: `run` resolves them. Grammar: docs/architecture.md.
#pragma once
#include <string>
#include <string_view>

#include "base/system_error.h"
#include "ops/sequence.h"

namespace sluice {

inline constexpr std::size_t kMaxTextBytes = std::size_t{256} << 10;
inline constexpr std::size_t kMaxLineBytes = 1000;

/// The sequence that `text` spells, with `lines` filled and `expectations` one per step if there
/// are any. Error: "FILE:LINE:COLUMN: what is wrong; what would be right", number 0. `file_name` is
/// only quoted. Total: any bytes give a sequence or an error.  Cost: some microseconds a line.
Expected<Sequence> parse_text(std::string_view text, std::string_view file_name);

/// Canonical text: headers that differ from their defaults, then one line per step.
std::string format_text(const Sequence& sequence);

/// One step as its line, without expectation and newline.
std::string format_step(const Step& step);

/// The operation alone: `pvalidate gfn=0x200`.
std::string format_op(const Op& op);

/// Without the spaces, tabs and carriage returns at its ends.
std::string_view trimmed(std::string_view text);

/// "6.12", and back; nothing if `text` is not MAJOR.MINOR.
std::string format_kernel(KernelVersion version);
std::expected<KernelVersion, std::string> parse_kernel(std::string_view text);

/// "axis=value,..." of the axes that differ from the default, and back (or what is wrong).
std::string format_policy(const PolicySet& policy);
std::expected<PolicySet, std::string> parse_policy(std::string_view text);

}  // namespace sluice
