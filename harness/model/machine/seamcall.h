// SEAMCALLs, by which the host asks the TDX module, and the TDCALL by which a guest accepts a page
// (tdx.md 3, 4; TDX module base specification).
//
// Deviation: MR.EXTEND measures a page at once, where sixteen calls measure 256 bytes each.
#pragma once
#include "model/machine/machine.h"

namespace sluice::model {

/// What the module answers, as far as KVM tells answers apart.
enum class SeamStatus : std::uint8_t {
  kSuccess,
  kOperandBusy,   // TDX_OPERAND_BUSY: another processor has the TD
  kOpState,       // the TD is finalized already, or not yet
  kEntryState,    // TDX_EPT_ENTRY_STATE_INCORRECT
  kPageMetadata,  // TDX_PAGE_METADATA_INCORRECT: the frame is in use for another page
  kNotTracked,    // TDX_TLB_TRACKING_NOT_DONE
};

/// TDH.MEM.PAGE.ADD: `pfn` becomes the page at `gfn`, with what the frame `source` holds.
SeamStatus tdh_mem_page_add(Machine& machine, VmIndex vm, Gfn gfn, Pfn pfn, Pfn source);
/// TDH.MR.EXTEND of the page.  Never busy: its caller has just added the page.
SeamStatus tdh_mr_extend(Machine& machine, VmIndex vm, Gfn gfn);
/// TDH.MR.FINALIZE.
SeamStatus tdh_mr_finalize(Machine& machine, VmIndex vm);
/// TDH.MEM.PAGE.AUG: `pfn` becomes the page at `gfn`, once the guest accepts it.
SeamStatus tdh_mem_page_aug(Machine& machine, VmIndex vm, Gfn gfn, Pfn pfn);
/// TDH.MEM.RANGE.BLOCK.
SeamStatus tdh_mem_range_block(Machine& machine, VmIndex vm, Gfn gfn);
/// TDH.MEM.TRACK.
SeamStatus tdh_mem_track(Machine& machine, VmIndex vm);
/// TDH.MEM.PAGE.REMOVE.  The frame's last lines may be in caches until tdh_phymem_page_wbinvd().
SeamStatus tdh_mem_page_remove(Machine& machine, VmIndex vm, Gfn gfn);
/// TDH.PHYMEM.PAGE.WBINVD.
SeamStatus tdh_phymem_page_wbinvd(Machine& machine, Pfn pfn);

/// TDH.VP.ENTER: the vCPU is inside its TD, in the TD's epoch of now; what it cached of private
/// pages in an earlier one is gone.
void tdh_vp_enter(Machine& machine, VmIndex vm, VcpuIndex vcpu);

/// TDG.MEM.PAGE.ACCEPT's answer; kViolation leaves the guest: there is no page to accept.
enum class AcceptStatus : std::uint8_t { kAccepted, kOperand, kAlready, kSizeMismatch, kViolation };
AcceptStatus tdg_mem_page_accept(Machine& machine, VmIndex vm, Gfn gfn, PageSize size);

}  // namespace sluice::model
