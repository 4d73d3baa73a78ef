// How the first pages of a TD get there (policy tdx_populate; alternatives B): the two ways of
// mainline are in td_launch.cc, what the others do with one page is here.
#pragma once
#include "model/host/fault.h"
#include "model/host/kernel.h"

namespace sluice::model {

/// The policy, or what the kernel version does. Never kMainline.
TdxPopulate populate_policy(const Kernel& k);

/// tdx_populate=two_pass: KVM_PRE_FAULT_MEMORY maps pages of a TD that is not runnable yet.
bool may_premap(const Kernel& k, const Vm& vm);

/// One page of KVM_TDX_INIT_MEM_REGION.
struct RegionPage {
  Gfn gfn{};
  std::uint64_t source = 0;  // host address of its contents
  bool measures = false;
};

/// PAGE.ADD of one frame with the contents of another, and the measurement.  Up to 6.19 the page
/// counted as pre-mapped until then; from 7.0 on BUSY is RETRY inside the kernel.  Fails:
/// tdx_init_mem_region.busy; .mapped where it was added before.
struct AddedFrame {
  Pfn page{};
  Pfn source{};
};
Check add_page(Kernel& k, Vm& vm, const RegionPage& page, const AddedFrame& frame);

/// tdx_populate=one_ioctl_two_loops: the page comes to be in the mirror, if it is not, and counts
/// as pre-mapped.  Fails: tdx_init_mem_region.*, fault.no_memory.
Check premap_page(Kernel& k, Vcpu& vcpu, const RegionPage& page);
/// tdx_populate=one_ioctl_two_loops and two_pass: PAGE.ADD of what is in the mirror.  Fails:
/// tdx_init_mem_region.not_premapped, .mapped, .busy, .source, .signal.
Check add_premapped(Kernel& k, Vm& vm, const RegionPage& page);

/// tdx_populate=one_loop: the VM is told where the contents are, and the fault to come adds the
/// page with them.  Fails: tdx_init_mem_region.signal, .slot, .not_private, .source.
Check record_source(Kernel& k, Vcpu& vcpu, const RegionPage& page);
/// The fault that maps it.
PageFault fault_of(const RegionPage& page);
/// What became of that fault, and the measurement.  Pre: it is not to be retried.  Fails:
/// tdx_init_mem_region.*, fault.no_memory.
Check finish_page(Kernel& k, Vm& vm, const RegionPage& page, const FaultResult& result);

}  // namespace sluice::model
