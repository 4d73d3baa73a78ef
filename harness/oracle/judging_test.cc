// How the oracle judges: what it does not look at, what it counts, and what it calls known.
#include <gtest/gtest.h>

#include <array>
#include <initializer_list>
#include <set>
#include <string>
#include <utility>

#include "oracle/oracle.h"
#include "oracle/view_helpers.h"
#include "testing/contents_cases.h"
#include "testing/entry_cases.h"
#include "testing/host_cases.h"
#include "testing/launch_cases.h"
#include "testing/leaf_cases.h"
#include "trace/npf.h"

namespace sluice::oracle {
namespace {

using testing::FakeView;
using testing::kFrame, testing::kFree, testing::kGuest, testing::kHead, testing::kInvalid;
using testing::launched_vm, testing::page_appears, testing::pre_faulted, testing::with;

std::optional<Finding> judge(const FakeView& view, bool audit) {
  Oracle oracle;
  oracle.begin(view);
  return audit ? oracle.audit(view) : oracle.check(view);
}

TEST(Oracle, AKnownDefectIsReportedApartAndTheStateItLeavesIsNotJudged) {
  FakeView view;
  testing::page_freed(view);
  view.rmp_value[kFrame] = kInvalid;
  view.events_value.clear();
  for (const EventKind kind :
       {EventKind::kArchInvalidate, EventKind::kRmpUpdateRefused, EventKind::kFrameFreed})
    view.events_value.add({.kind = kind, .a = kFrame.value, .b = 1});
  Oracle oracle;
  oracle.begin(view);
  const auto found = oracle.check(view);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->name(), "host.freed_frame_is_shared");
  EXPECT_EQ(found->cls, FindingClass::kKnownUpstream);
  FakeView later;
  later.host_value.dead = true;  // the frame's next user
  EXPECT_FALSE(oracle.check(later).has_value());
  oracle.begin(later);  // another sequence
  EXPECT_TRUE(oracle.check(later).has_value());
}

TEST(Oracle, WhatCannotBeObservedIsCountedNotPassed) {
  FakeView view;
  page_appears(view);
  view.gmem_pages[{{0}, 7}].references = 2;
  view.blind = true;
  Oracle oracle;
  oracle.begin(view);
  EXPECT_FALSE(oracle.check(view).has_value());
  const std::size_t row = *find_invariant("G3");
  EXPECT_EQ(oracle.count(row).judged, 0u);
  EXPECT_EQ(oracle.count(row).not_observable, 1u);
}

TEST(RowCounter, CountsEachRowForItself) {
  RowCounter counter;
  const auto rows = [](std::initializer_list<std::size_t> list) {
    RowSet set{};
    for (const std::size_t row : list) insert(set, row);
    return set;
  };
  for (int i = 0; i < 700; ++i) {
    counter.add(rows({0, 63}));
    if (i % 2 == 0) counter.add(rows({1, 64}));
    if (i % 7 == 0) counter.add(rows({0, 96}));
  }
  const std::array<std::pair<std::size_t, std::uint64_t>, 6> counts{
      {{0, 800}, {1, 350}, {2, 0}, {63, 700}, {64, 350}, {96, 100}}};
  for (const auto& [row, count] : counts) EXPECT_EQ(counter.of(row), count) << row;
}

TEST(Oracle, RowsThatReadEventsAreNotJudgedWhereSomeAreMissing) {
  FakeView view;
  testing::page_freed(view);
  Oracle oracle;
  const auto judge = [&] {
    oracle.begin(view);
    return oracle.check(view);
  };
  const std::size_t row = *find_invariant("G10");
  view.events_value.add({.kind = EventKind::kArchInvalidate, .a = kFrame.value, .b = 1});
  const auto found = judge();
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->invariant, row) << found->name();
  for (std::size_t i = 0; i < EventLog::kCapacity; ++i) view.events_value.add({});
  ASSERT_FALSE(view.events_value.is_complete());
  EXPECT_FALSE(judge().has_value());
  EXPECT_EQ(oracle.count(row).judged, 1u);
  EXPECT_EQ(oracle.count(row).not_observable, 1u);
}

