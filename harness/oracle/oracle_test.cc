// The judge by hand-made views: every invariant accepts a healthy step and names a broken one. Each
// broken view differs from its healthy twin in one fact.
#include "oracle/oracle.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>

#include "oracle/view_helpers.h"
#include "testing/contents_cases.h"
#include "testing/entry_cases.h"
#include "testing/host_cases.h"
#include "testing/launch_cases.h"
#include "testing/leaf_cases.h"
#include "testing/neighbor_cases.h"
#include "testing/psc_views.h"
#include "testing/td_cases.h"
#include "testing/translation_cases.h"

namespace sluice::oracle {
namespace {

using testing::changed_pages, testing::conversion, testing::file_with_page, testing::launched_vm,
    testing::page_appears, testing::pre_faulted, testing::with;
using testing::FakeView;
using testing::InvariantCase;
using testing::kFrame, testing::kFree, testing::kGuest, testing::kHead, testing::kInvalid;

void slot_with_file(FakeView& v) {
  file_with_page(v);
  v.ran(SetMemoryRegion{}, kOpBit<SetMemoryRegion>);
  v.slots_value = {{.id = 3, .base = {0}, .page_count = {4}, .gmem = {0}, .gmem_page_offset = 8}};
  v.bindings[0] = {{.slot = 3, .first = 8, .count = 4}};
}

/// The second 2 MiB of a slot of four became private as a whole.
void made_private(FakeView& v) {
  conversion(v, {.address = {kBytesPer2M}, .size = {kBytesPer2M}, .attributes = {8}});
  v.slots_value = {{.base = {0}, .page_count = {0x800}}};
  v.private_spans = {{.first = {0x200}, .end = {0x400}}};
  v.attribute_changes_value = {{.first = {0x200}, .count = {0x200}, .was_private = false}};
}

void made_one_private(FakeView& v) {
  conversion(v, {.attributes = {8}});
  v.private_spans = {{.first = {0}, .end = {1}}};
  v.attribute_changes_value = {{.first = {0}, .count = {1}}};
}

// NOLINTNEXTLINE(readability-function-size): a table.
const std::vector<InvariantCase>& cases() {
  static const std::vector<InvariantCase> list{
      {"rmp.validated_implies_assigned", [](FakeView& v) { v.change(kFrame, kFree, kInvalid); },
       [](FakeView& v) {
         v.ran(LaunchUpdate{}, kOpBit<LaunchUpdate>),
             v.rmp_value[kFrame] =
                 with(kInvalid, [](RmpView& e) { e.validated = true, e.asid = {0}; });
       }},
      {"rmp.unassigned_is_blank", [](FakeView& v) { v.change(kFrame, kInvalid, kFree); },
       [](FakeView& v) { v.rmp_value[kFrame].asid = kGuest; }},
      {"rmp.immutable_unchanged", [](FakeView& v) { v.change(kFrame, kInvalid, kFree); },
       [](FakeView& v) { v.frame_changes_value[0].rmp_before.immutable = true; }},
      {"rmp.validated_by_guest_or_firmware",
       [](FakeView& v) {
         launched_vm(v), v.ran(Pvalidate{.gfn = {5}}, kOpBit<Pvalidate>),
             v.change(kFrame, kInvalid, with(kInvalid, [](RmpView& e) { e.validated = true; }));
       },
       [](FakeView& v) { v.vms[0].asid = {6}; }},
      {"rmp.change_clears_validated",
       [](FakeView& v) {
         v.change(kFrame, kInvalid, with(kInvalid, [](RmpView& e) { e.gpa = {0x6000}; }));
       },
       [](FakeView& v) { v.rmp_value[kFrame].vmpl_mask[1] = 1; }},
      {"rmp.large_entry_is_whole",
       [](FakeView& v) {
         const RmpView large =
             with(kInvalid, [](RmpView& e) { e.page_size = PageSize::k2M, e.gpa = {kBytesPer2M}; });
         v.change(kHead, kFree, large);
         for (std::uint64_t i = 1; i < kFramesPer2M; ++i)
           v.rmp_value[kHead + PageCount{i}] = with(large, [](RmpView& e) { e.is_head = false; });
       },
       [](FakeView& v) { v.rmp_value[kHead + PageCount{77}] = kInvalid; }},
      {"rmp.smash_preserves",
       [](FakeView& v) {
         const RmpView before =
             with(kInvalid, [](RmpView& e) { e.page_size = PageSize::k2M, e.validated = true; });
         v.change(kFrame, before, with(before, [](RmpView& e) { e.page_size = PageSize::k4K; }));
       },
       [](FakeView& v) { v.rmp_value[kFrame].validated = false; }},
      {"rmp.validated_gpa_is_unique",
       [](FakeView& v) {
         launched_vm(v), v.books.by_use = {FakeView::kFrames - 2, 0, 0, 2, 0, 0};
         v.rmp_value[kFrame] = with(kInvalid, [](RmpView& e) { e.validated = true; });
         v.rmp_value[kHead] =
             with(kInvalid, [](RmpView& e) { e.validated = true, e.gpa = {0x6000}; });
       },
       [](FakeView& v) { v.rmp_value[kHead].gpa = {0x5000}; }, true},
      {"rmp.validated_gpa_is_unique",
       [](FakeView& v) {
         launched_vm(v), v.books.by_use = {FakeView::kFrames - 2, 0, 0, 2, 0, 0};
         v.rmp_value[kFrame] = with(kInvalid, [](RmpView& e) {
           e.validated = true, e.gpa = {2 * kBytesPer2M - kPageBytes};
         });
         v.rmp_value[kHead] = with(kInvalid, [](RmpView& e) {
           e.validated = true, e.page_size = PageSize::k2M, e.gpa = {2 * kBytesPer2M};
         });
       },
       [](FakeView& v) { v.rmp_value[kFrame].gpa = {3 * kBytesPer2M - kPageBytes}; }, true},
      {"rmp.one_owner", [](FakeView& v) { v.change(kFrame, kFree, kInvalid); },
       [](FakeView& v) { ++v.books.by_use[0]; }},
      {"rmp.masks_follow_caller",
       [](FakeView& v) {
         v.ran(RmpAdjust{.gfn = {5}, .target_vmpl = {2}, .mask = {1}, .vmpl = {1}},
               kOpBit<RmpAdjust>);
         const RmpView before = with(kInvalid, [](RmpView& e) { e.vmpl_mask[1] = 1; });
         v.vms[0].asid = kGuest;
         v.change(kFrame, before, with(before, [](RmpView& e) { e.vmpl_mask[2] = 1; }));
       },
       [](FakeView& v) { v.rmp_value[kFrame].vmpl_mask[2] = 3; }},
      {"rmp.masks_follow_caller",
       [](FakeView& v) {
         v.ran(Pvalidate{.gfn = {5}}, kOpBit<Pvalidate>);
         v.change(kFrame, testing::kValidated, testing::kValidated);
       },
       [](FakeView& v) { v.rmp_value[kFrame].vmpl_mask[3] = 1; }},
      {"rmp.in_use_not_aligned", [](FakeView& v) { v.change(kHead, kInvalid, kFree); },
       [](FakeView& v) { v.rmp_value[kHead].in_use = true; }},
      {"rmp.in_use_not_aligned",
       [](FakeView& v) {
         v.ran(ApCreation{}, kOpBit<ApCreation>);
         v.vmsas[1] = {.named = kHead, .held = kHead};
         v.rmp_value[kHead] = with(kInvalid, [](RmpView& e) { e.gpa = {kBytesPer2M}; });
       },
       [](FakeView& v) { v.rmp_value[kHead].in_use = true; }},

      {"attributes.private_or_absent", made_private,
       [](FakeView& v) { v.odd_attributes[{0x200}] = {.stored = true, .value = 0}; }},
      {"attributes.refusal_changes_nothing",
       [](FakeView& v) { conversion(v, {.size = {0}}, outcome_of(Check::kAttributesWraps)); },
       [](FakeView& v) { v.leaf_changes_value.push_back({.gfn = {1}, .before = {}}); }},
      {"attributes.repeat_counts_nothing", [](FakeView& v) { conversion(v, {}); },
       [](FakeView& v) {
         v.leaf_changes_value.push_back({.gfn = {1}, .before = {.present = true}});
       }},
      {"attributes.mixed_means_both_kinds", made_private,
       [](FakeView& v) { v.private_spans = {{.first = {0x200}, .end = {0x280}}}; }},
      {"attributes.mixed_means_both_kinds", made_private,
       [](FakeView& v) {
         v.mixed = {{MapLevel::k2M, {0x200}}};
       },
       true},
      {"attributes.mixed_means_both_kinds",
       [](FakeView& v) {
         launched_vm(v), v.ran(SetMemoryRegion{}, kOpBit<SetMemoryRegion>);
         v.slots_value = {{.base = {0}, .page_count = {0x400}}}, v.slots_before_value.emplace();
         v.private_spans = {{.first = {0x300}, .end = {0x500}}};
         v.mixed = {{MapLevel::k2M, {0x200}}};
       },
       [](FakeView& v) { v.mixed.clear(); }},
      {"attributes.belong_to_vm",
       [](FakeView& v) { launched_vm(v), v.ran(SetMemoryRegion{}, kOpBit<SetMemoryRegion>); },
       [](FakeView& v) { v.attribute_changes_value.push_back({.count = {1}}); }},
      {"attributes.belong_to_vm", made_one_private,
       [](FakeView& v) { v.attribute_changes_value[0].count = {2}; }},
      {"attributes.private_or_absent",
       [](FakeView& v) {
         conversion(v, {.size = {0x18000 * kPageBytes}, .attributes = {8}});
         v.private_spans = {{.first = {0}, .end = {0x18000}}};
         v.attribute_changes_value = {{.first = {0}, .count = {0x18000}}};
       },
       [](FakeView& v) { v.odd_attributes[{0x8000}] = {.stored = true, .value = 0}; }},
      {"attributes.need_no_slot",
       [](FakeView& v) { made_one_private(v), v.attribute_changes_value.clear(); },
       [](FakeView& v) { v.outcome_value = outcome_of(Check::kAttributesValue); }},
      {"attributes.need_no_slot", made_one_private, [](FakeView& v) { v.private_spans.clear(); }},
      {"attributes.need_no_slot", [](FakeView& v) { conversion(v, {}); },
       [](FakeView& v) { v.private_spans = {{.first = {0}, .end = {1}}}; }},
      {"attributes.leave_rmp",
       [](FakeView& v) { made_private(v), v.change(kFrame, kInvalid, kInvalid); },
       [](FakeView& v) { v.rmp_value[kFrame] = kFree; }},

      {"gmem.binding_matches_slot", slot_with_file,
       [](FakeView& v) { v.bindings[0][0].count = 3; }},
      {"gmem.binding_matches_slot", slot_with_file,
       [](FakeView& v) {
         v.slots_value[0].page_count = {1 << 20}, v.gmems[0].page_count = 1 << 21;
         v.bindings[0] = {{.slot = 3, .first = 8, .count = 1 << 19},
                          {.slot = 3, .first = 9 + (1 << 19), .count = (1 << 19) - 1}};
       }},
      {"gmem.binding_matches_slot", slot_with_file,
       [](FakeView& v) {
         v.vms[0].type = VmType::kDefault, v.vms[0].generation = {0, 1};
         v.slots_value.push_back({.address_space = 1, .id = 3, .page_count = {4}, .gmem = {0}});
         v.bindings[0].push_back({.slot = 3, .first = 0, .count = 4});
       },
       true},
      {"gmem.binding_matches_slot", slot_with_file,
       [](FakeView& v) {
         v.slots_value.push_back({.id = 4, .page_count = {10}, .gmem = {0}});
         v.bindings[0].push_back({.slot = 4, .first = 0, .count = 10});
       },
       true},
      {"gmem.binding_matches_slot", slot_with_file,
       [](FakeView& v) { v.bindings[0].push_back({.slot = 3, .first = 100, .count = 1}); }, true},
      {"gmem.resident_pages_add_up", page_appears,
       [](FakeView& v) { ++v.gmems[0].resident_pages; }},
      {"gmem.page_cache_reference_only", page_appears,
       [](FakeView& v) {
         v.gmem_pages[{{0}, 7}].references = 2;
       }},
      {"gmem.vm_users_add_up",
       [](FakeView& v) { file_with_page(v), v.ran(CreateGuestMemfd{}, kOpBit<CreateGuestMemfd>); },
       [](FakeView& v) { ++v.vms[0].users; }},
      {"gmem.frame_has_one_index", page_appears,
       [](FakeView& v) { v.frames_value[kFrame].index = 8; }},
      {"gmem.size_is_fixed", page_appears, [](FakeView& v) { v.gmems[0].page_count = 513; }},
      {"gmem.fresh_page_is_zero", page_appears,
       [](FakeView& v) { v.frames_value[kFrame].content = 9; }},
      {"gmem.allocation_is_whole_or_prefix",
       [](FakeView& v) {
         page_appears(v), v.ran(GmemAllocate{.offset = {7 * kPageBytes}}, kOpBit<GmemAllocate>);
       },
       [](FakeView& v) {
         v.ran(GmemAllocate{.offset = {7 * kPageBytes}, .size = {2 * kPageBytes}},
               kOpBit<GmemAllocate>);
       }},
      {"gmem.pages_outlive_slots",
       [](FakeView& v) {
         file_with_page(v), v.ran(SetMemoryRegion{}, kOpBit<SetMemoryRegion>),
             v.gmem_page_changes_value.push_back(
                 {.gmem = {0}, .index = 7, .before = v.gmem_page({0}, 7)});
       },
       [](FakeView& v) { v.gmem_pages.clear(); }},
      {"gmem.freed_once_invalidated",
       [](FakeView& v) {
         v.change(kFrame, kInvalid, kFree);
         v.events_value.add({.kind = EventKind::kArchInvalidate, .a = kFrame.value});
         v.events_value.add({.kind = EventKind::kFrameFreed, .a = kFrame.value});
       },
       [](FakeView& v) {
         v.events_value.add({.kind = EventKind::kArchInvalidate, .a = kFrame.value});
       }},
      {"gmem.conversion_keeps_contents",
       [](FakeView& v) {
         file_with_page(v), v.ran(SetMemoryAttributes{}, kOpBit<SetMemoryAttributes>),
             v.frame_changes_value.push_back(
                 {.pfn = kFrame, .rmp_before = kFree, .before = v.frame(kFrame)});
       },
       [](FakeView& v) { v.frames_value[kFrame].content = 1; }},

      {"pre_fault.progress_adds_up", [](FakeView& v) { pre_faulted(v); },
       [](FakeView& v) { v.outcome_value.progress.left = 0x1000; }},
      {"pre_fault.success_means_progress", [](FakeView& v) { pre_faulted(v); },
       [](FakeView& v) { v.outcome_value.progress = {.gpa = 0x1000, .left = 0x2000}; }},
      {"pre_fault.everything_mapped", [](FakeView& v) { pre_faulted(v); },
       [](FakeView& v) { v.leaves.erase({2}); }},
      {"pre_fault.stays_in_slot", [](FakeView& v) { pre_faulted(v); },
       [](FakeView& v) { v.slots_value[0].page_count = {2}, v.progress_value.in_flight = 1; }},
      {"pre_fault.changes_only_mappings", [](FakeView& v) { pre_faulted(v); },
       [](FakeView& v) { v.attribute_changes_value.push_back({.count = {1}}); }},
      {"pre_fault.not_before_allowed",
       [](FakeView& v) {
         pre_faulted(v, outcome_of(Check::kPreFaultNotAllowed));
         v.outcome_value.progress = {.gpa = 0x1000, .left = 0x2000};
         v.leaf_changes_value.clear(), v.vms[0].launched = false;
       },
       [](FakeView& v) { v.gmem_page_changes_value.push_back({}); }},
      {"pre_fault.idempotent",
       [](FakeView& v) { pre_faulted(v), v.leaf_changes_value[0].before = v.leaves[{1}]; },
       [](FakeView& v) { v.leaf_changes_value[0].before.writable = true; }},
      {"pre_fault.ends_when_slot_goes",
       [](FakeView& v) {
         pre_faulted(v, outcome_of(Check::kPreFaultSlotInvalid));
         v.outcome_value.progress = {.gpa = 0x1000, .left = 0x2000};
         v.leaf_changes_value.clear(), v.header_value.kernel = {6, 18};
       },
       [](FakeView& v) { v.progress_value.livelock = true; }},
      {"pre_fault.prefix_is_mapped",
       [](FakeView& v) {
         pre_faulted(v), v.outcome_value.progress = {.gpa = 0x3000, .left = 0x1000};
         v.step_value.op = PreFaultMemory{.gpa = {0x1000}, .size = {0x3000}};
       },
       [](FakeView& v) { v.leaves.erase({2}); }},
      {"psc.exits_are_what_was_done", changed_pages,
       [](FakeView& v) { v.pscs[0].entries = v.pscs[0].entries_at_start; }},
      {"psc.exits_are_what_was_done", changed_pages, [](FakeView& v) { v.pscs[0].exits = {}; }},
      {"psc.entries_go_forward", changed_pages,
       [](FakeView& v) { v.pscs[0].header = psc_header({3}, {1}); }},
      {"psc.entries_go_forward", changed_pages,
       [](FakeView& v) { v.pscs[0].header_before = psc_header({3}, {4}); }},
      {"psc.no_batch_without_exit",
       [](FakeView& v) {
         changed_pages(v);
         v.pscs[0].exit_pending = v.pscs[0].open = true;
         v.pscs[0].batch_size = 1;
       },
       [](FakeView& v) { v.pscs[0].exit_pending = false; }},
      {"psc.index_within_buffer",
       [](FakeView& v) { changed_pages(v), v.pscs[0].scratch = {kGhcbBufferEnd - 24}; },
       [](FakeView& v) { v.pscs[0].scratch.value += 1; }},
      {"guest.accepted_page_takes_no_vc",
       [](FakeView& v) {
         launched_vm(v);
         v.ran(GuestAccess{.gfn = {6}, .c_bit = true}, kOpBit<GuestAccess> | kOpBit<Pvalidate>,
               outcome_of(Check::kGuestNotValidated));
         v.also_ran[actor_slot({.kind = ActorKind::kVcpu, .index = 1})] = Pvalidate{.gfn = {5}};
         v.change(kFrame, kInvalid, with(kInvalid, [](RmpView& e) { e.validated = true; }));
       },
       [](FakeView& v) { v.step_value.op = GuestAccess{.gfn = {5}, .c_bit = true}; }},
      {"progress.no_deadlock", [](FakeView&) {},
       [](FakeView& v) { v.progress_value.deadlock = true; }},
      {"progress.no_livelock", [](FakeView&) {},
       [](FakeView& v) { v.progress_value.livelock = true; }},
      {"progress.no_livelock",
       [](FakeView& v) {
         v.ran(GuestAccess{}, kOpBit<GuestAccess>, outcome_of(Check::kRunHalted));
       },
       [](FakeView& v) { v.vmsas[0].starts = true; }},
  };
  return list;
}

std::vector<InvariantCase> all_cases() {
  std::vector<InvariantCase> all = cases();
  for (const auto& more :
       {testing::leaf_cases(), testing::invalidation_cases(), testing::launch_cases(),
        testing::host_cases(), testing::contents_cases(), testing::translation_cases(),
        testing::td_cases(), testing::rmp_entry_cases(), testing::file_page_cases(),
        testing::frame_neighbor_cases(), testing::leaf_neighbor_cases(),
        testing::file_neighbor_cases(), testing::guest_neighbor_cases()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

std::optional<Finding> judge(const FakeView& view, bool audit,
                             const std::function<void(FakeView&)>& earlier = {}) {
  Oracle oracle;
  oracle.begin(view);
  if (earlier) {
    FakeView before;
    earlier(before);
    EXPECT_FALSE(oracle.check(before).has_value());
  }
  return audit ? oracle.audit(view) : oracle.check(view);
}

TEST(Oracle, EveryInvariantAcceptsTheHealthyAndNamesTheBroken) {
  const std::vector<InvariantCase> all = all_cases();
  for (const InvariantCase& c : all) {
    SCOPED_TRACE(&c - all.data());
    FakeView view;
    c.healthy(view);
    const auto healthy = judge(view, c.audit, c.earlier);
    EXPECT_FALSE(healthy.has_value()) << c.name << ": " << describe(*healthy);
    c.broken(view);
    const auto broken = judge(view, c.audit, c.earlier);
    EXPECT_TRUE(broken.has_value()) << c.name << " was not found broken";
    EXPECT_EQ(broken ? broken->name() : c.name, c.name) << (broken ? describe(*broken) : "");
  }
}

TEST(Oracle, EveryInvariantHasACase) {
  std::set<std::string_view> tried;
  for (const InvariantCase& c : all_cases()) tried.insert(c.name);
  for (const InvariantRow& row : kInvariants)
    EXPECT_TRUE(tried.contains(row.name)) << row.id << " " << row.name;
}

}  // namespace
}  // namespace sluice::oracle
