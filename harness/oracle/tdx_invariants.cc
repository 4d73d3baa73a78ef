// Invariants D1-D6: what a TD's secure EPT holds, how pages get there and leave (invariants.md M;
// tdx.md 3, 5, 6).
#include <algorithm>

#include "oracle/invariant_list.h"
#include "oracle/leaf_records.h"
#include "trace/kernel_behavior.h"

namespace sluice::oracle {
namespace {

using check::Result;
constexpr std::uint64_t kWalkLimit = 1 << 12;  // pages of a region that one check looks up at most
constexpr GfnSpan kAllGfns{.first = {0}, .end = {~std::uint64_t{0}}};

Violation wrong_at(Gfn gfn, Pfn pfn) { return {.subject = gfn.value, .other = pfn.value}; }

/// Calls visit(const SeptAt&) for the entries of all TDs until it says false.
template <class Visit>
void each_entry(const View& view, Visit&& visit) {
  for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) {
    if (!view.td({vm}).exists) continue;
    for (GfnSpan left = kAllGfns; const auto at = view.next_sept({vm}, left);) {
      if (!visit(*at)) return;
      left.first = at->gfn + PageCount{1};
    }
  }
}

/// D1 of one entry: nobody else has its frame.
Result judge_owner(const View& view, VmIndex vm, Gfn gfn, Pfn pfn) {
  const auto owner = view.sept_of(pfn);
  return owner && owner->vm == vm && owner->gfn == gfn ? Result{} : wrong_at(gfn, pfn);
}

/// Did a vCPU of this TD run an ACCEPT of the page in the step?
bool was_accepted(const View& view, VmIndex vm, Gfn gfn) {
  return any_vcpu_op<TdAccept>(view, [&](VcpuIndex vcpu, const TdAccept& accept) {
    return view.vm_of(vcpu) == vm && accept.gfn == gfn;
  });
}

/// The entry's page went, whether or not one has come in its place since.
bool is_removed(const SeptChange& change) {
  if (change.before.is_free()) return false;
  const bool was_accepted =
      change.before.state == SeptState::kMapped || change.before.state == SeptState::kBlocked;
  const bool is_pending =
      change.now.state == SeptState::kPending || change.now.state == SeptState::kPendingBlocked;
  return change.now.is_free() || change.now.pfn != change.before.pfn ||
         (was_accepted && is_pending);
}

/// The TD went in the step, with all that it had.
bool td_ended(const View& view, VmIndex vm) { return !view.td(vm).exists; }

/// What the step's events say of each entry that changed in it. Cost: linear, so that the removal
/// of many pages costs what one does, each.
class Removals {
 public:
  explicit Removals(const View& view) : changes_(view.sept_changes()) {
    if (!fits()) return;
    std::fill_n(seen_.begin(), changes_.size(), Seen{});
    std::array<std::uint32_t, kMaxVms> tracked{};  // position of the last TRACK, from 1
    std::array<std::uint32_t, kMaxVms> epoch{};
    std::array<bool, kMaxVms> runnable{};
    for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) runnable[vm] = view.td_before({vm}).finalized;
    std::uint32_t position = 0;
    for (const Event& e : view.events().events()) {
      ++position;
      if (e.kind == EventKind::kTdFinalized) runnable[e.vm] = true;
      if (e.kind == EventKind::kSeptTrack)
        tracked[e.vm] = position, epoch[e.vm] = static_cast<std::uint32_t>(e.a);
      if (e.kind != EventKind::kSeptBlock && e.kind != EventKind::kSeptRemove) continue;
      Seen* const seen = find({e.vm}, {e.a});
      if (seen == nullptr) continue;
      if (e.kind == EventKind::kSeptBlock) seen->blocked = position;
      if (e.kind != EventKind::kSeptRemove) continue;
      const bool first = !seen->again;
      seen->removed = seen->blocked != 0 && (first || seen->removed);
      seen->epoch = tracked[e.vm] > seen->blocked && (first || seen->epoch != 0) ? epoch[e.vm] : 0;
      seen->blocked = 0, seen->again = true;
      seen->idle = !runnable[e.vm];
    }
  }
  /// The events of more entries than a step can tell of were not read.
  bool fits() const { return changes_.size() <= seen_.size(); }
  struct Seen {
    std::uint32_t blocked = 0;  // position of the BLOCK, from 1
    std::uint32_t epoch = 0;    // of the TRACK between BLOCK and REMOVE; 0: there was none
    bool removed = false;       // by a REMOVE behind the BLOCK, each time
    bool again = false;         // a REMOVE was seen
    bool idle = false;          // the TD was not finalized yet, and nobody inside
  };
  const Seen& of(std::size_t change) const { return seen_[change]; }

