#include "model/host/in_place.h"

#include <algorithm>

#include "model/host/attributes.h"
#include "model/host/host_region.h"
#include "model/host/kernel_write.h"
#include "model/host/memslots.h"
#include "model/host/pinned.h"
#include "model/host/snp_rmp.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

/// The pages of the slot's file behind part of its GFNs.
PageRange pages_behind(const Memslot& slot, const GfnRange& part) {
  const std::uint64_t first = file_index(slot, part.first);
  return {.first = first, .last = first + part.count().value};
}

/// visit(gmem, pages) for each slot with a file that has GFNs of the range.
template <class Visit>
void each_file_part(Kernel& k, Vm& vm, const GfnRange& range, Visit&& visit) {
  for_each_slot(vm, [&](SlotIndex, const Memslot& slot) {
    const GfnRange part = range.clip(range_of(slot));
    if (part.empty() || slot.gmem == GmemRef::kNone) return;
    visit(k.gmems[slot.gmem], pages_behind(slot, part));
  });
}

/// The frame becomes the hypervisor's, out of a larger entry where it lies in one; what of the
/// caches is a guest's is flushed.  A failure leaks the page and kills the VM.
void take_back(Kernel& k, Vm& vm, Pfn pfn) {
  split_entry_of(k, pfn);
  if (!kvm_rmp_make_shared(k, vm, pfn, PageSize::k4K)) return;
  k.machine.events.add({.kind = EventKind::kCacheFlush, .a = pfn.value, .b = 1});
}

/// Each page of the range that is there. Cost: a walk a page, of the slot's pages alone.
template <class Visit>
void each_resident(Kernel& k, Gmem& gmem, const PageRange& pages, Visit&& visit) {
  std::uint64_t left = gmem.resident_pages.value;
  const std::uint64_t last = std::min(pages.last, gmem.page_count);
  for (std::uint64_t index = pages.first; index < last && left > 0; ++index) {
    const GmemPage page = find_page(k, gmem, index);
    if (!page.present()) continue;
    --left;
    visit(index, page);
  }
}

}  // namespace

bool serves_shared_faults(const Kernel& k, const Gmem& gmem) {
  const bool knows = behavior::gmem_only_slots(k.version()) && k.machine.profile.gmem_only_slots;
  return is_in_place(k) || (knows && (gmem.flags & kGmemFlagMmap) != 0);
}

bool is_private_page(const Kernel& k, const Gmem& gmem, std::uint64_t index) {
  const Vm& vm = k.vm(gmem.vm);
  for (const Binding& binding : gmem.bindings) {
    const bool has_it =
        binding.used && index >= binding.first && index < binding.first + binding.count;
    if (!has_it) continue;
    if (is_private(k, vm, binding.base + PageCount{index - binding.first})) return true;
  }
  const GmemPage page = find_page(k, gmem, index);
  return page.present() && is_assigned(k, page.pfn());
}

namespace {

/// A slot of the VM shows the frame at a GFN of the range.
bool is_shown_in(const Kernel& k, const Vm& vm, Pfn pfn, const GfnRange& range) {
  const auto owner = k.machine.frames.owner(pfn);
  const auto is_in = [&](Gfn gfn) { return gfn >= range.first && gfn < range.last; };
  bool shown = false;
  if (owner.use == FrameUse::kHostUser && is_pinned_backing(k)) {
    for_each_slot(vm, [&](SlotIndex, const Memslot& slot) {
      const auto gfn = gfn_of_region_page(slot, owner.index);
      shown = shown || (gfn && is_in(*gfn));
    });
  }
  // Out of its file meanwhile, where another page may be by now.
  const bool in_file =
      owner.use == FrameUse::kGmem && find_page(k, k.gmem(owner.gmem), owner.index).pfn() == pfn;
  if (!in_file || k.gmem(owner.gmem).vm != k.index_of(vm)) return shown;
  return std::ranges::any_of(k.gmem(owner.gmem).bindings, [&](const Binding& binding) {
    const bool has_it =
        binding.used && owner.index >= binding.first && owner.index - binding.first < binding.count;
    return has_it && is_in(binding.base + PageCount{owner.index - binding.first});
  });
}

}  // namespace

Check check_conversion(const Kernel& k, const Vm& vm, const GfnRange& range, bool to_private) {
  const bool same_pages = is_in_place(k) || is_pinned_backing(k);
  if (!same_pages || !to_private) return Check::kOk;
  const bool busy = std::ranges::any_of(k.held, [&](const HeldFrame& held) {
    return held.holders != 0 && keeps_shared(k, held) && is_shown_in(k, vm, held.pfn, range);
  });
  return busy ? fail(Check::kAttributesBusy) : Check::kOk;
}

void convert_pages(Kernel& k, Vm& vm, const GfnRange& range, bool to_private) {
  if (is_pinned_backing(k) && !to_private) unpin_range(k, vm, range);
  if (!is_in_place(k)) return;
  each_file_part(k, vm, range, [&](Gmem& gmem, const PageRange& pages) {
    each_resident(k, gmem, pages, [&](std::uint64_t index, const GmemPage& page) {
      if (to_private) {
        unmap_for_user(k, gmem, index);
      } else if (is_assigned(k, page.pfn())) {
        take_back(k, vm, page.pfn());
      }
    });
  });
}

bool take_from_others(Kernel& k, const Gmem& gmem, const GmemHold& hold) {
  if (is_kept_shared(k, hold.pfn)) return false;
  unmap_for_user(k, gmem, hold.index);
  return true;
}

Check prepare_in_place(Kernel& k, Vm& vm, Gmem& gmem, Gfn gfn, const GmemHold& hold) {
  if (is_private(k, vm, gfn)) {
    if (!take_from_others(k, gmem, hold)) return fail(Check::kFaultPrepareAssign);
    return gmem_prepare(k, vm, hold.pfn, gfn, MapLevel::k4K);
  }
  if (vm.sev.active && is_assigned(k, hold.pfn)) take_back(k, vm, hold.pfn);
  return Check::kOk;
}

}  // namespace sluice::model
