// Operations: Intel TDX. The ioctls that build a TD, what its guest asks of the TDX module, and who
// else is in that module's way. Errno order: tdx.md 5.
#pragma once
#include "ops/op_info.h"

namespace sluice {

/// KVM_TDX_INIT_VM: the TDX module makes the TD.  Refused: group tdx_init_vm.
struct TdxInitVm {
  VmIndex vm{};
  RawFlags flags{};
  bool sept_ve_disable = false;  // attribute: a pending page ends the TD instead of a #VE
  static constexpr OpInfo kInfo{
      .name = "tdx_init_vm",
      .weight = 2,
      .source = "tdx_td_init()",
      .summary = "Has the TDX module make the TD of a VM, before it gets vCPUs."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm), visit("flags", op.flags), visit("sept_ve_disable", op.sept_ve_disable);
  }
};
SLUICE_OPERATION(TdxInitVm);

/// KVM_TDX_INIT_VCPU on the acting vCPU.  Refused: group tdx_init_vcpu.
struct TdxInitVcpu {
  RawFlags flags{};
  static constexpr OpInfo kInfo{.name = "tdx_init_vcpu",
                                .actor = ActorKind::kVcpu,
                                .weight = 2,
                                .source = "tdx_vcpu_init()",
                                .summary = "Has the TDX module make a vCPU of a TD."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("flags", op.flags);
  }
};
SLUICE_OPERATION(TdxInitVcpu);

/// KVM_TDX_INIT_MEM_REGION on the acting vCPU; bit 0 of `flags` measures.  Refused: group
/// tdx_init_mem_region.
struct TdxInitMemRegion {
  RawGpa gpa{};
  RawSize page_count{.value = 1};
  HostVa hva{};
  RawFlags flags{.value = 1};
  static constexpr OpInfo kInfo{
      .name = "tdx_init_mem_region",
      .actor = ActorKind::kVcpu,
      .weight = 4,
      .source = "tdx_vcpu_init_mem_region(), tdx_gmem_post_populate()",
      .summary = "Adds pages to a TD, and measures them, before its guest starts."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gpa", op.gpa), visit("page_count", op.page_count), visit("hva", op.hva);
    visit("flags", op.flags);
  }
};
SLUICE_OPERATION(TdxInitMemRegion);

/// KVM_TDX_FINALIZE_VM.  Refused: group tdx_finalize.
struct TdxFinalize {
  VmIndex vm{};
  static constexpr OpInfo kInfo{
      .name = "tdx_finalize",
      .weight = 2,
      .source = "tdx_td_finalize()",
      .summary = "Seals a TD's measurement; its guest, faults and pre-faults may run from here."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm);
  }
};
SLUICE_OPERATION(TdxFinalize);

/// TDG.MEM.PAGE.ACCEPT: the guest of a TD accepts a page.  Refused: group td_accept.
struct TdAccept {
  Gfn gfn{};
  PageSize page_size = PageSize::k4K;
  static constexpr OpInfo kInfo{
      .name = "td_accept",
      .actor = ActorKind::kVcpu,
      .weight = 5,
      .source = "tdx.md 4, TDG.MEM.PAGE.ACCEPT",
      .summary = "The guest of a TD accepts a private page, which is zeroed."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gfn", op.gfn), visit("page_size", op.page_size);
  }
};
SLUICE_OPERATION(TdAccept);

/// TDVMCALL<MapGPA>: the guest of a TD asks for a range, shared where `gpa` has the SHARED bit.
/// Refused: group td_map_gpa.
struct TdMapGpa {
  RawGpa gpa{};
  RawSize size{.value = kPageBytes};
  static constexpr OpInfo kInfo{
      .name = "td_map_gpa",
      .actor = ActorKind::kVcpu,
      .weight = 4,
      .source = "tdx_map_gpa(), tdx_complete_vmcall_map_gpa()",
      .summary =
          "The guest of a TD asks for a range to be private or, with the SHARED bit, shared."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gpa", op.gpa), visit("size", op.size);
  }
};
SLUICE_OPERATION(TdMapGpa);

/// Other processors are inside the TDX module with the TD that the host is about to change: after
/// `after` SEAMCALLs that go well, its next `count` answer OPERAND_BUSY. It replaces what is left
/// of an earlier one.
struct SeamcallContention {
  ShortCount count{};
  ShortCount after{.value = 0};
  static constexpr OpInfo kInfo{
      .name = "seamcall_contention",
      .actor = ActorKind::kKernel,
      .weight = 2,
      .source = "tdx.md 3, OPERAND_BUSY",
      .summary = "Other processors are in the way of the host's next SEAMCALLs."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("count", op.count), visit("after", op.after);
  }
};
SLUICE_OPERATION(SeamcallContention);

}  // namespace sluice
