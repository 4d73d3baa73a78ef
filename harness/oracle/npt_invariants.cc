// Invariants N1-N6, N9-N14, N16: what nested page tables may hold (invariants.md C; kvm.md 5-7).
// N7, N8 and N15, what must be gone, are in npt_zap_invariants.cc.
#include "oracle/contents.h"
#include "oracle/invariant_list.h"
#include "oracle/leaf_records.h"

namespace sluice::oracle {

bool maps_its_file(const View& view, const LeafRecord& r) {
  const GfnSpan span = r.span(), slot = span_of(*r.slot);
  const Gfn first = std::max(span.first, slot.first), end = std::min(span.end, slot.end);
  const Pfn pfn_of_first{r.leaf.pfn.value - (r.gfn.value - first.value)};
  const std::uint64_t index_of_first = r.slot->gmem_page_offset + (first - r.slot->base).value;
  const std::uint64_t count = (end - first).value;
  for (std::uint64_t i = 0; i < count;) {
    const std::uint64_t index = index_of_first + i;
    const GmemPageView page = view.gmem_page({r.slot->gmem.value}, index);
    if (!page.present || page.poisoned || page.pfn != pfn_of_first + PageCount{i}) return false;
    i += page.folio_pages - index % page.folio_pages;
  }
  return true;
}

void collect_leaves(const View& view, std::vector<LeafRecord>& leaves) {
  leaves.clear();
  for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) {
    if (!view.vm({vm}).exists) continue;
    for (std::uint32_t root = 0; root < View::kMaxRoots; ++root) {
      if (!view.root({vm}, root).used) continue;
      each_leaf_in(view, {vm}, root, {{0}, {~std::uint64_t{0}}}, [&](const LeafRecord& record) {
        leaves.push_back(record);
        return true;
      });
    }
  }
}

