#include "model/host/rmp_fault.h"

#include "model/host/attributes.h"
#include "model/host/guest_memfd.h"
#include "model/host/memslots.h"
#include "model/host/snp_rmp.h"

namespace sluice::model {
namespace {

bool is_small(const RmpLookup& entry) { return entry.level == PageSize::k4K; }
bool is_assigned(const RmpLookup& entry) {
  return entry.error == HostError::kNone && entry.assigned;
}

/// Rows 4 to 6, for the frame behind the GFN.
bool fix_up(Kernel& k, Pfn pfn) {
  const RmpLookup entry = snp_lookup_rmpentry(k, pfn);
  if (!is_assigned(entry)) return false;
  if (is_small(entry)) return false;  // spurious, or somebody else has split it
  if (snp_rmptable_psmash(k, pfn) == Check::kOk) return true;
  const RmpLookup again = snp_lookup_rmpentry(k, pfn);
  const bool raced = is_assigned(again) && is_small(again);  // row 6a: done by another, no zap
  return !raced;
}

}  // namespace

bool handle_rmp_fault(Kernel& k, Vm& vm, Gfn gfn) {
  if (!is_private(k, vm, gfn)) return false;
  const SlotIndex slot = find_slot(vm, 0, gfn);
  if (slot == kNoSlot || !vm.slots[slot].has_gmem()) return false;
  const Memslot& memslot = vm.slots[slot];
  GmemHold hold{};
  if (get_pfn(k, vm, memslot, gfn, hold) != Check::kOk) return false;
  const bool zap = fix_up(k, hold.pfn);
  release_page(k, memslot.gmem, hold.index, hold.pfn);
  return zap;
}

}  // namespace sluice::model