 private:
  /// Changes are in the order of VM and GFN.
  Seen* find(VmIndex vm, Gfn gfn) {
    const auto key = [](const SeptChange& change) { return std::pair(change.vm, change.gfn); };
    const auto at = std::ranges::lower_bound(changes_, std::pair(vm, gfn), {}, key);
    if (at == changes_.end() || key(*at) != std::pair(vm, gfn)) return nullptr;
    return &seen_[static_cast<std::size_t>(at - changes_.begin())];
  }
  std::span<const SeptChange> changes_;
  std::array<Seen, EventLog::kCapacity> seen_;
};

/// D2 of one entry: BLOCK, TRACK and REMOVE came in this order, and no vCPU is inside from an epoch
/// before that TRACK.
Result judge_removal(const View& view, const SeptChange& change, const Removals::Seen& seen) {
  if (!seen.removed || (seen.epoch == 0 && !seen.idle))
    return wrong_at(change.gfn, change.before.pfn);
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    const std::uint32_t inside = view.td_epoch_of({i});
    if (view.vm_of({i}) == change.vm && inside != 0 && inside < seen.epoch)
      return wrong_at(change.gfn, change.before.pfn);
  }
  return std::nullopt;
}

/// The step's region if its call answered here and nobody else ran.
const TdxInitMemRegion* lone_region(const View& view) {
  const auto* const op = finished<TdxInitMemRegion>(view);
  return op != nullptr && view.ran_alone() && view.outcome().has_progress ? op : nullptr;
}

/// Who has pages of TDs is the file that they belong to, or user space where it has them mapped.
bool may_be_a_tds(const View& view, const FrameView& frame) {
  return frame.use == FrameUse::kGmem ||
         (frame.use == FrameUse::kHostUser && is_pinned_backing(view));
}

/// What the page of a region is to hold; nothing where the source is not there, or somebody has
/// written it in the step.
std::optional<std::uint64_t> source_of(const View& view, const TdxInitMemRegion& region, Gfn gfn) {
  const std::uint64_t index = (gfn - Gpa{region.gpa.value}.containing_frame()).value;
  const auto source = view.host_page((region.hva.value >> kPageShift) + index);
  if (region.hva.raw || !source) return std::nullopt;
  const auto wrote = [&](const FrameChange& change) { return change.pfn == *source; };
  if (std::ranges::any_of(view.frame_changes(), wrote)) return std::nullopt;
  return view.frame(*source).content;
}

/// D4 where several add pages: what was added in the step holds what one of the calls that ran
/// would add there.
Result first_of_no_source(const View& view) {
  if (!ran<TdxInitMemRegion>(view)) return std::nullopt;
  for (const SeptChange& change : view.sept_changes()) {
    const bool added = change.before.is_free() && change.now.state == SeptState::kMapped &&
                       !view.td_before(change.vm).finalized;
    if (!added) continue;
    bool is_known = true, fits = false;
    any_vcpu_op<TdxInitMemRegion>(view, [&](VcpuIndex vcpu, const TdxInitMemRegion& region) {
      const Gfn first = Gpa{region.gpa.value}.containing_frame();
      const bool asks = view.vm_of(vcpu) == change.vm && change.gfn >= first &&
                        (change.gfn - first).value < region.page_count.value;
      if (!asks) return false;
      const auto wanted = source_of(view, region, change.gfn);
      is_known = is_known && wanted.has_value();
      fits = fits || (wanted && *wanted == view.sept(change.vm, change.gfn).content);
      return false;
    });
    if (is_known && !fits) return wrong_at(change.gfn, change.now.pfn);
  }
  return std::nullopt;
}

