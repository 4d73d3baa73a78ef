// Invariants N7, N8 and N15: what must be gone from nested page tables, and what must stay
// (invariants.md C; kvm.md 1.3, 2).
#include "oracle/invariant_list.h"
#include "oracle/leaf_records.h"

namespace sluice::oracle {
namespace {

/// The slot is still where it was.
bool is_there(const View& view, const SlotView& old) {
  return std::ranges::any_of(view.slots(old.vm), [&old](const SlotView& now) {
    return now.id == old.id && now.address_space == old.address_space && now.base == old.base;
  });
}

/// Calls visit(const SlotView&) for the slots that the step deleted or moved away.
template <class Visit>
void each_gone_slot(const View& view, VmIndex vm, Visit&& visit) {
  for (const SlotView& old : view.slots_before(vm)) {
    if (!is_there(view, old)) visit(old);
  }
}

/// The slot that the operation names: dirty logging takes write permission from its leaves or
/// splits them, its end takes away those that could be huge; where a slot could not be moved or
/// deleted, it was out of use for a while.
bool is_of_own_slot(const View& view, const SetMemoryRegion& op, std::uint8_t address_space,
                    const GfnSpan& leaf) {
  return std::ranges::any_of(view.slots_before(op.vm), [&](const SlotView& old) {
    return op.slot.value == (std::uint32_t{old.address_space} << 16 | old.id) &&
           old.address_space == address_space && span_of(old).overlaps(leaf);
  });
}

/// KVM zaps all leaves of a VM with the quirk where a slot is deleted or moved, whether or not that
/// comes to a good end; where one is made or begins to log, it has no more leave than without.
bool may_zap_all(const View& view, const SetMemoryRegion& op) {
  if (!view.vm(op.vm).slot_zap_all) return false;
  return op.size.value == 0 ||
         std::ranges::any_of(view.slots_before(op.vm), [&op](const SlotView& old) {
           return op.slot.value == (std::uint32_t{old.address_space} << 16 | old.id) &&
                  (old.invalid || old.base != Gpa{op.gpa.value}.containing_frame());
         });
}

/// The first leaf of the span in any root of the address space for which `is_wrong` holds.
template <class IsWrong>
std::optional<Violation> first_leaf_in(const View& view, VmIndex vm, std::uint8_t address_space,
                                       const GfnSpan& span, IsWrong&& is_wrong) {
  std::optional<Violation> wrong{};
  each_root(view, vm, address_space, [&](std::uint32_t root) {
    if (wrong) return;
    each_leaf_in(view, vm, root, span, [&](const LeafRecord& record) {
      if (record.maps() && is_wrong(record))
        wrong = Violation{.subject = record.gfn.value, .other = root};
      return !wrong.has_value();
    });
  });
  return wrong;
}

/// The hole that came to its end in this step, begun in it or resumed; nobody else ran.
std::optional<FilePages> ended_punch(const View& view) {
  if (!view.ran_alone() || !view.outcome().ok()) return std::nullopt;
  const Op* const op = view.ran_op(acting(view));
  return op == nullptr ? std::nullopt : hole_of(*op);
}

/// A page of the slot's file behind a leaf is gone, or has failed.
bool has_lost_its_page(const View& view, const LeafRecord& r) {
  return !r.slot->gmem.is_gmem() || !maps_its_file(view, r);
}

/// docs/findings.md 5: the shared half of a TD maps pages of a mappable file, and what the file
/// says of pages that go is about the private half only. From there on the guest has a freed frame.
std::optional<Violation> td_keeps_file_page(const View& view, VmIndex vm) {
  std::optional<Violation> wrong{};
  for (const SlotView& slot : view.slots(vm)) {
    if (!slot.gmem_only) continue;
    wrong = first_leaf_in(view, vm, slot.address_space, span_of(slot), [&](const LeafRecord& r) {
      return !view.root(vm, r.root).mirror && has_lost_its_page(view, r);
    });
    if (wrong) wrong->known_upstream = wrong->spoils_the_rest = true;
    if (wrong) return wrong;
  }
  return std::nullopt;
}

}  // namespace

namespace check {

Result deleted_slot_has_no_leaf(const View& view) {
  // Where nobody could map anything meanwhile, what lies where a slot is again is left over, too.
  const bool alone = began_and_finished<SetMemoryRegion>(view) != nullptr && view.ran_alone();
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    const VmIndex vm{i};
    if ((view.changed_vms() >> i & 1) == 0 || !view.vm(vm).exists) continue;
    Result wrong{};
    each_gone_slot(view, vm, [&](const SlotView& old) {
      if (wrong) return;
      wrong = first_leaf_in(view, vm, old.address_space, span_of(old),
                            [&](const LeafRecord& r) { return alone || r.slot == nullptr; });
    });
    if (wrong) return wrong;
  }
  return std::nullopt;
}

Result delete_spares_others(const View& view) {
  const auto* const op = finished<SetMemoryRegion>(view);
  if (op == nullptr || !view.ran_alone()) return std::nullopt;
  const bool zaps_all = may_zap_all(view, *op);
  for (const LeafChange& change : view.leaf_changes()) {
    if (!change.before.present || change.now == change.before) continue;
    if (zaps_all && change.vm == op->vm) continue;
    const std::uint8_t address_space = view.root(change.vm, change.root).address_space;
    bool of_gone_slot = false;
    const std::uint64_t frames = frames_in(change.before.level);
    const GfnSpan leaf{change.gfn, change.gfn + PageCount{frames}};
    each_gone_slot(view, change.vm, [&](const SlotView& old) {
      of_gone_slot |= old.address_space == address_space && span_of(old).overlaps(leaf);
    });
    const bool is_own = change.vm == op->vm && is_of_own_slot(view, *op, address_space, leaf);
    if (!of_gone_slot && !is_own) return Violation{.subject = change.gfn.value};
  }
  return std::nullopt;
}

Result hole_has_no_leaf(const View& view) {
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    const bool is_td = view.vm({i}).exists && view.vm({i}).type == VmType::kTdx;
    if (!is_td || view.gmem_page_changes().empty()) continue;
    if (auto kept = td_keeps_file_page(view, {i}); kept) return kept;
  }
  const auto hole = ended_punch(view);
  if (!hole) return std::nullopt;
  const VmIndex vm = view.gmem(hole->gmem).vm;
  for (const SlotView& slot : view.slots(vm)) {
    if (slot.gmem.value != hole->gmem.value) continue;
    const std::uint64_t slot_end = slot.gmem_page_offset + slot.page_count.value;
    const std::uint64_t from = std::max(hole->first, slot.gmem_page_offset);
    const std::uint64_t to = std::min(hole->end, slot_end);
    if (from >= to) continue;
    const Gfn base = slot.base - PageCount{slot.gmem_page_offset};
    const GfnSpan span{base + PageCount{from}, base + PageCount{to}};
    // While the punch was parked a fault beside the hole may have mapped a huge page of user space
    // over it: none of the file's pages. So may the shared half of a TD, which a hole leaves alone
    // (kvm.md 1.3, filter).
    const bool was_parked = is_one_of<Resume>(view.step().op);
    // Where private memory is user space's, a file is behind no leaf.
    const bool spares_shared = view.vm(vm).type == VmType::kTdx || is_pinned_backing(view);
    const auto counts = [&](const LeafRecord& record) {
      const bool may_stay = (record.is_huge() && was_parked) || spares_shared;
      return !may_stay || view.frame(record.leaf.pfn).use != FrameUse::kHostUser;
    };
    if (auto wrong = first_leaf_in(view, vm, slot.address_space, span, counts); wrong) return wrong;
  }
  return std::nullopt;
}

}  // namespace check
}  // namespace sluice::oracle
