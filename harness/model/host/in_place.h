// backing=fd_in_place: shared and private memory live in the same guest_memfd, and a conversion
// changes what a page is where it lies (alternatives C; what mainline is heading for in 2026). A
// slot with a file takes all its pages from there. A page is private where the GFN is that shows
// it; only a shared page can be mapped by user space, only a private one is assigned.
#pragma once
#include "model/host/guest_memfd.h"

namespace sluice::model {

inline bool is_in_place(const Kernel& k) {
  return k.machine.header.policy.backing == Backing::kFdInPlace;
}

/// KVM_MEMSLOT_GMEM_ONLY: a slot with the file takes its shared pages from there, too.
bool serves_shared_faults(const Kernel& k, const Gmem& gmem);

/// A GFN that shows the page is private, or its frame is a guest's still.  Cost: the bindings.
bool is_private_page(const Kernel& k, const Gmem& gmem, std::uint64_t index);

/// Why the pages behind the range may not become private (policy host_fault); kOk for what may.
/// Fails: set_memory_attributes.busy.
// Deviation: the references that faults hold for a moment are expected ones.
Check check_conversion(const Kernel& k, const Vm& vm, const GfnRange& range, bool to_private);

/// The pages themselves: user space loses its mappings of what becomes private, the guest its
/// frames of what becomes shared.  Pre: nothing maps them for the guest any more, and that is
/// flushed.
void convert_pages(Kernel& k, Vm& vm, const GfnRange& range, bool to_private);

/// In place, nobody but the guest has a page that becomes private: user space loses its mapping.
/// False where somebody keeps the page shared.
bool take_from_others(Kernel& k, const Gmem& gmem, const GmemHold& hold);

/// kvm_arch_gmem_prepare() where the page may be either: a private page is made the guest's, a
/// shared one that is a guest's still (of a slot that is gone) the hypervisor's.  Fails: as
/// gmem_prepare(), fault.prepare_assign also where somebody keeps the page shared.
Check prepare_in_place(Kernel& k, Vm& vm, Gmem& gmem, Gfn gfn, const GmemHold& hold);

}  // namespace sluice::model
