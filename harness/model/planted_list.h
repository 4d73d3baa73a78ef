// The list of planted bugs, one row each: enumerator, name, the invariant that the oracle must
// report (by name, oracle/invariant_list.h), what is wrong. model/planted.h makes the rest of it.
#pragma once

// clang-format off
#define SLUICE_PLANTED_BUGS(ROW) \
  /* The machine and SNP. */ \
  ROW(kRmpKeepsValidated, "rmp_keeps_validated", "rmp.change_clears_validated", \
      "RMPUPDATE that changes the owner leaves Validated set") \
  ROW(kPvalidateSkipsOwnership, "pvalidate_skips_ownership", "rmp.validated_implies_assigned", \
      "PVALIDATE does not ask whose frame it is") \
  ROW(kUnassignedKeepsAsid, "unassigned_keeps_asid", "rmp.unassigned_is_blank", \
      "RMPUPDATE that takes a frame back leaves its ASID in the entry") \
  ROW(kRmpUpdateIgnoresImmutable, "rmpupdate_ignores_immutable", "rmp.immutable_unchanged", \
      "RMPUPDATE does not look at Immutable") \
  ROW(kRmpUpdateValidates, "rmpupdate_validates", "rmp.validated_by_guest_or_firmware", \
      "RMPUPDATE that repeats an assignment sets Validated") \
  ROW(kOverlapAccepted, "overlap_accepted", "rmp.large_entry_is_whole", \
      "RMPUPDATE makes a 2 MiB entry over frames that are assigned") \
  ROW(kSmashForgetsValidated, "smash_forgets_validated", "rmp.smash_preserves", \
      "PSMASH leaves its pieces unvalidated") \
  ROW(kSmashKeepsGpa, "smash_keeps_gpa", "rmp.smash_preserves", \
      "PSMASH gives every piece the address of the first") \
  ROW(kFreeKeepsAssigned, "free_keeps_assigned", "rmp.validated_gpa_is_unique", \
      "a page that leaves a guest_memfd stays assigned to its guest") \
  ROW(kReleaseMiscounts, "release_miscounts", "rmp.one_owner", \
      "a frame that becomes free is not counted as free") \
  ROW(kRmpAdjustIgnoresMask, "rmpadjust_ignores_mask", "rmp.masks_follow_caller", \
      "RMPADJUST gives a VMPL rights that its caller does not have") \
  ROW(kVmsaMayBeAligned, "vmsa_may_be_aligned", "rmp.in_use_not_aligned", \
      "a VMSA page may be 2 MiB aligned") \
  ROW(kAssignSkipsSplit, "assign_skips_split", "host.assigned_frame_is_split_out", \
      "a frame is assigned behind a large page of the direct map") \
  ROW(kSplitAfterAssign, "split_after_assign", "host.split_before_assignment", \
      "the direct map is split after RMPUPDATE") \
  ROW(kShareMergesDirectMap, "share_merges_direct_map", "host.direct_map_never_merges", \
      "a frame that becomes shared takes the direct map's split with it") \
  ROW(kZeroAfterPrepare, "zero_after_prepare", "host.lives", \
      "a fresh page is zeroed when it is the guest's already") \
  ROW(kInvalidateStopsShort, "invalidate_stops_short", "host.freed_frame_is_shared", \
      "the last page of a freed range stays assigned to its guest") \
  ROW(kLeakAfterSuccess, "leak_after_success", "host.leaked_after_refusal", \
      "a page that became shared is leaked all the same") \
  ROW(kFreeSkipsFlush, "free_skips_flush", "host.flushed_before_free", \
      "a page is freed with its last lines still in the caches") \
  /* Generic KVM. */ \
  ROW(kFaultSkipsRetryCheck, "fault_skips_retry_check", "invalidation.install_is_fresh", \
      "a fault installs its page without looking for an invalidation since") \
  ROW(kFaultIgnoresInProgress, "fault_ignores_in_progress", "invalidation.install_is_fresh", \
      "a fault looks at the sequence number, not at invalidations under way") \
  ROW(kSnapshotTakenLate, "snapshot_taken_late", "npt.kind_is_attribute", \
      "a fault reads the sequence number after it looked the page up") \
  ROW(kInvalidateEndKeepsSeq, "invalidate_end_keeps_seq", "invalidation.seq_counts_ends", \
      "the end of an invalidation does not raise mmu_invalidate_seq") \
  ROW(kZapFirstRootOnly, "zap_first_root_only", "npt.hole_has_no_leaf", \
      "a zap ends after the first root in which it found something") \
  ROW(kDeleteSkipsZap, "delete_skips_zap", "npt.deleted_slot_has_no_leaf", \
      "a slot is deleted, its leaves stay") \
  ROW(kDeleteSkipsGracePeriod, "delete_skips_grace_period", "npt.leaf_has_a_slot", \
      "a slot is zapped without waiting for faults that still see it") \
  ROW(kAttributesSkipZap, "attributes_skip_zap", "npt.kind_is_attribute", \
      "a conversion does not zap") \
  ROW(kPunchSkipsZap, "punch_skips_zap", "npt.hole_has_no_leaf", \
      "a punched hole keeps its leaves") \
  ROW(kPreFaultChangesLeaf, "pre_fault_changes_leaf", "pre_fault.idempotent", \
      "a pre-fault takes write permission from a leaf that is present") \
  ROW(kPreFaultBeforeAllowed, "pre_fault_before_allowed", "pre_fault.not_before_allowed", \
      "a pre-fault works before LAUNCH_FINISH") \
  ROW(kPreFaultOvercounts, "pre_fault_overcounts", "pre_fault.everything_mapped", \
      "a pre-fault reports the whole range done after its first page") \
  ROW(kPreFaultForgetsProgress, "pre_fault_forgets_progress", "pre_fault.progress_adds_up", \
      "a pre-fault advances gpa but writes the old size back") \
  ROW(kPreFaultErrorAfterProgress, "pre_fault_error_after_progress", "pre_fault.success_means_progress", \
      "a pre-fault that fails after some pages returns the errno, not 0") \
  ROW(kPreFaultCountsFailedPage, "pre_fault_counts_failed_page", "pre_fault.prefix_is_mapped", \
      "a pre-fault counts the page at which it failed as done") \
  ROW(kPreFaultPastSlotEnd, "pre_fault_past_slot_end", "pre_fault.stays_in_slot", \
      "a pre-fault of a slot's last page maps the page behind it, too") \
  ROW(kPreFaultMakesPrivate, "pre_fault_makes_private", "pre_fault.changes_only_mappings", \
      "a pre-fault of a shared page makes it private") \
  ROW(kPreFaultRetriesDeletedSlot, "pre_fault_retries_deleted_slot", "pre_fault.ends_when_slot_goes", \
      "a pre-fault of a slot under deletion retries for ever in 6.18, too") \
  ROW(kGmemLockOverGracePeriod, "gmem_lock_over_grace_period", "progress.no_deadlock", \
      "faults take the invalidate_lock that a deletion holds while it waits for them") \
  ROW(kRetryKeepsSnapshot, "retry_keeps_snapshot", "progress.no_livelock", \
      "a fault that starts over compares with the sequence number of its first attempt") \
  ROW(kPreFaultChecksRetryOnce, "pre_fault_checks_retry_once", "invalidation.install_is_fresh", \
      "a pre-fault that started over once compares no sequence number any more") \
  ROW(kPunchSkipsArchInvalidate, "punch_skips_arch_invalidate", "gmem.freed_once_invalidated", \
      "a page leaves the page cache without the architecture's hook") \
  ROW(kArchInvalidateTwice, "arch_invalidate_twice", "gmem.freed_once_invalidated", \
      "the architecture's hook runs twice for a page") \
  ROW(kPunchLosesFrame, "punch_loses_frame", "gmem.resident_pages_add_up", \
      "a page leaves the page cache but its frame is never freed") \
  ROW(kCloseKeepsPages, "close_keeps_pages", "gmem.pages_outlive_slots", \
      "pages survive the last close of their file") \
  ROW(kDeleteFreesPages, "delete_frees_pages", "gmem.pages_outlive_slots", \
      "deleting a slot frees the pages it was bound to") \
  ROW(kFaultKeepsFolioReference, "fault_keeps_folio_reference", "gmem.page_cache_reference_only", \
      "a fault never drops its reference to the folio") \
  ROW(kFreshPageNotZeroed, "fresh_page_not_zeroed", "gmem.fresh_page_is_zero", \
      "a fresh page shows what its frame held before") \
  ROW(kDeleteKeepsBinding, "delete_keeps_binding", "gmem.binding_matches_slot", \
      "deleting a slot leaves its guest_memfd range bound") \
  ROW(kBindingHoldsVm, "binding_holds_vm", "gmem.vm_users_add_up", \
      "binding a guest_memfd takes a reference to the VM") \
  ROW(kFrameOfOtherIndex, "frame_of_other_index", "gmem.frame_has_one_index", \
      "a fresh page gets its frame under its neighbor's index") \
  ROW(kAllocateGrowsFile, "allocate_grows_file", "gmem.size_is_fixed", \
      "an allocation beyond the end makes the file longer") \
  ROW(kAllocateSkipsLastPage, "allocate_skips_last_page", "gmem.allocation_is_whole_or_prefix", \
      "an allocation reports success without its last page") \
  ROW(kConversionWipesPages, "conversion_wipes_pages", "gmem.conversion_keeps_contents", \
      "a conversion to shared wipes what the private pages held") \
  ROW(kInvalidateNeverEnds, "invalidate_never_ends", "invalidation.is_balanced", \
      "the end of an invalidation leaves mmu_invalidate_in_progress raised") \
  ROW(kSharedIsStored, "shared_is_stored", "attributes.private_or_absent", \
      "a large range that becomes shared keeps its entries, with the value 0") \
  ROW(kAttributesFailLate, "attributes_fail_late", "attributes.refusal_changes_nothing", \
      "a conversion looks at its flags after it is done") \
  ROW(kAttributesAlwaysInvalidate, "attributes_always_invalidate", "attributes.repeat_counts_nothing", \
      "a conversion to what is there already invalidates") \
  ROW(kMixedNotRecomputed, "mixed_not_recomputed", "attributes.mixed_means_both_kinds", \
      "a conversion of part of a block leaves its mixed bit as it was") \
  ROW(kDeleteClearsAttributes, "delete_clears_attributes", "attributes.belong_to_vm", \
      "deleting a slot makes its GFNs shared") \
  ROW(kAttributesNeedSlot, "attributes_need_slot", "attributes.need_no_slot", \
      "a conversion is refused where no slot is") \
  ROW(kConversionTouchesRmp, "conversion_touches_rmp", "attributes.leave_rmp", \
      "a conversion to shared takes the frames back from the guest") \
  ROW(kPunchForgetsRange, "punch_forgets_range", "invalidation.has_a_range", \
      "a punched hole raises mmu_invalidate_in_progress without its range") \
  ROW(kBindSkipsLock, "bind_skips_lock", "invalidation.slots_are_stable", \
      "a slot is bound without the file's invalidate_lock") \
  ROW(kPunchUnboundCounts, "punch_unbound_counts", "invalidation.unbound_hole_is_silent", \
      "a hole that no slot can see raises the sequence number") \
  ROW(kGenerationCountsByOne, "generation_counts_by_one", "invalidation.generation_parity", \
      "the memslot generation rises by one, whatever the number of address spaces") \
  ROW(kLongRootMapsNeighbor, "long_root_maps_neighbor", "npt.roots_agree", \
      "a root of five levels maps the frame behind the right one") \
  ROW(kHugeLeafOverMixed, "huge_leaf_over_mixed", "npt.huge_leaf_is_uniform", \
      "a huge leaf does not ask whether its block is mixed") \
  ROW(kHugeLeafBeyondSlot, "huge_leaf_beyond_slot", "npt.huge_leaf_fits", \
      "a huge leaf does not ask where its slot ends") \
  ROW(kFileIndexIgnoresOffset, "file_index_ignores_offset", "npt.leaf_follows_slot", \
      "a fault finds its page in the file without the slot's offset (bugs.md 31)") \
  ROW(kDeleteZapsAll, "delete_zaps_all", "npt.delete_spares_others", \
      "deleting a slot zaps the whole VM, of whatever type (bugs.md 42)") \
  ROW(kFaultMovesHostPage, "fault_moves_host_page", "npt.frame_changes_through_zap", \
      "a pre-fault gives a shared page another frame and maps it over the old one") \
  ROW(kRmpLevelIgnored, "rmp_level_ignored", "npt.level_within_rmp", \
      "a private leaf may be larger than its RMP entry") \
  ROW(kPrepareOfOtherGfn, "prepare_of_other_gfn", "npt.private_leaf_is_assigned", \
      "a frame is assigned for the address behind the one that is mapped") \
  ROW(kPrivateVmHasSmm, "private_vm_has_smm", "npt.one_address_space", \
      "a VM with private memory has an address space for SMM") \
  ROW(kRootsNotShared, "roots_not_shared", "npt.root_count", \
      "a vCPU never finds the root that another one of its role has made") \
  ROW(kPrefetchSetsAccessed, "prefetch_sets_accessed", "npt.prefetch_is_not_accessed", \
      "a pre-fault marks its leaves accessed") \
  ROW(kMemoryFaultIsBlockSized, "memory_fault_is_block_sized", "exit.memory_fault_format", \
      "KVM_EXIT_MEMORY_FAULT reports 2 MiB") \
  ROW(kMismatchSaysAttribute, "mismatch_says_attribute", "exit.mismatch_says_access", \
      "KVM_EXIT_MEMORY_FAULT tells what the page is, not what the guest wanted") \
  ROW(kFaultIgnoresCBit, "fault_ignores_c_bit", "exit.conversion_helps", \
      "a fault of an SNP guest counts as what its page is not, whatever the C bit") \
  ROW(kLaunchSkipsFirmware, "launch_skips_firmware", "launch.only_launched_pages", \
      "LAUNCH_UPDATE assigns a page and never hands it to firmware") \
  ROW(kLaunchFailureKeepsPage, "launch_failure_keeps_page", "launch.failed_page_goes_back", \
      "a page that firmware refuses stays assigned") \
  ROW(kLaunchTwice, "launch_twice", "launch.page_is_launched_once", \
      "LAUNCH_UPDATE does not ask whether a page is assigned already") \
  ROW(kDestroyKeepsVmsa, "destroy_keeps_vmsa", "launch.nothing_stays_assigned", \
      "a VMSA page stays the guest's when its VM goes") \
  ROW(kDeadVmWorks, "dead_vm_works", "launch.dead_vm_is_frozen", \
      "a refused LAUNCH_UPDATE kills the VM, whose ioctls go on working") \
  /* Page state changes. */ \
  ROW(kPscBatchMixesOperations, "psc_batch_mixes_operations", "psc.exits_are_what_was_done", \
      "a batch takes in entries that ask for the other state and marks them done") \
  ROW(kPscIgnoresReply, "psc_ignores_reply", "psc.exits_are_what_was_done", \
      "a batch that user space refused is marked done") \
  ROW(kPscSkipsTwo, "psc_skips_two", "psc.entries_go_forward", \
      "an entry with nothing left to do advances cur_entry by two") \
  ROW(kPscKeepsBatch, "psc_keeps_batch", "psc.no_batch_without_exit", \
      "a request that ends in an error leaves its batch counted") \
  ROW(kPscBoundFromProtocol, "psc_bound_from_protocol", "psc.index_within_buffer", \
      "indices are checked against the protocol's 253 entries, not the buffer's (bugs.md 65)") \
  ROW(kPscReadsHeaderTwice, "psc_reads_header_twice", "psc.index_within_buffer", \
      "end_entry is checked and then read again (bugs.md 69)") \
  ROW(kPscTakesScratchOutside, "psc_takes_scratch_outside", "psc.index_within_buffer", \
      "a version 2 guest may have its buffer outside of the GHCB (bugs.md 66)") \
  ROW(kPscLengthIgnoresHeader, "psc_length_ignores_header", "psc.index_within_buffer", \
      "the header's bytes count as room for an entry (bugs.md 67)") \
  ROW(kLoggedSlotMapsHuge, "logged_slot_maps_huge", "npt.logged_leaf_is_small", \
      "a fault does not ask whether its slot logs dirty pages before it maps a huge page") \
  ROW(kLoggingKeepsHugeLeaves, "logging_keeps_huge_leaves", "npt.logged_leaf_is_small", \
      "huge leaves stay when dirty logging is turned on") \
  ROW(kMmapIgnoresInitShared, "mmap_ignores_init_shared", "host.user_maps_shared_only", \
      "a fault of user space does not ask whether the guest_memfd was made to be shared") \
  ROW(kAttributesSkipFlush, "attributes_skip_flush", "tlb.flushed_after_zap", \
      "a conversion zaps and does not flush") \
  ROW(kDeleteSkipsFlush, "delete_skips_flush", "tlb.flushed_after_zap", \
      "deleting a slot zaps its leaves and does not flush") \
  ROW(kPunchSkipsFlush, "punch_skips_flush", "tlb.flushed_after_zap", \
      "punching a hole zaps and does not flush") \
  ROW(kNotifierSkipsFlush, "notifier_skips_flush", "tlb.flushed_after_zap", \
      "the notifier zaps what user space unmaps and does not flush") \
  ROW(kRmpFixSkipsFlush, "rmp_fix_skips_flush", "tlb.flushed_after_zap", \
      "the fix-up after PSMASH zaps and does not flush") \
  ROW(kLoggingSkipsFlush, "logging_skips_flush", "tlb.flushed_after_zap", \
      "dirty logging takes write permission and does not flush") \
  ROW(kRmpUpdateKeepsGuestTranslations, "rmpupdate_keeps_guest_translations", "tlb.assignment_ends_guest_writes", \
      "RMPUPDATE leaves translations of guests cached") \
  ROW(kRmpUpdateKeepsHostTranslations, "rmpupdate_keeps_host_translations", "tlb.assignment_ends_host_writes", \
      "RMPUPDATE leaves translations of the host cached") \
  ROW(kPunchFlushesLate, "punch_flushes_late", "tlb.flushed_before_frame_is_free", \
      "punching a hole flushes after its pages are free") \
  ROW(kMunmapSkipsFlush, "munmap_skips_flush", "tlb.flushed_before_frame_is_free", \
      "munmap frees pages that the processor can still reach by their old addresses") \
  ROW(kReclaimPunchesNeighbor, "reclaim_punches_neighbor", "gmem.pages_outlive_slots", \
      "user space punches one page more than what it converted") \
  /* Contents, and what a pre-fault or a fix-up leaves behind. */ \
  ROW(kFaultZeroesAgain, "fault_zeroes_again", "contents.private_page_is_its_owners", \
      "a fault zeroes its page although it is up to date") \
  ROW(kHostPageNotZeroed, "host_page_not_zeroed", "contents.next_owner_finds_zeros", \
      "a fresh page of user space shows what its frame held before") \
  ROW(kGuestDropsCBit, "guest_drops_c_bit", "contents.host_reads_no_private_token", \
      "a guest's page tables lack the C bit where it writes private data") \
  ROW(kVcHandlerSkipsAccess, "vc_handler_skips_access", "contents.loss_is_loud", \
      "a guest's #VC handler steps over an access to a page that is not validated") \
  ROW(kAccessSkipsReverseMap, "access_skips_reverse_map", "contents.guest_reads_what_it_wrote", \
      "an access does not ask at which address the frame was assigned") \
  ROW(kSlotPagesArePinned, "slot_pages_are_pinned", "contents.shared_page_is_one", \
      "the pages of a slot are pinned: munmap leaves the guest's leaves and their frames") \
  ROW(kPreFaultIgnoresAliasBit, "pre_fault_ignores_alias_bit", "pre_fault.maps_what_was_asked", \
      "a pre-fault drops the shared bit of its address and maps the alias (bugs.md 3)") \
  ROW(kPreFaultMarksRun, "pre_fault_marks_run", "pre_fault.leaves_vcpu", \
      "a vCPU that was pre-faulted counts as having run") \
  ROW(kRmpFaultNotSmashed, "rmp_fault_not_smashed", "progress.fault_is_resolved", \
      "an RMP fault on a 2 MiB entry leaves it whole (bugs.md 91)") \
  ROW(kAcceptTruncatesCount, "accept_truncates_count", "guest.accepted_page_takes_no_vc", \
      "a guest keeps the number of pages to accept in too few bits (bugs.md 75, scaled down)") \
  /* Adversity. */ \
  ROW(kSignalForgetsPreFault, "signal_forgets_pre_fault", "pre_fault.success_means_progress", \
      "a pre-fault that a signal ends after some pages returns EINTR, not 0") \
  ROW(kSignalFreesFirstPage, "signal_frees_first_page", "gmem.allocation_is_whole_or_prefix", \
      "an allocation that a signal ends gives back its first page, and keeps the others") \
  ROW(kSignalCountsPage, "signal_counts_page", "launch.only_launched_pages", \
      "a LAUNCH_UPDATE that a signal ends counts the page before which it stopped") \
  ROW(kNoMemoryKeepsVm, "no_memory_keeps_vm", "gmem.vm_users_add_up", \
      "a vCPU that could not be allocated keeps its reference to the VM") \
  ROW(kFailedBindIsPartial, "failed_bind_is_partial", "gmem.binding_matches_slot", \
      "a bind without memory leaves what it has stored (bugs.md 30)") \
  ROW(kNoMemoryKeepsBinding, "no_memory_keeps_binding", "gmem.binding_matches_slot", \
      "a slot without memory for its metadata is not made, its guest_memfd range stays bound") \
  ROW(kNoMemoryConvertsFirst, "no_memory_converts_first", "attributes.refusal_changes_nothing", \
      "a conversion without memory has stored its first page") \
  /* TDX. */ \
  ROW(kTdFaultMapsNeighbor, "td_fault_maps_neighbor", "td.frame_has_one_entry", \
      "a fault gives its frame to the GFN behind, too, and the TDX module lets it") \
  ROW(kTdRemoveSkipsTrack, "td_remove_skips_track", "td.removed_after_track", \
      "a page is removed without TRACK, and the TDX module does not ask") \
  ROW(kTdAugAccepts, "td_aug_accepts", "td.mapped_by_accept", \
      "PAGE.AUG gives a finalized TD a page that it need not accept") \
  ROW(kTdAddsFirstSource, "td_adds_first_source", "td.added_from_its_source", \
      "every page of a region is added from the region's first source page") \
  ROW(kTdZapKeepsEntry, "td_zap_keeps_entry", "td.host_keeps_off", \
      "a zap takes the leaf from the mirror and leaves the page in the secure EPT") \
  ROW(kTdFaultSkipsAug, "td_fault_skips_aug", "td.mirror_agrees", \
      "a fault maps its page in the mirror and not in the secure EPT") \
  ROW(kTdNotifierZapsPrivate, "td_notifier_zaps_private", "contents.private_page_is_its_owners", \
      "munmap zaps what a slot's private half maps (bugs.md 41)") \
  ROW(kTdDeleteZapsAll, "td_delete_zaps_all", "npt.delete_spares_others", \
      "deleting a slot of a TD removes the private pages of all (bugs.md 42)") \
  ROW(kTdPreFaultMapsAlias, "td_pre_fault_maps_alias", "pre_fault.maps_what_was_asked", \
      "a pre-fault takes an address with the SHARED bit, after 6.16, too (bugs.md 3)") \
  /* Roots. */ \
  ROW(kRoleChangeKeepsRoot, "role_change_keeps_root", "pre_fault.maps_what_was_asked", \
      "a vCPU keeps its root when SMM or its CPUID ask for another one") \
  ROW(kZapSkipsIdleRoots, "zap_skips_idle_roots", "npt.hole_has_no_leaf", \
      "a zap looks only at roots that some vCPU has loaded") \
  ROW(kNotifierSkipsSmm, "notifier_skips_smm", "npt.leaf_follows_slot", \
      "the notifier does not zap in roots for SMM (bugs.md 17)") \
  ROW(kPreFaultForgetsSmm, "pre_fault_forgets_smm", "npt.leaf_has_a_slot", \
      "a pre-fault in SMM looks its slot up in the first address space") \
  ROW(kPreFaultFillsPreviousRoot, "pre_fault_fills_previous_root", "pre_fault.maps_what_was_asked", \
      "a pre-fault in guest mode maps into the root of the vCPU's other mode") \
  ROW(kPreFaultInNestedGuest, "pre_fault_in_nested_guest", "pre_fault.maps_what_was_asked", \
      "a pre-fault does not ask whether L2 runs under nested paging (bugs.md 7)") \
  ROW(kObsoleteRootIsUsed, "obsolete_root_is_used", "invalidation.install_is_fresh", \
      "a vCPU goes on with a root that has become invalid") \
  ROW(kObsoletePreviousRootStays, "obsolete_previous_root_stays", "npt.root_count", \
      "only the root in use is asked whether it is obsolete (bugs.md 22)") \
  ROW(kStaleRootIsOverlooked, "stale_root_is_overlooked", "invalidation.install_is_fresh", \
      "a fault under way does not ask whether its root is still valid (bugs.md 9)") \
  ROW(kGuestModeSkipsFlush, "guest_mode_skips_flush", "tlb.flushed_after_zap", \
      "a vCPU enters and leaves guest mode with what it has cached") \
  /* TDX once more. */ \
  ROW(kTdRetriesDeletedSlot, "td_retries_deleted_slot", "progress.no_livelock", \
      "a TD's fault on a slot under deletion is retried where it is in 6.18, too (bugs.md 2)") \
  /* AP creation. */ \
  ROW(kUnusableVmsaHalts, "unusable_vmsa_halts", "progress.no_livelock", \
      "a vCPU whose new VMSA cannot be had stays halted (bugs.md 47)") \
  ROW(kVmsaSwitchKeepsVmcbClean, "vmsa_switch_keeps_vmcb_clean", "tlb.flushed_after_zap", \
      "the VMCB is not marked dirty when its VMSA changes (bugs.md 49)") \
  ROW(kGhcbScratchReadTwice, "ghcb_scratch_read_twice", "psc.index_within_buffer", \
      "SW_SCRATCH is checked and then read again (bugs.md 70)") \
  /* What memory management does on its own account. */ \
  ROW(kDontneedSkipsNotifier, "dontneed_skips_notifier", "npt.leaf_follows_slot", \
      "MADV_DONTNEED frees pages of user space and tells no notifier") \
  ROW(kNumaBalancingSkipsFlush, "numa_balancing_skips_flush", "tlb.flushed_after_zap", \
      "the notifier zaps what NUMA balancing protects and does not flush") \
  ROW(kMemoryFailureSkipsZap, "memory_failure_skips_zap", "npt.leaf_follows_slot", \
      "a page of a guest_memfd that has failed stays mapped") \
  ROW(kPoisonedPageIsServed, "poisoned_page_is_served", "npt.leaf_follows_slot", \
      "a fault does not ask whether the page of its guest_memfd has failed") \
  ROW(kShrinkerZapsTdpPages, "shrinker_zaps_tdp_pages", "tlb.flushed_after_zap", \
      "the shrinker takes pages of the TDP MMU, for which nobody flushes") \
  ROW(kApicvInhibitSkipsZap, "apicv_inhibit_skips_zap", "npt.leaf_has_a_slot", \
      "AVIC is inhibited, and the APIC-access page stays mapped") \
  ROW(kApicPageIsOrdinary, "apic_page_is_ordinary", "npt.leaf_has_a_slot", \
      "a fault maps the APIC-access page as any other, for L2 and while AVIC is inhibited, too") \
  ROW(kZapGfnRangeBlocksNobody, "zap_gfn_range_blocks_nobody", "npt.leaf_has_a_slot", \
      "kvm_zap_gfn_range() does not keep faults under way from mapping the range again (bugs.md 13)") \
  ROW(kMmioIgnoresGeneration, "mmio_ignores_generation", "npt.leaf_has_a_slot", \
      "an MMIO entry counts although memslots have changed since (bugs.md 19)") \
  /* The fault path once more. */ \
  ROW(kTableIsSpurious, "table_is_spurious", "pre_fault.maps_what_was_asked", \
      "a fault that finds a table where its leaf belongs is done (bugs.md 6)") \
  ROW(kConversionInvalidatesItsPagesOnly, "conversion_invalidates_its_pages_only", "npt.kind_is_attribute", \
      "a conversion of part of a block keeps no fault from mapping the whole block (bugs.md 10)") \
  ROW(kFastIgnoresMismatch, "fast_ignores_mismatch", "progress.fault_is_resolved", \
      "a fast fault does not ask whether its page is of the kind that the guest wants (bugs.md 11)") \
  ROW(kReleasesHeadPage, "releases_head_page", "gmem.page_cache_reference_only", \
      "a fault that took a page of a large folio gives back the first one (bugs.md 26)") \
  ROW(kUptodateBeforePrepared, "uptodate_before_prepared", "npt.private_leaf_is_assigned", \
      "a page counts as up to date before it is prepared, and stays so if that fails (bugs.md 34)") \
  ROW(kInvalidateSkipsPsmash, "invalidate_skips_psmash", "host.freed_frame_is_shared", \
      "a page of a 2 MiB entry is taken back without splitting the entry first (rmp.md 4.2 row 8)")
// clang-format on
