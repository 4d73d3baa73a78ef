#include "model/host/fault.h"

#include <algorithm>

#include "model/host/adversity.h"
#include "model/host/apic_page.h"
#include "model/host/arch_hooks.h"
#include "model/host/attributes.h"
#include "model/host/guest_memfd.h"
#include "model/host/host_region.h"
#include "model/host/memslots.h"
#include "model/host/pinned.h"
#include "model/host/planted_effects.h"
#include "model/host/td_mirror.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

std::uint8_t address_space_of(const Vcpu& vcpu) { return vcpu.smm ? 1 : 0; }

FaultResult retry_because(RetryReason reason) {
  return {.status = FaultStatus::kRetry, .retry = reason};
}

/// A negative errno without an exit. Where the planted build switched the reason off, the fault
/// pretends to be done.
FaultResult error_of(Check check) {
  if (row_of(check).kind != StatusKind::kSkipped && fail(check) == Check::kOk) {
    return {.status = FaultStatus::kFixed};
  }
  return {.status = FaultStatus::kError, .check = check};
}

/// kvm_mmu_prepare_memory_fault_exit() and the errno of `check`.
FaultResult memory_fault(const PageFault& fault, Check check) {
  FaultResult result = error_of(check);
  if (result.status == FaultStatus::kError && row_of(check).kind != StatusKind::kSkipped) {
    result.exit = {.reason = kExitMemoryFault,
                   .flags = fault.is_private ? kMemoryFaultPrivate : 0,
                   .gpa = address_of(fault.gfn).value,
                   .size = kPageBytes};
    const bool flips = check == Check::kFaultMismatch && planted(Planted::kMismatchSaysAttribute);
    if (flips) result.exit.flags ^= kMemoryFaultPrivate;
    if (planted(Planted::kMemoryFaultIsBlockSized)) result.exit.size = kBytesPer2M;
  }
  return result;
}

FaultResult emulate(const PageFault& fault, Check check) {
  if (fail(check) == Check::kOk) return {.status = FaultStatus::kFixed};
  return {.status = FaultStatus::kEmulate,
          .check = check,
          .exit = {.reason = kExitMmio, .gpa = address_of(fault.gfn).value}};
}

bool has_private_attribute(const Kernel& k, const Vm& vm, Gfn gfn) {
  return vm.has_private_memory() && is_private(k, vm, gfn);
}

/// fast_page_fault(): a write to a leaf that may become writable without a look-up.
FaultStatus try_fast(Kernel& k, Vm& vm, const Vcpu& vcpu, const PageFault& fault) {
  if (!fault.present || !fault.write || !has_valid_root(k, vcpu)) return FaultStatus::kInvalid;
  const bool mismatch = fault.is_private != has_private_attribute(k, vm, fault.gfn);
  if (mismatch && !planted(Planted::kFastIgnoresMismatch)) return FaultStatus::kInvalid;
  const Walk at = walk(k, vm.roots[vcpu.root], fault.gfn);
  if (!at.spte.present()) return FaultStatus::kInvalid;
  if (at.spte.writable()) return FaultStatus::kSpurious;
  if ((at.spte.word & Spte::kMmuWritable) == 0) return FaultStatus::kInvalid;
  k.set(k.nodes.word(at.node, at.slot), at.spte.word | Spte::kWritable);
  return FaultStatus::kFixed;
}

/// get_user_pages() of the page behind a shared GFN.
FaultResult look_up_host_page(Kernel& k, const Vm& vm, const Memslot& slot, PageFault& fault) {
  const bool readonly = (slot.flags & kMemReadonly) != 0;
  if (readonly && fault.write) return emulate(fault, Check::kFaultReadonly);
  const std::uint64_t offset = (fault.gfn - slot.base).value << kPageShift;
  if (fault.prefetch && planted(Planted::kFaultMovesHostPage)) {
    move_host_page(k, slot.hva + offset);
  }
  HostPage* const page = touch_host_page(k, slot.hva + offset);
  if (page == nullptr && slot.id == kApicAccessSlot) {
    fault.pfn = vm.apic_frame;
    fault.map_writable = true;
    fault.max_level = MapLevel::k4K;
    return {};
  }
  if (page == nullptr) {
    const bool poisoned = is_poisoned(k, slot.hva + offset);
    return error_of(poisoned ? Check::kFaultHvaPoisoned : Check::kFaultHvaUnmapped);
  }
  fault.pfn = page->pfn();
  // Assumption: the harness populates its host region, so no shared page is the zero page.
  fault.map_writable = !readonly;
  fault.max_level = page->large() ? MapLevel::k2M : MapLevel::k4K;
  return {};
}

