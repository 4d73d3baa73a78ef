// Pairs of views for the invariants of exits, launch and the life of a VM (groups X and L).
#pragma once
#include <cerrno>

#include "testing/invariant_case.h"

namespace sluice::testing {

/// An SNP guest wanted GFN 5 as private, and it is shared.
inline void mismatch(FakeView& v) {
  launched_vm(v);
  Outcome out = outcome_of(Check::kFaultMismatch);
  out.exit = {.reason = kExitMemoryFault, .flags = 8, .gpa = 0x5000, .size = kPageBytes};
  v.ran(GuestAccess{.gfn = {5}, .c_bit = true}, oracle::kOpBit<GuestAccess>, out);
}
/// LAUNCH_UPDATE of GFN 5 put the file's page in place.
inline void launched_page(FakeView& v) {
  file_with_page(v);
  v.vms[0].launched = false, v.vms[0].launching = true;
  v.slots_value = {{.base = {0}, .page_count = {512}, .gmem = {0}, .gmem_page_offset = 2}};
  Outcome out{};
  out.has_progress = true;
  out.progress = {.gpa = 0x6000, .left = 0};
  v.ran(LaunchUpdate{.gfn = {5}}, oracle::kOpBit<LaunchUpdate>, out);
  v.change(kFrame, kFree, with(kInvalid, [](RmpView& e) { e.validated = true; }));
}
/// The last user of an SNP VM went; its frame is free.
inline void vm_gone(FakeView& v) {
  launched_vm(v);
  v.vms_before[{0}] = v.vms[0];
  v.vms[0] = {};
  v.rmp_value[kFrame] = kFree;
}

inline std::vector<InvariantCase> launch_cases() {
  return {
      {"exit.memory_fault_format", mismatch, [](FakeView& v) { v.outcome_value.exit.size = 1; }},
      {"exit.memory_fault_format",
       [](FakeView& v) {
         mismatch(v), v.outcome_value.kind = StatusKind::kErrno;
         v.outcome_value.number = EHWPOISON;
       },
       [](FakeView& v) { v.outcome_value.number = EAGAIN; }},
      {"exit.mismatch_says_access", mismatch,
       [](FakeView& v) { v.private_spans = {{.first = {5}, .end = {6}}}; }},
      {"launch.only_launched_pages", launched_page,
       [](FakeView& v) { v.rmp_value[kFrame].validated = false; }},
      {"launch.only_launched_pages", launched_page,
       [](FakeView& v) { v.outcome_value.progress.gpa = 0x7000; }},
      {"launch.failed_page_goes_back",
       [](FakeView& v) {
         launched_page(v), v.vms[0].launched = true, v.rmp_value[kFrame] = kFree;
         v.outcome_value = outcome_of(Check::kLaunchUpdateFirmware);
       },
       [](FakeView& v) { v.rmp_value[kFrame] = kInvalid; }},
      {"launch.page_is_launched_once", launched_page,
       [](FakeView& v) { v.frame_changes_value[0].rmp_before = v.rmp_value[kFrame]; }},
      {"exit.conversion_helps",
       [](FakeView& v) {
         mismatch(v), v.private_spans = {{.first = {5}, .end = {6}}};
         v.outcome_value = {};
       },
       [](FakeView& v) {
         mismatch(v), v.outcome_value.exit.flags = 0;  // now it is said to want the page shared
       },
       false, mismatch},
      {"launch.dead_vm_is_frozen",
       [](FakeView& v) {
         launched_vm(v), v.vms[0].dead = true, v.vms_before[{0}] = v.vms[0];
         v.ran(GuestAccess{}, oracle::kOpBit<GuestAccess>, outcome_of(Check::kVmDead));
         v.step_value.op = Resume{.target = v.step_value.actor};
         v.also_ran[actor_slot(v.step_value.actor)] = GuestAccess{};
       },
       [](FakeView& v) { v.outcome_value = {}; }, false,
       [](FakeView& v) { launched_vm(v), v.vms_before[{0}] = v.vms[0], v.vms[0].dead = true; }},
      {"launch.dead_vm_is_frozen",
       [](FakeView& v) {
         launched_vm(v), v.vms[0].dead = true;
         v.ran(CreateVcpu{}, oracle::kOpBit<CreateVcpu>, outcome_of(Check::kVmDead));
       },
       [](FakeView& v) { v.outcome_value = {}; }, false,
       [](FakeView& v) { launched_vm(v), v.vms_before[{0}] = v.vms[0], v.vms[0].dead = true; }},
      {"launch.dead_vm_is_frozen",
       [](FakeView& v) {
         launched_vm(v), v.vms[0].dead = true;
         v.ran(CreateVcpu{}, oracle::kOpBit<CreateVcpu>, outcome_of(Check::kVmDead));
       },
       [](FakeView& v) {
         v.frame_changes_value.push_back({.pfn = kFrame, .before = {.content = 3}});
       },
       false,
       [](FakeView& v) { launched_vm(v), v.vms_before[{0}] = v.vms[0], v.vms[0].dead = true; }},
      {"launch.nothing_stays_assigned", vm_gone,
       [](FakeView& v) { v.rmp_value[kFrame] = kInvalid; }},
  };
}

}  // namespace sluice::testing