namespace {

using check::Result;
constexpr std::uint64_t kMaxValidRoots = 6;  // kvm.md 7

Violation wrong_at(const LeafRecord& r) {
  return {.subject = r.gfn.value, .other = r.leaf.pfn.value};
}

/// N1.
Result judge_kind(const View& view, const LeafRecord& r) {
  if (!r.maps() || r.slot == nullptr) return std::nullopt;
  const bool from_file = view.frame(r.leaf.pfn).use == FrameUse::kGmem;
  const bool is_private = view.is_private(r.vm, r.gfn);
  const bool should_be = r.slot->gmem_only || (is_private && !is_pinned_backing(view));
  const bool right_half =
      view.vm(r.vm).type != VmType::kTdx || view.root(r.vm, r.root).mirror == is_private;
  return from_file == should_be && right_half ? Result{} : wrong_at(r);
}

/// A vCPU that has entered its guest in this step keeps a root that is no longer valid.
bool keeps_obsolete_root(const View& view) {
  if (finished<GuestAccess>(view) == nullptr || !view.ran_alone() || !view.outcome().ok())
    return false;
  const VcpuIndex vcpu = acting_vcpu(view);
  const VmIndex vm = view.vm_of(vcpu);
  const std::uint32_t previous = view.previous_root(vcpu);
  return previous != View::kNoRoot && !view.root(vm, previous).valid;
}

/// N2.
Result judge_agreement(const View& view, const LeafRecord& r) {
  if (!r.maps() || view.vm(r.vm).root_count < 2) return std::nullopt;
  bool agree = true;
  each_root(view, r.vm, r.address_space, [&](std::uint32_t other) {
    if (other == r.root || !view.root(r.vm, other).valid) return;
    const LeafView leaf = view.leaf(r.vm, other, r.gfn);
    agree = agree && (!leaf.present || leaf.pfn == r.leaf.pfn);
  });
  return agree ? Result{} : wrong_at(r);
}

/// N3.
Result judge_uniform(const View& view, const LeafRecord& r) {
  if (!r.is_huge()) return std::nullopt;
  const GfnSpan block = r.span();
  const GfnSpan run = view.next_private(r.vm, block);
  const bool uniform = run.empty() || (run.first == block.first && run.end == block.end);
  return uniform ? Result{} : wrong_at(r);
}

/// N4.
Result judge_fit(const View&, const LeafRecord& r) {
  if (!r.is_huge() || r.slot == nullptr) return std::nullopt;
  const GfnSpan block = r.span(), slot = span_of(*r.slot);
  const bool inside = block.first >= slot.first && block.end <= slot.end;
  const bool congruent = ((r.gfn.value ^ r.leaf.pfn.value) & (frames_in(r.leaf.level) - 1)) == 0;
  return inside && congruent ? Result{} : wrong_at(r);
}

/// The same of user space's pages. An address that a sequence names as it is may lie in the host
/// region; where, nobody says. Cost: a look a page.
bool maps_its_region(const View& view, const LeafRecord& r) {
  const GfnSpan span = r.span(), slot = span_of(*r.slot);
  const Gfn first = std::max(span.first, slot.first), end = std::min(span.end, slot.end);
  const std::uint64_t page_of_base = r.slot->hva.value >> kPageShift;
  for (Gfn gfn = first; gfn < end; gfn = gfn + PageCount{1}) {
    const FrameView frame = view.frame({r.leaf.pfn.value + (gfn.value - r.gfn.value)});
    if (frame.use != FrameUse::kHostUser) return false;
    if (!r.slot->hva.raw && frame.index != page_of_base + (gfn - r.slot->base).value) return false;
  }
  return true;
}

/// N5.
Result judge_frame(const View& view, const LeafRecord& r) {
  if (!r.maps() || r.slot == nullptr) return std::nullopt;
  const bool is_private = view.is_private(r.vm, r.gfn) && !is_pinned_backing(view);
  if (r.slot->gmem_only || is_private) {
    return r.slot->gmem.is_gmem() && maps_its_file(view, r) ? Result{} : wrong_at(r);
  }
  return maps_its_region(view, r) ? Result{} : wrong_at(r);
}

/// N5 of what is left where user space has unmapped, or has another page: the notifier zaps it in
/// every root (bugs.md 17).
Result judge_unmapped(const View& view) {
  Result wrong{};
  for (const FrameChange& change : view.frame_changes()) {
    const FrameView &before = change.before, &now = change.now;
    const bool left =
        before.use == FrameUse::kHostUser && (now.use != before.use || now.index != before.index);
    for (std::uint8_t vm = 0; left && vm < kMaxVms; ++vm) {
      for (const SlotView& slot : view.slots({vm})) {
        const std::uint64_t page = before.index - (slot.hva.value >> kPageShift);
        if (slot.hva.raw || slot.gmem_only || page >= slot.page_count.value) continue;
        each_root(view, {vm}, slot.address_space, [&](std::uint32_t root) {
          const LeafRecord r{.vm = {vm},
                             .root = root,
                             .address_space = slot.address_space,
                             .gfn = slot.base + PageCount{page},
                             .leaf = view.leaf({vm}, root, slot.base + PageCount{page}),
                             .slot = &slot};
          if (!wrong && r.maps() && r.leaf.pfn == change.pfn) wrong = judge_frame(view, r);
        });
        if (wrong) return wrong;
      }
    }
  }
  return wrong;
}

/// N6. A conversion leaves MMIO entries alone, since it looks at slots only (Linux
/// kvm_pre_set_memory_attributes()), so that their kind counts when they are written.
Result judge_slot(const View& view, const LeafRecord& r) {
  if (r.slot != nullptr && r.slot->id == kApicAccessSlot) [[unlikely]] {
    // L1's APIC-access page is no slot of L2, and nobody's while AVIC and APICv are inhibited.
    const bool of_l2 = view.root(r.vm, r.root).guest_mode;
    const bool may_map = !of_l2 && view.vm(r.vm).apicv_active;
    const bool right = r.maps() ? may_map : !r.leaf.mmio || of_l2;
    return right ? Result{} : wrong_at(r);
  }
  const bool wrong = r.maps() ? r.slot == nullptr : r.leaf.mmio && r.slot != nullptr;
  return wrong ? wrong_at(r) : Result{};
}

constexpr std::uint32_t kLogDirty = 1, kReadonly = 2;  // kvm.md 0, memslot flags
bool logs(const SlotView& slot) { return (slot.flags & kLogDirty) != 0; }

/// N12. KVM splits what a slot maps when it begins to log, and asks a fault ever after; of a
/// read-only slot only the faults are asked.
Result judge_logged(const View&, const LeafRecord& r) {
  const bool wrong = r.is_huge() && r.slot != nullptr && logs(*r.slot);
  return wrong && (r.slot->flags & kReadonly) == 0 ? wrong_at(r) : Result{};
}

Result judge_logged_install(const View&, const LeafRecord& r) {
  const bool wrong = r.is_huge() && r.slot != nullptr && logs(*r.slot);
  return wrong ? wrong_at(r) : Result{};
}

/// The leaves of the slots that log.
Result judge_logging_slots(const View& view) {
  Result wrong{};
  for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) {
    for (const SlotView& slot : view.slots({vm})) {
      if (!logs(slot)) continue;
      each_root(view, {vm}, slot.address_space, [&](std::uint32_t root) {
        if (wrong) return;
        each_leaf_in(view, {vm}, root, span_of(slot), [&](const LeafRecord& record) {
          wrong = judge_logged(view, record);
          return !wrong.has_value();
        });
      });
    }
  }
  return wrong;
}

