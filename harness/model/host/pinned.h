// backing=vma_gup: private memory is pages of user space's own region, in a VMA as they always
// were, which the kernel gets by get_user_pages() with a flag of its own (alternatives C). A page
// is the guest's from its first private fault until it is converted back, user space unmaps or
// discards it, or the VM ends; it stays the guest's where its slot goes. Files of slots are not
// used.
//
// Deviation: a page is pinned and assigned in one step, under mmap_lock, so that nobody sees a page
// that is pinned and not the guest's. LAUNCH_UPDATE and KVM_TDX_INIT_MEM_REGION, which fill a
// guest_memfd, are refused; so is a VMSA that the guest names (AP creation). Nothing keeps user
// space off private pages of a software-protected VM.
#pragma once
#include "model/host/fault.h"
#include "model/host/kernel.h"

namespace sluice::model {

inline bool is_pinned_backing(const Kernel& k) {
  return k.machine.header.policy.backing == Backing::kVmaGup;
}

/// The page that the fault has found is the guest's, or not, as the fault wants it.  Fails:
/// fault.prepare_assign where it is somebody else's, is shown at another GFN, too, or the kernel
/// itself keeps it shared; fault.prepare_lookup.
Check prepare_pinned(Kernel& k, Vm& vm, PageFault& fault);

/// What of the range is the guest's is no longer.  Pre: nothing maps it for the guest any more, and
/// that is flushed.
void unpin_range(Kernel& k, Vm& vm, const GfnRange& range);
/// The page of the region is no guest's any more; it is gone where it cannot be taken back.
void unpin(Kernel& k, HostPage& page);
/// All of a VM that ends.  Cost: O(pages of the host region).
void unpin_all(Kernel& k, const Vm& vm);

}  // namespace sluice::model
