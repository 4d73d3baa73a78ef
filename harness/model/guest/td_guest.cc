#include "model/guest/td_guest.h"

#include "model/host/adversity.h"
#include "model/host/tdp_mmu.h"
#include "model/schedule/scheduler.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

GuestResult violation(const GuestInstruction& in, bool is_private, bool present) {
  std::uint64_t npf = npf::kFinal;
  if (is_private) npf |= npf::kEncrypted;
  // KVM takes every violation of the secure EPT for a write (tdx_handle_ept_violation()).
  if (is_private || in.kind == AccessKind::kWrite) npf |= npf::kWrite;
  if (present) npf |= npf::kPresent;
  return {.npf = npf};
}

GuestResult touch_shared(const GuestInstruction& in, const LeafView& leaf) {
  const bool readable = leaf.present && !leaf.mmio;
  const bool allowed = readable && (in.kind != AccessKind::kWrite || leaf.writable);
  return allowed ? GuestResult{} : violation(in, false, readable);
}

/// A page that is there and not accepted: #VE, or the end of the TD.
GuestResult touch_pending(Kernel& k, Vm& vm) {
  if (!k.machine.sept.td(k.index_of(vm)).sept_ve_disable) {
    return {.check = fail(Check::kGuestPending)};
  }
  const Check check = fail(Check::kRunUnexpectedPending);
  if (check != Check::kOk) k.set(vm.dead, true);  // kvm_vm_dead()
  return {.check = check};
}

GuestResult accept(Kernel& k, const Vm& vm, const GuestInstruction& in) {
  const PageSize size = in.size == PageSizeArg::k2M ? PageSize::k2M : PageSize::k4K;
  switch (tdg_mem_page_accept(k.machine, k.index_of(vm), in.gfn, size)) {
    case AcceptStatus::kAccepted:
      return {};
    case AcceptStatus::kOperand:
      return {.check = fail(Check::kTdAcceptOperand)};
    case AcceptStatus::kAlready:
      return {.check = fail(Check::kTdAcceptAlready)};
    case AcceptStatus::kSizeMismatch:
      return {.check = fail(Check::kTdAcceptSize)};
    case AcceptStatus::kViolation:
      break;
  }
  return violation(in, true, false);
}

bool retries_here(const Kernel& k, const FaultResult& result) {
  if (result.status != FaultStatus::kRetry) return false;
  const bool leaves = behavior::td_leaves_fault_on_invalid_slot(k.version()) &&
                      !planted(Planted::kTdRetriesDeletedSlot);
  return result.retry != RetryReason::kSlotInvalid || !leaves;
}

Task<FaultResult> start_td_fault(Kernel& k, VcpuIndex index, PageFault& fault) {
  const Vm& vm = k.vm(k.vcpu(index).vm);
  for (;;) {
    const FaultResult result = co_await start_fault(k, index, fault);
    if (!retries_here(k, result)) co_return result;
    k.event(EventKind::kRetry, vm, fault.gfn.value);
    co_await point(k, Point::kFaultRetry);
    co_await retry(k, result.retry, fault.gfn.value);
    Check check = check_signal(k, Check::kRunSignal);
    if (check == Check::kOk && vm.dead) check = Check::kVmDead;
    if (check != Check::kOk) {
      co_return FaultResult{.status = FaultStatus::kError, .check = check};
    }
  }
}

GuestInstruction instruction_of(const TdAccept& op) {
  return {.action = GuestAction::kTdAccept,
          .kind = AccessKind::kWrite,
          .c_bit = true,
          .size = op.page_size == PageSize::k2M ? PageSizeArg::k2M : PageSizeArg::k4K,
          .gfn = op.gfn};
}

}  // namespace

void strip_shared_bit(const Kernel& k, VcpuIndex vcpu, GuestInstruction& in) {
  const bool shared = is_td(k.vm(k.vcpu(vcpu).vm)) && (in.gfn.value & kTdSharedGfn) != 0;
  if (!shared || in.kind == AccessKind::kFetch) return;
  in.gfn.value &= ~kTdSharedGfn;
  in.c_bit = false;
}

TdTry attempt_in_td(Kernel& k, VcpuIndex index, const GuestInstruction& in) {
  const Vcpu& vcpu = k.vcpu(index);
  Vm& vm = k.vm(vcpu.vm);
  const VmIndex td = vcpu.vm;
  TdTry out{};
  if (!is_td_private(vm, in)) {
    out.leaf = lookup_leaf(k, vm, vcpu.root, in.gfn);
    out.result = touch_shared(in, out.leaf);
    return out;
  }
  const SeptEntry entry = k.machine.sept.entry(td, in.gfn);
  if (in.action == GuestAction::kTdAccept) {
    out.result = accept(k, vm, in);
  } else if (entry.is_pending()) {
    out.result = touch_pending(k, vm);
  } else if (!entry.is_mapped()) {
    out.result = violation(in, true, false);
  }
  const bool present = !entry.is_free() && !entry.is_blocked();
  if (present) out.leaf = {.present = true, .writable = true, .pfn = entry.pfn()};
  return out;
}

Task<FaultResult> start_guest_fault(Kernel& k, VcpuIndex vcpu, PageFault& fault) {
  const bool of_td = fault.is_private && is_td(k.vm(k.vcpu(vcpu).vm));
  return of_td ? start_td_fault(k, vcpu, fault) : start_fault(k, vcpu, fault);
}

Outcome apply(Kernel& k, ActorId actor, const TdAccept& op) {
  return run_guest(k, VcpuIndex{actor.index}, instruction_of(op));
}
Task<Outcome> start(Kernel& k, ActorId actor, const TdAccept& op) {
  return start_guest(k, VcpuIndex{actor.index}, instruction_of(op));
}

}  // namespace sluice::model