bool is_snp_private(const View& view, const LeafRecord& r) {
  return r.maps() && view.vm(r.vm).type == VmType::kSnp && view.is_private(r.vm, r.gfn);
}

/// N10.
Result judge_level(const View& view, const LeafRecord& r) {
  if (!r.is_huge() || !is_snp_private(view, r)) return std::nullopt;
  const bool fits = frames_in(r.leaf.level) <= frames_in(view.rmp(r.leaf.pfn).page_size);
  return fits ? Result{} : wrong_at(r);
}

/// N11.
Result judge_owner(const View& view, const LeafRecord& r) {
  if (!is_snp_private(view, r)) return std::nullopt;
  const RmpView entry = view.rmp(r.leaf.pfn);
  const bool own = entry.assigned && entry.asid == view.vm(r.vm).asid;
  return own && entry.gpa == address_of(r.gfn) ? Result{} : wrong_at(r);
}

/// N11 as the file's bindings know it: a page that has been at two GFNs is one of them's only.
Result judge_owner(const View& view, const BindingBook& bindings, const LeafRecord& r) {
  const Result wrong = judge_owner(view, r);
  const bool of_file = r.slot != nullptr && r.slot->gmem.is_gmem();
  return wrong && of_file && !bindings.is_at_one_gfn(*r.slot, r.gfn) ? std::nullopt : wrong;
}

using JudgeLeaf = Result (*)(const View&, const LeafRecord&);

template <JudgeLeaf kJudge>
Result installed(const View& view) {
  return each_installed(view, [&view](const LeafRecord& r) { return kJudge(view, r); });
}
template <JudgeLeaf kJudge>
Result installed_at_rest(const View& view) {
  return is_quiescent(view) ? installed<kJudge>(view) : std::nullopt;
}
/// Every leaf there is, by `judge` of it.
template <typename Judge>
Result each_at_rest(const View& view, AuditScratch& scratch, Judge judge) {
  if (!is_quiescent(view)) return std::nullopt;
  if (!scratch.has_leaves) collect_leaves(view, scratch.leaves);
  scratch.has_leaves = true;
  for (const LeafRecord& record : scratch.leaves) {
    if (auto wrong = judge(record); wrong.has_value()) return wrong;
  }
  return std::nullopt;
}
template <JudgeLeaf kJudge>
Result all_at_rest(const View& view, AuditScratch& scratch) {
  return each_at_rest(view, scratch, [&view](const LeafRecord& r) { return kJudge(view, r); });
}

