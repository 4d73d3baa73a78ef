// What the processor checks when someone touches memory, after paging allowed it, and the RMP
// instructions of the guest (rmp.md 4.4, 4.5, 5; APM vol. 2 15.36.10). Left out: A/D-bit updates by
// the walker, which count as 4 KiB data writes (AC2).
#pragma once
#include <cstdint>

#include "model/machine/rmp.h"
#include "ops/fields.h"
#include "trace/npf.h"

namespace sluice::model {

/// The nested leaf behind a guest-physical address; `pfn` is the frame of that address, also inside
/// a large leaf.
struct NptLeaf {
  bool present = false;
  bool writable = false;
  MapLevel level = MapLevel::k4K;
  Pfn pfn{};
};

/// Who touches what: the guest's identity and the page.
struct GuestPage {
  bool snp = true;
  Asid asid{};
  std::uint8_t vmpl = 0;
  std::uint8_t cpl = 0;
  Gpa gpa{};  // page aligned
  NptLeaf leaf{};
};

struct GuestTouch {
  AccessKind kind = AccessKind::kRead;
  bool c_bit = true;
  bool page_table = false;     // the access is the walker reading a guest page table
  bool owner_checked = false;  // by the access that the processor cached the translation of
};

/// Allowed (kOk, no exit), refused inside the guest (a check), or an exit to the host (`npf`
/// non-zero: EXITINFO1).
struct GuestResult {
  Check check = Check::kOk;
  std::uint64_t npf = 0;
  constexpr bool allowed() const { return check == Check::kOk && npf == 0; }
};

/// Source: rmp.md 5, the table of accessors.  An absent or write-protected leaf gives an NPF
/// without the RMP bit.  Cost: O(1).
GuestResult check_guest_access(const Rmp& rmp, const GuestPage& page, const GuestTouch& touch);

/// PVALIDATE.  Post: Validated of the covering entry = `validate`.  Fails: pvalidate.*, NPF.
/// Source: rmp.md 4.4.
GuestResult pvalidate(Rmp& rmp, Journal& journal, const GuestPage& page, PageSizeArg size,
                      bool validate);

struct RmpAdjustArguments {
  PageSizeArg size = PageSizeArg::k4K;
  std::uint8_t target_vmpl = 1;
  std::uint8_t mask = 0;
  bool vmsa = false;
};
/// RMPADJUST.  Post: the target's mask and the VMSA bit of the covering entry are as given.  Fails:
/// rmpadjust.*, NPF.
GuestResult rmpadjust(Rmp& rmp, Journal& journal, const GuestPage& page,
                      const RmpAdjustArguments& arguments);

/// RMPQUERY.  On success `mask` is the target's.  Fails: rmpquery.*, NPF.  Source: rmp.md 4.
GuestResult rmpquery(const Rmp& rmp, const GuestPage& page, std::uint8_t target_vmpl,
                     std::uint8_t& mask);

}  // namespace sluice::model
