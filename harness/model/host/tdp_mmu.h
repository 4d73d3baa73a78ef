// Nested page tables: radix tables of 512 entries under roots that vCPUs of equal role share
// (kvm.md 6, 7; Linux arch/x86/kvm/mmu/tdp_mmu.c, spte.c make_spte()). Left out: the frozen SPTE,
// since a step between two points is atomic here, and NX huge pages.
#pragma once
#include <optional>

#include "model/host/invalidation.h"
#include "model/host/kernel.h"

namespace sluice::model {

/// One page-table entry. Non-present and not MMIO is 0.
struct Spte {
  static constexpr std::uint64_t kPresent = std::uint64_t{1} << 0;
  static constexpr std::uint64_t kWritable = std::uint64_t{1} << 1;
  static constexpr std::uint64_t kAccessed = std::uint64_t{1} << 5;
  static constexpr std::uint64_t kDirty = std::uint64_t{1} << 6;
  static constexpr std::uint64_t kLarge = std::uint64_t{1} << 7;
  static constexpr std::uint64_t kMmio = std::uint64_t{1} << 8;  // bits 12-63: memslot generation
  static constexpr std::uint64_t kMmuWritable = std::uint64_t{1}
                                                << 9;  // may become writable without a new look-up
  static constexpr unsigned kFrameShift = 12;

  std::uint64_t word = 0;

