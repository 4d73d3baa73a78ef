#include "model/host/planted_effects.h"

#ifdef SLUICE_PLANTED

#include "model/host/arch_hooks.h"
#include "model/host/attributes.h"
#include "model/host/guest_memfd.h"
#include "model/host/memslots.h"
#include "model/host/tdp_mmu.h"

namespace sluice::model {

void plant_in_conversion(Kernel& k, Vm& vm, const Memslot& slot, Gfn gfn) {
  const bool wipes = planted(Planted::kConversionWipesPages);
  const bool takes_back = planted(Planted::kConversionTouchesRmp);
  if ((!wipes && !takes_back) || slot.gmem == GmemRef::kNone) return;
  const std::uint64_t index = (gfn - slot.base).value + slot.gmem_page_offset;
  const GmemPage page = find_page(k, k.gmems[slot.gmem], index);
  if (!page.present()) return;
  if (wipes) k.machine.frames.set_content(k.machine.journal, page.pfn(), 0);
  if (takes_back && vm.sev.active) gmem_invalidate(k, page.pfn(), {1});
}

Check plant_in_refusal(Kernel& k, Vm& vm, const GfnRange& range, bool to_private, Check check) {
  if (check == Check::kAttributesFlags && planted(Planted::kAttributesFailLate))
    store_attributes(k, vm, range, to_private);
  if (check != Check::kOk || !planted(Planted::kAttributesNeedSlot)) return check;
  return slots_in(vm, range) != 0 ? check : Check::kAttributesValue;
}

void plant_in_install(Kernel& k, Vm& vm, const Vcpu& vcpu, const PageFault& fault) {
  if (!fault.prefetch) return;
  const Gfn next = fault.gfn + PageCount{1};
  if (planted(Planted::kPreFaultPastSlotEnd) && next == fault.memslot.end()) {
    map_leaf(k, vm, vcpu.root, {.gfn = next, .pfn = fault.pfn, .prefetch = true, .seq = fault.seq});
  }
  if (planted(Planted::kPreFaultMakesPrivate) && !fault.is_private && vm.has_private_memory())
    store_attributes(k, vm, {.first = fault.gfn, .last = next}, true);
}

}  // namespace sluice::model

#endif
