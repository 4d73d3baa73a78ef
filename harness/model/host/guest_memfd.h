// guest_memfd: the file's page cache, its bindings to memslots, and how faults and launch get pages
// from it (kvm.md 1; Linux virt/kvm/guest_memfd.c).
#pragma once
#include "model/host/arch_hooks.h"
#include "model/host/invalidation.h"
#include "model/host/kernel.h"

namespace sluice::model {

/// One page of the page cache, as one word.
struct GmemPage {
  static constexpr std::uint64_t kPresent = 1;
  static constexpr std::uint64_t kUptodate = 2;  // of a large folio: at the head of each 512 pages
  static constexpr std::uint64_t kLarge = 4;     // part of a folio of 512 pages or more
  static constexpr std::uint64_t kUserMapped = 8;
  static constexpr unsigned kReferenceShift = 4;
  static constexpr std::uint64_t kReference = std::uint64_t{1} << kReferenceShift;
  static constexpr std::uint64_t kMaxReferences = 0x3f;  // an actor holds at most one folio
  static constexpr std::uint64_t kReferenceMask = kMaxReferences * kReference;
  static constexpr std::uint64_t kGiant =
      0x400;  // of a folio of 512 x 512 pages: where kUptodate is
  static constexpr std::uint64_t kPoisoned = 0x800;
  static constexpr unsigned kFrameShift = 12;
  static_assert((kReferenceMask & (kUserMapped | kGiant | kPoisoned)) == 0);

  std::uint64_t word = 0;