TEST(Oracle, HostInvariantsRestInMachineScope) {
  FakeView view;
  page_appears(view);
  view.gmem_pages[{{0}, 7}].references = 2;
  view.header_value.scope = Scope::kMachine;
  EXPECT_FALSE(judge(view, false).has_value());
}

TEST(Oracle, AKnownDefectOfTheKernelIsItsOwnClass) {
  FakeView view;
  view.progress_value.livelock = view.progress_value.known_upstream = true;
  const auto finding = judge(view, false);
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->cls, FindingClass::kKnownUpstream);
  EXPECT_EQ(describe(*finding).substr(0, 14), "KNOWN-UPSTREAM");
}

TEST(Oracle, AKnownDefectHidesNothingBehindIt) {
  FakeView view;
  page_appears(view);
  view.vmsas[0].held = kHead;
  view.rmp_value[kHead] = with(kInvalid, [](RmpView& e) { e.in_use = true; });
  const auto known = judge(view, false);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->name(), "rmp.in_use_not_aligned");
  EXPECT_EQ(known->cls, FindingClass::kKnownUpstream);
  view.gmem_pages[{{0}, 7}].references = 2;
  const auto finding = judge(view, false);
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->name(), "gmem.page_cache_reference_only");
  EXPECT_EQ(finding->cls, FindingClass::kFinding);
}

TEST(Oracle, AnAuditLooksBehindAKnownDefect) {
  FakeView view;
  view.progress_value.livelock = view.progress_value.known_upstream = true;
  const auto known = judge(view, true);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->cls, FindingClass::kKnownUpstream);
  view.progress_value.deadlock = true;
  const auto finding = judge(view, true);
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->cls, FindingClass::kFinding);
}

TEST(Oracle, OnlyTheLivelockItselfIsKnown) {
  FakeView view;
  view.outcome_value = outcome_of(Check::kRunHalted);
  view.vmsas[0].starts = true;
  view.step_value.actor = {.kind = ActorKind::kVcpu, .index = 0};
  view.progress_value.livelock = view.progress_value.known_upstream = true;
  const auto halted = judge(view, false);
  ASSERT_TRUE(halted.has_value());
  EXPECT_EQ(halted->name(), "progress.no_livelock");
  EXPECT_EQ(halted->cls, FindingClass::kFinding);
}

TEST(Oracle, AnOverlapIsKnownWhereTheHostTriedToSplit) {
  FakeView view;
  view.progress_value.livelock = view.progress_value.known_upstream = true;
  view.events_value.add({.kind = EventKind::kRmpUpdateOverlap, .a = kFrame.value, .b = 1});
  const auto forgot = judge(view, false);
  ASSERT_TRUE(forgot.has_value());
  EXPECT_EQ(forgot->name(), "progress.no_livelock");
  EXPECT_EQ(forgot->cls, FindingClass::kFinding);
  view.events_value.add({.kind = EventKind::kPsmashRefused, .a = kHead.value});
  const auto refused = judge(view, false);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->cls, FindingClass::kKnownUpstream);
}

TEST(Oracle, OnlyAnAliasIsMappedElsewhereByATdsPreFault) {
  FakeView view;
  testing::pre_faulted_page(view);
  view.vms[0].type = VmType::kTdx;
  view.header_value.kernel = {6, 12};
  view.leaves.clear();
  const auto finding = judge(view, false);
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->name(), "pre_fault.maps_what_was_asked");
  EXPECT_EQ(finding->cls, FindingClass::kFinding);
  constexpr std::uint64_t kShared = std::uint64_t{1} << 47;
  view.step_value.op = PreFaultMemory{.gpa = {kShared | 0x1000}};
  view.outcome_value.progress.gpa |= kShared;
  const auto known = judge(view, false);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->name(), "pre_fault.maps_what_was_asked");
  EXPECT_EQ(known->cls, FindingClass::kKnownUpstream);
}

TEST(Oracle, AFaultThatKvmHasNoWayOutOfIsKnown) {
  FakeView view;
  testing::fault_loops(view);
  view.outcome_value = outcome_of(Check::kFaultLoop);
  view.rmp_value[kFrame].gpa = {0x6000};  // the page is bound at another address
  view.events_value.add({.kind = EventKind::kNpf, .a = 5, .b = npf::kRmp});
  const auto finding = judge(view, false);
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->name(), "progress.fault_is_resolved");
  EXPECT_EQ(finding->cls, FindingClass::kKnownUpstream);
}

