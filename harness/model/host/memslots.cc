#include "model/host/memslots.h"

#include "model/host/adversity.h"
#include "model/host/attributes.h"
#include "model/host/dirty_logging.h"
#include "model/host/guest_memfd.h"
#include "model/host/handlers.h"
#include "model/host/in_place.h"
#include "model/host/td_mirror.h"
#include "model/host/tdp_mmu.h"
#include "model/schedule/scheduler.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

constexpr std::uint16_t kUserSlots = 32764;
constexpr std::uint64_t kMaxPagesPerSlot = (std::uint64_t{1} << 31) - 1;

/// What a request turns out to be (enum kvm_mr_change).
enum class Change : std::uint8_t { kNothing, kCreate, kDelete, kMove, kFlagsOnly };

/// A checked request: what changes, and which slots.
struct Region {
  Check check = Check::kOk;
  Change change = Change::kNothing;
  VmIndex vm{};
  SlotIndex slot = kNoSlot;  // the existing one, or the place of the new one
  Memslot next{};            // what it becomes
};

bool is_aligned(std::uint64_t bytes) { return (bytes & (kPageBytes - 1)) == 0; }

std::uint64_t resolve(HostVa hva) { return hva.raw ? hva.value : kHostRegionAddress + hva.value; }

/// KVM_MEM flags that the VM knows together with the rest of the request (row 4).
std::uint32_t known_flags(const Kernel& k, const Vm& vm, std::uint32_t flags) {
  std::uint32_t known = kMemLogDirtyPages;
  const bool supported = k.machine.profile.guest_memfd &&
                         (vm.has_private_memory() || behavior::gmem_for_every_vm(k.version()));
  if (supported) known |= kMemGuestMemfd;
  if ((flags & kMemGuestMemfd) != 0) {
    known &= ~kMemLogDirtyPages;
  } else if (!vm.has_protected_state()) {
    known |= kMemReadonly;
  }
  return known;
}

/// Rows 2 and 3, which come before slots_lock.
Check check_call(const SetMemoryRegion& op) {
  const bool new_flags = (op.flags.value & ~(kMemLogDirtyPages | kMemReadonly)) != 0;
  if (op.legacy && new_flags) return Check::kRegionLegacyFlags;
  return static_cast<std::uint16_t>(op.slot.value) >= kUserSlots ? Check::kRegionSlotId
                                                                 : Check::kOk;
}

/// Rows 4 to 11, under slots_lock, which need no slot.
Check check_arguments(const Kernel& k, const Vm& vm, const SetMemoryRegion& op) {
  const std::uint32_t flags = op.flags.value;
  const std::uint64_t hva = resolve(op.hva);
  const std::uint64_t limit = k.machine.profile.max_hva;
  if ((flags & ~known_flags(k, vm, flags)) != 0) return Check::kRegionFlags;
  if (!is_aligned(op.size.value)) return Check::kRegionSizeUnaligned;
  if (!is_aligned(op.gpa.value)) return Check::kRegionGpaUnaligned;
  if (!is_aligned(hva) || hva > limit || op.size.value > limit - hva) return Check::kRegionHva;
  const std::uint64_t offset = op.gmem_offset.value;
  if ((flags & kMemGuestMemfd) != 0 && (!is_aligned(offset) || offset + op.size.value < offset)) {
    return Check::kRegionGmemOffset;
  }
  if (op.slot.value >> 16 >= address_space_count(k, vm)) return Check::kRegionAddressSpace;
  if (op.gpa.value + op.size.value < op.gpa.value) return Check::kRegionGpaWraps;
  if (op.size.value >> kPageShift > kMaxPagesPerSlot) return Check::kRegionTooManyPages;
  return Check::kOk;
}

/// Rows 13 to 15: what a request for an existing slot changes.
// Assumption: that a slot cannot lose its guest_memfd, every modelled version knows, as 6.12 does
// since Linux 9935df5333aa.
Check check_existing(const Memslot& old, const Memslot& next, Change& change) {
  if (next.has_gmem()) return Check::kRegionExistingGmem;
  const std::uint32_t fixed = kMemReadonly | kMemGuestMemfd;
  if (next.hva != old.hva || next.page_count != old.page_count ||
      ((next.flags ^ old.flags) & fixed) != 0) {
    return Check::kRegionExistingDiffers;
  }
  change = next.base != old.base     ? Change::kMove
           : next.flags != old.flags ? Change::kFlagsOnly
                                     : Change::kNothing;
  return Check::kOk;
}

