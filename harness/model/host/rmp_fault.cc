#include "model/host/rmp_fault.h"

#include "model/host/attributes.h"
#include "model/host/guest_memfd.h"
#include "model/host/memslots.h"
#include "model/host/pinned.h"
#include "model/host/snp_rmp.h"

namespace sluice::model {
namespace {

bool is_small(const RmpLookup& entry) { return entry.level == PageSize::k4K; }
bool is_assigned(const RmpLookup& entry) {
  return entry.error == HostError::kNone && entry.assigned;
}

}  // namespace

RmpFix look_at_rmp_fault(Kernel& k, Vm& vm, Gfn gfn) {
  if (planted(Planted::kRmpFaultNotSmashed)) return {};
  if (!is_private(k, vm, gfn)) return {};
  if (is_pinned_backing(k)) return {};  // entries of 4 KiB alone
  const SlotIndex slot = find_slot(vm, 0, gfn);
  if (slot == kNoSlot || !vm.slots[slot].has_gmem()) return {};
  const Memslot& memslot = vm.slots[slot];
  GmemHold hold{};
  if (get_pfn(k, vm, memslot, gfn, hold) != Check::kOk) return {};
  const RmpLookup entry = snp_lookup_rmpentry(k, hold.pfn);
  // Row 5: spurious, or somebody else has split it.
  const bool needed = is_assigned(entry) && !is_small(entry);
  if (!needed) release_page(k, memslot.gmem, hold.index, hold.pfn);
  return {.needed = needed, .gmem = memslot.gmem, .index = hold.index, .pfn = hold.pfn};
}

bool split_for_rmp_fault(Kernel& k, const RmpFix& fix) {
  bool zap = true;
  if (snp_rmptable_psmash(k, fix.pfn) != Check::kOk) {
    const RmpLookup again = snp_lookup_rmpentry(k, fix.pfn);
    const bool raced = is_assigned(again) && is_small(again);  // row 6a: done by another, no zap
    zap = !raced;
  }
  release_page(k, fix.gmem, fix.index, fix.pfn);
  return zap;
}

}  // namespace sluice::model