TEST(Oracle, APrivateAccessToASharedPageIsNoFaultWithoutAWayOut) {
  for (const bool encrypted : {false, true}) {
    FakeView view;
    testing::fault_loops(view);
    view.outcome_value = outcome_of(Check::kFaultLoop);
    view.private_spans.clear();
    view.events_value.add(
        {.kind = EventKind::kNpf, .a = 5, .b = npf::kRmp | (encrypted ? npf::kEncrypted : 0)});
    const auto finding = judge(view, false);
    ASSERT_TRUE(finding.has_value());
    EXPECT_EQ(finding->name(), "progress.fault_is_resolved");
    const auto cls = encrypted ? FindingClass::kFinding : FindingClass::kKnownUpstream;
    EXPECT_EQ(finding->cls, cls);
  }
}

TEST(Oracle, OnlyAnMmioEntryInALeafsPlaceIsKnown) {
  FakeView zapped;  // a page inside a large leaf, by somebody who is still to flush
  testing::cached_leaf_in_flight(zapped);
  zapped.translations_value[0] = {
      .page = 0, .pfn = kHead, .level = MapLevel::k2M, .encrypted = true};
  zapped.leaf_changes_value = {
      {.gfn = {0}, .before = {.present = true, .level = MapLevel::k2M, .pfn = kHead}}};
  zapped.leaves.clear(), zapped.events_value.clear();
  zapped.events_value.add({.kind = EventKind::kZap, .a = 5, .b = 1});
  EXPECT_FALSE(judge(zapped, false).has_value());
  FakeView overwritten = zapped;
  overwritten.events_value.clear();
  overwritten.progress_value.in_flight = 0;
  const auto finding = judge(overwritten, false);
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->name(), "tlb.flushed_after_zap");
  EXPECT_EQ(finding->cls, FindingClass::kFinding) << "a leaf went, and nothing took its place";
  overwritten.events_value.add({.kind = EventKind::kMapMmio, .a = 5});
  const auto known = judge(overwritten, false);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->cls, FindingClass::kKnownUpstream);
}

TEST(Oracle, OnlyWhatATdStillMapsOfItsFileIsKnown) {
  FakeView view;
  testing::freed(view);
  view.header_value.scope = Scope::kMachine;
  view.vms[0].type = VmType::kTdx;
  view.leaf_changes_value.clear();
  view.roots[0] = {.used = true};
  view.leaves[{5}] = {.present = true, .writable = true, .pfn = kFrame};
  view.translations_value = {{.use = TranslationUse::kGuest, .page = 5, .pfn = kFrame}};
  const auto known = judge(view, false);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->name(), "tlb.flushed_before_frame_is_free");
  EXPECT_EQ(known->cls, FindingClass::kKnownUpstream);
  view.leaves.clear();
  const auto finding = judge(view, false);
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->cls, FindingClass::kFinding) << "zapped, and not flushed";
}

TEST(Oracle, ATokenThatTheHostHasWrittenTooIsNoSecret) {
  FakeView guest, host, read;
  testing::wrote_encrypted(guest);
  host.ran(HostAccess{.kind = AccessKind::kWrite, .value = {9}}, kOpBit<HostAccess>);
  testing::host_read(read, 9);
  Oracle oracle;
  oracle.begin(guest);
  EXPECT_FALSE(oracle.check(guest).has_value());
  EXPECT_TRUE(oracle.check(read).has_value());
  EXPECT_FALSE(oracle.check(host).has_value());
  EXPECT_FALSE(oracle.check(read).has_value());
}

TEST(Oracle, APageThatWasTakenIsJudgedUntilItIsAcceptedAnew) {
  FakeView taken, accepted, read;
  testing::page_taken(taken);
  testing::read_encrypted(read);
  launched_vm(accepted);
  accepted.ran(Pvalidate{.gfn = {5}}, kOpBit<Pvalidate>);
  accepted.change(kFrame, kInvalid, testing::kValidated);
  Oracle oracle;
  oracle.begin(taken);
  EXPECT_FALSE(oracle.check(taken).has_value());
  const auto finding = oracle.check(read);
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->name(), "contents.loss_is_loud");
  EXPECT_FALSE(oracle.check(accepted).has_value());
  EXPECT_FALSE(oracle.check(read).has_value());
  read.header_value.policy.guest = GuestPolicy::kTrustsTheHost;
  oracle.begin(taken);
  EXPECT_FALSE(oracle.check(taken).has_value());
  EXPECT_FALSE(oracle.check(read).has_value()) << "a guest that breaks the rules has no such right";
}

