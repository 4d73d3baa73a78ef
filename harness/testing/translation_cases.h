// Pairs of views for the invariants of cached translations (group T).
#pragma once
#include "testing/leaf_cases.h"

namespace sluice::testing {

/// The vCPU of a private page's guest has its translation cached.
inline void cached_leaf(FakeView& v) {
  private_leaf(v);
  v.ran(GuestAccess{.gfn = {5}, .kind = AccessKind::kWrite}, oracle::kOpBit<GuestAccess>);
  v.leaves[{5}].writable = true;
  v.leaf_changes_value = {
      {.gfn = {5}, .before = {.present = true, .writable = true, .pfn = kHead}}};
  v.events_value.add({.kind = EventKind::kZap, .a = 5, .b = 1});
  v.events_value.add({.kind = EventKind::kTlbFlush});
  v.translations_value = {{.page = 5, .pfn = kFrame, .writable = true, .encrypted = true}};
}
/// The same while another actor is inside an operation.
inline void cached_leaf_in_flight(FakeView& v) {
  cached_leaf(v);
  v.progress_value.in_flight = 1;
}
/// The page's frame was assigned in the step.
inline void assigned(FakeView& v) {
  cached_leaf(v);
  v.leaf_changes_value.clear();
  v.ran(RmpUpdate{}, oracle::kOpBit<RmpUpdate>);
  v.change(kFrame, kFree, kInvalid);
}
/// A hole was punched under the page; its frame is free.
inline void freed(FakeView& v) {
  launched_vm(v);
  v.ran(GmemPunchHole{}, oracle::kOpBit<GmemPunchHole>);
  v.leaf_changes_value = {{.gfn = {5}, .before = {.present = true, .pfn = kFrame}}};
  v.frame_changes_value = {
      {.pfn = kFrame, .rmp_before = kFree, .before = {.use = FrameUse::kGmem, .index = 7}}};
  for (const EventKind kind :
       {EventKind::kZap, EventKind::kTlbFlush, EventKind::kArchInvalidate, EventKind::kFrameFreed})
    v.events_value.add({.kind = kind, .a = kFrame.value, .b = 1});
}

inline std::vector<InvariantCase> translation_cases() {
  return {
      {"tlb.flushed_after_zap", cached_leaf,
       [](FakeView& v) { v.translations_value[0].pfn = kHead; }},
      {"tlb.flushed_after_zap", cached_leaf, [](FakeView& v) { v.leaves[{5}].writable = false; }},
      {"tlb.flushed_after_zap",
       [](FakeView& v) {
         cached_leaf_in_flight(v);
         v.translations_value[0].pfn = kHead;
         v.events_value.add({.kind = EventKind::kZap, .a = 5, .b = 1});
       },
       [](FakeView& v) { v.events_value.add({.kind = EventKind::kTlbFlush}); }},
      {"tlb.flushed_after_zap",
       [](FakeView& v) {
         cached_leaf_in_flight(v);
         v.leaves[{5}].writable = false;
         v.events_value.add({.kind = EventKind::kWriteProtect, .a = 5, .b = 1});
       },
       [](FakeView& v) { v.events_value.add({.kind = EventKind::kTlbFlush}); }},
      {"tlb.flushed_after_zap",
       [](FakeView& v) {
         v.ran(ApCreation{}, oracle::kOpBit<ApCreation>);
         v.vmsas[1] = {.named = kFrame, .held = kFrame};
       },
       [](FakeView& v) { v.vmsas[1].named = kHead; }},
      {"tlb.assignment_ends_guest_writes", assigned,
       [](FakeView& v) { v.translations_value[0].encrypted = false; }},
      {"tlb.assignment_ends_guest_writes", assigned,
       [](FakeView& v) { v.translations_value[0].page = 6; }},
      {"tlb.assignment_ends_host_writes",
       [](FakeView& v) {
         assigned(v);
         v.translations_value[0] = {.use = TranslationUse::kUser, .page = 5, .pfn = kFrame};
       },
       [](FakeView& v) { v.translations_value[0].writable = true; }},
      {"tlb.assignment_ends_host_writes",
       [](FakeView& v) {
         assigned(v);
         v.translations_value[0] = {.use = TranslationUse::kDirectMap,
                                    .page = kHead.value,
                                    .pfn = kHead,
                                    .level = MapLevel::k4K,
                                    .writable = true};
       },
       [](FakeView& v) { v.translations_value[0].level = MapLevel::k2M; }},
      {"tlb.flushed_before_frame_is_free", freed,
       [](FakeView& v) {
         v.translations_value = {{.use = TranslationUse::kUser, .page = 5, .pfn = kFrame}};
       }},
      {"tlb.flushed_before_frame_is_free",
       [](FakeView& v) {
         freed(v), v.frames_value[kFrame] = {.use = FrameUse::kHostUser, .index = 5};
         v.translations_value = {{.use = TranslationUse::kUser, .page = 5, .pfn = kFrame}};
       },
       [](FakeView& v) { v.frames_value[kFrame].index = 6; }},
      {"tlb.flushed_before_frame_is_free", freed,
       [](FakeView& v) {
         v.events_value.clear();
         for (const EventKind kind : {EventKind::kZap, EventKind::kArchInvalidate,
                                      EventKind::kFrameFreed, EventKind::kTlbFlush})
           v.events_value.add({.kind = kind, .a = kFrame.value, .b = 1});
       }},
  };
}

}  // namespace sluice::testing
