#include "model/host/host_region.h"

#include <algorithm>

#include "model/host/handlers.h"
#include "model/host/memslots.h"
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

/// The pages of munmap's range that are still mapped, from the first to the last such.
RegionPages mapped_part(const Kernel& k, RegionPages pages) {
  while (pages.first < pages.last && k.host_pages[pages.first].unmapped()) ++pages.first;
  while (pages.first < pages.last && k.host_pages[pages.last - 1].unmapped()) --pages.last;
  return pages;
}

/// munmap's arguments; the range is what it covers of the region.
struct UnmapCall {
  Check check = Check::kOk;
  RegionPages pages{};
};
UnmapCall check_unmap(const Kernel& k, const HostUnmap& op) {
  if (op.hva.raw || op.hva.value >= kHostRegionBytes) {
    return {.check = Check::kSkipOutsideHostRegion};
  }
  const bool unaligned = (op.hva.value & (kPageBytes - 1)) != 0;
  if (unaligned || op.size.value == 0) return {.check = Check::kHostUnmapRange};
  if (op.size.value > kHostRegionBytes - op.hva.value) {
    return {.check = Check::kSkipOutsideHostRegion};
  }
  const std::uint64_t end = op.hva.value + op.size.value;
  const RegionPages asked{.first = op.hva.value >> kPageShift,
                          .last = (end + kPageBytes - 1) >> kPageShift};
  return {.pages = mapped_part(k, asked)};
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

/// What the notifier tells of: with a huge page that is unmapped in part, all of it.
// Deviation: Linux splits such a page before (vma_adjust_trans_huge()), by a notifier call of its
// own for the huge page; here that call and munmap's are one, over both ranges.
RegionPages told_part(const Kernel& k, RegionPages pages) {
  if (k.host_pages[pages.first].large()) pages.first = head_of(pages.first);
  if (k.host_pages[pages.last - 1].large()) pages.last = head_of(pages.last - 1) + kBlock;
  return pages;
}

/// munmap has taken the range's VMA out before it tells anybody: no huge page can be made across
/// its ends any more.
void close_ends(Kernel& k, const RegionPages& pages) {
  if (k.machine.header.policy.host_order != HostOrder::k2M) return;
  for (const std::uint64_t end : {pages.first, pages.last - 1}) {
    if (k.host_pages[end].word == 0)
      k.set(k.host_pages[end], HostPage{.word = HostPage::kUnmapped});
  }
}

/// kvm_mmu_notifier_invalidate_range_start() of one VM, up to the flush.
Begun notifier_begin(Kernel& k, Vm& vm, const RegionPages& pages) {
  if (planted(Planted::kSlotPagesArePinned)) return {};
  Begun begun{};
  for_each_slot(vm, [&](SlotIndex i, const Memslot& slot) {
    const GfnRange range = gfns_of(slot, pages);
    if (range.empty()) return;
    if (begun.slots == 0) invalidate_begin(k, vm);
    begun.slots |= mask_of(i);
    invalidate_range_add(k, vm, range);
    if (slot.address_space != 0 && planted(Planted::kNotifierSkipsSmm)) return;
    const bool forgets_filter = planted(Planted::kTdNotifierZapsPrivate);
    begun.flush |= zap_leaves(k, vm, slot.address_space, range,
                              forgets_filter ? ZapFilter::kAll : ZapFilter::kShared);
  });
  return begun;
}
void notifier_flush(Kernel& k, const Vm& vm, const Begun& begun) {
  if (begun.flush && !planted(Planted::kNotifierSkipsFlush)) flush_remote_tlbs(k, vm);
}
/// Both, for those who cannot be interrupted; the slots that lie there.
SlotMask notifier_start(Kernel& k, Vm& vm, const RegionPages& pages) {
  const Begun begun = notifier_begin(k, vm, pages);
  notifier_flush(k, vm, begun);
  return begun.slots;
}

/// A huge page becomes 512 small ones.
void split_page(Kernel& k, std::uint64_t page) {
  if (!k.host_pages[page].large()) return;
  for (std::uint64_t i = head_of(page); i < head_of(page) + kBlock; ++i) {
    k.set(k.host_pages[i], HostPage{.word = k.host_pages[i].word & ~HostPage::kLarge});
  }
}

/// tlb_finish_mmu(): before frames are freed that user space had mapped.
void flush_user(Kernel& k) {
  if (!planted(Planted::kMunmapSkipsFlush)) k.machine.tlbs.user.flush(k.machine.journal);
}

void unmap_pages(Kernel& k, const RegionPages& pages) {
  if (pages.first != head_of(pages.first)) split_page(k, pages.first);
  if (pages.last != head_of(pages.last)) split_page(k, pages.last - 1);
  flush_user(k);
  for (std::uint64_t i = pages.first; i < pages.last; ++i) {
    HostPage& page = k.host_pages[i];
    const bool frees = page.present() && !planted(Planted::kSlotPagesArePinned);
    if (frees) k.machine.frames.release(k.machine.journal, page.pfn());
    if (!page.unmapped()) k.set(page, HostPage{.word = HostPage::kUnmapped});
  }
}

/// A huge page for the whole untouched block around a page, if the policy has such.
bool add_large_page(Kernel& k, std::uint64_t index) {
  if (k.machine.header.policy.host_order != HostOrder::k2M) return false;
  const std::uint64_t head = head_of(index);
  for (std::uint64_t i = head; i < head + kBlock; ++i) {
    if (k.host_pages[i].word != 0) return false;
  }
  const auto pfn =
      k.machine.frames.allocate_2m(k.machine.journal, {.use = FrameUse::kHostUser, .index = head});
  if (!pfn) return false;
  for (std::uint64_t i = 0; i < kBlock; ++i) {
    host_kernel_store(k, *pfn + PageCount{i}, 0);
    k.set(k.host_pages[head + i],
          HostPage{.word = HostPage::kPresent | HostPage::kLarge | (pfn->value + i) << 12});
  }
  return true;
}

}  // namespace