/// kvm_mmu_hugepage_adjust(): kvm.md 6.
MapLevel goal_level(const Kernel& k, const Vm& vm, const Memslot& slot, const PageFault& fault) {
  if (slot.logs() && !planted(Planted::kLoggedSlotMapsHuge)) return MapLevel::k4K;
  for (MapLevel level = fault.max_level; level > MapLevel::k4K; level = below(level)) {
    if (!is_lpage_disallowed(k, vm, slot, fault.gfn, level)) return level;
  }
  return MapLevel::k4K;
}

/// Step 9: the slot is that of the APIC-access page, and this vCPU may not have it mapped.
bool meets_hidden_apic(const Kernel& k, const Vm& vm, const Vcpu& vcpu, const Memslot& slot) {
  if (slot.id != kApicAccessSlot || planted(Planted::kApicPageIsOrdinary)) return false;
  return vcpu.guest_mode != GuestMode::kNone || !is_apicv_active(k, vm);
}

bool is_from_gmem(const Kernel& k, const Memslot& slot, const PageFault& fault) {
  return (fault.is_private && !is_pinned_backing(k)) || slot.gmem_only;
}

/// The fault's slot with its file as of now: the file's last close takes itself from the slot that
/// it was bound to, whoever has a pointer to it.  Pre: found and not INVALID, so that no other slot
/// takes its place before this reader is done.
const Memslot& with_file(const Vm& vm, PageFault& fault) {
  fault.memslot.gmem = vm.slots[fault.slot].gmem;
  return fault.memslot;
}

/// mmu_invalidate_retry_gfn(), and whether any attempt met one.
bool meets_invalidation(const Vm& vm, PageFault& fault) {
  const bool compares = !fault.met_invalidation || !planted(Planted::kPreFaultChecksRetryOnce);
  if (!compares && vm.invalidate_in_progress == 0) return false;
  const bool meets = must_retry(vm, fault.seq, fault.gfn);
  fault.met_invalidation = fault.met_invalidation || meets;
  return meets;
}

}  // namespace

FaultResult fault_begin(Kernel& k, Vcpu& vcpu, PageFault& fault) {
  Vm& vm = k.vm(vcpu.vm);
  if (!vm.has_private_memory()) fault.is_private = false;
  if (vm.type == VmType::kSwProtected && !fault.prefetch) {
    // A fault with a reserved bit KVM never calls private (Linux kvm_mmu_page_fault(): "emulated
    // MMIO is shared-only"). So a page that became private over a stale MMIO entry is reported as a
    // shared fault, time and again, until the entry goes: neither a conversion nor a new slot takes
    // it away.
    // Assumption: kernels after 6.12 call such a fault shared, too; read and seen in 6.12 only.
    fault.is_private = is_private(k, vm, fault.gfn) && !fault.reserved;
  }
  if (vm.sev.active && !fault.prefetch && planted(Planted::kFaultIgnoresCBit)) {
    fault.is_private = !is_private(k, vm, fault.gfn);
  }
  const bool wrong_space = fault.prefetch && planted(Planted::kPreFaultForgetsSmm);
  fault.slot = find_slot(vm, wrong_space ? 0 : address_space_of(vcpu), fault.gfn);
  if (fault.slot != kNoSlot) fault.memslot = vm.slots[fault.slot];
  fault.goal_level = MapLevel::k4K;
  fault.max_level = MapLevel::k1G;
  fault.has_folio = false;
  const FaultStatus fast = try_fast(k, vm, vcpu, fault);
  if (fast != FaultStatus::kInvalid) return {.status = fast};
  const Check no_memory = check_allocation(k, Check::kFaultNoMemory);  // step 4
  return no_memory == Check::kOk ? FaultResult{} : error_of(no_memory);
}

