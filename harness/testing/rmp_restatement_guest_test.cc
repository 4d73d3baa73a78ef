// The guest's side of the restatement: each row of rmp.md 4.4, 4.5 and of section 5 once.
#include <gtest/gtest.h>

#include "testing/rmp_restatement.h"
#include "testing/rmp_row_cases.h"

namespace sluice::testing_rmp {
namespace {

constexpr GuestContext kCaller{.asid = kGuest};
constexpr GuestContext kCallerVmpl1{.asid = kGuest, .vmpl = {1}};
constexpr NptLeaf kLeaf4K{.pfn = {3}};
constexpr NptLeaf kLeaf2M{.level = MapLevel::k2M, .pfn = kHead};
constexpr GuestOperand kOn4K{.gva = 0x7000, .gpa = kBase, .leaf = kLeaf4K};
constexpr GuestOperand kOn2M{.gva = kBytesPer2M, .gpa = kBase, .leaf = kLeaf2M};

template <class T>
T changed(T value, void (*change)(T&)) {
  change(value);
  return value;
}
GuestOperand at_gpa(GuestOperand operand, std::uint64_t gpa) {
  operand.gpa = Gpa{gpa};
  return operand;
}
GuestOperand via(GuestOperand operand, NptLeaf leaf) {
  operand.leaf = leaf;
  return operand;
}
constexpr NptLeaf kNotPresent{.present = false, .pfn = {3}};
constexpr NptLeaf kLeaf2MOver4K{.level = MapLevel::k2M, .pfn = {0}};
constexpr NptLeaf kLeaf4KInto2M{.pfn = kHead};
// The frame behind kLeaf2MOver4K for kBase is frame 0, not 3.
RmpState at_zero() { return empty().with_entry({0}, kGuestPage4K); }

constexpr std::uint64_t kRmp = 1ull << 31;
constexpr std::uint64_t kWalk = 1ull << 33;
constexpr std::uint64_t kEnc = 1ull << 34;
constexpr std::uint64_t kSizem = 1ull << 35;
constexpr std::uint64_t kVmpl = 1ull << 36;

Decision pv(const RmpState& state, const GuestOperand& operand,
            PvalidateRequest request = {0, false}, GuestContext guest = kCaller) {
  return refused_unchanged(state, pvalidate(state, guest, operand, request));
}

constexpr RowCase kPvalidateCases[] = {
    {"4.4 row 1", kInvalidOpcode,
     [] {
       return pv(one_4k(), kOn4K, {2, true}, {.snp = false, .cpl = 3});
     }},
    {"4.4 row 2 cpl", kGeneralProtection,
     [] {
       return pv(one_4k(), kOn4K, {2, true}, {.asid = kGuest, .cpl = 3});
     }},
    {"4.4 row 2 vmpl", kGeneralProtection,
     [] {
       return pv(one_4k(), kOn4K, {2, true}, kCallerVmpl1);
     }},
    {"4.4 row 3 operand", eax(1),
     [] {
       return pv(one_4k(), kOn4K, {2, true});
     }},
    {"4.4 row 3", eax(1),
     [] {
       return pv(one_4k(), kOn4K, {1, true});
     }},
    {"4.4 row 4", guest_or_host_fault(0),
     [] {
       return pv(one_4k(), changed(
                               kOn4K, +[](GuestOperand& o) { o.mapped = o.c_bit = false; }));
     }},
    {"4.4 row 4b", guest_or_host_fault(8),
     [] {
       return pv(one_4k(), changed(
                               kOn4K, +[](GuestOperand& o) { o.c_bit = false; }));
     }},
    {"4.4 row 5 npt", nested_fault(kEnc), [] { return pv(one_4k(), via(kOn4K, kNotPresent)); }},
    {"4.4 row 5 assigned", nested_fault(kRmp | kEnc), [] { return pv(empty(), kOn4K); }},
    {"4.4 row 5 assigned", nested_fault(kRmp | kEnc),
     [] { return pv(one_4k(), via(kOn4K, {.pfn = {5000}})); }},
    {"4.4 row 5 asid", nested_fault(kRmp | kEnc),
     [] {
       return pv(one_4k(), kOn4K, {0, false}, {.asid = {6}});
     }},
    {"4.4 row 5 gpa", nested_fault(kRmp | kEnc),
     [] { return pv(one_4k(), at_gpa(kOn4K, 0x1000)); }},
    {"4.4 row 5 immutable", nested_fault(kRmp | kEnc),
     [] { return pv(one_4k(immutable(kGuestPage4K)), kOn4K); }},
    {"4.4 row 6 entry", nested_fault(kRmp | kEnc | kSizem), [] { return pv(one_2m(), kOn2M); }},
    {"4.4 row 6 entry", nested_fault(kRmp | kEnc | kSizem),
     [] { return pv(one_2m(), at_gpa(kOn2M, kBase.value + 0x5000)); }},
    {"4.4 row 6 npt", nested_fault(kRmp | kEnc | kSizem),
     [] { return pv(at_zero(), via(kOn4K, kLeaf2MOver4K)); }},
    {"4.4 row 7 entry", eax(6),
     [] {
       return pv(at_zero(), via(kOn2M, kLeaf2MOver4K), {1, true});
     }},
    {"4.4 row 7 npt", eax(6),
     [] {
       return pv(one_2m(), via(kOn2M, kLeaf4KInto2M), {1, true});
     }},
    {"4.4 row 8", kNoUpdate,
     [] {
       return pv(one_4k(), kOn4K, {0, true});
     }},
    {"4.4 row 8", kNoUpdate,
     [] {
       return pv(one_2m(invalid(kGuestPage2M)), kOn2M, {1, false});
     }},
    {"4.4 row 9", eax(0),
     [] {
       return pv(one_4k(), kOn4K, {0, false});
     }},
    {"4.4 row 9", eax(0),
     [] {
       return pv(one_2m(), kOn2M, {1, false});
     }},
    // Two rows hold, the first answers.
    {"4.4 row 3", eax(1),
     [] {
       return pv(one_4k(),
                 changed(
                     kOn4K, +[](GuestOperand& o) { o.mapped = o.c_bit = false; }),
                 {1, true});
     }},
    {"4.4 row 4b", guest_or_host_fault(8),
     [] {
       return pv(one_4k(), changed(
                               kOn4K, +[](GuestOperand& o) { o.c_bit = o.leaf.present = false; }));
     }},
    {"4.4 row 5 npt", nested_fault(kEnc), [] { return pv(empty(), via(kOn4K, kNotPresent)); }},
    {"4.4 row 5 immutable", nested_fault(kRmp | kEnc),
     [] { return pv(one_2m(immutable(kGuestPage2M)), kOn2M); }},
};

TEST(Restatement, PvalidateRows) { expect_rows(kPvalidateCases, {"4.4 "}); }

Decision adjust(const RmpState& state, const GuestOperand& operand, RmpAdjustRequest request,
                GuestContext guest = kCaller) {
  return refused_unchanged(state, rmpadjust(state, guest, operand, request));
}
constexpr RmpAdjustRequest kGive{.size_operand = 0, .target_vmpl = 1, .mask = kMaskRead};
constexpr RmpAdjustRequest kGive2M{.size_operand = 1, .target_vmpl = 1, .mask = kMaskRead};

constexpr RowCase kRmpAdjustCases[] = {
    {"4.5 row 1", kInvalidOpcode,
     [] { return adjust(one_4k(), kOn4K, kGive, {.snp = false, .cpl = 3}); }},
    {"4.5 row 1 cpl", kGeneralProtection,
     [] { return adjust(one_4k(), kOn4K, kGive, {.asid = kGuest, .cpl = 3}); }},
    {"4.5 row 2 operand", eax(1), [] { return adjust(one_4k(), kOn4K, {.size_operand = 2}); }},
    {"4.5 row 2", eax(1), [] { return adjust(one_4k(), kOn4K, {.size_operand = 1}); }},
    {"4.5 row 2 target", eax(1), [] { return adjust(one_4k(), kOn4K, {.target_vmpl = 4}); }},
    {"4.5 row 3", eax(2), [] { return adjust(one_4k(), kOn4K, {.target_vmpl = 0}); }},
    {"4.5 row 3", eax(2), [] { return adjust(one_4k(), kOn4K, kGive, kCallerVmpl1); }},
    {"4.5 row 4 guest tables", guest_or_host_fault(0),
     [] {
       return adjust(one_4k(),
                     changed(
                         kOn4K, +[](GuestOperand& o) { o.mapped = false; }),
                     kGive);
     }},
    {"4.5 row 4 c-bit", guest_or_host_fault(8),
     [] {
       return adjust(one_4k(),
                     changed(
                         kOn4K, +[](GuestOperand& o) { o.c_bit = false; }),
                     kGive);
     }},
    {"4.5 row 4 npt", nested_fault(kEnc),
     [] { return adjust(one_4k(), via(kOn4K, kNotPresent), kGive); }},
    {"4.5 row 4 assigned", nested_fault(kRmp | kEnc), [] { return adjust(empty(), kOn4K, kGive); }},
    {"4.5 row 4 asid", nested_fault(kRmp | kEnc),
     [] { return adjust(one_4k(), kOn4K, kGive, {.asid = {6}}); }},
    {"4.5 row 4 gpa", nested_fault(kRmp | kEnc),
     [] { return adjust(one_4k(), at_gpa(kOn4K, 0x1000), kGive); }},
    {"4.5 row 4 immutable", nested_fault(kRmp | kEnc),
     [] { return adjust(one_4k(immutable(kGuestPage4K)), kOn4K, kGive); }},
    {"4.5 row 4 size entry", nested_fault(kRmp | kEnc | kSizem),
     [] { return adjust(one_2m(invalid(kGuestPage2M)), kOn2M, kGive); }},
    {"4.5 row 4 size npt", nested_fault(kRmp | kEnc | kSizem),
     [] { return adjust(at_zero(), via(kOn4K, kLeaf2MOver4K), kGive); }},
    {"4.5 row 4 in use", eax(3),
     [] { return adjust(one_4k().with_in_use({3}, true), kOn4K, kGive); }},
    {"4.5 row 5", kNotValidated,
     [] { return adjust(one_4k(invalid(kGuestPage4K)), kOn4K, kGive); }},
    {"4.5 row 6 entry", eax(6),
     [] { return adjust(at_zero(), via(kOn2M, kLeaf2MOver4K), kGive2M); }},
    {"4.5 row 6 npt", eax(6), [] { return adjust(one_2m(), via(kOn2M, kLeaf4KInto2M), kGive2M); }},
    {"4.5 row 7", eax(2),
     [] { return adjust(one_4k(), kOn4K, {.target_vmpl = 2, .mask = kMaskWrite}, kCallerVmpl1); }},
    {"4.5 row 7", eax(2), [] { return adjust(one_4k(), kOn4K, {.target_vmpl = 1, .mask = 0x20}); }},
    {"4.5 row 8", eax(2),
     [] { return adjust(one_4k(), kOn4K, {.target_vmpl = 2, .vmsa = true}, kCallerVmpl1); }},
    {"4.5 row 9", eax(0), [] { return adjust(one_4k(), kOn4K, kGive); }},
    {"4.5 row 9", eax(0), [] { return adjust(one_2m(), kOn2M, kGive2M); }},
    {"4.5 row 9", eax(0), [] { return adjust(one_4k(), kOn4K, {.mask = kMaskWrite}); }},
    // Two rows hold, the first answers.
    {"4.5 row 1 cpl", kGeneralProtection,
     [] { return adjust(one_4k(), kOn4K, {.size_operand = 2}, {.asid = kGuest, .cpl = 3}); }},
    {"4.5 row 2", eax(1),
     [] { return adjust(one_4k(), kOn4K, {.size_operand = 1, .target_vmpl = 0}); }},
    {"4.5 row 3", eax(2),
     [] {
       return adjust(one_4k(),
                     changed(
                         kOn4K, +[](GuestOperand& o) { o.mapped = o.c_bit = false; }),
                     {.target_vmpl = 0});
     }},
    {"4.5 row 4 guest tables", guest_or_host_fault(0),
     [] {
       return adjust(one_4k(),
                     changed(
                         kOn4K, +[](GuestOperand& o) { o.mapped = o.c_bit = false; }),
                     kGive);
     }},
    {"4.5 row 4 c-bit", guest_or_host_fault(8),
     [] {
       return adjust(one_4k(),
                     changed(
                         kOn4K, +[](GuestOperand& o) { o.c_bit = o.leaf.present = false; }),
                     kGive);
     }},
    {"4.5 row 4 npt", nested_fault(kEnc),
     [] { return adjust(empty(), via(kOn4K, kNotPresent), kGive); }},
    {"4.5 row 4 immutable", nested_fault(kRmp | kEnc),
     [] { return adjust(one_2m(immutable(kGuestPage2M)), kOn2M, kGive); }},
    {"4.5 row 4 size npt", nested_fault(kRmp | kEnc | kSizem),
     [] { return adjust(at_zero().with_in_use({0}, true), via(kOn4K, kLeaf2MOver4K), kGive); }},
    {"4.5 row 4 in use", eax(3),
     [] { return adjust(one_4k(invalid(kGuestPage4K)).with_in_use({3}, true), kOn4K, kGive); }},
    {"4.5 row 5", kNotValidated,
     [] {
       return adjust(empty().with_entry({0}, invalid(kGuestPage4K)), via(kOn2M, kLeaf2MOver4K),
                     kGive2M);
     }},
    {"4.5 row 6 npt", eax(6),
     [] { return adjust(one_2m(), via(kOn2M, kLeaf4KInto2M), {.size_operand = 1, .mask = 0xff}); }},
};

TEST(Restatement, RmpAdjustRows) { expect_rows(kRmpAdjustCases, {"4.5 "}); }

TEST(Restatement, RmpAdjustWritesMaskAndVmsaOnly) {
  const Answer made = rmpadjust(one_4k(), kCaller, kOn4K,
                                {.target_vmpl = 2, .mask = kMaskRead | kMaskWrite, .vmsa = true});
  const RmpEntry expected = with(kGuestPage4K, [](auto& e) {
    e.masks[2] = kMaskRead | kMaskWrite;
    e.vmsa = true;
  });
  EXPECT_EQ(made.state, one_4k(expected));
  const Answer undone = rmpadjust(made.state, kCaller, kOn4K, {.target_vmpl = 2, .mask = 0});
  EXPECT_EQ(undone.state, one_4k());
}

Decision query(const RmpState& state, const GuestOperand& operand, std::uint8_t target = 1,
               GuestContext guest = kCaller) {
  const RmpQueryAnswer answer = rmpquery(state, guest, operand, target);
  return {answer.result, answer.row};
}

constexpr RowCase kRmpQueryCases[] = {
    {"4 rmpquery mode", kInvalidOpcode, [] { return query(one_4k(), kOn4K, 1, {.snp = false}); }},
    {"4.1 rmpquery target", eax(2), [] { return query(one_4k(), kOn4K, 4); }},
    {"4.1 rmpquery caller", eax(2), [] { return query(one_4k(), kOn4K, 1, kCallerVmpl1); }},
    {"4.1 rmpquery guest tables", guest_or_host_fault(0),
     [] {
       return query(one_4k(), changed(
                                  kOn4K, +[](GuestOperand& o) { o.mapped = false; }));
     }},
    {"4.1 rmpquery c-bit", guest_or_host_fault(8),
     [] {
       return query(one_4k(), changed(
                                  kOn4K, +[](GuestOperand& o) { o.c_bit = false; }));
     }},
    {"4.1 rmpquery npt", nested_fault(kEnc),
     [] { return query(one_4k(), via(kOn4K, kNotPresent)); }},
    {"4.1 rmpquery assigned", nested_fault(kRmp | kEnc), [] { return query(empty(), kOn4K); }},
    {"4.1 rmpquery asid", nested_fault(kRmp | kEnc),
     [] { return query(one_4k(), kOn4K, 1, {.asid = {6}}); }},
    {"4.1 rmpquery gpa", nested_fault(kRmp | kEnc),
     [] { return query(one_4k(), at_gpa(kOn4K, 0x1000)); }},
    {"4.1 rmpquery immutable", nested_fault(kRmp | kEnc),
     [] { return query(one_4k(immutable(kGuestPage4K)), kOn4K); }},
    {"4.1 rmpquery validated", kNotValidated,
     [] { return query(one_4k(invalid(kGuestPage4K)), kOn4K); }},
    {"4.1 rmpquery", eax(0), [] { return query(one_4k(), kOn4K); }},
    // Two rows hold, the first answers.
    {"4 rmpquery mode", kInvalidOpcode, [] { return query(one_4k(), kOn4K, 4, {.snp = false}); }},
    {"4.1 rmpquery caller", eax(2),
     [] {
       return query(one_4k(),
                    changed(
                        kOn4K, +[](GuestOperand& o) { o.mapped = o.c_bit = false; }),
                    0);
     }},
    {"4.1 rmpquery guest tables", guest_or_host_fault(0),
     [] {
       return query(one_4k(), changed(
                                  kOn4K, +[](GuestOperand& o) { o.mapped = o.c_bit = false; }));
     }},
    {"4.1 rmpquery c-bit", guest_or_host_fault(8),
     [] {
       return query(one_4k(),
                    changed(
                        kOn4K, +[](GuestOperand& o) { o.c_bit = o.leaf.present = false; }));
     }},
    {"4.1 rmpquery npt", nested_fault(kEnc),
     [] { return query(empty(), via(kOn4K, kNotPresent)); }},
    {"4.1 rmpquery immutable", nested_fault(kRmp | kEnc),
     [] { return query(one_4k(immutable(invalid(kGuestPage4K))), kOn4K); }},
};

TEST(Restatement, RmpQueryRows) { expect_rows(kRmpQueryCases, {"4 rmpquery", "4.1 rmpquery"}); }

TEST(Restatement, RmpQueryReportsTheCoveringEntry) {
  const RmpQueryAnswer answer = rmpquery(one_2m(), kCaller, at_gpa(kOn2M, kBase.value + 0x5000), 1);
  EXPECT_EQ(answer.page_size, PageSize::k2M);
  EXPECT_EQ(answer.mask, kMaskRead);
  EXPECT_FALSE(answer.vmsa);
}

Decision touch(const RmpState& state, AccessKind kind, bool c_bit, NptLeaf leaf = kLeaf4K,
               GuestContext guest = kCaller) {
  return guest_access(state, guest, {kind, c_bit, kBase, leaf});
}
using enum AccessKind;
constexpr GuestContext kPlain{.snp = false, .asid = kGuest};

constexpr RowCase kAccessCases[] = {
    {"5 none: npt", nested_fault(0), [] { return touch(empty(), kRead, false, kNotPresent); }},
    {"5 none", eax(0), [] { return touch(one_4k(), kRead, false); }},  // AC6
    {"5 none", eax(0), [] { return touch(one_4k(), kRead, false, kLeaf4K, kPlain); }},
    {"5 none", eax(0), [] { return touch(one_4k(), kFetchUser, true, kLeaf4K, kPlain); }},
    {"5 Hypervisor-Owned: npt", nested_fault(0),
     [] { return touch(empty(), kWrite, false, kNotPresent); }},
    {"5 Hypervisor-Owned", nested_fault(kRmp), [] { return touch(one_4k(), kWrite, false); }},
    {"5 Hypervisor-Owned", nested_fault(kRmp),  // any of the 512
     [] { return touch(one_4k(), kWrite, false, kLeaf2MOver4K); }},
    {"5 Hypervisor-Owned", nested_fault(kRmp),
     [] { return touch(one_4k(), kWrite, true, kLeaf4K, kPlain); }},
    {"5 Hypervisor-Owned", nested_fault(kRmp | kWalk),
     [] { return touch(one_4k(), kPageTable, false, kLeaf4K, kPlain); }},
    {"5 Hypervisor-Owned passes", eax(0), [] { return touch(empty(), kWrite, false); }},
    {"5 Hypervisor-Owned passes", eax(0),
     [] { return touch(empty(), kWrite, false, {.pfn = {5000}}); }},
    {"5 private: npt", nested_fault(kEnc), [] { return touch(empty(), kRead, true, kNotPresent); }},
    {"5 private: npt", nested_fault(kEnc | kWalk),
     [] { return touch(empty(), kPageTable, false, kNotPresent); }},
    {"5 RMP-Covered", nested_fault(kRmp | kEnc),
     [] { return touch(one_4k(), kRead, true, {.pfn = {5000}}); }},
    {"5 Guest-Owned", nested_fault(kRmp | kEnc), [] { return touch(empty(), kRead, true); }},
    {"5 Guest-Owned", nested_fault(kRmp | kEnc),
     [] { return touch(one_4k(), kRead, true, kLeaf4K, {.asid = {6}}); }},
    {"5 Reverse-Map", nested_fault(kRmp | kEnc),
     [] {
       return guest_access(one_4k(), kCaller, {kRead, true, {0x1000}, kLeaf4K});
     }},
    {"5 Mutable", nested_fault(kRmp | kEnc),
     [] { return touch(one_4k(immutable(kGuestPage4K)), kRead, true); }},
    {"5 Page-Size", nested_fault(kRmp | kEnc),  // AC1: before Validated
     [] { return touch(one_2m(invalid(kGuestPage2M)), kRead, true, kLeaf4KInto2M); }},
    {"5 Page-Size", nested_fault(kRmp | kEnc),
     [] { return touch(at_zero(), kWrite, true, kLeaf2MOver4K); }},
    {"5 Validated", kNotValidated,  // AC1: before VMPL
     [] { return touch(one_4k(invalid(kGuestPage4K)), kWrite, true, kLeaf4K, kCallerVmpl1); }},
    {"5 VMPL", nested_fault(kRmp | kEnc | kVmpl),
     [] { return touch(one_4k(), kWrite, true, kLeaf4K, kCallerVmpl1); }},
    {"5 VMPL", nested_fault(kRmp | kEnc | kVmpl),  // a fetch with C=0 is private
     [] { return touch(one_4k(), kFetchSupervisor, false, kLeaf4K, kCallerVmpl1); }},
    {"5 VMPL", nested_fault(kRmp | kEnc | kVmpl | kWalk),  // page tables want the read bit
     [] { return touch(one_4k(), kPageTable, false, kLeaf4K, {.asid = kGuest, .vmpl = {2}}); }},
    {"5 private passes", eax(0), [] { return touch(one_4k(), kFetchUser, false); }},
    {"5 private passes", eax(0),
     [] { return touch(one_4k(), kPageTable, false, kLeaf4K, kCallerVmpl1); }},
    {"5 private passes", eax(0),
     [] {
       return guest_access(one_2m(), kCaller, {kWrite, true, {kBase.value + 0x5008}, kLeaf2M});
     }},
    {"5 host Hypervisor-Owned", guest_or_host_fault(kRmp),
     [] { return host_access(one_4k(), {.pfn = {3}}); }},
    {"5 host Hypervisor-Owned", guest_or_host_fault(kRmp),  // AC4
     [] { return host_access(one_4k(), {.level = MapLevel::k2M, .pfn = {400}}); }},
    {"5 host Hypervisor-Owned", guest_or_host_fault(kRmp),
     [] { return host_access(one_2m(), {.level = MapLevel::k1G, .pfn = {600}}); }},
    {"5 host Hypervisor-Owned", guest_or_host_fault(kRmp),  // an inner slot reads assigned
     [] { return host_access(one_2m(), {.pfn = kHead + PageCount{511}}); }},
    {"5 host Hypervisor-Owned", guest_or_host_fault(kRmp),
     [] { return host_access(one_4k(), {.kind = kPageTable, .pfn = {3}}); }},
    {"5 host passes", eax(0), [] { return host_access(one_4k(), {.pfn = {4}}); }},
    {"5 host passes", eax(0),
     [] { return host_access(one_2m(), {.level = MapLevel::k1G, .pfn = {400}}); }},
    {"5 none", eax(0), [] { return host_access(one_4k(), {.kind = kRead, .pfn = {3}}); }},
    {"5 none", eax(0), [] { return host_access(one_4k(), {.kind = kFetchUser, .pfn = {3}}); }},
    // Two rows hold, the first answers.
    {"5 Hypervisor-Owned: npt", nested_fault(0),
     [] { return touch(one_4k(), kWrite, false, kNotPresent); }},
    {"5 private: npt", nested_fault(kEnc),
     [] { return touch(empty(), kRead, true, {.present = false, .pfn = {5000}}); }},
};

TEST(Restatement, AccessRows) { expect_rows(kAccessCases, {"5 "}); }

TEST(Restatement, EachKindWantsItsMaskBit) {
  const struct {
    AccessKind kind;
    std::uint8_t bit;
  } kinds[] = {{kRead, kMaskRead},
               {kWrite, kMaskWrite},
               {kFetchUser, kMaskExecuteUser},
               {kFetchSupervisor, kMaskExecuteSupervisor},
               {kPageTable, kMaskRead}};
  for (unsigned mask = 0; mask <= kMaskAll; ++mask) {
    const RmpState state =
        one_4k(with(kGuestPage4K, [&](auto& e) { e.masks[1] = static_cast<std::uint8_t>(mask); }));
    for (const auto& [kind, bit] : kinds) {
      const Decision decision = touch(state, kind, true, kLeaf4K, kCallerVmpl1);
      EXPECT_EQ(decision.result.succeeded(), (mask & bit) != 0) << mask << " " << decision.row;
    }
  }
}

}  // namespace
}  // namespace sluice::testing_rmp
