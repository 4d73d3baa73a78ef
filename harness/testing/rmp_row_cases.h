// Tables of one small case a row, for this room's tests of the restatement.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <set>
#include <span>
#include <string_view>

#include "testing/rmp_restatement.h"

namespace sluice::testing_rmp {

/// One case: this row decides, with this result.
struct RowCase {
  std::string_view row;
  Result expected;
  Decision (*run)();
};

/// Also expects what holds for every refusal: the table afterwards is the table before.
inline Decision refused_unchanged(const RmpState& before, const Answer& answer) {
  if (!answer.result.succeeded()) {
    EXPECT_EQ(answer.state, before) << answer.row;
  }
  return {answer.result, answer.row};
}

/// Runs the cases and expects that they name every row whose name starts with one of `prefixes`.
inline void expect_rows(std::span<const RowCase> cases,
                        std::initializer_list<std::string_view> prefixes) {
  std::set<std::string_view> seen;
  for (const RowCase& c : cases) {
    const Decision decision = c.run();
    EXPECT_EQ(decision.row, c.row);
    EXPECT_EQ(decision.result, c.expected) << c.row;
    seen.insert(decision.row);
  }
  for (const std::string_view row : all_row_names()) {
    const bool asked = std::ranges::any_of(
        prefixes, [&](std::string_view prefix) { return row.starts_with(prefix); });
    EXPECT_TRUE(!asked || seen.contains(row)) << "no case for row " << row;
  }
}

constexpr Result eax(std::uint32_t code) { return {ResultKind::kCode, code, 0}; }
constexpr Result nested_fault(std::uint64_t bits) {
  return {ResultKind::kNestedPageFault, 0, bits};
}
constexpr Result guest_or_host_fault(std::uint64_t bits) {
  return {ResultKind::kPageFault, 0, bits};
}
inline constexpr Result kInvalidOpcode{ResultKind::kInvalidOpcode, 0, 0};
inline constexpr Result kGeneralProtection{ResultKind::kGeneralProtection, 0, 0};
inline constexpr Result kNoUpdate{ResultKind::kNoUpdate, 0, 0};
inline constexpr Result kNotValidated{ResultKind::kNotValidated, 0x404, 0};
inline constexpr Result kFirmwareError{ResultKind::kFirmwareRefuses, 0, 0};

// Two 2 MiB regions. The guest of the tests is ASID 5; its page n stands at GPA kBase + n pages.
inline constexpr PageCount kCovered{2 * kFramesPer2M};
inline constexpr Asid kGuest{5};
inline constexpr Gpa kBase{0x40000000};
inline constexpr Pfn kHead{kFramesPer2M};  // head of the second region

inline constexpr RmpEntry kGuestPage4K{.assigned = true,
                                       .gpa = kBase,
                                       .asid = kGuest,
                                       .validated = true,
                                       .masks = {kMaskAll, kMaskRead, 0, 0}};
inline constexpr RmpEntry kGuestPage2M{.assigned = true,
                                       .page_size = PageSize::k2M,
                                       .gpa = kBase,
                                       .asid = kGuest,
                                       .validated = true,
                                       .masks = {kMaskAll, kMaskRead, 0, 0}};

/// An entry with fields replaced: with(kGuestPage4K, [](auto& e) { e.immutable = true; }).
template <class Change>
RmpEntry with(RmpEntry entry, Change change) {
  change(entry);
  return entry;
}
inline RmpEntry immutable(RmpEntry entry) {
  entry.immutable = true;
  return entry;
}
inline RmpEntry invalid(RmpEntry entry) {
  entry.validated = false;
  return entry;
}

inline RmpState empty() { return RmpState(kCovered); }
inline RmpState one_4k(const RmpEntry& entry = kGuestPage4K) {
  return empty().with_entry(Pfn{3}, entry);
}
inline RmpState one_2m(const RmpEntry& entry = kGuestPage2M) {
  return empty().with_entry(kHead, entry);
}

}  // namespace sluice::testing_rmp