/// N10 of the leaves that are left where an RMP entry of 2 MiB has become small.
Result judge_shrunk(const View& view) {
  for (const FrameChange& change : view.frame_changes()) {
    const RmpView& before = change.rmp_before;
    const bool shrank = change.rmp_changed && before.assigned && before.is_head &&
                        before.page_size == PageSize::k2M &&
                        change.rmp_now.page_size == PageSize::k4K;
    if (!shrank) continue;
    const Gfn gfn = before.gpa.containing_frame();
    for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) {
      if (!view.vm({vm}).exists || view.vm({vm}).asid != before.asid) continue;
      for (std::uint32_t root = 0; root < View::kMaxRoots; ++root) {
        if (!view.root({vm}, root).used) continue;
        const LeafRecord r{.vm = {vm},
                           .root = root,
                           .address_space = view.root({vm}, root).address_space,
                           .gfn = gfn,
                           .leaf = view.leaf({vm}, root, gfn),
                           .slot = nullptr};
        if (r.leaf.pfn != change.pfn) continue;
        if (auto wrong = judge_level(view, r); wrong) return wrong;
      }
    }
  }
  return std::nullopt;
}

/// N11 of the leaves that are left where a guest's page was taken back, or given to another.
Result judge_taken(const View& view) {
  if (!is_quiescent(view)) return std::nullopt;
  for (const FrameChange& change : view.frame_changes()) {
    const RmpView &before = change.rmp_before, &now = change.rmp_now;
    const bool was_guests =
        change.rmp_changed && before.assigned && before.asid.value != 0 && !before.vmsa;
    if (!was_guests || (now.assigned && now.asid == before.asid && now.gpa == before.gpa)) continue;
    const std::uint64_t frames = before.is_head ? frames_in(before.page_size) : 1;
    const Gfn gfn = before.gpa.containing_frame();
    for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) {
      if (!view.vm({vm}).exists || view.vm({vm}).asid != before.asid) continue;
      Result wrong{};
      each_root(view, {vm}, 0, [&](std::uint32_t root) {
        if (wrong) return;
        each_leaf_in(view, {vm}, root, {gfn, gfn + PageCount{frames}}, [&](const LeafRecord& r) {
          if (r.leaf.pfn.value - change.pfn.value < frames) wrong = judge_owner(view, r);
          return !wrong.has_value();
        });
      });
      if (wrong) return wrong;
    }
  }
  return std::nullopt;
}

/// Judges the leaves that are left where attributes changed.
template <JudgeLeaf kJudge>
Result converted(const View& view) {
  Result wrong{};
  for (const AttributeChange& change : view.attribute_changes()) {
    const GfnSpan span{change.first, change.first + change.count};
    each_root(view, change.vm, 0, [&](std::uint32_t root) {
      if (wrong) return;
      each_leaf_in(view, change.vm, root, span, [&](const LeafRecord& record) {
        wrong = kJudge(view, record);
        return !wrong.has_value();
      });
    });
    if (wrong) return wrong;
  }
  return std::nullopt;
}

/// A shared page was looked for in this step from its beginning, and nothing else happened.
bool one_fault_alone(const View& view) {
  return view.ran_alone() && !conversion_ran(view) && !is_one_of<Resume>(view.step().op);
}

}  // namespace

