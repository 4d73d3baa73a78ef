// Pairs of views for the rows that must tell what one operation may do to one entry or page of a
// file from what it may not do to the next (groups R, G, L, N, T, X).
#pragma once
#include <iterator>

#include "testing/contents_cases.h"
#include "testing/launch_cases.h"
#include "testing/td_cases.h"
#include "testing/translation_cases.h"

namespace sluice::testing {

inline const RmpView kLarge = with(kInvalid, [](RmpView& e) {
  e.page_size = PageSize::k2M, e.validated = true, e.gpa = {kBytesPer2M};
});

/// A guest accepts GFN 0x205 of a validated entry of 2 MiB, which is split for that.
inline void smashed_for_pvalidate(FakeView& v) {
  launched_vm(v);
  v.ran(Pvalidate{.gfn = {0x205}, .validate = false}, oracle::kOpBit<Pvalidate>);
  const auto piece = [](std::uint64_t gfn, PageSize size) {
    return with(kLarge, [&](RmpView& e) { e.page_size = size, e.gpa = address_of(Gfn{gfn}); });
  };
  for (const std::uint64_t i : {5u, 6u})
    v.change(kHead + PageCount{i}, piece(0x200 + i, PageSize::k2M),
             piece(0x200 + i, PageSize::k4K));
  v.rmp_value[kFrame].validated = false;
}
/// The block of kHead is assigned as one entry of 2 MiB at GPA 0.
inline void assigned_as_large(FakeView& v) {
  assigned(v);
  v.frame_changes_value.clear();
  const RmpView large = with(kLarge, [](RmpView& e) { e.validated = false, e.gpa = {0}; });
  v.change(kHead, kFree, large);
  for (std::uint64_t i = 1; i < kFramesPer2M; ++i)
    v.rmp_value[kHead + PageCount{i}] =
        with(large, [i](RmpView& e) { e.is_head = false, e.gpa = {i * kPageBytes}; });
}
/// The file has pages 7 and 8, and both were freed by a hole of one page or two.
inline void two_pages_freed(FakeView& v, std::uint64_t asked) {
  file_with_page(v);
  v.gmems[0].resident_pages = 0, v.gmem_pages.clear(), v.frames_value.clear(), v.books = {};
  v.ran(GmemPunchHole{.offset = {7 * kPageBytes}, .size = {asked * kPageBytes}},
        oracle::kOpBit<GmemPunchHole>);
  for (const std::uint64_t index : {7u, 8u})
    v.gmem_page_changes_value.push_back(
        {.gmem = {0},
         .index = index,
         .before = {.present = true, .pfn = {kFrame.value + index}, .references = 1}});
}
/// A software-protected VM's guest looks at the file's page for the first time.
inline void fresh_page(FakeView& v, AccessKind kind) {
  page_appears(v);
  v.vms[0].type = VmType::kSwProtected, v.vms[0].asid = {0};
  v.slots_value = {{.base = {0}, .page_count = {16}, .gmem = {0}}};
  v.private_spans = {{.first = {0}, .end = {16}}};
  v.ran(GuestAccess{.gfn = {7}, .kind = kind, .value = {9}}, oracle::kOpBit<GuestAccess>);
}
/// A folio of 2 MiB that was allocated before comes into use.
inline void large_folio_used(FakeView& v) {
  file_with_page(v);
  v.header_value.policy.gmem_order = GmemOrder::k2M;
  v.gmems[0].resident_pages = kFramesPer2M;
  v.books.by_use = {FakeView::kFrames - kFramesPer2M, kFramesPer2M, 0, 0, 0, 0};
  for (std::uint64_t i = 0; i < kFramesPer2M; ++i) {
    const Pfn pfn = kHead + PageCount{i};
    v.gmem_pages[{{0}, i}] = {.present = true,
                              .uptodate = true,
                              .pfn = pfn,
                              .references = 1,
                              .folio_pages = kFramesPer2M};
    v.frames_value[pfn] = {.use = FrameUse::kGmem, .gmem = {0}, .index = i};
  }
  v.gmem_page_changes_value.push_back(
      {.gmem = {0},
       .index = 0,
       .before = {.present = true, .pfn = kHead, .references = 1, .folio_pages = kFramesPer2M}});
}
inline void allocates(FakeView& v, RawSize size, Check check = Check::kOk) {
  page_appears(v);
  v.ran(GmemAllocate{.offset = {7 * kPageBytes}, .size = size}, oracle::kOpBit<GmemAllocate>,
        check == Check::kOk ? Outcome{} : outcome_of(check));
}
/// Somebody else is inside a call.
inline void in_flight(FakeView& v) { v.progress_value.in_flight = 1; }

/// A slot binds page 7 of a file at GFN 5 or 6, and the guest has it mapped at 5, assigned for
/// `gpa`.
inline void bound_at(FakeView& v, Gfn gfn) {
  file_with_page(v);
  v.slots_value = {{.base = gfn, .page_count = {1}, .gmem = {0}, .gmem_page_offset = 7}};
  v.bindings[0] = {{.first = 7, .count = 1}};
  v.slots_before_value.emplace();
  v.ran(SetMemoryRegion{}, oracle::kOpBit<SetMemoryRegion>);
}
inline void mapped_at(FakeView& v, Gfn gfn) {
  bound_at(v, gfn);
  v.slots_before_value.reset();
  v.ran(GuestAccess{.gfn = gfn, .c_bit = true}, oracle::kOpBit<GuestAccess>);
  v.private_spans = {{gfn, gfn + PageCount{1}}};
  v.leaves[gfn] = {.present = true, .pfn = kFrame};
  v.leaf_changes_value = {{.gfn = gfn, .before = {}}};
  v.rmp_value[kFrame] = with(kInvalid, [&](RmpView& e) { e.gpa = address_of(gfn); });
}

inline std::vector<InvariantCase> rmp_entry_cases() {
  return {
      {"rmp.smash_preserves", smashed_for_pvalidate,
       [](FakeView& v) { v.rmp_value[kFrame + PageCount{1}].validated = false; }},
      {"rmp.smash_preserves", smashed_for_pvalidate,
       [](FakeView& v) { v.rmp_value[kFrame + PageCount{1}] = kFree; }},
      {"rmp.immutable_unchanged",
       [](FakeView& v) {
         launched_vm(v), v.ran(DestroyVm{}, oracle::kOpBit<DestroyVm>);
         v.change(kFrame, with(kInvalid, [](RmpView& e) { e.immutable = true; }), kFree);
       },
       [](FakeView& v) {
         v.rmp_value[kFrame] = with(kInvalid, [](RmpView& e) { e.gpa = {0x6000}; });
       }},
      {"rmp.validated_by_guest_or_firmware", launched_page,
       [](FakeView& v) { v.vms[0].asid = {6}; }},
      {"rmp.change_clears_validated",
       [](FakeView& v) {
         launched_vm(v), v.ran(RmpAdjust{.gfn = {6}}, oracle::kOpBit<RmpAdjust>);
         v.change(kFrame, kInvalid,
                  with(kInvalid, [](RmpView& e) { e.gpa = {0x6000}, e.vmpl_mask[1] = 1; }));
       },
       [](FakeView& v) { v.step_value.op = RmpAdjust{.gfn = {7}}; }},
      {"rmp.large_entry_is_whole", [](FakeView& v) { v.change(kFrame, kFree, kInvalid); },
       [](FakeView& v) { v.rmp_value[kFrame].page_size = PageSize::k2M; }},
      {"tlb.assignment_ends_guest_writes", assigned_as_large,
       [](FakeView& v) { v.translations_value[0].encrypted = false; }},
      {"tlb.assignment_ends_host_writes",
       [](FakeView& v) {
         assigned_as_large(v);
         v.translations_value[0] = {.use = TranslationUse::kUser, .page = 5, .pfn = kFrame};
       },
       [](FakeView& v) { v.translations_value[0].writable = true; }},
      {"tlb.assignment_ends_host_writes",
       [](FakeView& v) {  // the entry was split in the step, and one of its frames given back
         assigned_as_large(v);
         v.frame_changes_value[0].rmp_before = v.rmp_value[kHead];
         v.rmp_value[kHead].page_size = PageSize::k4K, v.rmp_value[kFrame] = kFree;
         v.translations_value[0] = {
             .use = TranslationUse::kUser, .page = 5, .pfn = kFrame, .writable = true};
       },
       [](FakeView& v) { v.rmp_value[kFrame].assigned = true; }},
      {"npt.private_leaf_is_assigned", [](FakeView& v) { mapped_at(v, {5}); },
       [](FakeView& v) { v.rmp_value[kFrame].gpa = {0x9000}; }, false,
       [](FakeView& v) {
         bound_at(v, {6}), in_flight(v);  // another page comes to be at two GFNs
         v.slots_value[0].gmem_page_offset = 9, v.bindings[0][0].first = 9;
         v.slots_value.push_back(
             {.id = 1, .base = {7}, .page_count = {1}, .gmem = {0}, .gmem_page_offset = 9});
       }},
      {"npt.hole_has_no_leaf",
       [](FakeView& v) {
         punched(v);
         v.step_value.op = GmemAllocate{.offset = {7 * kPageBytes}, .mode = {3}};
         v.ran_value = oracle::kOpBit<GmemAllocate>;
       },
       [](FakeView& v) { v.leaves[{5}] = {.present = true, .pfn = kFrame}; }},
      {"npt.hole_has_no_leaf", punched,
       [](FakeView& v) {
         v.leaves[{0}] = {.present = true, .level = MapLevel::k2M, .pfn = kHead};
         v.frames_value[kFrame] = {.use = FrameUse::kHostUser, .index = 5};
       }},
  };
}

inline std::vector<InvariantCase> file_page_cases() {
  return {
      {"gmem.fresh_page_is_zero", [](FakeView& v) { fresh_page(v, AccessKind::kRead); },
       [](FakeView& v) { v.frames_value[kFrame].content = 9; }},
      {"gmem.fresh_page_is_zero",
       [](FakeView& v) { fresh_page(v, AccessKind::kWrite), v.frames_value[kFrame].content = 9; },
       [](FakeView& v) { v.frames_value[kFrame].content = 8; }},
      {"gmem.fresh_page_is_zero", large_folio_used,
       [](FakeView& v) { v.frames_value[kFrame].content = 9; }},
      {"gmem.fresh_page_is_zero",
       [](FakeView& v) {
         file_with_page(v);
         v.ran(GmemPunchHole{.offset = {3 * kPageBytes}}, oracle::kOpBit<GmemPunchHole>);
       },
       [](FakeView& v) { v.step_value.op = GmemPunchHole{.offset = {7 * kPageBytes}}; }},
      {"gmem.fresh_page_is_zero",
       [](FakeView& v) {
         fresh_page(v, AccessKind::kRead);
         v.gmem_page_changes_value[0].before = v.gmem_pages[{{0}, 7}];
         v.frames_value[kFrame].content = 9;  // in use before, as it is
       },
       [](FakeView& v) { v.gmem_page_changes_value[0].before.pfn = kHead; }},
      {"contents.next_owner_finds_zeros",
       [](FakeView& v) {
         fresh_host_page(v);
         v.step_value.op = HostAccess{.kind = AccessKind::kWrite, .value = {8}};
       },
       [](FakeView& v) { v.frames_value[kFrame].content = 9; }},
      {"gmem.pages_outlive_slots", [](FakeView& v) { two_pages_freed(v, 2); },
       [](FakeView& v) { v.step_value.op = GmemPunchHole{.offset = {7 * kPageBytes}}; }},
      {"gmem.resident_pages_add_up", [](FakeView& v) { allocates(v, {kPageBytes}); },
       [](FakeView& v) { v.step_value.op = GmemAllocate{.gmem = {1}}; }},
      {"gmem.size_is_fixed",
       [](FakeView& v) { allocates(v, {kPageBytes}), v.gmem_page_changes_value.clear(); },
       [](FakeView& v) { v.step_value.op = GmemAllocate{.offset = {512 * kPageBytes}}; }},
      {"gmem.size_is_fixed",
       [](FakeView& v) {
         file_with_page(v);
         v.ran(GmemPunchHole{.offset = {512 * kPageBytes}}, oracle::kOpBit<GmemPunchHole>);
       },
       [](FakeView& v) { v.outcome_value = outcome_of(Check::kFallocateRange); }},
      {"gmem.allocation_is_whole_or_prefix",
       [](FakeView& v) {
         allocates(v, {3 * kPageBytes}, Check::kFallocateNoMemory);
         v.gmem_pages[{{0}, 8}] = {.present = true, .pfn = kHead, .references = 1};
         v.frames_value[kHead] = {.use = FrameUse::kGmem, .index = 8};
         v.gmems[0].resident_pages = 2, v.books.by_use = {FakeView::kFrames - 2, 2, 0, 0, 0, 0};
         v.gmem_page_changes_value.push_back({.gmem = {0}, .index = 8, .before = {}});
       },
       [](FakeView& v) {
         v.gmem_pages.erase({{0}, 7}),
             v.gmem_page_changes_value.erase(v.gmem_page_changes_value.begin());
         v.frame_changes_value.clear(), v.frames_value.erase(kFrame);
         v.gmems[0].resident_pages = 1, v.books.by_use = {FakeView::kFrames - 1, 1, 0, 0, 0, 0};
       }},
      {"gmem.freed_once_invalidated", [](FakeView& v) { freed(v), in_flight(v); },
       [](FakeView& v) {
         v.events_value.add({.kind = EventKind::kArchInvalidate, .a = kFrame.value});
       }},
      {"gmem.freed_once_invalidated", [](FakeView& v) { v.change(kFrame, kInvalid, kFree); },
       [](FakeView& v) {
         v.events_value.add({.kind = EventKind::kArchInvalidate, .a = kFrame.value});
       }},
      {"launch.page_is_launched_once", launched_page,
       [](FakeView& v) {
         v.step_value.op = LaunchUpdate{.gfn = {5}, .size = {2 * kPageBytes}};
         v.outcome_value.progress.gpa = 0x7000;
         v.gmem_pages[{{0}, 8}] = {.present = true, .uptodate = true, .pfn = kHead};
         v.rmp_value[kHead] = with(kValidated, [](RmpView& e) { e.gpa = {0x6000}; });
       }},
      {"launch.only_launched_pages", launched_page,
       [](FakeView& v) {
         v.step_value.op = LaunchUpdate{.gfn = {5}, .size = {4 * kPageBytes}};
         v.change(kHead, kFree, with(kValidated, [](RmpView& e) { e.gpa = {0x7000}; }));
       }},
      {"launch.failed_page_goes_back", launched_page,
       [](FakeView& v) {
         v.step_value.op = LaunchUpdate{.gfn = {5}, .size = {4 * kPageBytes}};
         v.change(kHead, kFree, with(kValidated, [](RmpView& e) { e.gpa = {0x6000}; }));
       }},
      {"launch.nothing_stays_assigned", [](FakeView& v) { vm_gone(v), in_flight(v); },
       [](FakeView& v) { v.rmp_value[kFrame] = kInvalid; }},
      {"launch.nothing_stays_assigned",
       [](FakeView& v) {
         launched_vm(v), v.rmp_value[kFrame] = kInvalid;
         v.books.by_use = {FakeView::kFrames - 1, 0, 0, 1, 0, 0};
       },
       [](FakeView& v) { v.vms[0].asid = {6}; }, true},
      {"td.removed_after_track",
       [](FakeView& v) {
         page_removed(v);
         page_comes(v, SeptState::kPending);
         v.sept_changes_value[0].before = {.state = SeptState::kMapped, .pfn = kFrame};
       },
       [](FakeView& v) {
         v.events_value.clear();
         v.events_value.add({.kind = EventKind::kSeptRemove, .a = 5, .b = kFrame.value});
       }},
      {"contents.guest_reads_what_it_wrote",
       [](FakeView& v) {
         running_td(v);
         Outcome out{};
         out.has_value = true;
         v.ran(GuestAccess{.gfn = {5}, .c_bit = true}, oracle::kOpBit<GuestAccess>, out);
       },
       [](FakeView& v) { v.outcome_value.value = 9; }, false, page_accepted},
  };
}

}  // namespace sluice::testing
