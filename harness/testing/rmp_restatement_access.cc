// Access checks: who may touch which frame how (rmp.md 5).
#include <algorithm>

#include "testing/rmp_restatement.h"
#include "testing/rmp_rows.h"

namespace sluice::testing_rmp {
namespace {

enum class Accessor { kHost, kPlainGuest, kSnpGuest };

struct AccessCase {
  const RmpState& state;
  Accessor accessor;
  AccessKind kind;
  MapLevel level;
  Pfn pfn;              // the frame touched
  bool present = true;  // the rest: guests only
  bool c_bit = false;
  Gpa gpa{};
  Asid asid{};
  Vmpl vmpl{};

  CoveringEntry covering() const { return state.covering(pfn); }
  RmpEntry entry() const { return covering().entry; }
  bool is_fetch() const {
    return kind == AccessKind::kFetchUser || kind == AccessKind::kFetchSupervisor;
  }
  // A fetch and a page-table access count as C=1.
  bool is_private() const {
    return accessor == Accessor::kSnpGuest &&
           (c_bit || is_fetch() || kind == AccessKind::kPageTable);
  }
};

bool npt_is_not_present(const AccessCase& c) { return !c.present; }

// Hypervisor-Owned goes by own slots; a 1 GiB leaf is checked as the 2 MiB piece touched.
bool is_not_hypervisor_owned(const AccessCase& c) {
  if (c.level == MapLevel::k4K) return c.state.own_slot(c.pfn).assigned;
  const Pfn piece = c.pfn.align_down(kFramesPer2M);
  return std::ranges::any_of(c.state.written(piece, PageCount{kFramesPer2M}),
                             [](const RmpState::Written& w) { return w.entry.assigned; });
}

bool is_not_covered(const AccessCase& c) { return !c.state.covers(c.pfn); }
bool is_not_guest_owned(const AccessCase& c) {
  return !c.entry().assigned || c.entry().asid != c.asid;
}
bool is_bound_elsewhere(const AccessCase& c) {
  const PageCount offset = c.pfn - c.covering().head;
  return c.entry().gpa.containing_frame() + offset != c.gpa.containing_frame();
}
bool is_immutable(const AccessCase& c) { return c.entry().immutable; }
bool sizes_differ(const AccessCase& c) {
  return (c.level == MapLevel::k4K) != (c.entry().page_size == PageSize::k4K);
}
bool is_not_validated(const AccessCase& c) { return !c.entry().validated; }

std::uint8_t mask_bit_for(AccessKind kind) {
  switch (kind) {
    case AccessKind::kRead:
      return kMaskRead;
    case AccessKind::kWrite:
      return kMaskWrite;
    case AccessKind::kFetchUser:
      return kMaskExecuteUser;
    case AccessKind::kFetchSupervisor:
      return kMaskExecuteSupervisor;
    case AccessKind::kPageTable:
      return kMaskRead;
  }
  return 0;
}
bool vmpl_forbids(const AccessCase& c) {
  return (c.entry().masks[c.vmpl.value] & mask_bit_for(c.kind)) == 0;
}

using Rows = std::span<const Row<AccessCase>>;

constexpr Row<AccessCase> kNoChecks[] = {
    {"5 none: npt", npt_is_not_present, npf(0)},
    {"5 none", otherwise, code(kSuccess)},
};
constexpr Row<AccessCase> kHostMustOwn[] = {
    {"5 host Hypervisor-Owned", is_not_hypervisor_owned, page_fault(kFaultRmp)},
    {"5 host passes", otherwise, code(kSuccess)},
};
constexpr Row<AccessCase> kHypervisorMustOwn[] = {
    {"5 Hypervisor-Owned: npt", npt_is_not_present, npf(0)},
    {"5 Hypervisor-Owned", is_not_hypervisor_owned, npf(kFaultRmp)},
    {"5 Hypervisor-Owned passes", otherwise, code(kSuccess)},
};
constexpr Row<AccessCase> kGuestMustOwn[] = {
    {"5 private: npt", npt_is_not_present, npf(0)},
    {"5 RMP-Covered", is_not_covered, npf(kFaultRmp)},
    {"5 Guest-Owned", is_not_guest_owned, npf(kFaultRmp)},
    {"5 Reverse-Map", is_bound_elsewhere, npf(kFaultRmp)},
    {"5 Mutable", is_immutable, npf(kFaultRmp)},
    {"5 Page-Size", sizes_differ, npf(kFaultRmp)},
    {"5 Validated", is_not_validated, kVc},
    {"5 VMPL", vmpl_forbids, npf(kFaultRmp | kFaultVmpl)},
    {"5 private passes", otherwise, code(kSuccess)},
};

bool is_host(const AccessCase& c) { return c.accessor == Accessor::kHost; }
bool changes_or_walks(const AccessCase& c) {
  return c.kind == AccessKind::kWrite || c.kind == AccessKind::kPageTable;
}

// The accessor and access columns of section 5, first match.
struct CheckListRow {
  bool (*applies)(const AccessCase&);
  Rows checks;
};
constexpr CheckListRow kCheckLists[] = {
    {[](const AccessCase& c) { return is_host(c) && changes_or_walks(c); }, kHostMustOwn},
    {[](const AccessCase& c) { return is_host(c); }, kNoChecks},
    {[](const AccessCase& c) { return c.is_private(); }, kGuestMustOwn},
    {[](const AccessCase& c) { return changes_or_walks(c); }, kHypervisorMustOwn},
    {[](const AccessCase&) { return true; }, kNoChecks},
};

Decision check(const AccessCase& c) {
  const auto* list =
      std::ranges::find_if(kCheckLists, [&](const CheckListRow& row) { return row.applies(c); });
  Decision decision = decide<AccessCase>(list->checks, c);
  // What EXITINFO1 says of the access rather than of the check that failed.
  if (decision.result.kind == ResultKind::kNestedPageFault) {
    if (c.is_private()) decision.result.fault_bits |= kFaultEncrypted;
    if (c.kind == AccessKind::kPageTable) decision.result.fault_bits |= kFaultGuestWalk;
  }
  return decision;
}

}  // namespace

Decision guest_access(const RmpState& state, GuestContext guest, const GuestAccess& access) {
  SLUICE_CHECK(guest.vmpl.value < kVmplCount);
  return check({.state = state,
                .accessor = guest.snp ? Accessor::kSnpGuest : Accessor::kPlainGuest,
                .kind = access.kind,
                .level = access.leaf.level,
                .pfn = access.leaf.touched(access.gpa),
                .present = access.leaf.present,
                .c_bit = access.c_bit,
                .gpa = access.gpa,
                .asid = guest.asid,
                .vmpl = guest.vmpl});
}

Decision host_access(const RmpState& state, const HostAccess& access) {
  return check({.state = state,
                .accessor = Accessor::kHost,
                .kind = access.kind,
                .level = access.level,
                .pfn = access.pfn});
}

void append_access_rows(std::vector<std::string_view>& names) {
  append_names<AccessCase>(kNoChecks, names);
  append_names<AccessCase>(kHostMustOwn, names);
  append_names<AccessCase>(kHypervisorMustOwn, names);
  append_names<AccessCase>(kGuestMustOwn, names);
}

}  // namespace sluice::testing_rmp
