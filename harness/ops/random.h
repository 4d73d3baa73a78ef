// Sequences from a seed, for `run --random`, tests and the first steps of a fuzzer: plausible ones
// (a VM with slots, guest_memfd and vCPUs is set up, later operations name what exists) and
// implausible ones (any values).
#pragma once
#include "base/rng.h"
#include "ops/context.h"
#include "ops/sequence.h"

namespace sluice {

struct RandomShape {
  std::size_t min_ops = 4;
  std::size_t max_ops = 24;  // at most kMaxOps
  bool implausible = false;  // no set-up, values from all over their domains
};

/// Replaces `out` by the next sequence of `rng`: same state, same sequence. Keeps out's memory.
void random_sequence(Rng& rng, const RandomShape& shape, Sequence& out);

/// Appends a VM with one slot (backed by a guest_memfd where its type has private memory) and one
/// or two vCPUs; launched, where it is an SNP guest.
void append_setup(Rng& rng, Sequence& out);

/// One step of operation `index` with picked values and a fitting actor.
void random_step(Rng& rng, std::size_t index, Step& out);

/// Sometimes moves a step to what its VM has besides the usual: the slots of SMM, the page of its
/// vCPUs' APIC.
void fit_to_vm(Rng& rng, const Context& context, Step& step);

/// Another value on an axis around KVM, which itself stays as it is: some of its alternatives are
/// unsound by design.
void draw_policy_around(Rng& rng, PolicySet& policy);

/// The index of an operation that `scope` allows, by weight.
std::size_t random_op_index(Rng& rng, Scope scope);

}  // namespace sluice
