// Pairs of views whose broken half is about another page, guest or slot than the one that the step
// was asked about, or about what the step has left behind (groups R, H, N, A, G, P, L, C, D).
#pragma once
#include "testing/contents_cases.h"
#include "testing/entry_cases.h"
#include "testing/launch_cases.h"
#include "testing/leaf_cases.h"
#include "testing/td_cases.h"

namespace sluice::testing {

/// VMPL 1 of the guest gives VMPL 2 what it has itself of GFN 5, as far as the mask says.
inline void rights_given(FakeView& v) {
  launched_vm(v);
  v.ran(RmpAdjust{.gfn = {5}, .target_vmpl = {2}, .mask = {3}, .vmpl = {1}},
        oracle::kOpBit<RmpAdjust>);
  const RmpView before = with(kInvalid, [](RmpView& e) { e.vmpl_mask[1] = 3; });
  v.change(kFrame, before, with(before, [](RmpView& e) { e.vmpl_mask[2] = 3; }));
}
/// RMPUPDATE made a validated entry of 2 MiB small.
inline void shrunk_by_rmpupdate(FakeView& v) {
  v.change(kHead, kLarge,
           with(kLarge, [](RmpView& e) { e.page_size = PageSize::k4K, e.validated = false; }));
  v.events_value.add({.kind = EventKind::kRmpUpdate, .a = kHead.value, .b = 1});
}
/// The block of kHead has come to be a guest's, as one entry of 2 MiB at GPA 0.
inline void block_assigned(FakeView& v) {
  const RmpView large =
      with(kInvalid, [](RmpView& e) { e.page_size = PageSize::k2M, e.gpa = {0}; });
  v.change(kHead, kFree, large);
  for (std::uint64_t i = 1; i < kFramesPer2M; ++i)
    v.rmp_value[kHead + PageCount{i}] =
        with(large, [i](RmpView& e) { e.is_head = false, e.gpa = {i * kPageBytes}; });
}
/// A frame that was leaked where it was in use has been let go.
inline void leaked_let_go(FakeView& v, FrameUse use) {
  v.frames_value[kFrame] = {.use = FrameUse::kLeaked, .leaked = true};
  v.frame_changes_value.push_back(
      {.pfn = kFrame, .rmp_before = kFree, .before = {.use = use, .leaked = true, .index = 4}});
}

inline std::vector<InvariantCase> frame_neighbor_cases() {
  return {
      {"rmp.masks_follow_caller", rights_given,
       [](FakeView& v) {
         v.step_value.op = RmpAdjust{.gfn = {6}, .target_vmpl = {2}, .mask = {3}, .vmpl = {1}};
       }},
      {"rmp.masks_follow_caller", rights_given, [](FakeView& v) { v.vms[0].asid = {6}; }},
      {"rmp.masks_follow_caller", rights_given,
       [](FakeView& v) {
         v.step_value.op = RmpAdjust{.gfn = {5}, .target_vmpl = {2}, .mask = {1}, .vmpl = {1}};
       }},
      {"rmp.change_clears_validated", shrunk_by_rmpupdate,
       [](FakeView& v) { v.rmp_value[kHead].validated = true; }},
      {"rmp.change_clears_validated",
       [](FakeView& v) {
         shrunk_by_rmpupdate(v), v.rmp_value[kHead].validated = true;
         v.events_value.add({.kind = EventKind::kPsmash, .a = kHead.value});
       },
       [](FakeView& v) {
         v.events_value.clear();
         v.events_value.add({.kind = EventKind::kRmpUpdate, .a = kHead.value, .b = 1});
         v.events_value.add({.kind = EventKind::kPsmash, .a = kHead.value + kFramesPer2M});
       }},
      {"rmp.masks_follow_caller",
       [](FakeView& v) {
         rights_given(v);
         v.step_value.op =
             RmpAdjust{.page_size = PageSizeArg::k2M, .target_vmpl = {2}, .mask = {3}, .vmpl = {1}};
       },
       [](FakeView& v) {
         v.step_value.op = RmpAdjust{.gfn = {kFramesPer2M},
                                     .page_size = PageSizeArg::k2M,
                                     .target_vmpl = {2},
                                     .mask = {3},
                                     .vmpl = {1}};
       }},
      {"rmp.change_clears_validated",
       [](FakeView& v) {  // raw host instructions leave no event
         shrunk_by_rmpupdate(v), v.rmp_value[kHead].validated = true;
         v.header_value.scope = Scope::kMachine;
         v.ran(Psmash{}, oracle::kOpBit<Psmash>);
       },
       [](FakeView& v) { v.ran(RmpUpdate{}, oracle::kOpBit<RmpUpdate>); }},
      {"host.direct_map_never_merges",
       [](FakeView& v) {  // a large entry needs no split
         v.change(kHead, kLarge, kFree), v.direct_map[kHead] = MapLevel::k2M;
         v.events_value.add({.kind = EventKind::kRmpUpdate, .a = kHead.value, .b = 1});
       },
       [](FakeView& v) { v.frame_changes_value[0].rmp_before.page_size = PageSize::k4K; }},
      {"host.direct_map_never_merges", [](FakeView& v) { v.change(kFrame, kInvalid, kFree); },
       [](FakeView& v) { v.direct_map[kFrame] = MapLevel::k2M; }},
      {"host.direct_map_never_merges",
       [](FakeView& v) {
         v.host_value.direct_map_splits = 1;
         v.events_value.add({.kind = EventKind::kDirectMapSplit, .a = kHead.value});
       },
       [](FakeView& v) { v.direct_map[kHead] = MapLevel::k2M; }},
      {"host.freed_frame_is_shared", [](FakeView& v) { v.change(kFrame, kFree, kInvalid); },
       [](FakeView& v) { v.frame_changes_value[0].before = v.frames_value[kFrame] = {}; }},
      {"host.freed_frame_is_shared", [](FakeView& v) { v.change(kFrame, kFree, kInvalid); },
       [](FakeView& v) {
         v.frames_value[kFrame] = {.use = FrameUse::kHostUser, .index = 3};
         v.frame_changes_value[0].before = v.frames_value[kFrame];
       }},
      {"host.freed_frame_is_shared",
       [](FakeView& v) {  // a page of a file becomes user space's
         v.rmp_value[kFrame] = kInvalid;
         v.frames_value[kFrame] = {.use = FrameUse::kVmsa};
         v.frame_changes_value.push_back(
             {.pfn = kFrame, .rmp_before = kInvalid, .before = {.use = FrameUse::kFirmware}});
       },
       [](FakeView& v) { v.frames_value[kFrame].use = FrameUse::kHostUser; }},
      {"host.freed_frame_is_shared", block_assigned,
       [](FakeView& v) {
         v.frames_value[kHead + PageCount{77}] = {.use = FrameUse::kHostUser, .index = 77};
       }},
      {"host.freed_frame_is_shared",
       [](FakeView& v) {
         launched_vm(v), v.rmp_value[kFrame] = kInvalid;
         v.books.by_use = {FakeView::kFrames - 1, 0, 0, 1, 0, 0};
       },
       [](FakeView& v) {
         v.frames_value[kFrame] = {};
         v.books.by_use = {FakeView::kFrames, 0, 0, 0, 0, 0};
       },
       true},
      {"host.leaked_after_refusal", [](FakeView& v) { leaked_let_go(v, FrameUse::kVmsa); },
       [](FakeView& v) { v.frames_value[kFrame] = {}; }},
      {"host.leaked_after_refusal", [](FakeView& v) { leaked_let_go(v, FrameUse::kLeaked); },
       [](FakeView& v) { v.frames_value[kFrame].use = FrameUse::kVmsa; }},
      {"td.host_keeps_off", page_augmented,
       [](FakeView& v) { v.frames_value[kFrame] = {.use = FrameUse::kHostUser, .index = 7}; }},
  };
}

/// A VM of the default type has a slot at 0x400, and gets one at 0.
inline void made_slot(FakeView& v) {
  v.vms[0] = {.exists = true, .open = true, .users = 1, .generation = {0, 1}};
  v.vms[0].slot_zap_all = true;
  v.slots_before_value = {{.base = {0x400}, .page_count = {16}}};
  v.slots_value = {{.base = {0x400}, .page_count = {16}}, {.id = 1, .page_count = {16}}};
  v.ran(SetMemoryRegion{.slot = {1}, .size = {16 * kPageBytes}}, oracle::kOpBit<SetMemoryRegion>);
}
/// The same VM's slot at 0 moves by half its size; its leaves are gone, and those of the other.
inline void moved_slot(FakeView& v) {
  made_slot(v);
  v.slots_before_value = v.slots_value;
  v.slots_value[1].base = {8};
  v.ran(SetMemoryRegion{.slot = {1}, .gpa = {8 * kPageBytes}, .size = {16 * kPageBytes}},
        oracle::kOpBit<SetMemoryRegion>);
  for (const std::uint64_t gfn : {9u, 0x405u})
    v.leaf_changes_value.push_back({.gfn = {gfn}, .before = {.present = true, .pfn = kHead}});
}
/// User space has unmapped page 7 of the host region, which a slot shows at GFN 5.
inline void page_unmapped(FakeView& v) {
  made_slot(v);
  v.slots_before_value.reset();
  v.slots_value = {{.page_count = {16}, .hva = {.value = 2 * kPageBytes}}};
  v.roots[1] = v.roots[0];
  v.ran(HostUnmap{.hva = {.value = 7 * kPageBytes}}, oracle::kOpBit<HostUnmap>);
  v.frame_changes_value.push_back(
      {.pfn = kFrame, .rmp_before = kFree, .before = {.use = FrameUse::kHostUser, .index = 7}});
}
/// The guest's page at GFN 5 was taken back, and its leaf has gone.
inline void taken_back(FakeView& v) {
  private_leaf(v), v.leaves.clear(), v.leaf_changes_value.clear(), v.events_value.clear();
  v.ran(NumaBalancing{}, oracle::kOpBit<NumaBalancing>);
  v.change(kFrame, kInvalid, kFree);
}

inline std::vector<InvariantCase> leaf_neighbor_cases() {
  const auto lets_go_of = [](VmIndex vm, std::uint64_t gfn) {
    return [vm, gfn](FakeView& v) {
      v.leaf_changes_value.push_back(
          {.vm = vm, .gfn = {gfn}, .before = {.present = true, .pfn = kHead}});
    };
  };
  return {
      {"npt.delete_spares_others", made_slot, lets_go_of({0}, 0x405)},
      {"npt.delete_spares_others", moved_slot,
       [](FakeView& v) {
         v.slots_value[1].base = {0};  // only its flags change
         v.step_value.op = SetMemoryRegion{.slot = {1}, .size = {16 * kPageBytes}};
       }},
      {"npt.delete_spares_others",
       [&](FakeView& v) {  // what was out of use for a while, and came back
         made_slot(v);
         v.slots_before_value = v.slots_value, (*v.slots_before_value)[1].invalid = true;
         lets_go_of({0}, 0x405)(v);
       },
       [](FakeView& v) { (*v.slots_before_value)[1].invalid = false; }},
      {"npt.delete_spares_others",
       [&](FakeView& v) {
         made_slot(v), v.ran(SetMemoryRegion{.slot = {7}}, oracle::kOpBit<SetMemoryRegion>);
         lets_go_of({0}, 0x405)(v);
       },
       [](FakeView& v) { v.leaf_changes_value[0].vm = {1}; }},
      {"npt.delete_spares_others",
       [&](FakeView& v) {
         made_slot(v), v.vms[0].slot_zap_all = false;
         v.slots_before_value = v.slots_value;
         lets_go_of({0}, 5)(v);
       },
       [](FakeView& v) { v.leaf_changes_value[0].vm = {1}; }},
      {"npt.deleted_slot_has_no_leaf", moved_slot,
       [](FakeView& v) {
         v.leaf_changes_value.clear();
         v.leaves[{9}] = {.present = true, .pfn = kHead};
       }},
      {"npt.deleted_slot_has_no_leaf",
       [](FakeView& v) {  // somebody may have mapped it anew
         moved_slot(v), v.leaf_changes_value.clear();
         v.leaves[{9}] = {.present = true, .pfn = kHead};
         v.also_ran[actor_slot({.kind = ActorKind::kVcpu, .index = 0})] = GuestAccess{};
       },
       [](FakeView& v) { v.also_ran.clear(); }},
      {"npt.deleted_slot_has_no_leaf",
       [](FakeView& v) {  // the same, if it was parked in between
         moved_slot(v), v.leaf_changes_value.clear();
         v.leaves[{9}] = {.present = true, .pfn = kHead};
         v.step_value.op = Resume{};
       },
       [](FakeView& v) {
         v.step_value.op =
             SetMemoryRegion{.slot = {1}, .gpa = {8 * kPageBytes}, .size = {16 * kPageBytes}};
       }},
      {"npt.leaf_follows_slot", page_unmapped,
       [](FakeView& v) { v.leaves_of_root1[{5}] = {.present = true, .pfn = kFrame}; }},
      {"npt.leaf_follows_slot",
       [](FakeView& v) {
         page_unmapped(v), v.leaves_of_root1[{5}] = {.present = true, .pfn = kFrame};
         v.frames_value[kFrame] = {.use = FrameUse::kHostUser, .index = 7};
       },
       [](FakeView& v) { v.frames_value[kFrame].index = 8; }},
      {"npt.leaf_follows_slot",
       [](FakeView& v) {  // where its slot lies, nobody says
         page_unmapped(v), v.leaves_of_root1[{5}] = {.present = true, .pfn = kFrame};
         v.slots_value[0].hva.raw = true;
       },
       [](FakeView& v) { v.slots_value[0].hva.raw = false; }},
      {"npt.leaf_follows_slot",
       [](FakeView& v) {
         page_unmapped(v), v.leaves_of_root1[{5}] = {.present = true, .pfn = kFrame};
         v.slots_value[0].gmem_only = true;
       },
       [](FakeView& v) { v.slots_value[0].gmem_only = false; }},
      {"npt.leaf_follows_slot",
       [](FakeView& v) {
         page_unmapped(v), v.leaves_of_root1[{5}] = {.present = true, .pfn = kFrame};
         in_flight(v);
       },
       [](FakeView& v) { v.progress_value.in_flight = 0; }},
      {"npt.private_leaf_is_assigned",
       [](FakeView& v) {
         taken_back(v), in_flight(v);
         v.leaves[{5}] = {.present = true, .pfn = kFrame};
       },
       [](FakeView& v) { v.progress_value.in_flight = 0; }},
      {"npt.private_leaf_is_assigned", taken_back,
       [](FakeView& v) { v.leaves[{5}] = {.present = true, .pfn = kFrame}; }},
      {"npt.private_leaf_is_assigned",
       [](FakeView& v) {
         taken_back(v);
         v.rmp_value[kFrame] = with(kInvalid, [](RmpView& e) { e.asid = {6}; });
       },
       [](FakeView& v) { v.leaves[{5}] = {.present = true, .pfn = kFrame}; }},
      {"npt.private_leaf_is_assigned",
       [](FakeView& v) {
         taken_back(v), v.frame_changes_value.clear();
         v.change(kHead, with(kLarge, [](RmpView& e) { e.gpa = {0}; }), kFree);
         v.events_value.add({.kind = EventKind::kRmpUpdate, .a = kHead.value, .b = 1});
       },
       [](FakeView& v) { v.leaves[{5}] = {.present = true, .pfn = kFrame}; }},
      {"pre_fault.stays_in_slot",
       [](FakeView& v) { pre_faulted(v), v.roots[1] = v.roots[0], v.leaves_of_root1 = v.leaves; },
       [](FakeView& v) { v.leaf_changes_value[1].root = 1; }},
      {"pre_fault.stays_in_slot",
       [](FakeView& v) {
         page_augmented(v), in_flight(v);
         Outcome out{};
         out.has_progress = true, out.progress = {.gpa = 0x6000, .left = 0};
         v.ran(PreFaultMemory{.gpa = {0x5000}}, oracle::kOpBit<PreFaultMemory>, out);
         v.leaf_changes_value = {{.root = 1, .gfn = {5}, .before = {}}};  // of its mirror
       },
       [](FakeView& v) { v.slots_value.clear(); }},
      {"pre_fault.stays_in_slot",
       [](FakeView& v) {
         pre_faulted(v), in_flight(v);
         v.vms[0].type = VmType::kDefault, v.vms[0].asid = {};
       },
       [](FakeView& v) { v.slots_value[0].address_space = 1; }},
  };
}

/// The file's page 7, which a slot shows at GFN 7, has come for this operation of a vCPU.
template <class Op>
void page_brought(FakeView& v, const Op& op) {
  fresh_page(v, AccessKind::kRead);
  v.ran(op, oracle::kOpBit<Op>);
}
/// GFN 5 became private because the guest asked for it by hypercall.
inline void asked_for_private(FakeView& v) {
  launched_vm(v);
  v.vcpus[0].exists = true;
  v.ran(MapGpaRange{.gpa = {0x5000}}, oracle::kOpBit<MapGpaRange>);
  v.private_spans = {{.first = {5}, .end = {6}}};
  v.attribute_changes_value = {{.first = {5}, .count = {1}}};
}
/// The guest wanted GFN 7 shared, and user space has punched the page out of the file.
inline void given_away(FakeView& v) {
  file_with_page(v);
  v.vcpus[0].exists = true;
  v.slots_value = {{.base = {0}, .page_count = {16}, .gmem = {0}}};
  v.bindings[0] = {{.count = 16}};
  v.gmem_page_changes_value = {{.gmem = {0}, .index = 7, .before = v.gmem_pages[{{0}, 7}]}};
  v.gmem_pages.clear(), v.frames_value.clear(), v.gmems[0].resident_pages = 0;
  v.books.by_use = {FakeView::kFrames, 0, 0, 0, 0, 0};
  v.ran(MapGpaRange{.gpa = {0x7000}}, oracle::kOpBit<MapGpaRange>);
}

inline std::vector<InvariantCase> file_neighbor_cases() {
  const auto read_of = [](std::uint64_t gfn) { return GuestAccess{.gfn = {gfn}}; };
  return {
      {"gmem.resident_pages_add_up", [=](FakeView& v) { page_brought(v, read_of(7)); },
       [=](FakeView& v) { v.step_value.op = read_of(8); }},
      {"gmem.resident_pages_add_up", [=](FakeView& v) { page_brought(v, read_of(7)); },
       [](FakeView& v) { v.vm_of_vcpu[0] = {1}; }},
      {"gmem.resident_pages_add_up",
       [](FakeView& v) { file_with_page(v), v.ran(DropCaches{}, oracle::kOpBit<DropCaches>); },
       [](FakeView& v) { v.gmem_page_changes_value = {{.gmem = {0}, .index = 7, .before = {}}}; }},
      {"gmem.resident_pages_add_up",
       [](FakeView& v) {
         file_with_page(v), v.ran(SetMemoryAttributes{}, oracle::kOpBit<SetMemoryAttributes>);
       },
       [](FakeView& v) { v.gmem_page_changes_value = {{.gmem = {0}, .index = 7, .before = {}}}; }},
      {"gmem.resident_pages_add_up",
       [=](FakeView& v) { page_brought(v, read_of(8)), v.vmsas[0].named = kFrame; },
       [](FakeView& v) { v.vmsas[0].named = kHead; }},
      {"gmem.resident_pages_add_up",
       [=](FakeView& v) { page_brought(v, read_of(8)), v.vmsas[0].starts = true; },
       [](FakeView& v) { v.vmsas[0].starts = false; }},
      {"gmem.resident_pages_add_up",
       [=](FakeView& v) {
         page_brought(v, read_of(8)), v.header_value.policy.gmem_order = GmemOrder::k2M;
       },
       [](FakeView& v) { v.header_value.policy.gmem_order = GmemOrder::k4K; }},
      {"attributes.belong_to_vm",
       [](FakeView& v) {  // two conversions side by side are told as one change
         asked_for_private(v), v.private_spans[0].end = {7};
         v.attribute_changes_value[0].count = {2};
         v.also_ran[actor_slot({.kind = ActorKind::kVmm, .index = 1})] =
             SetMemoryAttributes{.address = {0x6000}, .attributes = {8}};
       },
       [](FakeView& v) { v.also_ran.clear(); }},
      {"attributes.belong_to_vm", asked_for_private, [](FakeView& v) { v.vm_of_vcpu[0] = {1}; }},
      {"attributes.belong_to_vm", asked_for_private,
       [](FakeView& v) { v.step_value.op = MapGpaRange{.gpa = {0x6000}}; }},
      {"attributes.belong_to_vm",
       [](FakeView& v) {
         asked_for_private(v);
         v.ran(SetMemoryAttributes{.address = {0x5000}, .attributes = {8}},
               oracle::kOpBit<SetMemoryAttributes>);
       },
       [](FakeView& v) {
         v.step_value.op = SetMemoryAttributes{.address = {0x6000}, .attributes = {8}};
       }},
      {"attributes.belong_to_vm",
       [](FakeView& v) {  // the vCPU is gone: whose it was, nobody can say
         asked_for_private(v), v.vm_of_vcpu[0] = {1}, v.vcpus[0].exists = false;
       },
       [](FakeView& v) { v.vcpus[0].exists = true; }},
      {"gmem.pages_outlive_slots", given_away,
       [](FakeView& v) { v.header_value.policy.convert_reclaim = ConvertReclaim::kKeep; }},
      {"gmem.pages_outlive_slots", given_away,
       [](FakeView& v) { v.step_value.op = MapGpaRange{.gpa = {0x8000}}; }},
      {"gmem.pages_outlive_slots",
       [](FakeView& v) {  // the slot went before the hole was punched
         given_away(v), v.slots_value.clear();
         v.also_ran = {{actor_slot(v.step_value.actor), v.step_value.op}};
         v.step_value.op = Resume{};
       },
       [](FakeView& v) { v.step_value.op = v.also_ran.begin()->second; }},
      {"gmem.pages_outlive_slots",
       [](FakeView& v) {  // the slot was moved meanwhile
         given_away(v), v.slots_before_value = v.slots_value, v.slots_value[0].base = {16};
       },
       [](FakeView& v) { (*v.slots_before_value)[0].base = {16}; }},
  };
}

/// Firmware's page at kHead, as it is for each guest context.
inline void context_page(FakeView& v) {
  v.rmp_value[kHead] = with(kFree, [](RmpView& e) { e.assigned = true; });
  v.books.by_use = {FakeView::kFrames - 1, 0, 0, 1, 0, 0};
}
/// A VMSA of VM 1, which is being launched, too, while VM 0's LAUNCH_UPDATE runs.
inline void two_launches(FakeView& v) {
  launched_page(v);
  v.vms[1] = v.vms[0], v.vms[1].asid = {6};
  v.change(kFrame + PageCount{1}, kFree,
           with(kInvalid, [](RmpView& e) { e.asid = {6}, e.vmsa = true; }));
  v.also_ran[actor_slot({.kind = ActorKind::kVmm, .index = 1})] = LaunchFinish{.vm = {1}};
  v.ran_value |= oracle::kOpBit<LaunchFinish>;
}
/// A TD wrote to the shared half, which its file serves, too.
inline constexpr std::uint64_t kSharedGfn = oracle::kTdSharedBit >> kPageShift;
inline void wrote_shared_half(FakeView& v) {
  running_td(v);
  v.ran(GuestAccess{.gfn = {kSharedGfn | 5}, .kind = AccessKind::kWrite, .value = {9}},
        oracle::kOpBit<GuestAccess>);
  v.frame_changes_value.push_back({.pfn = kFrame, .rmp_before = kFree, .before = v.frame(kFrame)});
  v.frames_value[kFrame].content = 9;
}

/// The kernel did, by a slot that shows the page.
inline void kernel_wrote_shared_half(FakeView& v) {
  wrote_shared_half(v);
  v.ran(KernelWrite{.gfn = {5}, .value = {9}}, oracle::kOpBit<KernelWrite>);
}

/// wrote_private() by what the guest has cached, of a file that is being closed.
inline void wrote_before_flush_of_close(FakeView& v) {
  wrote_private(v), v.slots_value[0].gmem = {};
  v.translations_value = {{.vcpu = {0}, .page = 7, .pfn = kFrame, .writable = true}};
}

/// What wrote_private() wrote is read.
inline void read_private(FakeView& v) {
  wrote_private(v);
  v.bindings[0] = {{.count = 16}};
  v.frame_changes_value.clear();
  Outcome out{};
  out.has_value = true, out.value = 9;
  v.ran(GuestAccess{.gfn = {7}}, oracle::kOpBit<GuestAccess>, out);
}

inline std::vector<InvariantCase> guest_neighbor_cases() {
  return {
      {"launch.only_launched_pages", launched_page,
       [](FakeView& v) { v.rmp_value[kFrame].immutable = true; }},
      {"launch.only_launched_pages", two_launches,
       [](FakeView& v) {
         v.also_ran[actor_slot({.kind = ActorKind::kVmm, .index = 1})] = LaunchFinish{};
       }},
      {"launch.only_launched_pages", launched_page,
       [](FakeView& v) {
         two_launches(v), v.also_ran.clear();
         v.ran_value = oracle::kOpBit<LaunchUpdate>;
       }},
      {"launch.nothing_stays_assigned",
       [](FakeView& v) { vm_gone(v), context_page(v), in_flight(v); },
       [](FakeView& v) { v.progress_value.in_flight = 0; }},
      {"launch.nothing_stays_assigned",
       [](FakeView& v) {
         vm_gone(v), context_page(v);
         v.vms[1] = {.exists = true, .type = VmType::kSnp, .asid = {6}, .launching = true};
       },
       [](FakeView& v) { v.rmp_value[kHead + PageCount{1}] = v.rmp_value[kHead]; }},
      {"launch.nothing_stays_assigned",
       [](FakeView& v) { launched_vm(v), context_page(v), v.vms[0].launching = true; },
       [](FakeView& v) { v.vms[0].launching = false; }, true},
      {"launch.nothing_stays_assigned",
       [](FakeView& v) {
         vm_gone(v), context_page(v);
         v.frames_value[kHead] = {.use = FrameUse::kLeaked, .leaked = true};
       },
       [](FakeView& v) { v.frames_value.clear(); }},
      {"contents.private_page_is_its_owners",
       [](FakeView& v) { wrote_private(v), v.slots_value.push_back({.gmem = {1}}); },
       [](FakeView& v) { v.slots_value[0].gmem = {1}; }},
      {"contents.private_page_is_its_owners", wrote_private,
       [](FakeView& v) {
         v.step_value.op = GuestAccess{.gfn = {8}, .kind = AccessKind::kWrite, .value = {9}};
       }},
      {"contents.private_page_is_its_owners",
       [](FakeView& v) {  // the slot was moved meanwhile
         wrote_private(v), v.slots_before_value = v.slots_value, v.slots_value[0].base = {16};
       },
       [](FakeView& v) { (*v.slots_before_value)[0].base = {16}; }},
      {"contents.private_page_is_its_owners", wrote_before_flush_of_close,
       [](FakeView& v) { v.translations_value[0].page = 8; }},
      {"contents.private_page_is_its_owners", wrote_before_flush_of_close,
       [](FakeView& v) { v.translations_value[0].vcpu = {1}; }},
      {"contents.private_page_is_its_owners", wrote_shared_half,
       [](FakeView& v) {
         v.step_value.op =
             GuestAccess{.gfn = {kSharedGfn | 6}, .kind = AccessKind::kWrite, .value = {9}};
       }},
      {"contents.private_page_is_its_owners", kernel_wrote_shared_half,
       [](FakeView& v) { v.step_value.op = KernelWrite{.gfn = {6}, .value = {9}}; }},
      {"contents.guest_reads_what_it_wrote", read_private,
       [](FakeView& v) { v.outcome_value.value = 8; }, false, wrote_private},
  };
}

}  // namespace sluice::testing
