#include "model/host/dirty_logging.h"

#include "model/host/memslots.h"
#include "model/host/tdp_mmu.h"

namespace sluice::model {
namespace {

/// kvm_mmu_zap_collapsible_sptes(): the leaves of a block go where the next fault could map it as
/// one.
// Assumption: kernels from 6.13, which put the huge leaf in place of the small ones at once, differ
// only in that no fault is needed.
bool zap_collapsible(Kernel& k, Vm& vm, const Memslot& slot) {
  bool flush = false;
  for (std::uint64_t page = 0; page < kHostRegionPages; page += kFramesPer2M) {
    const std::uint64_t hva = kHostRegionAddress + (page << kPageShift);
    const bool in_slot = hva >= slot.hva && (hva - slot.hva) >> kPageShift < slot.page_count.value;
    if (!in_slot || !k.host_pages[page].large()) continue;
    const Gfn gfn = slot.base + PageCount{(hva - slot.hva) >> kPageShift};
    if (is_lpage_disallowed(k, vm, slot, gfn, MapLevel::k2M)) continue;
    const GfnRange block{.first = gfn, .last = gfn + PageCount{kFramesPer2M}};
    flush |= zap_small_leaves(k, vm, slot.address_space, block);
  }
  return flush;
}

}  // namespace

bool apply_logging(Kernel& k, Vm& vm, SlotIndex index) {
  const Memslot& slot = vm.slots[index];
  if ((slot.flags & kMemReadonly) != 0) return false;
  if (!slot.logs()) return zap_collapsible(k, vm, slot);
  if (!planted(Planted::kLoggingKeepsHugeLeaves)) {
    split_huge_leaves(k, vm, slot.address_space, range_of(slot));
  }
  write_protect(k, vm, slot.address_space, range_of(slot));
  k.event(EventKind::kWriteProtect, vm);
  return true;
}
void flush_logging(Kernel& k, const Vm& vm, bool owed) {
  if (owed && !planted(Planted::kLoggingSkipsFlush)) flush_remote_tlbs(k, vm);
}

}  // namespace sluice::model
