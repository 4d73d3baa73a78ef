// KVM_SET_MEMORY_ATTRIBUTES: pre, store and post (kvm.md 3).
#include "model/host/attributes.h"

#include "model/host/adversity.h"
#include "model/host/guest_memfd.h"
#include "model/host/handlers.h"
#include "model/host/in_place.h"
#include "model/host/kernel_write.h"
#include "model/host/memslots.h"
#include "model/host/planted_effects.h"
#include "model/host/tdp_mmu.h"
#include "model/schedule/scheduler.h"

namespace sluice::model {
namespace {

bool is_aligned(std::uint64_t bytes) { return (bytes & (kPageBytes - 1)) == 0; }

Check check_arguments(const Kernel& k, const Vm& vm, const SetMemoryAttributes& op) {
  if (!k.machine.profile.memory_attributes) return Check::kAttributesUnsupported;
  if (op.flags.value != 0) return Check::kAttributesFlags;
  const std::uint64_t known = vm.has_private_memory() ? kAttributePrivate : 0;
  if ((op.attributes.value & ~known) != 0) return Check::kAttributesValue;
  const bool wraps = op.address.value + op.size.value < op.address.value;
  if (op.size.value == 0 || wraps) return Check::kAttributesWraps;
  if (!is_aligned(op.address.value) || !is_aligned(op.size.value)) {
    return Check::kAttributesUnaligned;
  }
  return Check::kOk;
}

struct Conversion {
  GfnRange range{};
  bool to_private = false;
};
Conversion conversion_of(const SetMemoryAttributes& op) {
  return {.range = {.first = {op.address.value >> kPageShift},
                    .last = {(op.address.value + op.size.value) >> kPageShift}},
          .to_private = (op.attributes.value & kAttributePrivate) != 0};
}

/// Row 6: nothing to do, and nothing may be seen to happen.
bool is_done_already(const Kernel& k, const Vm& vm, const Conversion& c) {
  if (planted(Planted::kAttributesAlwaysInvalidate)) return false;
  return range_is(k, vm, c.range, c.to_private);
}

/// Row 7: xa_reserve() of every GFN. What was reserved before one fails stays reserved, which reads
/// as shared.
Check reserve_entries(Kernel& k, Vm& vm, const Conversion& c) {
  const Check check = check_allocation(k, Check::kAttributesNoMemory);
  if (check != Check::kOk && planted(Planted::kNoMemoryConvertsFirst)) {
    store_attributes(k, vm, {.first = c.range.first, .last = c.range.first + PageCount{1}},
                     c.to_private);
  }
  return check;
}

Check checked(Kernel& k, Vm& vm, const SetMemoryAttributes& op) {
  const Conversion c = conversion_of(op);
  return plant_in_refusal(k, vm, c.range, c.to_private, check_arguments(k, vm, op));
}

/// kvm_pre_set_memory_attributes(), under mmu_lock.
Begun begin_conversion(Kernel& k, Vm& vm, const Conversion& c) {
  Begun begun{};
  for_each_slot(vm, [&](SlotIndex i, const Memslot& slot) {
    const GfnRange part = c.range.clip(range_of(slot));
    if (part.empty()) return;
    if (begun.slots == 0) invalidate_begin(k, vm);
    begun.slots |= mask_of(i);
    invalidate_range_add(k, vm, range_under_conversion(k, vm, slot, part));
    if (!planted(Planted::kAttributesSkipZap)) {
      const ZapFilter old = c.to_private ? ZapFilter::kShared : ZapFilter::kPrivate;
      begun.flush |= zap_leaves(k, vm, slot.address_space, part, old);
    }
  });
  return begun;
}
void flush_conversion(Kernel& k, const Vm& vm, const Begun& begun) {
  if (begun.flush && !planted(Planted::kAttributesSkipFlush)) flush_remote_tlbs(k, vm);
}

/// The end of the invalidation, and kvm_arch_post_set_memory_attributes(), under mmu_lock.
void end_conversion(Kernel& k, Vm& vm, const Conversion& c) {
  invalidate_end(k, vm);
  for_each_slot(vm, [&](SlotIndex, const Memslot& slot) {
    const GfnRange part = c.range.clip(range_of(slot));
    if (part.empty()) return;
    update_mixed(k, vm, slot, part, c.to_private);
    if (!c.to_private) plant_in_conversion(k, vm, slot, part.first);
  });
}

}  // namespace

Outcome apply(Kernel& k, ActorId, const SetMemoryAttributes& op) {
  if (const Check gate = vm_gate(k, op.vm); gate != Check::kOk) return answer(gate);
  Vm& vm = k.vm(op.vm);
  const Check check = checked(k, vm, op);
  if (check != Check::kOk) return refuse(check);
  const Conversion conversion = conversion_of(op);
  if (is_done_already(k, vm, conversion)) return {};
  const Check reserved = reserve_entries(k, vm, conversion);
  if (reserved != Check::kOk) return refuse(reserved);
  const Check busy = check_conversion(k, vm, conversion.range, conversion.to_private);
  if (busy != Check::kOk) return refuse(busy);
  const Begun begun = begin_conversion(k, vm, conversion);
  flush_conversion(k, vm, begun);
  convert_pages(k, vm, conversion.range, conversion.to_private);
  store_attributes(k, vm, conversion.range, conversion.to_private);
  if (begun.slots != 0) end_conversion(k, vm, conversion);
  return {};
}

Task<Outcome> start(Kernel& k, ActorId, const SetMemoryAttributes& op) {
  const Check gate = vm_gate(k, op.vm);
  if (gate != Check::kOk) co_return answer(gate);
  Vm& vm = k.vm(op.vm);
  const Check check = checked(k, vm, op);
  if (check != Check::kOk) co_return refuse(check);
  const Conversion conversion = conversion_of(op);
  const LockId mmu = mmu_lock(op.vm);
  co_await lock(k, slots_lock(op.vm));
  if (is_done_already(k, vm, conversion)) {
    unlock(k, slots_lock(op.vm));
    co_return Outcome{};
  }
  const Check reserved = reserve_entries(k, vm, conversion);
  if (reserved != Check::kOk) {
    unlock(k, slots_lock(op.vm));
    co_return refuse(reserved);
  }
  lock_mapped_set(k, 1);
  // Slots cannot change under slots_lock: where none is concerned, mmu_lock is not taken.
  const bool concerns_slots = slots_in(vm, conversion.range) != 0;
  if (concerns_slots) {
    co_await lock(k, mmu);
  }
  const Check busy = check_conversion(k, vm, conversion.range, conversion.to_private);
  if (busy != Check::kOk) {
    if (concerns_slots) unlock(k, mmu);
    lock_mapped_set(k, -1);
    unlock(k, slots_lock(op.vm));
    co_return refuse(busy);
  }
  if (k.machine.header.policy.mapped_set_lock == MappedSetLock::kUnlocked) {
    co_await point(k, Point::kMappedSetAsked);
  }
  const Begun begun = begin_conversion(k, vm, conversion);
  if (begun.flush && has_translations(k, vm)) {
    co_await point(k, Point::kZapBeforeFlush);
  }
  flush_conversion(k, vm, begun);
  if (concerns_slots) unlock(k, mmu);
  co_await point(k, Point::kAttributesAfterPre);
  convert_pages(k, vm, conversion.range, conversion.to_private);
  store_attributes(k, vm, conversion.range, conversion.to_private);
  lock_mapped_set(k, -1);
  co_await point(k, Point::kAttributesAfterStore);
  note_slots(k, vm, begun.slots, slots_in(vm, conversion.range));
  if (begun.slots != 0) {
    co_await lock(k, mmu);
    end_conversion(k, vm, conversion);
    unlock(k, mmu);
  }
  unlock(k, slots_lock(op.vm));
  co_return Outcome{};
}

}  // namespace sluice::model
