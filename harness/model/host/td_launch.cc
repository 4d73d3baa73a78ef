#include "model/host/td_launch.h"

#include <array>

#include "model/host/adversity.h"
#include "model/host/attributes.h"
#include "model/host/fault.h"
#include "model/host/guest_memfd.h"
#include "model/host/handlers.h"
#include "model/host/host_region.h"
#include "model/host/memslots.h"
#include "model/host/one_piece.h"
#include "model/host/td_mirror.h"
#include "model/host/td_populate.h"

namespace sluice::model {
namespace {

constexpr std::uint64_t kMeasure = 1;

constexpr PopulateChecks kRegionChecks{.slot = Check::kTdxRegionSlot,
                                       .file_gone = Check::kTdxRegionFileGone,
                                       .signal = Check::kTdxRegionSignal,
                                       .no_folio = Check::kTdxRegionNoFolio,
                                       .poisoned = Check::kTdxRegionPoisoned,
                                       .prepared = Check::kTdxRegionPrepared,
                                       .not_private = Check::kTdxRegionNotPrivate,
                                       .kept_shared = Check::kTdxRegionBusy};

bool is_aligned(std::uint64_t bytes) { return (bytes & (kPageBytes - 1)) == 0; }

/// Row 5: source and GPA aligned, not empty, no wrap, all of it private.
bool is_bad_range(const TdxInitMemRegion& op) {
  constexpr std::uint64_t kEnd = kTdSharedGfn << kPageShift;
  const std::uint64_t bytes = op.page_count.value << kPageShift;  // wraps as in the kernel
  const bool wraps = op.gpa.value + bytes <= op.gpa.value;
  const bool is_private = (op.gpa.value & kEnd) == 0 && ((op.gpa.value + bytes - 1) & kEnd) == 0;
  return !is_aligned(op.hva.value) || !is_aligned(op.gpa.value) || op.page_count.value == 0 ||
         wraps || !is_private;
}

Check check_region(const Vm& vm, const Vcpu& vcpu, const TdxInitMemRegion& op) {
  if (!is_td(vm)) return Check::kTdxRegionNotTd;
  if (!vcpu.td.initialized) return Check::kTdxRegionVcpu;
  if ((op.flags.value & ~kMeasure) != 0) return Check::kTdxRegionFlags;
  if (vm.td.runnable) return Check::kTdxRegionFinalized;
  return is_bad_range(op) ? Check::kTdxRegionRange : Check::kOk;
}

RegionPage page_of(const TdxInitMemRegion& op, std::uint64_t index) {
  const std::uint64_t from = planted(Planted::kTdAddsFirstSource) ? 0 : index;
  const std::uint64_t base = op.hva.raw ? op.hva.value : kHostRegionAddress + op.hva.value;
  return {.gfn = Gfn{(op.gpa.value >> kPageShift) + index},
          .source = base + from * kPageBytes,
          .measures = (op.flags.value & kMeasure) != 0};
}

/// What gmem_populate() hands through to the hooks.
struct Populating {
  Vcpu& vcpu;
  const RegionPage& page;
};

/// kvm_tdp_map_page(), up to 6.19: the leaf comes to be in the mirror, and counts as pre-mapped.
Check premap(Kernel& k, Vcpu& vcpu, const RegionPage& page) {
  // Assumption: there is memory for a root; the kernel does not look whether there was.
  load_root(k, vcpu);
  PageFault fault = fault_of(page);
  const FaultResult result = handle_fault(k, vcpu, fault);
  SLUICE_CHECK(result.status != FaultStatus::kRetry);  // its locks keep everybody out
  return result.status == FaultStatus::kError ? result.check : Check::kOk;
}

/// kvm_tdp_mmu_map_private_pfn(), from 7.0: the frame at hand is mapped, and added by the same
/// hook.
Check map_directly(Kernel& k, Vm& vm, Vcpu& vcpu, Gfn gfn, Pfn pfn) {
  if (const Check check = reload_root(k, vcpu); check != Check::kOk) return check;
  const Check no_memory = check_allocation(k, Check::kFaultNoMemory);
  if (no_memory != Check::kOk) return no_memory;
  const MapResult mapped = map_leaf(
      k, vm, vm.td.mirror,
      {.gfn = gfn, .pfn = pfn, .writable = true, .prefetch = true, .seq = vm.invalidate_seq});
  return mapped == MapResult::kFixed ? Check::kOk : fail(Check::kTdxRegionMapped);
}

// Deviation: address 0 has no page here. From 7.0 on Linux takes it for no source, which it refuses
// with EOPNOTSUPP once the page is there.
Check pin_source(Kernel& k, Gfn, void* argument) {
  const Populating& at = *static_cast<const Populating*>(argument);
  const bool pinned = touch_host_page(k, at.page.source) != nullptr;
  return pinned ? Check::kOk : fail(Check::kTdxRegionSource);
}

/// tdx_gmem_post_populate() for one page.
Check post_populate(Kernel& k, Vm& vm, Gfn gfn, const GmemHold& hold, void* argument) {
  const Populating& at = *static_cast<const Populating*>(argument);
  const HostPage* const source = touch_host_page(k, at.page.source);
  if (source == nullptr) return fail(Check::kTdxRegionSource);
  const Check mapped = populate_policy(k) == TdxPopulate::kRecordedSource_7_0
                           ? map_directly(k, vm, at.vcpu, gfn, hold.pfn)
                           : premap(k, at.vcpu, at.page);
  if (mapped != Check::kOk) return mapped;
  return add_page(k, vm, at.page, {.page = hold.pfn, .source = source->pfn()});
}

/// One page of the loop of mainline.
Check populate_page(Kernel& k, Vm& vm, Vcpu& vcpu, const RegionPage& page) {
  const Check signal = check_signal(k, Check::kTdxRegionSignal);
  if (signal != Check::kOk) return signal;
  Populating at{.vcpu = vcpu, .page = page};
  const PopulateCall call{
      .pin = pin_source, .hook = post_populate, .argument = &at, .checks = kRegionChecks};
  return gmem_populate(k, vm, {.first = page.gfn, .last = page.gfn + PageCount{1}}, call).check;
}

/// tdx_populate=one_loop where nobody is in the way.
Check map_with_source(Kernel& k, Vm& vm, Vcpu& vcpu, const RegionPage& page) {
  const Check bad = record_source(k, vcpu, page);
  if (bad != Check::kOk) return bad;
  PageFault fault = fault_of(page);
  const FaultResult result = handle_fault(k, vcpu, fault);
  SLUICE_CHECK(result.status != FaultStatus::kRetry);  // nothing is in flight
  return finish_page(k, vm, page, result);
}

/// One page of the loop.
Check add_one(Kernel& k, Vm& vm, Vcpu& vcpu, const RegionPage& page) {
  switch (populate_policy(k)) {
    case TdxPopulate::kOneLoop:
      return map_with_source(k, vm, vcpu, page);
    case TdxPopulate::kOneIoctlTwoLoops:
    case TdxPopulate::kTwoPass:
      return add_premapped(k, vm, page);
    default:
      return populate_page(k, vm, vcpu, page);
  }
}

/// tdx_populate=one_ioctl_two_loops: the first of them.
Check premap_all(Kernel& k, Vcpu& vcpu, const TdxInitMemRegion& op) {
  Check check = Check::kOk;
  if (populate_policy(k) != TdxPopulate::kOneIoctlTwoLoops) return check;
  for (std::uint64_t i = 0; i < op.page_count.value && check == Check::kOk; ++i)
    check = premap_page(k, vcpu, page_of(op, i));
  return check;
}

/// More pages than one operation may map?
bool exceeds_limit(const Vm& vm, const TdxInitMemRegion& op) {
  const Gfn first{op.gpa.value >> kPageShift};
  const SlotIndex slot = find_slot(vm, 0, first);
  if (slot == kNoSlot) return false;
  const GfnRange asked{.first = first, .last = first + PageCount{op.page_count.value}};
  return asked.clip(range_of(vm.slots[slot])).count().value > kMaxPagesPerOp;
}

/// Everything before the loop; kOk means go on.
Check begin_region(const Kernel& k, VcpuIndex index, const TdxInitMemRegion& op) {
  if (const Check gate = vcpu_gate(k, index); gate != Check::kOk) return gate;
  const Vcpu& vcpu = k.vcpu(index);
  const Vm& vm = k.vm(vcpu.vm);
  const Check bad = check_region(vm, vcpu, op);
  if (bad != Check::kOk) return bad;
  return exceeds_limit(vm, op) ? Check::kSkipLimit : Check::kOk;
}

/// The structure as it is copied out, whatever the answer.
Outcome finish_region(const TdxInitMemRegion& op, Check check, std::uint64_t done) {
  Outcome out = check == Check::kOk ? Outcome{} : answer(check);
  if (out.skipped()) return out;
  out.has_progress = true;
  out.progress = {.gpa = op.gpa.value + done * kPageBytes,
                  .left = (op.page_count.value - done) * kPageBytes};
  return out;
}

}  // namespace

Outcome apply(Kernel& k, ActorId, const TdxInitVm& op) {
  if (const Check gate = vm_gate(k, op.vm); gate != Check::kOk) return answer(gate);
  Vm& vm = k.vm(op.vm);
  if (!is_td(vm)) return refuse(Check::kTdxInitVmNotTd);
  if (vm.td.initialized) return refuse(Check::kTdxInitVmTwice);
  if (op.flags.value != 0) return refuse(Check::kTdxInitVmFlags);
  k.machine.sept.create(k.machine.journal, op.vm, op.sept_ve_disable);
  k.set(vm.td.initialized, true);
  return {};
}

Outcome apply(Kernel& k, ActorId actor, const TdxInitVcpu& op) {
  const VcpuIndex index{actor.index};
  if (const Check gate = vcpu_gate(k, index); gate != Check::kOk) return answer(gate);
  Vcpu& vcpu = k.vcpu(index);
  const Vm& vm = k.vm(vcpu.vm);
  if (!is_td(vm)) return refuse(Check::kTdxInitVcpuNotTd);
  if (vm.td.runnable) return refuse(Check::kTdxInitVcpuFinalized);
  if (op.flags.value != 0) return refuse(Check::kTdxInitVcpuFlags);
  if (vcpu.td.initialized) return refuse(Check::kTdxInitVcpuTwice);
  k.set(vcpu.td.initialized, true);
  return {};
}

Outcome apply(Kernel& k, ActorId actor, const TdxInitMemRegion& op) {
  const VcpuIndex index{actor.index};
  const Check bad = begin_region(k, index, op);
  if (bad != Check::kOk) return answer(bad);
  Vcpu& vcpu = k.vcpu(index);
  Check check = premap_all(k, vcpu, op);
  std::uint64_t done = 0;
  while (done < op.page_count.value && check == Check::kOk) {
    check = add_one(k, k.vm(vcpu.vm), vcpu, page_of(op, done));
    if (check == Check::kOk) ++done;
  }
  return finish_region(op, check, done);
}

/// tdx_populate=one_loop has no lock of its own; the other ways hold theirs from end to end.
Task<Outcome> start(Kernel& k, ActorId actor, const TdxInitMemRegion& op) {
  if (populate_policy(k) != TdxPopulate::kOneLoop)
    co_return co_await start_in_one_piece(k, actor, op);
  const VcpuIndex index{actor.index};
  Check check = begin_region(k, index, op);
  if (check != Check::kOk) co_return answer(check);
  Vcpu& vcpu = k.vcpu(index);
  const VmIndex vm_index = vcpu.vm;
  Vm& vm = k.vm(vm_index);
  std::uint64_t done = 0;
  co_await lock(k, vcpu_mutex(index));
  srcu_read_lock(k, vm_index);
  while (done < op.page_count.value) {
    const RegionPage page = page_of(op, done);
    check = record_source(k, vcpu, page);
    if (check != Check::kOk) break;
    PageFault fault = fault_of(page);
    for (;;) {
      const FaultResult result = co_await start_fault(k, index, fault);
      if (result.status != FaultStatus::kRetry) {
        check = finish_page(k, vm, page, result);
        break;
      }
      k.event(EventKind::kRetry, vm, page.gfn.value);
      co_await point(k, Point::kFaultRetry);
      co_await retry(k, result.retry, page.gfn.value);
      check = check_signal(k, Check::kTdxRegionSignal);
      if (check != Check::kOk) break;
    }
    if (check != Check::kOk) break;
    ++done;
  }
  srcu_read_unlock(k, vm_index);
  unlock(k, vcpu_mutex(index));
  co_return finish_region(op, check, done);
}

Outcome apply(Kernel& k, ActorId, const TdxFinalize& op) {
  if (const Check gate = vm_gate(k, op.vm); gate != Check::kOk) return answer(gate);
  Vm& vm = k.vm(op.vm);
  if (!is_td(vm)) return refuse(Check::kTdxFinalizeNotTd);
  if (!vm.td.initialized || vm.td.runnable) return refuse(Check::kTdxFinalizeState);
  if (vm.td.premapped != 0) return refuse(Check::kTdxFinalizePremapped);
  const SeamStatus status = tdh_mr_finalize(k.machine, op.vm);
  if (status == SeamStatus::kOperandBusy) return refuse(Check::kTdxFinalizeBusy);
  SLUICE_CHECK(kPlantedBuild || status == SeamStatus::kSuccess);
  k.set(vm.td.runnable, true);
  k.set(vm.pre_fault_allowed, true);
  return {};
}

LockPlan locks_of(const Kernel&, ActorId, const TdxInitVm& op) {
  return LockPlan{}.then(kvm_lock(op.vm));
}
LockPlan locks_of(const Kernel&, ActorId actor, const TdxInitVcpu&) { return mutex_of(actor); }
namespace {

/// The files of all slots that the pages lie in, up to the one where the loop ends.
// Deviation: Linux has the lock of one file at a time, for its own pages.
void lock_files(const Kernel& k, const Vm& vm, GfnRange pages, LockPlan& plan) {
  std::array<bool, kMaxGmems> concerned{};
  while (!pages.empty()) {
    const SlotIndex slot = find_slot(vm, 0, pages.first);
    if (slot == kNoSlot || !has_live_file(k, vm.slots[slot])) break;
    concerned[vm.slots[slot].gmem] = true;
    pages.first = range_of(vm.slots[slot]).last;
  }
  for (std::uint8_t file = 0; file < kMaxGmems; ++file) {
    if (concerned[file]) plan.then(invalidate_lock({file}));
  }
}

}  // namespace

/// Whoever holds off mappings of the slots has one of these; source pages are looked up under
/// mmap_lock, which a munmap holds while its range is invalid.
LockPlan locks_of(const Kernel& k, ActorId actor, const TdxInitMemRegion& op) {
  const VcpuIndex index{actor.index};
  LockPlan plan = mutex_of(actor);
  if (vcpu_gate(k, index) != Check::kOk) return plan;
  const Vcpu& vcpu = k.vcpu(index);
  const Vm& vm = k.vm(vcpu.vm);
  if (check_region(vm, vcpu, op) != Check::kOk) return plan;
  plan.then(slots_lock(vcpu.vm));
  const Gfn first{op.gpa.value >> kPageShift};
  lock_files(k, vm, {.first = first, .last = first + PageCount{op.page_count.value}}, plan);
  return plan.then(mmap_lock()).then(mmu_lock(vcpu.vm));
}
// Deviation: the pages before the one that is retried are added after the wait, too, and a signal
// does not end it.
std::optional<Gfn> retried_page(const Kernel& k, ActorId actor, const TdxInitMemRegion& op) {
  const VcpuIndex index{actor.index};
  const TdxPopulate populate = populate_policy(k);
  const bool faults =
      populate == TdxPopulate::kHybrid_6_16 || populate == TdxPopulate::kOneIoctlTwoLoops;
  if (!faults || begin_region(k, index, op) != Check::kOk) return std::nullopt;
  const Vm& vm = k.vm(k.vcpu(index).vm);
  // The loop ends at a page that is not private, or none of the slot's.
  const Gfn first{op.gpa.value >> kPageShift};
  for (std::uint64_t i = 0; i < op.page_count.value; ++i) {
    const Gfn gfn = first + PageCount{i};
    if (find_slot(vm, 0, gfn) == kNoSlot || !is_private(k, vm, gfn)) return std::nullopt;
    if (must_retry(vm, vm.invalidate_seq, gfn)) return gfn;
  }
  return std::nullopt;
}
// Assumption: no modelled version takes the vCPUs' locks for the commands of a TD, nor looks for a
// creation under way, as was proposed late in 2025.
LockPlan locks_of(const Kernel&, ActorId, const TdxFinalize& op) {
  return LockPlan{}.then(kvm_lock(op.vm)).then(slots_lock(op.vm));
}

}  // namespace sluice::model
