#include "model/host/pinned.h"

#include "model/host/arch_hooks.h"
#include "model/host/attributes.h"
#include "model/host/host_region.h"
#include "model/host/invalidation.h"
#include "model/host/kernel_write.h"
#include "model/host/memslots.h"
#include "model/host/snp_rmp.h"
#include "model/host/td_mirror.h"

namespace sluice::model {
namespace {

/// The frame is the guest's, at this address.
bool is_of(const Kernel& k, const Vm& vm, Pfn pfn, Gfn gfn) {
  if (is_td(vm)) {
    const auto owner = k.machine.sept.owner(pfn);
    return owner.owned && owner.vm == k.index_of(vm) && owner.gfn == gfn;
  }
  const RmpEntry entry = k.machine.rmp.own(pfn);
  return is_assigned(k, pfn) && entry.asid() == vm.sev.asid && entry.gpa() == address_of(gfn);
}

/// A slot of whatever VM shows the page elsewhere: who has it pinned must be the only one.
bool is_shown_elsewhere(const Kernel& k, const Vm& vm, Pfn pfn, Gfn gfn) {
  const std::uint64_t page = k.machine.frames.owner(pfn).index;
  bool elsewhere = false;
  for (const Vm& other : k.vms) {
    if (!other.exists) continue;
    for_each_slot(other, [&](SlotIndex, const Memslot& slot) {
      const auto shown = gfn_of_region_page(slot, page);
      if (shown && (&other != &vm || *shown != gfn)) elsewhere = true;
    });
  }
  return elsewhere;
}

}  // namespace

Check prepare_pinned(Kernel& k, Vm& vm, PageFault& fault) {
  // What the fault wants may be what was wanted before a conversion: it is retried, row 12.
  if (must_retry(vm, fault.seq, fault.gfn)) return Check::kOk;
  const bool owned = vm.sev.active || is_td(vm);
  const Pfn pfn = fault.pfn;
  if (k.machine.frames.owner(pfn).use != FrameUse::kHostUser) return Check::kOk;  // the APIC page
  if (is_of(k, vm, pfn, fault.gfn) && owned) {
    fault.max_level = MapLevel::k4K;
    if (fault.is_private) return Check::kOk;
    unpin(k, k.host_pages[k.machine.frames.owner(pfn).index]);
    return is_some_guests(k, pfn) ? fail(Check::kFaultPrepareAssign) : Check::kOk;
  }
  if (is_some_guests(k, pfn)) return fail(Check::kFaultPrepareAssign);
  if (!fault.is_private || !owned) return Check::kOk;
  fault.max_level = MapLevel::k4K;
  const bool taken = is_shown_elsewhere(k, vm, pfn, fault.gfn) || is_kept_shared(k, pfn);
  if (taken) return fail(Check::kFaultPrepareAssign);
  split_page(k, k.machine.frames.owner(pfn).index);
  return gmem_prepare(k, vm, pfn, fault.gfn, MapLevel::k4K);
}

void unpin(Kernel& k, HostPage& page) {
  if (!page.present() || !is_assigned(k, page.pfn())) return;
  const Pfn pfn = page.pfn();
  split_entry_of(k, pfn);
  if (rmp_make_shared(k, pfn, PageSize::k4K) == HostError::kNone) {
    k.machine.events.add({.kind = EventKind::kCacheFlush, .a = pfn.value, .b = 1});
    return;
  }
  flush_user(k);
  k.set(page, HostPage{});
  snp_leak_page(k, pfn);
}

void unpin_range(Kernel& k, Vm& vm, const GfnRange& range) {
  for_each_slot(vm, [&](SlotIndex, const Memslot& slot) {
    const GfnRange part = range.clip(gfns_of_region(slot));
    for (Gfn gfn = part.first; gfn < part.last; gfn = gfn + PageCount{1}) {
      HostPage& behind = k.host_pages[*region_page_of(slot, gfn)];
      if (behind.present() && is_of(k, vm, behind.pfn(), gfn)) unpin(k, behind);
    }
  });
}

void unpin_all(Kernel& k, const Vm& vm) {
  if (!vm.sev.active) return;
  for (std::uint64_t i = 0; i < kHostRegionPages; ++i) {
    HostPage& page = k.host_pages[i];
    const bool is_its = page.present() && k.machine.rmp.own(page.pfn()).asid() == vm.sev.asid;
    if (is_its) unpin(k, page);
  }
}

}  // namespace sluice::model
