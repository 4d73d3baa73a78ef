// KVM_PRE_FAULT_MEMORY (kvm.md 4; Linux kvm_vcpu_pre_fault_memory(),
// kvm_arch_vcpu_pre_fault_memory(), kvm_tdp_map_page()). Other ways than mainline's:
// premap_policy.h.
#include <algorithm>

#include "model/host/adversity.h"
#include "model/host/attributes.h"
#include "model/host/fault.h"
#include "model/host/handlers.h"
#include "model/host/memslots.h"
#include "model/host/premap_policy.h"
#include "model/host/td_mirror.h"
#include "model/host/td_populate.h"
#include "trace/kernel_behavior.h"
#include "trace/memory_fault_errno.h"

namespace sluice::model {
namespace {

/// The ioctl's structure while it runs.
struct Range {
  std::uint64_t gpa = 0;
  std::uint64_t left = 0;
};

bool is_aligned(std::uint64_t bytes) { return (bytes & (kPageBytes - 1)) == 0; }

Check check_arguments(const PreFaultMemory& op) {
  if (op.flags.value != 0) return Check::kPreFaultFlags;
  const bool wraps = op.gpa.value + op.size.value <= op.gpa.value;  // size 0, too
  if (!is_aligned(op.gpa.value) || !is_aligned(op.size.value) || wraps) {
    return Check::kPreFaultRange;
  }
  return Check::kOk;
}

/// True if the slots in the range hold more pages than one operation may map.
bool exceeds_limit(const Vm& vm, const Range& range) {
  const GfnRange asked{.first = {range.gpa >> kPageShift},
                       .last = {(range.gpa + range.left) >> kPageShift}};
  std::uint64_t pages = 0;
  for_each_slot(vm, [&](SlotIndex, const Memslot& slot) {
    const GfnRange part = asked.clip(range_of(slot));
    if (!part.empty()) pages += part.count().value;
  });
  return pages > kMaxPagesPerOp;
}

/// Row 6: the address has the SHARED bit of a TD. Before 6.17 that is no reason: the alias is
/// mapped.
bool is_refused_alias(const Kernel& k, const Vm& vm, std::uint64_t gpa) {
  return is_td(vm) && (gpa >> kPageShift & kTdSharedGfn) != 0 &&
         behavior::prefault_refuses_alias(k.version()) && !planted(Planted::kTdPreFaultMapsAlias);
}

bool is_nested(const Kernel& k, const Vcpu& vcpu) {
  if (vcpu.guest_mode != GuestMode::kNested) return false;
  return checks_mmu(k) && !planted(Planted::kPreFaultInNestedGuest);
}

/// Row 7.
Check check_root(Kernel& k, Vcpu& vcpu) {
  const Vm& vm = k.vm(vcpu.vm);
  const bool shadow = !k.machine.profile.tdp;
  // Assumption: under nested paging a vCPU has no root yet each time, as nothing but this loads one
  // for it.
  const bool nested = is_nested(k, vcpu);
  if (nested || (shadow && !vm.had_slot)) {
    const Check no_memory = check_allocation(k, Check::kFaultNoMemory);
    if (no_memory != Check::kOk) return no_memory;
    // Roots of the shadow MMU need pages that KVM has only from the first memslot on.
    return vm.had_slot ? Check::kOk : Check::kPreFaultNoRoot;
  }
  const bool loaded = vcpu.root != kNoRootIndex;
  if (loaded && !behavior::prefault_renews_obsolete_root(k.version())) return Check::kOk;
  return reload_root(k, vcpu);
}

/// Row 9, before each round: what ends the loop in kvm_tdp_map_page().
Check check_round(Kernel& k, const Vm& vm) {
  const Check signal = check_signal(k, Check::kPreFaultSignal);
  if (signal != Check::kOk) return signal;
  const bool ends = vm.dead && behavior::prefault_checks_vm_dead(k.version());
  return ends ? fail(Check::kVmDead) : Check::kOk;
}

/// What must hold before a page can be faulted in: rows 4 to 8, and row 9's first look.
Check begin_page(Kernel& k, Vcpu& vcpu, std::uint64_t gpa) {
  const Vm& vm = k.vm(vcpu.vm);
  const Check signal = check_signal(k, Check::kPreFaultSignal);
  if (signal != Check::kOk) return signal;
  const bool allowed = vm.pre_fault_allowed || may_premap(k, vm);
  if (!allowed && !planted(Planted::kPreFaultBeforeAllowed)) {
    return Check::kPreFaultNotAllowed;
  }
  if (is_refused_alias(k, vm, gpa)) return Check::kPreFaultAlias;
  if (const Check check = check_root(k, vcpu); check != Check::kOk) return check;
  if (!k.machine.profile.tdp || is_nested(k, vcpu)) return Check::kPreFaultNotTdp;
  if (planted(Planted::kPreFaultMarksRun)) k.set(vcpu.ran, true);
  return check_round(k, vm);
}

/// The loop in kvm_tdp_map_page() meets an obsolete root, which nothing replaces while it runs,
/// since that is row 7's: a livelock (W2), known upstream.  Deviation: the model notes it and goes
/// on as if a signal had ended the loop, since nothing else of the sequence could be seen
/// otherwise.
Check retry_until_signal(Kernel& k, bool began_with_root) {
  const Check signal = check_signal(k, Check::kPreFaultSignal);
  if (signal != Check::kOk) return signal;
  k.scheduler.report_livelock(began_with_root ? RetryReason::kRootWentMeanwhile
                                              : RetryReason::kRootObsolete);
  return fail(Check::kPreFaultObsoleteRoot);
}
bool retries_for_ever(const FaultResult& result) {
  return result.status == FaultStatus::kRetry && result.retry == RetryReason::kRootObsolete;
}

/// The page behind an address of the range: without the SHARED bit of a TD.
Gfn gfn_of(const Vm& vm, std::uint64_t gpa) {
  if (is_td(vm)) return {gpa >> kPageShift & ~kTdSharedGfn};
  // Where TDX has its shared bit, by the width of the guest's addresses.
  constexpr std::uint64_t kAliasBits = std::uint64_t{1} << 47 | std::uint64_t{1} << 51;
  return {(planted(Planted::kPreFaultIgnoresAliasBit) ? gpa & ~kAliasBits : gpa) >> kPageShift};
}

PageFault fault_for(const Kernel& k, const Vm& vm, std::uint64_t gpa) {
  const Gfn gfn = gfn_of(vm, gpa);
  // The attribute of the address as it was given, which an alias has none of.
  const bool is_alias = is_td(vm) && gfn.value != gpa >> kPageShift;
  return {.gfn = gfn,
          .is_private = vm.has_private_memory() && !is_alias && is_private(k, vm, gfn),
          .prefetch = true};
}

/// The ioctl's view of a fault that is not to be retried: kOk means progress.
Check check_of(const FaultResult& result) {
  switch (result.status) {
    case FaultStatus::kFixed:
    case FaultStatus::kSpurious:
    case FaultStatus::kWriteProtected:
      return Check::kOk;
    case FaultStatus::kEmulate:
      return fail(Check::kPreFaultNoSlot);
    case FaultStatus::kError:
      return result.check;
    default:
      break;
  }
  SLUICE_CHECK(false);
  return Check::kOk;
}

void advance(Range& range, const PageFault& fault) {
  const std::uint64_t block = frames_in(fault.goal_level) * kPageBytes;
  const std::uint64_t end = (range.gpa & ~(block - 1)) + block;
  std::uint64_t done = std::min(range.left, end - range.gpa);
  if (planted(Planted::kPreFaultOvercounts)) done = range.left;
  range.gpa += done;
  range.left -= done;
}

/// 0 if there was any progress, else the errno; the structure is written back in every case.
Outcome finish(const PreFaultMemory& op, const Range& range, Check check, const ExitInfo& exit) {
  const bool progressed = range.gpa != op.gpa.value;
  Outcome out{};
  const bool error_wins =
      !progressed || planted(Planted::kPreFaultErrorAfterProgress) ||
      (check == Check::kPreFaultSignal && planted(Planted::kSignalForgetsPreFault));
  if (error_wins && check != Check::kOk) {
    out = row_of(check).kind == StatusKind::kSkipped ? skip(check) : refuse(check);
    if (out.kind == StatusKind::kExit) {
      out.kind = StatusKind::kErrno;
      out.number = memory_fault_errno(check);
    }
  }
  if (!out.skipped()) {
    // Whatever the answer: where earlier pages make it 0, the exit of the last one is there, too.
    out.exit = exit;
    out.has_progress = true;
    out.progress = {.gpa = range.gpa, .left = range.left};
    if (planted(Planted::kPreFaultForgetsProgress)) out.progress.left = op.size.value;
    if (planted(Planted::kPreFaultCountsFailedPage) && progressed && check != Check::kOk) {
      out.progress = {.gpa = range.gpa + kPageBytes, .left = range.left - kPageBytes};
    }
  }
  return out;
}

/// Everything before the loop; kOk means go on.
Check begin(const Kernel& k, VcpuIndex vcpu, const PreFaultMemory& op) {
  if (const Check gate = vcpu_gate(k, vcpu); gate != Check::kOk) return gate;
  if (const Check check = check_arguments(op); check != Check::kOk) return check;
  if (const Check check = check_promise(k, k.vcpu(vcpu)); check != Check::kOk) return check;
  const Vm& vm = k.vm(k.vcpu(vcpu).vm);
  const bool maps = k.machine.profile.tdp && (vm.pre_fault_allowed || may_premap(k, vm));
  if (maps && exceeds_limit(vm, {.gpa = op.gpa.value, .left = op.size.value})) {
    return Check::kSkipLimit;
  }
  return Check::kOk;
}

}  // namespace

Outcome apply(Kernel& k, ActorId actor, const PreFaultMemory& op) {
  Range range{.gpa = op.gpa.value, .left = op.size.value};
  const VcpuIndex index{actor.index};
  Check check = begin(k, index, op);
  if (check != Check::kOk) return finish(op, range, check, {});
  Vcpu& vcpu = k.vcpu(index);
  ExitInfo exit{};
  while (range.left > 0) {
    const Borrowed mode = borrow_base_mode(k, vcpu);
    check = begin_page(k, vcpu, range.gpa);
    PageFault fault{};
    if (check == Check::kOk) {
      fault = fault_for(k, k.vm(vcpu.vm), range.gpa);
      const FaultResult result = handle_fault(k, vcpu, fault);
      const bool left_out = result.status == FaultStatus::kRetry && is_advisory(k, k.vm(vcpu.vm));
      if (retries_for_ever(result) && !left_out) {
        check = retry_until_signal(k, false);
      } else if (!left_out) {
        SLUICE_CHECK(result.status != FaultStatus::kRetry);  // nothing is in flight
        check = check_of(result);
      }
      exit = result.exit.reason == kExitMemoryFault ? result.exit : ExitInfo{};
    }
    give_mode_back(k, vcpu, mode);
    if (check != Check::kOk) break;
    advance(range, fault);
  }
  return finish(op, range, check, exit);
}

Task<Outcome> start(Kernel& k, ActorId actor, const PreFaultMemory& op) {
  Range range{.gpa = op.gpa.value, .left = op.size.value};
  const VcpuIndex index{actor.index};
  Check check = begin(k, index, op);
  if (check != Check::kOk) co_return finish(op, range, check, ExitInfo{});
  Vcpu& vcpu = k.vcpu(index);
  Vm& vm = k.vm(vcpu.vm);
  const VmIndex vm_index = vcpu.vm;
  ExitInfo exit{};
  co_await lock(k, vcpu_mutex(index));
  srcu_read_lock(k, vm_index);
  while (range.left > 0 && check == Check::kOk) {
    const Borrowed mode = borrow_base_mode(k, vcpu);
    check = begin_page(k, vcpu, range.gpa);
    if (check != Check::kOk) {
      give_mode_back(k, vcpu, mode);
      break;
    }
    const bool has_root = has_valid_root(k, vcpu);
    PageFault fault = fault_for(k, vm, range.gpa);
    for (;;) {
      // One child a page costs 10 ns, and only where stops are possible: a copy of its points here
      // would cost more, in trust.
      const FaultResult result = co_await start_fault(k, index, fault);
      if (result.status != FaultStatus::kRetry) {
        check = check_of(result);
        exit = result.exit.reason == kExitMemoryFault ? result.exit : ExitInfo{};
        break;
      }
      const bool left_out = is_advisory(k, vm);  // nothing is promised: the next page
      if (retries_for_ever(result) && !left_out) {
        check = retry_until_signal(k, has_root);
        break;
      }
      k.event(EventKind::kRetry, vm, fault.gfn.value);
      if (left_out) break;
      co_await point(k, Point::kFaultRetry);
      co_await retry(k, result.retry, fault.gfn.value);
      check = check_round(k, vm);
      if (check != Check::kOk) break;
    }
    give_mode_back(k, vcpu, mode);
    if (check != Check::kOk) break;
    advance(range, fault);
    co_await point(k, Point::kPreFaultNextPage);
  }
  srcu_read_unlock(k, vm_index);
  unlock(k, vcpu_mutex(index));
  co_return finish(op, range, check, exit);
}

}  // namespace sluice::model