HostPage* touch_host_page(Kernel& k, std::uint64_t hva) {
  if (!is_in_region(hva)) return nullptr;
  const std::uint64_t index = (hva - kHostRegionAddress) >> kPageShift;
  HostPage& page = k.host_pages[index];
  if (page.unmapped()) return nullptr;
  if (page.present() || add_large_page(k, index)) return &page;
  const auto pfn =
      k.machine.frames.allocate(k.machine.journal, {.use = FrameUse::kHostUser, .index = index});
  if (!pfn) return nullptr;
  if (!planted(Planted::kHostPageNotZeroed)) host_kernel_store(k, *pfn, 0);
  k.set(page, HostPage{.word = HostPage::kPresent | pfn->value << 12});
  return &page;
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
    if (vm.exists) begun[k.index_of(vm).value] = notifier_start(k, vm, all);
  }
  flush_user(k);
  for (std::uint64_t i = all.first; i < all.last; ++i) {
    HostPage& page = k.host_pages[i];
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
  if (op.hva.raw || op.hva.value >= kHostRegionBytes) return skip(Check::kSkipOutsideHostRegion);
  const UserTouch touch{.page = op.hva.value >> kPageShift,
                        .write = op.kind == AccessKind::kWrite,
                        .token = op.value.value};
  if (const auto cached = touch_cached(k, touch)) return *cached;
  const HostPage* const page = touch_host_page(k, kHostRegionAddress + op.hva.value);
  if (page == nullptr) return refuse(Check::kHostAccessUnmapped);
  return touch_as_user(k, page->pfn(), page->large() ? MapLevel::k2M : MapLevel::k4K, touch);
}

Outcome apply(Kernel& k, ActorId, const HostUnmap& op) {
  const UnmapCall call = check_unmap(k, op);
  if (call.check != Check::kOk) return answer(call.check);
  if (call.pages.first == call.pages.last) return {};
  const RegionPages told = told_part(k, call.pages);
  std::array<SlotMask, kMaxVms> begun{};
  for (Vm& vm : k.vms) {
    if (vm.exists) begun[k.index_of(vm).value] = notifier_start(k, vm, told);
  }
  unmap_pages(k, call.pages);
  for (Vm& vm : k.vms) {
    if (begun[k.index_of(vm).value] != 0) invalidate_end(k, vm);
  }
  return {};
}

namespace {

/// munmap's range under mmap_lock: the pages go, and every VM there is hears of it before and
/// after.
Task<Outcome> unmap_told(Kernel& k, RegionPages pages) {
  const RegionPages range = told_part(k, pages);
  close_ends(k, pages);
  std::array<bool, kMaxVms> told{};
  std::array<SlotMask, kMaxVms> begun{};
  std::array<std::uint32_t, kMaxVms> life{};
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    if (!k.vms[i].exists) continue;
    life[i] = k.vms[i].life;
    begin_active_invalidation(k, VmIndex{i});
    told[i] = true;
    co_await lock(k, mmu_lock(VmIndex{i}));
    const Begun zapped = notifier_begin(k, k.vms[i], range);
    if (zapped.flush && has_translations(k, k.vms[i])) {
      co_await point(k, Point::kZapBeforeFlush);
    }
    notifier_flush(k, k.vms[i], zapped);
    begun[i] = zapped.slots;
    unlock(k, mmu_lock(VmIndex{i}));
  }
  co_await point(k, Point::kNotifierAfterStart);
  unmap_pages(k, pages);
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
    end_active_invalidation(k, VmIndex{i});
  }
  co_return Outcome{};
}

}  // namespace

Task<Outcome> start(Kernel& k, ActorId, const HostUnmap& op) {
  const UnmapCall call = check_unmap(k, op);
  if (call.check != Check::kOk) co_return answer(call.check);
  co_await lock(k, mmap_lock());
  const RegionPages pages = mapped_part(k, call.pages);  // another munmap may have been there
  if (pages.first == pages.last) {
    unlock(k, mmap_lock());
    co_return Outcome{};
  }
  const Outcome out = co_await unmap_told(k, pages);
  unlock(k, mmap_lock());
  co_return out;
}

}  // namespace sluice::model
