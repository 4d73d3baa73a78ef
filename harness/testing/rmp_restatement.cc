// The host's side: RMPUPDATE, PSMASH, RMPREAD (rmp.md 4.2, 4.3, 4.1) and two firmware commands
// (rmp.md 3).
#include "testing/rmp_restatement.h"

#include <fmt/format.h>

#include <algorithm>

#include "testing/rmp_rows.h"

namespace sluice::testing_rmp {
namespace {

constexpr std::uint64_t kGpaEnd = std::uint64_t{1} << 51;  // an entry holds GPA[50:12]
constexpr std::uint32_t kAsidEnd = 1024;                   // and ten bits of ASID

struct HostCase {
  const RmpState& state;
  HostContext host;
  Hpa spa;
  PageSize page_size;  // what the instruction acts on: the record's, or 2 MiB for PSMASH
  RmpRecord record;

  Pfn pfn() const { return spa.containing_frame(); }
  PageCount frames() const { return {frames_in(page_size)}; }
  RmpEntry old_slot() const { return state.own_slot(pfn()); }
  std::span<const RmpState::Written> following_511() const {
    return state.written(pfn() + PageCount{1}, PageCount{kFramesPer2M - 1});
  }
};

bool snp_is_off(const HostCase& c) { return !c.host.snp_on; }
bool cpl_is_not_zero(const HostCase& c) { return c.host.cpl != 0; }
bool record_faults(const HostCase& c) { return !c.record.readable; }
bool spa_is_not_a_page(const HostCase& c) { return !c.spa.is_page_aligned(); }
bool spa_is_not_aligned_for_size(const HostCase& c) {
  return !c.pfn().is_aligned(frames_in(c.page_size));
}
// Assumption: a 2 MiB operation on a region that the table covers only in part is FAIL_INPUT.
bool spa_is_not_covered(const HostCase& c) { return !c.state.covers(c.pfn(), c.frames()); }

bool reserved_bits_are_set(const HostCase& c) { return c.record.reserved_bits; }
bool record_2m_with_unaligned_gpa(const HostCase& c) {
  return c.record.page_size == PageSize::k2M && c.record.gpa.value % kBytesPer2M != 0;  // RU7
}
bool unassigned_yet_immutable(const HostCase& c) {
  return !c.record.assigned && c.record.immutable;  // RU8
}
bool unassigned_yet_with_asid(const HostCase& c) {
  return !c.record.assigned && c.record.asid != Asid{};  // RU8
}
// Assumption: gpa bits 11:0, gpa above bit 50 and ASID >= 1024 are FAIL_INPUT, assigned or not.
bool gpa_does_not_fit(const HostCase& c) {
  return !c.record.gpa.is_page_aligned() || c.record.gpa.value >= kGpaEnd;
}
bool asid_does_not_fit(const HostCase& c) { return c.record.asid.value >= kAsidEnd; }

// Assumption: a 4 KiB record asks about its own frame's in-use mark, a 2 MiB one about all 512.
bool some_frame_is_in_use(const HostCase& c) { return c.state.any_in_use(c.pfn(), c.frames()); }

// Assumption: inside an immutable 2 MiB entry the frame's own slot answers, thus row 8b, not row 7.
bool old_slot_is_immutable(const HostCase& c) { return c.old_slot().immutable; }
// Assumption: a 2 MiB record over an unassigned immutable frame is FAIL_PERMISSION, before row 8a.
bool record_2m_over_hv_fixed(const HostCase& c) {
  return c.record.page_size == PageSize::k2M &&
         std::ranges::any_of(c.following_511(), [](const RmpState::Written& w) {
           return !w.entry.assigned && w.entry.immutable;
         });
}
bool record_2m_over_assigned_4k(const HostCase& c) {
  return c.record.page_size == PageSize::k2M && c.old_slot().page_size == PageSize::k4K &&
         std::ranges::any_of(c.following_511(),
                             [](const RmpState::Written& w) { return w.entry.assigned; });
}
bool record_4k_inside_live_2m(const HostCase& c) {
  return c.record.page_size == PageSize::k4K && c.state.is_inside_live_2m(c.pfn());
}
// Assumption: a 4 KiB record at the head of a live 2 MiB entry is FAIL_OVERLAP.
bool record_4k_at_head_of_live_2m(const HostCase& c) {
  return c.record.page_size == PageSize::k4K && c.old_slot().page_size == PageSize::k2M;
}
bool old_slot_is_not_a_2m_entry(const HostCase& c) {
  return !c.old_slot().assigned || c.old_slot().page_size == PageSize::k4K;
}

constexpr Row<HostCase> kRmpUpdateRows[] = {
    {"4.2 row 1", snp_is_off, kUd},
    {"4.2 row 2", cpl_is_not_zero, kGp},
    {"4.2 row 3", record_faults, page_fault(0)},
    {"4.2 row 4 spa", spa_is_not_a_page, code(kFailInput)},
    {"4.2 row 4 size", spa_is_not_aligned_for_size, code(kFailInput)},
    {"4.2 row 4 covered", spa_is_not_covered, code(kFailInput)},
    {"4.2 row 5 reserved", reserved_bits_are_set, code(kFailInput)},
    {"4.2 row 5 gpa alignment", record_2m_with_unaligned_gpa, code(kFailInput)},
    {"4.2 row 5 immutable", unassigned_yet_immutable, code(kFailInput)},
    {"4.2 row 5 unassigned asid", unassigned_yet_with_asid, code(kFailInput)},
    {"4.2 row 5 gpa range", gpa_does_not_fit, code(kFailInput)},
    {"4.2 row 5 asid range", asid_does_not_fit, code(kFailInput)},
    {"4.2 row 6", some_frame_is_in_use, code(kFailInUse)},
    {"4.2 row 7", old_slot_is_immutable, code(kFailPermission)},
    {"4.2 row 7 hv-fixed", record_2m_over_hv_fixed, code(kFailPermission)},
    {"4.2 row 8a", record_2m_over_assigned_4k, code(kFailOverlap)},
    {"4.2 row 8b", record_4k_inside_live_2m, code(kFailOverlap)},
    {"4.2 row 8c", record_4k_at_head_of_live_2m, code(kFailOverlap)},
    {"4.2 row 9", otherwise, code(kSuccess)},
};

// The table's "or AMD-SP owned" of row 4 says nothing more: the AMD-SP's pages are immutable.
constexpr Row<HostCase> kPsmashRows[] = {
    {"4.3 row 1 mode", snp_is_off, kUd},
    {"4.3 row 1 cpl", cpl_is_not_zero, kGp},
    {"4.3 row 2 spa", spa_is_not_a_page, code(kFailInput)},
    {"4.3 row 2 size", spa_is_not_aligned_for_size, code(kFailInput)},
    {"4.3 row 2 covered", spa_is_not_covered, code(kFailInput)},
    {"4.3 row 3", some_frame_is_in_use, code(kFailInUse)},
    {"4.3 row 4", old_slot_is_immutable, code(kFailPermission)},
    {"4.3 row 5", old_slot_is_not_a_2m_entry, code(kFailBadAddress)},
    {"4.3 row 6", otherwise, code(kSuccess)},
};

// Assumption: RMPREAD never answers FAIL_PERMISSION, though 4.1 lists it, as no condition is known.
constexpr Row<HostCase> kRmpReadRows[] = {
    {"4 rmpread mode", snp_is_off, kUd},
    {"4 rmpread cpl", cpl_is_not_zero, kGp},
    {"4.1 rmpread spa", spa_is_not_a_page, code(kFailInput)},
    {"4.1 rmpread covered", spa_is_not_covered, code(kFailInput)},
    {"4.1 rmpread", otherwise, code(kSuccess)},
};

// RMPUPDATE's effect on the slot at SPA: RU4.
// Assumption: an unassigned entry keeps no gpa, no size and no masks.
RmpEntry rewritten(const RmpEntry& old, const RmpRecord& record) {
  if (!record.assigned) return RmpEntry{};
  const RmpEntry fresh{.assigned = true,
                       .page_size = record.page_size,
                       .immutable = record.immutable,
                       .gpa = record.gpa,
                       .asid = record.asid,
                       .masks = kMasksOnAssignment};
  const bool binding_stays = old.assigned && old.asid == record.asid && old.gpa == record.gpa &&
                             old.page_size == record.page_size && record.asid != Asid{};
  if (!binding_stays) return fresh;
  RmpEntry kept = old;
  kept.immutable = record.immutable;
  return kept;
}

struct FirmwareCase {
  const RmpState& state;
  Pfn pfn;

