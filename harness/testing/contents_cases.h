// Pairs of views for the invariants of contents (group C) and of what a pre-fault or a fix-up
// leaves behind (W3 to W5).
#pragma once
#include "testing/invariant_case.h"

namespace sluice::testing {

inline const RmpView kValidated = with(kInvalid, [](RmpView& e) { e.validated = true; });

/// A page of a software-protected VM's file was written by its guest.
inline void wrote_private(FakeView& v) {
  file_with_page(v);
  v.vms[0].type = VmType::kSwProtected, v.vms[0].asid = {0};
  v.slots_value = {{.base = {0}, .page_count = {16}, .gmem = {0}}};
  v.private_spans = {{.first = {0}, .end = {16}}};
  v.ran(GuestAccess{.gfn = {7}, .kind = AccessKind::kWrite, .value = {9}},
        oracle::kOpBit<GuestAccess>);
  v.frame_changes_value.push_back({.pfn = kFrame, .rmp_before = kFree, .before = v.frame(kFrame)});
  v.frames_value[kFrame].content = 9;
}
/// A guest of SNP wrote its page at GFN 5.
inline void wrote_encrypted(FakeView& v) {
  launched_vm(v);
  v.ran(GuestAccess{.gfn = {5}, .kind = AccessKind::kWrite, .c_bit = true, .value = {9}},
        oracle::kOpBit<GuestAccess>);
  v.rmp_value[kFrame] = kValidated;
}
inline void read_encrypted(FakeView& v) {
  launched_vm(v);
  Outcome out{};
  out.has_value = true, out.value = 9;
  v.ran(GuestAccess{.gfn = {5}, .c_bit = true}, oracle::kOpBit<GuestAccess>, out);
}
inline void host_read(FakeView& v, std::uint64_t value) {
  Outcome out{};
  out.has_value = true, out.value = value;
  v.ran(HostAccess{}, oracle::kOpBit<HostAccess>, out);
}
/// The host took a page that was validated.
inline void page_taken(FakeView& v) {
  launched_vm(v);
  v.header_value.scope = Scope::kMachine;
  v.ran(RmpUpdate{}, oracle::kOpBit<RmpUpdate>);
  v.change(kFrame, kValidated, kFree);
}
/// A guest without private memory read page 3 of the host region.
inline void read_shared(FakeView& v) {
  v.vms[0] = {.exists = true, .open = true, .users = 2, .vcpu_count = 1};
  v.slots_value = {{.base = {0}, .page_count = {16}, .hva = {.value = 0x1000}}};
  v.host_pages[3] = kFrame;
  v.frames_value[kFrame] = {.use = FrameUse::kHostUser, .index = 3, .content = 9};
  Outcome out{};
  out.has_value = true, out.value = 9;
  v.ran(GuestAccess{.gfn = {2}}, oracle::kOpBit<GuestAccess>, out);
}
inline void fresh_host_page(FakeView& v) {
  v.ran(HostAccess{}, oracle::kOpBit<HostAccess>);
  v.frames_value[kFrame] = {.use = FrameUse::kHostUser, .index = 3, .content = 0};
  v.frame_changes_value.push_back(
      {.pfn = kFrame, .rmp_before = kFree, .before = {.use = FrameUse::kFree, .content = 9}});
}
inline void pre_faulted_page(FakeView& v) {
  launched_vm(v);
  Outcome out{};
  out.has_progress = true, out.progress = {.gpa = 0x2000, .left = 0};
  v.ran(PreFaultMemory{.gpa = {0x1000}}, oracle::kOpBit<PreFaultMemory>, out);
  v.slots_value = {{.base = {0}, .page_count = {16}}};
  v.vcpus[0] = {.exists = true, .phys_addr_bits = 48};
  v.leaves[{1}] = {.present = true, .pfn = kFrame};
  v.frames_value[kFrame] = {.use = FrameUse::kHostUser, .index = 1};
}
/// The guest's fault at GFN 5 is met for ever; KVM has no row for an entry of another address.
inline void fault_loops(FakeView& v) {
  file_with_page(v);
  v.gmem_pages[{{0}, 5}] = v.gmem_pages[{{0}, 7}];
  v.slots_value = {{.base = {0}, .page_count = {16}, .gmem = {0}}};
  v.private_spans = {{.first = {0}, .end = {16}}};
  v.rmp_value[kFrame] = kInvalid;
  v.ran(GuestAccess{.gfn = {5}, .c_bit = true}, oracle::kOpBit<GuestAccess>);
}

inline std::vector<InvariantCase> contents_cases() {
  return {
      {"contents.private_page_is_its_owners", wrote_private,
       [](FakeView& v) { v.step_value.op = GuestAccess{.gfn = {7}}; }},
      {"contents.private_page_is_its_owners",
       [](FakeView& v) {
         wrote_encrypted(v);
         v.frame_changes_value.push_back({.pfn = kFrame, .rmp_before = kValidated});
         v.frames_value[kFrame].content = 0x1234;
       },
       [](FakeView& v) {
         v.step_value.op = GuestAccess{.gfn = {4}, .kind = AccessKind::kWrite, .c_bit = true};
       }},
      {"contents.next_owner_finds_zeros", fresh_host_page,
       [](FakeView& v) { v.frames_value[kFrame].content = 9; }},
      {"contents.host_reads_no_private_token", [](FakeView& v) { host_read(v, 8); },
       [](FakeView& v) { v.outcome_value.value = 9; }, false, wrote_encrypted},
      {"contents.loss_is_loud",
       [](FakeView& v) {
         read_encrypted(v), v.step_value.op = GuestAccess{.gfn = {6}, .c_bit = true};
       },
       [](FakeView& v) { v.step_value.op = GuestAccess{.gfn = {5}, .c_bit = true}; }, false,
       page_taken},
      {"contents.guest_reads_what_it_wrote", read_encrypted,
       [](FakeView& v) { v.outcome_value.value = 8; }, false, wrote_encrypted},
      {"contents.shared_page_is_one", read_shared,
       [](FakeView& v) { v.frames_value[kFrame].content = 8; }},
      {"contents.shared_page_is_one", read_shared, [](FakeView& v) { v.host_pages.clear(); }},
      {"contents.shared_page_is_one",
       [](FakeView& v) {
         host_read(v, 8), v.host_pages[0] = kFrame;
         v.frames_value[kFrame] = {.use = FrameUse::kHostUser, .content = 8};
       },
       [](FakeView& v) { v.outcome_value.value = 9; }},
      {"pre_fault.maps_what_was_asked", pre_faulted_page, [](FakeView& v) { v.leaves.clear(); }},
      {"pre_fault.maps_what_was_asked", pre_faulted_page,
       [](FakeView& v) { v.roots[0].address_space = 1; }},
      {"pre_fault.maps_what_was_asked",
       [](FakeView& v) {  // others had been there, and it was told to try again
         pre_faulted_page(v);
         v.progress_value.had_company = true;
         v.events_value.add({.kind = EventKind::kRetry, .a = 1});
       },
       [](FakeView& v) { v.leaves.clear(); }},
      {"pre_fault.leaves_vcpu", pre_faulted_page,
       [](FakeView& v) { v.vcpus[0].ran = true, v.vcpus_before[{0}] = {.exists = true}; }},
      {"progress.fault_is_resolved", fault_loops,
       [](FakeView& v) { v.outcome_value = outcome_of(Check::kFaultLoop); }},
      {"progress.fault_is_resolved",
       [](FakeView& v) {
         fault_loops(v);
         v.ran(GuestConvert{.gfn = {4}, .page_count = {2}}, oracle::kOpBit<GuestConvert>);
         v.events_value.add({.kind = EventKind::kNpf, .a = 4});
         v.events_value.add({.kind = EventKind::kNpf, .a = 5});
       },
       [](FakeView& v) { v.outcome_value = outcome_of(Check::kFaultLoop); }},
      {"pre_fault.prefix_is_mapped", [](FakeView& v) { pre_faulted(v); },
       [](FakeView& v) { v.outcome_value.progress = {.gpa = 0x2000, .left = 0x1000}; }},
      {"pre_fault.success_means_progress",
       [](FakeView& v) {
         pre_faulted(v);
         v.also_ran[actor_slot({.kind = ActorKind::kVcpu, .index = 0})] = v.step_value.op;
         v.step_value.op = Resume{.target = {.kind = ActorKind::kVcpu, .index = 0}};
       },
       [](FakeView& v) {
         v.outcome_value = outcome_of(Check::kPreFaultSignal);
         v.outcome_value.has_progress = true;
         v.outcome_value.progress = {.gpa = 0x2000, .left = 0x1000};
       }},
  };
}

}  // namespace sluice::testing
