#include "oracle/differential.h"

#include <fmt/format.h>

#include "trace/outcome_text.h"

namespace sluice::oracle {
namespace {

bool acted_and_ended(const Outcome& outcome) {
  return outcome.progression == Progression::kDone && !outcome.skipped();
}

bool same_status(const Outcome& left, const Outcome& right) {
  return left.kind == right.kind && left.number == right.number;
}

// What was answered, with all that the status line leaves out.
std::string in_full(const Outcome& outcome) {
  std::string text = describe(outcome);
  if (outcome.exit.reason != 0) {
    text += fmt::format(" exit(reason={}, flags={:#x}, gpa={:#x}, size={:#x}, attributes={:#x})",
                        outcome.exit.reason, outcome.exit.flags, outcome.exit.gpa,
                        outcome.exit.size, outcome.exit.attributes);
  }
  if (outcome.has_progress && outcome.kind != StatusKind::kOk) {
    text +=
        fmt::format(" left(gpa={:#x}, size={:#x})", outcome.progress.gpa, outcome.progress.left);
  }
  return text;
}

}  // namespace

std::string_view name_of(DifferentialField field) {
  constexpr std::array<std::string_view, kDifferentialFieldCount> kNames{"status", "progress",
                                                                         "exit", "contents"};
  return kNames[static_cast<std::size_t>(field)];
}

Mismatch mismatch_of(DifferentialField field, const Outcome& left, const Outcome& right) {
  std::string key(name_of(field));
  if (field == DifferentialField::kStatus) {
    key += ": " + describe_status(left) + " / " + describe_status(right);
  }
  return {.field = field, .key = std::move(key), .left = in_full(left), .right = in_full(right)};
}

void Differential::count(DifferentialField field, bool comparable, bool equal) {
  FieldCounts& counts = counts_[static_cast<std::size_t>(field)];
  if (!comparable) {
    ++counts.uncomparable;
    return;
  }
  ++counts.compared;
  if (!equal) ++counts.mismatched;
}

void Differential::skip_step() {
  ++steps_;
  for (FieldCounts& counts : counts_) ++counts.uncomparable;
}

std::optional<Mismatch> Differential::compare(const Outcome& left, const Outcome& right) {
  if (!acted_and_ended(left) || !acted_and_ended(right)) {
    skip_step();
    return std::nullopt;
  }
  ++steps_;
  std::optional<DifferentialField> first;
  const auto look = [&](DifferentialField field, bool comparable, bool equal) {
    count(field, comparable, equal);
    if (comparable && !equal && !first) first = field;
  };
  const bool same = same_status(left, right);
  look(DifferentialField::kStatus, true, same);
  look(DifferentialField::kProgress, left.has_progress && right.has_progress,
       left.progress == right.progress);
  // An exit on one side only is a difference of status already, or of what led to success.
  look(DifferentialField::kExit, left.exit.reason != 0 || right.exit.reason != 0,
       left.exit == right.exit);
  look(DifferentialField::kContents, left.has_value && right.has_value, left.value == right.value);
  if (!first) return std::nullopt;
  return mismatch_of(*first, left, right);
}

std::uint64_t Differential::mismatches() const {
  std::uint64_t sum = 0;
  for (const FieldCounts& counts : counts_) sum += counts.mismatched;
  return sum;
}

std::optional<std::string> Differential::below_floor(const DifferentialFloor& floor) const {
  const FieldCounts& status = counts(DifferentialField::kStatus);
  if (status.compared * 1000 < steps_ * floor.status_per_mille) {
    return fmt::format("status compared on {} of {} steps: fewer than {} in 1000", status.compared,
                       steps_, floor.status_per_mille);
  }
  for (std::size_t i = 0; i < kDifferentialFieldCount; ++i) {
    if (counts_[i].compared < floor.compared_at_least[i]) {
      return fmt::format("{} compared on {} steps: fewer than {}",
                         name_of(static_cast<DifferentialField>(i)), counts_[i].compared,
                         floor.compared_at_least[i]);
    }
  }
  return std::nullopt;
}

std::string Differential::table() const {
  std::string text =
      fmt::format("differential {} / {}: {} steps\n{:<10}{:>12}{:>12}{:>14}\n", left_name_,
                  right_name_, steps_, "field", "compared", "mismatched", "uncomparable");
  for (std::size_t i = 0; i < kDifferentialFieldCount; ++i) {
    text += fmt::format("{:<10}{:>12}{:>12}{:>14}\n", name_of(static_cast<DifferentialField>(i)),
                        counts_[i].compared, counts_[i].mismatched, counts_[i].uncomparable);
  }
  return text;
}

}  // namespace sluice::oracle
