// Operations: VMs, vCPUs and the ioctls of launch. Errno order: kvm.md 0, snp_host.md 7.
#pragma once
#include "ops/op_info.h"

namespace sluice {

/// KVM_CREATE_VM, then KVM_ENABLE_CAP(EXIT_HYPERCALL) if `exit_hypercall`, and
/// KVM_ENABLE_CAP(DISABLE_QUIRKS2) with SLOT_ZAP_ALL if not `slot_zap_all`. A kernel that does not
/// know one of them stays as it is.  Refused: group create_vm.
struct CreateVm {
  VmIndex vm{};
  VmType type = VmType::kDefault;
  bool exit_hypercall = true;
  bool slot_zap_all = true;
  static constexpr OpInfo kInfo{
      .name = "create_vm",
      .weight = 3,
      .source = "kvm_dev_ioctl_create_vm(), kvm_arch_init_vm()",
      .summary =
          "Creates a VM of the given type; exit_hypercall lets map_gpa_range exit to user space; "
          "without slot_zap_all, deleting a slot of a default VM spares the other slots' leaves."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm), visit("type", op.type), visit("exit_hypercall", op.exit_hypercall);
    visit("slot_zap_all", op.slot_zap_all);
  }
};
SLUICE_OPERATION(CreateVm);

/// Closes the vCPU descriptors and the VM descriptor; guest_memfds stay open and keep the VM's
/// memory alive.
struct DestroyVm {
  VmIndex vm{};
  static constexpr OpInfo kInfo{
      .name = "destroy_vm",
      .weight = 1,
      .source = "kvm_vm_release(), kvm_destroy_vm()",
      .summary = "Closes a VM's vCPU and VM descriptors; its guest_memfds stay open."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm);
  }
};
SLUICE_OPERATION(DestroyVm);

/// KVM_CREATE_VCPU; binds the sequence's vCPU to the VM.  Refused: group create_vcpu.
struct CreateVcpu {
  VmIndex vm{};
  VcpuIndex vcpu{};
  static constexpr OpInfo kInfo{.name = "create_vcpu",
                                .weight = 3,
                                .source = "kvm_vm_ioctl_create_vcpu()",
                                .summary = "Creates a vCPU."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm), visit("vcpu", op.vcpu);
  }
};
SLUICE_OPERATION(CreateVcpu);

/// KVM_SET_CPUID2 with the given MAXPHYADDR, which picks the paging depth of the vCPU's root.
/// Refused: group set_cpuid.
struct SetCpuid {
  PhysAddrBits phys_addr_bits{};
  static constexpr OpInfo kInfo{
      .name = "set_cpuid",
      .actor = ActorKind::kVcpu,
      .weight = 1,
      .source = "kvm_vcpu_ioctl_set_cpuid2()",
      .summary = "Sets MAXPHYADDR, and with it 4- or 5-level nested paging."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("phys_addr_bits", op.phys_addr_bits);
  }
};
SLUICE_OPERATION(SetCpuid);

/// KVM_SEV_INIT2 on an SNP VM.  Refused: group sev_init2.
struct SevInit2 {
  VmIndex vm{};
  RawFlags flags{};
  static constexpr OpInfo kInfo{
      .name = "sev_init2",
      .weight = 3,
      .source = "sev_guest_init2()",
      .summary = "Initializes SEV state of a VM before any other SEV command."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm), visit("flags", op.flags);
  }
};
SLUICE_OPERATION(SevInit2);

/// KVM_SEV_SNP_LAUNCH_START.  Refused: group launch_start.
struct LaunchStart {
  VmIndex vm{};
  RawPolicy policy{};
  RawFlags flags{};
  static constexpr OpInfo kInfo{.name = "launch_start",
                                .weight = 3,
                                .source = "snp_launch_start()",
                                .summary = "Creates the guest context and binds an ASID."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm), visit("policy", op.policy), visit("flags", op.flags);
  }
};
SLUICE_OPERATION(LaunchStart);

/// KVM_SEV_SNP_LAUNCH_UPDATE.  Refused: group launch_update.
struct LaunchUpdate {
  VmIndex vm{};
  Gfn gfn{};
  RawSize size{.value = kPageBytes};
  RawPageType type{};
  RawFlags flags{};
  HostVa hva{};
  static constexpr OpInfo kInfo{
      .name = "launch_update",
      .weight = 4,
      .source = "snp_launch_update(), sev_gmem_post_populate()",
      .summary = "Copies, assigns and measures pages before the guest starts."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm), visit("gfn", op.gfn), visit("size", op.size);
    visit("type", op.type), visit("flags", op.flags), visit("hva", op.hva);
  }
};
SLUICE_OPERATION(LaunchUpdate);

/// KVM_SEV_SNP_LAUNCH_FINISH.  Refused: group launch_finish.
struct LaunchFinish {
  VmIndex vm{};
  RawFlags flags{};
  static constexpr OpInfo kInfo{.name = "launch_finish",
                                .weight = 3,
                                .source = "snp_launch_finish()",
                                .summary =
                                    "Encrypts the VMSAs and seals the measurement; faults and "
                                    "pre-faults are allowed from here."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm), visit("flags", op.flags);
  }
};
SLUICE_OPERATION(LaunchFinish);

/// Lets a parked actor go on to its end (or to its next park point if `park` is given).
struct Resume {
  ActorId target{.kind = ActorKind::kVcpu};
  static constexpr OpInfo kInfo{
      .name = "resume",
      .weight = 10,
      .source = "interleavings are data (docs/architecture.md)",
      .positional = true,
      .summary = "Lets a parked actor go on; park=K stops it again at its K-th next point."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("target", op.target);
  }
};
SLUICE_OPERATION(Resume);

}  // namespace sluice
