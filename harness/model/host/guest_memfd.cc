// The operations on guest_memfds: create, fallocate, close; bindings; populate.
#include "model/host/guest_memfd.h"

#include "model/host/adversity.h"
#include "model/host/attributes.h"
#include "model/host/handlers.h"
#include "model/host/memslots.h"
#include "model/host/tdp_mmu.h"
#include "model/schedule/scheduler.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

// falloc.h, the modes that vfs_fallocate() knows.
constexpr std::uint32_t kCollapseRange = 0x08;
constexpr std::uint32_t kZeroRange = 0x10;
constexpr std::uint32_t kInsertRange = 0x20;
constexpr std::uint32_t kUnshareRange = 0x40;
constexpr std::uint32_t kWriteZeroes = 0x80;
constexpr std::uint64_t kMaxFileBytes = 0x7fff'ffff'ffff'ffff;

constexpr bool is_page_multiple(std::uint64_t bytes) { return (bytes & (kPageBytes - 1)) == 0; }

/// vfs_fallocate(): which combinations of modes never reach the file system.
bool vfs_refuses_mode(std::uint32_t mode, KernelVersion version) {
  const std::uint32_t write_zeroes =
      behavior::fallocate_knows_write_zeroes(version) ? kWriteZeroes : 0;
  const std::uint32_t kinds =
      kFallocPunchHole | kCollapseRange | kZeroRange | kInsertRange | kUnshareRange | write_zeroes;
  if ((mode & ~(kinds | kFallocKeepSize)) != 0) return true;
  const bool keep_size = (mode & kFallocKeepSize) != 0;
  switch (mode & kinds) {
    case 0:
    case kUnshareRange:
    case kZeroRange:
      return false;
    case kFallocPunchHole:
      return !keep_size;
    case kCollapseRange:
    case kInsertRange:
    case kWriteZeroes:
      return keep_size;
    default:
      return true;  // two kinds at once
  }
}

PageRange pages_of(RawOffset offset, RawSize size) {
  return {.first = offset.value >> kPageShift, .last = (offset.value + size.value) >> kPageShift};
}

/// Pages that an allocation asks for, more than one operation may.
bool exceeds_limit(const PageRange& pages) { return pages.last - pages.first > kMaxPagesPerOp; }

unsigned levels_for(std::uint64_t page_count) {
  unsigned levels = 1;
  while ((page_count - 1) >> (9 * levels) != 0) ++levels;
  return levels;
}

/// Release of the file once its pages are gone: the VM loses a user.
// Deviation: a file's release comes with its last close. In Linux what user space has mapped keeps
// the file; the harness on a real kernel unmaps after each touch.
// Deviation: a file's pages go before the VM's last user does. In Linux kvm_gmem_release() lets go
// of the VM first, which may end it, and the pages go with the inode: so a late eviction can fail
// another VM's LAUNCH_START (snp_host.md 7).
void finish_close(Kernel& k, Gmem& gmem) {
  Vm& vm = k.vm(gmem.vm);
  if (!planted(Planted::kCloseKeepsPages))
    drop_pages(k, gmem, {.first = 0, .last = gmem.page_count});
  k.set(gmem.open, false);
  k.set(gmem.closing, false);
  k.set(gmem.page_count, 0);
  k.set(gmem.flags, 0);
  put_vm(k, vm);
}

/// The slots to which one of these pages is bound.
SlotMask bound_slots(const Gmem& gmem, const PageRange& pages) {
  SlotMask slots = 0;
  for (const Binding& binding : gmem.bindings) {
    const bool overlaps =
        binding.used && binding.first < pages.last && pages.first < binding.first + binding.count;
    if (overlaps) slots |= mask_of(binding.slot);
  }
  return slots;
}

