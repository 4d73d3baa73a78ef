// Pairs of views for the invariants of TDs (group D).
#pragma once
#include "testing/invariant_case.h"

namespace sluice::testing {

/// A finalized TD with one vCPU, a private slot whose file has the frame for GFN 5, and an empty
/// mirror.
inline void running_td(FakeView& v) {
  file_with_page(v);
  v.header_value.kernel = {.major = 6, .minor = 18};
  v.vms[0].type = VmType::kTdx;
  v.vms[0].asid = {};
  v.slots_value = {
      {.flags = 4, .base = {0}, .page_count = {16}, .gmem = {0}, .gmem_page_offset = 2}};
  v.bindings[0] = {{.first = 2, .count = 16}};
  v.private_spans = {{{0}, {16}}};
  v.tds[0] = {.exists = true, .finalized = true, .epoch = 3};
  v.td_epochs[0] = 3;
  v.roots[1] = {.used = true, .valid = true, .mirror = true};
}
/// Its page 5 has come to be there in the step.
inline void page_comes(FakeView& v, SeptState state) {
  const SeptView now{.state = state, .pfn = kFrame};
  v.septs[{{0}, {5}}] = now;
  v.leaves_of_root1[{5}] = {.present = true, .writable = true, .pfn = kFrame};
  v.sept_changes_value = {{.gfn = {5}, .now = now}};
}
inline void page_augmented(FakeView& v) {
  running_td(v);
  page_comes(v, SeptState::kPending);
  v.ran(PreFaultMemory{.gpa = {0x5000}}, 0);
}
inline void page_accepted(FakeView& v) {
  running_td(v);
  page_comes(v, SeptState::kMapped);
  v.ran(TdAccept{.gfn = {5}}, oracle::kOpBit<TdAccept>);
}
inline void page_removed(FakeView& v) {
  running_td(v);
  v.tds_before[{0}] = {.exists = true, .finalized = true, .epoch = 2};
  v.sept_changes_value = {{.gfn = {5}, .before = {.state = SeptState::kMapped, .pfn = kFrame}}};
  v.events_value.add({.kind = EventKind::kSeptBlock, .a = 5, .b = kFrame.value});
  v.events_value.add({.kind = EventKind::kSeptTrack, .a = 3});
  v.events_value.add({.kind = EventKind::kSeptRemove, .a = 5, .b = kFrame.value});
}
/// A TD that is being built gets its page 5 from page 0 of the host region.
inline void page_added(FakeView& v) {
  running_td(v);
  page_comes(v, SeptState::kMapped);
  v.vms[0].launched = false;
  v.td_epochs[0] = 0;
  v.septs[{{0}, {5}}].content = 0x77;
  v.host_pages[0] = kHead;
  v.frames_value[kHead] = {.use = FrameUse::kHostUser, .content = 0x77};
  v.tds[0] = {.exists = true, .epoch = 1, .pages_added = 1, .pages_measured = 1};
  v.tds_before[{0}] = {.exists = true, .epoch = 1};
  Outcome out{};
  out.has_progress = true;
  out.progress = {.gpa = 0x6000, .left = 0};
  v.ran(TdxInitMemRegion{.gpa = {0x5000}}, oracle::kOpBit<TdxInitMemRegion>, out);
}
/// The same while another vCPU is about to add the next page, from page 1 of the region.
inline void page_added_in_company(FakeView& v) {
  page_added(v);
  constexpr ActorId kOther{.kind = ActorKind::kVcpu, .index = 1};
  v.also_ran = {{actor_slot(kOther), TdxInitMemRegion{.gpa = {0x6000}, .hva = {.value = 0x1000}}}};
  v.host_pages[1] = kHead + PageCount{1};
  v.frames_value[kHead + PageCount{1}] = {.use = FrameUse::kHostUser, .content = 0x99};
}
inline void td_page_freed(FakeView& v) {
  running_td(v);
  v.frames_value.clear();
  v.frame_changes_value = {
      {.pfn = kFrame, .rmp_before = kFree, .before = {.use = FrameUse::kGmem, .index = 5}}};
}

inline std::vector<InvariantCase> td_cases() {
  return {
      {"td.frame_has_one_entry", page_augmented,
       [](FakeView& v) {
         v.septs[{{0}, {4}}] = {.state = SeptState::kMapped, .pfn = kFrame};
       }},
      {"td.frame_has_one_entry", page_augmented,
       [](FakeView& v) {
         v.septs[{{0}, {4}}] = {.state = SeptState::kMapped, .pfn = kFrame};
       },
       true},
      {"td.removed_after_track", page_removed, [](FakeView& v) { v.td_epochs[0] = 2; }},
      {"td.removed_after_track", page_removed,
       [](FakeView& v) {
         v.events_value.clear();
         v.events_value.add({.kind = EventKind::kSeptTrack, .a = 3});
         v.events_value.add({.kind = EventKind::kSeptBlock, .a = 5, .b = kFrame.value});
         v.events_value.add({.kind = EventKind::kSeptRemove, .a = 5, .b = kFrame.value});
       }},
      {"td.mapped_by_accept", page_accepted,
       [](FakeView& v) { v.ran(TdAccept{.gfn = {4}}, oracle::kOpBit<TdAccept>); }},
      {"td.added_from_its_source", page_added,
       [](FakeView& v) {
         v.septs[{{0}, {5}}].content = 0x78;
       }},
      {"td.added_from_its_source", page_added_in_company,
       [](FakeView& v) {
         v.septs[{{0}, {5}}].content = 0x99;  // what the other call was to add elsewhere
       }},
      {"td.added_from_its_source", page_added, [](FakeView& v) { v.tds[0].pages_measured = 0; }},
      {"td.added_from_its_source", page_added, [](FakeView& v) { v.tds[0].pages_added = 2; }},
      {"td.host_keeps_off", td_page_freed,
       [](FakeView& v) {
         v.septs[{{0}, {5}}] = {.state = SeptState::kMapped, .pfn = kFrame};
       }},
      {"td.host_keeps_off", page_augmented,
       [](FakeView& v) {
         v.sept_changes_value.clear();
         v.host_value = {.dead = true, .fatal_frame = kFrame};
       }},
      {"td.host_keeps_off",
       [](FakeView& v) {
         page_augmented(v);
         const GmemPageView page = v.gmem_pages[{{0}, 7}];
         v.gmem_page_changes_value.push_back({.gmem = {0}, .index = 7, .before = page});
       },
       [](FakeView& v) {
         v.gmem_pages[{{0}, 7}].user_mapped = true;
       }},
      {"td.mirror_agrees", page_augmented, [](FakeView& v) { v.leaves_of_root1.clear(); }},
      {"td.mirror_agrees", page_augmented, [](FakeView& v) { v.leaves_of_root1[{5}].pfn = kHead; },
       true},
      {"td.mirror_agrees", running_td,
       [](FakeView& v) { v.leaves_of_root1[{6}] = {.present = true, .pfn = kHead}; }, true},
  };
}

}  // namespace sluice::testing