namespace check {

Result kind_is_attribute(const View& view) {
  if (!is_quiescent(view)) return std::nullopt;
  if (auto wrong = installed<judge_kind>(view); wrong) return wrong;
  return converted<judge_kind>(view);
}
Result roots_agree(const View& view) { return installed_at_rest<judge_agreement>(view); }
Result huge_leaf_is_uniform(const View& view) {
  if (auto wrong = installed<judge_uniform>(view); wrong) return wrong;
  return converted<judge_uniform>(view);
}
Result huge_leaf_fits(const View& view) { return installed<judge_fit>(view); }
Result leaf_follows_slot(const View& view) {
  if (auto wrong = installed_at_rest<judge_frame>(view)) return wrong;
  return is_quiescent(view) ? judge_unmapped(view) : std::nullopt;
}
Result leaf_has_a_slot(const View& view) {
  if (!is_quiescent(view)) return std::nullopt;
  const bool shared_only = one_fault_alone(view);
  return each_installed(view, [&](const LeafRecord& r) {
    const bool of_private = shared_only && r.leaf.mmio && view.is_private(r.vm, r.gfn);
    return of_private ? wrong_at(r) : judge_slot(view, r);
  });
}
Result frame_changes_through_zap(const View& view) {
  for (const LeafChange& change : view.leaf_changes()) {
    const LeafView& now = change.now;
    if (change.before.present && now.present && now.pfn != change.before.pfn &&
        !was_zapped(view, change))
      return Violation{.subject = change.gfn.value, .other = now.pfn.value};
  }
  return std::nullopt;
}
Result level_within_rmp(const View& view) {
  if (auto wrong = installed_at_rest<judge_level>(view); wrong) return wrong;
  return is_quiescent(view) ? judge_shrunk(view) : std::nullopt;
}
Result private_leaf_is_assigned(const View& view, const ContentBooks& books) {
  if (auto wrong = judge_taken(view)) return wrong;
  return each_installed(view,
                        [&](const LeafRecord& r) { return judge_owner(view, books.bindings, r); });
}

/// Between its new flags and the split of what it maps a slot may hold huge leaves.
Result logged_leaf_is_small(const View& view) {
  if (!is_quiescent(view)) return std::nullopt;
  return ran<SetMemoryRegion>(view) ? judge_logging_slots(view)
                                    : installed<judge_logged_install>(view);
}

Result one_address_space(const View& view) {
  for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) {
    if (!has_private_memory(view.vm({vm}).type)) continue;
    for (const SlotView& slot : view.slots({vm})) {
      if (slot.address_space != 0) return Violation{.subject = vm, .other = slot.id};
    }
    for (std::uint32_t root = 0; root < View::kMaxRoots; ++root) {
      const RootView seen = view.root({vm}, root);
      if (seen.used && seen.address_space != 0) return Violation{.subject = vm, .other = root};
    }
  }
  return std::nullopt;
}

Result root_count(const View& view) {
  const auto changes = view.leaf_changes();
  if (changes.empty()) return std::nullopt;
  const VmIndex vm = changes.front().vm;  // a step maps for one VM; the audit looks at all
  const std::uint32_t count = view.vm(vm).root_count;
  const bool wrong = count > kMaxValidRoots || keeps_obsolete_root(view);
  return wrong ? Violation{.subject = vm.value, .other = count} : Result{};
}

Result prefetch_is_not_accessed(const View& view) {
  if (view.ran_ops() != kOpBit<PreFaultMemory>) return std::nullopt;
  const auto had_it = [&view](const LeafChange& child) {
    // Pieces of a huge leaf keep the bits that it had.
    return std::ranges::any_of(view.leaf_changes(), [&child](const LeafChange& change) {
      const std::uint64_t frames = frames_in(change.before.level);
      return change.before.present && change.before.accessed && change.vm == child.vm &&
             change.root == child.root &&
             change.gfn.align_down(frames) == child.gfn.align_down(frames);
    });
  };
  for (const LeafChange& change : view.leaf_changes()) {
    if (change.now.present && change.now.accessed && !had_it(change))
      return Violation{.subject = change.gfn.value};
  }
  return std::nullopt;
}

Result audit_root_count(const View& view, AuditScratch&) {
  for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) {
    const std::uint32_t count = view.vm({vm}).root_count;
    if (count > kMaxValidRoots) return Violation{.subject = vm, .other = count};
  }
  return std::nullopt;
}
Result audit_kind(const View& view, AuditScratch& s) { return all_at_rest<judge_kind>(view, s); }
Result audit_agreement(const View& view, AuditScratch& s) {
  return all_at_rest<judge_agreement>(view, s);
}
Result audit_uniform(const View& view, AuditScratch& s) {
  return all_at_rest<judge_uniform>(view, s);
}
Result audit_fit(const View& view, AuditScratch& s) { return all_at_rest<judge_fit>(view, s); }
Result audit_frame(const View& view, AuditScratch& s) { return all_at_rest<judge_frame>(view, s); }
Result audit_slot(const View& view, AuditScratch& s) { return all_at_rest<judge_slot>(view, s); }
Result audit_level(const View& view, AuditScratch& s) { return all_at_rest<judge_level>(view, s); }
Result audit_owner(const View& view, AuditScratch& s) {
  return each_at_rest(view, s,
                      [&](const LeafRecord& r) { return judge_owner(view, *s.bindings, r); });
}
Result audit_logged(const View& view, AuditScratch& s) {
  return all_at_rest<judge_logged>(view, s);
}

}  // namespace check
}  // namespace sluice::oracle
