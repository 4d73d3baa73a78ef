// The judge: runs the invariants that apply after each step, over what the step touched, and all of
// them over the whole state at the end. It keeps no state of its own but the books that conditional
// rows need (acceptance.h, conditions.h, guest_order.h), whether a known defect has spoiled the
// state (Violation), and counters.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "oracle/acceptance.h"
#include "oracle/conditions.h"
#include "oracle/contents.h"
#include "oracle/guest_order.h"
#include "oracle/invariant_list.h"

namespace sluice::oracle {

enum class FindingClass : std::uint8_t {
  kFinding,        // the subject is wrong
  kKnownUpstream,  // a true defect of the modelled kernel version: reported apart, with its
                   // reference
};

struct Finding {
  std::size_t invariant = 0;  // index into kInvariants
  FindingClass cls = FindingClass::kFinding;
  Violation violation{};

  std::string_view name() const { return kInvariants[invariant].name; }
};
/// `FINDING rmp.one_owner (R9): Every frame ... [subject 0x7, other 0x0]`
std::string describe(const Finding& finding);

/// Rows as a set, in the list's order: bit i % 64 of word i / 64 = index into kInvariants.
using RowSet = std::array<std::uint64_t, 2>;
constexpr bool contains(const RowSet& rows, std::size_t row) {
  return (rows[row / 64] >> row % 64 & 1) != 0;
}
constexpr void insert(RowSet& rows, std::size_t row) {
  rows[row / 64] |= std::uint64_t{1} << row % 64;
}

/// How often each row was in a set. Digits of the counts stand side by side, one bit a row, so that
/// a set is added to all counts at once. Cost: add() some four instructions a word.
class RowCounter {
 public:
  void add(const RowSet& rows) {
    for (std::size_t word = 0; word < rows.size(); ++word) {
      std::uint64_t carry = rows[word];
      for (std::size_t digit = 0; carry != 0; ++digit) {
        std::uint64_t& sum = digits_[word][digit];
        const std::uint64_t next = sum & carry;
        sum ^= carry;
        carry = next;
      }
    }
  }
  std::uint64_t of(std::size_t row) const {
    std::uint64_t count = 0;
    for (std::size_t digit = 0; digit < kDigits; ++digit)
      count |= (digits_[row / 64][digit] >> row % 64 & 1) << digit;
    return count;
  }

 private:
  static constexpr std::size_t kDigits = 64;
  std::array<std::array<std::uint64_t, kDigits>, std::tuple_size_v<RowSet>> digits_{};
};

/// How often a row was judged, did not apply, or could not be observed on this backend.
struct RowCount {
  std::uint64_t judged = 0;
  std::uint64_t not_applicable = 0;
  std::uint64_t not_observable = 0;
};

/// Thread: compatible. check() costs a few virtual calls when a step touched nothing; no
/// allocation.
class Oracle {
 public:
  Oracle();
  /// Before the first step of a sequence: reads what the backend can observe.
  void begin(const View& view);
  /// After each step; the first finding in the list's order, or if there is none, the first
  /// violation that is known upstream.
  std::optional<Finding> check(const View& view);
  /// At the end of a sequence (tests: after each step): every row, whole state; likewise.
  std::optional<Finding> audit(const View& view) { return audit_rows(view, true); }

  RowCount count(std::size_t invariant) const;

#ifdef SLUICE_PLANTED
  /// Makes one row always pass: the proof that a planted test depends on it (docs/proofs.md).
  void force_pass(std::optional<std::size_t> invariant) { forced_ = invariant; }
#endif

 private:
  std::uint32_t touched(const View& view) const;
  bool condition_holds(std::size_t row, const View& view) const;
  bool accessed_accepted_page(const View& view) const;
  bool applies(std::size_t row, const View& view);
  void set_aside(RowSet& rows, const RowSet& blind);
  std::optional<Finding> judge_rows(const RowSet& rows, const View& view);
  Finding found(std::size_t row, const Violation& wrong);
  std::optional<Finding> audit_rows(const View& view, bool hard_ones);
  void note_for_later(const View& view, std::uint32_t active);
  /// Runs `function` for the row if the row applies.
  template <class Function>
  std::optional<Finding> judge(std::size_t row, const View& view, Function&& function);
  bool is_forced(std::size_t row) const;

  /// What kInvariants says, in the form in which a step asks for it.
  struct Tables {
    Tables();
    std::array<RowSet, trigger::kCount> of_trigger{};
    std::array<CheckFn, kInvariantCount> after_step{};  // close together; null: with_books
    RowSet of_events{};                                 // rows that read the step's events
  };
  static const Tables& tables();

  AcceptanceBook acceptance_;
  MismatchBook mismatches_;
  bool creates_aps_ = false;  // some vCPU has asked for AP creation
  bool a_vm_died_ = false;
  bool was_at_rest_ = true;
  GuestOrderBook order_;
  ContentBooks contents_;
  AuditScratch scratch_;
  std::array<bool, kInvariantCount> observable_{};
  std::array<bool, kInvariantCount> in_scope_{};
  RowSet unconditional_{};  // of this sequence: rows that apply whatever the step was
  RowCounter judged_after_step_;
  std::array<RowCount, kInvariantCount> counts_{};  // all else
  bool spoiled_ = false;  // a known defect has left a state that no row is about
#ifdef SLUICE_PLANTED
  std::optional<std::size_t> forced_;
#endif
};

}  // namespace sluice::oracle
