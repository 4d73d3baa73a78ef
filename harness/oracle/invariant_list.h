// The invariants: one row each, one function each. A checker reads trace/view.h and nothing else.
// Rows follow invariants.md; its groups H, N, I, X, L, C, T and D come with the parts of the model
// that they judge.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "trace/view.h"

namespace sluice::oracle {

/// What an invariant found wrong: a frame, GFN or page index, and a second number where one helps.
/// Printed, never compared.
struct Violation {
  std::uint64_t subject = 0;
  std::uint64_t other = 0;
};

/// Strength as invariants.md has it.
enum class Strength : std::uint8_t { kHard, kConditional, kQuiescent };
constexpr std::string_view name_of(Strength strength) {
  constexpr std::array<std::string_view, 3> kNames{"hard", "conditional", "quiescent"};
  return kNames[static_cast<std::size_t>(strength)];
}

/// When a row is looked at after a step: only if something it can see has changed. Audits look at
/// every row.
namespace trigger {
inline constexpr std::uint32_t kFrames = 1, kGmemPages = 2, kPreFault = 4, kProgress = 8,
                               kFile = 16, kAttributes = 32, kSlots = 64;
inline constexpr std::size_t kCount = 7;  // each is one bit
}  // namespace trigger

using CheckFn = std::optional<Violation> (*)(const View&);
/// Room that audits sort in; the oracle keeps it, so that a warm one allocates nothing.
struct AuditScratch {
  struct ValidatedPages {  // of one RMP entry
    Asid asid{};
    Gpa first{};
    Gpa end{};
    Pfn pfn{};
  };
  std::vector<ValidatedPages> validated{};
};
using AuditFn = std::optional<Violation> (*)(const View&, AuditScratch&);

struct InvariantRow {
  std::string_view id;  // as in invariants.md
  std::string_view name;
  std::string_view statement;
  Strength strength;
  bool host_scope_only;  // not judged where raw host instructions are legal
  std::uint32_t triggers;
  std::array<ViewField, 3> needs;
  std::string_view source;
  CheckFn after_step;  // what the step touched; never null
  AuditFn audit;       // the whole state; null where after_step already is complete
};

inline constexpr std::size_t kInvariantCount = 40;
extern const std::array<InvariantRow, kInvariantCount> kInvariants;

/// Index of the row with this name or id; none if there is none.
std::optional<std::size_t> find_invariant(std::string_view name_or_id);

// One function per row, in the files rmp_invariants.cc, attribute_invariants.cc,
// gmem_invariants.cc, pre_fault_invariants.cc, progress_invariants.cc.
namespace check {
using Result = std::optional<Violation>;
Result validated_implies_assigned(const View&);
Result unassigned_is_blank(const View&);
Result immutable_unchanged(const View&);
Result validated_by_guest_or_firmware(const View&);
Result change_clears_validated(const View&);
Result large_entry_is_whole(const View&);
Result smash_preserves(const View&);
Result one_owner(const View&);
Result masks_follow_caller(const View&);
Result in_use_not_aligned(const View&);
Result attribute_is_private_or_absent(const View&);
Result refused_conversion_changes_nothing(const View&);
Result repeated_conversion_counts_nothing(const View&);
Result mixed_means_both_kinds(const View&);
Result attributes_belong_to_vm(const View&);
Result conversion_needs_no_slot(const View&);
Result conversion_leaves_rmp(const View&);
Result binding_matches_slot(const View&);
Result resident_pages_add_up(const View&);
Result page_cache_reference_only(const View&);
Result vm_users_add_up(const View&);
Result frame_has_one_index(const View&);
Result size_is_fixed(const View&);
Result fresh_page_is_zero(const View&);
Result allocation_is_whole_or_prefix(const View&);
Result pages_outlive_slots(const View&);
Result freed_once_invalidated(const View&);
Result conversion_keeps_contents(const View&);
Result progress_adds_up(const View&);
Result success_means_progress(const View&);
Result everything_mapped(const View&);
Result stays_in_slot(const View&);
Result changes_only_mappings(const View&);
Result not_before_allowed(const View&);
Result idempotent(const View&);
Result ends_when_slot_goes(const View&);
Result prefix_is_mapped(const View&);
Result no_deadlock(const View&);
Result no_livelock(const View&);

// Audits. One that stands for several rows runs once.
Result audit_validated_gpa_is_unique(const View&, AuditScratch&);
Result audit_rmp(const View&, AuditScratch&);
Result audit_owners(const View&, AuditScratch&);
Result audit_mixed(const View&, AuditScratch&);
Result audit_gmem_pages(const View&, AuditScratch&);
/// For rows whose check after a step already looks at the whole state.
template <CheckFn kCheck>
Result audit_as_check(const View& view, AuditScratch&) {
  return kCheck(view);
}
Result nothing_to_see(const View&);  // for rows that only an audit can judge
}  // namespace check

}  // namespace sluice::oracle
