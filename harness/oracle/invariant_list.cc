#include "oracle/invariant_list.h"

namespace sluice::oracle {
namespace {

using F = ViewField;
namespace t = trigger;
constexpr Strength kHard = Strength::kHard, kConditional = Strength::kConditional,
                   kQuiescent = Strength::kQuiescent;

}  // namespace

// clang-format off
const std::array<InvariantRow, kInvariantCount> kInvariants{{
    {"R1", "rmp.validated_implies_assigned", "A validated entry is assigned to a guest.", kHard, false, t::kRmp, {F::kRmp}, "invariants.md R1; rmp.md RU2", check::validated_implies_assigned, check::audit_rmp},
    {"R2", "rmp.unassigned_is_blank", "An unassigned entry has no ASID, no validation and no VMSA mark, and is immutable only if HV-Fixed.", kHard, false, t::kRmp, {F::kRmp}, "invariants.md R2; rmp.md RU4, RU8", check::unassigned_is_blank, check::audit_rmp},
    {"R3", "rmp.immutable_unchanged", "No processor instruction changes an immutable entry; only firmware does.", kHard, false, t::kRmp, {F::kRmp}, "invariants.md R3; rmp.md RU1", check::immutable_unchanged, nullptr},
    {"R4", "rmp.validated_by_guest_or_firmware", "Validated goes from 0 to 1 only in PVALIDATE by the owning guest or in firmware.", kHard, false, t::kRmp, {F::kRmp}, "invariants.md R4; rmp.md RU3", check::validated_by_guest_or_firmware, nullptr},
    {"R5", "rmp.change_clears_validated", "A change of owner, address or size leaves Validated clear and VMPL1-3 without rights.", kHard, false, t::kRmp, {F::kRmp}, "invariants.md R5; rmp.md RU4", check::change_clears_validated, nullptr},
    {"R6", "rmp.large_entry_is_whole", "A 2 MiB entry is aligned in both address spaces and none of its frames is owned on its own.", kHard, false, t::kRmp, {F::kRmp}, "invariants.md R6; rmp.md RU7, RU9", check::large_entry_is_whole, nullptr},
    {"R7", "rmp.smash_preserves", "PSMASH changes only the size and spreads the address.", kHard, false, t::kRmp, {F::kRmp}, "invariants.md R7; rmp.md RU6", check::smash_preserves, nullptr},
    {"R8", "rmp.validated_gpa_is_unique", "Where no address was accepted twice, by the guest or in its launch, each has at most one validated frame.", kConditional, false, t::kFrames, {F::kRmp, F::kFrames}, "invariants.md R8; snp_host.md 7, 10", check::nothing_to_see, check::audit_validated_gpa_is_unique},
    {"R9", "rmp.one_owner", "Every frame has exactly one owner; the owners add up to the machine.", kHard, false, t::kFrames, {F::kFrames}, "invariants.md R9; APM vol. 2 15.36.4", check::one_owner, check::audit_owners},
    {"R10", "rmp.masks_follow_caller", "A mask that was set lies within the caller's own; VMPL0 may do everything.", kHard, false, t::kRmp, {F::kRmp}, "invariants.md R10; rmp.md 4.5", check::masks_follow_caller, nullptr},
    {"R11", "rmp.in_use_not_aligned", "A page the processor holds in use (VMCB, VMSA, AVIC) is never 2 MiB aligned.", kHard, false, t::kFrames | t::kVmsa, {F::kRmp, F::kFrames}, "invariants.md R11; rmp.md 6", check::in_use_not_aligned, nullptr},

    {"H1", "host.assigned_frame_is_split_out", "No assigned frame lies behind a larger page of the direct map, unless the whole 2 MiB piece is assigned.", kQuiescent, true, t::kRmp, {F::kRmp, F::kHost}, "invariants.md H1; snp_host.md 1, adjust_direct_map()", check::assigned_frame_is_split_out, check::audit_assigned_frames_are_split_out},
    {"H3", "host.direct_map_never_merges", "What is split of the direct map stays split.", kHard, true, t::kHost | t::kRmp, {F::kHost, F::kRmp}, "invariants.md H3; snp_host.md 1", check::direct_map_never_merges, nullptr},
    {"H4", "host.freed_frame_is_shared", "A frame that goes back to the allocator is the hypervisor's, or counted as leaked.", kConditional, true, t::kFrames | t::kGmemPages, {F::kRmp, F::kFrames}, "invariants.md H4; bugs.md 63", check::freed_frame_is_shared, check::audit_assigned_of_host},
    {"H5", "host.leaked_after_refusal", "Pages are leaked where they could not be taken back, each once, and counted.", kHard, true, t::kFrames | t::kHost, {F::kFrames, F::kEvents, F::kHost}, "invariants.md H5; bugs.md 55", check::leaked_after_refusal, nullptr},
    {"H6", "host.flushed_before_free", "A page that a guest had is flushed from the caches between becoming shared and becoming free.", kHard, true, t::kRmp, {F::kRmp, F::kEvents}, "invariants.md H6; snp_host.md 3", check::flushed_before_free, nullptr},
    {"H7", "host.split_before_assignment", "The direct map is split before the RMPUPDATE that assigns.", kHard, true, t::kRmp, {F::kEvents}, "invariants.md H7; snp_host.md 1, rmpupdate row 2", check::split_before_assignment, nullptr},
    {"H8", "host.user_maps_shared_only", "User space has no page of a guest_memfd mapped that is assigned.", kHard, true, t::kRmp | t::kGmemPages, {F::kRmp, F::kGmem}, "invariants.md H8; kvm.md 1.2", check::user_maps_shared_only, nullptr},

    {"D1", "td.frame_has_one_entry", "A frame is in at most one secure EPT entry that is not free, in the whole machine.", kHard, false, t::kTd, {F::kTd}, "invariants.md D1; tdx.md 6", check::frame_has_one_entry, check::audit_entries},
    {"D2", "td.removed_after_track", "A page of a TD is removed only after BLOCK, and after every vCPU has passed a TRACK behind it.", kHard, false, t::kTd, {F::kTd, F::kEvents}, "invariants.md D2; tdx.md 3", check::removed_after_track, nullptr},
    {"D3", "td.mapped_by_accept", "Once a TD is finalized, a page becomes mapped only by its guest's ACCEPT.", kHard, false, t::kTd, {F::kTd}, "invariants.md D3; tdx.md 2", check::mapped_by_accept, nullptr},
    {"D4", "td.added_from_its_source", "What a region says is done was added and, if asked for, measured, each page from its own source page; nothing else was.", kHard, false, t::kTd, {F::kTd, F::kOutcome}, "invariants.md D4; tdx.md 5", check::added_from_its_source, nullptr},
    {"D5", "td.host_keeps_off", "The host neither gives away nor touches nor maps a frame that a secure EPT entry has.", kHard, false, t::kTd | t::kHost | t::kGmemPages, {F::kTd, F::kFrames, F::kHost, F::kGmem}, "invariants.md D5; tdx.md 3", check::host_keeps_off, nullptr},
    {"D6", "td.mirror_agrees", "At rest the mirror and the secure EPT say the same, but for pages that are pre-mapped and not yet added.", kQuiescent, false, t::kTd, {F::kTd, F::kLeaves}, "invariants.md D6; tdx.md 1, 5", check::mirror_agrees, check::audit_mirror},

    {"I1", "invalidation.is_balanced", "mmu_invalidate_in_progress is never negative, and 0 at rest.", kHard, true, t::kVms, {F::kVms}, "invariants.md I1; kvm.md 5", check::invalidation_is_balanced, check::audit_invalidation},
    {"I2", "invalidation.has_a_range", "While an invalidation is in progress its range is set, from the moment it begins.", kHard, true, t::kVms | t::kInvalidation, {F::kVms, F::kEvents}, "invariants.md I2; kvm.md 5", check::invalidation_has_a_range, nullptr},
    {"I3", "invalidation.seq_counts_ends", "mmu_invalidate_seq rises by one with each end of an invalidation, and never else.", kHard, true, t::kVms, {F::kVms, F::kEvents}, "invariants.md I3; kvm.md 5", check::seq_counts_ends, nullptr},
    {"I4", "invalidation.install_is_fresh", "A leaf is installed only into a valid root, where no invalidation in progress covers it and none has ended since the fault began.", kHard, true, t::kLeaves, {F::kEvents, F::kVms, F::kLeaves}, "invariants.md I4; kvm.md 5 step 13; bugs.md 9", check::install_is_fresh, nullptr},
    {"I5", "invalidation.slots_are_stable", "An invalidation ends with the slots with which it began.", kHard, true, t::kInvalidation, {F::kEvents}, "invariants.md I5; kvm.md 10", check::slots_are_stable, nullptr},
    {"I6", "invalidation.unbound_hole_is_silent", "A hole in pages that no slot has moves no counter.", kHard, true, t::kFile, {F::kVms, F::kGmem}, "invariants.md I6; kvm.md 1.3", check::unbound_hole_is_silent, nullptr},
    {"I7", "invalidation.generation_parity", "At rest no update of memslots is in progress, and a generation is its address space's number modulo their count.", kQuiescent, true, t::kVms, {F::kVms}, "invariants.md I7; Linux kvm_swap_active_memslots()", check::generation_parity, check::audit_generation},

    {"N1", "npt.kind_is_attribute", "A leaf maps a page of a guest_memfd exactly where the GFN is private, or its slot takes all pages from the file.", kQuiescent, true, t::kLeaves | t::kAttributes, {F::kLeaves, F::kAttributes, F::kFrames}, "invariants.md N1; kvm.md 3, 5", check::kind_is_attribute, check::audit_kind},
    {"N2", "npt.roots_agree", "All roots of an address space map a GFN to the same frame.", kQuiescent, true, t::kLeaves, {F::kLeaves}, "invariants.md N2; kvm.md 7", check::roots_agree, check::audit_agreement},
    {"N3", "npt.huge_leaf_is_uniform", "A huge leaf covers GFNs of one kind.", kHard, true, t::kLeaves | t::kAttributes, {F::kLeaves, F::kAttributes}, "invariants.md N3; bugs.md 10", check::huge_leaf_is_uniform, check::audit_uniform},
    {"N4", "npt.huge_leaf_fits", "A huge leaf lies inside its slot, and GFN and frame are congruent.", kHard, true, t::kLeaves, {F::kLeaves, F::kSlots}, "invariants.md N4; kvm.md 6", check::huge_leaf_fits, check::audit_fit},
    {"N5", "npt.leaf_follows_slot", "A leaf maps what its slot says: that page of the file, or that page of user space.", kQuiescent, true, t::kLeaves | t::kFrames, {F::kLeaves, F::kSlots, F::kGmem}, "invariants.md N5; bugs.md 31", check::leaf_follows_slot, check::audit_frame},
    {"N6", "npt.leaf_has_a_slot", "A leaf has a slot, a current MMIO entry has none and is written for shared GFNs only.", kQuiescent, true, t::kLeaves, {F::kLeaves, F::kSlots}, "invariants.md N6; kvm.md 5 row 7", check::leaf_has_a_slot, check::audit_slot},
    {"N7", "npt.deleted_slot_has_no_leaf", "Nothing is mapped where a slot was deleted or moved away.", kHard, true, t::kSlots, {F::kLeaves, F::kSlots}, "invariants.md N7; kvm.md 2", check::deleted_slot_has_no_leaf, nullptr},
    {"N8", "npt.delete_spares_others", "Deleting a slot zaps no other slot's leaves, unless the VM has the quirk SLOT_ZAP_ALL.", kHard, true, t::kSlots, {F::kLeaves, F::kSlots}, "invariants.md N8; bugs.md 42", check::delete_spares_others, nullptr},
    {"N9", "npt.frame_changes_through_zap", "A present leaf gets another frame only by way of a zap.", kHard, true, t::kLeaves, {F::kLeaves, F::kEvents}, "invariants.md N9; kvm.md 5", check::frame_changes_through_zap, nullptr},
    {"N10", "npt.level_within_rmp", "A private leaf is no larger than its RMP entry, once a fix-up under way is over.", kHard, true, t::kLeaves | t::kRmp, {F::kLeaves, F::kRmp}, "invariants.md N10; kvm.md 6", check::level_within_rmp, check::audit_level},
    {"N11", "npt.private_leaf_is_assigned", "Where its page was shown at no other GFN since it came, a private leaf of an SNP guest maps a frame that is assigned to it at that address.", kConditional, true, t::kLeaves | t::kRmp, {F::kLeaves, F::kRmp, F::kSlots}, "invariants.md N11; snp_host.md 3", check::nothing_to_see, check::audit_owner, check::private_leaf_is_assigned},
    {"N12", "npt.logged_leaf_is_small", "In a slot that logs dirty pages no leaf is huge; a read-only slot, which logs nothing, keeps those it had.", kHard, true, t::kLeaves | t::kSlots, {F::kLeaves, F::kSlots}, "invariants.md N12; kvm.md 2, 6; kvm_mmu_slot_apply_flags()", check::logged_leaf_is_small, check::audit_logged},
    {"N13", "npt.one_address_space", "A VM with private memory has one address space.", kHard, true, t::kSlots | t::kLeaves, {F::kSlots, F::kVms, F::kLeaves}, "invariants.md N13; kvm.md 0", check::one_address_space, check::audit_as_check<check::one_address_space>},
    {"N14", "npt.root_count", "A VM has at most six valid roots, and a vCPU that has entered its guest keeps no other.", kQuiescent, true, t::kLeaves, {F::kVms, F::kLeaves}, "invariants.md N14; kvm.md 7; bugs.md 22", check::root_count, check::audit_root_count},
    {"N15", "npt.hole_has_no_leaf", "When a hole has been punched, no bound GFN of it is mapped.", kHard, true, t::kFile | t::kGmemPages, {F::kLeaves, F::kSlots, F::kGmem}, "invariants.md N15; kvm.md 1.3", check::hole_has_no_leaf, nullptr},
    {"N16", "npt.prefetch_is_not_accessed", "A pre-fault leaves no leaf accessed that was not so before.", kHard, true, t::kPreFault, {F::kLeaves}, "invariants.md N16; kvm.md 4", check::prefetch_is_not_accessed, nullptr},

    {"A1", "attributes.private_or_absent", "A GFN is stored as private or not at all.", kHard, true, t::kAttributes, {F::kAttributes}, "invariants.md A1; bugs.md 35", check::attribute_is_private_or_absent, nullptr},
    {"A2", "attributes.refusal_changes_nothing", "A conversion that is refused changes nothing.", kHard, true, t::kAttributes, {F::kAttributes, F::kVms, F::kLeaves}, "invariants.md A2; kvm.md 3", check::refused_conversion_changes_nothing, nullptr},
    {"A3", "attributes.repeat_counts_nothing", "A conversion to what is there already zaps nothing and moves no counter.", kHard, true, t::kAttributes, {F::kAttributes, F::kVms, F::kLeaves}, "invariants.md A3; kvm.md 3 row 6", check::repeated_conversion_counts_nothing, nullptr},
    {"A4", "attributes.mixed_means_both_kinds", "Of the blocks fully inside a slot, exactly those that hold both kinds are marked mixed.", kQuiescent, true, t::kAttributes | t::kSlots, {F::kAttributes, F::kSlots}, "invariants.md A4; kvm.md 3", check::mixed_means_both_kinds, check::audit_mixed},
    {"A5", "attributes.belong_to_vm", "Attributes are the VM's: no change of a slot or a file changes them, only a conversion does, where it was asked to.", kHard, true, t::kAttributes, {F::kAttributes, F::kVms}, "invariants.md A5", check::attributes_belong_to_vm, nullptr},
    {"A6", "attributes.need_no_slot", "A well-formed conversion succeeds, whether or not there are slots; what it asked for is then so.", kHard, true, t::kAttributes, {F::kOutcome, F::kVms, F::kAttributes}, "invariants.md A6; kvm.md 3", check::conversion_needs_no_slot, nullptr},
    {"A7", "attributes.leave_rmp", "A conversion changes no RMP entry: neither owner nor acceptance (G11: nor contents).", kHard, true, t::kAttributes, {F::kRmp}, "invariants.md A7; kvm.md 3", check::conversion_leaves_rmp, nullptr},

    {"G1", "gmem.binding_matches_slot", "A slot with a guest_memfd has exactly its pages bound, and every bound page has its slot.", kQuiescent, true, t::kFile, {F::kGmem, F::kSlots}, "invariants.md G1; kvm.md 1.4", check::binding_matches_slot, check::audit_as_check<check::binding_matches_slot>},
    {"G2", "gmem.resident_pages_add_up", "The pages of all files are the frames that files hold.", kHard, true, t::kFrames | t::kGmemPages, {F::kGmem, F::kFrames}, "invariants.md G2", check::resident_pages_add_up, check::audit_gmem_pages},
    {"G3", "gmem.page_cache_reference_only", "At rest only the page cache holds a page: KVM keeps no reference per mapping.", kQuiescent, true, t::kGmemPages, {F::kGmem}, "invariants.md G3; kvm.md 1.5", check::page_cache_reference_only, check::audit_gmem_pages},
    {"G4", "gmem.vm_users_add_up", "A VM's users are its descriptor, its vCPUs and its open files; slots are none.", kQuiescent, true, t::kFile, {F::kVms, F::kGmem}, "invariants.md G4; kvm.md 1.1", check::vm_users_add_up, check::audit_as_check<check::vm_users_add_up>},
    {"G5", "gmem.frame_has_one_index", "A frame belongs to at most one page of one file, and both sides say so.", kHard, true, t::kFrames | t::kGmemPages, {F::kGmem, F::kFrames}, "invariants.md G5", check::frame_has_one_index, check::audit_gmem_pages},
    {"G6", "gmem.size_is_fixed", "A file's size never changes and no page lies beyond it.", kHard, true, t::kFile | t::kGmemPages, {F::kGmem}, "invariants.md G6; kvm.md 1.3", check::size_is_fixed, nullptr},
    {"G7", "gmem.fresh_page_is_zero", "A page that was punched out is gone, and one that comes into use holds zeros until somebody writes it.", kHard, true, t::kGmemPages | t::kFile, {F::kGmem, F::kContents}, "invariants.md G7; kvm.md 1.5", check::fresh_page_is_zero, nullptr},
    {"G8", "gmem.allocation_is_whole_or_prefix", "A successful allocation has every page; a failed one keeps a prefix.", kHard, true, t::kFile, {F::kGmem, F::kOutcome}, "invariants.md G8; kvm.md 1.3", check::allocation_is_whole_or_prefix, nullptr},
    {"G9", "gmem.pages_outlive_slots", "Pages go by hole or last close only, and the last close frees all.", kHard, true, t::kGmemPages | t::kFile, {F::kGmem}, "invariants.md G9; kvm.md 1.4", check::pages_outlive_slots, nullptr},
    {"G10", "gmem.freed_once_invalidated", "Before a page is freed the architecture takes it back from the guest exactly once.", kHard, true, t::kFrames, {F::kEvents}, "invariants.md G10; kvm.md 1.3", check::freed_once_invalidated, nullptr},
    {"G11", "gmem.conversion_keeps_contents", "Changing attributes neither changes nor frees a page of a file.", kHard, true, t::kFrames | t::kGmemPages, {F::kGmem, F::kContents}, "invariants.md G11; kvm.md 3", check::conversion_keeps_contents, nullptr},

    {"W4", "pre_fault.maps_what_was_asked", "A pre-fault that succeeds has mapped the address it was given, in the address space of its vCPU.", kHard, true, t::kPreFault, {F::kOutcome, F::kLeaves, F::kVms}, "invariants.md W4; bugs.md 3", check::maps_what_was_asked, nullptr},
    {"W5", "pre_fault.leaves_vcpu", "A pre-fault leaves the vCPU as user space left it: its mode, its CPUID, whether it has run.", kHard, true, t::kPreFault, {F::kVms}, "invariants.md W5", check::leaves_vcpu, nullptr},
    {"P1", "pre_fault.progress_adds_up", "Address and remaining size advance together, page by page.", kHard, true, t::kPreFault, {F::kOutcome}, "invariants.md P1; kvm.md 4", check::progress_adds_up, nullptr},
    {"P2", "pre_fault.success_means_progress", "Success has done a page or more; failure returns the range as it was.", kHard, true, t::kPreFault, {F::kOutcome}, "invariants.md P2; kvm.md 4", check::success_means_progress, nullptr},
    {"P3", "pre_fault.everything_mapped", "When nothing is left, the whole range is present in the vCPU's root.", kConditional, true, t::kPreFault, {F::kOutcome, F::kLeaves}, "invariants.md P3", check::everything_mapped, nullptr},
    {"P4", "pre_fault.stays_in_slot", "Nothing is mapped outside the slot, nor outside the range except by a huge page.", kHard, true, t::kPreFault, {F::kLeaves, F::kSlots}, "invariants.md P4; kvm.md 4", check::stays_in_slot, nullptr},
    {"P5", "pre_fault.changes_only_mappings", "Attributes and acceptance stay as they were.", kHard, true, t::kPreFault, {F::kAttributes, F::kRmp}, "invariants.md P5; kvm.md 4", check::changes_only_mappings, nullptr},
    {"P6", "pre_fault.not_before_allowed", "Before the launch is finished it does nothing.", kHard, true, t::kPreFault, {F::kVms, F::kLeaves}, "invariants.md P6; bugs.md 5", check::not_before_allowed, nullptr},
    {"P7", "pre_fault.idempotent", "A leaf that is present stays the same.", kHard, true, t::kPreFault, {F::kLeaves}, "invariants.md P7; kvm.md 4", check::idempotent, nullptr},
    {"P8", "pre_fault.ends_when_slot_goes", "It ends when its slot is deleted beneath it (from 6.18).", kHard, true, t::kProgress, {F::kProgress}, "invariants.md P8; bugs.md 1", check::ends_when_slot_goes, nullptr},
    {"P9", "pre_fault.prefix_is_mapped", "Everything before the returned address is mapped, and the page there was not mapped for the call.", kHard, true, t::kPreFault, {F::kOutcome, F::kLeaves}, "invariants.md P9", check::prefix_is_mapped, nullptr},

    {"X5", "exit.memory_fault_format", "KVM_EXIT_MEMORY_FAULT names one page, has no flag but PRIVATE, and comes with an errno that fits.", kHard, true, t::kExits, {F::kOutcome}, "invariants.md X5; kvm.md 5", check::memory_fault_format, nullptr},
    {"X6", "exit.mismatch_says_access", "An exit for a page of the other kind says what the guest wanted, not what the page is.", kHard, true, t::kExits, {F::kOutcome, F::kAttributes}, "invariants.md X6; kvm.md 5 row 6", check::mismatch_says_access, nullptr},
    {"X7", "exit.conversion_helps", "Where user space has made the page what the exit asked for, the same access has no such exit again.", kConditional, true, t::kExits, {F::kOutcome, F::kAttributes}, "invariants.md X7", check::conversion_helps, nullptr},

    {"L1", "launch.only_launched_pages", "Between LAUNCH_START and LAUNCH_FINISH the guest's frames are those launched, all of them accepted, and its VMSAs.", kHard, true, t::kRmp, {F::kRmp, F::kVms, F::kGmem}, "invariants.md L1; snp_host.md 7", check::only_launched_pages, nullptr},
    {"L2", "launch.failed_page_goes_back", "A page whose LAUNCH_UPDATE failed is the hypervisor's again, or leaked with its VM dead.", kHard, true, t::kLaunch, {F::kRmp, F::kVms}, "invariants.md L2; snp_host.md 7", check::failed_page_goes_back, nullptr},
    {"L3", "launch.page_is_launched_once", "LAUNCH_UPDATE of a page that is the guest's already fails and leaves it alone.", kHard, true, t::kLaunch, {F::kRmp, F::kGmem}, "invariants.md L3; kvm.md 1.6", check::page_is_launched_once, nullptr},
    {"L4", "launch.nothing_stays_assigned", "When a VM and its files are gone, no frame is assigned to its ASID but leaked ones.", kQuiescent, true, t::kVms, {F::kRmp, F::kVms, F::kFrames}, "invariants.md L4; snp_host.md 7", check::nothing_stays_assigned, check::audit_nothing_stays_assigned},
    {"L5", "launch.dead_vm_is_frozen", "Every ioctl of a dead VM answers EIO and changes nothing.", kHard, true, t::kDeadVm, {F::kOutcome, F::kVms, F::kFrames}, "invariants.md L5; kvm.md 0", check::dead_vm_is_frozen, nullptr},

    {"C1", "contents.private_page_is_its_owners", "A private page changes only by its guest, by its launch or by going away.", kHard, false, t::kFrames, {F::kContents, F::kRmp, F::kGmem}, "invariants.md C1; rmp.md 5", check::private_page_is_its_owners, nullptr},
    {"C5", "contents.next_owner_finds_zeros", "A frame that user space gets shows nothing of who had it (G7: nor does a file's page).", kHard, true, t::kFrames, {F::kContents, F::kFrames}, "invariants.md C5; kvm.md 1.5", check::next_owner_finds_zeros, nullptr},
    {"C2", "contents.host_reads_no_private_token", "The host never reads a token that only a guest has written, to its private memory.", kHard, false, t::kAccess, {F::kOutcome, F::kVms, F::kAttributes}, "invariants.md C2; rmp.md 5", check::nothing_to_see, nullptr, check::host_reads_no_private_token},
    {"C6", "contents.loss_is_loud", "Where the guest keeps the order, it reads a page that was taken from it only after it has accepted it anew.", kConditional, false, t::kAccess, {F::kOutcome, F::kRmp}, "invariants.md C6; snp_host.md 10", check::nothing_to_see, nullptr, check::loss_is_loud},
    {"C3", "contents.guest_reads_what_it_wrote", "Where the guest keeps the order, a private page reads as it was last written: nothing older, no other page.", kConditional, false, t::kAccess, {F::kOutcome, F::kRmp}, "invariants.md C3; rmp.md 5", check::nothing_to_see, nullptr, check::guest_reads_what_it_wrote},
    {"C4", "contents.shared_page_is_one", "At rest guest and host see the same in a shared page.", kQuiescent, false, t::kAccess, {F::kOutcome, F::kSlots, F::kContents}, "invariants.md C4; kvm.md 5", check::shared_page_is_one, nullptr},

    {"X1", "psc.exits_are_what_was_done", "What user space converted for a request is what its entries say is done, page by page.", kHard, false, t::kPsc, {F::kPsc}, "invariants.md X1; snp_host.md 5.3", check::psc_exits_are_what_was_done, check::audit_as_check<check::psc_exits_are_what_was_done>},
    {"X2", "psc.entries_go_forward", "Where nobody else writes the buffer, cur_entry never falls and ends at most one behind end_entry.", kConditional, false, t::kPsc, {F::kPsc}, "invariants.md X2; snp_host.md 5.3", check::psc_entries_go_forward, nullptr},
    {"X3", "psc.no_batch_without_exit", "KVM counts entries as under way only while user space has their exit.", kHard, false, t::kPsc, {F::kPsc}, "invariants.md X3; snp_host.md 5.4", check::psc_no_batch_without_exit, check::audit_as_check<check::psc_no_batch_without_exit>},
    {"X4", "psc.index_within_buffer", "KVM touches no entry beyond the end of the shared buffer.", kHard, false, t::kPsc, {F::kPsc}, "invariants.md X4; bugs.md 65, 69", check::psc_index_within_buffer, check::audit_as_check<check::psc_index_within_buffer>},
    {"X8", "guest.accepted_page_takes_no_vc", "Where the guest keeps the order and the host takes only what it is asked for, an accepted page takes no #VC 0x404.", kConditional, false, t::kNotValidated, {F::kOutcome, F::kRmp}, "invariants.md X8; snp_host.md 10", check::accepted_page_takes_no_vc, nullptr},

    {"T1", "tlb.flushed_after_zap", "Once a zap is flushed, or its operation over, no vCPU has cached what its page tables say no more, nor a right to write that they took away, nor another VMSA than its VMCB names.", kHard, false, t::kFlush | t::kVmsa, {F::kTranslations, F::kLeaves, F::kEvents}, "invariants.md T1; kvm.md 7; bugs.md 49", check::flushed_after_zap, check::audit_as_check<check::flushed_after_zap>},
    {"T2", "tlb.assignment_ends_guest_writes", "After an RMPUPDATE no guest has a translation cached by which it could make a write that the RMP refuses now.", kHard, false, t::kRmp, {F::kTranslations, F::kRmp}, "invariants.md T2; rmp.md 4.2 row 10", check::assignment_ends_guest_writes, nullptr},
    {"T3", "tlb.assignment_ends_host_writes", "When a frame is assigned, the host has no translation cached by which it could still write it: not the direct map's change sees to that, which need not be flushed, but the assignment.", kConditional, false, t::kRmp, {F::kTranslations, F::kRmp}, "invariants.md T3; rmp.md 4.2 row 10", check::assignment_ends_host_writes, nullptr},
    {"T4", "tlb.flushed_before_frame_is_free", "A frame is free only after every translation that leads to it was flushed.", kHard, false, t::kFrames, {F::kTranslations, F::kFrames, F::kEvents}, "invariants.md T4", check::flushed_before_frame_is_free, nullptr},

    {"H2", "host.lives", "The host never writes to an assigned frame.", kHard, true, t::kHost, {F::kHost}, "invariants.md H2; snp_host.md 2", check::host_lives, nullptr},

    {"W1", "progress.no_deadlock", "The wait-for graph has no cycle.", kHard, false, t::kProgress, {F::kProgress}, "invariants.md W1; kvm.md 10", check::no_deadlock, check::audit_as_check<check::no_deadlock>},
    {"W2", "progress.no_livelock", "Every call returns when its actors are scheduled fairly; KVM_RUN of a vCPU that the guest has stopped need not.", kHard, false, t::kProgress, {F::kProgress}, "invariants.md W2; bugs.md 47", check::no_livelock, check::audit_as_check<check::no_livelock>},
    {"W3", "progress.fault_is_resolved", "A vCPU does not meet the same fault for ever with nobody told.", kConditional, true, t::kFaultLoop, {F::kEvents, F::kRmp, F::kGmem}, "invariants.md W3; snp_host.md 4, whose unhandled rows are known upstream", check::fault_is_resolved, nullptr},
}};
// clang-format on

std::optional<std::size_t> find_invariant(std::string_view name_or_id) {
  for (std::size_t i = 0; i < kInvariants.size(); ++i) {
    if (kInvariants[i].name == name_or_id || kInvariants[i].id == name_or_id) return i;
  }
  return std::nullopt;
}

}  // namespace sluice::oracle
