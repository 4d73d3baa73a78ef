#include "oracle/oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "oracle/view_helpers.h"

namespace sluice::oracle {
namespace {

/// What the step touched, as triggers.
std::uint32_t touched(const View& view) {
  std::uint32_t active = 0;
  if (!view.frame_changes().empty()) active |= trigger::kFrames;
  if (!view.gmem_page_changes().empty()) active |= trigger::kGmemPages;
  if (ran<PreFaultMemory>(view)) active |= trigger::kPreFault;
  if (ran<CreateVm, DestroyVm, CreateVcpu, CreateGuestMemfd, CloseGuestMemfd, SetMemoryRegion,
          GmemAllocate, GmemPunchHole>(view))
    active |= trigger::kFile;
  if (!view.attribute_changes().empty() || ran<SetMemoryAttributes>(view))
    active |= trigger::kAttributes;
  if (ran<SetMemoryRegion>(view)) active |= trigger::kSlots;
  const ProgressView progress = view.progress();
  if (progress.deadlock || progress.livelock) active |= trigger::kProgress;
  return active;
}

constexpr bool is_r8(const InvariantRow& row) {
  return row.audit == check::audit_validated_gpa_is_unique;
}

}  // namespace

std::string describe(const Finding& finding) {
  const InvariantRow& row = kInvariants[finding.invariant];
  const char* const cls =
      finding.cls == FindingClass::kKnownUpstream ? "KNOWN-UPSTREAM" : "FINDING";
  return fmt::format("{} {} ({}): {} [subject {:#x}, other {:#x}] {}", cls, row.name, row.id,
                     row.statement, finding.violation.subject, finding.violation.other, row.source);
}

Oracle::Oracle() {
  // More than sequences reach, so that an audit allocates nothing.
  scratch_.validated.reserve(std::size_t{1} << 16);
  static_assert(kInvariantCount <= 64 * std::tuple_size_v<RowSet>, "a row is a bit of a RowSet");
  for (std::size_t row = 0; row < kInvariants.size(); ++row) {
    for (std::size_t bit = 0; bit < trigger::kCount; ++bit) {
      if ((kInvariants[row].triggers >> bit & 1) != 0)
        rows_of_trigger_[bit][row / 64] |= std::uint64_t{1} << row % 64;
    }
  }
}

void Oracle::begin(const View& view) {
  acceptance_.clear();
  std::array<bool, kViewFieldCount> seen{};
  for (std::size_t i = 0; i < kViewFieldCount; ++i) {
    const auto field = static_cast<ViewField>(i);
    seen[i] = field == ViewField::kOutcome || view.observes(field);
  }
  for (std::size_t i = 0; i < kInvariants.size(); ++i) {
    observable_[i] = std::ranges::all_of(kInvariants[i].needs, [&seen](ViewField field) {
      return seen[static_cast<std::size_t>(field)];
    });
  }
}

bool Oracle::applies(std::size_t row, const View& view) {
  if (!observable_[row]) {
    ++counts_[row].not_observable;
    return false;
  }
  const bool in_scope = !kInvariants[row].host_scope_only || view.header().scope == Scope::kHost;
  const bool condition = !is_r8(kInvariants[row]) || acceptance_.holds();
  if (!in_scope || !condition) {
    ++counts_[row].not_applicable;
    return false;
  }
  ++counts_[row].judged;
  return true;
}

template <class Function>
std::optional<Finding> Oracle::judge(std::size_t row, const View& view, Function&& function) {
  if (!applies(row, view)) return std::nullopt;
#ifdef SLUICE_PLANTED
  if (forced_ == row) return std::nullopt;
#endif
  const std::optional<Violation> wrong = function();
  if (!wrong.has_value()) return std::nullopt;
  const bool known =
      (kInvariants[row].triggers & trigger::kProgress) != 0 && view.progress().known_upstream;
  return Finding{.invariant = row,
                 .cls = known ? FindingClass::kKnownUpstream : FindingClass::kFinding,
                 .violation = *wrong};
}

std::optional<Finding> Oracle::check(const View& view) {
  const std::uint32_t active = touched(view);
  if ((active & trigger::kFrames) != 0) acceptance_.note(view);
  RowSet rows{};
  for (std::uint32_t left = active; left != 0; left &= left - 1) {
    const RowSet& more = rows_of_trigger_[static_cast<std::size_t>(std::countr_zero(left))];
    for (std::size_t word = 0; word < rows.size(); ++word) rows[word] |= more[word];
  }
  for (std::size_t word = 0; word < rows.size(); ++word) {
    for (std::uint64_t left = rows[word]; left != 0; left &= left - 1) {
      const std::size_t row = 64 * word + static_cast<std::size_t>(std::countr_zero(left));
      const auto function = [&view, row] { return kInvariants[row].after_step(view); };
      if (auto finding = judge(row, view, function); finding.has_value()) return finding;
    }
  }
  return std::nullopt;
}

std::optional<Finding> Oracle::audit(const View& view) {
  std::array<AuditFn, kInvariants.size()> ran_already{};  // and found nothing
  std::size_t ran_count = 0;
  for (std::size_t row = 0; row < kInvariants.size(); ++row) {
    const AuditFn whole = kInvariants[row].audit;
    if (whole == nullptr) continue;
    const auto function = [&]() -> std::optional<Violation> {
      const auto end = ran_already.begin() + static_cast<std::ptrdiff_t>(ran_count);
      if (std::find(ran_already.begin(), end, whole) != end) return std::nullopt;
      const std::optional<Violation> wrong = whole(view, scratch_);
      ran_already[ran_count++] = whole;
      return wrong;
    };
    if (auto finding = judge(row, view, function); finding.has_value()) return finding;
  }
  return std::nullopt;
}

}  // namespace sluice::oracle