/// What an allocate or a punch is about to do; refused or skipped where `check` says so.
struct FallocateCall {
  Check check = Check::kOk;
  PageRange pages{};
};
FallocateCall begin_fallocate(const Kernel& k, GmemIndex index, RawOffset offset, RawSize size,
                              std::uint32_t mode) {
  const Gmem& gmem = k.gmem(index);
  if (!gmem.has_descriptor()) return {.check = Check::kSkipNoGmem};
  if (vfs_refuses_mode(mode, k.version())) {
    // Row 1 wins over row 2.
    const bool bad_range =
        check_fallocate(gmem, offset, size, kFallocKeepSize) == Check::kFallocateRange;
    return {.check = bad_range ? Check::kFallocateRange : Check::kFallocateModeVfs};
  }
  FallocateCall call{.check = check_fallocate(gmem, offset, size, mode)};
  if (call.check != Check::kOk) return call;
  call.pages = pages_of(offset, size);
  const bool allocates = (mode & kFallocPunchHole) == 0;
  const bool has_holes = k.machine.header.policy.convert_reclaim != ConvertReclaim::kUnsupported;
  if (allocates && exceeds_limit(call.pages)) call.check = Check::kSkipLimit;
  if (!allocates && !has_holes) call.check = Check::kFallocateNoHoles;
  return call;
}

/// Pages [first, last) of an allocation.
PageRange pages_to_allocate(Kernel& k, Gmem& gmem, PageRange pages) {
  if (planted(Planted::kAllocateSkipsLastPage)) --pages.last;
  if (planted(Planted::kAllocateGrowsFile) && pages.last > gmem.page_count) {
    k.set(gmem.page_count, pages.last);
    return {};
  }
  return pages;
}

/// kvm_gmem_allocate() for one page; the pages before it stay, whatever it answers.
Check allocate_page(Kernel& k, Gmem& gmem, const PageRange& pages, std::uint64_t index) {
  if (const Check signal = check_signal(k, Check::kFallocateSignal); signal != Check::kOk) {
    if (planted(Planted::kSignalFreesFirstPage)) {
      drop_pages(k, gmem, {.first = pages.first, .last = pages.first + 1});
    }
    return signal;
  }
  return get_folio(k, gmem, index, Check::kFallocateNoMemory);
}

}  // namespace

Check check_fallocate(const Gmem& gmem, RawOffset offset, RawSize size, std::uint32_t mode) {
  const auto first = static_cast<std::int64_t>(offset.value);
  const auto length = static_cast<std::int64_t>(size.value);
  if (first < 0 || length <= 0) return Check::kFallocateRange;                            // row 1
  if (offset.value + size.value > kMaxFileBytes) return Check::kFallocateTooBig;          // row 3
  if ((mode & kFallocKeepSize) == 0) return Check::kFallocateNoKeepSize;                  // row 4
  if ((mode & ~(kFallocKeepSize | kFallocPunchHole)) != 0) return Check::kFallocateMode;  // row 5
  if (!is_page_multiple(offset.value) || !is_page_multiple(size.value)) {
    return Check::kFallocateUnaligned;  // row 6
  }
  const bool allocates = (mode & kFallocPunchHole) == 0;
  const bool beyond = offset.value + size.value > gmem.page_count << kPageShift;
  if (allocates && beyond && !planted(Planted::kAllocateGrowsFile)) {
    return Check::kFallocateBeyondEof;  // row 7a
  }
  return Check::kOk;
}

Outcome apply(Kernel& k, ActorId, const CreateGuestMemfd& op) {
  if (!k.machine.profile.guest_memfd) return skip_without(Capability::kGuestMemfd);
  Gmem& gmem = k.gmem(op.gmem);
  if (gmem.open) return skip(Check::kSkipGmemExists);
  if (const Check gate = vm_gate(k, op.vm); gate != Check::kOk) return answer(gate);
  Vm& vm = k.vm(op.vm);
  // INIT_SHARED is for VMs without private memory (kvm.md 1.1, from 6.18).
  std::uint64_t known = k.machine.profile.gmem_flags;
  if (vm.has_private_memory()) known &= ~kGmemFlagInitShared;
  const bool mmap = behavior::gmem_mmap_for_every_vm(k.version()) || !vm.has_private_memory();
  if (!mmap) known &= ~kGmemFlagMmap;
  if ((op.flags.value & ~known) != 0) return refuse(Check::kCreateGmemFlags);
  if (static_cast<std::int64_t>(op.size.value) <= 0 || !is_page_multiple(op.size.value))
    return refuse(Check::kCreateGmemSize);
  const Check no_memory = check_allocation(k, Check::kCreateGmemNoMemory);
  if (no_memory != Check::kOk) return refuse(no_memory);
  const std::uint64_t page_count = op.size.value >> kPageShift;
  if (planted(Planted::kCloseKeepsPages)) {
    k.set(gmem.cache, kNoNode);
    k.machine.journal.set(gmem.resident_pages, 0);
  }
  k.set(gmem.open, true);
  k.set(gmem.vm, op.vm);
  k.set(gmem.page_count, page_count);
  k.set(gmem.flags, op.flags.value);
  k.set(gmem.cache_levels, static_cast<std::uint8_t>(levels_for(page_count)));
  k.set(vm.users, vm.users + 1);
  return {};
}