bool overlaps_other(const Vm& vm, const Memslot& next, SlotIndex self) {
  bool found = false;
  for_each_slot(vm, [&](SlotIndex i, const Memslot& slot) {
    found = found || (i != self && slot.address_space == next.address_space &&
                      range_of(slot).overlaps(range_of(next)));
  });
  return found;
}

/// kvm.md 1.4 rows 1 to 3.
Check check_binding(const Kernel& k, const SetMemoryRegion& op) {
  if (op.gmem.value == GmemRef::kNone) return Check::kRegionBindFd;
  if (!op.gmem.is_gmem()) return Check::kRegionBindNotGmem;
  const Gmem& gmem = k.gmems[op.gmem.value];
  if (!gmem.has_descriptor()) return Check::kRegionBindFd;
  if (gmem.vm != op.vm) return Check::kRegionBindOtherVm;
  // Assumption: compared as unsigned in every modelled version, as in 6.12 since 6.12.115 (bugs.md
  // 29).
  const std::uint64_t end = (op.gmem_offset.value + op.size.value) >> kPageShift;
  if (end > gmem.page_count) return Check::kRegionBindRange;
  return Check::kOk;
}

Memslot requested(const SetMemoryRegion& op) {
  return {.used = true,
          .address_space = static_cast<std::uint8_t>(op.slot.value >> 16),
          .hva_raw = op.hva.raw,
          .id = static_cast<std::uint16_t>(op.slot.value),
          .flags = op.flags.value,
          .base = {op.gpa.value >> kPageShift},
          .page_count = {op.size.value >> kPageShift},
          .hva = resolve(op.hva),
          .gmem_page_offset = op.gmem_offset.value >> kPageShift};
}

SlotIndex free_place(const Vm& vm) {
  for (SlotIndex i = 0; i < kMaxSlotsPerVm; ++i) {
    if (!vm.slots[i].used) return i;
  }
  return kNoSlot;
}

/// Row 17: the new slot, and the INVALID copy of one that goes or moves.
Check allocate_slots(Kernel& k, Change change) {
  const Check next =
      change == Change::kDelete ? Check::kOk : check_allocation(k, Check::kRegionNoMemory);
  const bool copies = change == Change::kDelete || change == Change::kMove;
  return next != Check::kOk || !copies ? next : check_allocation(k, Check::kRegionNoMemory);
}

/// Row 19: lpage_info and the like, and the dirty bitmap of a slot that is to be logged.
Check allocate_metadata(Kernel& k) { return check_allocation(k, Check::kRegionMetadata); }
Check allocate_bitmap(Kernel& k, const Memslot& next) {
  return next.logs() ? allocate_metadata(k) : Check::kOk;
}

/// Everything up to the change itself, under slots_lock: rows 4 to 17, and the file of row 18.
Region plan(Kernel& k, const SetMemoryRegion& op) {
  const Vm& vm = k.vm(op.vm);
  if (const Check check = check_arguments(k, vm, op); check != Check::kOk) return {.check = check};
  Region region{.vm = op.vm, .next = requested(op)};
  Memslot& next = region.next;
  region.slot = find_slot_id(vm, next.address_space, next.id);
  const bool exists = region.slot != kNoSlot;
  if (op.size.value == 0) {
    region.change = Change::kDelete;
    region.check = exists ? allocate_slots(k, region.change) : Check::kRegionDeleteAbsent;
    return region;
  }
  if (exists) {
    region.check = check_existing(vm.slots[region.slot], next, region.change);
    if (region.check != Check::kOk) return region;
    if (region.change == Change::kNothing) return region;
  } else {
    region.change = Change::kCreate;
  }
  const bool comes = region.change != Change::kFlagsOnly;
  if (comes && overlaps_other(vm, next, region.slot)) {
    region.check = Check::kRegionOverlap;
    return region;
  }
  region.check = allocate_slots(k, region.change);
  if (region.check != Check::kOk || region.change != Change::kCreate) return region;
  region.slot = free_place(vm);
  if (region.slot == kNoSlot) {
    region.check = Check::kSkipLimit;
  } else if (next.has_gmem()) {
    region.check = check_binding(k, op);
    next.gmem = op.gmem.value;
    next.gmem_only = region.check == Check::kOk && serves_shared_faults(k, k.gmems[op.gmem.value]);
  }
  return region;
}

Check check_last_gfn(const Kernel& k, const Vm& vm, const Memslot& next) {  // row 19
  const Gfn last = next.base + next.page_count - PageCount{1};
  if (last > max_gfn(k)) return Check::kRegionMaxGfn;
  const bool alias = is_td(vm) && (last.value & kTdSharedGfn) != 0;
  return alias ? Check::kRegionAlias : Check::kOk;
}

