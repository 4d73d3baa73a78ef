// kvm_gmem_populate(): pages of a file filled by a launch.  Source: kvm.md 1.6.
#include "model/host/adversity.h"
#include "model/host/attributes.h"
#include "model/host/guest_memfd.h"
#include "model/host/in_place.h"
#include "model/host/memslots.h"
#include "model/host/pinned.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

Check populate_page(Kernel& k, Vm& vm, const Memslot& slot, Gfn gfn, const PopulateCall& call) {
  GmemHold hold{};
  const Check found = hold_page(k, slot, gfn, hold, call.checks.no_folio);  // row 5
  if (found == Check::kFaultPoisoned) return call.checks.poisoned;
  if (found != Check::kOk) return found;
  Gmem& gmem = k.gmems[slot.gmem];
  Check check = Check::kOk;
  const bool ready = find_page(k, gmem, hold.index).uptodate();
  if (ready && !behavior::gmem_always_prepares(k.version()) && !planted(Planted::kLaunchTwice)) {
    check = call.checks.prepared;  // row 6
  } else if (!is_private(k, vm, gfn)) {
    check = call.checks.not_private;  // row 7
  } else if (is_in_place(k) && !take_from_others(k, gmem, hold)) {
    check = call.checks.kept_shared;
  }
  if (check == Check::kOk) {
    // Assumption: with larger folios, ahead of mainline, a launch splits the one that it fills page
    // by page: "uptodate" is the folio's and would vouch for pages that nobody has prepared.
    split_large_folio(k, gmem, hold.index);
    check = call.hook(k, vm, gfn, hold, call.argument);  // row 8
    if (check == Check::kOk) mark_uptodate(k, gmem, hold.index);
  }
  release_page(k, slot.gmem, hold.index, hold.pfn);
  return check;
}

}  // namespace

PopulateResult gmem_populate(Kernel& k, Vm& vm, const GfnRange& range, const PopulateCall& call) {
  const SlotIndex index = find_slot(vm, 0, range.first);
  const bool has_file = index != kNoSlot && vm.slots[index].has_gmem() && !is_pinned_backing(k);
  if (!has_file) return {.check = call.checks.slot};
  const Memslot& slot = vm.slots[index];
  if (!has_live_file(k, slot)) return {.check = call.checks.file_gone};
  const GfnRange part = range.clip(range_of(slot));  // row 3
  PopulateResult result{};
  for (Gfn gfn = part.first; gfn < part.last; gfn = gfn + PageCount{1}) {
    result.check = check_signal(k, call.checks.signal);  // row 4
    if (result.check != Check::kOk) {
      if (planted(Planted::kSignalCountsPage)) ++result.done.value;
      return result;
    }
    if (behavior::populate_pins_source_first(k.version())) {
      result.check = call.pin(k, gfn, call.argument);
      if (result.check != Check::kOk) return result;
    }
    result.check = populate_page(k, vm, slot, gfn, call);
    if (result.check != Check::kOk) return result;
    ++result.done.value;
  }
  return result;
}

}  // namespace sluice::model
