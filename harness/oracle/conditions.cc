#include "oracle/conditions.h"

#include <algorithm>
#include <span>

#include "oracle/view_helpers.h"

namespace sluice::oracle {

void BindingBook::forget(GmemIndex gmem) {
  for (std::size_t i = count_; i > 0; --i) {
    if (bound_[i - 1].gmem == gmem) bound_[i - 1] = bound_[--count_];
  }
}

void BindingBook::note_binding(const Bound& bound) {
  for (const Bound& old : std::span(bound_.data(), count_)) {
    if (old.gmem != bound.gmem || old.first >= bound.end || bound.first >= old.end) continue;
    if (old.gfn_minus_index != bound.gfn_minus_index) holds_ = false;
    if (old.first <= bound.first && bound.end <= old.end) return;
  }
  if (count_ == kRoom) {
    holds_ = false;
    return;
  }
  bound_[count_++] = bound;
}

void BindingBook::note(const View& view) {
  if (!holds_) return;
  // A file that is made anew begins with pages that nobody has had.
  if (const auto* const made = finished<CreateGuestMemfd>(view); made && view.outcome().ok())
    forget(made->gmem);
  if (!ran<SetMemoryRegion>(view)) return;
  for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) {
    if ((view.changed_vms() >> vm & 1) == 0) continue;
    for (const SlotView& slot : view.slots({vm})) {
      if (!slot.gmem.is_gmem()) continue;
      note_binding({.gmem = {slot.gmem.value},
                    .first = slot.gmem_page_offset,
                    .end = slot.gmem_page_offset + slot.page_count.value,
                    .gfn_minus_index = slot.base.value - slot.gmem_page_offset});
    }
  }
}

bool is_mismatch(const View& view) {
  const Outcome& out = view.outcome();
  return out.has_check && out.check == Check::kFaultMismatch && out.exit.reason == kExitMemoryFault;
}

void MismatchBook::note(const View& view) {
  if (ran<CreateVm, CreateVcpu>(view)) clear();  // a vCPU of the same index is another one
  const auto* const access = finished<GuestAccess>(view);
  if (access == nullptr) return;
  const VcpuIndex vcpu = acting_vcpu(view);
  last_[vcpu.value].reset();
  if (!is_mismatch(view)) return;
  last_[vcpu.value] =
      Mismatch{.vm = view.vm_of(vcpu),
               .gfn = access->gfn,
               .page = Gpa{view.outcome().exit.gpa}.containing_frame(),
               .c_bit = access->c_bit,
               .fetches = access->kind == AccessKind::kFetch,
               .wants_private = (view.outcome().exit.flags & kMemoryFaultPrivate) != 0};
}

bool MismatchBook::was_helped(const View& view) const {
  const auto* const access = finished<GuestAccess>(view);
  if (access == nullptr || conversion_ran(view)) return false;
  // It may have looked before user space helped.
  if (is_one_of<Resume>(view.step().op) && !was_undisturbed(view)) return false;
  const VcpuIndex vcpu = acting_vcpu(view);
  const auto& last = last_[vcpu.value];
  return last && last->vm == view.vm_of(vcpu) && last->gfn == access->gfn &&
         last->c_bit == access->c_bit && last->fetches == (access->kind == AccessKind::kFetch) &&
         view.is_private(last->vm, last->page) == last->wants_private;
}

}  // namespace sluice::oracle
