// Operations: the modes of a vCPU that change which root of nested page tables it uses (kvm.md 7):
// system management mode, and guest mode, in which the guest runs a guest of its own. In the words
// of Linux the guest is L1, its guest L2.
#pragma once
#include "ops/op_info.h"

namespace sluice {

/// KVM_SET_VCPU_EVENTS with smi.smm set: as if an SMI had come, but without its state save. Until
/// leave_smm the vCPU uses the second address space. It ends guest mode.  Refused: skip.no_smm.
struct EnterSmm {
  static constexpr OpInfo kInfo{
      .name = "enter_smm",
      .actor = ActorKind::kVcpu,
      .weight = 3,
      .source = "kvm_vcpu_ioctl_x86_set_vcpu_events(), kvm_leave_nested(), kvm_smm_changed()",
      .summary = "Puts the vCPU into system management mode: it uses the second address space."};
  template <class Self, class Visit>
  static constexpr void each(Self&, Visit&&) {}
};
SLUICE_OPERATION(EnterSmm);

/// The same with smi.smm clear.
struct LeaveSmm {
  static constexpr OpInfo kInfo{
      .name = "leave_smm",
      .actor = ActorKind::kVcpu,
      .weight = 6,
      .source = "kvm_vcpu_ioctl_x86_set_vcpu_events(), kvm_leave_nested(), kvm_smm_changed()",
      .summary = "Takes the vCPU out of system management mode."};
  template <class Self, class Visit>
  static constexpr void each(Self&, Visit&&) {}
};
SLUICE_OPERATION(LeaveSmm);

/// The guest runs VMRUN (or VMLAUNCH): L2 runs from here on. Its GFNs are the guest's own: with
/// L1 shadow paging the processor uses L1's page tables and KVM's root for guest mode; with nested
/// paging KVM shadows L1's nested page tables.  Refused: skip.no_guest_mode, skip.vcpu_mode, what
/// KVM_RUN refuses, group enter_guest_mode.
struct EnterGuestMode {
  L2Paging paging = L2Paging::kShadow;
  static constexpr OpInfo kInfo{
      .name = "enter_guest_mode",
      .actor = ActorKind::kVcpu,
      .weight = 2,
      .source = "nested_svm_vmrun(), nested_svm_load_cr3(), nested_svm_init_mmu_context()",
      .summary = "The vCPU's guest starts a guest of its own."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("paging", op.paging);
  }
};
SLUICE_OPERATION(EnterGuestMode);

/// L2 exits to L1.  Refused: skip.vcpu_mode, what KVM_RUN refuses.
struct LeaveGuestMode {
  static constexpr OpInfo kInfo{
      .name = "leave_guest_mode",
      .actor = ActorKind::kVcpu,
      .weight = 6,
      .source = "nested_svm_vmexit(), nested_svm_load_cr3(), kvm_mmu_new_pgd()",
      .summary = "The guest's guest exits to it."};
  template <class Self, class Visit>
  static constexpr void each(Self&, Visit&&) {}
};
SLUICE_OPERATION(LeaveGuestMode);

}  // namespace sluice