// ---- Pieces of the change, between which the kernel waits ----

void write_slot(Kernel& k, Vm& vm, SlotIndex index, const Memslot& next) {
  Memslot& slot = vm.slots[index];
  k.set(slot.used, next.used);
  k.set(slot.invalid, next.invalid);
  k.set(slot.address_space, next.address_space);
  k.set(slot.hva_raw, next.hva_raw);
  k.set(slot.gmem, next.gmem);
  k.set(slot.gmem_only, next.gmem_only);
  k.set(slot.id, next.id);
  k.set(slot.flags, next.flags);
  k.set(slot.base, next.base);
  k.set(slot.page_count, next.page_count);
  k.set(slot.hva, next.hva);
  k.set(slot.gmem_page_offset, next.gmem_page_offset);
  if (index >= vm.slot_high_water) k.set(vm.slot_high_water, index + std::uint64_t{1});
}

/// kvm_swap_active_memslots(): from the publication of a set of slots until the grace period is
/// over, no cached "no slot here" counts; then the generation rises.
void begin_update(Kernel& k, Vm& vm, std::uint8_t address_space) {
  k.set(vm.generation[address_space], vm.generation[address_space] | kGenerationUpdateInProgress);
}
void end_update(Kernel& k, Vm& vm, std::uint8_t address_space) {
  const bool by_one = planted(Planted::kGenerationCountsByOne);
  const std::uint64_t step = by_one ? 1 : address_space_count(k, vm);
  const std::uint64_t now = vm.generation[address_space] & ~kGenerationUpdateInProgress;
  k.set(vm.generation[address_space], now + step);
}

/// kvm_invalidate_memslot(): vCPUs see the INVALID slot from here.
void publish_invalid(Kernel& k, Vm& vm, SlotIndex index) { k.set(vm.slots[index].invalid, true); }

/// kvm_arch_flush_shadow_memslot(), up to the flush; true if one is owed. The quirk SLOT_ZAP_ALL
/// flushes as it goes.
bool zap_slot(Kernel& k, Vm& vm, SlotIndex index) {
  const Memslot& slot = vm.slots[index];
  if (planted(Planted::kDeleteSkipsZap)) return false;
  if (is_td(vm) && planted(Planted::kTdDeleteZapsAll)) {
    return zap_leaves(k, vm, slot.address_space, {.first = {0}, .last = {kTdSharedGfn}});
  }
  if (vm.slot_zap_all || planted(Planted::kDeleteZapsAll)) {
    invalidate_roots(k, vm);
    zap_invalidated_roots(k, vm);
    return false;
  }
  return zap_leaves(k, vm, slot.address_space, range_of(slot));
}
void flush_slot(Kernel& k, const Vm& vm, bool owed) {
  if (owed && !planted(Planted::kDeleteSkipsFlush)) flush_remote_tlbs(k, vm);
}

/// kvm_delete_memslot(): vCPUs find nothing from here. The binding still leads to the slot.
void remove_slot(Kernel& k, Vm& vm, SlotIndex index) {
  const Memslot& slot = vm.slots[index];
  forget_mixed(k, vm, slot);
  if (planted(Planted::kDeleteClearsAttributes)) {
    store_attributes(k, vm, range_of(slot), false);
  }
  write_slot(k, vm, index, Memslot{});
}

/// kvm_free_memslot(): the file forgets a slot that nobody reads any more.
void free_removed(Kernel& k, SlotIndex index, const Memslot& old) {
  if (old.gmem == GmemRef::kNone) return;
  Gmem& gmem = k.gmems[old.gmem];
  unbind(k, gmem, index);
  const std::uint64_t first = old.gmem_page_offset;
  if (planted(Planted::kDeleteFreesPages)) {
    drop_pages(k, gmem, {.first = first, .last = first + old.page_count.value});
  }
}

void move_slot(Kernel& k, Vm& vm, SlotIndex index, const Memslot& next) {
  Memslot& slot = vm.slots[index];
  forget_mixed(k, vm, slot);
  k.set(slot.base, next.base);
  k.set(slot.flags, next.flags);
  k.set(slot.invalid, false);
  init_mixed(k, vm, slot);
}

/// A move that cannot be: the old slot becomes active again, its leaves stay lost.
void restore_slot(Kernel& k, Vm& vm, SlotIndex index) { k.set(vm.slots[index].invalid, false); }

