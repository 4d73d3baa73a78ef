// Two backends answered the same steps: compares the answers field by field, and counts what was
// compared and what could not be (decision 30). Reads outcomes only, so that it can judge any pair
// of backends. Source: kvm.md 12.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trace/outcome.h"

namespace sluice::oracle {

enum class DifferentialField : std::uint8_t {
  kStatus,    // did it succeed, and with what errno, code or exit reason
  kProgress,  // how far a range came
  kExit,      // what the exit carried
  kContents,  // the value read
};
inline constexpr std::size_t kDifferentialFieldCount = 4;
std::string_view name_of(DifferentialField field);

/// Of one field. compared = equal + mismatched; the rest of the steps were uncomparable.
struct FieldCounts {
  std::uint64_t compared = 0;
  std::uint64_t mismatched = 0;
  std::uint64_t uncomparable = 0;
  friend bool operator==(const FieldCounts&, const FieldCounts&) = default;
};

/// The first difference of a step.
struct Mismatch {
  DifferentialField field{};
  std::string key{};   // the field and, where it is the status, both: "status: EEXIST / ok"
  std::string left{};  // trace/outcome_text.h: what each backend answered, in full
  std::string right{};
};
Mismatch mismatch_of(DifferentialField field, const Outcome& left, const Outcome& right);

/// What a field must at least have been compared, as a share of all steps in 1/1000, and in number.
/// kProgress, kExit and kContents apply to few steps: their floor is a number only.
struct DifferentialFloor {
  std::uint64_t status_per_mille = 500;
  std::array<std::uint64_t, kDifferentialFieldCount> compared_at_least{1, 0, 0, 0};
};

/// Counts over any number of sequences. A step is uncomparable where either backend skipped it, or
/// has it still in flight, or does not know the field. Thread: compatible. Cost: a few compares per
/// step; texts are made for mismatches only.
class Differential {
 public:
  explicit Differential(std::string_view left_name = "model", std::string_view right_name = "kvm")
      : left_name_(left_name), right_name_(right_name) {}

  /// One step, answered by both. The first field that differs, in the order of DifferentialField.
  std::optional<Mismatch> compare(const Outcome& left, const Outcome& right);
  /// A step that was not put to both (the backends' states have parted): uncomparable in all
  /// fields.
  void skip_step();

  std::uint64_t steps() const { return steps_; }
  const FieldCounts& counts(DifferentialField field) const {
    return counts_[static_cast<std::size_t>(field)];
  }
  std::uint64_t mismatches() const;
  /// What fell below the floor, in words; nothing if enough was compared.
  std::optional<std::string> below_floor(const DifferentialFloor& floor) const;
  /// One line per field: compared, mismatched, uncomparable.
  std::string table() const;

 private:
  void count(DifferentialField field, bool comparable, bool equal);

  std::string left_name_;
  std::string right_name_;
  std::uint64_t steps_ = 0;
  std::array<FieldCounts, kDifferentialFieldCount> counts_{};
};

}  // namespace sluice::oracle