Outcome apply(Kernel& k, ActorId, const CloseGuestMemfd& op) {
  Gmem& gmem = k.gmem(op.gmem);
  if (!gmem.has_descriptor()) return skip(Check::kSkipNoGmem);
  const PageRange all{.first = 0, .last = gmem.page_count};
  detach_slots(k, gmem);
  const Begun begun = gmem_invalidate_begin(k, gmem, all);
  gmem_flush(k, gmem, begun);
  if (begun.slots != 0) gmem_invalidate_end(k, gmem);
  drop_bindings(k, gmem);
  finish_close(k, gmem);
  return {};
}

// Deviation: a call that is inside a file does not keep it from its last close. In Linux it has the
// file open as long as it takes, and the close takes effect at its end.
Task<Outcome> start(Kernel& k, ActorId, const CloseGuestMemfd& op) {
  Gmem& gmem = k.gmem(op.gmem);
  if (!gmem.has_descriptor()) co_return skip(Check::kSkipNoGmem);
  const VmIndex vm = gmem.vm;
  k.set(gmem.closing, true);
  co_await lock(k, slots_lock(vm));
  co_await lock(k, invalidate_lock(op.gmem));
  const PageRange all{.first = 0, .last = gmem.page_count};
  const bool is_bound = bound_slots(gmem, all) != 0;
  if (is_bound) {
    co_await lock(k, mmu_lock(vm));
  }
  // Under mmu_lock already, so that nobody gets between this and the zap: a fault that has found a
  // page holds the file in Linux, which is not released before that fault has prepared the page.
  detach_slots(k, gmem);
  const Begun begun = gmem_invalidate_begin(k, gmem, all);
  if (begun.flush && has_translations(k, k.vm(vm))) {
    co_await point(k, Point::kZapBeforeFlush);
  }
  gmem_flush(k, gmem, begun);
  if (begun.slots != 0) gmem_invalidate_end(k, gmem);
  if (is_bound) unlock(k, mmu_lock(vm));
  drop_bindings(k, gmem);
  unlock(k, invalidate_lock(op.gmem));
  unlock(k, slots_lock(vm));
  co_await point(k, Point::kReleaseAfterZap);
  finish_close(k, gmem);
  co_return Outcome{};
}

Outcome apply(Kernel& k, ActorId, const GmemAllocate& op) {
  const FallocateCall call = begin_fallocate(k, op.gmem, op.offset, op.size, op.mode.value);
  if (call.check != Check::kOk) return answer(call.check);
  Gmem& gmem = k.gmem(op.gmem);
  if ((op.mode.value & kFallocPunchHole) != 0) {
    const Begun begun = gmem_invalidate_begin(k, gmem, call.pages);
    const bool late = planted(Planted::kPunchFlushesLate);
    if (!late) gmem_flush(k, gmem, begun);
    drop_pages(k, gmem, call.pages);
    if (late) gmem_flush(k, gmem, begun);
    if (begun.slots != 0) gmem_invalidate_end(k, gmem);
    return {};
  }
  const PageRange pages = pages_to_allocate(k, gmem, call.pages);
  for (std::uint64_t index = pages.first; index < pages.last; ++index) {
    const Check check = allocate_page(k, gmem, pages, index);
    if (check != Check::kOk) return answer(check);
  }
  return {};
}