  constexpr bool present() const { return (word & kPresent) != 0; }
  constexpr bool uptodate() const { return (word & kUptodate) != 0; }
  constexpr bool large() const { return (word & kLarge) != 0; }
  constexpr bool giant() const { return (word & kGiant) != 0; }
  /// Of the folio that it belongs to.
  constexpr MapLevel folio_level() const {
    return giant() ? MapLevel::k1G : large() ? MapLevel::k2M : MapLevel::k4K;
  }
  constexpr bool user_mapped() const { return (word & kUserMapped) != 0; }
  constexpr bool poisoned() const { return (word & kPoisoned) != 0; }
  /// Short-term users; the page cache's own reference is not counted.
  constexpr std::uint32_t references() const {
    return static_cast<std::uint32_t>((word & kReferenceMask) >> kReferenceShift);
  }
  constexpr Pfn pfn() const { return {word >> kFrameShift}; }
};

/// Pages [first, last) of a file.
struct PageRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// The page as the page cache has it; word 0 if it is absent.  What is kept at the head of 512
/// pages of a large folio is in it.  Cost: one load a level.
GmemPage find_page(const Kernel& k, const Gmem& gmem, std::uint64_t index);
/// The view of one page: references count the page cache's own.
GmemPageView view_page(const Kernel& k, const Gmem& gmem, std::uint64_t index);
/// What view_page() would have said of this word (and, for a large folio, that of its 512 pages'
/// head).
GmemPageView view_page_word(std::uint64_t word, std::uint64_t head_word);

/// Which page of the slot's file is behind a GFN of it (kvm_gmem_get_index()).
constexpr std::uint64_t file_index(const Memslot& slot, Gfn gfn) {
  return slot.gmem_page_offset + (gfn - slot.base).value;
}

/// kvm_gmem_get_folio(): finds or allocates.  The largest free block around the page that policy
/// gmem_order, file and machine allow becomes one folio.  Fails: skip.limit where the machine has
/// no frame left; `no_memory` where an allocation fails, which it never does for kOk.
Check get_folio(Kernel& k, Gmem& gmem, std::uint64_t index, Check no_memory);

/// The largest folio of policy gmem_order.
inline MapLevel largest_folio(const Kernel& k) {
  switch (k.machine.header.policy.gmem_order) {
    case GmemOrder::k4K:
      return MapLevel::k4K;
    case GmemOrder::k2M:
      return MapLevel::k2M;
    case GmemOrder::k1G:
      return MapLevel::k1G;
  }
  return MapLevel::k4K;
}

/// kvm_gmem_get_file(): the slot's file is there, and not dying: its last descriptor is open.
inline bool has_live_file(const Kernel& k, const Memslot& slot) {
  return slot.gmem != GmemRef::kNone && k.gmems[slot.gmem].has_descriptor();
}

/// A page held by a fault.
struct GmemHold {
  Pfn pfn{};
  MapLevel max_level = MapLevel::k4K;  // what may be mapped around it as one: Linux max_order
  std::uint64_t index = 0;
};
/// kvm_gmem_get_pfn(), first half: finds or allocates the page and takes a reference.  Fails:
/// fault.gmem_gone, `no_memory`, fault.poisoned.
Check hold_page(Kernel& k, const Memslot& slot, Gfn gfn, GmemHold& hold,
                Check no_memory = Check::kFaultNoFolio);
/// prepare_page() would begin with an RMPUPDATE.  Pre: what it has itself.
bool updates_rmp(const Kernel& k, const Vm& vm, const Memslot& slot, Gfn gfn, const GmemHold& hold);
/// Second half: zeroes a fresh page and has the architecture prepare it.  The reference stays on
/// failure; the level falls where the folio was split in between.  Fails: fault.prepare_*.
Check prepare_page(Kernel& k, Vm& vm, const Memslot& slot, Gfn gfn, GmemHold& hold);
/// Both, for those who cannot be interrupted.  Fails: as above, with no reference held.
Check get_pfn(Kernel& k, Vm& vm, const Memslot& slot, Gfn gfn, GmemHold& hold);
/// The page becomes a folio of its own; what remains of a large one around it goes on in the
/// largest folios that there are.
void split_large_folio(Kernel& k, Gmem& gmem, std::uint64_t index);
/// kvm_gmem_fault_user_mapping(): finds or allocates the page, zeroes it if it is fresh, maps it.
/// Pre: below the file's size.  Fails: skip.limit, gmem_access.poisoned.
Check map_for_user(Kernel& k, Gmem& gmem, std::uint64_t index);
/// The part of memory_failure() that precedes kvm_gmem_error_folio(): the page's frame has failed,
/// user space has it no longer mapped.  Pre: present.
void poison_page(Kernel& k, Gmem& gmem, std::uint64_t index);
/// A fresh page is zeroed; it is up to date then.  Pre: present, and no guest's.
void make_ready(Kernel& k, Gmem& gmem, std::uint64_t index);
/// User space has the page no longer mapped (unmap_mapping_range()).  Pre: present.
void unmap_for_user(Kernel& k, const Gmem& gmem, std::uint64_t index);
/// The folio holds what the guest may see.
void mark_uptodate(Kernel& k, const Gmem& gmem, std::uint64_t index);
/// Drops the reference; frees the frame if the page has left the page cache meanwhile.
void release_page(Kernel& k, std::uint8_t gmem, std::uint64_t index, Pfn pfn);

/// kvm_gmem_populate(), for launch.  For each page: get it, refuse pages that are ready or not
/// private, let `hook` fill it, mark it ready.  From 7.0 on `pin` comes before all that. slots_lock
/// held.
struct PopulateResult {
  PageCount done{};
  Check check = Check::kOk;  // of the page after the last done, if any was refused
};
using PopulateHook = Check (*)(Kernel& k, Vm& vm, Gfn gfn, const GmemHold& hold, void* argument);
/// Gets hold of the contents to come (get_user_pages_fast()), where there are any.
using PopulatePin = Check (*)(Kernel& k, Gfn gfn, void* argument);
/// How the caller names what populate refuses: kvm.md 1.6.
struct PopulateChecks {
  Check slot;         // row 1
  Check file_gone;    // row 2
  Check signal;       // row 4
  Check no_folio;     // row 5
  Check poisoned;     // row 5
  Check prepared;     // row 6
  Check not_private;  // row 7
  Check kept_shared;  // in place (alternatives C): somebody holds the page
};
struct PopulateCall {
  PopulatePin pin;
  PopulateHook hook;
  void* argument;
  const PopulateChecks& checks;
};
PopulateResult gmem_populate(Kernel& k, Vm& vm, const GfnRange& range, const PopulateCall& call);

/// kvm_gmem_bind() and kvm_gmem_unbind(); set_memory_region checks the arguments of 1.4 rows 1-3.
/// Fails: set_memory_region.bind_taken.
Check bind(Kernel& k, Gmem& gmem, SlotIndex slot, const Memslot& next);
void unbind(Kernel& k, Gmem& gmem, SlotIndex slot);

// Pieces of punch hole and of the last close.

/// kvm_gmem_invalidate_begin(): zaps what the bound slots map of these pages, up to the flush.
/// Where no slot is bound, nothing was begun, and end must not be called.
Begun gmem_invalidate_begin(Kernel& k, Gmem& gmem, const PageRange& pages);
void gmem_flush(Kernel& k, const Gmem& gmem, const Begun& begun);
void gmem_invalidate_end(Kernel& k, Gmem& gmem);
/// truncate_inode_pages(): pages leave the page cache; each is the hypervisor's again at once and
/// free with its last reference.
void drop_pages(Kernel& k, Gmem& gmem, const PageRange& pages);
/// Bound slots lose the file; what of it they map, the bindings still say.
void detach_slots(Kernel& k, Gmem& gmem);
/// The bindings go with the file.
void drop_bindings(Kernel& k, Gmem& gmem);

/// kvm_put_kvm(): the VM goes with its last user.
void put_vm(Kernel& k, Vm& vm);

/// mmap(2) of one page of the file: kvm.md 1.2.
Check check_gmem_mmap(const Kernel& k, const Gmem& gmem, RawOffset offset);
/// Arguments of fallocate(2) in the order of kvm.md 1.3.
Check check_fallocate(const Gmem& gmem, RawOffset offset, RawSize size, std::uint32_t mode);
inline constexpr std::uint32_t kFallocKeepSize = 0x01;
inline constexpr std::uint32_t kFallocPunchHole = 0x02;

}  // namespace sluice::model
