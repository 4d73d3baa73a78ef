#include "oracle/oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "oracle/view_helpers.h"

namespace sluice::oracle {

std::string describe(const Finding& finding) {
  const InvariantRow& row = kInvariants[finding.invariant];
  const char* const cls =
      finding.cls == FindingClass::kKnownUpstream ? "KNOWN-UPSTREAM" : "FINDING";
  return fmt::format("{} {} ({}): {} [subject {:#x}, other {:#x}] {}", cls, row.name, row.id,
                     row.statement, finding.violation.subject, finding.violation.other, row.source);
}

Oracle::Tables::Tables() {
  static_assert(kInvariantCount <= 64 * std::tuple_size_v<RowSet>, "a row is a bit of a RowSet");
  for (std::size_t row = 0; row < kInvariants.size(); ++row) {
    if (kInvariants[row].with_books == nullptr) after_step[row] = kInvariants[row].after_step;
    if (std::ranges::count(kInvariants[row].needs, ViewField::kEvents) != 0) insert(of_events, row);
    for (std::size_t bit = 0; bit < trigger::kCount; ++bit) {
      if ((kInvariants[row].triggers >> bit & 1) != 0) insert(of_trigger[bit], row);
    }
  }
}

const Oracle::Tables& Oracle::tables() {
  static const Tables kTables;
  return kTables;
}

Oracle::Oracle() {
  // More than sequences reach, so that an audit allocates nothing.
  scratch_.validated.reserve(std::size_t{1} << 16);
  scratch_.leaves.reserve(std::size_t{1} << 12);
}

void Oracle::begin(const View& view) {
  acceptance_.clear();
  mismatches_.clear();
  a_vm_died_ = false;
  was_at_rest_ = true;
  creates_aps_ = false;
  order_.clear();
  contents_.clear();
  spoiled_ = false;
  unconditional_ = {};
  std::array<bool, kViewFieldCount> seen{};
  for (std::size_t i = 0; i < kViewFieldCount; ++i) {
    const auto field = static_cast<ViewField>(i);
    seen[i] = field == ViewField::kOutcome || view.observes(field);
  }
  const bool host_scope = view.header().scope == Scope::kHost;
  for (std::size_t i = 0; i < kInvariants.size(); ++i) {
    in_scope_[i] = host_scope || !kInvariants[i].host_scope_only;
    observable_[i] = std::ranges::all_of(kInvariants[i].needs, [&seen](ViewField field) {
      return seen[static_cast<std::size_t>(field)];
    });
    const bool always = kInvariants[i].strength != Strength::kConditional;
    if (always && in_scope_[i] && observable_[i]) insert(unconditional_, i);
  }
}

namespace {

constexpr std::uint64_t kFileOps = kOpBit<CreateVm> | kOpBit<DestroyVm> | kOpBit<CreateVcpu> |
                                   kOpBit<CreateGuestMemfd> | kOpBit<CloseGuestMemfd> |
                                   kOpBit<SetMemoryRegion> | kOpBit<GmemAllocate> |
                                   kOpBit<GmemPunchHole> | kOpBit<HostUnmap> | kOpBit<HostDontneed>;

constexpr std::uint64_t kTdxOps = kOpBit<TdxInitVm> | kOpBit<TdxInitVcpu> |
                                  kOpBit<TdxInitMemRegion> | kOpBit<TdxFinalize> | kOpBit<TdAccept>;

constexpr std::uint64_t kPscOps =
    kOpBit<Psc> | kOpBit<GhcbWriteHeader> | kOpBit<GhcbWriteEntry> | kOpBit<GuestConvert>;

/// What the operations that ran may have to do with, whatever they changed.
std::uint32_t triggers_of_ops(std::uint64_t ran) {
  std::uint32_t active = 0;
  if ((ran & kOpBit<PreFaultMemory>) != 0) active |= trigger::kPreFault;
  if ((ran & kFileOps) != 0) active |= trigger::kFile;
  if ((ran & kOpBit<SetMemoryAttributes>) != 0) active |= trigger::kAttributes;
  if ((ran & kOpBit<SetMemoryRegion>) != 0) active |= trigger::kSlots;
  if ((ran & kOpBit<LaunchUpdate>) != 0) active |= trigger::kLaunch;
  if ((ran & kPscOps) != 0) active |= trigger::kPsc;
  if ((ran & kTdxOps) != 0) active |= trigger::kTd;
  return active;
}

}  // namespace

namespace {

/// A leaf has gone or lost a right, or an operation that took one may have come to its end, or a
/// vCPU has gone back to another root, while a processor has something cached.
bool may_owe_flush(const View& view) {
  const bool resumed = is_one_of<Resume>(view.step().op) || !view.ran_alone();
  const auto is_taken = [](const LeafChange& change) {
    return change.before.present &&
           (change.is_remapped() || (change.before.writable && !change.now.writable));
  };
  const bool switched = ran<EnterGuestMode, LeaveGuestMode>(view);
  return (resumed || switched || std::ranges::any_of(view.leaf_changes(), is_taken)) &&
         !view.translations().empty();
}

}  // namespace

/// What the step touched, as triggers.
std::uint32_t Oracle::touched(const View& view) const {
  std::uint32_t active = triggers_of_ops(view.ran_ops());
  const auto frames = view.frame_changes();
  if (!frames.empty()) active |= trigger::kFrames;
  if (std::ranges::any_of(frames, &FrameChange::rmp_changed)) active |= trigger::kRmp;
  if (!view.gmem_page_changes().empty()) active |= trigger::kGmemPages;
  if (!view.attribute_changes().empty()) active |= trigger::kAttributes;
  if (std::ranges::any_of(view.leaf_changes(), &LeafChange::is_remapped))
    active |= trigger::kLeaves;
  if (may_owe_flush(view)) active |= trigger::kFlush;
  if (view.has_td()) active |= trigger::kTd;
  if (view.changed_vms() != 0) active |= trigger::kVms;
  if (view.outcome().exit.reason == kExitMemoryFault) active |= trigger::kExits;
  if (view.outcome().check == Check::kGuestNotValidated) active |= trigger::kNotValidated;
  if (view.host() != view.host_before()) active |= trigger::kHost;
  if (a_vm_died_) active |= trigger::kDeadVm;
  if (creates_aps_) active |= trigger::kVmsa;
  if (view.outcome().ok() && ran<GuestAccess, HostAccess, GmemAccess>(view))
    active |= trigger::kAccess;
  if (view.outcome().check == Check::kFaultLoop) active |= trigger::kFaultLoop;
  constexpr std::array kInvalidates{EventKind::kInvalidateBegin, EventKind::kInvalidateSlots};
  if (std::ranges::any_of(kInvalidates, [&](EventKind kind) { return view.events().has(kind); }))
    active |= trigger::kInvalidation;
  const ProgressView& progress = view.progress();
  const bool waits = view.outcome().check == Check::kRunHalted;
  if (progress.deadlock || progress.livelock || waits) active |= trigger::kProgress;
  return active;
}

/// The condition of X8: the step's access is to a page that its guest has accepted in order.
bool Oracle::accessed_accepted_page(const View& view) const {
  const auto* const access = finished<GuestAccess>(view);
  if (access == nullptr) return false;
  const Asid asid = view.vm(view.vm_of(acting_vcpu(view))).asid;
  return acceptance_.holds(asid) && order_.holds(asid) &&
         acceptance_.is_accepted(asid, access->gfn);
}

bool Oracle::condition_holds(std::size_t row, const View& view) const {
  const InvariantRow& r = kInvariants[row];
  if (r.strength != Strength::kConditional) return true;
  if (r.audit == check::audit_validated_gpa_is_unique) return acceptance_.has_room();
  if (r.after_step == check::conversion_helps) return mismatches_.was_helped(view);
  if (r.after_step == check::accepted_page_takes_no_vc) return accessed_accepted_page(view);
  if (r.with_books == check::loss_is_loud || r.with_books == check::guest_reads_what_it_wrote)
    return acceptance_.holds(view.vm(view.vm_of(acting_vcpu(view))).asid) &&
           view.header().policy.guest == GuestPolicy::kEnlightened;
  return true;  // the row's function knows its condition
}

bool Oracle::applies(std::size_t row, const View& view) {
  if (!observable_[row]) {
    ++counts_[row].not_observable;
    return false;
  }
  if (!in_scope_[row] || spoiled_ || !condition_holds(row, view)) {
    ++counts_[row].not_applicable;
    return false;
  }
  return true;
}

RowCount Oracle::count(std::size_t row) const {
  RowCount count = counts_[row];
  count.judged += judged_after_step_.of(row);
  return count;
}

/// Always passes, for the proof that a planted test depends on the row.
bool Oracle::is_forced(std::size_t row) const {
#ifdef SLUICE_PLANTED
  return forced_ == row;
#else
  static_cast<void>(row);
  return false;
#endif
}

namespace {

/// What is known upstream hides nothing else, unless what it left hides what is wrong besides.
bool ends_judging(const Finding& finding) {
  return finding.cls == FindingClass::kFinding || finding.violation.spoils_the_rest;
}

}  // namespace

Finding Oracle::found(std::size_t row, const Violation& wrong) {
  if (wrong.spoils_the_rest) {
    spoiled_ = true;
    unconditional_ = {};
  }
  return Finding{
      .invariant = row,
      .cls = wrong.known_upstream ? FindingClass::kKnownUpstream : FindingClass::kFinding,
      .violation = wrong};
}

template <class Function>
std::optional<Finding> Oracle::judge(std::size_t row, const View& view, Function&& function) {
  if (!applies(row, view)) return std::nullopt;
  ++counts_[row].judged;
  if (is_forced(row)) return std::nullopt;
  const std::optional<Violation> wrong = function();
  return wrong.has_value() ? std::optional(found(row, *wrong)) : std::nullopt;
}

std::optional<Finding> Oracle::check(const View& view) {
  creates_aps_ |= ran<ApCreation>(view);
  const std::uint32_t active = touched(view);
  const bool had_accepted = acceptance_.anything_accepted();
  if ((active & trigger::kFrames) != 0) acceptance_.note(view);
  if ((active & (trigger::kFile | trigger::kGmemPages)) != 0) contents_.bindings.note(view);
  order_.note(view, had_accepted || acceptance_.anything_accepted());
  contents_.note(view, (active & trigger::kRmp) != 0);
  const Tables& known = tables();
  RowSet rows{};
  for (std::uint32_t left = active; left != 0; left &= left - 1) {
    const RowSet& more = known.of_trigger[static_cast<std::size_t>(std::countr_zero(left))];
    for (std::size_t word = 0; word < rows.size(); ++word) rows[word] |= more[word];
  }
  if (!view.events().is_complete()) set_aside(rows, known.of_events);
  auto finding = judge_rows(rows, view);
  note_for_later(view, active);
  // What rows leave out while somebody is inside an operation, no later step tells of.
  const bool comes_to_rest = !was_at_rest_ && is_quiescent(view);
  was_at_rest_ = is_quiescent(view);
  if (comes_to_rest && (!finding || !ends_judging(*finding))) {
    const auto more = audit_rows(view, false);
    if (more && (!finding || ends_judging(*more))) finding = more;
  }
  return finding;
}

/// Rows that the step gives too little to see for: not observable, and not judged.
void Oracle::set_aside(RowSet& rows, const RowSet& blind) {
  for (std::size_t row = 0; row < kInvariantCount; ++row) {
    if (contains(rows, row) && contains(blind, row)) ++counts_[row].not_observable;
  }
  for (std::size_t word = 0; word < rows.size(); ++word) rows[word] &= ~blind[word];
}

/// The first of these rows that does not hold. What is known upstream only stands back for a row
/// behind it that is not, unless it has spoiled the state: rows after the finding are not judged.
std::optional<Finding> Oracle::judge_rows(const RowSet& rows, const View& view) {
  const Tables& known = tables();
  RowSet judged{};
  std::optional<Finding> finding{};
  bool stop = false;
  for (std::size_t word = 0; word < rows.size() && !stop; ++word) {
    judged[word] = rows[word] & unconditional_[word];
    for (std::uint64_t left = rows[word] & ~unconditional_[word]; left != 0; left &= left - 1) {
      const std::uint64_t bit = left & -left;
      if (applies(64 * word + static_cast<std::size_t>(std::countr_zero(left)), view))
        judged[word] |= bit;
    }
    for (std::uint64_t left = judged[word]; left != 0; left &= left - 1) {
      const std::size_t row = 64 * word + static_cast<std::size_t>(std::countr_zero(left));
      if (is_forced(row)) continue;
      const CheckFn after_step = known.after_step[row];
      const auto wrong =
          after_step != nullptr ? after_step(view) : kInvariants[row].with_books(view, contents_);
      if (!wrong) [[likely]]
        continue;
      const Finding here = found(row, *wrong);
      stop = ends_judging(here);
      if (!finding || stop) finding = here;
      if (!stop) continue;
      judged[word] &= (left & -left) | ((left & -left) - 1);
      break;
    }
  }
  judged_after_step_.add(judged);
  return finding;
}

void Oracle::note_for_later(const View& view, std::uint32_t active) {
  mismatches_.note(view);
  if ((active & trigger::kVms) == 0) return;
  for (std::uint8_t i = 0; i < kMaxVms; ++i) a_vm_died_ |= view.vm({i}).dead;
}

std::optional<Finding> Oracle::audit_rows(const View& view, bool hard_ones) {
  std::array<AuditFn, kInvariants.size()> ran_already{};  // and found nothing
  std::size_t ran_count = 0;
  std::optional<Finding> known{};
  scratch_.has_leaves = false;
  scratch_.bindings = &contents_.bindings;
  scratch_.acceptance = &acceptance_;
  for (std::size_t row = 0; row < kInvariants.size(); ++row) {
    const AuditFn whole = kInvariants[row].audit;
    if (whole == nullptr || (!hard_ones && kInvariants[row].strength == Strength::kHard)) continue;
    const auto function = [&]() -> std::optional<Violation> {
      const auto end = ran_already.begin() + static_cast<std::ptrdiff_t>(ran_count);
      if (std::find(ran_already.begin(), end, whole) != end) return std::nullopt;
      const std::optional<Violation> wrong = whole(view, scratch_);
      ran_already[ran_count++] = whole;
      return wrong;
    };
    const auto finding = judge(row, view, function);
    if (finding && ends_judging(*finding)) return finding;
    if (!known) known = finding;
  }
  return known;
}

}  // namespace sluice::oracle
