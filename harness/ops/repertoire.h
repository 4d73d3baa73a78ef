// What whoever runs a sequence can do of it. Random sequences are cut to it, so that they act
// instead of being skipped.
#pragma once
#include <cstdint>
#include <optional>

#include "base/rng.h"
#include "ops/sequence.h"

namespace sluice {

/// The default can do everything: the model.
struct Repertoire {
  std::optional<KernelVersion> kernel{};  // none: any that is modeled
  std::uint32_t vm_types = ~0u;           // bit t: a VM of type t can be made
  bool snp = true;                        // launches, and the RMP instructions of a guest
  bool stops = true;         // inside an operation; else each runs to its end, and nobody resumes
  bool only_kernel = false;  // a running kernel: no raw host instruction, no stop inside an
                             // operation, and of the policies those that user space decides
};

/// Only a processor with SNP, or with TDX, has what the operation does: launches, what such a guest
/// asks for, who else is in the way of it.
bool needs_snp(const Op& op);
bool needs_tdx(const Op& op);

/// Drops the steps that `able` cannot do and moves the header and the types of VMs into it; one VM
/// in 16 keeps a type that is refused, since that answer counts, too. On a kernel, of the ranges
/// that take long one in 32 keeps its size. Deterministic.
void fit(Sequence& sequence, const Repertoire& able, Rng& rng);

}  // namespace sluice
