// Interleaving points: the places inside an operation where the real kernel lets others in. A
// sequence can stop an operation at its K-th point (`park=K`). Adding one: a row here, and
// `co_await point(k, Point::kX)` at the place. Order is not part of any format.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace sluice::model {

enum class Point : std::uint8_t {
  kNone,
  // Fault path, kvm.md 5.
  kFaultAfterSlotLookup,
  kFaultAfterSnapshot,
  kFaultAfterAttributeCheck,
  kFaultAfterPfn,
  kFaultUnderMmuLock,
  kFaultRetry,
  kNpfBeforeRmpFix,
  kNpfBeforePsmash,
  kGuestReentry,
  // Pre-fault, kvm.md 4.
  kPreFaultNextPage,
  // vCPUs, kvm.md 0.
  kVcpuInCreation,
  // guest_memfd, kvm.md 1.
  kGmemFolioFound,
  kRmpUpdateContended,
  kAllocateNextPage,
  kPunchAfterBegin,
  kPunchAfterDrop,
  kReleaseAfterZap,
  // Memslots, kvm.md 2.
  kSlotInvalidPublished,
  kSlotZapped,
  kSlotBeforeCommit,
  // Attributes, kvm.md 3.
  kAttributesAfterPre,
  kAttributesAfterStore,
  // MMU notifier.
  kNotifierAfterStart,
  kNotifierAfterUnmap,
  // Whoever zaps, kvm.md 7.
  kZapBeforeFlush,
  // Exits to user space, kvm.md 8.
  kHypercallExit,
  kHypercallConverted,
  // Page state changes, snp_host.md 5.3.
  kPscEntryRead,
  // The guest's side, snp_host.md 10.
  kGuestBeforePsc,
  kGuestAfterPsc,
  // The kernel's own writes, alternatives A.
  kKernelWriteFound,
  kKernelWriteMapped,
  kMappedSetAsked,
};

struct PointRow {
  Point point;
  std::string_view name;
  std::string_view meaning;  // what is true when an operation stands here
};
inline constexpr auto kPoints = std::to_array<PointRow>({
    {Point::kNone, "none", ""},
    {Point::kFaultAfterSlotLookup, "fault.after_slot_lookup",
     "memslot found under SRCU, sequence number not yet read"},
    {Point::kFaultAfterSnapshot, "fault.after_snapshot",
     "mmu_invalidate_seq read, attributes not yet checked"},
    {Point::kFaultAfterAttributeCheck, "fault.after_attribute_check",
     "private or shared decided, no page looked up yet"},
    {Point::kFaultAfterPfn, "fault.after_pfn", "frame known and held, mmu_lock not yet taken"},
    {Point::kFaultUnderMmuLock, "fault.under_mmu_lock",
     "stale check passed, mmu_lock held for reading, leaf not yet written"},
    {Point::kFaultRetry, "fault.retry", "the fault answered RETRY and starts over"},
    {Point::kNpfBeforeRmpFix, "npf.before_rmp_fix",
     "MMU done with the fault, RMP entry not yet read by the fix-up"},
    {Point::kNpfBeforePsmash, "npf.before_psmash",
     "the fix-up has found a 2 MiB entry and holds its page, PSMASH not yet executed"},
    {Point::kGuestReentry, "guest.reentry", "fault handled, the guest has not yet tried again"},
    {Point::kPreFaultNextPage, "pre_fault.next_page",
     "one block done, the next not begun (cond_resched)"},
    {Point::kVcpuInCreation, "create_vcpu.in_creation",
     "the vCPU counts among those created, and is not yet there"},
    {Point::kGmemFolioFound, "gmem.folio_found",
     "folio looked up or allocated, not yet prepared for the guest"},
    {Point::kRmpUpdateContended, "rmpupdate.contended",
     "another processor was in the way of the folio's RMPUPDATE (FAIL_OVERLAP), which is tried "
     "again"},
    {Point::kAllocateNextPage, "gmem_allocate.next_page",
     "one page allocated, invalidate_lock held shared"},
    {Point::kPunchAfterBegin, "gmem_punch_hole.after_begin",
     "invalidation begun and leaves zapped, pages still there"},
    {Point::kPunchAfterDrop, "gmem_punch_hole.after_drop",
     "pages freed, invalidation not yet ended"},
    {Point::kReleaseAfterZap, "close_guest_memfd.after_zap",
     "slots have lost the file and their leaves, pages still there"},
    {Point::kSlotInvalidPublished, "set_memory_region.invalid_published",
     "vCPUs see the INVALID slot, leaves not yet zapped"},
    {Point::kSlotZapped, "set_memory_region.zapped",
     "leaves zapped, the final set of slots not yet active"},
    {Point::kSlotBeforeCommit, "set_memory_region.before_commit",
     "the final set is active and its grace period is over, nothing freed yet"},
    {Point::kAttributesAfterPre, "set_memory_attributes.after_pre",
     "invalidation begun and leaves zapped, attributes still old"},
    {Point::kAttributesAfterStore, "set_memory_attributes.after_store",
     "attributes new, invalidation not yet ended"},
    {Point::kNotifierAfterStart, "host_unmap.after_start",
     "notifier's range begun and leaves zapped, host page still mapped"},
    {Point::kNotifierAfterUnmap, "host_unmap.after_unmap",
     "host page gone, notifier's range not yet ended"},
    {Point::kZapBeforeFlush, "zap.before_flush",
     "leaves zapped or write-protected, vCPUs may still use what they have cached of them"},
    {Point::kHypercallExit, "map_gpa_range.exit", "the vCPU is in user space with the hypercall"},
    {Point::kHypercallConverted, "map_gpa_range.converted",
     "user space has converted, the vCPU has not re-entered"},
    {Point::kPscEntryRead, "psc.entry_read",
     "header and first entry read and checked, the batch not yet made"},
    {Point::kGuestBeforePsc, "guest_convert.before_psc",
     "the guest has rescinded (or validated early), its request is not yet made"},
    {Point::kGuestAfterPsc, "guest_convert.after_psc",
     "KVM has answered a request, the guest has not yet looked at the answer"},
    {Point::kKernelWriteFound, "kernel_write.found", "the page is found and held, not yet mapped"},
    {Point::kKernelWriteMapped, "kernel_write.mapped", "the page is mapped, not yet written"},
    {Point::kMappedSetAsked, "set_memory_attributes.mapped_set_asked",
     "no page of the range is mapped (mapped_set_lock=unlocked), the conversion not yet begun"},
});
inline constexpr std::size_t kPointCount = kPoints.size();
static_assert([] {
  for (std::size_t i = 0; i < kPoints.size(); ++i) {
    if (static_cast<std::size_t>(kPoints[i].point) != i) return false;
  }
  return true;
}());

constexpr std::string_view name_of(Point point) {
  return kPoints[static_cast<std::size_t>(point)].name;
}

}  // namespace sluice::model
