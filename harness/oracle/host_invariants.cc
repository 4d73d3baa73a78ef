// Invariants H1-H8: the host's own mappings, user space's and the page allocator against the
// reverse map (invariants.md B; snp_host.md 1-3).
#include <algorithm>

#include "oracle/invariant_list.h"
#include "oracle/view_helpers.h"

namespace sluice::oracle {
namespace {

/// Which frames may lie where the direct map has a large page. Keeps the answer for the block that
/// it was asked for last: frames come in their order, and a block takes 512 look-ups.
class Placement {
 public:
  explicit Placement(const View& view) : view_(view) {}
  bool allows(Pfn pfn, const RmpView& entry) {
    if (!entry.assigned || view_.direct_map_level(pfn) == MapLevel::k4K) return true;
    return entry.page_size == PageSize::k2M || is_assigned(pfn.align_down(kFramesPer2M));
  }

 private:
  /// Is every frame of the 2 MiB block some guest's, or the AMD-SP's?
  bool is_assigned(Pfn head) {
    if (block_ == head) return assigned_;
    std::uint64_t i = 0;
    while (i < kFramesPer2M && view_.rmp(head + PageCount{i}).assigned) ++i;
    block_ = head, assigned_ = i == kFramesPer2M;
    return assigned_;
  }

  const View& view_;
  Pfn block_{~std::uint64_t{0}};  // at first the head of no block
  bool assigned_ = false;
};

/// The step has taken the frame from its guest.
bool was_taken_back(const View& view, Pfn pfn) {
  return std::ranges::any_of(view.frame_changes(), [pfn](const FrameChange& change) {
    return change.pfn == pfn && change.rmp_before.assigned && !change.rmp_now.assigned;
  });
}

/// Was it freed in the step although the host had been refused to take it back?
bool was_freed_while_assigned(const View& view, Pfn pfn) {
  return was_freed(view, pfn) && was_refused(view, pfn);
}

/// The frame's entry names a VM that there is.
bool is_of_a_vm(const View& view, Pfn pfn) {
  const Asid asid = view.rmp(pfn).asid;
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    if (view.vm({i}).exists && asid.value != 0 && view.vm({i}).asid == asid) return true;
  }
  return false;
}

/// A frame of nobody, or of user space alone: no guest's and not firmware's.
bool is_the_hosts(const View& view, Pfn pfn, const FrameView& frame) {
  const bool may_be_pinned = is_pinned_backing(view) && is_of_a_vm(view, pfn);
  return frame.use == FrameUse::kFree || (frame.use == FrameUse::kHostUser && !may_be_pinned);
}

/// The first frame of what the changed entry stands for that is assigned, and the host's own.
std::optional<Pfn> first_assigned_of_host(const View& view, const FrameChange& change) {
  const bool is_new =
      change.before.use != change.now.use || (change.rmp_changed && !change.rmp_before.assigned);
  if (!change.rmp_now.assigned || !is_new) return std::nullopt;
  const bool large = change.rmp_changed && change.rmp_now.is_head;
  const std::uint64_t frames = large ? frames_in(change.rmp_now.page_size) : 1;
  for (std::uint64_t i = 0; i < frames; ++i) {
    const Pfn pfn = change.pfn + PageCount{i};
    if (is_the_hosts(view, pfn, i == 0 ? change.now : view.frame(pfn))) return pfn;
  }
  return std::nullopt;
}

/// bugs.md 63: the hook that takes a page back before it is freed was refused, and nothing has
/// changed the entry since. What is immutable is AMD-SP's, and does not get into a file but by a
/// launch that leaks it.
bool was_refused_in_hook(const View& view, Pfn pfn) {
  const EventLog& log = view.events();
  if (log.lacks(EventKind::kArchInvalidate) || log.lacks(EventKind::kFrameFreed)) return true;
  if (view.rmp(pfn).immutable && !view.frame(pfn).leaked) return false;
  bool invalidated = false, refused = false;
  for (const Event& e : log.events()) {
    if (e.kind == EventKind::kArchInvalidate && e.a == pfn.value)
      invalidated = true, refused = false;
    if (e.kind == EventKind::kRmpUpdateRefused && covers(e, pfn)) refused = invalidated;
    if (e.kind == EventKind::kRmpUpdate && covers(e, pfn)) refused = false;
    if (e.kind == EventKind::kFrameFreed && e.a == pfn.value && refused) return true;
  }
  return false;
}

/// The first frame that is still assigned, since the host was refused to change it, and was freed
/// then. One that was freed before, or assigned anew since, may be another owner's by now. Where
/// the log lacks some: perhaps.
std::optional<Pfn> first_freed_though_refused(const View& view) {
  const EventLog& log = view.events();
  if (!log.has(EventKind::kFrameFreed) || !log.has(EventKind::kRmpUpdateRefused))
    return std::nullopt;
  const std::span<const Event> events = log.events();
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i].kind != EventKind::kRmpUpdateRefused) continue;
    for (Pfn pfn{events[i].a}; covers(events[i], pfn); pfn = pfn + PageCount{1}) {
      if (!view.rmp(pfn).assigned) continue;
      if (log.lacks(EventKind::kFrameFreed)) return pfn;
      const auto is_of = [pfn](EventKind kind) {
        return [pfn, kind](const Event& e) { return e.kind == kind && covers(e, pfn); };
      };
      const auto rest = events.subspan(i);
      const auto freed = std::ranges::find_if(rest, is_of(EventKind::kFrameFreed));
      const auto changed = std::find_if(freed, rest.end(), is_of(EventKind::kRmpUpdate));
      if (freed != rest.end() && changed == rest.end()) return pfn;
    }
  }
  return std::nullopt;
}

