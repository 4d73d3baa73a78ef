#include "model/host/ap_creation.h"

#include "model/host/attributes.h"
#include "model/host/ghcb.h"
#include "model/host/guest_memfd.h"
#include "model/host/handlers.h"
#include "model/host/in_place.h"
#include "model/host/memslots.h"
#include "model/host/pinned.h"
#include "model/host/run_gate.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

/// Linux SVM_SEV_FEAT_INT_INJ_MODES.
constexpr std::uint32_t kInjectionModes =
    SevFeatures::kRestrictedInjection | SevFeatures::kAlternateInjection;

/// What sev_es_validate_vmgexit() asks of this event.
Check check_input(const ApCreation& op) {
  const bool needs_rax = op.request.value != ApRequest::kDestroy;
  return needs_rax && !op.rax_valid ? fail(Check::kApCreationMissingInput) : Check::kOk;
}

/// page_address_valid(), by the CPUID of the vCPU that asks.
bool is_page_address(const Vcpu& asking, std::uint64_t gpa) {
  return gpa % kPageBytes == 0 && gpa >> asking.phys_addr_bits == 0;
}

/// sev_snp_ap_creation(), as far as it refuses.
// Assumption: no kernel modelled lets a VM have another injection mode than the normal one.
Check check_request(const Kernel& k, const Vcpu& asking, const ApCreation& op) {
  const Vcpu& target = k.vcpu(op.vcpu);
  if (!target.exists || target.vm != asking.vm) return fail(Check::kApCreationApicId);
  const bool all = behavior::ap_features_must_match(k.version());
  const bool other_mode = !all && (op.features.value & kInjectionModes) != 0;
  if (op.request.value < ApRequest::kDestroy && other_mode) {
    if (const Check check = fail(Check::kApCreationInjectionMode); check != Check::kOk)
      return check;
  }
  if (op.request.value > ApRequest::kDestroy) return fail(Check::kApCreationRequest);
  if (op.request.value == ApRequest::kDestroy) return Check::kOk;
  if (all && op.features.value != SevFeatures::kSnp) {
    if (const Check check = fail(Check::kApCreationFeatures); check != Check::kOk) return check;
  }
  if (!is_page_address(asking, op.gpa.value)) return fail(Check::kApCreationVmsaGpa);
  const bool aligned = op.gpa.value % kBytesPer2M == 0;
  return aligned ? fail(Check::kApCreationVmsaAligned) : Check::kOk;
}

/// The part of sev_snp_ap_creation() that changes the vCPU asked about.
void stage(Kernel& k, Vcpu& target, const ApCreation& op) {
  ApReset& ap = target.sev.ap;
  const bool stops = op.request.value >= ApRequest::kDestroy;
  k.set(ap.pending, stops ? ApReset::kNone : Gpa{op.gpa.value});
  k.set(ap.waiting, true);
  // The kick makes it leave its guest; it looks at the request before it enters again.
  if (op.request.value != ApRequest::kCreateOnInit) k.set(ap.requested, true);
}

/// The page behind a VMSA's address, with the look-up of a fault but none of its questions about
/// attributes; the reference to it is dropped at once.  Fails: run.no_vmsa, skip.limit.
Check look_up_vmsa(Kernel& k, Vm& vm, Gpa gpa, Pfn& pfn) {
  const Gfn gfn = gpa.containing_frame();
  const SlotIndex index = find_slot(vm, 0, gfn);
  if (index == kNoSlot) return Check::kRunNoVmsa;
  const Memslot& slot = vm.slots[index];
  // In place the file has shared pages, too: user space could have a VMSA mapped.
  if (is_in_place(k) && !is_private(k, vm, gfn)) return Check::kRunNoVmsa;
  if (is_pinned_backing(k)) return Check::kRunNoVmsa;
  GmemHold hold{};
  const Check check = get_pfn(k, vm, slot, gfn, hold);
  if (check != Check::kOk) {
    return row_of(check).kind == StatusKind::kSkipped ? check : Check::kRunNoVmsa;
  }
  release_page(k, slot.gmem, hold.index, hold.pfn);
  pfn = hold.pfn;
  return Check::kOk;
}

