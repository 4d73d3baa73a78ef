// The mirror root of a TD, KVM's copy of its secure EPT, and the hooks by which a change of the one
// becomes a change of the other (tdx.md 1, 3; Linux tdx_sept_set_private_spte(),
// tdx_sept_remove_private_spte(), tdx_track()).
//
// Left out: the reference that KVM held on each mapped page up to 6.18; no one but the file frees
// it.
#pragma once
#include "model/host/invalidation.h"
#include "model/host/kernel.h"
#include "model/machine/seamcall.h"

namespace sluice::model {

inline bool is_td(const Vm& vm) { return vm.type == VmType::kTdx; }
/// The root through which the vCPU's private (or shared) faults map.
inline std::uint8_t root_for(const Vm& vm, const Vcpu& vcpu, bool is_private) {
  return is_private && is_td(vm) ? vm.td.mirror : vcpu.root;
}

/// The external side of a leaf that was just written to the mirror: PAGE.AUG once the TD is
/// runnable, before that a page counted as pre-mapped.  BUSY is RETRY, which comes back at once.
void install_private(Kernel& k, Vm& vm, Gfn gfn, Pfn pfn);

/// Zaps the private leaves of a range: BLOCK, TRACK and a kick of every vCPU, REMOVE, WBINVD, for
/// each.  What the pages held is gone.  True if there was one.
bool zap_private(Kernel& k, Vm& vm, const GfnRange& range);

/// The TD goes, with whatever it still has.
void destroy_td(Kernel& k, Vm& vm);

}  // namespace sluice::model
