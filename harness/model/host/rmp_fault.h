// What KVM does about a nested page fault with the RMP bit, once the MMU has nothing more to do for
// it (snp_host.md 4; Linux sev_handle_rmp_fault()). In two pieces: others may split the same entry
// between the look and PSMASH (bugs.md 91).
#pragma once
#include "model/host/invalidation.h"
#include "model/host/kernel.h"

namespace sluice::model {

/// A page with a 2 MiB entry that does not fit the access, held for the fix-up.
struct RmpFix {
  bool needed = false;
  std::uint8_t gmem = GmemRef::kNone;
  std::uint64_t index = 0;
  Pfn pfn{};
};

/// Rows 1 to 5.  If `needed`, split_for_rmp_fault() follows. Anything else it leaves alone: the
/// guest tries again and may fault for ever.  Cost: a page look-up.
/// Row 2 is for whoever calls it outside of SRCU: a slot that the fault has met stays until then.
RmpFix look_at_rmp_fault(Kernel& k, Vm& vm, Gfn gfn);
/// Row 6: splits the entry and gives the page back.  True if the caller must zap
/// `range_of_rmp_fault()` under mmu_lock, so that the refault maps 4 KiB.  Cost: 512 writes.
bool split_for_rmp_fault(Kernel& k, const RmpFix& fix);
/// Row 7: from the faulting GFN, not from the start of its block.
constexpr GfnRange range_of_rmp_fault(Gfn gfn) {
  return {.first = gfn, .last = gfn + PageCount{kFramesPer2M}};
}

}  // namespace sluice::model