  PageState page_state() const { return state.page_state(pfn); }
};

template <PageState kState>
bool page_is(const FirmwareCase& c) {
  return c.page_state() == kState;
}
bool is_not_pre_guest(const FirmwareCase& c) { return c.page_state() != PageState::kPreGuest; }
bool is_not_immutable(const FirmwareCase& c) { return !c.state.own_slot(c.pfn).immutable; }

constexpr Row<FirmwareCase> kLaunchUpdateRows[] = {
    {"3 launch_update other state", is_not_pre_guest, kRefused},
    {"3 launch_update Pre-Guest", otherwise, code(kSuccess)},
};

// Assumption: SNP_PAGE_RECLAIM refuses Default, HV-Fixed and Context pages and unnamed states.
constexpr Row<FirmwareCase> kPageReclaimRows[] = {
    {"3 reclaim Default", page_is<PageState::kDefault>, kRefused},
    {"3 reclaim not immutable", is_not_immutable, code(kSuccess)},
    {"3 reclaim HV-Fixed", page_is<PageState::kHvFixed>, kRefused},
    {"3 reclaim Context", page_is<PageState::kContext>, kRefused},
    {"3 reclaim no state", page_is<PageState::kNone>, kRefused},
    {"3 reclaim", otherwise, code(kSuccess)},
};

}  // namespace

Answer rmpupdate(const RmpState& state, HostContext host, Hpa spa, const RmpRecord& record) {
  const HostCase c{state, host, spa, record.page_size, record};
  const Decision decision = decide<HostCase>(kRmpUpdateRows, c);
  if (!decision.result.succeeded()) return {decision.result, decision.row, state};
  const RmpEntry entry = rewritten(c.old_slot(), record);
  return {decision.result, decision.row, state.with_entry(c.pfn(), entry)};
}

Answer psmash(const RmpState& state, HostContext host, Hpa spa) {
  const HostCase c{state, host, spa, PageSize::k2M, {}};
  const Decision decision = decide<HostCase>(kPsmashRows, c);
  if (!decision.result.succeeded()) return {decision.result, decision.row, state};
  return {decision.result, decision.row, state.with_smashed(c.pfn())};
}

RmpReadAnswer rmpread(const RmpState& state, HostContext host, Hpa spa) {
  const HostCase c{state, host, spa, PageSize::k4K, {}};
  const Decision decision = decide<HostCase>(kRmpReadRows, c);
  if (!decision.result.succeeded()) return {decision.result, decision.row, {}, false};
  const RmpEntry slot = c.old_slot();
  const bool region_is_2m = state.covering(c.pfn()).entry.page_size == PageSize::k2M;
  return {.result = decision.result,
          .row = decision.row,
          .record = {.gpa = slot.gpa,
                     .assigned = slot.assigned,
                     .page_size = slot.page_size,
                     .immutable = slot.immutable,
                     .asid = slot.asid},
          .region_is_2m = region_is_2m};
}

Answer fw_launch_update(const RmpState& state, Pfn pfn, bool vmsa) {
  const Decision decision = decide<FirmwareCase>(kLaunchUpdateRows, {state, pfn});
  if (!decision.result.succeeded()) return {decision.result, decision.row, state};
  RmpEntry entry = state.own_slot(pfn);
  entry.immutable = false;
  entry.validated = true;
  entry.vmsa = vmsa;
  return {decision.result, decision.row, state.with_entry(pfn, entry)};
}

Answer fw_page_reclaim(const RmpState& state, Pfn pfn) {
  const Decision decision = decide<FirmwareCase>(kPageReclaimRows, {state, pfn});
  if (!decision.result.succeeded() || is_not_immutable({state, pfn})) {
    return {decision.result, decision.row, state};
  }
  RmpEntry entry = state.own_slot(pfn);
  entry.immutable = false;
  return {decision.result, decision.row, state.with_entry(pfn, entry)};
}

void append_host_rows(std::vector<std::string_view>& names) {
  append_names<HostCase>(kRmpUpdateRows, names);
  append_names<HostCase>(kPsmashRows, names);
  append_names<HostCase>(kRmpReadRows, names);
  append_names<FirmwareCase>(kLaunchUpdateRows, names);
  append_names<FirmwareCase>(kPageReclaimRows, names);
}

std::vector<std::string_view> all_row_names() {
  std::vector<std::string_view> names;
  append_host_rows(names);
  append_guest_rows(names);
  append_access_rows(names);
  return names;
}

std::string to_string(const Result& result) {
  switch (result.kind) {
    case ResultKind::kCode:
      return fmt::format("EAX={}", result.code);
    case ResultKind::kNoUpdate:
      return "EAX=0 CF=1";
    case ResultKind::kInvalidOpcode:
      return "#UD";
    case ResultKind::kGeneralProtection:
      return "#GP";
    case ResultKind::kPageFault:
      return fmt::format("#PF(bits {:#x})", result.fault_bits);
    case ResultKind::kNotValidated:
      return fmt::format("#VC({:#x})", result.code);
    case ResultKind::kNestedPageFault:
      return fmt::format("#NPF(bits {:#x})", result.fault_bits);
    case ResultKind::kFirmwareRefuses:
      return "firmware error";
  }
  return "?";
}

void PrintTo(const Result& result, std::ostream* out) { *out << to_string(result); }

}  // namespace sluice::testing_rmp