  constexpr bool present() const { return (word & kPresent) != 0; }
  constexpr bool mmio() const { return (word & kMmio) != 0; }
  constexpr bool writable() const { return (word & kWritable) != 0; }
  constexpr bool accessed() const { return (word & kAccessed) != 0; }
  constexpr bool dirty() const { return (word & kDirty) != 0; }
  constexpr bool is_leaf(unsigned level) const {
    return present() && (level == 1 || (word & kLarge) != 0);
  }
  constexpr bool is_table(unsigned level) const { return present() && !is_leaf(level); }
  constexpr Pfn pfn() const { return {word >> kFrameShift}; }  // leaf: first frame
  constexpr NodeId child() const { return static_cast<NodeId>(word >> kFrameShift); }
  constexpr std::uint64_t generation() const { return word >> kFrameShift; }
};

/// What translates a GFN: `level` and the entry at it; no entry is {word 0, level of the walk's
/// end}.
struct Walk {
  Spte spte{};
  unsigned level = 0;
  NodeId node = kNoNode;
  unsigned slot = 0;
};

/// The view of a leaf: pfn of this gfn also inside a huge leaf; mmio only if of the current
/// generation.
LeafView leaf_of(const Vm& vm, const Root& root, const Walk& walk, Gfn gfn);

/// Walks down from the root as hardware does.  A GFN above what the root covers finds nothing.
Walk walk(const Kernel& k, const Root& root, Gfn gfn);
LeafView lookup_leaf(const Kernel& k, const Vm& vm, std::uint8_t root, Gfn gfn);
/// The first present leaf or current MMIO entry that overlaps the range, for checkers.
std::optional<LeafAt> first_leaf(const Kernel& k, const Vm& vm, std::uint8_t root,
                                 const GfnRange& range);
/// Hardware's A bit, and D for a write.  Pre: a present leaf translates the GFN.
void mark_accessed(Kernel& k, const Root& root, Gfn gfn, bool write);

/// A new, empty table of this level, which translates from GFN `first` on.
NodeId take_table(Kernel& k, const Vm& vm, std::uint8_t root, unsigned level, std::uint64_t first);
/// Empties a table and everything below it and gives the nodes back, except the top one.
void clear_table(Kernel& k, NodeId node, unsigned level);

// Roots (roots.cc).

/// kvm_mmu_reload(): gives the vCPU a valid root of its role, shared with its equals.
void load_root(Kernel& k, Vcpu& vcpu);
/// kvm_mmu_unload(): lets go of the vCPU's roots, the previous one too; an invalid one without
/// users is freed.
void unload_root(Kernel& k, Vcpu& vcpu);
/// kvm_mmu_free_obsolete_roots(): lets go of those that have become invalid.
void free_obsolete_roots(Kernel& k, Vcpu& vcpu);
/// kvm_mmu_new_pgd() after the vCPU entered or left guest mode: goes back to its previous root
/// where that has the role, and keeps the present one as the previous one.  Post: no root of
/// another role is loaded; perhaps none at all, or an invalid one.
void switch_root(Kernel& k, Vcpu& vcpu);
/// Nothing is cached for this vCPU any more.
void flush_own_tlb(Kernel& k, const Vcpu& vcpu);
/// True if the vCPU may map through the root it has loaded.
bool has_valid_root(const Kernel& k, const Vcpu& vcpu);

/// kvm_flush_remote_tlbs(): no vCPU of the VM has anything cached any more.
// Assumption: a flush of a range flushes everything, as it does where no hypervisor below offers
// better (Linux kvm_flush_remote_tlbs_range()).
void flush_remote_tlbs(Kernel& k, const Vm& vm);
/// Some vCPU of the VM has cached what a zap has taken away, perhaps: the moment before the flush
/// is one in which others can be seen to use it.
bool has_translations(const Kernel& k, const Vm& vm);

/// What a zap is about (KVM_FILTER_*). Only a TD has roots of either kind; others ignore it.
enum class ZapFilter : std::uint8_t { kShared = 1, kPrivate = 2, kAll = 3 };
/// Zaps every leaf that overlaps the range, in all roots of the address space; MMIO entries stay.
/// True if there was one.  The caller flushes.
bool zap_leaves(Kernel& k, Vm& vm, std::uint8_t address_space, const GfnRange& range,
                ZapFilter filter = ZapFilter::kAll);
/// The same for leaves of 4 KiB only.
bool zap_small_leaves(Kernel& k, Vm& vm, std::uint8_t address_space, const GfnRange& range);
/// kvm_mmu_zap_all_fast(): no vCPU may use the present roots any more; then every leaf goes.
void invalidate_roots(Kernel& k, Vm& vm);
void zap_invalidated_roots(Kernel& k, Vm& vm);
/// Frees all roots: VM destruction.  Pre: no vCPU has one loaded.
void free_roots(Kernel& k, Vm& vm);
/// Splits the huge leaves of a range into leaves of 4 KiB that translate the same
/// (kvm_mmu_slot_try_split_huge_pages()).
void split_huge_leaves(Kernel& k, Vm& vm, std::uint8_t address_space, const GfnRange& range);
/// Takes write permission from the leaves of a range (kvm_mmu_slot_remove_write_access()).  The
/// caller flushes.
void write_protect(Kernel& k, Vm& vm, std::uint8_t address_space, const GfnRange& range);

/// A leaf to install.
struct MapRequest {
  Gfn gfn{};
  Pfn pfn{};  // of gfn itself
  MapLevel level = MapLevel::k4K;
  bool writable = false;
  bool prefetch = false;
  bool write = false;     // kind of the access
  std::uint64_t seq = 0;  // mmu_invalidate_seq as the fault read it, for the event
};
enum class MapResult : std::uint8_t { kFixed, kSpurious };
/// Makes or replaces tables down to the level and writes the leaf (kvm_tdp_mmu_map()).  Pre: root
/// valid, gfn and pfn congruent for the level.  A present leaf must keep its frame (BUG() in the
/// kernel, a harness bug here).
MapResult map_leaf(Kernel& k, Vm& vm, std::uint8_t root, const MapRequest& request);
/// Caches "no slot here" until memslots change.
void map_mmio(Kernel& k, Vm& vm, std::uint8_t root, Gfn gfn);

/// Visits every present leaf and current MMIO entry of a root in GFN order:
/// visit(Gfn first, const LeafView&).  For audits, hashes and tests.
template <class Visit>
void for_each_leaf(const Kernel& k, const Vm& vm, std::uint8_t root, Visit&& visit);

// Implementation of the template.

template <class Visit>
void visit_table(const Kernel& k, const Vm& vm, const Root& root, Walk at, Visit& visit) {
  const std::uint64_t first = k.nodes.first(at.node);
  for (unsigned slot = 0; slot < 512; ++slot) {
    const Spte spte{k.nodes.word(at.node, slot)};
    if (spte.word == 0) continue;
    const Gfn gfn{first + slot * pages_below_entry(at.level)};
    if (spte.is_table(at.level)) {
      visit_table(k, vm, root, {.level = at.level - 1, .node = spte.child()}, visit);
    } else {
      visit(gfn, leaf_of(vm, root, {.spte = spte, .level = at.level}, gfn));
    }
  }
}
template <class Visit>
void for_each_leaf(const Kernel& k, const Vm& vm, std::uint8_t index, Visit&& visit) {
  const Root& root = vm.roots[index];
  if (root.used) visit_table(k, vm, root, {.level = root.level, .node = root.table}, visit);
}

}  // namespace sluice::model
