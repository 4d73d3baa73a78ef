#include "model/machine/access.h"

namespace sluice::model {
namespace {

constexpr std::uint8_t kMaskRead = 1, kMaskWrite = 2, kMaskExecuteUser = 4,
                       kMaskExecuteSupervisor = 8;

std::uint64_t exit_info(const GuestPage& page, const GuestTouch& touch) {
  std::uint64_t info = npf::kUser | (touch.page_table ? npf::kPage : npf::kFinal);
  if (page.leaf.present) info |= npf::kPresent;
  if (touch.kind == AccessKind::kWrite) info |= npf::kWrite;
  if (touch.kind == AccessKind::kFetch) info |= npf::kFetch;
  if (page.snp && (touch.c_bit || touch.page_table || touch.kind == AccessKind::kFetch))
    info |= npf::kEncrypted;
  return info;
}

/// RMP-Covered, Guest-Owned, Reverse-Map, Mutable: true if the covering entry binds this frame to
/// this guest at this address.
bool binds(const Rmp& rmp, const GuestPage& page, bool asks_address = true) {
  const Pfn pfn = page.leaf.pfn;
  if (!rmp.covers(pfn)) return false;
  const RmpEntry entry = rmp.covering(pfn);
  if (!entry.assigned() || entry.asid() != page.asid || entry.asid().value == 0) return false;
  const std::uint64_t offset = (pfn - rmp.covering_frame(pfn)).value * kPageBytes;
  const bool is_address = entry.gpa().value + offset == page.gpa.value;
  return (is_address || !asks_address) && !entry.immutable();
}

std::uint8_t needed_mask(const GuestPage& page, const GuestTouch& touch) {
  if (touch.page_table) return kMaskRead;
  if (touch.kind == AccessKind::kRead) return kMaskRead;
  if (touch.kind == AccessKind::kWrite) return kMaskWrite;
  return page.cpl == 0 ? kMaskExecuteSupervisor : kMaskExecuteUser;
}

GuestResult exit_with(std::uint64_t info) { return {.check = Check::kOk, .npf = info}; }
GuestResult refuse(Check check) { return {.check = fail(check), .npf = 0}; }

/// The rows PVALIDATE, RMPADJUST and RMPQUERY share: translation, then ownership (rmp.md 4.4 row
/// 5).
std::uint64_t ownership_fault(const Rmp& rmp, const GuestPage& page, AccessKind kind) {
  const std::uint64_t info = exit_info(page, {.kind = kind});
  if (!page.leaf.present || (kind == AccessKind::kWrite && !page.leaf.writable)) return info;
  return binds(rmp, page) ? 0 : info | npf::kRmp;
}

enum class Fit : std::uint8_t { kFits, kEntryLarger, kEntrySmaller };

/// How the requested size fits the entry and the nested leaf. Assumption: RMPADJUST looks at the
/// leaf's size as PVALIDATE does.
Fit fit(const Rmp& rmp, const GuestPage& page, PageSizeArg size) {
  const bool entry_large = rmp.covering(page.leaf.pfn).page_size() == PageSize::k2M;
  const bool leaf_large = page.leaf.level != MapLevel::k4K;
  if (size == PageSizeArg::k4K) return entry_large || leaf_large ? Fit::kEntryLarger : Fit::kFits;
  return entry_large && leaf_large ? Fit::kFits : Fit::kEntrySmaller;
}

bool is_bad_size(const GuestPage& page, PageSizeArg size) {
  // Assumption: a size operand other than 0 and 1 is FAIL_INPUT.
  if (size == PageSizeArg::kInvalid) return true;
  return size == PageSizeArg::k2M && (page.gpa.value & (kBytesPer2M - 1)) != 0;
}

}  // namespace

GuestResult check_guest_access(const Rmp& rmp, const GuestPage& page, const GuestTouch& touch) {
  const std::uint64_t info = exit_info(page, touch);
  const bool writes = touch.kind == AccessKind::kWrite;
  if (!page.leaf.present || (writes && !page.leaf.writable)) return exit_with(info);
  const bool owned_check = page.snp && (info & npf::kEncrypted) != 0;
  if (!owned_check) {
    const bool checked = writes || (!page.snp && touch.page_table);
    const bool violates =
        checked && !touch.owner_checked && !rmp.is_hypervisor_owned(page.leaf.pfn, page.leaf.level);
    return violates ? exit_with(info | npf::kRmp) : GuestResult{};
  }
  const bool asks_address = !planted(Planted::kAccessSkipsReverseMap);
  if (!touch.owner_checked && !binds(rmp, page, asks_address)) return exit_with(info | npf::kRmp);
  const RmpEntry entry = rmp.covering(page.leaf.pfn);
  const bool leaf_large = page.leaf.level != MapLevel::k4K;
  if (leaf_large != (entry.page_size() == PageSize::k2M)) return exit_with(info | npf::kRmp);
  if (!entry.validated())
    return refuse(Check::kGuestNotValidated);  // AC1: before VMPL, after page size
  if ((entry.mask(Vmpl{page.vmpl}) & needed_mask(page, touch)) == 0)
    return exit_with(info | npf::kRmp | npf::kVmpl);
  return {};
}

GuestResult pvalidate(Rmp& rmp, Journal& journal, const GuestPage& page, PageSizeArg size,
                      bool validate) {
  if (!page.snp) return refuse(Check::kPvalidateNotSnp);
  if (page.cpl != 0 || page.vmpl != 0) return refuse(Check::kPvalidatePrivilege);
  if (is_bad_size(page, size)) return refuse(Check::kPvalidateInput);
  const std::uint64_t fault = ownership_fault(rmp, page, AccessKind::kWrite);
  const bool ignored = planted(Planted::kPvalidateSkipsOwnership) && (fault & npf::kRmp) != 0;
  if (fault != 0 && !ignored) return exit_with(fault);
  const Fit how = fit(rmp, page, size);
  if (how == Fit::kEntryLarger) {
    return exit_with(exit_info(page, {.kind = AccessKind::kWrite}) | npf::kRmp |
                     npf::kSizeMismatch);
  }
  if (how == Fit::kEntrySmaller) return refuse(Check::kPvalidateSizeMismatch);
  RmpEntry entry = rmp.covering(page.leaf.pfn);
  if (entry.validated() == validate) return refuse(Check::kPvalidateNoUpdate);
  entry.low ^= RmpEntry::kValidated;
  rmp.write_covering(journal, page.leaf.pfn, entry);
  return {};
}

GuestResult rmpadjust(Rmp& rmp, Journal& journal, const GuestPage& page,
                      const RmpAdjustArguments& arguments) {
  if (!page.snp) return refuse(Check::kRmpAdjustNotSnp);
  if (page.cpl != 0) return refuse(Check::kRmpAdjustPrivilege);
  // Assumption: a target VMPL above 3 is FAIL_INPUT, and is seen before row 3.
  if (is_bad_size(page, arguments.size) || arguments.target_vmpl >= kVmplCount)
    return refuse(Check::kRmpAdjustInput);
  if (arguments.target_vmpl <= page.vmpl) return refuse(Check::kRmpAdjustTarget);
  if (const std::uint64_t fault = ownership_fault(rmp, page, AccessKind::kWrite); fault != 0)
    return exit_with(fault);
  const Fit how = fit(rmp, page, arguments.size);
  if (how == Fit::kEntryLarger) {
    return exit_with(exit_info(page, {.kind = AccessKind::kWrite}) | npf::kRmp |
                     npf::kSizeMismatch);
  }
  // Assumption: a page held in use by a running vCPU is FAIL_INUSE (rmp.md 6), seen after the
  // ownership rows.
  if (rmp.covering_in_use(page.leaf.pfn)) return refuse(Check::kRmpAdjustInUse);
  RmpEntry entry = rmp.covering(page.leaf.pfn);
  if (!entry.validated()) return refuse(Check::kRmpAdjustNotValidated);
  if (how == Fit::kEntrySmaller) return refuse(Check::kRmpAdjustSizeMismatch);
  const bool exceeds = (arguments.mask & ~entry.mask(Vmpl{page.vmpl})) != 0;
  if (exceeds && !planted(Planted::kRmpAdjustIgnoresMask)) return refuse(Check::kRmpAdjustMask);
  // Assumption: only VMPL0 may change the VMSA bit; another VMPL that asks for it gets
  // FAIL_PERMISSION.
  if (arguments.vmsa && page.vmpl != 0) return refuse(Check::kRmpAdjustVmsa);
  const unsigned shift = 8u * arguments.target_vmpl;
  entry.high =
      (entry.high & ~(std::uint64_t{0xff} << shift)) | (std::uint64_t{arguments.mask} << shift);
  entry.low = arguments.vmsa ? entry.low | RmpEntry::kVmsa : entry.low & ~RmpEntry::kVmsa;
  rmp.write_covering(journal, page.leaf.pfn, entry);
  return {};
}

// Left out: the size and the flags that RMPQUERY also returns (rmp.md 4).
GuestResult rmpquery(const Rmp& rmp, const GuestPage& page, std::uint8_t target_vmpl,
                     std::uint8_t& mask) {
  if (!page.snp) return refuse(Check::kRmpQueryNotSnp);
  // Assumption: as in RMPADJUST, only less privileged VMPLs may be asked about; anything else is
  // FAIL_PERMISSION.
  if (target_vmpl >= kVmplCount || target_vmpl <= page.vmpl) return refuse(Check::kRmpQueryTarget);
  if (const std::uint64_t fault = ownership_fault(rmp, page, AccessKind::kRead); fault != 0)
    return exit_with(fault);
  const RmpEntry entry = rmp.covering(page.leaf.pfn);
  if (!entry.validated()) return refuse(Check::kRmpQueryNotValidated);
  mask = entry.mask(Vmpl{target_vmpl});
  return {};
}

}  // namespace sluice::model