/// Row 18 rest and row 19 of a creation.
Check prepare_creation(Kernel& k, const Region& region) {
  const Memslot& next = region.next;
  if (next.has_gmem()) {
    const Check check = bind(k, k.gmems[next.gmem], region.slot, next);
    if (check != Check::kOk) return check;
  }
  Check check = allocate_bitmap(k, next);
  if (check == Check::kOk) check = check_last_gfn(k, k.vm(region.vm), next);
  if (check == Check::kOk) check = allocate_metadata(k);
  const bool keeps = check == Check::kRegionMetadata && planted(Planted::kNoMemoryKeepsBinding);
  if (check != Check::kOk && next.has_gmem() && !keeps) {
    unbind(k, k.gmems[next.gmem], region.slot);
  }
  return check;
}

void create_slot(Kernel& k, Vm& vm, const Region& region) {
  write_slot(k, vm, region.slot, region.next);
  k.set(vm.had_slot, true);
  init_mixed(k, vm, vm.slots[region.slot]);
}

std::uint8_t address_space_of(const Region& region) { return region.next.address_space; }

/// kvm_prepare_memory_region() of a deletion, where nothing can fail, or a move: row 19.
Check prepare_delete_or_move(Kernel& k, const Vm& vm, const Region& region) {
  if (region.change == Change::kDelete) return Check::kOk;
  Check check = Check::kOk;
  const bool has_bitmap = vm.slots[region.slot].logs();
  if (!has_bitmap) check = allocate_bitmap(k, region.next);
  if (check == Check::kOk) check = check_last_gfn(k, vm, region.next);
  return check == Check::kOk ? allocate_metadata(k) : check;
}

/// The final set of slots becomes active; `prepared` says whether it is the one that was asked for.
void publish_final(Kernel& k, Vm& vm, const Region& region, Check prepared) {
  if (prepared != Check::kOk) {
    restore_slot(k, vm, region.slot);
  } else if (region.change == Change::kDelete) {
    remove_slot(k, vm, region.slot);
  } else {
    move_slot(k, vm, region.slot, region.next);
  }
}

/// The change in one go.
Check carry_out(Kernel& k, const Region& region) {
  Vm& vm = k.vm(region.vm);
  const Memslot old = vm.slots[region.slot];
  Check check = Check::kOk;
  switch (region.change) {
    case Change::kNothing:
      return Check::kOk;
    case Change::kFlagsOnly:
      check = allocate_bitmap(k, region.next);
      if (check != Check::kOk) return check;
      k.set(vm.slots[region.slot].flags, region.next.flags);
      flush_logging(k, vm, apply_logging(k, vm, region.slot));
      break;
    case Change::kCreate:
      check = prepare_creation(k, region);
      if (check != Check::kOk) return check;
      create_slot(k, vm, region);
      break;
    case Change::kDelete:
    case Change::kMove:
      publish_invalid(k, vm, region.slot);
      end_update(k, vm, address_space_of(region));
      flush_slot(k, vm, zap_slot(k, vm, region.slot));
      check = prepare_delete_or_move(k, vm, region);
      publish_final(k, vm, region, check);
      if (region.change == Change::kDelete) free_removed(k, region.slot, old);
      break;
  }
  end_update(k, vm, address_space_of(region));
  return check;
}

}  // namespace

void add_own_slot(Kernel& k, Vm& vm, const Memslot& next) {
  const SlotIndex place = free_place(vm);
  SLUICE_CHECK(place != kNoSlot);  // kMaxSlotsPerVm says why
  create_slot(k, vm, {.vm = k.index_of(vm), .slot = place, .next = next});
  end_update(k, vm, next.address_space);
}

void free_slots(Kernel& k, Vm& vm) {
  const auto end = static_cast<SlotIndex>(vm.slot_high_water);
  for (SlotIndex i = 0; i < end; ++i) {
    if (!vm.slots[i].used) continue;
    forget_mixed(k, vm, vm.slots[i]);
    write_slot(k, vm, i, Memslot{});
  }
  k.set(vm.slot_high_water, 0);
}

Outcome apply(Kernel& k, ActorId, const SetMemoryRegion& op) {
  if (const Check gate = vm_gate(k, op.vm); gate != Check::kOk) return answer(gate);
  Check check = check_call(op);
  if (check != Check::kOk) return refuse(check);
  const Region region = plan(k, op);
  check = region.check == Check::kOk ? carry_out(k, region) : region.check;
  return answer(check);
}

