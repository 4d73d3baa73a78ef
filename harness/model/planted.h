// Switchable known bugs: the test of the testers. In the planted build one bug of this list, or one
// refusal reason, or neither, is on; in every other build the switches are constant and cost
// nothing. Names and documentation are always listed. Adding a bug: one row here, `if
// (planted(Planted::kX))` at the place, corpora/planted/<id>.ops, and the invariant it must trip.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "trace/check_list.h"

namespace sluice::model {

enum class Planted : std::uint8_t {
  kNone,
  // The machine and SNP.
  kRmpKeepsValidated,
  kPvalidateSkipsOwnership,
  kUnassignedKeepsAsid,
  kRmpUpdateIgnoresImmutable,
  kRmpUpdateValidates,
  kOverlapAccepted,
  kSmashForgetsValidated,
  kSmashKeepsGpa,
  kFreeKeepsAssigned,
  kReleaseMiscounts,
  kRmpAdjustIgnoresMask,
  kVmsaMayBeAligned,
  // Generic KVM.
  kFaultSkipsRetryCheck,
  kFaultIgnoresInProgress,
  kSnapshotTakenLate,
  kInvalidateEndKeepsSeq,
  kZapFirstRootOnly,
  kDeleteSkipsZap,
  kDeleteSkipsGracePeriod,
  kAttributesSkipZap,
  kPunchSkipsZap,
  kPreFaultChangesLeaf,
  kPreFaultBeforeAllowed,
  kPreFaultOvercounts,
  kPreFaultForgetsProgress,
  kPreFaultErrorAfterProgress,
  kPreFaultCountsFailedPage,
  kPreFaultPastSlotEnd,
  kPreFaultMakesPrivate,
  kPreFaultRetriesDeletedSlot,
  kGmemLockOverGracePeriod,
  kRetryKeepsSnapshot,
  kPunchSkipsArchInvalidate,
  kArchInvalidateTwice,
  kPunchLosesFrame,
  kCloseKeepsPages,
  kDeleteFreesPages,
  kFaultKeepsFolioReference,
  kFreshPageNotZeroed,
  kDeleteKeepsBinding,
  kBindingHoldsVm,
  kFrameOfOtherIndex,
  kAllocateGrowsFile,
  kAllocateSkipsLastPage,
  kConversionWipesPages,
  kInvalidateNeverEnds,
  kSharedIsStored,
  kAttributesFailLate,
  kAttributesAlwaysInvalidate,
  kMixedNotRecomputed,
  kDeleteClearsAttributes,
  kAttributesNeedSlot,
  kConversionTouchesRmp,
};

struct PlantedRow {
  Planted bug;
  std::string_view name;
  std::string_view invariant;  // what the oracle must report, by name (oracle/invariant_list.h)
  std::string_view meaning;
};
inline constexpr std::array kPlanted = std::to_array<PlantedRow>({
    {Planted::kNone, "none", "", ""},
    {Planted::kRmpKeepsValidated, "rmp_keeps_validated", "rmp.change_clears_validated",
     "RMPUPDATE that changes the owner leaves Validated set"},
    {Planted::kPvalidateSkipsOwnership, "pvalidate_skips_ownership",
     "rmp.validated_implies_assigned", "PVALIDATE does not ask whose frame it is"},
    {Planted::kUnassignedKeepsAsid, "unassigned_keeps_asid", "rmp.unassigned_is_blank",
     "RMPUPDATE that takes a frame back leaves its ASID in the entry"},
    {Planted::kRmpUpdateIgnoresImmutable, "rmpupdate_ignores_immutable", "rmp.immutable_unchanged",
     "RMPUPDATE does not look at Immutable"},
    {Planted::kRmpUpdateValidates, "rmpupdate_validates", "rmp.validated_by_guest_or_firmware",
     "RMPUPDATE that repeats an assignment sets Validated"},
    {Planted::kOverlapAccepted, "overlap_accepted", "rmp.large_entry_is_whole",
     "RMPUPDATE makes a 2 MiB entry over frames that are assigned"},
    {Planted::kSmashForgetsValidated, "smash_forgets_validated", "rmp.smash_preserves",
     "PSMASH leaves its pieces unvalidated"},
    {Planted::kSmashKeepsGpa, "smash_keeps_gpa", "rmp.smash_preserves",
     "PSMASH gives every piece the address of the first"},
    {Planted::kFreeKeepsAssigned, "free_keeps_assigned", "rmp.validated_gpa_is_unique",
     "a page that leaves a guest_memfd stays assigned to its guest"},
    {Planted::kReleaseMiscounts, "release_miscounts", "rmp.one_owner",
     "a frame that becomes free is not counted as free"},
    {Planted::kRmpAdjustIgnoresMask, "rmpadjust_ignores_mask", "rmp.masks_follow_caller",
     "RMPADJUST gives a VMPL rights that its caller does not have"},
    {Planted::kVmsaMayBeAligned, "vmsa_may_be_aligned", "rmp.in_use_not_aligned",
     "a VMSA page may be 2 MiB aligned"},
    {Planted::kFaultSkipsRetryCheck, "fault_skips_retry_check", "pre_fault.idempotent",
     "a fault installs its page without looking for an invalidation since"},
    {Planted::kFaultIgnoresInProgress, "fault_ignores_in_progress", "pre_fault.idempotent",
     "a fault looks at the sequence number, not at invalidations under way"},
    {Planted::kSnapshotTakenLate, "snapshot_taken_late", "pre_fault.idempotent",
     "a fault reads the sequence number after it looked the page up"},
    {Planted::kInvalidateEndKeepsSeq, "invalidate_end_keeps_seq", "pre_fault.idempotent",
     "the end of an invalidation does not raise mmu_invalidate_seq"},
    {Planted::kZapFirstRootOnly, "zap_first_root_only", "pre_fault.idempotent",
     "a zap ends after the first root in which it found something"},
    {Planted::kDeleteSkipsZap, "delete_skips_zap", "pre_fault.idempotent",
     "a slot is deleted, its leaves stay"},
    {Planted::kDeleteSkipsGracePeriod, "delete_skips_grace_period", "pre_fault.idempotent",
     "a slot is zapped without waiting for faults that still see it"},
    {Planted::kAttributesSkipZap, "attributes_skip_zap", "pre_fault.idempotent",
     "a conversion does not zap"},
    {Planted::kPunchSkipsZap, "punch_skips_zap", "pre_fault.idempotent",
     "a punched hole keeps its leaves"},
    {Planted::kPreFaultChangesLeaf, "pre_fault_changes_leaf", "pre_fault.idempotent",
     "a pre-fault takes write permission from a leaf that is present"},
    {Planted::kPreFaultBeforeAllowed, "pre_fault_before_allowed", "pre_fault.not_before_allowed",
     "a pre-fault works before LAUNCH_FINISH"},
    {Planted::kPreFaultOvercounts, "pre_fault_overcounts", "pre_fault.everything_mapped",
     "a pre-fault reports the whole range done after its first page"},
    {Planted::kPreFaultForgetsProgress, "pre_fault_forgets_progress", "pre_fault.progress_adds_up",
     "a pre-fault advances gpa but writes the old size back"},
    {Planted::kPreFaultErrorAfterProgress, "pre_fault_error_after_progress",
     "pre_fault.success_means_progress",
     "a pre-fault that fails after some pages returns the errno, not 0"},
    {Planted::kPreFaultCountsFailedPage, "pre_fault_counts_failed_page",
     "pre_fault.prefix_is_mapped", "a pre-fault counts the page at which it failed as done"},
    {Planted::kPreFaultPastSlotEnd, "pre_fault_past_slot_end", "pre_fault.stays_in_slot",
     "a pre-fault of a slot's last page maps the page behind it, too"},
    {Planted::kPreFaultMakesPrivate, "pre_fault_makes_private", "pre_fault.changes_only_mappings",
     "a pre-fault of a shared page makes it private"},
    {Planted::kPreFaultRetriesDeletedSlot, "pre_fault_retries_deleted_slot",
     "pre_fault.ends_when_slot_goes",
     "a pre-fault of a slot under deletion retries for ever in 6.18, too"},
    {Planted::kGmemLockOverGracePeriod, "gmem_lock_over_grace_period", "progress.no_deadlock",
     "faults take the invalidate_lock that a deletion holds while it waits for them"},
    {Planted::kRetryKeepsSnapshot, "retry_keeps_snapshot", "progress.no_livelock",
     "a fault that starts over compares with the sequence number of its first attempt"},
    {Planted::kPunchSkipsArchInvalidate, "punch_skips_arch_invalidate",
     "gmem.freed_once_invalidated", "a page leaves the page cache without the architecture's hook"},
    {Planted::kArchInvalidateTwice, "arch_invalidate_twice", "gmem.freed_once_invalidated",
     "the architecture's hook runs twice for a page"},
    {Planted::kPunchLosesFrame, "punch_loses_frame", "gmem.resident_pages_add_up",
     "a page leaves the page cache but its frame is never freed"},
    {Planted::kCloseKeepsPages, "close_keeps_pages", "gmem.pages_outlive_slots",
     "pages survive the last close of their file"},
    {Planted::kDeleteFreesPages, "delete_frees_pages", "gmem.pages_outlive_slots",
     "deleting a slot frees the pages it was bound to"},
    {Planted::kFaultKeepsFolioReference, "fault_keeps_folio_reference",
     "gmem.page_cache_reference_only", "a fault never drops its reference to the folio"},
    {Planted::kFreshPageNotZeroed, "fresh_page_not_zeroed", "gmem.fresh_page_is_zero",
     "a fresh page shows what its frame held before"},
    {Planted::kDeleteKeepsBinding, "delete_keeps_binding", "gmem.binding_matches_slot",
     "deleting a slot leaves its guest_memfd range bound"},
    {Planted::kBindingHoldsVm, "binding_holds_vm", "gmem.vm_users_add_up",
     "binding a guest_memfd takes a reference to the VM"},
    {Planted::kFrameOfOtherIndex, "frame_of_other_index", "gmem.frame_has_one_index",
     "a fresh page gets its frame under its neighbor's index"},
    {Planted::kAllocateGrowsFile, "allocate_grows_file", "gmem.size_is_fixed",
     "an allocation beyond the end makes the file longer"},
    {Planted::kAllocateSkipsLastPage, "allocate_skips_last_page",
     "gmem.allocation_is_whole_or_prefix", "an allocation reports success without its last page"},
    {Planted::kConversionWipesPages, "conversion_wipes_pages", "gmem.conversion_keeps_contents",
     "a conversion to shared wipes what the private pages held"},
    {Planted::kInvalidateNeverEnds, "invalidate_never_ends", "progress.no_livelock",
     "the end of an invalidation leaves mmu_invalidate_in_progress raised"},
    {Planted::kSharedIsStored, "shared_is_stored", "attributes.private_or_absent",
     "a large range that becomes shared keeps its entries, with the value 0"},
    {Planted::kAttributesFailLate, "attributes_fail_late", "attributes.refusal_changes_nothing",
     "a conversion looks at its flags after it is done"},
    {Planted::kAttributesAlwaysInvalidate, "attributes_always_invalidate",
     "attributes.repeat_counts_nothing", "a conversion to what is there already invalidates"},
    {Planted::kMixedNotRecomputed, "mixed_not_recomputed", "attributes.mixed_means_both_kinds",
     "a conversion of part of a block leaves its mixed bit as it was"},
    {Planted::kDeleteClearsAttributes, "delete_clears_attributes", "attributes.belong_to_vm",
     "deleting a slot makes its GFNs shared"},
    {Planted::kAttributesNeedSlot, "attributes_need_slot", "attributes.need_no_slot",
     "a conversion is refused where no slot is"},
    {Planted::kConversionTouchesRmp, "conversion_touches_rmp", "attributes.leave_rmp",
     "a conversion to shared takes the frames back from the guest"},
});

#ifdef SLUICE_PLANTED
/// Process-wide because a bug is frozen for a whole sequence and set by tests only. Thread: set
/// before running.
struct PlantedSwitches {
  Planted bug = Planted::kNone;
  Check disabled_check = Check::kOk;
};
PlantedSwitches& planted_switches();
inline bool planted(Planted bug) { return planted_switches().bug == bug; }
/// A refusal with this reason; success instead where the planted build has switched the reason off.
inline Check fail(Check check) {
  return planted_switches().disabled_check == check ? Check::kOk : check;
}
inline constexpr bool kPlantedBuild = true;
#else
constexpr bool planted(Planted) { return false; }
constexpr Check fail(Check check) { return check; }
inline constexpr bool kPlantedBuild = false;
#endif

}  // namespace sluice::model
