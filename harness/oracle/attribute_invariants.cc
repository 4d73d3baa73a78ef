// Invariants A1-A7: the attribute store and what is derived from it (invariants.md D; kvm.md 3).
#include <algorithm>
#include <array>
#include <bit>

#include "oracle/invariant_list.h"
#include "oracle/requests.h"
#include "oracle/view_helpers.h"

namespace sluice::oracle {
namespace {

constexpr std::uint64_t kPrivate = 8;  // KVM_MEMORY_ATTRIBUTE_PRIVATE
constexpr std::array kHugeLevels{MapLevel::k2M, MapLevel::k1G};

/// The step's conversion by ioctl if it answered here and nobody else ran.
const SetMemoryAttributes* lone_conversion(const View& view) {
  const auto* const op = finished<SetMemoryAttributes>(view);
  return op != nullptr && view.ran_alone() && !view.outcome().skipped() ? op : nullptr;
}

bool counters_changed(const View& view, VmIndex vm) {
  if ((view.changed_vms() >> vm.value & 1) == 0) return false;
  const VmView &before = view.vm_before(vm), &now = view.vm(vm);
  return before.invalidate_seq != now.invalidate_seq ||
         before.invalidate_in_progress != now.invalidate_in_progress;
}

bool nothing_else_changed(const View& view) {
  return view.leaf_changes().empty() && view.frame_changes().empty() &&
         view.gmem_page_changes().empty();
}

/// kvm.md 3, rows 2 to 5.
bool is_well_formed(const View& view, const SetMemoryAttributes& op) {
  const std::uint64_t known = has_private_memory(view.vm(op.vm).type) ? kPrivate : 0;
  const std::uint64_t end = op.address.value + op.size.value;
  const bool aligned = op.address.value % kPageBytes == 0 && op.size.value % kPageBytes == 0;
  return view.profile().memory_attributes && op.flags.value == 0 &&
         (op.attributes.value & ~known) == 0 && op.size.value != 0 && end > op.address.value &&
         aligned;
}

/// The first block of `frames` GFNs that begins in the span and holds both kinds. Pre: the span
/// begins and ends at blocks.
std::optional<Gfn> next_non_uniform(const View& view, VmIndex vm, std::uint64_t frames,
                                    GfnSpan span) {
  while (!span.empty()) {
    const GfnSpan run = view.next_private(vm, span);
    if (run.empty()) return std::nullopt;
    for (const Gfn edge : {run.first, run.end}) {
      if (!edge.is_aligned(frames)) return edge.align_down(frames);
    }
    span.first = run.end;
  }
  return std::nullopt;
}

constexpr Gfn align_up(Gfn gfn, std::uint64_t frames) {
  return (gfn + PageCount{frames - 1}).align_down(frames);
}

/// Of the blocks that lie fully inside the slot and touch `part`, exactly those that hold both
/// kinds are marked mixed.
std::optional<Violation> judge_mixed(const View& view, const SlotView& slot, const GfnSpan& part) {
  for (const MapLevel level : kHugeLevels) {
    const std::uint64_t frames = frames_in(level);
    const GfnSpan whole{align_up(slot.base, frames), span_of(slot).end.align_down(frames)};
    GfnSpan span{std::max(whole.first, part.first.align_down(frames)),
                 std::min(whole.end, align_up(part.end, frames))};
    while (!span.empty()) {
      const auto wanted = next_non_uniform(view, slot.vm, frames, span);
      const auto marked = view.next_mixed(slot.vm, level, span);
      if (wanted != marked) {
        const Gfn at = std::min(wanted.value_or(span.end), marked.value_or(span.end));
        return Violation{.subject = at.value, .other = static_cast<std::uint64_t>(level)};
      }
      if (!wanted) break;
      span.first = *wanted + PageCount{frames};
    }
  }
  return std::nullopt;
}

/// What succeeded is so. That nothing beside it has changed is A5's.
std::optional<Violation> judge_converted(const View& view, const SetMemoryAttributes& op) {
  const Gfn first{op.address.value >> kPageShift};
  const GfnSpan asked{first, first + PageCount{op.size.value >> kPageShift}};
  const GfnSpan run = view.next_private(op.vm, asked);
  const bool to_private = (op.attributes.value & kPrivate) != 0;
  const bool whole = run.first == asked.first && run.end == asked.end;
  if (was_undisturbed(view) && (to_private ? !whole : !run.empty()))
    return Violation{.subject = first.value, .other = op.attributes.value};
  return std::nullopt;
}

std::optional<Violation> judge_new_slots(const View& view, VmIndex vm) {
  const auto before = view.slots_before(vm);
  for (const SlotView& slot : view.slots(vm)) {
    const auto same = [&slot](const SlotView& old) {
      return old.id == slot.id && old.address_space == slot.address_space &&
             old.base == slot.base && old.page_count == slot.page_count && !old.invalid;
    };
    if (std::ranges::any_of(before, same)) continue;
    if (auto wrong = judge_mixed(view, slot, span_of(slot)); wrong) return wrong;
  }
  return std::nullopt;
}

}  // namespace

namespace check {

Result attribute_is_private_or_absent(const View& view) {
  // The ends, and one GFN of each run of 2^15 between them, of which a store may keep one word;
  // of runs longer than 2^21, one of each 64th part.
  for (const AttributeChange& change : view.attribute_changes()) {
    const std::uint64_t run =
        std::max<std::uint64_t>(1 << 15, std::bit_ceil(change.count.value) / 64);
    const Gfn last = change.first + PageCount{change.count.value - 1};
    for (Gfn gfn = change.first; gfn <= last;) {
      const AttributeView entry = view.attribute(change.vm, gfn);
      if (entry.value != (entry.stored ? kPrivate : 0))
        return Violation{.subject = gfn.value, .other = entry.value};
      if (gfn == last) break;
      gfn = std::min(last, gfn.align_down(run) + PageCount{run});
    }
  }
  return std::nullopt;
}

Result refused_conversion_changes_nothing(const View& view) {
  const auto* const op = lone_conversion(view);
  if (op == nullptr || view.outcome().ok()) return std::nullopt;
  const bool same = view.attribute_changes().empty() && nothing_else_changed(view) &&
                    !counters_changed(view, op->vm);
  return same ? Result{} : Violation{.subject = op->address.value >> kPageShift};
}

Result repeated_conversion_counts_nothing(const View& view) {
  const auto* const op = lone_conversion(view);
  // What it changed before it was parked, the step does not tell.
  const bool whole = op != nullptr && !is_one_of<Resume>(view.step().op);
  const bool repeats = whole && view.outcome().ok() && view.attribute_changes().empty();
  if (!repeats) return std::nullopt;
  const bool silent = !counters_changed(view, op->vm) && view.leaf_changes().empty();
  return silent ? Result{} : Violation{.subject = op->address.value >> kPageShift};
}

Result mixed_means_both_kinds(const View& view) {
  if (!is_quiescent(view)) return std::nullopt;
  for (const AttributeChange& change : view.attribute_changes()) {
    const GfnSpan changed{change.first, change.first + change.count};
    for (const SlotView& slot : view.slots(change.vm)) {
      if (!span_of(slot).overlaps(changed)) continue;
      if (auto wrong = judge_mixed(view, slot, changed); wrong) return wrong;
    }
  }
  if (!ran<SetMemoryRegion>(view)) return std::nullopt;
  for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) {
    if ((view.changed_vms() >> vm & 1) == 0) continue;
    if (auto wrong = judge_new_slots(view, {vm}); wrong) return wrong;
  }
  return std::nullopt;
}

Result attributes_belong_to_vm(const View& view) {
  // What a pre-fault may change, P5 says.
  if (ran<PreFaultMemory>(view)) return std::nullopt;
  for (const AttributeChange& change : view.attribute_changes()) {
    // Changes of several actors that lie side by side are told as one.
    const std::uint64_t count = view.ran_alone() ? change.count.value : 1;
    const auto converts = [&](const Op& op) {
      const auto* const own = std::get_if<SetMemoryAttributes>(&op);
      if (own == nullptr || own->vm != change.vm) return false;
      return lies_within(change.first.value, count, own->address.value >> kPageShift,
                         own->size.value >> kPageShift);
    };
    const bool asked_for =
        any_ran_op(view, converts) || was_asked_to_convert(view, change.vm, change.first, count);
    if (!asked_for && view.vm(change.vm).exists) return Violation{.subject = change.first.value};
  }
  return std::nullopt;
}

Result conversion_needs_no_slot(const View& view) {
  const auto* const op = lone_conversion(view);
  if (op == nullptr) return std::nullopt;
  if (view.outcome().ok()) return judge_converted(view, *op);
  if (!is_well_formed(view, *op)) return std::nullopt;
  const Check check = view.outcome().check;
  if (check == Check::kAttributesNoMemory || check == Check::kAttributesBusy) return std::nullopt;
  const VmView& before = view.vm_before(op->vm);
  return before.open && !before.dead ? Violation{.subject = op->address.value >> kPageShift}
                                     : Result{};
}

Result conversion_leaves_rmp(const View& view) {
  // In place the frames themselves change hands.
  if (view.header().policy.backing != Backing::kFd) return std::nullopt;
  if (view.ran_ops() != kOpBit<SetMemoryAttributes>) return std::nullopt;
  for (const FrameChange& change : view.frame_changes()) {
    if (change.rmp_changed) return Violation{.subject = change.pfn.value};
  }
  return std::nullopt;
}

Result audit_mixed(const View& view, AuditScratch&) {
  if (!is_quiescent(view)) return std::nullopt;
  for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) {
    if (!has_private_memory(view.vm({vm}).type)) continue;
    for (const SlotView& slot : view.slots({vm})) {
      if (auto wrong = judge_mixed(view, slot, span_of(slot)); wrong) return wrong;
    }
  }
  return std::nullopt;
}

}  // namespace check
}  // namespace sluice::oracle