Check reload_root(Kernel& k, Vcpu& vcpu) {
  if (has_valid_root(k, vcpu)) {
    if (vcpu.previous_root != kNoRootIndex) free_obsolete_roots(k, vcpu);
    return Check::kOk;
  }
  if (const Check check = check_allocation(k, Check::kFaultNoMemory); check != Check::kOk) {
    return check;
  }
  load_root(k, vcpu);
  return Check::kOk;
}

void fault_snapshot(const Kernel& k, const Vcpu& vcpu, PageFault& fault) {
  if (fault.has_snapshot && planted(Planted::kRetryKeepsSnapshot)) return;
  fault.has_snapshot = true;
  fault.seq = k.vm(vcpu.vm).invalidate_seq;
}

FaultResult fault_check(Kernel& k, Vcpu& vcpu, PageFault& fault) {
  Vm& vm = k.vm(vcpu.vm);
  if (fault.is_private != has_private_attribute(k, vm, fault.gfn)) {  // step 6
    return memory_fault(fault, Check::kFaultMismatch);
  }
  if (fault.slot == kNoSlot) {  // step 7
    if (fault.is_private) return memory_fault(fault, Check::kFaultPrivateNoSlot);
    if (fault.gfn > max_gfn(k)) return emulate(fault, Check::kFaultMmio);
    return {};
  }
  if (fault.memslot.invalid) {  // step 8
    if (fault.prefetch && behavior::prefault_eagain_on_invalid_slot(k.version()) &&
        !planted(Planted::kPreFaultRetriesDeletedSlot)) {
      return error_of(Check::kPreFaultSlotInvalid);
    }
    return retry_because(RetryReason::kSlotInvalid);
  }
  if (meets_hidden_apic(k, vm, vcpu, fault.memslot)) {
    // Inhibited, it is emulated, and nothing is cached that would have to go when it no longer is.
    if (vcpu.guest_mode == GuestMode::kNone) {
      return fault.is_private ? memory_fault(fault, Check::kFaultPrivateEmulated)  // step 15
                              : FaultResult{.status = FaultStatus::kEmulate};
    }
    fault.slot = kNoSlot;  // L1's page is none of L2's: as where no slot is, in L2's root
    return fault.is_private ? memory_fault(fault, Check::kFaultPrivateNoSlot) : FaultResult{};
  }
  if (meets_invalidation(vm, fault)) return retry_because(RetryReason::kInvalidation);
  return {};
}

FaultResult fault_look_up(Kernel& k, Vcpu& vcpu, PageFault& fault) {
  Vm& vm = k.vm(vcpu.vm);
  const Memslot& slot = with_file(vm, fault);
  FaultResult result{};
  if (!is_from_gmem(k, slot, fault)) {
    result = look_up_host_page(k, vm, slot, fault);
    const bool pins = is_pinned_backing(k) && result.status == FaultStatus::kContinue;
    const Check check = pins ? prepare_pinned(k, vm, fault) : Check::kOk;
    if (check != Check::kOk) return memory_fault(fault, check);
  } else if (!slot.has_gmem()) {
    return memory_fault(fault, Check::kFaultPrivateNoGmem);
  } else {
    GmemHold hold{};
    const Check check = hold_page(k, slot, fault.gfn, hold);
    if (check != Check::kOk) return memory_fault(fault, check);
    fault.has_folio = true;
    fault.gmem = slot.gmem;
    fault.gmem_index = hold.index;
    fault.pfn = hold.pfn;
    fault.map_writable = (slot.flags & kMemReadonly) == 0;
    fault.max_level = hold.max_level;
  }
  if (planted(Planted::kSnapshotTakenLate)) fault.seq = vm.invalidate_seq;
  return result;
}

