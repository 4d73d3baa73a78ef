// The invalidation protocol between those who take mappings away and those who install them
// (kvm.md 5, "Retry predicate"; Linux kvm_mmu_invalidate_begin/range_add/end,
// mmu_invalidate_retry_gfn). All of it runs under mmu_lock held for writing, except the reads of a
// fault, which hold it for reading.
#pragma once
#include "model/host/kernel.h"

namespace sluice::model {

/// GFNs [first, last).
struct GfnRange {
  Gfn first{};
  Gfn last{};
  constexpr bool empty() const { return first >= last; }
  constexpr PageCount count() const { return last - first; }
  constexpr bool overlaps(const GfnRange& other) const {
    return first < other.last && other.first < last;
  }
  /// The part of this range inside `other`; empty if none.
  constexpr GfnRange clip(const GfnRange& other) const {
    return {.first = first > other.first ? first : other.first,
            .last = last < other.last ? last : other.last};
  }
};
inline GfnRange range_of(const Memslot& slot) { return {.first = slot.base, .last = slot.end()}; }

/// Slots of a VM, a bit each by SlotIndex: those that an invalidation concerns.
using SlotMask = std::uint64_t;
static_assert(kMaxSlotsPerVm <= 64);
constexpr SlotMask mask_of(SlotIndex slot) { return SlotMask{1} << slot; }
/// What the begin of an invalidation has done: the slots it concerns, none if it did not begin, and
/// whether it zapped something, so that a flush is owed before mmu_lock is dropped.
struct Begun {
  SlotMask slots = 0;
  bool flush = false;
};
/// What an invalidation that others could interrupt found at its two ends (I5).
void note_slots(Kernel& k, const Vm& vm, SlotMask at_begin, SlotMask at_end);

/// in_progress + 1; the first one forgets the range of earlier invalidations.
void invalidate_begin(Kernel& k, Vm& vm);
/// Widens the range that faults must stay out of to its union with `range`.
void invalidate_range_add(Kernel& k, Vm& vm, const GfnRange& range);
/// seq + 1, in_progress - 1.  Pre: begun.
void invalidate_end(Kernel& k, Vm& vm);

/// True if a fault on `gfn` that read `seq` must start over.  Cost: three compares.
bool must_retry(const Vm& vm, std::uint64_t seq, Gfn gfn);

/// kvm_zap_gfn_range(): begin, zap in every root of every address space, flush, end.  The RMP
/// fix-up uses it (snp_host.md 4 row 7).
void zap_gfn_range(Kernel& k, Vm& vm, const GfnRange& range);
/// Its two halves: up to the zap, true if a flush is owed; and the flush and the end.
bool zap_gfn_range_begin(Kernel& k, Vm& vm, const GfnRange& range);
void zap_gfn_range_end(Kernel& k, Vm& vm, bool flush);

}  // namespace sluice::model
