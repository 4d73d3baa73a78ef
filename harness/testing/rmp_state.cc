#include "testing/rmp_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace sluice::testing_rmp {
namespace {

constexpr PageCount kRegion{kFramesPer2M};

Pfn region_of(Pfn pfn) { return pfn.align_down(kFramesPer2M); }

// Source: rmp.md RU9. Gpa and the rest of such a slot need not be meaningful.
constexpr RmpEntry kSlotInsideLive2M{.assigned = true};

struct PageStateRow {
  PageState state;
  bool (*holds)(const RmpEntry&);
};

bool is_ours(const RmpEntry& e) { return e.assigned && e.asid == Asid{}; }  // AMD-SP, or reclaimed
bool is_guests(const RmpEntry& e) { return e.assigned && e.asid != Asid{}; }

// Source: rmp.md 3. The rows exclude each other; VMSA tells nothing about a guest's page.
constexpr PageStateRow kPageStateRows[] = {
    {PageState::kNone, [](const RmpEntry& e) { return e.validated && !is_guests(e); }},  // RU2
    {PageState::kHypervisor, [](const RmpEntry& e) { return !e.assigned && !e.immutable; }},
    {PageState::kHvFixed, [](const RmpEntry& e) { return !e.assigned && e.immutable; }},
    {PageState::kReclaim, [](const RmpEntry& e) { return is_ours(e) && !e.immutable && !e.vmsa; }},
    {PageState::kContext,
     [](const RmpEntry& e) { return is_ours(e) && e.immutable && e.vmsa && e.gpa == Gpa{}; }},
    {PageState::kMetadata,
     [](const RmpEntry& e) { return is_ours(e) && e.immutable && !e.vmsa && e.gpa != Gpa{}; }},
    {PageState::kFirmware,
     [](const RmpEntry& e) { return is_ours(e) && e.immutable && !e.vmsa && e.gpa == Gpa{}; }},
    {PageState::kPreGuest,
     [](const RmpEntry& e) { return is_guests(e) && e.immutable && !e.validated; }},
    {PageState::kPreSwap,
     [](const RmpEntry& e) { return is_guests(e) && e.immutable && e.validated; }},
    {PageState::kGuestInvalid,
     [](const RmpEntry& e) { return is_guests(e) && !e.immutable && !e.validated; }},
    {PageState::kGuestValid,
     [](const RmpEntry& e) { return is_guests(e) && !e.immutable && e.validated; }},
};

}  // namespace

std::string_view to_string(PageState state) {
  switch (state) {
    case PageState::kDefault:
      return "Default";
    case PageState::kHypervisor:
      return "Hypervisor";
    case PageState::kHvFixed:
      return "HV-Fixed";
    case PageState::kFirmware:
      return "Firmware";
    case PageState::kContext:
      return "Context";
    case PageState::kMetadata:
      return "Metadata";
    case PageState::kReclaim:
      return "Reclaim";
    case PageState::kPreGuest:
      return "Pre-Guest";
    case PageState::kPreSwap:
      return "Pre-Swap";
    case PageState::kGuestInvalid:
      return "Guest-Invalid";
    case PageState::kGuestValid:
      return "Guest-Valid";
    case PageState::kNone:
      return "none";
  }
  return "none";
}

std::string to_string(const RmpEntry& e) {
  return fmt::format(
      "assigned={:d} {} immutable={:d} gpa={:#x} asid={} vmsa={:d} validated={:d} "
      "masks={:#x},{:#x},{:#x},{:#x}",
      e.assigned, e.page_size == PageSize::k2M ? "2M" : "4K", e.immutable, e.gpa.value,
      e.asid.value, e.vmsa, e.validated, e.masks[0], e.masks[1], e.masks[2], e.masks[3]);
}

void PrintTo(PageState state, std::ostream* out) { *out << to_string(state); }
void PrintTo(const RmpEntry& entry, std::ostream* out) { *out << to_string(entry); }
void PrintTo(const RmpState& state, std::ostream* out) {
  *out << fmt::format("{} frames", state.covered_.value);
  for (const RmpState::Written& w : state.written_) {
    *out << fmt::format("\n  pfn {:#x}: {}", w.pfn.value, to_string(w.entry));
  }
  for (const Pfn pfn : state.in_use_) *out << fmt::format("\n  pfn {:#x} in use", pfn.value);
}