FaultResult fault_prepare(Kernel& k, Vcpu& vcpu, PageFault& fault) {
  Vm& vm = k.vm(vcpu.vm);
  if (fault.has_folio) {
    GmemHold hold{.pfn = fault.pfn, .max_level = fault.max_level, .index = fault.gmem_index};
    const Check check = prepare_page(k, vm, with_file(vm, fault), fault.gfn, hold);
    if (check != Check::kOk) {
      fault_release(k, fault);
      return memory_fault(fault, check);
    }
    fault.max_level = hold.max_level;
    const unsigned cap = private_max_mapping_level(k, vm, fault.pfn);
    if (cap != 0) fault.max_level = std::min(fault.max_level, static_cast<MapLevel>(cap));
  }
  if (meets_invalidation(vm, fault)) {  // step 12
    fault_release(k, fault);
    return retry_because(RetryReason::kInvalidation);
  }
  return {};
}

bool fault_is_stale(const Kernel& k, const Vcpu& vcpu, PageFault& fault) {
  const bool looks = vcpu.root == kNoRootIndex || !planted(Planted::kStaleRootIsOverlooked);
  if (looks && !has_valid_root(k, vcpu)) return true;
  return fault.slot != kNoSlot && meets_invalidation(k.vm(vcpu.vm), fault);
}

// Deviation: from 6.14 on a leaf that is there makes the fault spurious at once, with a progress of
// 4 KiB, as kvm.md 4 has it. In Linux tdp_mmu_map_handle_target_level() asks at the goal level: a
// table there gives way to the huge leaf, and the progress is the block's.
FaultResult fault_install(Kernel& k, Vcpu& vcpu, PageFault& fault) {
  Vm& vm = k.vm(vcpu.vm);
  const std::uint8_t root_index = root_for(vm, vcpu, fault.is_private);
  if (behavior::prefault_present_leaf_is_spurious(k.version())) {
    const LeafView leaf = lookup_leaf(k, vm, root_index, fault.gfn);
    const bool allowed = fault.prefetch || !fault.write || leaf.writable;
    if (leaf.present && allowed) return {.status = FaultStatus::kSpurious};
  }
  if (fault.slot == kNoSlot) {
    // Over a leaf, too, that another vCPU has put there since a slot appeared, and nobody flushes
    // (docs/findings.md 3). A root that does not reach the GFN cannot cache that there is nothing.
    const Root& root = vm.roots[vcpu.root];
    if (fault.gfn.value >> (9 * root.level) == 0) map_mmio(k, vm, vcpu.root, fault.gfn);
    return emulate(fault, Check::kFaultMmio);
  }
  fault.goal_level = goal_level(k, vm, fault.memslot, fault);
  const bool beside = planted(Planted::kLongRootMapsNeighbor) && vm.roots[vcpu.root].level == 5;
  const bool elsewhere = fault.prefetch && vcpu.previous_root != kNoRootIndex &&
                         planted(Planted::kPreFaultFillsPreviousRoot);
  const MapResult mapped = map_leaf(k, vm, elsewhere ? vcpu.previous_root : root_index,
                                    {.gfn = fault.gfn,
                                     .pfn = beside ? fault.pfn + PageCount{1} : fault.pfn,
                                     .level = fault.goal_level,
                                     .writable = fault.map_writable,
                                     .prefetch = fault.prefetch,
                                     .write = fault.write,
                                     .seq = fault.seq});
  const bool external = mapped == MapResult::kFixed && vm.roots[root_index].mirror;
  if (external) install_private(k, vm, fault.gfn, fault.pfn);
  plant_in_install(k, vm, vcpu, fault);
  return {.status = mapped == MapResult::kFixed ? FaultStatus::kFixed : FaultStatus::kSpurious};
}

void fault_release(Kernel& k, PageFault& fault) {
  if (!fault.has_folio) return;
  release_page(k, fault.gmem, fault.gmem_index, fault.pfn);
  fault.has_folio = false;
}

