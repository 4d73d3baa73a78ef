// The invariants: one row each, one function each. A checker reads trace/view.h and nothing else.
// Rows follow invariants.md.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "oracle/leaf_record.h"
#include "trace/view.h"

namespace sluice::oracle {

/// What an invariant found wrong: a frame, GFN or page index, and a second number where one helps.
/// Printed, never compared.
struct Violation {
  std::uint64_t subject = 0;
  std::uint64_t other = 0;
  bool known_upstream = false;   // a true defect of the modelled kernel version, as its row says
  bool spoils_the_rest = false;  // and leaves what no row is about: the rest is not judged
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
                               kFile = 16, kAttributes = 32, kSlots = 64, kVms = 128, kLeaves = 256,
                               kExits = 512, kDeadVm = 1024, kPsc = 2048, kNotValidated = 4096,
                               kLaunch = 8192, kRmp = 16384, kHost = 32768, kAccess = 65536,
                               kFaultLoop = 131072, kFlush = 262144, kTd = 524288, kVmsa = 1048576,
                               kInvalidation = 2097152;
inline constexpr std::size_t kCount = 22;  // each is one bit
}  // namespace trigger

using CheckFn = std::optional<Violation> (*)(const View&);
class AcceptanceBook;
class BindingBook;
struct ContentBooks;
/// For rows that must know what was written in earlier steps.
using BookFn = std::optional<Violation> (*)(const View&, const ContentBooks&);
/// Room that audits work in; the oracle keeps it, so that a warm one allocates nothing.
struct AuditScratch {
  struct ValidatedPages {  // of one RMP entry
    Asid asid{};
    Gpa first{};
    Gpa end{};
    Pfn pfn{};
  };
  std::vector<ValidatedPages> validated{};
  std::vector<LeafRecord> leaves{};  // of this audit, if `has_leaves`
  bool has_leaves = false;
  const BindingBook* bindings = nullptr;       // what N11 must know of earlier steps
  const AcceptanceBook* acceptance = nullptr;  // what R8 must know
};
using AuditFn = std::optional<Violation> (*)(const View&, AuditScratch&);

struct InvariantRow {
  std::string_view id;  // as in invariants.md
  std::string_view name;
  std::string_view statement;
  Strength strength;
  bool host_scope_only;  // not judged where raw host instructions are legal
  std::uint32_t triggers;
  std::array<ViewField, 4> needs;
  std::string_view source;
  CheckFn after_step;           // what the step touched; never null
  AuditFn audit;                // the whole state; null where after_step already is complete
  BookFn with_books = nullptr;  // beside after_step, for the few that look back
};

inline constexpr std::size_t kInvariantCount = 103;
/// The first row in this order that does not hold names the finding, so the rule that was broken
/// comes before what comes of it.
extern const std::array<InvariantRow, kInvariantCount> kInvariants;

/// Index of the row with this name or id; none if there is none.
std::optional<std::size_t> find_invariant(std::string_view name_or_id);

// One function per row, in the files *_invariants.cc.
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
Result kind_is_attribute(const View&);
Result roots_agree(const View&);
Result huge_leaf_is_uniform(const View&);
Result huge_leaf_fits(const View&);
Result leaf_follows_slot(const View&);
Result leaf_has_a_slot(const View&);
Result deleted_slot_has_no_leaf(const View&);
Result delete_spares_others(const View&);
Result frame_changes_through_zap(const View&);
Result level_within_rmp(const View&);
Result private_leaf_is_assigned(const View&, const ContentBooks&);
Result logged_leaf_is_small(const View&);
Result one_address_space(const View&);
Result root_count(const View&);
Result hole_has_no_leaf(const View&);
Result prefetch_is_not_accessed(const View&);
Result attribute_is_private_or_absent(const View&);
Result refused_conversion_changes_nothing(const View&);
Result repeated_conversion_counts_nothing(const View&);
Result mixed_means_both_kinds(const View&);
Result attributes_belong_to_vm(const View&);
Result conversion_needs_no_slot(const View&);
Result conversion_leaves_rmp(const View&);
Result invalidation_is_balanced(const View&);
Result invalidation_has_a_range(const View&);
Result seq_counts_ends(const View&);
Result install_is_fresh(const View&);
Result slots_are_stable(const View&);
Result unbound_hole_is_silent(const View&);
Result generation_parity(const View&);
Result frame_has_one_entry(const View&);
Result removed_after_track(const View&);
Result mapped_by_accept(const View&);
Result added_from_its_source(const View&);
Result host_keeps_off(const View&);
Result mirror_agrees(const View&);
Result assigned_frame_is_split_out(const View&);
Result host_lives(const View&);
Result direct_map_never_merges(const View&);
Result freed_frame_is_shared(const View&);
Result audit_assigned_of_host(const View&, AuditScratch&);
Result leaked_after_refusal(const View&);
Result flushed_before_free(const View&);
Result split_before_assignment(const View&);
Result user_maps_shared_only(const View&);
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
Result maps_what_was_asked(const View&);
Result leaves_vcpu(const View&);
Result progress_adds_up(const View&);
Result success_means_progress(const View&);
Result everything_mapped(const View&);
Result stays_in_slot(const View&);
Result changes_only_mappings(const View&);
Result not_before_allowed(const View&);
Result idempotent(const View&);
Result ends_when_slot_goes(const View&);
Result prefix_is_mapped(const View&);
Result memory_fault_format(const View&);
Result mismatch_says_access(const View&);
Result conversion_helps(const View&);
Result only_launched_pages(const View&);
Result failed_page_goes_back(const View&);
Result page_is_launched_once(const View&);
Result nothing_stays_assigned(const View&);
Result dead_vm_is_frozen(const View&);
Result private_page_is_its_owners(const View&);
Result next_owner_finds_zeros(const View&);
Result host_reads_no_private_token(const View&, const ContentBooks&);
Result loss_is_loud(const View&, const ContentBooks&);
Result guest_reads_what_it_wrote(const View&, const ContentBooks&);
Result shared_page_is_one(const View&);
Result psc_exits_are_what_was_done(const View&);
Result psc_entries_go_forward(const View&);
Result psc_no_batch_without_exit(const View&);
Result psc_index_within_buffer(const View&);
Result accepted_page_takes_no_vc(const View&);
Result flushed_after_zap(const View&);
Result assignment_ends_guest_writes(const View&);
Result assignment_ends_host_writes(const View&);
Result flushed_before_frame_is_free(const View&);
Result no_deadlock(const View&);
Result no_livelock(const View&);
Result fault_is_resolved(const View&);

// Audits. One that stands for several rows runs once.
Result audit_validated_gpa_is_unique(const View&, AuditScratch&);
Result audit_rmp(const View&, AuditScratch&);
Result audit_owners(const View&, AuditScratch&);
Result audit_nothing_stays_assigned(const View&, AuditScratch&);
Result audit_root_count(const View&, AuditScratch&);
Result audit_kind(const View&, AuditScratch&);
Result audit_agreement(const View&, AuditScratch&);
Result audit_uniform(const View&, AuditScratch&);
Result audit_fit(const View&, AuditScratch&);
Result audit_frame(const View&, AuditScratch&);
Result audit_slot(const View&, AuditScratch&);
Result audit_level(const View&, AuditScratch&);
Result audit_owner(const View&, AuditScratch&);
Result audit_logged(const View&, AuditScratch&);
Result audit_mixed(const View&, AuditScratch&);
Result audit_invalidation(const View&, AuditScratch&);
Result audit_generation(const View&, AuditScratch&);
Result audit_entries(const View&, AuditScratch&);
Result audit_mirror(const View&, AuditScratch&);
Result audit_gmem_pages(const View&, AuditScratch&);
Result audit_assigned_frames_are_split_out(const View&, AuditScratch&);
/// For rows whose check after a step already looks at the whole state.
template <CheckFn kCheck>
Result audit_as_check(const View& view, AuditScratch&) {
  return kCheck(view);
}
Result nothing_to_see(const View&);  // for rows that only an audit can judge
}  // namespace check

}  // namespace sluice::oracle
