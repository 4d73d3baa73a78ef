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

BindingBook::Bound BindingBook::bound_of(const SlotView& slot) {
  return {.gmem = {slot.gmem.value},
          .first = slot.gmem_page_offset,
          .end = slot.gmem_page_offset + slot.page_count.value,
          .gfn_minus_index = slot.base.value - slot.gmem_page_offset};
}

bool BindingBook::add(const Bound& bound) {
  if (bound.first >= bound.end) return true;
  if (count_ == kRoom) return false;
  bound_[count_++] = bound;
  return true;
}

void BindingBook::note_binding(const Bound& bound) {
  for (const Bound& old : std::span(bound_.data(), count_)) {
    const bool within = old.gmem == bound.gmem && old.first <= bound.first && bound.end <= old.end;
    if (within && old.gfn_minus_index == bound.gfn_minus_index) return;
  }
  has_room_ = has_room_ && add(bound);
}

/// The page has a new frame, which carries no address yet: what was bound before counts no more.
void BindingBook::note_came(const View& view, GmemIndex gmem, std::uint64_t index) {
  std::optional<std::uint64_t> shown{};
  for (const SlotView& slot : view.slots(view.gmem(gmem).vm)) {
    if (slot.gmem.is_gmem() && bound_of(slot).has(gmem, index))
      shown = bound_of(slot).gfn_minus_index;
  }
  // From the back, so that what is put in place of a removed range has been looked at.
  for (std::size_t i = count_; i > 0; --i) {
    const Bound old = bound_[i - 1];
    if (!old.has(gmem, index) || old.gfn_minus_index == shown) continue;
    bound_[i - 1] = bound_[--count_];
    Bound left = old, right = old;
    left.end = index, right.first = index + 1;
    has_room_ = has_room_ && add(left) && add(right);
  }
}

bool BindingBook::is_at_one_gfn(const SlotView& slot, Gfn gfn) const {
  if (!has_room_) return false;
  const Bound here = bound_of(slot);
  const std::uint64_t index = gfn.value - here.gfn_minus_index;
  return std::ranges::none_of(std::span(bound_.data(), count_), [&](const Bound& bound) {
    return bound.has(here.gmem, index) && bound.gfn_minus_index != here.gfn_minus_index;
  });
}

void BindingBook::note(const View& view) {
  if (!has_room_) return;
  // A file that is made anew begins with pages that nobody has had.
  if (const auto* const made = finished<CreateGuestMemfd>(view); made && view.outcome().ok())
    forget(made->gmem);
  // What came while slots changed, nobody can say at which of them.
  if (count_ > 1 && !ran<SetMemoryRegion>(view)) {
    for (const GmemPageChange& change : view.gmem_page_changes()) {
      if (!change.before.present) note_came(view, change.gmem, change.index);
    }
  }
  if (!ran<SetMemoryRegion>(view)) return;
  // A slot may have come and gone while several ran.
  const auto note_asked = [this](const Op& op) {
    const auto* const region = std::get_if<SetMemoryRegion>(&op);
    if (region == nullptr || !region->gmem.is_gmem()) return false;
    const std::uint64_t first = region->gmem_offset.value >> kPageShift;
    note_binding({.gmem = {region->gmem.value},
                  .first = first,
                  .end = first + (region->size.value >> kPageShift),
                  .gfn_minus_index = (region->gpa.value >> kPageShift) - first});
    return false;
  };
  if (!view.ran_alone()) any_ran_op(view, note_asked);
  for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) {
    if ((view.changed_vms() >> vm & 1) == 0) continue;
    for (const SlotView& slot : view.slots({vm})) {
      if (slot.gmem.is_gmem()) note_binding(bound_of(slot));
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
