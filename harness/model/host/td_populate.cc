#include "model/host/td_populate.h"

#include "model/host/adversity.h"
#include "model/host/attributes.h"
#include "model/host/guest_memfd.h"
#include "model/host/host_region.h"
#include "model/host/memslots.h"
#include "model/host/pinned.h"
#include "model/host/td_mirror.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

/// What kvm_gmem_populate() looks at, where it is not called.
Check check_page(const Kernel& k, const Vm& vm, Gfn gfn) {
  const SlotIndex slot = find_slot(vm, 0, gfn);
  const bool has_file = slot != kNoSlot && vm.slots[slot].has_gmem() && !is_pinned_backing(k);
  if (!has_file) return fail(Check::kTdxRegionSlot);
  return is_private(k, vm, gfn) ? Check::kOk : fail(Check::kTdxRegionNotPrivate);
}

/// The errno of a fault that was none of a guest's: nobody sees an exit.
Check check_of_fault(const FaultResult& result) {
  if (result.status != FaultStatus::kError) return Check::kOk;
  switch (result.check) {
    case Check::kFaultMismatch:
      return Check::kTdxRegionNotPrivate;
    case Check::kFaultPrivateNoSlot:
    case Check::kFaultPrivateNoGmem:
      return Check::kTdxRegionSlot;
    case Check::kFaultNoFolio:
      return Check::kTdxRegionNoFolio;
    case Check::kFaultPoisoned:
      return Check::kTdxRegionPoisoned;
    default:
      break;
  }
  const bool has_errno = row_of(result.check).kind != StatusKind::kExit;
  return has_errno ? result.check : Check::kTdxRegionFileGone;
}

}  // namespace

TdxPopulate populate_policy(const Kernel& k) {
  return behavior::tdx_populate(k.version(), k.machine.header.policy);
}

bool may_premap(const Kernel& k, const Vm& vm) {
  return populate_policy(k) == TdxPopulate::kTwoPass && is_td(vm) && vm.td.initialized;
}

PageFault fault_of(const RegionPage& page) {
  return {.gfn = page.gfn, .is_private = true, .prefetch = true};
}

Check add_page(Kernel& k, Vm& vm, const RegionPage& page, const AddedFrame& frame) {
  const VmIndex td = k.index_of(vm);
  const bool retries = populate_policy(k) == TdxPopulate::kRecordedSource_7_0;
  // Deviation: a PAGE.ADD that is BUSY is asked again at once; Linux looks for a signal in between.
  SeamStatus status = tdh_mem_page_add(k.machine, td, page.gfn, frame.page, frame.source);
  while (retries && status == SeamStatus::kOperandBusy)
    status = tdh_mem_page_add(k.machine, td, page.gfn, frame.page, frame.source);
  if (status == SeamStatus::kOperandBusy) return fail(Check::kTdxRegionBusy);
  // A kernel of 7.0 that maps first would add a page twice: there populate no longer asks whether
  // it is ready.
  const bool is_mainline = k.machine.header.policy.tdx_populate == TdxPopulate::kMainline;
  if (status != SeamStatus::kSuccess && !is_mainline) return fail(Check::kTdxRegionMapped);
  SLUICE_CHECK(kPlantedBuild || status == SeamStatus::kSuccess);
  if (!retries) k.set(vm.td.premapped, vm.td.premapped - 1);
  if (page.measures) tdh_mr_extend(k.machine, td, page.gfn);
  return Check::kOk;
}

Check premap_page(Kernel& k, Vcpu& vcpu, const RegionPage& page) {
  const Check signal = check_signal(k, Check::kTdxRegionSignal);
  if (signal != Check::kOk) return signal;
  const Check bad = check_page(k, k.vm(vcpu.vm), page.gfn);
  if (bad != Check::kOk) return bad;
  load_root(k, vcpu);
  PageFault fault = fault_of(page);
  const FaultResult result = handle_fault(k, vcpu, fault);
  SLUICE_CHECK(result.status != FaultStatus::kRetry);  // its locks keep everybody out
  return check_of_fault(result);
}

Check add_premapped(Kernel& k, Vm& vm, const RegionPage& page) {
  const Check signal = check_signal(k, Check::kTdxRegionSignal);
  if (signal != Check::kOk) return signal;
  const std::uint8_t mirror = vm.td.mirror;
  const LeafView leaf = mirror == kNoRootIndex ? LeafView{} : lookup_leaf(k, vm, mirror, page.gfn);
  if (!leaf.present) return fail(Check::kTdxRegionNotPremapped);
  const HostPage* const source = touch_host_page(k, page.source);
  if (source == nullptr) return fail(Check::kTdxRegionSource);
  return add_page(k, vm, page, {.page = leaf.pfn, .source = source->pfn()});
}

Check record_source(Kernel& k, Vcpu& vcpu, const RegionPage& page) {
  const Check signal = check_signal(k, Check::kTdxRegionSignal);
  if (signal != Check::kOk) return signal;
  Vm& vm = k.vm(vcpu.vm);
  const Check bad = check_page(k, vm, page.gfn);
  if (bad != Check::kOk) return bad;
  const HostPage* const source = touch_host_page(k, page.source);
  if (source == nullptr) return fail(Check::kTdxRegionSource);
  k.set(vm.td.source, source->pfn());
  load_root(k, vcpu);
  return Check::kOk;
}

Check finish_page(Kernel& k, Vm& vm, const RegionPage& page, const FaultResult& result) {
  if (result.status == FaultStatus::kSpurious) return fail(Check::kTdxRegionMapped);
  const Check check = check_of_fault(result);
  // FINALIZE came in between: the page was augmented, which adds and measures nothing.
  if (check == Check::kOk && vm.td.runnable) return fail(Check::kTdxRegionFinalized);
  if (check == Check::kOk && page.measures) tdh_mr_extend(k.machine, k.index_of(vm), page.gfn);
  return check;
}

}  // namespace sluice::model
