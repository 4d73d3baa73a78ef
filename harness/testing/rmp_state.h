// The Reverse Map table as a plain value: what rmp.md 2, 3 and 7 say a table is, with decoded
// fields, for the restatement in rmp_restatement.h.
// A frame never written is hypervisor-owned; a live 2 MiB entry is written once, at its head, and
// what its 511 inner slots read is derived (rmp.md RU9). Left out: the raw layout (rmp.md 1), the
// table's own memory, and the lock bit, as every instruction here is atomic.
#pragma once
#include <array>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace sluice::testing_rmp {

// Bits of a VMPL mask. Source: rmp.md 3.
inline constexpr std::uint8_t kMaskRead = 1 << 0;
inline constexpr std::uint8_t kMaskWrite = 1 << 1;
inline constexpr std::uint8_t kMaskExecuteUser = 1 << 2;
inline constexpr std::uint8_t kMaskExecuteSupervisor = 1 << 3;
inline constexpr std::uint8_t kMaskSupervisorShadowStack = 1 << 4;
inline constexpr std::uint8_t kMaskAll = 0x1f;

using VmplMasks = std::array<std::uint8_t, kVmplCount>;
inline constexpr VmplMasks kMasksOnAssignment = {kMaskAll, 0, 0, 0};

/// What one slot of the table says. The default value is a hypervisor page.
struct RmpEntry {
  bool assigned = false;
  PageSize page_size = PageSize::k4K;
  bool immutable = false;
  Gpa gpa{};
  Asid asid{};
  bool vmsa = false;
  bool validated = false;
  VmplMasks masks{};

  friend bool operator==(const RmpEntry&, const RmpEntry&) = default;
};

/// Names of what assigned, validated, asid, immutable, vmsa and gpa say together (rmp.md 3).
/// kDefault: outside the table, for ever.       kHypervisor: anybody's; RMPUPDATE gives it away.
/// kHvFixed: put there by SNP_INIT_EX only.     kFirmware: RMPUPDATE(asid 0, immutable).
/// kContext, kMetadata: firmware's own objects. kReclaim: handed back by SNP_PAGE_RECLAIM.
/// kPreGuest: bound to a guest, held by the firmware; not validated.   kPreSwap: same, validated.
/// kGuestInvalid, kGuestValid: the guest's, by PVALIDATE.  kNone: a combination no row names.
enum class PageState {
  kDefault,
  kHypervisor,
  kHvFixed,
  kFirmware,
  kContext,
  kMetadata,
  kReclaim,
  kPreGuest,
  kPreSwap,
  kGuestInvalid,
  kGuestValid,
  kNone,
};

std::string_view to_string(PageState state);
std::string to_string(const RmpEntry& entry);
void PrintTo(PageState state, std::ostream* out);
void PrintTo(const RmpEntry& entry, std::ostream* out);

/// An entry and the frame it stands at; the frame asked about lies at or inside it.
struct CoveringEntry {
  Pfn head{};
  RmpEntry entry{};
};

/// A table over frames [0, covered). Copies cost what was written. Thread: compatible, immutable:
/// every with_*() returns another table.
class RmpState {
 public:
  struct Written {
    Pfn pfn{};
    RmpEntry entry{};
    friend bool operator==(const Written&, const Written&) = default;
  };

  explicit RmpState(PageCount covered) : covered_(covered) {}

  PageCount covered() const { return covered_; }
  bool covers(Pfn pfn) const { return pfn.value < covered_.value; }
  /// True if every frame from `first` on is covered. Wrap-around counts as not covered.
  bool covers(Pfn first, PageCount n) const;

  /// What the frame's own slot reads; inside a live 2 MiB entry {assigned, ASID 0, 4 KiB, rest 0}.
  RmpEntry own_slot(Pfn pfn) const;
  /// The entry that guest checks use: the live 2 MiB head over the frame, else the frame's own.
  CoveringEntry covering(Pfn pfn) const;
  bool is_inside_live_2m(Pfn pfn) const;  // inside, not at its head
  bool is_in_use(Pfn pfn) const;          // marked by a running VMRUN (VMCB, VMSA, AVIC page)
  bool any_in_use(Pfn first, PageCount n) const;
  PageState page_state(Pfn pfn) const;  // of the own slot

  /// The slots written in [first, first + n), in order of frame; all others read as default or as
  /// derived from a 2 MiB head.
  std::span<const Written> written(Pfn first, PageCount n) const;
  std::span<const Written> written() const { return written_; }

  /// Pre: covered; a 2 MiB entry is aligned, assigned, and its whole region covered; a 4 KiB entry
  /// is not inside a live 2 MiB one. A 2 MiB entry replaces all that was written in its region, a
  /// 4 KiB entry at a 2 MiB head drops the other 511.
  RmpState with_entry(Pfn pfn, const RmpEntry& entry) const;
  RmpState with_in_use(Pfn pfn, bool in_use) const;
  /// PSMASH's effect (rmp.md 4.3 row 6). Pre: a live 2 MiB entry stands at `head`.
  RmpState with_smashed(Pfn head) const;

  friend bool operator==(const RmpState&, const RmpState&) = default;
  friend void PrintTo(const RmpState& state, std::ostream* out);

 private:
  PageCount covered_;
  std::vector<Written> written_;  // by frame, none equal to RmpEntry{}
  std::vector<Pfn> in_use_;       // by frame
};

}  // namespace sluice::testing_rmp