FaultResult handle_fault(Kernel& k, Vcpu& vcpu, PageFault& fault) {
  FaultResult result = fault_begin(k, vcpu, fault);
  if (result.status != FaultStatus::kContinue) return result;
  fault_snapshot(k, vcpu, fault);
  result = fault_check(k, vcpu, fault);
  if (result.status != FaultStatus::kContinue) return result;
  if (fault.slot != kNoSlot) {
    result = fault_look_up(k, vcpu, fault);
    if (result.status != FaultStatus::kContinue) return result;
    result = fault_prepare(k, vcpu, fault);
    if (result.status != FaultStatus::kContinue) return result;
  }
  if (fault_is_stale(k, vcpu, fault)) {
    fault_release(k, fault);
    return retry_because(RetryReason::kRootObsolete);
  }
  result = fault_install(k, vcpu, fault);
  fault_release(k, fault);
  return result;
}

namespace {

/// rmpupdate() goes round once more, because another processor is in the way of the page that the
/// fault prepares.
// Deviation: in Linux the folio is locked meanwhile. Here whoever would wait for it goes first, and
// the fault looks at the page anew, as if it had come to the lock later.
bool meets_contention(Kernel& k, const Vm& vm, PageFault& fault) {
  if (!fault.has_folio || !k.machine.rmp.is_contended()) return false;
  const GmemHold hold{.pfn = fault.pfn, .max_level = fault.max_level, .index = fault.gmem_index};
  if (!updates_rmp(k, vm, with_file(vm, fault), fault.gfn, hold)) return false;
  k.machine.rmp.pass_contention(k.machine.journal);
  return true;
}

}  // namespace

Task<FaultResult> start_fault(Kernel& k, VcpuIndex index, PageFault& fault) {
  Vcpu& vcpu = k.vcpu(index);
  const LockId mmu = mmu_lock(vcpu.vm);
  const FaultResult begun = fault_begin(k, vcpu, fault);
  if (begun.status != FaultStatus::kContinue) co_return begun;
  co_await point(k, Point::kFaultAfterSlotLookup);
  fault_snapshot(k, vcpu, fault);
  co_await point(k, Point::kFaultAfterSnapshot);
  const FaultResult checked = fault_check(k, vcpu, fault);
  if (checked.status != FaultStatus::kContinue) co_return checked;
  co_await point(k, Point::kFaultAfterAttributeCheck);
  if (fault.slot != kNoSlot) {
    const std::uint8_t gmem = fault.memslot.gmem;
    if (planted(Planted::kGmemLockOverGracePeriod) && gmem != GmemRef::kNone) {
      co_await lock_shared(k, invalidate_lock(GmemIndex{gmem}));
      unlock(k, invalidate_lock(GmemIndex{gmem}));
    }
    const FaultResult found = fault_look_up(k, vcpu, fault);
    if (found.status != FaultStatus::kContinue) co_return found;
    if (fault.has_folio) {
      co_await point(k, Point::kGmemFolioFound);
    }
    while (meets_contention(k, k.vm(vcpu.vm), fault)) {
      co_await point(k, Point::kRmpUpdateContended);
    }
    const FaultResult ready = fault_prepare(k, vcpu, fault);
    if (ready.status != FaultStatus::kContinue) co_return ready;
    co_await point(k, Point::kFaultAfterPfn);
  }
  co_await lock_shared(k, mmu);
  if (fault_is_stale(k, vcpu, fault)) {
    const bool obsolete = !has_valid_root(k, vcpu);
    unlock(k, mmu);
    fault_release(k, fault);
    co_return retry_because(obsolete ? RetryReason::kRootObsolete : RetryReason::kInvalidation);
  }
  co_await point(k, Point::kFaultUnderMmuLock);
  const FaultResult done = fault_install(k, vcpu, fault);
  unlock(k, mmu);
  fault_release(k, fault);
  co_return done;
}

bool meets_mmio_entry(const Kernel& k, const Vcpu& vcpu, Gfn gfn) {
  return has_valid_root(k, vcpu) && walk(k, k.vm(vcpu.vm).roots[vcpu.root], gfn).spte.mmio();
}

bool is_cached_mmio(const Kernel& k, const Vcpu& vcpu, Gfn gfn) {
  if (!has_valid_root(k, vcpu)) return false;
  return lookup_leaf(k, k.vm(vcpu.vm), vcpu.root, gfn).mmio;
}

}  // namespace sluice::model
