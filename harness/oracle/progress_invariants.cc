// Invariants W1 to W3: everything that starts comes to an end (invariants.md L; kvm.md 10).
#include <algorithm>

#include "oracle/invariant_list.h"
#include "oracle/view_helpers.h"
#include "trace/npf.h"

namespace sluice::oracle {
namespace {

/// What of a guest's instruction an RMP fault depends on.
struct Faulter {
  Gfn gfn{};
  std::uint8_t vmpl = 0;
  std::uint8_t needs = 0;  // bits of a VMPL mask, rmp.md 3
};

std::uint8_t bits_for(AccessKind kind) {
  constexpr std::uint8_t kRead = 1, kWrite = 2, kExecute = 8;
  return kind == AccessKind::kRead ? kRead : kind == AccessKind::kWrite ? kWrite : kExecute;
}

std::optional<Faulter> faulter_of(const View& view, VmIndex vm, const Op& op) {
  if (const auto* const access = std::get_if<GuestAccess>(&op)) {
    const auto vmpl = std::min<std::uint8_t>(access->vmpl.value, kVmplCount - 1);
    return Faulter{.gfn = access->gfn, .vmpl = vmpl, .needs = bits_for(access->kind)};
  }
  if (const auto* const accept = std::get_if<Pvalidate>(&op)) return Faulter{.gfn = accept->gfn};
  if (const auto* const adjust = std::get_if<RmpAdjust>(&op)) return Faulter{.gfn = adjust->gfn};
  if (const auto* const query = std::get_if<RmpQuery>(&op)) return Faulter{.gfn = query->gfn};
  // Of an operation of several instructions the fault itself says which page it is about: these
  // only accept pages, at VMPL 0.
  const bool accepts = is_one_of<GuestConvert, TdAccept>(op);
  const Event* const fault = accepts ? last_fault(view, vm) : nullptr;
  return fault != nullptr ? std::optional(Faulter{.gfn = Gfn{fault->a}}) : std::nullopt;
}

/// The frame of the file page behind a private GFN; none where there is no such page.
std::optional<Pfn> private_frame(const View& view, VmIndex vm, Gfn gfn) {
  for (const SlotView& slot : view.slots(vm)) {
    if (slot.address_space != 0 || !span_of(slot).contains(gfn) || !slot.gmem.is_gmem()) continue;
    const std::uint64_t index = slot.gmem_page_offset + (gfn - slot.base).value;
    const GmemPageView page = view.gmem_page({slot.gmem.value}, index);
    return page.present ? std::optional(page.pfn) : std::nullopt;
  }
  return std::nullopt;
}

/// KVM has no way out of this RMP fault: rows 1 to 4 of snp_host.md 4, and what it says is not
/// handled there. Row 1 is a shared access's: where a private one meets a shared page, user space
/// is told.
bool is_unhandled(const View& view, VmIndex vm, const Faulter& by, bool is_encrypted) {
  if (!view.is_private(vm, by.gfn)) return !is_encrypted;
  const auto frame = private_frame(view, vm, by.gfn);
  if (!frame) return true;
  const RmpView entry = view.rmp(*frame);
  const bool is_its_own = entry.assigned && entry.asid == view.vm(vm).asid &&
                          entry.gpa == address_of(by.gfn) && !entry.immutable;
  return !is_its_own || entry.in_use || (entry.vmpl_mask[by.vmpl] & by.needs) != by.needs;
}

}  // namespace

namespace check {

Result no_deadlock(const View& view) {
  const ProgressView progress = view.progress();
  return progress.deadlock ? Violation{.subject = progress.in_flight} : Result{};
}

Result no_livelock(const View& view) {
  const ProgressView progress = view.progress();
  // Nothing will ever wake a vCPU that was told to run and waits.
  const VcpuIndex vcpu = acting_vcpu(view);
  if (view.outcome().check == Check::kRunHalted && view.vmsa(vcpu).starts)
    return Violation{.subject = vcpu.value};
  if (!progress.livelock) return std::nullopt;
  return Violation{.subject = progress.in_flight,
                   .known_upstream = progress.known_upstream && !overlaps_for_no_reason(view)};
}

Result fault_is_resolved(const View& view) {
  if (view.outcome().check != Check::kFaultLoop) return std::nullopt;
  if (view.header().policy.vmm == VmmPolicy::kIgnore) return std::nullopt;
  const Op* const op = view.ran_op(acting(view));
  if (op == nullptr || !is_quiescent(view) || !view.ran_alone()) return std::nullopt;
  const VmIndex vm = view.vm_of(acting_vcpu(view));
  const auto by = faulter_of(view, vm, *op);
  if (!by) return std::nullopt;
  // Of what is no RMP fault nothing is known.
  const Event* const fault = last_fault(view, vm);
  const bool by_rmp = fault != nullptr && (fault->b & npf::kRmp) != 0;
  const bool known = by_rmp && view.vm(vm).type != VmType::kTdx &&
                     is_unhandled(view, vm, *by, (fault->b & npf::kEncrypted) != 0);
  return Violation{.subject = by->gfn.value, .known_upstream = known};
}

}  // namespace check
}  // namespace sluice::oracle
