// Pairs of views for the invariants of nested page tables and of the invalidation protocol (groups
// N and I).
#pragma once
#include "testing/invariant_case.h"

namespace sluice::testing {

/// A private page of an SNP guest's slot is mapped at GFN 5.
inline void private_leaf(FakeView& v) {
  file_with_page(v);
  v.ran(PreFaultMemory{.gpa = {0x5000}, .size = {0x1000}}, oracle::kOpBit<PreFaultMemory>);
  v.outcome_value.has_progress = true;
  v.outcome_value.progress = {.gpa = 0x6000, .left = 0};
  v.slots_value = {{.base = {0}, .page_count = {512}, .gmem = {0}, .gmem_page_offset = 2}};
  v.private_spans = {{.first = {0}, .end = {512}}};
  v.bindings[0] = {{.slot = 0, .first = 2, .count = 512}};
  v.rmp_value[kFrame] = kInvalid;
  v.leaves[{5}] = {.present = true, .pfn = kFrame};
  v.leaf_changes_value = {{.gfn = {5}, .before = {}}};
  v.events_value.add({.kind = EventKind::kMap, .a = 5, .b = 0});
}
/// The same for all of a slot of 2 MiB, as one leaf.
inline void huge_leaf(FakeView& v) {
  private_leaf(v);
  v.ran(PreFaultMemory{.size = {kBytesPer2M}}, oracle::kOpBit<PreFaultMemory>);
  v.slots_value[0].gmem_page_offset = 0, v.bindings[0][0].first = 0;
  v.leaves = {{{0}, {.present = true, .level = MapLevel::k2M, .pfn = kHead}}};
  v.leaf_changes_value = {{.gfn = {0}, .before = {}}};
  v.gmem_pages[{{0}, 0}] = {.present = true,
                            .uptodate = true,
                            .pfn = kHead,
                            .references = 1,
                            .folio_pages = kFramesPer2M};
  v.frames_value[kHead] = {.use = FrameUse::kGmem, .gmem = {0}, .index = 0, .content = 0};
  v.rmp_value[kHead] = with(kInvalid, [](RmpView& e) { e.page_size = PageSize::k2M, e.gpa = {0}; });
}
/// A slot's deletion; the leaf at GFN 5 went with it, another slot's at 0x405 stayed.
inline void deleted_slot(FakeView& v) {
  private_leaf(v);
  v.ran(SetMemoryRegion{}, oracle::kOpBit<SetMemoryRegion>);
  v.slots_before_value = v.slots_value;
  v.slots_value.clear(), v.bindings[0].clear();
  v.leaf_changes_value = {{.gfn = {5}, .before = v.leaves[{5}]}};
  v.leaves.clear();
}
inline void punched(FakeView& v) {
  private_leaf(v);
  v.ran(GmemPunchHole{.offset = {0x7000}}, oracle::kOpBit<GmemPunchHole>);
  v.leaf_changes_value.clear(), v.leaves.clear(), v.gmem_pages.clear();
}

// NOLINTNEXTLINE(readability-function-size): a table.
inline std::vector<InvariantCase> leaf_cases() {
  return {
      {"npt.kind_is_attribute", private_leaf, [](FakeView& v) { v.private_spans.clear(); }},
      {"npt.kind_is_attribute", private_leaf, [](FakeView& v) { v.private_spans.clear(); }, true},
      {"npt.roots_agree",
       [](FakeView& v) {
         private_leaf(v), v.roots[1] = v.roots[0], v.vms[0].root_count = 2;
         v.leaves_of_root1 = v.leaves;
       },
       [](FakeView& v) { v.leaves_of_root1[{5}].pfn = kHead; }},
      {"npt.huge_leaf_is_uniform", huge_leaf, [](FakeView& v) { v.private_spans[0].end = {511}; }},
      {"npt.huge_leaf_is_uniform",
       [](FakeView& v) {
         huge_leaf(v);
         conversion(v, {.address = {0x100000}, .attributes = {8}});
         v.leaf_changes_value.clear(), v.private_spans[0].end = {512};
         v.frames_value[kHead + PageCount{0x100}] = v.frames_value[kHead];
         v.attribute_changes_value = {{.first = {0x100}, .count = {1}}};
       },
       [](FakeView& v) { v.private_spans[0].end = {0x100}, v.slots_value.clear(); }},
      {"npt.huge_leaf_fits", huge_leaf, [](FakeView& v) { v.slots_value[0].page_count = {511}; }},
      {"npt.leaf_follows_slot", private_leaf,
       [](FakeView& v) { v.slots_value[0].gmem_page_offset = 3; }},
      {"npt.leaf_follows_slot", huge_leaf,
       [](FakeView& v) {
         v.gmem_pages[{{0}, 0}].folio_pages = 1;  // the next page is not there
       }},
      {"npt.leaf_follows_slot",
       [](FakeView& v) {
         private_leaf(v), v.private_spans.clear(), v.slots_value[0].hva = {.value = 0x2000};
         v.frames_value[kFrame] = {.use = FrameUse::kHostUser, .index = 7};
       },
       [](FakeView& v) { v.slots_value[0].hva = {.value = 0x3000}; }},
      {"npt.leaf_follows_slot",
       [](FakeView& v) {
         huge_leaf(v), v.private_spans.clear();
         for (std::uint64_t i = 0; i < kFramesPer2M; ++i)
           v.frames_value[kHead + PageCount{i}] = {.use = FrameUse::kHostUser, .index = i};
       },
       [](FakeView& v) { v.frames_value[kHead + PageCount{5}].use = FrameUse::kFree; }},
      {"npt.leaf_has_a_slot", private_leaf, [](FakeView& v) { v.slots_value.clear(); }, true},
      {"npt.leaf_has_a_slot",
       [](FakeView& v) {
         private_leaf(v), v.slots_value.clear(), v.private_spans.clear();
         v.ran(GuestAccess{.gfn = {5}}, oracle::kOpBit<GuestAccess>, outcome_of(Check::kFaultMmio));
         v.leaves[{5}] = {.mmio = true};
       },
       [](FakeView& v) { v.private_spans = {{.first = {5}, .end = {6}}}; }},
      {"npt.deleted_slot_has_no_leaf", deleted_slot,
       [](FakeView& v) { v.leaves[{6}] = {.present = true, .pfn = kHead}; }},
      {"npt.delete_spares_others", deleted_slot,
       [](FakeView& v) {
         v.leaf_changes_value.push_back({.gfn = {0x405}, .before = {.present = true}});
       }},
      {"npt.frame_changes_through_zap",
       [](FakeView& v) {
         private_leaf(v), v.ran(GuestAccess{.gfn = {5}}, oracle::kOpBit<GuestAccess>);
         v.leaf_changes_value[0].before = {.present = true, .pfn = kHead};
         v.events_value.add({.kind = EventKind::kZap, .a = 5, .b = 1});
       },
       [](FakeView& v) { v.events_value.clear(); }},
      {"npt.frame_changes_through_zap",
       [](FakeView& v) {  // a page inside the large leaf was zapped, and so all of it
         private_leaf(v), v.ran(GuestAccess{.gfn = {5}}, oracle::kOpBit<GuestAccess>);
         v.leaf_changes_value = {
             {.gfn = {0}, .before = {.present = true, .level = MapLevel::k2M, .pfn = {0x400}}}};
         v.leaves[{0}] = {.present = true, .pfn = kHead};
         v.gmem_pages[{{0}, 2}] = {
             .present = true, .uptodate = true, .pfn = kHead, .references = 1};
         v.frames_value[kHead] = {.use = FrameUse::kGmem, .gmem = {0}, .index = 2};
         v.rmp_value[kHead] = with(kInvalid, [](RmpView& e) { e.gpa = {0}; });
         v.events_value.add({.kind = EventKind::kZap, .a = 0x1ff, .b = 1});
       },
       [](FakeView& v) {
         v.events_value.clear();
         v.events_value.add({.kind = EventKind::kZap, .a = 0x200, .b = 1});
       }},
      {"npt.level_within_rmp", huge_leaf,
       [](FakeView& v) { v.rmp_value[kHead].page_size = PageSize::k4K; }},
      {"npt.level_within_rmp",
       [](FakeView& v) {
         huge_leaf(v), v.leaf_changes_value.clear(), v.leaves.clear();
         v.outcome_value = outcome_of(Check::kPreFaultSignal);
         const RmpView large = v.rmp_value[kHead];
         v.change(kHead, large, with(large, [](RmpView& e) { e.page_size = PageSize::k4K; }));
       },
       [](FakeView& v) {
         v.leaves = {{{0}, {.present = true, .level = MapLevel::k2M, .pfn = kHead}}};
       }},
      {"npt.private_leaf_is_assigned", private_leaf,
       [](FakeView& v) { v.rmp_value[kFrame].gpa = {0x6000}; }},
      {"npt.logged_leaf_is_small", huge_leaf, [](FakeView& v) { v.slots_value[0].flags = 1; }},
      {"npt.logged_leaf_is_small",
       [](FakeView& v) {
         huge_leaf(v), v.ran(SetMemoryRegion{}, oracle::kOpBit<SetMemoryRegion>);
         v.leaf_changes_value.clear(), v.slots_value[0].flags = 3;
         v.slots_before_value = v.slots_value;
       },
       [](FakeView& v) { v.slots_value[0].flags = 1; }},
      {"npt.logged_leaf_is_small",
       [](FakeView& v) {
         huge_leaf(v), v.books.by_use = {FakeView::kFrames - 2, 2, 0, 0, 0, 0};
         v.gmems[0].resident_pages = v.gmems_before[0].resident_pages = 2;
         v.gmem_pages[{{0}, 7}].pfn = kFrame;
       },
       [](FakeView& v) { v.slots_value[0].flags = 1; }, true},
      {"npt.one_address_space",
       [](FakeView& v) {
         launched_vm(v), v.ran(SetMemoryRegion{}, oracle::kOpBit<SetMemoryRegion>);
         v.slots_value = {{.page_count = {1}}};
       },
       [](FakeView& v) { v.slots_value[0].address_space = 1; }},
      {"npt.one_address_space",
       [](FakeView& v) { private_leaf(v), v.roots[1] = v.roots[0], v.vms[0].root_count = 2; },
       [](FakeView& v) { v.roots[1].address_space = 1; }},
      {"npt.root_count", [](FakeView& v) { private_leaf(v), v.vms[0].root_count = 6; },
       [](FakeView& v) { v.vms[0].root_count = 7; }},
      {"npt.hole_has_no_leaf", punched,
       [](FakeView& v) { v.leaves[{5}] = {.present = true, .pfn = kFrame}; }},
      {"npt.prefetch_is_not_accessed", private_leaf,
       [](FakeView& v) { v.leaves[{5}].accessed = true; }},
  };
}

/// The VM's counters moved from `before` in a step that began `begun` invalidations and ended one.
inline void one_invalidation(FakeView& v) {
  launched_vm(v);
  v.vms_before[{0}] = v.vms[0];
  v.vms[0].invalidate_seq = 1;
  v.events_value.add({.kind = EventKind::kInvalidateBegin});
  v.events_value.add({.kind = EventKind::kInvalidateRange, .a = 4, .b = 8});
  v.events_value.add({.kind = EventKind::kInvalidateEnd, .a = 1});
}
inline void invalidation_under_way(FakeView& v) {
  launched_vm(v);
  v.vms_before[{0}] = v.vms[0];
  v.vms[0].invalidate_in_progress = 1;
  v.vms[0].invalidate_range = {{4}, {8}};
  v.progress_value.in_flight = 1;
}

inline std::vector<InvariantCase> invalidation_cases() {
  return {
      {"invalidation.is_balanced", invalidation_under_way,
       [](FakeView& v) { v.progress_value.in_flight = 0; }},
      {"invalidation.is_balanced", invalidation_under_way,
       [](FakeView& v) { v.vms[0].invalidate_in_progress = -1; }},
      {"invalidation.has_a_range", invalidation_under_way,
       [](FakeView& v) { v.vms[0].invalidate_range = {}; }},
      {"invalidation.has_a_range",
       [](FakeView& v) {
         one_invalidation(v), v.events_value.clear();
         for (const EventKind kind :
              {EventKind::kInvalidateBegin, EventKind::kInvalidateRange, EventKind::kInvalidateEnd})
           v.events_value.add({.kind = kind, .a = 5, .b = 6});
       },
       [](FakeView& v) {
         v.events_value.clear();
         for (const EventKind kind :
              {EventKind::kInvalidateBegin, EventKind::kInvalidateEnd, EventKind::kInvalidateRange})
           v.events_value.add({.kind = kind, .a = 5, .b = 6});
       }},
      {"invalidation.seq_counts_ends", one_invalidation,
       [](FakeView& v) { v.vms[0].invalidate_seq = 2; }},
      {"invalidation.install_is_fresh", private_leaf,
       [](FakeView& v) { v.vms[0].invalidate_seq = 1; }},
      {"invalidation.install_is_fresh",
       [](FakeView& v) {
         private_leaf(v), v.progress_value.in_flight = 1;
         v.vms[0].invalidate_in_progress = 1, v.vms[0].invalidate_range = {{6}, {8}};
       },
       [](FakeView& v) { v.vms[0].invalidate_range.first = {5}; }},
      {"invalidation.slots_are_stable",
       [](FakeView& v) {
         punched(v), v.events_value.add({.kind = EventKind::kInvalidateSlots, .a = 1, .b = 1});
       },
       [](FakeView& v) { v.events_value.add({.kind = EventKind::kInvalidateSlots, .b = 1}); }},
      {"invalidation.slots_are_stable",
       [](FakeView& v) {
         launched_vm(v), v.ran(NumaBalancing{}, oracle::kOpBit<NumaBalancing>);
         v.events_value.add({.kind = EventKind::kInvalidateSlots, .a = 1, .b = 1});
       },
       [](FakeView& v) { v.events_value.add({.kind = EventKind::kInvalidateSlots, .a = 1}); }},
      {"invalidation.unbound_hole_is_silent",
       [](FakeView& v) { punched(v), v.bindings[0].clear(), v.slots_value.clear(); },
       [](FakeView& v) {
         v.vms_before[{0}] = v.vms[0], v.vms[0].invalidate_seq = 1;
         v.events_value.add({.kind = EventKind::kInvalidateEnd, .a = 1});
       }},
      {"invalidation.generation_parity",
       [](FakeView& v) {
         launched_vm(v), v.vms[0].type = VmType::kDefault, v.vms_before[{0}] = v.vms[0];
         v.vms[0].generation = {2, 1};
       },
       [](FakeView& v) { v.vms[0].generation[1] = 2; }},
      {"invalidation.generation_parity", [](FakeView& v) { launched_vm(v); },
       [](FakeView& v) { v.vms[0].generation[0] = kGenerationUpdateInProgress; }, true},
  };
}

}  // namespace sluice::testing
