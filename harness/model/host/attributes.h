// Memory attributes: which GFNs are private, and which blocks are mixed (kvm.md 3; Linux
// kvm_vm_set_mem_attributes(), kvm_arch_pre/post_set_memory_attributes()).
//
// The attribute xarray is a tree whose entries above the lowest level may stand for a uniform
// range, so that converting 1 TiB costs what converting its two edges costs. Mixed bits are stored
// apart from it, as the kernel stores them in lpage_info: they can go wrong on their own.
#pragma once
#include <bit>
#include <optional>

#include "model/host/invalidation.h"
#include "model/host/kernel.h"

namespace sluice::model {

/// Attributes reach GFN 2^52, beyond MAXPHYADDR.
inline constexpr Gfn kGfnLimit{std::uint64_t{1} << 52};

/// kvm_mem_is_private().  Cost: three loads below 32 TiB.
bool is_private(const Kernel& k, const Vm& vm, Gfn gfn);
/// What the store holds for a GFN, for checkers.
AttributeView stored_attribute(const Kernel& k, const Vm& vm, Gfn gfn);
/// kvm_range_has_memory_attributes(): every GFN of the range has this attribute.
bool range_is(const Kernel& k, const Vm& vm, const GfnRange& range, bool is_private);

/// Writes the attribute and logs what changed.  Cost: at most 2 x 512 words a level.
void store_attributes(Kernel& k, Vm& vm, const GfnRange& range, bool is_private);

/// The mixed bit of the block of this level that holds `gfn`.  Pre: level above 4K.
bool is_mixed(const Kernel& k, const Vm& vm, MapLevel level, Gfn gfn);
/// The first GFN of the first mixed block of this level that begins in the range, for checkers.
std::optional<Gfn> next_mixed(const Kernel& k, const Vm& vm, MapLevel level,
                              const GfnRange& within);
/// kvm_arch_post_set_memory_attributes() for the part of the range in one slot.
void update_mixed(Kernel& k, Vm& vm, const Memslot& slot, const GfnRange& range, bool is_private);
/// kvm_mmu_init_memslot_memory_attributes(): the mixed bits of a slot that appears.
void init_mixed(Kernel& k, Vm& vm, const Memslot& slot);
/// The mixed bits of a slot that goes.
void forget_mixed(Kernel& k, Vm& vm, const Memslot& slot);
/// The range that faults must stay out of while `range` of a slot is converted: with the whole
/// blocks at its edges, since those are about to become mixed (bugs.md 10).
GfnRange range_under_conversion(const Kernel& k, const Vm& vm, const Memslot& slot,
                                const GfnRange& range);

/// Forgets everything: VM destruction.
void free_attributes(Kernel& k, Vm& vm);

/// The first private range inside `within`, cut to it; empty (at its end) if there is none.
GfnRange next_private_range(const Kernel& k, const Vm& vm, const GfnRange& within);

}  // namespace sluice::model
