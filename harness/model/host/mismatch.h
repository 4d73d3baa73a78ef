// What KVM does about a guest's access that does not fit the page's attribute: policy npf_mismatch
// (kvm.md 5 step 6; alternatives E). Mainline leaves it to user space by KVM_EXIT_MEMORY_FAULT; the
// other ways are those that were discussed before that exit was there.
#pragma once
#include "model/host/fault.h"

namespace sluice::model {

/// npf_mismatch=auto_convert, and the fault is such a one: KVM makes the page what the access
/// wants.
bool is_converted_by_kernel(const Kernel& k, const FaultResult& result);

/// The conversion: the attribute as KVM_SET_MEMORY_ATTRIBUTES changes it, and of a page that
/// becomes shared a hole in the file (convert_reclaim), with which its frame is the hypervisor's.
/// Pre: the fault is over, the vCPU in no SRCU section.  Fails: as set_memory_attributes.
// Deviation: not at once, under the locks of the fault, as a handler would: those of a conversion
// are taken in their order, so that the alternative is not broken by our way of building it.
Check convert_for_guest(Kernel& k, VcpuIndex vcpu, const PageFault& fault);
Task<Check> start_convert_for_guest(Kernel& k, VcpuIndex vcpu, PageFault fault);

/// How KVM answers where it does not convert: the row, fault.mismatch for the exit.  The VM is dead
/// with fault.mismatch_kills.
Check answer_mismatch(Kernel& k, Vm& vm);

}  // namespace sluice::model