namespace {

/// kvm_swap_active_memslots(): waits for notifiers, publishes by `publish`, waits for readers.
Task<Check> delete_or_move(Kernel& k, const Region& region) {
  Vm& vm = k.vm(region.vm);
  const Memslot old = vm.slots[region.slot];  // a close of its file waits for slots_lock
  const bool is_bound = old.gmem != GmemRef::kNone;
  co_await wait_no_active_invalidations(k, region.vm);
  publish_invalid(k, vm, region.slot);
  begin_update(k, vm, address_space_of(region));
  const bool holds = planted(Planted::kGmemLockOverGracePeriod) && is_bound;
  if (holds) {
    co_await lock(k, invalidate_lock(GmemIndex{old.gmem}));
  }
  if (!planted(Planted::kDeleteSkipsGracePeriod)) {
    co_await synchronize_srcu(k, region.vm);
  }
  if (holds) unlock(k, invalidate_lock(GmemIndex{old.gmem}));
  end_update(k, vm, address_space_of(region));
  co_await point(k, Point::kSlotInvalidPublished);
  co_await lock(k, mmu_lock(region.vm));
  const bool flush = zap_slot(k, vm, region.slot);
  if (flush && has_translations(k, vm)) {
    co_await point(k, Point::kZapBeforeFlush);
  }
  flush_slot(k, vm, flush);
  unlock(k, mmu_lock(region.vm));
  co_await point(k, Point::kSlotZapped);
  const Check check = prepare_delete_or_move(k, vm, region);
  co_await wait_no_active_invalidations(k, region.vm);
  publish_final(k, vm, region, check);
  begin_update(k, vm, address_space_of(region));
  co_await synchronize_srcu(k, region.vm);
  end_update(k, vm, address_space_of(region));
  co_await point(k, Point::kSlotBeforeCommit);
  const bool unbinds = region.change == Change::kDelete && is_bound;
  if (unbinds) {
    co_await lock(k, invalidate_lock(GmemIndex{old.gmem}));
    free_removed(k, region.slot, old);
    unlock(k, invalidate_lock(GmemIndex{old.gmem}));
  }
  co_return check;
}

Task<Check> create_or_flags(Kernel& k, const Region& region) {
  Vm& vm = k.vm(region.vm);
  if (region.change == Change::kCreate) {
    const bool binds = region.next.has_gmem() && !planted(Planted::kBindSkipsLock);
    const GmemIndex gmem{region.next.gmem};
    if (binds) {
      co_await lock(k, invalidate_lock(gmem));
    }
    const Check check = prepare_creation(k, region);
    if (binds) unlock(k, invalidate_lock(gmem));
    if (check != Check::kOk) co_return check;
  } else {
    const Check check = allocate_bitmap(k, region.next);
    if (check != Check::kOk) co_return check;
  }
  co_await wait_no_active_invalidations(k, region.vm);
  const bool creates = region.change == Change::kCreate;
  if (creates) {
    create_slot(k, vm, region);
  } else {
    k.set(vm.slots[region.slot].flags, region.next.flags);
  }
  begin_update(k, vm, address_space_of(region));
  co_await synchronize_srcu(k, region.vm);
  end_update(k, vm, address_space_of(region));
  co_await point(k, Point::kSlotBeforeCommit);
  if (!creates) {
    co_await lock(k, mmu_lock(region.vm));
    const bool flush = apply_logging(k, vm, region.slot);
    // What is protected Linux flushes outside of mmu_lock: the slot is so when the call returns,
    // not before. What is zapped at the end of logging, it flushes inside
    // (tdp_mmu_zap_spte_atomic()).
    const bool protects = vm.slots[region.slot].logs();
    if (protects) unlock(k, mmu_lock(region.vm));
    if (flush && has_translations(k, vm)) {
      co_await point(k, Point::kZapBeforeFlush);
    }
    flush_logging(k, vm, flush);
    if (!protects) unlock(k, mmu_lock(region.vm));
  }
  co_return Check::kOk;
}

}  // namespace

Task<Outcome> start(Kernel& k, ActorId, const SetMemoryRegion& op) {
  const Check gate = vm_gate(k, op.vm);
  if (gate != Check::kOk) co_return answer(gate);
  const Check call = check_call(op);
  if (call != Check::kOk) co_return refuse(call);
  co_await lock(k, slots_lock(op.vm));
  Region region = plan(k, op);
  Check check = region.check;
  if (check == Check::kOk && region.change != Change::kNothing) {
    const bool takes_away = region.change == Change::kDelete || region.change == Change::kMove;
    if (takes_away) {
      const Check done = co_await delete_or_move(k, region);
      check = done;
    } else {
      const Check done = co_await create_or_flags(k, region);
      check = done;
    }
  }
  unlock(k, slots_lock(op.vm));
  co_return answer(check);
}

}  // namespace sluice::model
