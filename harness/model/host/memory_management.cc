#include "model/host/memory_management.h"

#include "model/host/guest_memfd.h"
#include "model/host/tdp_mmu.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {

/// kvm_gmem_error_folio(): bound slots lose the page, which stays in the file.
Outcome apply(Kernel& k, ActorId, const GmemMemoryFailure& op) {
  Gmem& gmem = k.gmem(op.gmem);
  if (!gmem.has_descriptor()) return skip(Check::kSkipNoGmem);
  const std::uint64_t index = op.offset.value >> kPageShift;
  const GmemPage page = find_page(k, gmem, index);
  if (!page.present() || page.poisoned()) return skip(Check::kSkipNoPage);
  poison_page(k, gmem, index);
  if (planted(Planted::kMemoryFailureSkipsZap)) return {};
  const Begun begun = gmem_invalidate_begin(k, gmem, {.first = index, .last = index + 1});
  gmem_flush(k, gmem, begun);
  if (begun.slots != 0) gmem_invalidate_end(k, gmem);
  return {};
}

// Deviation: Linux takes invalidate_lock shared, and mmu_lock twice: for the begin and for the end.
LockPlan locks_of(const Kernel& k, ActorId, const GmemMemoryFailure& op) {
  const Gmem& gmem = k.gmem(op.gmem);
  if (!gmem.has_descriptor()) return {};
  return LockPlan{}.then(invalidate_lock(op.gmem)).then(mmu_lock(gmem.vm));
}

/// mmu_shrink_scan(): the pages that it counts (n_used_mmu_pages) are the shadow MMU's alone, so
/// that it passes by a VM that has only the TDP MMU's. What it takes needs no invalidation: the
/// pages of memory stay where they are.
// Assumption: an L2 under nested paging, whose pages are the shadow MMU's, too, has lost none.
Outcome apply(Kernel& k, ActorId, const DropCaches&) {
  if (!behavior::mmu_shrinker(k.version())) return {};
  const bool takes_tdp = planted(Planted::kShrinkerZapsTdpPages);
  if (k.machine.profile.tdp && !takes_tdp) return {};
  for (Vm& vm : k.vms) {
    if (!vm.exists) continue;
    bool flush = false;
    for (std::uint8_t space = 0; space < kAddressSpaces; ++space) {
      flush |=
          zap_leaves(k, vm, space, {.first = {0}, .last = {~std::uint64_t{0}}}, ZapFilter::kShared);
    }
    if (flush && !takes_tdp) flush_remote_tlbs(k, vm);
  }
  return {};
}

LockPlan locks_of(const Kernel& k, ActorId, const DropCaches&) {
  LockPlan plan{};
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    if (k.vms[i].exists) plan.then(mmu_lock(VmIndex{i}));
  }
  return plan;
}

}  // namespace sluice::model