/// D6 of one page: the leaf of the mirror and the entry say the same.
Result judge_agreement(const View& view, VmIndex vm, Gfn gfn, const LeafView& leaf) {
  const SeptView entry = view.sept(vm, gfn);
  const bool usable = entry.state == SeptState::kMapped || entry.state == SeptState::kPending;
  if (leaf.present ? usable && entry.pfn == leaf.pfn : entry.is_free()) return std::nullopt;
  // Up to 6.19 a page may be pre-mapped and not added, and is counted.
  const bool premapped =
      leaf.present && entry.is_free() && view.td(vm).premapped > 0 && !view.td(vm).finalized &&
      behavior::counts_premapped_pages(view.header().kernel, view.header().policy);
  return premapped ? Result{} : wrong_at(gfn, leaf.present ? leaf.pfn : entry.pfn);
}

/// The mirror roots of all VMs, looked up once.
class Mirrors {
 public:
  explicit Mirrors(const View& view) : view_(view) {
    for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) roots_[vm] = mirror_of(view, {vm});
  }
  std::uint32_t of(VmIndex vm) const { return roots_[vm.value]; }
  LeafView leaf(VmIndex vm, Gfn gfn) const {
    return of(vm) != View::kNoRoot ? view_.leaf(vm, of(vm), gfn) : LeafView{};
  }

 private:
  const View& view_;
  std::array<std::uint32_t, kMaxVms> roots_{};
};

}  // namespace

