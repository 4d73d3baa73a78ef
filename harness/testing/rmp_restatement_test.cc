// The host's side of the restatement: each row of rmp.md 4.2, 4.3 and of the reclaim table once.
#include "testing/rmp_restatement.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "testing/rmp_row_cases.h"

namespace sluice::testing_rmp {
namespace {

constexpr RmpRecord kGive4K{.gpa = kBase, .assigned = true, .asid = kGuest};
constexpr RmpRecord kGive2M{
    .gpa = kBase, .assigned = true, .page_size = PageSize::k2M, .asid = kGuest};
constexpr RmpRecord kTakeBack4K{};
constexpr RmpRecord kTakeBack2M{.page_size = PageSize::k2M};

Decision update(const RmpState& state, Hpa spa, RmpRecord record, HostContext host = {}) {
  return refused_unchanged(state, rmpupdate(state, host, spa, record));
}
RmpRecord changed(RmpRecord record, void (*change)(RmpRecord&)) {
  change(record);
  return record;
}
constexpr Hpa kSpa{0x3000};
constexpr Hpa kHeadSpa{kHead.value * kPageBytes};
constexpr Hpa kInnerSpa{(kHead.value + 7) * kPageBytes};
constexpr RmpEntry kHvFixed{.immutable = true};

constexpr RowCase kRmpUpdateCases[] = {
    {"4.2 row 1", kInvalidOpcode,
     [] {
       return update(empty(), {1}, kGive4K, {false, 3});
     }},
    {"4.2 row 2", kGeneralProtection,
     [] {
       return update(empty(), {1}, kGive4K, {true, 3});
     }},
    {"4.2 row 3", guest_or_host_fault(0),
     [] { return update(empty(), {1}, changed(kGive4K, [](auto& r) { r.readable = false; })); }},
    {"4.2 row 4 spa", eax(1), [] { return update(empty(), {0x3010}, kGive4K); }},
    {"4.2 row 4 size", eax(1), [] { return update(empty(), kSpa, kGive2M); }},
    {"4.2 row 4 covered", eax(1),
     [] {
       return update(empty(), {2 * kBytesPer2M}, changed(kGive4K, [](auto& r) { r.gpa = {}; }));
     }},
    {"4.2 row 4 covered", eax(1), [] { return update(RmpState({600}), kHeadSpa, kGive2M); }},
    {"4.2 row 4 covered", eax(1), [] { return update(empty(), {~std::uint64_t{0xfff}}, kGive4K); }},
    {"4.2 row 5 reserved", eax(1),
     [] {
       return update(empty(), kSpa, changed(kGive4K, [](auto& r) { r.reserved_bits = true; }));
     }},
    {"4.2 row 5 gpa alignment", eax(1),
     [] { return update(empty(), {0}, changed(kGive2M, [](auto& r) { r.gpa = {0x1000}; })); }},
    {"4.2 row 5 immutable", eax(1),
     [] {
       return update(empty(), kSpa, changed(kTakeBack4K, [](auto& r) { r.immutable = true; }));
     }},
    {"4.2 row 5 unassigned asid", eax(1),
     [] { return update(empty(), kSpa, changed(kTakeBack4K, [](auto& r) { r.asid = kGuest; })); }},
    {"4.2 row 5 gpa range", eax(1),
     [] { return update(empty(), kSpa, changed(kGive4K, [](auto& r) { r.gpa = {0x1004}; })); }},
    {"4.2 row 5 gpa range", eax(1),
     [] { return update(empty(), kSpa, changed(kGive4K, [](auto& r) { r.gpa = {1ull << 51}; })); }},
    {"4.2 row 5 asid range", eax(1),
     [] { return update(empty(), kSpa, changed(kGive4K, [](auto& r) { r.asid = {1024}; })); }},
    {"4.2 row 6", eax(3),
     [] { return update(one_4k(immutable(kGuestPage4K)).with_in_use({3}, true), kSpa, kGive4K); }},
    {"4.2 row 6", eax(3),
     [] { return update(empty().with_in_use(kHead + PageCount{511}, true), kHeadSpa, kGive2M); }},
    {"4.2 row 7", eax(2),
     [] { return update(one_4k(immutable(kGuestPage4K)), kSpa, kTakeBack4K); }},
    {"4.2 row 7", eax(2), [] { return update(one_4k(kHvFixed), kSpa, kTakeBack4K); }},
    {"4.2 row 7", eax(2),
     [] { return update(one_2m(immutable(kGuestPage2M)), kHeadSpa, kTakeBack2M); }},
    {"4.2 row 7 hv-fixed", eax(2),
     [] { return update(empty().with_entry({511}, kHvFixed), {0}, kGive2M); }},
    {"4.2 row 8a", eax(4),
     [] { return update(empty().with_entry({511}, kGuestPage4K), {0}, kGive2M); }},
    {"4.2 row 8a", eax(4),
     [] { return update(empty().with_entry({1}, immutable(kGuestPage4K)), {0}, kTakeBack2M); }},
    {"4.2 row 8b", eax(4), [] { return update(one_2m(), kInnerSpa, kTakeBack4K); }},
    {"4.2 row 8b", eax(4),
     [] { return update(one_2m(immutable(kGuestPage2M)), kInnerSpa, kTakeBack4K); }},
    {"4.2 row 8c", eax(4), [] { return update(one_2m(), kHeadSpa, kTakeBack4K); }},
    {"4.2 row 9", eax(0), [] { return update(empty(), kSpa, kGive4K); }},
    {"4.2 row 9", eax(0), [] { return update(one_2m(), kHeadSpa, kTakeBack2M); }},
    {"4.2 row 9", eax(0), [] { return update(one_4k(), {0x5000}, kGive4K); }},
    // Two rows hold, the first answers.
    {"4.2 row 2", kGeneralProtection,
     [] {
       return update(empty(), kSpa, changed(kGive4K, [](auto& r) { r.readable = false; }),
                     {true, 3});
     }},
    {"4.2 row 5 asid range", eax(1),
     [] {
       return update(empty().with_in_use({3}, true), kSpa,
                     changed(kGive4K, [](auto& r) { r.asid = {1024}; }));
     }},
    {"4.2 row 7 hv-fixed", eax(2),
     [] {
       return update(empty().with_entry({1}, kGuestPage4K).with_entry({2}, kHvFixed), {0}, kGive2M);
     }},
};

TEST(Restatement, RmpUpdateRows) { expect_rows(kRmpUpdateCases, {"4.2 "}); }

Decision smash(const RmpState& state, Hpa spa, HostContext host = {}) {
  return refused_unchanged(state, psmash(state, host, spa));
}

constexpr RowCase kPsmashCases[] = {
    {"4.3 row 1 mode", kInvalidOpcode,
     [] {
       return smash(one_2m(), kHeadSpa, {false, 3});
     }},
    {"4.3 row 1 cpl", kGeneralProtection,
     [] {
       return smash(one_2m(), kHeadSpa, {true, 3});
     }},
    {"4.3 row 2 spa", eax(1), [] { return smash(one_2m(), {kHeadSpa.value + 8}); }},
    {"4.3 row 2 size", eax(1), [] { return smash(one_2m(), kInnerSpa); }},
    {"4.3 row 2 covered", eax(1), [] { return smash(one_2m(), {2 * kBytesPer2M}); }},
    {"4.3 row 3", eax(3),
     [] { return smash(one_2m(immutable(kGuestPage2M)).with_in_use({1000}, true), kHeadSpa); }},
    {"4.3 row 4", eax(2), [] { return smash(one_2m(immutable(kGuestPage2M)), kHeadSpa); }},
    {"4.3 row 4", eax(2), [] { return smash(empty().with_entry({0}, kHvFixed), {0}); }},
    {"4.3 row 5", eax(7), [] { return smash(empty(), kHeadSpa); }},
    {"4.3 row 5", eax(7), [] { return smash(empty().with_entry(kHead, kGuestPage4K), kHeadSpa); }},
    {"4.3 row 5", eax(7),
     [] {
       const RmpState smashed = psmash(one_2m(), {}, kHeadSpa).state;
       return smash(smashed, kHeadSpa);
     }},
    {"4.3 row 6", eax(0), [] { return smash(one_2m(), kHeadSpa); }},
    // Two rows hold, the first answers.
    {"4.3 row 1 cpl", kGeneralProtection,
     [] {
       return smash(one_2m(), {1}, {true, 3});
     }},
    {"4.3 row 2 covered", eax(1),
     [] { return smash(RmpState({600}).with_in_use({599}, true), kHeadSpa); }},
};

TEST(Restatement, PsmashRows) { expect_rows(kPsmashCases, {"4.3 "}); }

Decision read(const RmpState& state, Hpa spa, HostContext host = {}) {
  const RmpReadAnswer answer = rmpread(state, host, spa);
  if (!answer.result.succeeded()) {
    EXPECT_EQ(answer.record, RmpRecord{});
  }
  return {answer.result, answer.row};
}

constexpr RowCase kRmpReadCases[] = {
    {"4 rmpread mode", kInvalidOpcode,
     [] {
       return read(empty(), {1}, {false, 3});
     }},
    {"4 rmpread cpl", kGeneralProtection,
     [] {
       return read(empty(), {1}, {true, 3});
     }},
    {"4.1 rmpread spa", eax(1), [] { return read(empty(), {1}); }},
    {"4.1 rmpread covered", eax(1), [] { return read(empty(), {2 * kBytesPer2M}); }},
    {"4.1 rmpread", eax(0), [] { return read(empty(), kSpa); }},
};

TEST(Restatement, RmpReadRows) { expect_rows(kRmpReadCases, {"4 rmpread", "4.1 rmpread"}); }

TEST(Restatement, RmpReadReadsTheOwnSlot) {
  const RmpReadAnswer head = rmpread(one_2m(immutable(kGuestPage2M)), {}, kHeadSpa);
  EXPECT_EQ(head.record, changed(kGive2M, [](auto& r) { r.immutable = true; }));
  EXPECT_TRUE(head.region_is_2m);
  const RmpReadAnswer inner = rmpread(one_2m(immutable(kGuestPage2M)), {}, kInnerSpa);
  EXPECT_EQ(inner.record, RmpRecord{.assigned = true});
  EXPECT_TRUE(inner.region_is_2m);
  EXPECT_FALSE(rmpread(one_4k(), {}, kSpa).region_is_2m);
  EXPECT_EQ(rmpread(empty(), {}, kSpa).record, RmpRecord{});
}

Decision launch(const RmpState& state, Pfn pfn) {
  return refused_unchanged(state, fw_launch_update(state, pfn));
}
Decision reclaim(const RmpState& state, Pfn pfn = {3}) {
  return refused_unchanged(state, fw_page_reclaim(state, pfn));
}
constexpr RmpEntry kFirmware{.assigned = true, .immutable = true, .masks = kMasksOnAssignment};

constexpr RowCase kFirmwareCases[] = {
    {"3 launch_update other state", kFirmwareError, [] { return launch(empty(), {3}); }},
    {"3 launch_update other state", kFirmwareError, [] { return launch(empty(), {5000}); }},
    {"3 launch_update other state", kFirmwareError,
     [] { return launch(one_4k(immutable(kGuestPage4K)), {3}); }},
    {"3 launch_update other state", kFirmwareError,
     [] { return launch(one_2m(immutable(invalid(kGuestPage2M))), kHead + PageCount{1}); }},
    {"3 launch_update Pre-Guest", eax(0),
     [] { return launch(one_4k(immutable(invalid(kGuestPage4K))), {3}); }},
    {"3 launch_update Pre-Guest", eax(0),
     [] { return launch(one_2m(immutable(invalid(kGuestPage2M))), kHead); }},
    {"3 reclaim Default", kFirmwareError, [] { return reclaim(empty(), {5000}); }},
    {"3 reclaim not immutable", eax(0), [] { return reclaim(empty()); }},
    {"3 reclaim not immutable", eax(0), [] { return reclaim(one_4k()); }},
    {"3 reclaim HV-Fixed", kFirmwareError, [] { return reclaim(one_4k(kHvFixed)); }},
    {"3 reclaim Context", kFirmwareError,
     [] { return reclaim(one_4k(with(kFirmware, [](auto& e) { e.vmsa = true; }))); }},
    {"3 reclaim no state", kFirmwareError,
     [] { return reclaim(one_4k(with(kFirmware, [](auto& e) { e.validated = true; }))); }},
    {"3 reclaim", eax(0), [] { return reclaim(one_4k(kFirmware)); }},
};

TEST(Restatement, FirmwareRows) { expect_rows(kFirmwareCases, {"3 "}); }

TEST(Restatement, RowNamesAreUnique) {
  const std::vector<std::string_view> names = all_row_names();
  EXPECT_EQ(std::set<std::string_view>(names.begin(), names.end()).size(), names.size());
}

}  // namespace
}  // namespace sluice::testing_rmp
