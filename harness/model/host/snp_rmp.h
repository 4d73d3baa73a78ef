// The host's helpers around the RMP instructions: look-up, assignment with its loops, reclaim,
// leaked pages (snp_host.md 1; Linux arch/x86/virt/svm/sev.c, arch/x86/kvm/svm/sev.c).
#pragma once
#include "model/host/kernel.h"

namespace sluice::model {

/// snp_lookup_rmpentry(): Assigned of the frame's own slot, size of its 2 MiB block's head.
struct RmpLookup {
  HostError error = HostError::kNone;  // kNoDevice without SNP, kFault beyond the table
  bool assigned = false;
  PageSize level = PageSize::k4K;
};
RmpLookup snp_lookup_rmpentry(const Kernel& k, Pfn pfn);

/// RMPUPDATE with firmware's count of pages per ASID kept: every RMPUPDATE of the model goes
/// through here.  Fails: rmpupdate.*
Check execute_rmpupdate(Kernel& k, std::uint64_t spa, const RmpRecord& record);

/// What rmp_make_private() is asked for.
struct PrivateRecord {
  Pfn pfn{};
  Gpa gpa{};
  PageSize level = PageSize::k4K;
  Asid asid{};
  bool immutable = false;
};
/// Assigns a frame (or 2 MiB) to a guest; to the AMD-SP with ASID 0 and `immutable`.  The direct
/// map is split first (H7).  Fails: kNoDevice; kFault for whatever RMPUPDATE refuses.  FAIL_OVERLAP
/// is retried while another processor is in the way, and for ever if what overlaps is there to
/// stay: report_endless_retry().
HostError rmp_make_private(Kernel& k, const PrivateRecord& record);
/// Gives a frame (or 2 MiB) back to the hypervisor.  Fails: as above.
HostError rmp_make_shared(Kernel& k, Pfn pfn, PageSize level);
/// snp_rmptable_psmash(): splits the entry of the 2 MiB block around the frame.  kOk, or the
/// instruction's refusal; FAIL_INUSE is retried, for ever if the page's user stays.
Check snp_rmptable_psmash(Kernel& k, Pfn pfn);

/// The kernel would retry an RMP instruction whose refusal cannot change: a livelock (W2), known
/// upstream (snp_host.md 1, rmpupdate row 3).  Deviation: the model notes it and goes on as if the
/// loop had ended with the refusal, since nothing else of the sequence could be seen otherwise.
void report_endless_retry(Kernel& k);

/// snp_leak_pages(): the page is never used again; each is leaked once (bugs.md 55).
void snp_leak_page(Kernel& k, Pfn pfn);
/// kvm_rmp_make_shared(): a failure leaks the page and kills the VM.  True on success.
bool kvm_rmp_make_shared(Kernel& k, Vm& vm, Pfn pfn, PageSize level);
/// snp_page_reclaim(): firmware lets go of the page, then it becomes shared; a failure leaks the
/// page and kills the VM.  True on success.
bool snp_page_reclaim(Kernel& k, Vm& vm, Pfn pfn);

/// The kernel stores to a frame through the direct map (zeroing, copying).  False, and the host is
/// dead, if the frame is assigned (H2, snp_host.md 2).
bool host_kernel_store(Kernel& k, Pfn pfn, std::uint64_t token);
/// The same to a page that is a guest's or user space's (clear_highpage(), kmap_local_page()): with
/// direct_map=leave_kmap by a mapping of its own.
bool store_to_guest_page(Kernel& k, Pfn pfn, std::uint64_t token);
/// The same two for a page of zeroes.
bool zero_kernel_page(Kernel& k, Pfn pfn);
bool zero_guest_page(Kernel& k, Pfn pfn);
/// The host is dead, of what it did to this frame.
void kill_host(Kernel& k, Pfn pfn);
/// The frame's own entry says that it is a guest's or firmware's.
bool is_assigned(const Kernel& k, Pfn pfn);
/// The same, or a TD has it.
bool is_some_guests(const Kernel& k, Pfn pfn);
/// PSMASH of the entry of 2 MiB that the frame lies in, if it lies in one; a failure is seen by the
/// RMPUPDATE that follows.
void split_entry_of(Kernel& k, Pfn pfn);

}  // namespace sluice::model
