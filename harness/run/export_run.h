// A sequence as a C program: the kernel's backend runs it over the model, and kvm/export_c.h writes
// down what came.
#pragma once
#include <string>

#include "base/system_error.h"
#include "ops/sequence.h"
#include "trace/host_profile.h"

namespace sluice::run {

/// The host that an exported program expects if none is named: the sequence's kernel with nested
/// paging and without SEV-SNP, less what the sequence wants absent.
HostProfile export_profile(const Sequence& sequence);

/// The program. Errors: a step that no system call stands for (with FILE:LINE), no memory for the
/// model.
Expected<std::string> export_program(const Sequence& sequence, const HostProfile& profile,
                                     const std::string& file);

}  // namespace sluice::run
