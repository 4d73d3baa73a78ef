// Pairs of views for the invariants of the host's own mappings and pages (group H).
#pragma once
#include "testing/invariant_case.h"

namespace sluice::testing {

/// A page of a guest's that is taken back, flushed and freed.
inline void page_freed(FakeView& v) {
  launched_vm(v);
  v.ran(GmemPunchHole{}, oracle::kOpBit<GmemPunchHole>);
  v.change(kFrame, kInvalid, kFree);
  v.frame_changes_value[0].before = {.use = FrameUse::kGmem, .gmem = {0}, .index = 7};
  v.frames_value[kFrame] = {};
  for (const EventKind kind : {EventKind::kArchInvalidate, EventKind::kRmpUpdate,
                               EventKind::kCacheFlush, EventKind::kFrameFreed})
    v.events_value.add({.kind = kind, .a = kFrame.value, .b = 1});
}
inline void page_leaked(FakeView& v) {
  launched_vm(v);
  v.ran(DestroyVm{}, oracle::kOpBit<DestroyVm>);
  v.frames_value[kFrame] = {.use = FrameUse::kVmsa};
  v.change(kFrame, kInvalid, kInvalid);
  v.frames_value[kFrame] = {.use = FrameUse::kLeaked, .leaked = true};
  v.host_value.leaked_pages = 1;
  v.events_value.add({.kind = EventKind::kRmpUpdateRefused, .a = kFrame.value, .b = 1});
}
inline std::vector<InvariantCase> host_cases() {
  return {
      {"host.assigned_frame_is_split_out", [](FakeView& v) { v.change(kFrame, kFree, kInvalid); },
       [](FakeView& v) { v.direct_map[kFrame] = MapLevel::k2M; }},
      {"host.assigned_frame_is_split_out",
       [](FakeView& v) {
         launched_vm(v), v.rmp_value[kFrame] = kInvalid;
         v.books.by_use = {FakeView::kFrames - 1, 0, 0, 1, 0, 0};
       },
       [](FakeView& v) { v.direct_map[kFrame] = MapLevel::k1G; }, true},
      {"host.assigned_frame_is_split_out",
       [](FakeView& v) {
         v.change(kHead, kFree, kInvalid);
         v.direct_map[kHead] = MapLevel::k2M;
         for (std::uint64_t i = 1; i < kFramesPer2M; ++i)
           v.rmp_value[kHead + PageCount{i}] = kInvalid;
       },
       [](FakeView& v) { v.rmp_value[kHead + PageCount{77}] = kFree; }},
      {"host.lives", [](FakeView& v) { v.host_value.direct_map_splits = 1; },
       [](FakeView& v) { v.host_value.dead = true; }},
      {"host.direct_map_never_merges",
       [](FakeView& v) {
         v.host_before_value.direct_map_splits = 2, v.host_value.direct_map_splits = 3;
       },
       [](FakeView& v) { v.host_value.direct_map_splits = 1; }},
      {"host.freed_frame_is_shared", page_freed,
       [](FakeView& v) { v.rmp_value[kFrame] = kInvalid; }},
      {"host.freed_frame_is_shared",
       [](FakeView& v) {  // user space's own page, which the kernel has pinned for a VM
         launched_vm(v), v.change(kFrame, kFree, kInvalid);
         v.header_value.policy.backing = Backing::kVmaGup;
         v.frames_value[kFrame] = {.use = FrameUse::kHostUser, .index = 3};
         v.frame_changes_value[0].before = v.frames_value[kFrame];
       },
       [](FakeView& v) { v.vms[0].exists = false; }},
      {"host.leaked_after_refusal", page_leaked, [](FakeView& v) { v.events_value.clear(); }},
      {"host.leaked_after_refusal", page_leaked,
       [](FakeView& v) { v.host_value.leaked_pages = 2; }},
      {"host.flushed_before_free", page_freed,
       [](FakeView& v) {
         v.events_value.clear();
         for (const EventKind kind : {EventKind::kArchInvalidate, EventKind::kRmpUpdate,
                                      EventKind::kFrameFreed, EventKind::kCacheFlush})
           v.events_value.add({.kind = kind, .a = kFrame.value, .b = 1});
       }},
      {"host.user_maps_shared_only",
       [](FakeView& v) { file_with_page(v), v.change(kFrame, kFree, kInvalid); },
       [](FakeView& v) {
         v.gmem_pages[{{0}, 7}].user_mapped = true;
       }},
      {"host.user_maps_shared_only",
       [](FakeView& v) {
         file_with_page(v);
         v.gmem_pages[{{0}, 7}].user_mapped = true;
         v.gmem_page_changes_value.push_back(
             {.gmem = {0}, .index = 7, .before = {.present = true, .pfn = kFrame}});
       },
       [](FakeView& v) { v.rmp_value[kFrame] = kInvalid; }},
      {"host.user_maps_shared_only",
       [](FakeView& v) {
         file_with_page(v);
         v.frames_value[kHead] = {.use = FrameUse::kGmem, .gmem = {0}, .index = 0};
         v.gmem_pages[{{0}, 0}] = {.present = true, .pfn = kHead, .references = 1};
         v.gmem_pages[{{0}, 5}] = {.present = true, .pfn = kHead + PageCount{5}, .references = 1};
         v.frames_value[kHead + PageCount{5}] = {.use = FrameUse::kGmem, .gmem = {0}, .index = 5};
         v.change(kHead, kFree,
                  with(kInvalid, [](RmpView& e) { e.page_size = PageSize::k2M, e.gpa = {0}; }));
         for (std::uint64_t i = 1; i < kFramesPer2M; ++i)
           v.rmp_value[kHead + PageCount{i}] =
               with(kInvalid, [](RmpView& e) { e.is_head = false; });
       },
       [](FakeView& v) {
         v.gmem_pages[{{0}, 5}].user_mapped = true;
       }},
      {"host.split_before_assignment",
       [](FakeView& v) {
         v.change(kFrame, kFree, kInvalid);
         v.events_value.add({.kind = EventKind::kDirectMapSplit, .a = kHead.value});
         v.events_value.add({.kind = EventKind::kRmpUpdate, .a = kFrame.value, .b = 1});
       },
       [](FakeView& v) {
         v.events_value.add({.kind = EventKind::kDirectMapSplit, .a = kHead.value});
       }},
  };
}

}  // namespace sluice::testing
