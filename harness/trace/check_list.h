// Why an operation may be refused: one row per reason. A backend says `fail(Check::kX)`; the row
// gives the name that text, tables and regressions use, what the caller sees, and the sentence of
// the specification it implements. Order within a group is the architectural priority (rmp.md 4,
// kvm.md 1-8, snp_host.md 7). CI fails if a row is not hit by corpora/regressions.
//
// An X-macro, unlike the operations: a row has no behavior a debugger could want to step into, and
// one line must yield the enumerator, the name and the status together.
#pragma once
#include <array>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

/// What the one who asked sees.
enum class StatusKind : std::uint8_t {
  kOk,
  kErrno,      // an ioctl or system call failed; number = errno
  kCode,       // an RMP instruction's return code in EAX; number = code
  kCarry,      // PVALIDATE: EAX = 0, CF = 1
  kException,  // an exception inside the guest or on the executing CPU; number = vector
  kExit,       // KVM_RUN returned to user space with an exit; number = exit reason
  kRax,        // a hypercall's negative result in the guest's RAX; number = KVM_E*
  kGhcb,       // an error in the GHCB or its MSR. Number: the reason, where SW_EXITINFO1 is 2; else
               // the upper half of SW_EXITINFO2 << 4 | the lower; of the MSR its upper 16 bits
  kHostFault,  // a host access faulted; number = vector or signal, see the row
  kLoop,       // the guest re-enters and faults again with nothing changed
  kSkipped,    // the backend or the sequence cannot do it; the row says why
};

/// A kind in words: for programs, and for people, where {} stands for the number.
struct StatusKindRow {
  StatusKind kind;
  std::string_view name;
  std::string_view answer;
};
inline constexpr std::array<StatusKindRow, 11> kStatusKinds{{
    {StatusKind::kOk, "ok", "success"},
    {StatusKind::kErrno, "errno", "errno {}"},
    {StatusKind::kCode, "code", "code {}"},
    {StatusKind::kCarry, "carry", "EAX = 0, CF = 1"},
    {StatusKind::kException, "exception", "exception {}"},
    {StatusKind::kExit, "exit", "exit {}"},
    {StatusKind::kRax, "rax", "RAX = -{}"},
    {StatusKind::kGhcb, "ghcb", "GHCB error {}"},
    {StatusKind::kHostFault, "host_fault", "host fault {}"},
    {StatusKind::kLoop, "loop", "the guest loops"},
    {StatusKind::kSkipped, "skipped", "skipped"},
}};
constexpr std::string_view name_of(StatusKind kind) {
  return kStatusKinds[static_cast<std::size_t>(kind)].name;
}