/// vmcb_mark_all_dirty(): the processor reads the VMCB anew at its next entry.
void mark_vmcb_dirty(Kernel& k, Vcpu& vcpu) {
  const auto held = held_vmsa(vcpu);
  ApReset& ap = vcpu.sev.ap;
  const bool forgets = planted(Planted::kVmsaSwitchKeepsVmcbClean) && held;
  k.set(ap.is_clean, forgets);
  if (forgets) k.set(ap.held, *held);
}

}  // namespace

Outcome apply(Kernel& k, ActorId actor, const ApCreation& op) {
  const VcpuIndex index = vcpu_of(actor);
  const auto out = before_event(k, index, op.ghcb, Check::kApCreationMissingInput);
  if (out) return *out;
  Check check = check_input(op);
  if (check == Check::kOk) check = check_request(k, k.vcpu(index), op);
  if (check == Check::kOk) stage(k, k.vcpu(op.vcpu), op);
  return answer_vmgexit(check);
}

LockPlan locks_of(const Kernel&, ActorId actor, const ApCreation&) { return mutex_of(actor); }

// Assumption: all modelled kernels do as 6.12.117 does, which has the fix for bugs.md 47; what else
// wakes a halted vCPU, as an interrupt, is left out.
Check apply_reset(Kernel& k, Vcpu& vcpu) {
  ApReset& ap = vcpu.sev.ap;
  if (ap.requested) {
    const Gpa gpa = ap.pending;
    const bool starts = gpa != ApReset::kNone;
    Pfn pfn{};
    const Check found = starts ? look_up_vmsa(k, k.vm(vcpu.vm), gpa, pfn) : Check::kRunNoVmsa;
    if (row_of(found).kind == StatusKind::kSkipped) return found;
    mark_vmcb_dirty(k, vcpu);
    k.set(ap.requested, false);
    k.set(ap.waiting, false);
    k.set(ap.pending, ApReset::kNone);
    k.set(ap.applied, true);
    k.set(ap.named, gpa);
    k.set(ap.has_vmsa, found == Check::kOk);
    k.set(ap.vmsa, pfn);
    // Where the VMSA cannot be had, KVM_RUN is to fail, not to wait.
    const bool hangs = planted(Planted::kUnusableVmsaHalts) && found != Check::kOk;
    k.set(ap.halted, !starts || hangs);
  }
  return ap.halted ? fail(Check::kRunHalted) : Check::kOk;
}

// Assumption: the VMCB names a VMSA by its frame alone, so that Reverse-Map has nothing to compare.
Check check_vmsa(Kernel& k, Vcpu& vcpu) {
  const auto held = held_vmsa(vcpu);
  const auto vmsa = held ? held : named_vmsa(vcpu);
  if (!vmsa) return fail(Check::kRunNoVmsa);
  const RmpEntry entry = k.machine.rmp.covering(*vmsa);
  const bool owned = entry.assigned() && entry.asid() == k.vm(vcpu.vm).sev.asid;
  if (!owned || entry.immutable() || !entry.vmsa()) return fail(Check::kRunVmsa);
  ApReset& ap = vcpu.sev.ap;
  if (ap.applied && !ap.is_clean) {
    k.set(ap.is_clean, true);
    k.set(ap.held, *vmsa);
  }
  return Check::kOk;
}

std::optional<Pfn> named_vmsa(const Vcpu& vcpu) {
  const SevVcpu& sev = vcpu.sev;
  if (sev.ap.applied) return sev.ap.has_vmsa ? std::optional(sev.ap.vmsa) : std::nullopt;
  return sev.has_vmsa ? std::optional(sev.vmsa) : std::nullopt;
}

std::optional<Pfn> held_vmsa(const Vcpu& vcpu) {
  const ApReset& ap = vcpu.sev.ap;
  if (ap.applied) return ap.is_clean ? std::optional(ap.held) : std::nullopt;
  return vcpu.ran ? named_vmsa(vcpu) : std::nullopt;
}

void forget_reset(Kernel& k, Vcpu& vcpu) {
  ApReset& ap = vcpu.sev.ap;
  if (!ap.waiting && !ap.applied) return;
  k.set(ap.waiting, false);
  k.set(ap.requested, false);
  k.set(ap.halted, false);
  k.set(ap.applied, false);
  k.set(ap.has_vmsa, false);
  k.set(ap.is_clean, false);
  k.set(ap.pending, ApReset::kNone);
  k.set(ap.named, ApReset::kNone);
}

}  // namespace sluice::model
