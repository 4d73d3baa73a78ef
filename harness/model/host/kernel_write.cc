#include "model/host/kernel_write.h"

#include <algorithm>

#include "model/host/attributes.h"
#include "model/host/handlers.h"
#include "model/host/host_region.h"
#include "model/host/in_place.h"
#include "model/host/invalidation.h"
#include "model/host/memslots.h"
#include "model/host/pinned.h"
#include "model/host/snp_rmp.h"
#include "model/schedule/scheduler.h"

namespace sluice::model {
namespace {

HostFault policy(const Kernel& k) { return k.machine.header.policy.host_fault; }

bool counts_mapped(const Kernel& k) {
  return policy(k) == HostFault::kMappedSet || policy(k) == HostFault::kMappedSetGup;
}

/// The page that is written: one that may become private is held, any other written at once
/// (copy_to_user()).
struct Target {
  Check check = Check::kOk;
  bool held = false;
  std::uint8_t gmem = GmemRef::kNone;  // the file that it is of; none: a page of the host region
  std::uint64_t index = 0;
  Pfn pfn{};
};

/// The frame's place in the table, or a free one.
HeldFrame& place_of(Kernel& k, Pfn pfn) {
  HeldFrame* free = nullptr;
  for (HeldFrame& held : k.held) {
    if (held.holders != 0 && held.pfn == pfn) return held;
    if (held.holders == 0 && free == nullptr) free = &held;
  }
  SLUICE_CHECK(free != nullptr);  // an actor holds at most one
  return *free;
}
void add_holder(Kernel& k, Pfn pfn, int change) {
  HeldFrame& held = place_of(k, pfn);
  ++k.path.frame_references;
  k.set(held.pfn, pfn);
  k.set(held.holders, static_cast<std::uint8_t>(held.holders + change));
}
void add_mapping(Kernel& k, Pfn pfn, int change) {
  HeldFrame& held = place_of(k, pfn);
  k.set(held.mapped, static_cast<std::uint8_t>(held.mapped + change));
}

/// Pre: the slot has a file, whose pages are shared ones, too.
Target find_in_file(Kernel& k, const Memslot& slot, Gfn gfn) {
  GmemHold hold{};
  const Check check = hold_page(k, slot, gfn, hold, Check::kOk);
  if (check != Check::kOk) {
    const bool skips = row_of(check).kind == StatusKind::kSkipped;
    return {.check = skips ? check : fail(Check::kKernelWriteNoPage)};
  }
  // The GFN is shared, and the page a guest's still: it was converted while no slot showed it.
  if (is_in_place(k) && is_some_guests(k, hold.pfn)) {
    release_page(k, slot.gmem, hold.index, hold.pfn);
    return {.check = fail(Check::kKernelWriteNoPage)};
  }
  Gmem& gmem = k.gmems[slot.gmem];
  make_ready(k, gmem, hold.index);
  add_holder(k, hold.pfn, 1);
  return {.held = true, .gmem = slot.gmem, .index = hold.index, .pfn = hold.pfn};
}

/// get_user_pages() or kvm_vcpu_map(): the page behind a shared GFN that nobody is converting.
Target find(Kernel& k, const KernelWrite& op) {
  if (const Check gate = vm_gate(k, op.vm); gate != Check::kOk) return {.check = gate};
  Vm& vm = k.vm(op.vm);
  const SlotIndex index = find_slot(vm, 0, op.gfn);
  if (index == kNoSlot || vm.slots[index].invalid)
    return {.check = fail(Check::kKernelWriteNoPage)};
  const Memslot& slot = vm.slots[index];
  const bool converts = must_retry(vm, vm.invalidate_seq, op.gfn);
  const bool hidden = (vm.has_private_memory() && is_private(k, vm, op.gfn)) || converts;
  if (hidden || (slot.flags & kMemReadonly) != 0) return {.check = fail(Check::kKernelWriteNoPage)};
  if (slot.gmem_only) return find_in_file(k, slot, op.gfn);
  const std::uint64_t offset = (op.gfn - slot.base).value << kPageShift;
  HostPage* const page = touch_host_page(k, slot.hva + offset);
  if (page == nullptr) return {.check = fail(Check::kKernelWriteNoPage)};
  const bool held = is_pinned_backing(k);
  if (held && is_some_guests(k, page->pfn())) return {.check = fail(Check::kKernelWriteNoPage)};
  if (held) add_holder(k, page->pfn(), 1);
  return {.held = held, .index = *region_page_of(slot, op.gfn), .pfn = page->pfn()};
}

/// What user space has unmapped or discarded meanwhile is nobody's but the holder's: to write it
/// changes nothing that anybody sees.
bool is_there(const Kernel& k, const Target& target) {
  if (target.gmem != GmemRef::kNone || !target.held) return true;
  const HostPage& page = k.host_pages[target.index];
  return page.present() && page.pfn() == target.pfn;
}

/// Somebody has the set's lock: a conversion, or who maps or unmaps a page.
void count_lock(Kernel& k) {
  const bool locks = k.machine.header.policy.mapped_set_lock != MappedSetLock::kUnlocked;
  if (counts_mapped(k) && locks) ++k.path.set_locks;
}

/// One page more or less in the set. Who maps a page may not sleep: where the set's lock makes him
/// wait and is one that sleeps, that is the end ("scheduling while atomic").
void change_mapped_set(Kernel& k, const Target& target, int change) {
  add_mapping(k, target.pfn, change);
  count_lock(k);
  if (counts_mapped(k)) ++k.path.set_updates;
  if (counts_mapped(k) && k.mapped_set_locked != 0) kill_host(k, target.pfn);
}

/// kmap_local_page().
void map(Kernel& k, const Target& target) {
  if (target.held) change_mapped_set(k, target, 1);
}

/// host_fault=convert_back: the fault handler makes the frame the hypervisor's again, whosever it
/// is now, and the store is tried again.
void convert_back(Kernel& k, Pfn pfn) {
  split_entry_of(k, pfn);
  static_cast<void>(rmp_make_shared(k, pfn, PageSize::k4K));
}

void write(Kernel& k, const Target& target, std::uint64_t token) {
  if (k.snp.host_dead || !is_there(k, target)) return;
  const bool mends = policy(k) == HostFault::kConvertBack;
  if (mends && is_assigned(k, target.pfn)) convert_back(k, target.pfn);
  store_to_guest_page(k, target.pfn, token);
}

void let_go(Kernel& k, const Target& target) {
  if (!target.held) return;
  change_mapped_set(k, target, -1);
  add_holder(k, target.pfn, -1);
  if (target.gmem != GmemRef::kNone) release_page(k, target.gmem, target.index, target.pfn);
}

}  // namespace

bool keeps_shared(const Kernel& k, const HeldFrame& held) {
  switch (policy(k)) {
    case HostFault::kMappedSet:
      return held.mapped != 0;
    case HostFault::kMappedSetGup:
    case HostFault::kFolioRef:
      return held.holders != 0;
    case HostFault::kUpm:
    case HostFault::kUpmNoDirectMap:
    case HostFault::kNone:
    case HostFault::kConvertBack:
      break;
  }
  return false;
}

bool is_kept_shared(const Kernel& k, Pfn pfn) {
  if (k.machine.header.policy.mapped_set_lock == MappedSetLock::kUnlocked) return false;
  return std::ranges::any_of(k.held, [&](const HeldFrame& held) {
    return held.holders != 0 && held.pfn == pfn && keeps_shared(k, held);
  });
}

void lock_mapped_set(Kernel& k, int change) {
  if (change > 0) count_lock(k);
  if (k.machine.header.policy.mapped_set_lock != MappedSetLock::kSleep) return;
  k.set(k.mapped_set_locked, static_cast<std::uint8_t>(k.mapped_set_locked + change));
}

Outcome apply(Kernel& k, ActorId, const KernelWrite& op) {
  const Target target = find(k, op);
  if (target.check != Check::kOk) return answer(target.check);
  map(k, target);
  write(k, target, op.value.value);
  let_go(k, target);
  return {};
}

Task<Outcome> start(Kernel& k, ActorId, const KernelWrite& op) {
  const Target target = find(k, op);
  if (target.check != Check::kOk) co_return answer(target.check);
  if (target.held) {
    co_await point(k, Point::kKernelWriteFound);
  }
  map(k, target);
  if (target.held) {
    co_await point(k, Point::kKernelWriteMapped);
  }
  write(k, target, op.value.value);
  let_go(k, target);
  co_return Outcome{};
}

}  // namespace sluice::model