// clang-format off
#define SLUICE_CHECKS(ROW) \
  ROW(kOk,                       "ok",                                kOk,        0,           "") \
  /* Skips: the step did not act. */ \
  ROW(kSkipCapability,           "skip.capability",                   kSkipped,   0,           "the backend lacks a capability; the outcome names it") \
  ROW(kSkipScope,                "skip.scope",                        kSkipped,   0,           "raw host instruction outside machine scope") \
  ROW(kSkipLimit,                "skip.limit",                        kSkipped,   0,           "a fixed limit of the harness") \
  ROW(kSkipNoVm,                 "skip.no_vm",                        kSkipped,   0,           "no such VM in the sequence") \
  ROW(kSkipVmExists,             "skip.vm_exists",                    kSkipped,   0,           "the VM exists already") \
  ROW(kSkipNoVcpu,               "skip.no_vcpu",                      kSkipped,   0,           "the vCPU has not been created") \
  ROW(kSkipVcpuElsewhere,        "skip.vcpu_elsewhere",               kSkipped,   0,           "the vCPU belongs to another VM") \
  ROW(kSkipNoGmem,               "skip.no_gmem",                      kSkipped,   0,           "the guest_memfd is not open") \
  ROW(kSkipGmemExists,           "skip.gmem_exists",                  kSkipped,   0,           "the guest_memfd is open already") \
  ROW(kSkipActorBusy,            "skip.actor_busy",                   kSkipped,   0,           "the actor is inside another operation") \
  ROW(kSkipNothingToResume,      "skip.nothing_to_resume",            kSkipped,   0,           "the actor is not parked") \
  ROW(kSkipWrongActor,           "skip.wrong_actor",                  kSkipped,   0,           "this kind of actor cannot run the operation") \
  ROW(kSkipOutsideHostRegion,    "skip.outside_host_region",          kSkipped,   0,           "the address is outside the region the harness maps") \
  ROW(kSkipNotCovered,           "skip.not_covered",                  kSkipped,   0,           "no such frame in the machine") \
  ROW(kSkipNoPage,               "skip.no_page",                      kSkipped,   0,           "no frame is behind the page, or it has failed already") \
  ROW(kSkipHostDead,             "skip.host_dead",                    kSkipped,   0,           "the host took a fatal fault before") \
  ROW(kSkipNoSmm,                "skip.no_smm",                       kSkipped,   0,           "kvm.md 0, as-ids: a VM with private memory has one address space, so no SMM") \
  ROW(kSkipNoGuestMode,          "skip.no_guest_mode",                kSkipped,   0,           "a guest with protected state runs no guest of its own") \
  ROW(kSkipVcpuMode,             "skip.vcpu_mode",                    kSkipped,   0,           "the vCPU is in another mode than the operation needs") \
  ROW(kSkipNestedPaging,         "skip.nested_paging",                kSkipped,   0,           "what a guest's guest does under nested paging is not modeled: no shadow paging") \
  /* Common to every VM and vCPU ioctl. */ \
  ROW(kVmDead,                   "vm.dead",                           kErrno,     EIO,         "kvm.md 0, gate common to every ioctl; 4 row 9, within a pre-fault from 7.0") \
  ROW(kCreateVmNoMemory,          "create_vm.no_memory",                kErrno,     ENOMEM,      "kvm_create_vm(): before the type is looked at") \
  ROW(kCreateVmType,             "create_vm.type_unsupported",        kErrno,     EINVAL,      "kvm.md 0, VM types") \
  ROW(kCreateVcpuNoMemory,        "create_vcpu.no_memory",              kErrno,     ENOMEM,      "kvm_vm_ioctl_create_vcpu(): before the number is looked at") \
  ROW(kCreateVcpuTd,             "create_vcpu.td_state",              kErrno,     EIO,         "tdx_vcpu_create(): before KVM_TDX_INIT_VM, or after the TD was finalized") \
  ROW(kCreateVcpuExists,         "create_vcpu.exists",                kErrno,     EEXIST,      "kvm_vm_ioctl_create_vcpu()") \
  ROW(kCreateVcpuApicPage,       "create_vcpu.apic_page",             kErrno,     EEXIST,      "kvm_alloc_apic_access_page(): a slot lies where the APIC is") \
  ROW(kCreateIrqchipExists,      "create_irqchip.exists",             kErrno,     EEXIST,      "KVM_CREATE_IRQCHIP: the VM has one") \
  ROW(kCreateIrqchipLate,        "create_irqchip.late",               kErrno,     EINVAL,      "KVM_CREATE_IRQCHIP: there are vCPUs already, or it is a TD") \
  ROW(kSetGuestDebugProtected,   "set_guest_debug.protected",         kErrno,     EINVAL,      "kvm_arch_vcpu_ioctl_set_guest_debug(): the vCPU's state is encrypted") \
  ROW(kSetCpuidAfterRun,         "set_cpuid.after_run",               kErrno,     EINVAL,      "kvm_set_cpuid(): CPUID is fixed once the vCPU ran") \
  ROW(kEnterGuestModeSmm,        "enter_guest_mode.smm",              kException, 6,           "nested_svm_vmrun(): VMRUN in SMM is #UD; kvm.md 7, guest mode never SMM") \
  /* guest_memfd: kvm.md 1.1, 1.3. */ \
  ROW(kCreateGmemFlags,          "create_guest_memfd.flags",          kErrno,     EINVAL,      "kvm.md 1.1 row 2") \
  ROW(kCreateGmemSize,           "create_guest_memfd.size",           kErrno,     EINVAL,      "kvm.md 1.1 row 3") \
  ROW(kCreateGmemNoMemory,        "create_guest_memfd.no_memory",       kErrno,     ENOMEM,      "kvm.md 1.1 row 4") \
  ROW(kFallocateRange,           "fallocate.range",                   kErrno,     EINVAL,      "kvm.md 1.3 row 1") \
  ROW(kFallocateModeVfs,         "fallocate.mode_vfs",                kErrno,     EOPNOTSUPP,  "kvm.md 1.3 row 2") \
  ROW(kFallocateTooBig,          "fallocate.too_big",                 kErrno,     EFBIG,       "kvm.md 1.3 row 3") \
  ROW(kFallocateNoKeepSize,      "fallocate.no_keep_size",            kErrno,     EOPNOTSUPP,  "kvm.md 1.3 row 4") \
  ROW(kFallocateMode,            "fallocate.mode",                    kErrno,     EOPNOTSUPP,  "kvm.md 1.3 row 5") \
  ROW(kFallocateNoHoles,         "fallocate.no_holes",                kErrno,     EOPNOTSUPP,  "alternatives C, convert_reclaim=unsupported: the file cannot punch holes") \
  ROW(kFallocateUnaligned,       "fallocate.unaligned",               kErrno,     EINVAL,      "kvm.md 1.3 row 6") \
  ROW(kFallocateBeyondEof,       "fallocate.beyond_eof",              kErrno,     EINVAL,      "kvm.md 1.3 row 7a") \
  ROW(kFallocateSignal,           "fallocate.signal",                   kErrno,     EINTR,       "kvm.md 1.3, allocate: pending signal; the pages before it stay") \
  ROW(kFallocateNoMemory,         "fallocate.no_memory",                kErrno,     ENOMEM,      "kvm.md 1.3, allocate: the pages before it stay") \
  /* Memslots: kvm.md 2 and 1.4. */ \
  ROW(kRegionLegacyFlags,        "set_memory_region.legacy_flags",    kErrno,     EINVAL,      "kvm.md 2 row 2") \
  ROW(kRegionSlotId,             "set_memory_region.slot_id",         kErrno,     EINVAL,      "kvm.md 2 row 3") \
  ROW(kRegionFlags,              "set_memory_region.flags",           kErrno,     EINVAL,      "kvm.md 2 row 4") \
  ROW(kRegionSizeUnaligned,      "set_memory_region.size_unaligned",  kErrno,     EINVAL,      "kvm.md 2 row 5") \
  ROW(kRegionGpaUnaligned,       "set_memory_region.gpa_unaligned",   kErrno,     EINVAL,      "kvm.md 2 row 6") \
  ROW(kRegionHva,                "set_memory_region.hva",             kErrno,     EINVAL,      "kvm.md 2 row 7") \
  ROW(kRegionGmemOffset,         "set_memory_region.gmem_offset",     kErrno,     EINVAL,      "kvm.md 2 row 8") \
  ROW(kRegionAddressSpace,       "set_memory_region.address_space",   kErrno,     EINVAL,      "kvm.md 2 row 9") \
  ROW(kRegionGpaWraps,           "set_memory_region.gpa_wraps",       kErrno,     EINVAL,      "kvm.md 2 row 10") \
  ROW(kRegionTooManyPages,       "set_memory_region.too_many_pages",  kErrno,     EINVAL,      "kvm.md 2 row 11") \
  ROW(kRegionDeleteAbsent,       "set_memory_region.delete_absent",   kErrno,     EINVAL,      "kvm.md 2 row 12") \
  ROW(kRegionExistingGmem,       "set_memory_region.existing_gmem",   kErrno,     EINVAL,      "kvm.md 2 row 13") \
  ROW(kRegionExistingDiffers,    "set_memory_region.existing_differs",kErrno,     EINVAL,      "kvm.md 2 row 14") \
  ROW(kRegionOverlap,            "set_memory_region.overlap",         kErrno,     EEXIST,      "kvm.md 2 row 16") \
  ROW(kRegionNoMemory,            "set_memory_region.no_memory",        kErrno,     ENOMEM,      "kvm.md 2 row 17; kvm_set_memslot(): the INVALID copy") \
  ROW(kRegionBindFd,             "set_memory_region.bind_fd",         kErrno,     EBADF,       "kvm.md 1.4 row 1") \
  ROW(kRegionBindNotGmem,        "set_memory_region.bind_not_gmem",   kErrno,     EINVAL,      "kvm.md 1.4 row 2") \
  ROW(kRegionBindOtherVm,        "set_memory_region.bind_other_vm",   kErrno,     EINVAL,      "kvm.md 1.4 row 2") \
  ROW(kRegionBindRange,          "set_memory_region.bind_range",      kErrno,     EINVAL,      "kvm.md 1.4 row 3") \
  ROW(kRegionBindTaken,          "set_memory_region.bind_taken",      kErrno,     EINVAL,      "kvm.md 1.4 row 4") \
  ROW(kRegionBindNoMemory,        "set_memory_region.bind_no_memory",   kErrno,     ENOMEM,      "kvm.md 1.4 row 5") \
  ROW(kRegionMaxGfn,             "set_memory_region.max_gfn",         kErrno,     EINVAL,      "kvm.md 2 row 19") \
  ROW(kRegionAlias,              "set_memory_region.alias",           kErrno,     EINVAL,      "kvm_arch_prepare_memory_region(): a slot of a TD reaches into the shared half") \
  ROW(kRegionMetadata,            "set_memory_region.metadata",         kErrno,     ENOMEM,      "kvm.md 2 row 19: metadata, dirty bitmap") \
  /* Attributes: kvm.md 3. */ \
  ROW(kAttributesUnsupported,    "set_memory_attributes.unsupported", kErrno,     ENOTTY,      "kvm.md 3, not compiled in") \
  ROW(kAttributesFlags,          "set_memory_attributes.flags",       kErrno,     EINVAL,      "kvm.md 3 row 2") \
  ROW(kAttributesValue,          "set_memory_attributes.attributes",  kErrno,     EINVAL,      "kvm.md 3 row 3") \
  ROW(kAttributesWraps,          "set_memory_attributes.wraps",       kErrno,     EINVAL,      "kvm.md 3 row 4") \
  ROW(kAttributesUnaligned,      "set_memory_attributes.unaligned",   kErrno,     EINVAL,      "kvm.md 3 row 5") \
  ROW(kAttributesNoMemory,        "set_memory_attributes.no_memory",    kErrno,     ENOMEM,      "kvm.md 3 row 7") \
  ROW(kAttributesBusy,           "set_memory_attributes.busy",        kErrno,     EBUSY,       "alternatives A: somebody has the page mapped, or holds it") \
  /* Pre-fault: kvm.md 4. */ \
  ROW(kPreFaultFlags,            "pre_fault_memory.flags",            kErrno,     EINVAL,      "kvm.md 4 row 2") \
  ROW(kPreFaultRange,            "pre_fault_memory.range",            kErrno,     EINVAL,      "kvm.md 4 row 3") \
  ROW(kPreFaultSignal,            "pre_fault_memory.signal",            kErrno,     EINTR,       "kvm.md 4 rows 4 and 9") \
  ROW(kPreFaultNotAllowed,       "pre_fault_memory.not_allowed",      kErrno,     EOPNOTSUPP,  "kvm.md 4 row 5") \
  ROW(kPreFaultAlias,            "pre_fault_memory.alias",            kErrno,     EINVAL,      "kvm.md 4 row 6: the SHARED bit of a TD, from 6.17") \
  ROW(kPreFaultNoRoot,           "pre_fault_memory.no_root",          kErrno,     ENOSPC,      "kvm.md 4 row 7") \
  ROW(kPreFaultNotTdp,           "pre_fault_memory.not_tdp",          kErrno,     EOPNOTSUPP,  "kvm.md 4 row 8") \
  ROW(kPreFaultMode,             "pre_fault_memory.mode",             kErrno,     EOPNOTSUPP,  "alternatives B, premap_mode=reject: the vCPU is in SMM or in guest mode") \
  ROW(kPreFaultOnlyConfidential, "pre_fault_memory.only_confidential", kErrno,     EOPNOTSUPP,  "alternatives B, premap_abi=only_confidential: the VM has no private memory") \
  ROW(kPreFaultNoSlot,           "pre_fault_memory.no_slot",          kErrno,     ENOENT,      "kvm.md 4, EMULATE") \
  ROW(kPreFaultObsoleteRoot,     "pre_fault_memory.obsolete_root",    kErrno,     EINTR,       "kvm.md 5 row 13: the root is obsolete and the loop renews none, RETRY until a signal comes") \
  ROW(kPreFaultSlotInvalid,      "pre_fault_memory.slot_invalid",     kErrno,     EAGAIN,      "kvm.md 4, INVALID slot from 6.18") \
  /* The fault path, met by guest_access and pre_fault_memory: kvm.md 5, 1.5. */ \
  ROW(kFaultNoMemory,             "fault.no_memory",                    kErrno,     ENOMEM,      "kvm.md 5 row 4, 4 row 7: mmu_topup_memory_caches()") \
  ROW(kFaultMismatch,            "fault.mismatch",                    kExit,      39,          "kvm.md 5 row 6, KVM_EXIT_MEMORY_FAULT") \
  ROW(kFaultMismatchKills,       "fault.mismatch_kills",              kErrno,     EIO,         "alternatives E, npf_mismatch=kill: KVM ends the VM") \
  ROW(kFaultPrivateNoSlot,       "fault.private_no_slot",             kExit,      39,          "kvm.md 5 row 7") \
  ROW(kFaultPrivateNoGmem,       "fault.private_no_gmem",             kExit,      39,          "kvm.md 5 row 11") \
  ROW(kFaultPrivateEmulated,     "fault.private_emulated",            kExit,      39,          "kvm.md 5 row 15, reached by row 9") \
  ROW(kFaultGmemGone,            "fault.gmem_gone",                   kExit,      39,          "kvm.md 1.5 row 1") \
  ROW(kFaultNoFolio,              "fault.no_folio",                     kErrno,     ENOMEM,      "kvm.md 1.5 row 4, with KVM_EXIT_MEMORY_FAULT beside it") \
  ROW(kFaultPoisoned,            "fault.poisoned",                    kExit,      39,          "kvm.md 1.5 row 5, 1.7: EHWPOISON") \
  ROW(kFaultPrepareLookup,       "fault.prepare_lookup",              kExit,      39,          "snp_host.md 3 row 2, ENOENT") \
  ROW(kFaultPrepareAssign,       "fault.prepare_assign",              kExit,      39,          "snp_host.md 3 row 6, EINVAL") \
  ROW(kFaultHvaUnmapped,         "fault.hva_unmapped",                kErrno,     EFAULT,      "kvm.md 5 row 11s") \
  ROW(kFaultHvaPoisoned,         "fault.hva_poisoned",                kErrno,     EINTR,       "kvm.md 5 row 11s, 4: SIGBUS is queued and the fault retried, which the signal ends") \
  ROW(kFaultMmio,                "fault.mmio",                        kExit,      6,           "kvm.md 5 row 7, KVM_EXIT_MMIO") \
  ROW(kFaultFetchMmio,           "fault.fetch_mmio",                  kExit,      17,          "x86_emulate_instruction(): no instruction to emulate, KVM_EXIT_INTERNAL_ERROR") \
  ROW(kFaultReadonly,            "fault.readonly",                    kExit,      6,           "kvm.md 5 row 11s, write to a read-only slot") \
  ROW(kFaultLoop,                "fault.loop",                        kLoop,      0,           "snp_host.md 4: the guest re-enters and faults again") \
  ROW(kRunNotInitialized,        "run.not_initialized",               kErrno,     EINVAL,      "svm_vcpu_pre_run(): KVM_SEV_INIT2 has not been called") \
  ROW(kRunSignal,                 "run.signal",                         kErrno,     EINTR,       "vcpu_run(), xfer_to_guest_mode_handle_work(): KVM_EXIT_INTR") \
  ROW(kRunNotLaunched,           "run.not_launched",                  kExit,      9,           "rmp.md 6: the VMSA is not the guest's: VMEXIT_INVALID, KVM_EXIT_FAIL_ENTRY") \
  ROW(kRunHalted,                "run.halted",                        kErrno,     EINTR,       "snp_host.md 8, DESTROY; vcpu_block(): nothing wakes the vCPU, so that user space ends KVM_RUN by a signal") \
  ROW(kRunNoVmsa,                "run.no_vmsa",                       kExit,      9,           "snp_host.md 8: the VMSA asked for cannot be had; VMRUN without one is VMEXIT_INVALID, KVM_EXIT_FAIL_ENTRY") \
  ROW(kRunVmsa,                  "run.vmsa",                          kExit,      9,           "rmp.md 6: the VMSA page is not the guest's, immutable, or no VMSA: VMEXIT_INVALID, KVM_EXIT_FAIL_ENTRY") \
  ROW(kRunTdState,               "run.td_state",                      kErrno,     EINVAL,      "tdx_vcpu_pre_run(): vCPU not initialized, or TD not finalized") \
  ROW(kRunUnexpectedPending,     "run.unexpected_pending",            kErrno,     EIO,         "tdx.md 2: a page not accepted, with SEPT_VE_DISABLE; KVM ends the VM") \
  ROW(kGuestNotValidated,        "guest.not_validated",               kException, 29,          "rmp.md 5, #VC 0x404") \
  ROW(kGuestMismatchInjected,    "guest.mismatch_injected",           kException, 18,          "alternatives E, npf_mismatch=inject: #MC, since no vector is architected for it") \
  ROW(kGuestMismatchNotified,    "guest.mismatch_notified",           kException, 29,          "alternatives E, npf_mismatch=require_psc: a #VC with an exit code of its own, which does not exist today") \
  ROW(kGuestMmioVc,              "guest.mmio_vc",                     kException, 29,          "kvm.md 5 row 7 for an SNP guest: #VC, since KVM cannot emulate for it") \
  ROW(kGuestMmioVe,              "guest.mmio_ve",                     kException, 20,          "kvm.md 5 row 7 for a TD: #VE, since KVM cannot emulate for it") \
  ROW(kGuestPending,             "guest.pending",                     kException, 20,          "tdx.md 2: a page not accepted; #VE") \
  /* The map-GPA-range hypercall: kvm.md 8. */ \
  ROW(kMapGpaCpl,                "map_gpa_range.cpl",                 kRax,       1,           "kvm.md 8 row 1") \
  ROW(kMapGpaDisabled,           "map_gpa_range.disabled",            kRax,       1000,        "kvm.md 8 row 2") \
  ROW(kMapGpaRange,              "map_gpa_range.range",               kRax,       22,          "kvm.md 8 row 3") \
  ROW(kMapGpaIgnored,            "map_gpa_range.ignored",             kExit,      3,           "policy vmm=ignore: user space did not convert") \
  ROW(kMapGpaKilled,             "map_gpa_range.killed",              kExit,      3,           "policy vmm=kill: user space ended the VM") \
  ROW(kMapGpaVmmFailed,          "map_gpa_range.vmm_failed",          kRax,       22,          "user space could not convert and said so") \
  /* Page state changes by the GHCB's MSR protocol and by its NAE event: snp_host.md 6 and 5. */ \
  ROW(kPscMsrNotSnp,             "psc_msr.not_snp",                   kExit,      24,          "snp_host.md 6: termination, KVM_EXIT_SYSTEM_EVENT") \
  ROW(kPscMsrOperation,          "psc_msr.operation",                 kGhcb,      0x8000,      "snp_host.md 6: neither private nor shared") \
  ROW(kPscMsrDisabled,           "psc_msr.disabled",                  kGhcb,      0x8000,      "snp_host.md 6: KVM_CAP_EXIT_HYPERCALL is off") \
  ROW(kPscMsrVmmFailed,          "psc_msr.vmm_failed",                kGhcb,      0x8000,      "snp_host.md 6: user space could not convert and said so") \
  ROW(kPscUnregisteredKills,     "psc.unregistered_kills",            kErrno,     EINVAL,      "snp_host.md 5.2: before 7.0 KVM_RUN fails") \
  ROW(kPscUnregistered,          "psc.unregistered",                  kGhcb,      1,           "snp_host.md 5.2 row 1: the GHCB was not registered") \
  ROW(kPscUsage,                 "psc.usage",                         kGhcb,      2,           "snp_host.md 5.2 row 1: GHCB usage") \
  ROW(kPscMissingInput,          "psc.missing_input",                 kGhcb,      4,           "snp_host.md 5.2 row 2: no SNP guest, or SW_SCRATCH not valid") \
  ROW(kPscScratch,               "psc.scratch",                       kGhcb,      3,           "snp_host.md 5.2 row 3") \
  ROW(kPscDisabled,              "psc.disabled",                      kGhcb,      0x1000,      "snp_host.md 5.2 row 4: GENERIC") \
  ROW(kPscHeader,                "psc.header",                        kGhcb,      0x11,        "snp_host.md 5.3 row 2: INVALID_HDR") \
  ROW(kPscEntry,                 "psc.entry",                         kGhcb,      0x12,        "snp_host.md 5.3 row 3a: INVALID_ENTRY") \
  ROW(kPscVmmFailed,             "psc.vmm_failed",                    kGhcb,      0x1000,      "snp_host.md 5.4: user space could not convert and said so; GENERIC") \
  /* Other events of the GHCB: what is asked of each (snp_host.md 5.2 row 1), AP creation (8), MMIO and port I/O. */ \
  ROW(kVmgexitUnregisteredKills, "vmgexit.unregistered_kills",        kErrno,     EINVAL,      "snp_host.md 5.2: before 7.0 KVM_RUN fails") \
  ROW(kVmgexitUnregistered,      "vmgexit.unregistered",              kGhcb,      1,           "snp_host.md 5.2 row 1: the GHCB was not registered") \
  ROW(kVmgexitUsage,             "vmgexit.usage",                     kGhcb,      2,           "snp_host.md 5.2 row 1: GHCB usage") \
  ROW(kApCreationMissingInput,   "ap_creation.missing_input",         kGhcb,      4,           "sev_es_validate_vmgexit(): no SNP guest, or RAX not valid and not DESTROY") \
  ROW(kApCreationApicId,         "ap_creation.apic_id",               kGhcb,      5,           "snp_host.md 8: APIC id unknown") \
  ROW(kApCreationInjectionMode,  "ap_creation.injection_mode",        kGhcb,      5,           "snp_host.md 8: injection-mode bits in RAX differ from the VM's") \
  ROW(kApCreationVmsaGpa,        "ap_creation.vmsa_gpa",              kGhcb,      5,           "snp_host.md 8: VMSA gpa invalid") \
  ROW(kApCreationVmsaAligned,    "ap_creation.vmsa_aligned",          kGhcb,      5,           "snp_host.md 8; rmp.md 6: VMSA gpa 2 MB aligned, erratum") \
  ROW(kApCreationFeatures,       "ap_creation.features",              kGhcb,      5,           "sev_snp_ap_creation(), from 6.15: the features in RAX differ from the VM's") \
  ROW(kApCreationRequest,        "ap_creation.request",               kGhcb,      5,           "snp_host.md 8: unknown request") \
  ROW(kGhcbMmioMissingInput,     "ghcb_mmio.missing_input",           kGhcb,      4,           "snp_host.md 5.2 row 1; sev_es_validate_vmgexit(): no SEV-ES guest, or SW_SCRATCH not valid") \
  ROW(kGhcbMmioLength,           "ghcb_mmio.length",                  kGhcb,      5,           "bugs.md 71: more than 8 bytes from a version 2 guest") \
  ROW(kGhcbMmioScratch,          "ghcb_mmio.scratch",                 kGhcb,      3,           "snp_host.md 5.2 row 3; bugs.md 74") \
  ROW(kGhcbMmioExit,             "ghcb_mmio.exit",                    kExit,      6,           "kvm_sev_es_mmio_read(), kvm_sev_es_mmio_write(): KVM_EXIT_MMIO") \
  ROW(kGhcbPortIoMissingInput,   "ghcb_port_io.missing_input",        kGhcb,      4,           "snp_host.md 5.2 row 1; sev_es_validate_vmgexit(): a string without SW_SCRATCH, OUT without RAX") \
  ROW(kGhcbPortIoCount,          "ghcb_port_io.count",                kErrno,     EINVAL,      "sev_es_string_io(): beyond INT_MAX KVM_RUN fails") \
  ROW(kGhcbPortIoScratch,        "ghcb_port_io.scratch",              kGhcb,      3,           "snp_host.md 5.2 row 3; bugs.md 74") \
  ROW(kGhcbPortIoExit,           "ghcb_port_io.exit",                 kExit,      2,           "kvm_fast_pio(), kvm_sev_es_string_io(): KVM_EXIT_IO") \
  /* A guest that finds its host at fault ends itself: snp_host.md 10. */ \
  ROW(kGuestConvertPvalidate,    "guest_convert.pvalidate",           kExit,      24,          "snp_host.md 10: PVALIDATE failed other than by its size, or changed nothing; KVM_EXIT_SYSTEM_EVENT") \
  ROW(kGuestConvertAnswer,       "guest_convert.answer",              kExit,      24,          "snp_host.md 10: the hypervisor answered with an error") \
  ROW(kGuestConvertReserved,     "guest_convert.reserved",            kExit,      24,          "snp_host.md 10: reserved bits of the header came back set") \
  ROW(kGuestConvertEndGrew,      "guest_convert.end_grew",            kExit,      24,          "snp_host.md 10: end_entry grew") \
  /* Host accesses. */ \
  ROW(kHostAccessUnmapped,       "host_access.unmapped",              kHostFault, 11,          "SIGSEGV: the page was unmapped") \
  ROW(kHostAccessPoisoned,       "host_access.poisoned",              kHostFault, 7,           "SIGBUS: the frame has failed (do_swap_page(), VM_FAULT_HWPOISON)") \
  ROW(kHostAccessRmp,            "host_access.rmp_violation",         kHostFault, 14,          "snp_host.md 2: a user write to an assigned frame faults for ever") \
  ROW(kHostStoreRmp,             "host_store.rmp_violation",          kHostFault, 14,          "rmp.md 5, #PF with bit 31: fatal in the kernel") \
  ROW(kHostStorePoison,          "host_store.machine_check",          kHostFault, 18,          "invariants.md D5: a store to a page of a TD poisons it") \
  ROW(kHostKernelStore,          "host.kernel_store",                 kHostFault, 14,          "snp_host.md 2: the kernel itself writes to an assigned frame and dies") \
  ROW(kKernelWriteNoPage,        "kernel_write.no_page",              kErrno,     EFAULT,      "get_user_pages(), kvm_vcpu_map(): no slot, a private page or one under conversion, none of user space") \
  ROW(kHostUnmapRange,           "host_unmap.range",                  kErrno,     EINVAL,      "munmap(2): unaligned address or size 0") \
  ROW(kHostDontneedRange,        "host_dontneed.range",               kErrno,     EINVAL,      "madvise(2): unaligned address") \
  ROW(kHostDontneedUnmapped,     "host_dontneed.unmapped",            kErrno,     ENOMEM,      "madvise_walk_vmas(): part of the range is unmapped; the rest is done") \
  ROW(kGmemAccessTooFar,         "gmem_access.too_far",               kErrno,     EOVERFLOW,   "mmap(2), file_mmap_ok(): no file is that long") \
  ROW(kGmemAccessNoMmap,         "gmem_access.no_mmap",               kErrno,     ENODEV,      "kvm.md 1.2: before 6.17, or a file without the MMAP flag") \
  ROW(kGmemAccessBeyondEof,      "gmem_access.beyond_eof",            kHostFault, 7,           "kvm.md 1.2: SIGBUS beyond the end of the file") \
  ROW(kGmemAccessNotShared,      "gmem_access.not_shared",            kHostFault, 7,           "kvm.md 1.2: SIGBUS without INIT_SHARED") \
  ROW(kGmemAccessPoisoned,       "gmem_access.poisoned",              kHostFault, 7,           "kvm.md 1.5 row 5, met by kvm_gmem_fault_user_mapping(): SIGBUS") \
  /* RMP instructions: rmp.md 4. */ \
  ROW(kRmpUpdateSnpOff,          "rmpupdate.snp_off",                 kException, 6,           "rmp.md 4.2 row 1") \
  ROW(kRmpUpdateSpa,             "rmpupdate.spa",                     kCode,      1,           "rmp.md 4.2 row 4") \
  ROW(kRmpUpdateRecord,          "rmpupdate.record",                  kCode,      1,           "rmp.md 4.2 row 5") \
  ROW(kRmpUpdateInUse,           "rmpupdate.in_use",                  kCode,      3,           "rmp.md 4.2 row 6") \
  ROW(kRmpUpdateImmutable,       "rmpupdate.immutable",               kCode,      2,           "rmp.md 4.2 row 7") \
  ROW(kRmpUpdateOverlapSub,      "rmpupdate.overlap_sub",             kCode,      4,           "rmp.md 4.2 row 8a") \
  ROW(kRmpUpdateInside2M,        "rmpupdate.inside_2m",               kCode,      4,           "rmp.md 4.2 row 8b") \
  ROW(kRmpUpdateHead2M,          "rmpupdate.head_2m",                 kCode,      4,           "rmp.md 4.2 row 8c") \
  ROW(kRmpUpdateBusy,            "rmpupdate.busy",                    kCode,      3,           "rmp.md 4.1, FAIL_INUSE: another processor changes the entry") \
  ROW(kRmpUpdateContended,       "rmpupdate.contended",               kCode,      4,           "snp_host.md 1, rmpupdate row 3: FAIL_OVERLAP while another processor is at work") \
  ROW(kPsmashSnpOff,             "psmash.snp_off",                    kException, 6,           "rmp.md 4.3 row 1") \
  ROW(kPsmashSpa,                "psmash.spa",                        kCode,      1,           "rmp.md 4.3 row 2") \
  ROW(kPsmashInUse,              "psmash.in_use",                     kCode,      3,           "rmp.md 4.3 row 3") \
  ROW(kPsmashBusy,               "psmash.busy",                       kCode,      3,           "rmp.md 4.1, FAIL_INUSE: another processor changes the entry") \
  ROW(kPsmashImmutable,          "psmash.immutable",                  kCode,      2,           "rmp.md 4.3 row 4") \
  ROW(kPsmashNot2M,              "psmash.not_2m",                     kCode,      7,           "rmp.md 4.3 row 5") \
  ROW(kRmpReadSnpOff,            "rmpread.snp_off",                   kException, 6,           "rmp.md 4") \
  ROW(kRmpReadSpa,               "rmpread.spa",                       kCode,      1,           "rmp.md 4.1") \
  ROW(kPvalidateNotSnp,          "pvalidate.not_snp",                 kException, 6,           "rmp.md 4.4 row 1") \
  ROW(kPvalidatePrivilege,       "pvalidate.privilege",               kException, 13,          "rmp.md 4.4 row 2") \
  ROW(kPvalidateInput,           "pvalidate.input",                   kCode,      1,           "rmp.md 4.4 row 3") \
  ROW(kPvalidateSizeMismatch,    "pvalidate.size_mismatch",           kCode,      6,           "rmp.md 4.4 row 7") \
  ROW(kPvalidateNoUpdate,        "pvalidate.no_update",               kCarry,     0,           "rmp.md 4.4 row 8") \
  ROW(kRmpAdjustNotSnp,          "rmpadjust.not_snp",                 kException, 6,           "rmp.md 4.5 row 1") \
  ROW(kRmpAdjustPrivilege,       "rmpadjust.privilege",               kException, 13,          "rmp.md 4.5 row 1; 4, table, RMPADJUST") \
  ROW(kRmpAdjustInput,           "rmpadjust.input",                   kCode,      1,           "rmp.md 4.5 row 2") \
  ROW(kRmpAdjustTarget,          "rmpadjust.target",                  kCode,      2,           "rmp.md 4.5 row 3") \
  ROW(kRmpAdjustInUse,           "rmpadjust.in_use",                  kCode,      3,           "rmp.md 6, in-use marks") \
  ROW(kRmpAdjustNotValidated,    "rmpadjust.not_validated",           kException, 29,          "rmp.md 4.5 row 5") \
  ROW(kRmpAdjustSizeMismatch,    "rmpadjust.size_mismatch",           kCode,      6,           "rmp.md 4.5 row 6") \
  ROW(kRmpAdjustMask,            "rmpadjust.mask",                    kCode,      2,           "rmp.md 4.5 row 7") \
  ROW(kRmpAdjustVmsa,            "rmpadjust.vmsa",                    kCode,      2,           "rmp.md 4.5 row 8") \
  ROW(kRmpQueryNotSnp,           "rmpquery.not_snp",                  kException, 6,           "rmp.md 4") \
  ROW(kRmpQueryTarget,           "rmpquery.target",                   kCode,      2,           "rmp.md 4.1") \
  ROW(kRmpQueryNotValidated,     "rmpquery.not_validated",            kException, 29,          "rmp.md 4.5 row 5, for RMPQUERY too") \
  /* Launch: snp_host.md 7. */ \
  ROW(kSevInitTwice,             "sev_init2.twice",                   kErrno,     EPERM,       "sev_mem_enc_ioctl(): an SNP guest may have SNP commands only") \
  ROW(kSevInitNotSev,            "sev_init2.not_sev",                 kErrno,     EINVAL,      "sev_guest_init2(): the VM type must match") \
  ROW(kSevInitVcpus,             "sev_init2.vcpus",                   kErrno,     EINVAL,      "__sev_guest_init(): no vCPU may exist yet") \
  ROW(kSevInitFlags,             "sev_init2.flags",                   kErrno,     EINVAL,      "__sev_guest_init()") \
  ROW(kLaunchStartNotSnp,        "launch_start.not_snp",              kErrno,     ENOTTY,      "snp_host.md 7, LAUNCH_START") \
  ROW(kLaunchStartContext,       "launch_start.context_exists",       kErrno,     EINVAL,      "snp_host.md 7, LAUNCH_START") \
  ROW(kLaunchStartFlags,         "launch_start.flags",                kErrno,     EINVAL,      "snp_host.md 7, LAUNCH_START") \
  ROW(kLaunchStartPolicyBits,    "launch_start.policy_bits",          kErrno,     EINVAL,      "snp_host.md 7, LAUNCH_START") \
  ROW(kLaunchStartPolicyNeeded,  "launch_start.policy_needed",        kErrno,     EINVAL,      "snp_host.md 7, LAUNCH_START") \
  ROW(kLaunchStartSingleSocket,  "launch_start.single_socket",        kErrno,     EINVAL,      "snp_host.md 7, LAUNCH_START") \
  ROW(kLaunchStartNoContext,     "launch_start.no_context",           kErrno,     ENOTTY,      "snp_host.md 7, LAUNCH_START: context create fail") \
  ROW(kLaunchStartAsidInUse,     "launch_start.asid_in_use",          kErrno,     EIO,         "snp_host.md 7, VM destroy: ACTIVATE with pages still assigned") \
  ROW(kLaunchUpdateNoContext,    "launch_update.no_context",          kErrno,     EINVAL,      "snp_host.md 7, LAUNCH_UPDATE") \
  ROW(kLaunchUpdateArguments,    "launch_update.arguments",           kErrno,     EINVAL,      "snp_host.md 7, LAUNCH_UPDATE") \
  ROW(kLaunchUpdateSlot,         "launch_update.slot",                kErrno,     EINVAL,      "snp_host.md 7, LAUNCH_UPDATE") \
  ROW(kLaunchUpdateFileGone,     "launch_update.file_gone",           kErrno,     EIO,         "kvm.md 1.6 row 2") \
  ROW(kLaunchUpdateSignal,        "launch_update.signal",               kErrno,     EIO,         "kvm.md 1.6 row 4: EINTR, which LAUNCH_UPDATE turns into EIO") \
  ROW(kLaunchUpdateNoFolio,       "launch_update.no_folio",             kErrno,     EIO,         "kvm.md 1.6 row 5: ENOMEM, which LAUNCH_UPDATE turns into EIO") \
  ROW(kLaunchUpdatePoisoned,     "launch_update.poisoned",            kErrno,     EIO,         "kvm.md 1.6 row 5, 1.5 row 5: EHWPOISON, which LAUNCH_UPDATE turns into EIO") \
  ROW(kLaunchUpdatePrepared,     "launch_update.prepared",            kErrno,     EIO,         "kvm.md 1.6 row 6") \
  ROW(kLaunchUpdateNotPrivate,   "launch_update.not_private",         kErrno,     EIO,         "kvm.md 1.6 row 7") \
  ROW(kLaunchUpdateNoSource,     "launch_update.no_source",           kErrno,     EIO,         "snp_host.md 7, per page row 1") \
  ROW(kLaunchUpdateAssigned,     "launch_update.assigned",            kErrno,     EIO,         "snp_host.md 7, per page row 2") \
  ROW(kLaunchUpdateSource,       "launch_update.source",              kErrno,     EIO,         "snp_host.md 7, per page row 3; from 7.0 pinned before the file is looked at (kvm.md 1.6)") \
  ROW(kLaunchUpdateAssign,       "launch_update.assign",              kErrno,     EIO,         "snp_host.md 7, per page row 4") \
  ROW(kLaunchUpdateFirmware,     "launch_update.firmware",            kErrno,     EIO,         "snp_host.md 7, per page row 5: firmware takes no page once the guest runs") \
  ROW(kLaunchFinishNotSnp,       "launch_finish.not_snp",             kErrno,     ENOTTY,      "snp_host.md 7, LAUNCH_FINISH") \
  ROW(kLaunchFinishNoContext,    "launch_finish.no_context",          kErrno,     EINVAL,      "snp_host.md 7, LAUNCH_FINISH") \
  ROW(kLaunchFinishFlags,        "launch_finish.flags",               kErrno,     EINVAL,      "snp_host.md 7, LAUNCH_FINISH") \
  ROW(kLaunchFinishBusy,         "launch_finish.busy",                kErrno,     EBUSY,       "snp_host.md 7, LAUNCH_FINISH: a vCPU is being created (as from 6.12.83)") \
  ROW(kLaunchFinishProtected,    "launch_finish.protected",           kErrno,     EINVAL,      "sev_es_sync_vmsa(): the vCPU's state is encrypted already") \
  ROW(kLaunchFinishDebugged,     "launch_finish.debugged",            kErrno,     EINVAL,      "sev_es_sync_vmsa(): the vCPU is being debugged") \
  ROW(kLaunchFinishAssign,       "launch_finish.assign",              kErrno,     EFAULT,      "snp_launch_update_vmsa(): the VMSA page cannot be assigned") \
  ROW(kLaunchFinishFirmware,     "launch_finish.firmware",            kErrno,     EIO,         "snp_host.md 7, LAUNCH_FINISH: firmware refuses a guest that runs") \
  /* Building a TD: tdx.md 5. */ \
  ROW(kTdxInitVmNotTd,           "tdx_init_vm.not_td",                kErrno,     ENOTTY,      "vt_mem_enc_ioctl()") \
  ROW(kTdxInitVmTwice,           "tdx_init_vm.twice",                 kErrno,     EINVAL,      "tdx_td_init()") \
  ROW(kTdxInitVmFlags,           "tdx_init_vm.flags",                 kErrno,     EINVAL,      "tdx_td_init()") \
  ROW(kTdxInitVcpuNotTd,         "tdx_init_vcpu.not_td",              kErrno,     ENOTTY,      "vt_vcpu_mem_enc_ioctl()") \
  ROW(kTdxInitVcpuFinalized,     "tdx_init_vcpu.finalized",           kErrno,     EINVAL,      "tdx_vcpu_ioctl()") \
  ROW(kTdxInitVcpuFlags,         "tdx_init_vcpu.flags",               kErrno,     EINVAL,      "tdx_vcpu_init()") \
  ROW(kTdxInitVcpuTwice,         "tdx_init_vcpu.twice",               kErrno,     EINVAL,      "tdx_vcpu_init()") \
  ROW(kTdxRegionNotTd,           "tdx_init_mem_region.not_td",        kErrno,     ENOTTY,      "vt_vcpu_mem_enc_ioctl()") \
  ROW(kTdxRegionVcpu,            "tdx_init_mem_region.vcpu",          kErrno,     EINVAL,      "tdx.md 5 row 1") \
  ROW(kTdxRegionFlags,           "tdx_init_mem_region.flags",         kErrno,     EINVAL,      "tdx.md 5 row 2") \
  ROW(kTdxRegionFinalized,       "tdx_init_mem_region.finalized",     kErrno,     EINVAL,      "tdx.md 5 row 3") \
  ROW(kTdxRegionRange,           "tdx_init_mem_region.range",         kErrno,     EINVAL,      "tdx.md 5 row 5") \
  ROW(kTdxRegionSignal,          "tdx_init_mem_region.signal",        kErrno,     EINTR,       "tdx.md 5, loop per page; kvm.md 1.6 row 4") \
  ROW(kTdxRegionSlot,            "tdx_init_mem_region.slot",          kErrno,     EINVAL,      "kvm.md 1.6 row 1") \
  ROW(kTdxRegionFileGone,        "tdx_init_mem_region.file_gone",     kErrno,     EFAULT,      "kvm.md 1.6 row 2") \
  ROW(kTdxRegionNoFolio,         "tdx_init_mem_region.no_folio",      kErrno,     ENOMEM,      "kvm.md 1.6 row 5") \
  ROW(kTdxRegionPoisoned,        "tdx_init_mem_region.poisoned",      kErrno,     EHWPOISON,   "kvm.md 1.6 row 5, 1.5 row 5") \
  ROW(kTdxRegionPrepared,        "tdx_init_mem_region.prepared",      kErrno,     EEXIST,      "kvm.md 1.6 row 6, before 7.0") \
  ROW(kTdxRegionNotPrivate,      "tdx_init_mem_region.not_private",   kErrno,     EINVAL,      "kvm.md 1.6 row 7") \
  ROW(kTdxRegionSource,          "tdx_init_mem_region.source",        kErrno,     EFAULT,      "tdx_gmem_post_populate(): get_user_pages_fast(); from 7.0 before the file is looked at (kvm.md 1.6)") \
  ROW(kTdxRegionMapped,          "tdx_init_mem_region.mapped",        kErrno,     EIO,         "kvm_tdp_mmu_map_private_pfn(), from 7.0: the page is mapped already") \
  ROW(kTdxRegionNotPremapped,    "tdx_init_mem_region.not_premapped", kErrno,     EIO,         "alternatives B, tdx_populate=two_pass: nobody has pre-faulted the page") \
  ROW(kTdxRegionBusy,            "tdx_init_mem_region.busy",          kErrno,     EBUSY,       "tdx.md 3, PAGE.ADD; before 7.0") \
  ROW(kTdxFinalizeNotTd,         "tdx_finalize.not_td",               kErrno,     ENOTTY,      "vt_mem_enc_ioctl()") \
  ROW(kTdxFinalizeState,         "tdx_finalize.td_state",             kErrno,     EINVAL,      "tdx.md 5, FINALIZE: no TD yet, or finalized already") \
  ROW(kTdxFinalizePremapped,     "tdx_finalize.premapped",            kErrno,     EINVAL,      "tdx.md 5, FINALIZE: nr_premapped, before 7.0") \
  ROW(kTdxFinalizeBusy,          "tdx_finalize.busy",                 kErrno,     EBUSY,       "tdx.md 3, MR.FINALIZE") \
  /* The guest of a TD: tdx.md 4. Numbers: of a TDX status, or of MapGPA's, the upper bits that say which. */ \
  ROW(kTdAcceptNotTd,            "td_accept.not_td",                  kException, 6,           "TDCALL outside a TD") \
  ROW(kTdAcceptOperand,          "td_accept.operand",                 kCode,      0x100,       "tdx.md 4: an address that is not private, or not aligned") \
  ROW(kTdAcceptAlready,          "td_accept.already_accepted",        kCode,      0xb0a,       "tdx.md 4: PAGE_ALREADY_ACCEPTED") \
  ROW(kTdAcceptSize,             "td_accept.size_mismatch",           kCode,      0xb0b,       "tdx.md 4: PAGE_SIZE_MISMATCH") \
  ROW(kTdMapGpaNotTd,            "td_map_gpa.not_td",                 kException, 6,           "TDCALL outside a TD") \
  ROW(kTdMapGpaDisabled,         "td_map_gpa.disabled",               kCode,      0x8000,      "tdx_map_gpa(): KVM_CAP_EXIT_HYPERCALL is off") \
  ROW(kTdMapGpaRange,            "td_map_gpa.range",                  kCode,      0x8000,      "tdx.md 4, MapGPA: INVALID_OPERAND") \
  ROW(kTdMapGpaVmmFailed,        "td_map_gpa.vmm_failed",             kCode,      0x8000,      "tdx.md 4, MapGPA: user space could not convert and said so")
