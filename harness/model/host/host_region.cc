#include "model/host/host_region.h"

#include <algorithm>

#include "model/host/handlers.h"
#include "model/host/memslots.h"
#include "model/host/pinned.h"
#include "model/host/snp_rmp.h"
#include "model/host/tdp_mmu.h"
#include "model/schedule/scheduler.h"

namespace sluice::model {
namespace {

/// Pages [first, last) of the region.
struct RegionPages {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

bool is_in_region(std::uint64_t hva) {
  return hva >= kHostRegionAddress && hva - kHostRegionAddress < kHostRegionBytes;
}

/// What becomes of pages of the region.
/// * kUnmap: they go, with their mapping (munmap).
/// * kDiscard: they go, the mapping stays: zeros at the next touch (MADV_DONTNEED).
/// * kProtect: they stay, and are faulted anew (NUMA balancing).
/// * kPoison: of one page, whose frame has failed (memory_failure()).
enum class RegionChange : std::uint8_t { kUnmap, kDiscard, kProtect, kPoison };

/// An operation on the region: how it is refused, or what it asks for.
struct RegionCall {
  Check check = Check::kOk;
  RegionPages asked{};
  RegionChange change = RegionChange::kUnmap;
};
/// What is done under mmap_lock, and what is answered then.
struct RegionPlan {
  RegionPages pages{};
  Check check = Check::kOk;
  bool empty() const { return pages.first == pages.last; }
};

/// The pages of a range that are still mapped, from the first to the last such.
RegionPages mapped_part(const Kernel& k, RegionPages pages) {
  while (pages.first < pages.last && k.host_pages[pages.first].unmapped()) ++pages.first;
  while (pages.first < pages.last && k.host_pages[pages.last - 1].unmapped()) --pages.last;
  return pages;
}

bool any_page(const Kernel& k, const RegionPages& pages, bool (HostPage::*is)() const) {
  for (std::uint64_t i = pages.first; i < pages.last; ++i) {
    if ((k.host_pages[i].*is)()) return true;
  }
  return false;
}

/// Pre: under mmap_lock, since others change the region, too.
RegionPlan plan_of(Kernel& k, const RegionCall& call) {
  // What user space has is what it has populated: a frame that fails is behind every page.
  if (call.change == RegionChange::kPoison)
    touch_host_page(k, kHostRegionAddress + (call.asked.first << kPageShift));
  RegionPlan plan{.pages = mapped_part(k, call.asked)};
  switch (call.change) {
    case RegionChange::kUnmap:
      break;
    case RegionChange::kDiscard:
      if (any_page(k, call.asked, &HostPage::unmapped)) plan.check = Check::kHostDontneedUnmapped;
      break;
    case RegionChange::kProtect:  // change_pmd_range() tells nobody where no page is
      if (!any_page(k, plan.pages, &HostPage::present)) plan.pages = {};
      break;
    case RegionChange::kPoison:
      if (any_page(k, plan.pages, &HostPage::present)) break;
      plan = {.pages = {}, .check = Check::kSkipNoPage};
      break;
  }
  return plan;
}
Outcome answer_of(const RegionPlan& plan) {
  return plan.check == Check::kOk ? Outcome{} : answer(plan.check);
}

bool is_outside(HostVa hva) { return hva.raw || hva.value >= kHostRegionBytes; }
bool is_unaligned(HostVa hva) { return (hva.value & (kPageBytes - 1)) != 0; }
/// Pre: the range ends inside the region.
RegionPages pages_of(HostVa hva, RawSize size) {
  const std::uint64_t end = hva.value + size.value;
  return {.first = hva.value >> kPageShift, .last = (end + kPageBytes - 1) >> kPageShift};
}
bool ends_outside(HostVa hva, RawSize size) { return size.value > kHostRegionBytes - hva.value; }

RegionCall call_of(const HostUnmap& op) {
  if (is_outside(op.hva)) return {.check = Check::kSkipOutsideHostRegion};
  if (is_unaligned(op.hva) || op.size.value == 0) return {.check = Check::kHostUnmapRange};
  if (ends_outside(op.hva, op.size)) return {.check = Check::kSkipOutsideHostRegion};
  return {.asked = pages_of(op.hva, op.size)};
}
RegionCall call_of(const HostDontneed& op) {
  if (is_outside(op.hva)) return {.check = Check::kSkipOutsideHostRegion};
  if (is_unaligned(op.hva)) return {.check = Check::kHostDontneedRange};
  if (ends_outside(op.hva, op.size)) return {.check = Check::kSkipOutsideHostRegion};
  return {.asked = pages_of(op.hva, op.size), .change = RegionChange::kDiscard};
}
RegionCall call_of(const NumaBalancing& op) {
  const bool outside = is_outside(op.hva) || ends_outside(op.hva, op.size);
  if (outside) return {.check = Check::kSkipOutsideHostRegion};
  return {.asked = pages_of(op.hva, op.size), .change = RegionChange::kProtect};
}
RegionCall call_of(const HostMemoryFailure& op) {
  if (is_outside(op.hva)) return {.check = Check::kSkipOutsideHostRegion};
  const std::uint64_t page = op.hva.value >> kPageShift;
  return {.asked = {.first = page, .last = page + 1}, .change = RegionChange::kPoison};
}

/// The GFNs of a slot behind these pages; empty if none.
GfnRange gfns_of(const Memslot& slot, const RegionPages& pages) {
  const std::uint64_t base = slot.hva >> kPageShift;
  const std::uint64_t region = kHostRegionAddress >> kPageShift;
  const std::uint64_t first = std::max(base, region + pages.first);
  const std::uint64_t last = std::min(base + slot.page_count.value, region + pages.last);
  if (first >= last) return {};
  return {.first = slot.base + PageCount{first - base}, .last = slot.base + PageCount{last - base}};
}

/// The slots that have one of these pages behind them.
SlotMask slots_over(const Vm& vm, const RegionPages& pages) {
  SlotMask slots = 0;
  for_each_slot(vm, [&](SlotIndex i, const Memslot& slot) {
    if (!gfns_of(slot, pages).empty()) slots |= mask_of(i);
  });
  return slots;
}

constexpr std::uint64_t kBlock = kFramesPer2M;
constexpr std::uint64_t head_of(std::uint64_t page) { return page & ~(kBlock - 1); }

/// Nobody has touched the block of a page: a huge page may come to be there.
bool may_become_large(const Kernel& k, std::uint64_t page) {
  if (k.machine.header.policy.host_order != HostOrder::k2M) return false;
  const std::uint64_t head = head_of(page);
  for (std::uint64_t i = head; i < head + kBlock; ++i) {
    if (k.host_pages[i].word != 0) return false;
  }
  return true;
}

/// What the notifier tells of: with a huge page that is changed in part, all of it. Where the
/// mapping stays, the huge page may come meanwhile.
// Deviation: Linux splits such a page before (vma_adjust_trans_huge(), __split_huge_pmd()), by a
// notifier call of its own for the huge page; here that call and the operation's are one, over both
// ranges.
RegionPages told_part(const Kernel& k, RegionPages pages, RegionChange change) {
  const auto is_whole = [&](std::uint64_t page) {
    const bool may_come = change != RegionChange::kUnmap && may_become_large(k, page);
    return k.host_pages[page].large() || may_come;
  };
  const std::uint64_t last = pages.last - 1;
  const bool first_block = is_whole(pages.first), last_block = is_whole(last);
  if (first_block) pages.first = head_of(pages.first);
  if (last_block) pages.last = head_of(last) + kBlock;
  return pages;
}

/// munmap has taken the range's VMA out before it tells anybody: no huge page can be made across
/// its ends any more.
// Deviation: until a munmap is over, user space can touch what it had not touched before. In Linux
// the VMA is gone by then.
void close_ends(Kernel& k, const RegionPages& pages) {
  if (k.machine.header.policy.host_order != HostOrder::k2M) return;
  for (const std::uint64_t end : {pages.first, pages.last - 1}) {
    if (k.host_pages[end].word == 0)
      k.set(k.host_pages[end], HostPage{.word = HostPage::kUnmapped});
  }
}

/// kvm_mmu_notifier_invalidate_range_start() of one VM, up to the flush.
Begun notifier_begin(Kernel& k, Vm& vm, const RegionPages& pages, RegionChange change) {
  if (planted(Planted::kSlotPagesArePinned)) return {};
  if (change == RegionChange::kDiscard && planted(Planted::kDontneedSkipsNotifier)) return {};
  Begun begun{};
  for_each_slot(vm, [&](SlotIndex i, const Memslot& slot) {
    const GfnRange range = gfns_of(slot, pages);
    if (range.empty()) return;
    if (begun.slots == 0) invalidate_begin(k, vm);
    begun.slots |= mask_of(i);
    invalidate_range_add(k, vm, range);
    if (slot.address_space != 0 && planted(Planted::kNotifierSkipsSmm)) return;
    const bool forgets_filter = planted(Planted::kTdNotifierZapsPrivate) || is_pinned_backing(k);
    begun.flush |= zap_leaves(k, vm, slot.address_space, range,
                              forgets_filter ? ZapFilter::kAll : ZapFilter::kShared);
  });
  return begun;
}
void notifier_flush(Kernel& k, const Vm& vm, const Begun& begun, RegionChange change) {
  if (change == RegionChange::kProtect && planted(Planted::kNumaBalancingSkipsFlush)) return;
  if (begun.flush && !planted(Planted::kNotifierSkipsFlush)) flush_remote_tlbs(k, vm);
}
/// Both, for those who cannot be interrupted; the slots that lie there.
SlotMask notifier_start(Kernel& k, Vm& vm, const RegionPages& pages, RegionChange change) {
  const Begun begun = notifier_begin(k, vm, pages, change);
  notifier_flush(k, vm, begun, change);
  return begun.slots;
}

/// What a page of the region is after the change.
HostPage changed_page(RegionChange change) {
  switch (change) {
    case RegionChange::kUnmap:
      return {.word = HostPage::kUnmapped};
    case RegionChange::kPoison:
      return {.word = HostPage::kPoisoned};
    default:
      return {};
  }
}

void change_pages(Kernel& k, const RegionPages& pages, RegionChange change) {
  if (pages.first != head_of(pages.first)) split_page(k, pages.first);
  if (pages.last != head_of(pages.last)) split_page(k, pages.last - 1);
  flush_user(k);
  if (change == RegionChange::kProtect) return;
  const HostPage after = changed_page(change);
  for (std::uint64_t i = pages.first; i < pages.last; ++i) {
    HostPage& page = k.host_pages[i];
    if (page.unmapped()) continue;
    if (is_pinned_backing(k)) unpin(k, page);
    if (change == RegionChange::kPoison && page.present())
      k.machine.frames.poison(k.machine.journal, page.pfn());
    const bool frees = page.present() && !planted(Planted::kSlotPagesArePinned);
    if (frees) k.machine.frames.release(k.machine.journal, page.pfn());
    if (page.word != after.word) k.set(page, after);
  }
}

/// A huge page for the whole untouched block around a page, if the policy has such.
bool add_large_page(Kernel& k, std::uint64_t index) {
  if (!may_become_large(k, index)) return false;
  const std::uint64_t head = head_of(index);
  const auto pfn = k.machine.frames.allocate_block(
      k.machine.journal, {.use = FrameUse::kHostUser, .index = head}, MapLevel::k2M);
  if (!pfn) return false;
  for (std::uint64_t i = 0; i < kBlock; ++i) {
    zero_guest_page(k, *pfn + PageCount{i});
    k.set(k.host_pages[head + i],
          HostPage{.word = HostPage::kPresent | HostPage::kLarge | (pfn->value + i) << 12});
  }
  return true;
}

}  // namespace

/// tlb_finish_mmu().
void flush_user(Kernel& k) {
  if (!planted(Planted::kMunmapSkipsFlush)) k.machine.tlbs.user.flush(k.machine.journal);
}

std::optional<std::uint64_t> region_page_of(const Memslot& slot, Gfn gfn) {
  const std::uint64_t hva = slot.hva + ((gfn - slot.base).value << kPageShift);
  return is_in_region(hva) ? std::optional((hva - kHostRegionAddress) >> kPageShift) : std::nullopt;
}

std::optional<Gfn> gfn_of_region_page(const Memslot& slot, std::uint64_t page) {
  const GfnRange gfns = gfns_of(slot, {.first = page, .last = page + 1});
  return gfns.empty() ? std::nullopt : std::optional(gfns.first);
}

GfnRange gfns_of_region(const Memslot& slot) {
  return gfns_of(slot, {.first = 0, .last = kHostRegionPages});
}

void split_page(Kernel& k, std::uint64_t page) {
  if (!k.host_pages[page].large()) return;
  for (std::uint64_t i = head_of(page); i < head_of(page) + kBlock; ++i) {
    k.set(k.host_pages[i], HostPage{.word = k.host_pages[i].word & ~HostPage::kLarge});
  }
}

HostPage* touch_host_page(Kernel& k, std::uint64_t hva) {
  if (!is_in_region(hva)) return nullptr;
  const std::uint64_t index = (hva - kHostRegionAddress) >> kPageShift;
  HostPage& page = k.host_pages[index];
  if (page.has_no_frame()) return nullptr;
  if (page.present() || add_large_page(k, index)) return &page;
  const auto pfn =
      k.machine.frames.allocate(k.machine.journal, {.use = FrameUse::kHostUser, .index = index});
  if (!pfn) return nullptr;
  if (!planted(Planted::kHostPageNotZeroed)) zero_guest_page(k, *pfn);
  k.set(page, HostPage{.word = HostPage::kPresent | pfn->value << 12});
  return &page;
}

bool is_poisoned(const Kernel& k, std::uint64_t hva) {
  return is_in_region(hva) && k.host_pages[(hva - kHostRegionAddress) >> kPageShift].poisoned();
}

void move_host_page(Kernel& k, std::uint64_t hva) {
  if (!is_in_region(hva)) return;
  const std::uint64_t index = (hva - kHostRegionAddress) >> kPageShift;
  HostPage& page = k.host_pages[index];
  if (!page.present() || page.large()) return;
  const Pfn old = page.pfn();
  const auto pfn =
      k.machine.frames.allocate(k.machine.journal, {.use = FrameUse::kHostUser, .index = index});
  if (!pfn) return;
  k.machine.frames.release(k.machine.journal, old);
  k.set(page, HostPage{.word = HostPage::kPresent | pfn->value << 12});
}

void renew_host_region(Kernel& k) {
  const RegionPages all{.first = 0, .last = kHostRegionPages};
  std::array<SlotMask, kMaxVms> begun{};
  for (Vm& vm : k.vms) {
    if (vm.exists) begun[k.index_of(vm).value] = notifier_start(k, vm, all, RegionChange::kDiscard);
  }
  flush_user(k);
  for (std::uint64_t i = all.first; i < all.last; ++i) {
    HostPage& page = k.host_pages[i];
    if (is_pinned_backing(k)) unpin(k, page);
    if (page.present()) k.machine.frames.release(k.machine.journal, page.pfn());
    if (page.word != 0) k.set(page, HostPage{});
  }
  for (Vm& vm : k.vms) {
    if (begun[k.index_of(vm).value] != 0) invalidate_end(k, vm);
  }
}

namespace {

/// The load or store itself.
Outcome touch_frame(Kernel& k, Pfn pfn, const UserTouch& touch) {
  Machine& machine = k.machine;
  if (touch.write && is_pinned_backing(k) && machine.sept.owner(pfn).owned) {  // poison
    const Outcome out = refuse(Check::kHostStorePoison);
    if (!out.ok()) kill_host(k, pfn);
    return out;
  }
  if (touch.write) {
    machine.frames.set_content(machine.journal, pfn, touch.token);
    return {};
  }
  Outcome out{};
  out.has_value = true;
  out.value = machine.frames.content(pfn);
  return out;
}

}  // namespace

std::optional<Outcome> touch_cached(Kernel& k, const UserTouch& touch) {
  const auto found = k.machine.tlbs.user.find(touch.page);
  if (!found || (touch.write && !found->writable)) return std::nullopt;
  return touch_frame(k, found->frame_of(touch.page), touch);
}

Outcome touch_as_user(Kernel& k, Pfn pfn, MapLevel level, const UserTouch& touch) {
  Machine& machine = k.machine;
  const bool refused = touch.write && !machine.rmp.is_hypervisor_owned(pfn, level);
  if (refused) return refuse(Check::kHostAccessRmp);
  machine.tlbs.user.fill(machine.journal,
                         {.page = touch.page, .pfn = pfn, .level = level, .writable = touch.write});
  return touch_frame(k, pfn, touch);
}

Outcome apply(Kernel& k, ActorId, const HostAccess& op) {
  if (is_outside(op.hva)) return skip(Check::kSkipOutsideHostRegion);
  const UserTouch touch{.page = op.hva.value >> kPageShift,
                        .write = op.kind == AccessKind::kWrite,
                        .token = op.value.value};
  if (const auto cached = touch_cached(k, touch)) return *cached;
  const std::uint64_t hva = kHostRegionAddress + op.hva.value;
  const HostPage* const page = touch_host_page(k, hva);
  if (page == nullptr) {
    return refuse(is_poisoned(k, hva) ? Check::kHostAccessPoisoned : Check::kHostAccessUnmapped);
  }
  return touch_as_user(k, page->pfn(), page->large() ? MapLevel::k2M : MapLevel::k4K, touch);
}

namespace {

Outcome change_region(Kernel& k, const RegionCall& call) {
  if (call.check != Check::kOk) return answer(call.check);
  const RegionPlan plan = plan_of(k, call);
  if (plan.empty()) return answer_of(plan);
  const RegionPages told = told_part(k, plan.pages, call.change);
  std::array<SlotMask, kMaxVms> begun{};
  for (Vm& vm : k.vms) {
    if (vm.exists) begun[k.index_of(vm).value] = notifier_start(k, vm, told, call.change);
  }
  change_pages(k, plan.pages, call.change);
  for (Vm& vm : k.vms) {
    if (begun[k.index_of(vm).value] != 0) invalidate_end(k, vm);
  }
  return answer_of(plan);
}

/// The change under mmap_lock: every VM there is hears of it before and after.
// Deviation: madvise() and NUMA balancing hold mmap_lock shared, memory_failure() has the page
// locked; here each has mmap_lock for itself.
Task<void> change_told(Kernel& k, RegionPages pages, RegionChange change) {
  const RegionPages range = told_part(k, pages, change);
  if (change == RegionChange::kUnmap) close_ends(k, pages);
  std::array<bool, kMaxVms> told{};
  std::array<SlotMask, kMaxVms> begun{};
  std::array<std::uint32_t, kMaxVms> life{};
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    if (!k.vms[i].exists) continue;
    life[i] = k.vms[i].life;
    begin_active_invalidation(k, VmIndex{i});
    told[i] = true;
    // Slots cannot change while an invalidation is active: where none lies there, mmu_lock is not
    // taken (Linux kvm_handle_hva_range()).
    const bool concerns_slots = slots_over(k.vms[i], range) != 0;
    if (concerns_slots) {
      co_await lock(k, mmu_lock(VmIndex{i}));
    }
    const Begun zapped = notifier_begin(k, k.vms[i], range, change);
    if (zapped.flush && has_translations(k, k.vms[i])) {
      co_await point(k, Point::kZapBeforeFlush);
    }
    notifier_flush(k, k.vms[i], zapped, change);
    begun[i] = zapped.slots;
    if (concerns_slots) unlock(k, mmu_lock(VmIndex{i}));
  }
  co_await point(k, Point::kNotifierAfterStart);
  change_pages(k, pages, change);
  co_await point(k, Point::kNotifierAfterUnmap);
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    if (!told[i]) continue;
    // A VM that has gone meanwhile took its notifier with it (kvm_destroy_vm()).
    if (begun[i] != 0 && k.vms[i].life == life[i]) {
      co_await lock(k, mmu_lock(VmIndex{i}));
      if (k.vms[i].life == life[i]) {
        note_slots(k, k.vms[i], begun[i], slots_over(k.vms[i], range));
        invalidate_end(k, k.vms[i]);
      }
      unlock(k, mmu_lock(VmIndex{i}));
    }
    if (k.vms[i].life == life[i]) end_active_invalidation(k, VmIndex{i});
  }
}

Task<Outcome> start_change(Kernel& k, RegionCall call) {
  if (call.check != Check::kOk) co_return answer(call.check);
  co_await lock(k, mmap_lock());
  const RegionPlan plan = plan_of(k, call);  // others may have been there
  if (!plan.empty()) {
    co_await change_told(k, plan.pages, call.change);
  }
  unlock(k, mmap_lock());
  co_return answer_of(plan);
}

}  // namespace

Outcome apply(Kernel& k, ActorId, const HostUnmap& op) { return change_region(k, call_of(op)); }
Outcome apply(Kernel& k, ActorId, const HostDontneed& op) { return change_region(k, call_of(op)); }
Outcome apply(Kernel& k, ActorId, const NumaBalancing& op) { return change_region(k, call_of(op)); }
Outcome apply(Kernel& k, ActorId, const HostMemoryFailure& op) {
  return change_region(k, call_of(op));
}

Task<Outcome> start(Kernel& k, ActorId, const HostUnmap& op) {
  co_return co_await start_change(k, call_of(op));
}
Task<Outcome> start(Kernel& k, ActorId, const HostDontneed& op) {
  co_return co_await start_change(k, call_of(op));
}
Task<Outcome> start(Kernel& k, ActorId, const NumaBalancing& op) {
  co_return co_await start_change(k, call_of(op));
}
Task<Outcome> start(Kernel& k, ActorId, const HostMemoryFailure& op) {
  co_return co_await start_change(k, call_of(op));
}

}  // namespace sluice::model
