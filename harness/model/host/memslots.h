// Memslots: look-up, and KVM_SET_USER_MEMORY_REGION2 (kvm.md 2; Linux kvm_main.c
// __kvm_set_memory_region(), kvm_set_memslot()).
#pragma once
#include "model/host/invalidation.h"
#include "model/host/kernel.h"

namespace sluice::model {

/// gfn_to_memslot(): the slot that holds the GFN, kNoSlot if none; a slot under deletion is found.
SlotIndex find_slot(const Vm& vm, std::uint8_t address_space, Gfn gfn);
/// The slot of this address space and id, kNoSlot if none.
SlotIndex find_slot_id(const Vm& vm, std::uint8_t address_space, std::uint16_t id);

/// Address spaces that a VM of this kind has (kvm_arch_nr_memslot_as_ids()).
unsigned address_space_count(const Kernel& k, const Vm& vm);
/// kvm_mmu_max_gfn(): the last GFN that a slot may hold.
Gfn max_gfn(const Kernel& k);

/// lpage_info: true if no mapping of this level may cover the GFN: the block is not whole in the
/// slot, slot and host address are not congruent, or it is mixed.  Pre: level above 4K.
bool is_lpage_disallowed(const Kernel& k, const Vm& vm, const Memslot& slot, Gfn gfn,
                         MapLevel level);

/// kvm_set_internal_memslot(): a slot of KVM's own comes, which user space cannot name.  Pre:
/// nothing is there; slots_lock held, nobody reads slots.
void add_own_slot(Kernel& k, Vm& vm, const Memslot& next);

/// Visits the used slots of a VM: visit(SlotIndex, const Memslot&).
template <class Visit>
void for_each_slot(const Vm& vm, Visit&& visit) {
  for (std::uint64_t i = 0; i < vm.slot_high_water; ++i) {
    if (vm.slots[i].used) visit(static_cast<SlotIndex>(i), vm.slots[i]);
  }
}

/// The slots of all address spaces that the range overlaps.  Cost: O(slots of the VM).
SlotMask slots_in(const Vm& vm, const GfnRange& range);

/// Frees all slots: VM destruction.  Pre: no bindings are left.
void free_slots(Kernel& k, Vm& vm);

}  // namespace sluice::model
