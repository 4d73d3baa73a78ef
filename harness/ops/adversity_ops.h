// Operations: what goes wrong around the system under test without anybody's mistake. Some arm an
// obstacle that later operations meet; the others are what memory management does to a VM's pages
// on its own account.
#pragma once
#include "ops/op_info.h"

namespace sluice {

/// Other processors execute RMP instructions on what the host is about to change: after `after`
/// more that go well, its next `count` RMPUPDATEs (and, for `in_use`, PSMASHes) are refused with
/// that code. It replaces what is left of an earlier one.
struct RmpContention {
  RmpBusy code = RmpBusy::kInUse;
  ShortCount count{};
  ShortCount after{.value = 0};
  static constexpr OpInfo kInfo{
      .name = "rmp_contention",
      .actor = ActorKind::kKernel,
      .weight = 3,
      .source = "rmp.md 4.1, FAIL_INUSE and FAIL_OVERLAP; snp_host.md 1, rmpupdate row 3",
      .summary = "Other processors are in the way of the host's next RMPUPDATEs and PSMASHes."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("code", op.code), visit("count", op.count), visit("after", op.after);
  }
};
SLUICE_OPERATION(RmpContention);

/// A signal on its way to the thread of `target`: a VMM thread, or the one that runs a vCPU. It is
/// there when that thread looks for one, after `after` looks that find none, and gone once a system
/// call has returned for it. It replaces one still on its way.
struct SendSignal {
  ActorId target{};
  ShortCount after{.value = 0};
  static constexpr OpInfo kInfo{
      .name = "send_signal",
      .actor = ActorKind::kKernel,
      .weight = 3,
      .source = "signal_pending(); kvm.md 1.3, 1.6 row 4, 4 rows 4 and 9",
      .summary = "A signal comes to a thread of the VMM, inside or before its next system call."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("target", op.target), visit("after", op.after);
  }
};
SLUICE_OPERATION(SendSignal);

/// Memory runs short for the thread of `target`: its next allocation that may fail does so, after
/// `after` that do not. It replaces one still to come.
struct FailAllocation {
  ActorId target{};
  ShortCount after{.value = 0};
  static constexpr OpInfo kInfo{
      .name = "fail_allocation",
      .actor = ActorKind::kKernel,
      .weight = 3,
      .source = "Linux fault injection (failslab, fail_page_alloc); kvm.md, rows with ENOMEM",
      .summary = "An allocation of the kernel for a thread of the VMM fails."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("target", op.target), visit("after", op.after);
  }
};
SLUICE_OPERATION(FailAllocation);

/// change_prot_numa(): NUMA balancing takes the page table entries of part of the host region, so
/// that the next touch tells who uses a page. The notifier zaps shared mappings of them; frames and
/// contents stay.  Refused: skip.outside_host_region.
struct NumaBalancing {
  HostVa hva{};
  RawSize size{.value = kPageBytes};
  static constexpr OpInfo kInfo{
      .name = "numa_balancing",
      .actor = ActorKind::kKernel,
      .weight = 2,
      .source = "task_numa_work(), change_prot_numa(), MMU_NOTIFY_PROTECTION_VMA",
      .summary = "NUMA balancing protects part of the host region: mapped pages are faulted anew."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("hva", op.hva), visit("size", op.size);
  }
};
SLUICE_OPERATION(NumaBalancing);

/// memory_failure() of the frame behind a page of the host region: it is unmapped everywhere and
/// never used again. Who touches the page from then on gets SIGBUS.  Refused: skip.no_page.
struct HostMemoryFailure {
  HostVa hva{};
  static constexpr OpInfo kInfo{.name = "host_memory_failure",
                                .actor = ActorKind::kKernel,
                                .weight = 1,
                                .source = "memory_failure(); kvm.md 4 and 5, poisoned HVA",
                                .summary = "The frame behind a page of the host region fails."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("hva", op.hva);
  }
};
SLUICE_OPERATION(HostMemoryFailure);

/// The same of a page of a guest_memfd, which stays in its file, poisoned, until a hole is punched
/// there.  Refused: skip.no_gmem, skip.no_page.
struct GmemMemoryFailure {
  GmemIndex gmem{};
  RawOffset offset{};
  static constexpr OpInfo kInfo{.name = "gmem_memory_failure",
                                .actor = ActorKind::kKernel,
                                .weight = 1,
                                .source = "memory_failure(), kvm_gmem_error_folio(); kvm.md 1.7",
                                .summary = "The frame behind a page of a guest_memfd fails."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gmem", op.gmem), visit("offset", op.offset);
  }
};
SLUICE_OPERATION(GmemMemoryFailure);

/// The kernel itself writes a page that it shares with a guest, as KVM does for a paravirtual clock
/// or a device back end for a ring: it finds the page, holds it, maps it, writes, and lets go, with
/// time between. Where private memory lives in the file that shared memory lives in, the page can
/// become private meanwhile (policy host_fault).  Refused: kernel_write.no_page.
struct KernelWrite {
  VmIndex vm{};
  Gfn gfn{};
  Token value{};
  static constexpr OpInfo kInfo{
      .name = "kernel_write",
      .actor = ActorKind::kKernel,
      .weight = 3,
      .source = "kvm_vcpu_map(), get_user_pages(), kmap_local_page(); alternatives A",
      .summary = "The host kernel finds a page that a guest shares, maps it and writes it."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm), visit("gfn", op.gfn), visit("value", op.value);
  }
};
SLUICE_OPERATION(KernelWrite);

/// A write of 2 to /proc/sys/vm/drop_caches: every shrinker of the kernel gives back what it can,
/// KVM's among them (up to 6.12). That one takes pages of the shadow MMU, never of the TDP MMU.
struct DropCaches {
  static constexpr OpInfo kInfo{
      .name = "drop_caches",
      .actor = ActorKind::kKernel,
      .weight = 1,
      .source = "drop_slab(), mmu_shrink_scan()",
      .summary = "Memory is short: the kernel's shrinkers run, KVM's among them."};
  template <class Self, class Visit>
  static constexpr void each(Self&, Visit&&) {}
};
SLUICE_OPERATION(DropCaches);

}  // namespace sluice
