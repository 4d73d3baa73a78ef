#include "oracle/acceptance.h"

#include <algorithm>
#include <span>

#include "oracle/view_helpers.h"

namespace sluice::oracle {
namespace {

bool overlap(const GuestPages& one, const GuestPages& other) {
  return one.asid == other.asid && one.first < other.end() && other.first < one.end();
}

/// Is the frame no longer what it was: a page of the same file at the same place?
bool left_its_owner(const FrameChange& change) {
  return change.before.use != change.now.use || change.before.gmem != change.now.gmem ||
         change.before.index != change.now.index;
}

}  // namespace

GuestPages guest_pages_of(const RmpView& entry) {
  const bool large = entry.is_head && entry.page_size == PageSize::k2M;
  return {.asid = entry.asid,
          .first = {entry.gpa.value >> kPageShift},
          .count = large ? kFramesPer2M : 1};
}

bool GuestPageSet::overlaps(const GuestPages& pages) const {
  const std::span used(ranges_.data(), count_);
  return std::ranges::any_of(used, [&](const GuestPages& r) { return overlap(r, pages); });
}

bool GuestPageSet::add(const GuestPages& pages) {
  // A launch comes page by page: one that continues a range lengthens it.
  for (GuestPages& range : std::span(ranges_.data(), count_)) {
    if (range.asid != pages.asid) continue;
    if (pages.end() == range.first)
      range.first = pages.first;
    else if (range.end() != pages.first)
      continue;
    range.count += pages.count;
    return true;
  }
  if (count_ == kRoom) return false;
  ranges_[count_++] = pages;
  return true;
}

bool GuestPageSet::remove(const GuestPages& pages) {
  // From the back, so that what is put in place of a removed range has been looked at.
  for (std::size_t i = count_; i > 0; --i) {
    const GuestPages old = ranges_[i - 1];
    if (!overlap(old, pages)) continue;
    ranges_[i - 1] = ranges_[--count_];
    for (const auto& [first, end] : {std::pair{old.first, std::min(pages.first, old.end())},
                                     std::pair{std::max(pages.end(), old.first), old.end()}}) {
      if (!(first < end)) continue;
      if (count_ == kRoom) return false;
      ranges_[count_++] = {.asid = old.asid, .first = first, .count = (end - first).value};
    }
  }
  return true;
}

void AcceptanceBook::clear() {
  has_room_ = true, twice_ = 0;
  accepted_.clear();
  launched_.clear();
}

void AcceptanceBook::note(const View& view) {
  if (!has_room_ || (launched_.empty() && !ran_any_pvalidate(view) && !ran<LaunchUpdate>(view)))
    return;
  // What came first within a step, nobody can say: as if all had been accepted before anything
  // went.
  for (const FrameChange& change : view.frame_changes()) note_accepted(view, change);
  for (const FrameChange& change : view.frame_changes()) note_gone(view, change);
  note_belief(view);
}

void AcceptanceBook::note_belief(const View& view) {
  const auto* const op = finished<GuestConvert>(view);
  const bool accepts = op != nullptr && op->to_private && op->page_count.value > 0;
  const bool keeps_order = view.header().policy.guest == GuestPolicy::kEnlightened;
  if (!accepts || !keeps_order || !view.outcome().ok() || !view.ran_alone()) return;
  const Asid asid = view.vm(view.vm_of(acting_vcpu(view))).asid;
  const GuestPages all{.asid = asid, .first = op->gfn, .count = op->page_count.value};
  has_room_ = has_room_ && accepted_.remove(all) && accepted_.add(all);
}

void AcceptanceBook::note_accepted(const View& view, const FrameChange& change) {
  const RmpView& now = change.rmp_now;
  const bool was = change.rmp_before.validated && is_same_guest_page(change.rmp_before, now);
  if (was || !now.is_head || !is_guest_page(now)) return;
  const GuestPages pages = guest_pages_of(now);
  const bool known = accepted_.overlaps(pages);
  if (ran_pvalidate(view, now, true)) {
    if (known) give_up(now.asid);
    has_room_ = has_room_ && (known || accepted_.add(pages));
  } else if (ran<LaunchUpdate>(view)) {
    const bool twice = launched_.overlaps(pages);
    if (twice) give_up(now.asid);
    has_room_ = has_room_ && (twice || launched_.add(pages)) && (known || accepted_.add(pages));
  }
}

void AcceptanceBook::note_gone(const View& view, const FrameChange& change) {
  const RmpView& before = change.rmp_before;
  const RmpView& now = change.rmp_now;
  if (!before.validated) return;  // a page that its guest has made a VMSA goes as any other
  const bool is_there = now.assigned && is_same_guest_page(before, now);
  // bugs.md 63: freed, and still the guest's. H4 reports it where the host's own rows are judged;
  // that its address gets a second frame later follows from it.
  if (is_there && left_its_owner(change) && was_refused(view, change.pfn)) give_up(before.asid);
  if (!is_there || !now.validated || left_its_owner(change)) {
    // A launched page has an entry of 4 KiB.
    const GuestPages page{.asid = before.asid, .first = guest_pages_of(before).first, .count = 1};
    has_room_ = has_room_ && launched_.remove(page);
  }
  // A guest that keeps the order has taken its acceptance back before it asked the host to take the
  // page.
  const bool keeps_order = view.header().policy.guest == GuestPolicy::kEnlightened;
  const bool was_asked_for =
      !is_there && before.validated && keeps_order && ran<GuestConvert>(view);
  if (((is_there && !now.validated) || was_asked_for) && ran_pvalidate(view, before, false)) {
    has_room_ = has_room_ && accepted_.remove(guest_pages_of(before));
  }
}

}  // namespace sluice::oracle
