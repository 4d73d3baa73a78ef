// A sequence as a stand-alone C program that makes the same system calls on /dev/kvm, for a kernel
// developer who has nothing of this suite: it prints what the kernel answers beside what the model
// does, and ends with 0 if all is equal, 1 if not, 3 where there is no /dev/kvm.
#pragma once
#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "ops/sequence.h"
#include "trace/outcome.h"

namespace sluice::kvm {

/// What the model answers to one step.
struct ExportedStep {
  Outcome modeled{};
  std::string left_out{};  // why the harness would not do it on a kernel; empty: it does
};

/// "FILE:LINE: what no system call stands for, and why"; empty if every step has one.
std::string why_not_exportable(const Sequence& sequence, std::string_view file);

/// The program. It compiles with `cc -Wall -Wextra -Werror` against the headers of Debian 12 and
/// newer. Pre: why_not_exportable() says nothing; one entry of `steps` per step, answered by a
/// KvmBackend. `host` says in words whose model answered.
std::string export_c(const Sequence& sequence, std::span<const ExportedStep> steps,
                     std::string_view file, std::string_view host);

}  // namespace sluice::kvm
