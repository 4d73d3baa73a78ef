// Ordered rows of {condition, result}: the form in which the restatement writes rmp.md 4 and 5.
// For the room's own .cc files.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "testing/rmp_restatement.h"

namespace sluice::testing_rmp {

/// `name` is a section and row of rmp.md, then what our reading adds; unique in its table.
template <class Case>
struct Row {
  std::string_view name;
  bool (*holds)(const Case&);
  Result result;
};

template <class Case>
bool otherwise(const Case&) {
  return true;
}

/// The first row that holds. Pre: one does, as every table ends with `otherwise`.
template <class Case>
Decision decide(std::span<const Row<Case>> rows, const Case& c) {
  for (const Row<Case>& row : rows) {
    if (row.holds(c)) return {row.result, row.name};
  }
  SLUICE_CHECK(false);
}

template <class Case>
void append_names(std::span<const Row<Case>> rows, std::vector<std::string_view>& names) {
  for (const Row<Case>& row : rows) names.push_back(row.name);
}

void append_host_rows(std::vector<std::string_view>& names);
void append_guest_rows(std::vector<std::string_view>& names);
void append_access_rows(std::vector<std::string_view>& names);

constexpr Result code(std::uint32_t value) { return {ResultKind::kCode, value, 0}; }
constexpr Result npf(std::uint64_t bits) { return {ResultKind::kNestedPageFault, 0, bits}; }
constexpr Result page_fault(std::uint64_t bits) { return {ResultKind::kPageFault, 0, bits}; }
inline constexpr Result kUd{ResultKind::kInvalidOpcode, 0, 0};
inline constexpr Result kGp{ResultKind::kGeneralProtection, 0, 0};
inline constexpr Result kCarry{ResultKind::kNoUpdate, 0, 0};
inline constexpr Result kVc{ResultKind::kNotValidated, kVcPageNotValidated, 0};
inline constexpr Result kRefused{ResultKind::kFirmwareRefuses, 0, 0};

}  // namespace sluice::testing_rmp
