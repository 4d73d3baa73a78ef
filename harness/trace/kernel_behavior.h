// What differs between the kernel versions we model: one named predicate per difference, so that no
// version is compared elsewhere. Source: kvm.md 11 and the sections named at each; exact releases
// are within one release of these (dates of commits).
#pragma once
#include "ops/kernel_version.h"
#include "ops/policy.h"

namespace sluice::behavior {

/// A pre-fault that meets a slot under deletion returns EAGAIN; before, it retries for ever (kvm.md
/// 4, bugs.md 1).
constexpr bool prefault_eagain_on_invalid_slot(KernelVersion v) {
  return v >= KernelVersion{6, 18};
}
/// A pre-fault replaces a root that a slot's deletion made obsolete; before, only entering the
/// guest does, and a pre-fault retries for ever (Linux "KVM: x86/mmu: Check and free obsolete roots
/// in kvm_mmu_reload()").
constexpr bool prefault_renews_obsolete_root(KernelVersion v) { return v >= KernelVersion{6, 15}; }
/// A prefetch that finds a present leaf answers SPURIOUS and leaves it alone (kvm.md 4).
constexpr bool prefault_present_leaf_is_spurious(KernelVersion v) {
  return v >= KernelVersion{6, 14};
}
/// guest_memfd may be bound by VMs without private memory, and knows the MMAP flag (kvm.md 1.1).
constexpr bool gmem_for_every_vm(KernelVersion v) { return v >= KernelVersion{6, 17}; }
/// guest_memfd knows the INIT_SHARED flag (kvm.md 1.1).
constexpr bool gmem_init_shared(KernelVersion v) { return v >= KernelVersion{6, 18}; }
/// A guest_memfd may be mapped by user space, if it was made so (kvm.md 1.2).
constexpr bool gmem_mmap(KernelVersion v) { return v >= KernelVersion{6, 17}; }
/// A guest_memfd of a VM with private memory may have the MMAP flag, too (kvm.md 1.1; Linux
/// kvm_arch_supports_gmem_mmap(), gone in 6.18).
constexpr bool gmem_mmap_for_every_vm(KernelVersion v) { return v >= KernelVersion{6, 18}; }
/// get_pfn always asks the architecture to prepare, populate no longer looks at uptodate
/// (kvm.md 1.5, 1.6).
constexpr bool gmem_always_prepares(KernelVersion v) { return v >= KernelVersion{7, 0}; }
/// Populate pins the source of a page before it takes the file's lock (kvm.md 1.6).
constexpr bool populate_pins_source_first(KernelVersion v) { return v >= KernelVersion{7, 0}; }
/// A pre-fault loop stops when the VM died (kvm.md 4 row 9).
constexpr bool prefault_checks_vm_dead(KernelVersion v) { return v >= KernelVersion{7, 0}; }
/// LAUNCH_START insists on SMT and refuses SINGLE_SOCKET (snp_host.md 7).
constexpr bool launch_policy_needs_smt(KernelVersion v) { return v < KernelVersion{6, 17}; }
/// fallocate(2) knows FALLOC_FL_WRITE_ZEROES (kvm.md 1.3 row 2).
constexpr bool fallocate_knows_write_zeroes(KernelVersion v) { return v >= KernelVersion{6, 17}; }
/// KVM_MEM_GUEST_MEMFD slots of an MMAP file serve shared faults too (KVM_MEMSLOT_GMEM_ONLY,
/// kvm.md 1.1).
constexpr bool gmem_only_slots(KernelVersion v) { return v >= KernelVersion{6, 17}; }
/// A VMGEXIT through a GHCB that was not registered gets an error; before, KVM_RUN fails
/// (snp_host.md 5.2, bugs.md 73).
constexpr bool unregistered_ghcb_gets_an_error(KernelVersion v) { return v >= KernelVersion{7, 0}; }
/// The batch of a partly done 2 MiB entry takes in entries that follow its first page, not its next
/// one (snp_host.md 5.3 row 5).
// Assumption: every modelled version batches as 6.12 does; no change is known up to 7.0.
constexpr bool psc_batches_behind_a_partly_done_entry(KernelVersion v) {
  return v >= KernelVersion{6, 12};
}
/// LAUNCH_FINISH takes the mutexes of all vCPUs (bugs.md 46); 6.12.117 does not.
// Assumption: LAUNCH_FINISH takes the vCPUs' mutexes from 7.0 on.
constexpr bool launch_finish_locks_vcpus(KernelVersion v) { return v >= KernelVersion{7, 0}; }
/// AP creation wants the SEV features that the VM was made with, not only its injection mode (Linux
/// 745ff82199b1).
constexpr bool ap_features_must_match(KernelVersion v) { return v >= KernelVersion{6, 15}; }
/// LAUNCH_UPDATE refuses a length of 0 (Linux "KVM: SEV: Reject non-positive effective lengths
/// during LAUNCH_UPDATE").
constexpr bool launch_update_wants_a_length(KernelVersion v) { return v >= KernelVersion{6, 18}; }
/// LAUNCH_UPDATE refuses a source that is not aligned, of a page that has one (Linux dcbcc2323c80).
constexpr bool launch_update_aligns_source(KernelVersion v) { return v >= KernelVersion{7, 0}; }
/// KVM has a shrinker for pages of the shadow MMU (Linux "KVM: x86/mmu: Remove KVM's MMU
/// shrinker").
constexpr bool mmu_shrinker(KernelVersion v) { return v < KernelVersion{6, 13}; }

/// VMs of type TDX can be created (tdx.md, head; kvm.md 11).
constexpr bool tdx_vms(KernelVersion v) { return v >= KernelVersion{6, 16}; }
/// A page is added to a TD by mapping the given frame with its source page recorded; before, it is
/// pre-faulted first and counted until it is added (tdx.md 5).
constexpr bool tdx_adds_pages_directly(KernelVersion v) { return v >= KernelVersion{7, 0}; }
/// How a TD's first pages are added, where policy tdx_populate does not say it.
constexpr TdxPopulate tdx_populate(KernelVersion v, const PolicySet& policy) {
  if (policy.tdx_populate != TdxPopulate::kMainline) return policy.tdx_populate;
  return tdx_adds_pages_directly(v) ? TdxPopulate::kRecordedSource_7_0 : TdxPopulate::kHybrid_6_16;
}
/// Pages may be in KVM's mirror of a TD's tables before they are added, and are counted.
constexpr bool counts_premapped_pages(KernelVersion v, const PolicySet& policy) {
  const TdxPopulate populate = tdx_populate(v, policy);
  return populate != TdxPopulate::kRecordedSource_7_0 && populate != TdxPopulate::kOneLoop;
}
/// The loop in which KVM retries a fault on a private page of a TD ends where the page's slot is
/// being deleted; before, it goes on, inside the SRCU read side that the deletion waits for
/// (bugs.md 2).
constexpr bool td_leaves_fault_on_invalid_slot(KernelVersion v) {
  return v >= KernelVersion{6, 18};
}
/// A pre-fault refuses an address with the TD's SHARED bit; before, it maps the alias (tdx.md 1,
/// kvm.md 4 row 6, bugs.md 3).
constexpr bool prefault_refuses_alias(KernelVersion v) { return v >= KernelVersion{6, 17}; }

}  // namespace sluice::behavior