bool RmpState::covers(Pfn first, PageCount n) const {
  return n.value <= covered_.value && first.value <= covered_.value - n.value;
}

std::span<const RmpState::Written> RmpState::written(Pfn first, PageCount n) const {
  const auto begin = std::ranges::lower_bound(written_, first, {}, &Written::pfn);
  const auto end = std::ranges::lower_bound(written_, first + n, {}, &Written::pfn);
  return {begin, end};
}

bool RmpState::is_inside_live_2m(Pfn pfn) const {
  const Pfn head = region_of(pfn);
  if (pfn == head) return false;
  const auto at_head = written(head, PageCount{1});
  return !at_head.empty() && at_head[0].entry.page_size == PageSize::k2M;
}

RmpEntry RmpState::own_slot(Pfn pfn) const {
  if (is_inside_live_2m(pfn)) return kSlotInsideLive2M;
  const auto at_pfn = written(pfn, PageCount{1});
  return at_pfn.empty() ? RmpEntry{} : at_pfn[0].entry;
}

CoveringEntry RmpState::covering(Pfn pfn) const {
  const Pfn head = is_inside_live_2m(pfn) ? region_of(pfn) : pfn;
  return {head, own_slot(head)};
}

bool RmpState::any_in_use(Pfn first, PageCount n) const {
  return std::ranges::any_of(in_use_, [&](Pfn p) { return p >= first && p < first + n; });
}

bool RmpState::is_in_use(Pfn pfn) const { return any_in_use(pfn, PageCount{1}); }

PageState RmpState::page_state(Pfn pfn) const {
  if (!covers(pfn)) return PageState::kDefault;
  const RmpEntry entry = own_slot(pfn);
  for (const PageStateRow& row : kPageStateRows) {
    if (row.holds(entry)) return row.state;
  }
  return PageState::kNone;
}

RmpState RmpState::with_entry(Pfn pfn, const RmpEntry& entry) const {
  const bool is_2m = entry.page_size == PageSize::k2M;
  SLUICE_CHECK(covers(pfn));
  SLUICE_CHECK(!is_inside_live_2m(pfn));
  SLUICE_CHECK(!is_2m || (entry.assigned && pfn.is_aligned(kFramesPer2M)));
  SLUICE_CHECK(!is_2m || covers(pfn, kRegion));

  const PageCount replaced = is_2m ? kRegion : PageCount{1};
  RmpState after(covered_);
  after.in_use_ = in_use_;
  after.written_.reserve(written_.size() + 1);
  const auto before_pfn = [&](const Written& w) { return w.pfn < pfn; };
  const auto after_pfn = [&](const Written& w) { return w.pfn >= pfn + replaced; };
  std::ranges::copy_if(written_, std::back_inserter(after.written_), before_pfn);
  if (entry != RmpEntry{}) after.written_.push_back({pfn, entry});
  std::ranges::copy_if(written_, std::back_inserter(after.written_), after_pfn);
  return after;
}

RmpState RmpState::with_in_use(Pfn pfn, bool in_use) const {
  RmpState after = *this;
  std::erase(after.in_use_, pfn);
  if (in_use) after.in_use_.insert(std::ranges::lower_bound(after.in_use_, pfn), pfn);
  return after;
}

RmpState RmpState::with_smashed(Pfn head) const {
  const RmpEntry whole = own_slot(head);
  SLUICE_CHECK(whole.page_size == PageSize::k2M);
  RmpState after(covered_);
  after.in_use_ = in_use_;
  for (const Written& w : written_) {
    if (w.pfn != head) {
      after.written_.push_back(w);
      continue;
    }
    for (std::uint64_t i = 0; i < kFramesPer2M; ++i) {
      RmpEntry piece = whole;
      piece.page_size = PageSize::k4K;
      piece.gpa = Gpa{whole.gpa.value + i * kPageBytes};
      after.written_.push_back({head + PageCount{i}, piece});
    }
  }
  return after;
}

}  // namespace sluice::testing_rmp