// clang-format on

enum class Check : std::uint16_t {
#define SLUICE_ROW(enumerator, name, kind, number, source) enumerator,
  SLUICE_CHECKS(SLUICE_ROW)
#undef SLUICE_ROW
};

struct CheckRow {
  Check check;
  std::string_view name;
  StatusKind kind;
  std::uint16_t number;
  std::string_view source;
};

inline constexpr CheckRow kChecks[] = {
#define SLUICE_ROW(enumerator, name, kind, number, source) \
  {Check::enumerator, name, StatusKind::kind, number, source},
    SLUICE_CHECKS(SLUICE_ROW)
#undef SLUICE_ROW
};
inline constexpr std::size_t kCheckCount = std::size(kChecks);

constexpr const CheckRow& row_of(Check check) { return kChecks[static_cast<std::size_t>(check)]; }

/// The row with this name, if there is one.
constexpr std::optional<Check> find_check(std::string_view name) {
  for (const CheckRow& row : kChecks) {
    if (row.name == name) return row.check;
  }
  return std::nullopt;
}

/// A refusal, in the sense of decision 26: neither success nor a skip.
constexpr bool is_refusal(Check check) {
  return check != Check::kOk && row_of(check).kind != StatusKind::kSkipped;
}

}  // namespace sluice
