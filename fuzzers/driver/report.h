// How a fuzz target says that something is wrong: on stderr, with the input as text, then abort, so
// that every engine keeps the input.
#pragma once
#include <string_view>

#include "ops/sequence.h"

namespace sluice::fuzz {

/// The subject is wrong: prints `description`, which starts with `FINDING <invariant>`, and the
/// sequence as text.
[[noreturn]] void report_finding(std::string_view description, const Sequence& sequence);

/// We are wrong: prints `HARNESS-BUG <what>` and the sequence as text.
[[noreturn]] void report_harness_bug(std::string_view what, const Sequence& sequence);

}  // namespace sluice::fuzz