namespace {

Task<Outcome> punch(Kernel& k, GmemIndex index, PageRange pages) {
  Gmem& gmem = k.gmem(index);
  const VmIndex vm = gmem.vm;
  co_await lock(k, invalidate_lock(index));
  if (!gmem.has_descriptor()) {
    unlock(k, invalidate_lock(index));
    co_return skip(Check::kSkipNoGmem);
  }
  // Bindings cannot change under invalidate_lock: where none is concerned, mmu_lock is not taken.
  const bool is_bound = bound_slots(gmem, pages) != 0;
  if (is_bound) {
    co_await lock(k, mmu_lock(vm));
  }
  const Begun begun = gmem_invalidate_begin(k, gmem, pages);
  if (begun.flush && has_translations(k, k.vm(vm))) {
    co_await point(k, Point::kZapBeforeFlush);
  }
  const bool late = planted(Planted::kPunchFlushesLate);
  if (!late) gmem_flush(k, gmem, begun);
  if (is_bound) unlock(k, mmu_lock(vm));
  co_await point(k, Point::kPunchAfterBegin);
  drop_pages(k, gmem, pages);
  if (late) gmem_flush(k, gmem, begun);
  co_await point(k, Point::kPunchAfterDrop);
  note_slots(k, k.vm(vm), begun.slots, bound_slots(gmem, pages));
  if (begun.slots != 0) {
    co_await lock(k, mmu_lock(vm));
    gmem_invalidate_end(k, gmem);
    unlock(k, mmu_lock(vm));
  }
  unlock(k, invalidate_lock(index));
  co_return Outcome{};
}

Task<Outcome> allocate(Kernel& k, GmemIndex index, PageRange asked) {
  Gmem& gmem = k.gmem(index);
  co_await lock_shared(k, invalidate_lock(index));
  if (!gmem.has_descriptor()) {
    unlock(k, invalidate_lock(index));
    co_return skip(Check::kSkipNoGmem);
  }
  const PageRange pages = pages_to_allocate(k, gmem, asked);
  for (std::uint64_t page = pages.first; page < pages.last; ++page) {
    const Check check = allocate_page(k, gmem, pages, page);
    if (check != Check::kOk) {
      unlock(k, invalidate_lock(index));
      co_return answer(check);
    }
    co_await point(k, Point::kAllocateNextPage);
  }
  unlock(k, invalidate_lock(index));
  co_return Outcome{};
}

}  // namespace

Task<Outcome> start(Kernel& k, ActorId, const GmemAllocate& op) {
  const FallocateCall call = begin_fallocate(k, op.gmem, op.offset, op.size, op.mode.value);
  if (call.check != Check::kOk) co_return answer(call.check);
  const bool punches = (op.mode.value & kFallocPunchHole) != 0;
  if (punches) {
    co_return co_await punch(k, op.gmem, call.pages);
  }
  co_return co_await allocate(k, op.gmem, call.pages);
}

Outcome apply(Kernel& k, ActorId actor, const GmemPunchHole& op) {
  return apply(k, actor,
               GmemAllocate{.gmem = op.gmem,
                            .offset = op.offset,
                            .size = op.size,
                            .mode = {.value = kFallocKeepSize | kFallocPunchHole}});
}

Task<Outcome> start(Kernel& k, ActorId, const GmemPunchHole& op) {
  constexpr std::uint32_t kMode = kFallocKeepSize | kFallocPunchHole;
  const FallocateCall call = begin_fallocate(k, op.gmem, op.offset, op.size, kMode);
  if (call.check != Check::kOk) co_return answer(call.check);
  co_return co_await punch(k, op.gmem, call.pages);
}

// ---- Invalidation of what bound slots map ----

namespace {

/// Where pages [from, to) of the file are bound; they lie in the binding.
GfnRange bound_range(const Binding& binding, std::uint64_t from, std::uint64_t to) {
  return {.first = binding.base + PageCount{from - binding.first},
          .last = binding.base + PageCount{to - binding.first}};
}

/// What faults must stay out of while `range` of a slot is invalidated. One whose GFN lies beside
/// the range could map a huge page across it, as with attributes (kvm.md 3, row "pre").
// Assumption: with larger folios, ahead of mainline, a hole keeps faults out of the whole blocks.
GfnRange range_to_retry(const Kernel& k, const Binding& binding, const GfnRange& range) {
  const std::uint64_t block = frames_in(largest_folio(k));
  const GfnRange blocks{.first = range.first.align_down(block),
                        .last = (range.last + PageCount{block - 1}).align_down(block)};
  return blocks.clip(bound_range(binding, binding.first, binding.first + binding.count));
}

/// kvm_gmem_get_invalidate_filter(): which kind of mapping a file's pages have (kvm.md 1.3).
ZapFilter filter_of(const Kernel& k, const Gmem& gmem) {
  const bool shared =
      behavior::gmem_init_shared(k.version()) && (gmem.flags & kGmemFlagInitShared) != 0;
  return shared ? ZapFilter::kShared : ZapFilter::kPrivate;
}

}  // namespace

