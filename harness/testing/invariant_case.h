// Hand-made views in pairs for the test of every invariant: a healthy step, and the same broken in
// one fact. This file has what the tables share.
#pragma once
#include <functional>
#include <vector>

#include "oracle/view_helpers.h"
#include "testing/fake_view.h"

namespace sluice::testing {

inline constexpr Pfn kFrame{0x205};
inline constexpr Pfn kHead{0x200};
inline constexpr Asid kGuest{5};
inline const RmpView kFree{.covered = true};
inline const RmpView kInvalid{.covered = true,
                              .assigned = true,
                              .asid = kGuest,
                              .gpa = {0x5000},
                              .vmpl_mask = {0x1f, 0, 0, 0}};

inline RmpView with(RmpView entry, const std::function<void(RmpView&)>& edit) {
  edit(entry);
  return entry;
}

inline void launched_vm(FakeView& v) {
  v.vms[0] = {.exists = true,
              .open = true,
              .type = VmType::kSnp,
              .users = 2,
              .vcpu_count = 1,
              .asid = kGuest,
              .launched = true};
}

inline void file_with_page(FakeView& v) {
  launched_vm(v);
  v.vms[0].users = 3;
  v.gmems[0] = v.gmems_before[0] = {
      .open = true, .vm = {0}, .page_count = 512, .flags = 0, .resident_pages = 1};
  v.gmem_pages[{{0}, 7}] = {.present = true, .uptodate = true, .pfn = kFrame, .references = 1};
  v.frames_value[kFrame] = {.use = FrameUse::kGmem, .gmem = {0}, .index = 7, .content = 0};
  v.books.by_use = {FakeView::kFrames - 1, 1, 0, 0, 0, 0};
}
/// A page of that file has come.
inline void page_appears(FakeView& v) {
  file_with_page(v);
  v.gmem_page_changes_value.push_back({.gmem = {0}, .index = 7, .before = {}});
  v.frame_changes_value.push_back({.pfn = kFrame, .rmp_before = kFree, .before = {}});
}
/// GFNs 1 and 2 were pre-faulted.
inline void pre_faulted(FakeView& v, Outcome outcome = {}) {
  launched_vm(v);
  outcome.has_progress = true;
  if (outcome.ok()) outcome.progress = {.gpa = 0x3000, .left = 0};
  v.ran(PreFaultMemory{.gpa = {0x1000}, .size = {0x2000}}, oracle::kOpBit<PreFaultMemory>, outcome);
  v.slots_value = {{.base = {0}, .page_count = {16}}};
  for (const std::uint64_t gfn : {1u, 2u}) {
    v.leaves[{gfn}] = {.present = true, .pfn = {kFrame.value + gfn}};
    v.frames_value[{kFrame.value + gfn}] = {.use = FrameUse::kHostUser, .index = gfn};
    v.leaf_changes_value.push_back({.gfn = {gfn}, .before = {}});
  }
}
inline void conversion(FakeView& v, const SetMemoryAttributes& op, const Outcome& outcome = {}) {
  launched_vm(v);
  v.ran(op, oracle::kOpBit<SetMemoryAttributes>, outcome);
}
struct InvariantCase {
  const char* name;
  std::function<void(FakeView&)> healthy;
  std::function<void(FakeView&)> broken;  // applied on top of `healthy`
  bool audit = false;
  std::function<void(FakeView&)> earlier{};  // a healthy step before, where a row looks back
};

}  // namespace sluice::testing
