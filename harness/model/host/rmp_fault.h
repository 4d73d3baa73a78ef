// What KVM does about a nested page fault with the RMP bit, once the MMU has nothing more to do for
// it (snp_host.md 4; Linux sev_handle_rmp_fault()).
#pragma once
#include "model/host/invalidation.h"
#include "model/host/kernel.h"

namespace sluice::model {

/// Rows 1 to 6: splits a 2 MiB RMP entry that does not fit the access.  True if the caller must zap
/// `range_of_rmp_fault()` under mmu_lock, so that the refault maps 4 KiB.  Anything else it leaves
/// alone: the guest tries again and may fault for ever.  Cost: a page look-up, 512 writes if it
/// splits.
bool handle_rmp_fault(Kernel& k, Vm& vm, Gfn gfn);
/// Row 7: from the faulting GFN, not from the start of its block.
constexpr GfnRange range_of_rmp_fault(Gfn gfn) {
  return {.first = gfn, .last = gfn + PageCount{kFramesPer2M}};
}

}  // namespace sluice::model