/// Is a change of the frame's RMP entry what happened to it last, with no flush behind it? From
/// `first` on. A page that the step itself has allocated was no guest's when the step began: a
/// launch that fails makes such a page private and shared again, and nobody has written to it.
bool is_shared_last(std::span<const Event> events, std::size_t first, Pfn pfn) {
  bool updated = false;
  for (std::size_t i = events.size(); i-- > 0 && (updated || i >= first);) {
    if (!covers(events[i], pfn)) continue;
    if (events[i].kind == EventKind::kFrameAllocated) return false;
    if (events[i].kind == EventKind::kRmpUpdate) updated = true;
    if (events[i].kind == EventKind::kCacheFlush && !updated) return false;
  }
  return updated;
}

/// A host that leaves its direct map alone does without H1, which is a means to H2.
bool splits_direct_map(const View& view) {
  const DirectMapPolicy policy = view.header().policy.direct_map;
  return policy != DirectMapPolicy::kLeave && policy != DirectMapPolicy::kLeaveKmap &&
         policy != DirectMapPolicy::kUnmapDebug;
}

}  // namespace

namespace check {

Result assigned_frame_is_split_out(const View& view) {
  if (!is_quiescent(view) || !splits_direct_map(view)) return std::nullopt;
  Placement placement(view);
  for (const FrameChange& change : view.frame_changes()) {
    if (!change.rmp_changed) continue;
    if (!placement.allows(change.pfn, change.rmp_now))
      return Violation{.subject = change.pfn.value};
  }
  return std::nullopt;
}

Result audit_assigned_frames_are_split_out(const View& view, AuditScratch&) {
  if (!is_quiescent(view) || !splits_direct_map(view)) return std::nullopt;
  Placement placement(view);
  for (const Pfn pfn : view.occupied_frames()) {
    if (!placement.allows(pfn, view.rmp(pfn))) return Violation{.subject = pfn.value};
  }
  return std::nullopt;
}

Result host_lives(const View& view) {
  if (!view.host().dead || view.host_before().dead) return std::nullopt;
  // docs/findings.md 2: a page that a launch has leaked stays in its file, where a fault zeroes it.
  // bugs.md 63: a page was freed while it is assigned, and its next user came in the same step.
  const Pfn pfn = view.host().fatal_frame;
  const FrameView frame = view.frame(pfn);
  const bool is_in_file = frame.leaked && frame.use == FrameUse::kGmem;
  const bool known = is_in_file || was_freed_while_assigned(view, pfn);
  return Violation{.subject = pfn.value, .known_upstream = known};
}

Result direct_map_never_merges(const View& view) {
  const std::uint64_t before = view.host_before().direct_map_splits;
  const std::uint64_t now = view.host().direct_map_splits;
  if (now < before) return Violation{.subject = before, .other = now};
  // Where an entry of 4 KiB was written or a block was split, the direct map has pages of 4 KiB
  // ever after (adjust_direct_map() row 5: also where a frame becomes shared).
  for (const FrameChange& change : view.frame_changes()) {
    const bool was_small =
        change.rmp_before.assigned && change.rmp_before.page_size == PageSize::k4K;
    if (change.rmp_changed && was_small && !change.rmp_now.assigned && splits_direct_map(view) &&
        view.direct_map_level(change.pfn) != MapLevel::k4K)
      return Violation{.subject = change.pfn.value};
  }
  for (const Event& event : view.events().events()) {
    if (event.kind == EventKind::kDirectMapSplit &&
        view.direct_map_level(Pfn{event.a}) != MapLevel::k4K)
      return Violation{.subject = event.a};
  }
  return std::nullopt;
}

/// bugs.md 63: sev_gmem_invalidate() warns that the page cannot become shared, and frees it. From
/// there on its next user dies of it, or the guest gets a second page for its address. Who takes
/// it within the step, or holds it beyond the step, hides it from the frame's own change.
Result freed_frame_is_shared(const View& view) {
  if (const auto pfn = first_freed_though_refused(view)) {
    // Not that defect: it is about an update that was refused, not about a split forgotten.
    const bool forgot = std::ranges::any_of(view.events().events(), [&](const Event& e) {
      return e.kind == EventKind::kRmpUpdateOverlap && covers(e, *pfn) &&
             overlaps_for_no_reason(view, e);
    });
    const bool known = !forgot && was_refused_in_hook(view, *pfn);
    return Violation{.subject = pfn->value, .known_upstream = known, .spoils_the_rest = known};
  }
  for (const FrameChange& change : view.frame_changes()) {
    if (const auto pfn = first_assigned_of_host(view, change))
      return Violation{.subject = pfn->value};
  }
  return std::nullopt;
}

Result audit_assigned_of_host(const View& view, AuditScratch&) {
  for (const Pfn pfn : view.occupied_frames()) {
    if (view.rmp(pfn).assigned && is_the_hosts(view, pfn, view.frame(pfn)))
      return Violation{.subject = pfn.value};
  }
  return std::nullopt;
}

Result leaked_after_refusal(const View& view) {
  std::uint64_t leaked = 0;
  for (const FrameChange& change : view.frame_changes()) {
    // Once leaked, never used again.
    const bool used_again = change.before.leaked && !change.now.leaked;
    const bool left_list =
        change.before.use == FrameUse::kLeaked && change.now.use != FrameUse::kLeaked;
    if (used_again || left_list) return Violation{.subject = change.pfn.value};
    if (!change.now.leaked || change.before.leaked) continue;
    ++leaked;
    if (!was_refused(view, change.pfn)) return Violation{.subject = change.pfn.value};
  }
  const std::uint64_t counted = view.host().leaked_pages - view.host_before().leaked_pages;
  return counted == leaked ? Result{} : Violation{.subject = leaked, .other = counted};
}

Result flushed_before_free(const View& view) {
  if (!view.events().has(EventKind::kFrameFreed) || !view.events().has(EventKind::kRmpUpdate))
    return std::nullopt;
  const auto events = view.events().events();
  const auto first_update = std::ranges::find(events, EventKind::kRmpUpdate, &Event::kind);
  const auto first = static_cast<std::size_t>(first_update - events.begin());
  for (std::size_t freed = first; freed < events.size(); ++freed) {
    if (events[freed].kind != EventKind::kFrameFreed) continue;
    const Pfn pfn{events[freed].a};
    if (is_shared_last(events.first(freed), first, pfn) && was_taken_back(view, pfn))
      return Violation{.subject = pfn.value};
  }
  return std::nullopt;
}

Result split_before_assignment(const View& view) {
  if (!view.events().has(EventKind::kDirectMapSplit)) return std::nullopt;
  const auto events = view.events().events();
  for (std::size_t split = 0; split < events.size(); ++split) {
    if (events[split].kind != EventKind::kDirectMapSplit) continue;
    for (const Event& event : events.first(split)) {
      if (event.kind == EventKind::kRmpUpdate && event.b == 1 &&
          event.a - events[split].a < kFramesPer2M)
        return Violation{.subject = event.a};
    }
  }
  return std::nullopt;
}

Result user_maps_shared_only(const View& view) {
  for (const GmemPageChange& change : view.gmem_page_changes()) {
    const GmemPageView page = view.gmem_page(change.gmem, change.index);
    if (page.user_mapped && view.rmp(page.pfn).assigned)
      return Violation{.subject = page.pfn.value, .other = change.index};
  }
  for (const FrameChange& change : view.frame_changes()) {
    const bool comes = change.rmp_changed && change.rmp_now.assigned;
    if (!comes || change.now.use != FrameUse::kGmem) continue;
    // The head of a large entry stands for all of it.
    const std::uint64_t frames = change.rmp_now.is_head ? frames_in(change.rmp_now.page_size) : 1;
    for (std::uint64_t i = 0; i < frames; ++i) {
      const GmemPageView page = view.gmem_page(change.now.gmem, change.now.index + i);
      if (page.user_mapped && page.pfn == change.pfn + PageCount{i})
        return Violation{.subject = page.pfn.value, .other = change.now.index + i};
    }
  }
  return std::nullopt;
}

}  // namespace check

}  // namespace sluice::oracle