Begun gmem_invalidate_begin(Kernel& k, Gmem& gmem, const PageRange& pages) {
  Vm& vm = k.vm(gmem.vm);
  const ZapFilter filter = filter_of(k, gmem);
  Begun begun{};
  for (const Binding& binding : gmem.bindings) {
    if (!binding.used) continue;
    const std::uint64_t first = std::max(binding.first, pages.first);
    const std::uint64_t last = std::min(binding.first + binding.count, pages.last);
    if (first >= last) continue;
    const GfnRange range = bound_range(binding, first, last);
    if (begun.slots == 0) invalidate_begin(k, vm);
    begun.slots |= mask_of(binding.slot);
    if (!planted(Planted::kPunchForgetsRange)) {
      invalidate_range_add(k, vm, range_to_retry(k, binding, range));
    }
    if (!planted(Planted::kPunchSkipsZap)) {
      begun.flush |= zap_leaves(k, vm, binding.address_space, range, filter);
    }
  }
  if (begun.slots == 0 && planted(Planted::kPunchUnboundCounts)) {
    invalidate_begin(k, vm);
    invalidate_range_add(k, vm, {.first = Gfn{0}, .last = Gfn{1}});
    invalidate_end(k, vm);
  }
  return begun;
}

void gmem_flush(Kernel& k, const Gmem& gmem, const Begun& begun) {
  if (begun.flush && !planted(Planted::kPunchSkipsFlush)) flush_remote_tlbs(k, k.vm(gmem.vm));
}

void gmem_invalidate_end(Kernel& k, Gmem& gmem) { invalidate_end(k, k.vm(gmem.vm)); }

void detach_slots(Kernel& k, Gmem& gmem) {
  Vm& vm = k.vm(gmem.vm);
  for (Binding& binding : gmem.bindings) {
    if (binding.used) k.set(vm.slots[binding.slot].gmem, GmemRef::kNone);
  }
}

void drop_bindings(Kernel& k, Gmem& gmem) {
  for (Binding& binding : gmem.bindings) {
    if (binding.used) k.set(binding.used, false);
  }
}

// Assumption: every modelled version unwinds a binding that fails, as 6.12 does from 6.12.117 on.
Check bind(Kernel& k, Gmem& gmem, SlotIndex slot, const Memslot& next) {
  const PageRange pages{.first = next.gmem_page_offset,
                        .last = next.gmem_page_offset + next.page_count.value};
  Binding* place = nullptr;
  for (Binding& binding : gmem.bindings) {
    if (!binding.used) {
      if (place == nullptr) place = &binding;
      continue;
    }
    if (binding.first < pages.last && pages.first < binding.first + binding.count) {
      return Check::kRegionBindTaken;
    }
  }
  if (place == nullptr) return Check::kSkipLimit;
  const Check no_memory = check_allocation(k, Check::kRegionBindNoMemory);
  if (no_memory != Check::kOk && !planted(Planted::kFailedBindIsPartial)) return no_memory;
  if (planted(Planted::kBindingHoldsVm)) k.set(k.vm(gmem.vm).users, k.vm(gmem.vm).users + 1);
  k.set(place->used, true);
  k.set(place->slot, slot);
  k.set(place->address_space, next.address_space);
  k.set(place->id, next.id);
  k.set(place->base, next.base);
  k.set(place->first, pages.first);
  k.set(place->count, pages.last - pages.first);
  return no_memory;
}

void unbind(Kernel& k, Gmem& gmem, SlotIndex slot) {
  if (planted(Planted::kDeleteKeepsBinding)) return;
  for (Binding& binding : gmem.bindings) {
    if (binding.used && binding.slot == slot) k.set(binding.used, false);
  }
}

}  // namespace sluice::model