TEST(Oracle, APreFaultMayLiftWriteProtectionBefore614Only) {
  FakeView view;
  pre_faulted(view);
  view.leaves[{1}].writable = view.leaves[{1}].dirty = true;
  view.leaf_changes_value[0].before = {.present = true, .pfn = view.leaves[{1}].pfn};
  EXPECT_FALSE(judge(view, false).has_value());
  view.header_value.kernel = {6, 18};
  const auto finding = judge(view, false);
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->name(), "pre_fault.idempotent");
}

std::string_view name_found(const FakeView& view) {
  const auto finding = judge(view, false);
  return finding ? finding->name() : "nothing";
}
constexpr unsigned slot_of_vcpu(std::uint8_t index) {
  return actor_slot({.kind = ActorKind::kVcpu, .index = index});
}

TEST(Oracle, AnAcceptanceIsWhoseVcpuRanIt) {
  FakeView view;
  launched_vm(view);
  view.vms[1] = view.vms[0];
  view.vms[1].asid = {6};
  view.vm_of_vcpu = {VmIndex{0}, VmIndex{1}};
  // One guest's step, in which the page of the other became valid.
  view.ran(Pvalidate{.gfn = {9}}, kOpBit<Pvalidate>);
  view.change(kFrame, with(kInvalid, [](RmpView& e) { e.asid = {6}; }),
              with(kInvalid, [](RmpView& e) { e.asid = {6}, e.validated = true; }));
  EXPECT_EQ(name_found(view), "rmp.validated_by_guest_or_firmware");
  view.also_ran[slot_of_vcpu(1)] = Pvalidate{.gfn = {5}};
  EXPECT_EQ(name_found(view), "nothing") << "it went on with its own PVALIDATE";
  view.also_ran[slot_of_vcpu(1)] = Pvalidate{.gfn = {5}, .validate = false};
  EXPECT_EQ(name_found(view), "rmp.validated_by_guest_or_firmware") << "it rescinded";
  view.also_ran[slot_of_vcpu(1)] = Pvalidate{.gfn = {4}};
  EXPECT_EQ(name_found(view), "rmp.validated_by_guest_or_firmware") << "of another address";
  view.also_ran[slot_of_vcpu(1)] = GuestAccess{.gfn = {5}};
  EXPECT_EQ(name_found(view), "rmp.validated_by_guest_or_firmware") << "it ran something else";
}

TEST(Oracle, AnAcceptanceMayEndInAnyStep) {
  FakeView view;
  launched_vm(view);
  view.ran(Resume{}, kOpBit<Pvalidate>);
  view.also_ran[slot_of_vcpu(0)] = Pvalidate{.gfn = {0}, .page_size = PageSizeArg::k2M};
  view.change(kFrame, kInvalid, with(kInvalid, [](RmpView& e) { e.validated = true; }));
  EXPECT_EQ(name_found(view), "nothing");
}

TEST(Oracle, APageInItsOldFrameIsNoLargeFolio) {
  FakeView view;
  testing::large_folio_used(view);
  view.frames_value[kFrame].content = 9;
  EXPECT_EQ(name_found(view), "gmem.fresh_page_is_zero");
  for (auto& [place, page] : view.gmem_pages) page.folio_pages = 1;
  EXPECT_EQ(name_found(view), "nothing");
}

TEST(InvariantList, NamesAndIdsAreFound) {
  EXPECT_EQ(find_invariant("R8"), find_invariant("rmp.validated_gpa_is_unique"));
  EXPECT_FALSE(find_invariant("Z9").has_value());
  std::set<std::string_view> names;
  for (const InvariantRow& row : kInvariants)
    EXPECT_TRUE(names.insert(row.name).second && names.insert(row.id).second) << row.name;
}

}  // namespace
}  // namespace sluice::oracle