namespace check {

Result frame_has_one_entry(const View& view) {
  for (const SeptChange& change : view.sept_changes()) {
    if (change.now.is_free()) continue;
    if (auto wrong = judge_owner(view, change.vm, change.gfn, change.now.pfn); wrong) return wrong;
  }
  return std::nullopt;
}

Result removed_after_track(const View& view) {
  const auto changes = view.sept_changes();
  if (std::ranges::none_of(changes, is_removed)) return std::nullopt;
  const Removals removals(view);
  for (std::size_t i = 0; removals.fits() && i < changes.size(); ++i) {
    if (!is_removed(changes[i]) || td_ended(view, changes[i].vm)) continue;
    if (auto wrong = judge_removal(view, changes[i], removals.of(i)); wrong) return wrong;
  }
  return std::nullopt;
}

Result mapped_by_accept(const View& view) {
  for (const SeptChange& change : view.sept_changes()) {
    const bool comes =
        change.now.state == SeptState::kMapped &&
        (change.before.state != SeptState::kMapped || change.before.pfn != change.now.pfn);
    if (comes && view.td_before(change.vm).finalized && !was_accepted(view, change.vm, change.gfn))
      return wrong_at(change.gfn, change.now.pfn);
  }
  return std::nullopt;
}

Result added_from_its_source(const View& view) {
  if (auto wrong = first_of_no_source(view); wrong) return wrong;
  const auto* const op = lone_region(view);
  if (op == nullptr) return std::nullopt;
  const VmIndex vm = view.vm_of(acting_vcpu(view));
  const std::uint64_t done = (view.outcome().progress.gpa - op->gpa.value) >> kPageShift;
  const TdView before = view.td_before(vm), now = view.td(vm);
  const std::uint64_t added = now.pages_added - before.pages_added;
  const std::uint64_t measured = now.pages_measured - before.pages_measured;
  const bool measures = (op->flags.value & 1) != 0;
  // What it added before it was parked, the step does not tell.
  const bool whole = !is_one_of<Resume>(view.step().op);
  const bool adds_up = whole ? added == done : added <= done;
  if (!adds_up || (whole && measured != (measures ? done : 0)) || measured > added)
    return Violation{.subject = added, .other = measured};
  if (!was_undisturbed(view)) return std::nullopt;  // its source may have been written since
  const Gfn first = Gpa{op->gpa.value}.containing_frame();
  for (std::uint64_t i = 0; i < std::min(done, kWalkLimit) && !op->hva.raw; ++i) {
    const SeptView entry = view.sept(vm, first + PageCount{i});
    const auto source = view.host_page((op->hva.value >> kPageShift) + i);
    const bool same = source && entry.content == view.frame(*source).content;
    if (entry.state != SeptState::kMapped || !same)
      return wrong_at(first + PageCount{i}, entry.pfn);
  }
  return std::nullopt;
}

Result host_keeps_off(const View& view) {
  if (!view.has_td()) return std::nullopt;
  if (view.host().dead && !view.host_before().dead && view.header().scope == Scope::kHost &&
      view.sept_of(view.host().fatal_frame))
    return Violation{.subject = view.host().fatal_frame.value};
  for (const FrameChange& change : view.frame_changes()) {
    if (!may_be_a_tds(view, change.now) && view.sept_of(change.pfn))
      return Violation{.subject = change.pfn.value};
  }
  for (const SeptChange& change : view.sept_changes()) {
    if (!change.now.is_free() && !may_be_a_tds(view, view.frame(change.now.pfn)))
      return wrong_at(change.gfn, change.now.pfn);
  }
  for (const GmemPageChange& change : view.gmem_page_changes()) {
    const GmemPageView page = view.gmem_page(change.gmem, change.index);
    if (page.user_mapped && view.sept_of(page.pfn)) return Violation{.subject = page.pfn.value};
  }
  return std::nullopt;
}

Result mirror_agrees(const View& view) {
  if (!view.has_td() || !is_quiescent(view)) return std::nullopt;
  const Mirrors mirrors(view);
  for (const SeptChange& change : view.sept_changes()) {
    const LeafView leaf = mirrors.leaf(change.vm, change.gfn);
    if (auto wrong = judge_agreement(view, change.vm, change.gfn, leaf); wrong) return wrong;
  }
  for (const LeafChange& change : view.leaf_changes()) {
    if (mirrors.of(change.vm) != change.root) continue;
    if (auto wrong = judge_agreement(view, change.vm, change.gfn, change.now); wrong) return wrong;
  }
  return std::nullopt;
}

Result audit_entries(const View& view, AuditScratch&) {
  Result wrong{};
  if (!view.has_td()) return wrong;
  each_entry(view, [&](const SeptAt& at) {
    wrong = judge_owner(view, at.vm, at.gfn, at.entry.pfn);
    return !wrong;
  });
  return wrong;
}

Result audit_mirror(const View& view, AuditScratch&) {
  Result wrong{};
  if (!view.has_td() || !is_quiescent(view)) return wrong;
  const Mirrors mirrors(view);
  each_entry(view, [&](const SeptAt& at) {
    wrong = judge_agreement(view, at.vm, at.gfn, mirrors.leaf(at.vm, at.gfn));
    return !wrong;
  });
  for (std::uint8_t vm = 0; vm < kMaxVms && !wrong; ++vm) {
    if (mirrors.of({vm}) == View::kNoRoot) continue;
    each_leaf_in(view, {vm}, mirrors.of({vm}), kAllGfns, [&](const LeafRecord& record) {
      wrong = judge_agreement(view, record.vm, record.gfn, record.leaf);
      return !wrong;
    });
  }
  return wrong;
}

}  // namespace check
}  // namespace sluice::oracle
