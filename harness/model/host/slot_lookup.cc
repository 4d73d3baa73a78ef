// Questions about memslots: where a GFN lies, what may be mapped there (kvm.md 2, 6).
#include "model/host/attributes.h"
#include "model/host/memslots.h"

namespace sluice::model {
SlotIndex find_slot(const Vm& vm, std::uint8_t address_space, Gfn gfn) {
  for (std::uint64_t i = 0; i < vm.slot_high_water; ++i) {
    const Memslot& slot = vm.slots[i];
    if (slot.used && slot.address_space == address_space && slot.contains(gfn)) {
      return static_cast<SlotIndex>(i);
    }
  }
  return kNoSlot;
}

SlotIndex find_slot_id(const Vm& vm, std::uint8_t address_space, std::uint16_t id) {
  for (std::uint64_t i = 0; i < vm.slot_high_water; ++i) {
    const Memslot& slot = vm.slots[i];
    if (slot.used && slot.address_space == address_space && slot.id == id) {
      return static_cast<SlotIndex>(i);
    }
  }
  return kNoSlot;
}

SlotMask slots_in(const Vm& vm, const GfnRange& range) {
  SlotMask slots = 0;
  for_each_slot(vm, [&](SlotIndex i, const Memslot& slot) {
    if (range.overlaps(range_of(slot))) slots |= mask_of(i);
  });
  return slots;
}

unsigned address_space_count(const Kernel& k, const Vm& vm) {
  const bool one = vm.has_private_memory() && !planted(Planted::kPrivateVmHasSmm);
  return !one && k.machine.profile.smm_address_space ? 2 : 1;
}

Gfn max_gfn(const Kernel& k) { return max_gfn(k.machine.profile); }

// Assumption: a slot that takes all its pages from a file is congruent, or not, by its user address
// as others are; kvm.md 2 leaves open whether the offset in the file counts from 6.17 on.
bool is_lpage_disallowed(const Kernel& k, const Vm& vm, const Memslot& slot, Gfn gfn,
                         MapLevel level) {
  const std::uint64_t frames = frames_in(level);
  const Gfn first = gfn.align_down(frames);
  if (planted(Planted::kHugeLeafBeyondSlot)) return false;
  if (first < slot.base || first + PageCount{frames} > slot.end()) return true;
  if (((slot.base.value ^ (slot.hva >> kPageShift)) & (frames - 1)) != 0) return true;
  if (planted(Planted::kHugeLeafOverMixed)) return false;
  return vm.has_private_memory() && is_mixed(k, vm, level, gfn);
}

}  // namespace sluice::model
