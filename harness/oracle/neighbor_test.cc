// What a step is judged by is told apart from what lies beside it: another guest's disorder,
// another page's request, another step's leftovers, and what only looks like a known defect.
#include <gtest/gtest.h>

#include <array>
#include <string_view>

#include "oracle/oracle.h"
#include "oracle/view_helpers.h"
#include "testing/contents_cases.h"
#include "testing/host_cases.h"
#include "testing/neighbor_cases.h"
#include "testing/psc_views.h"

namespace sluice::oracle {
namespace {

using testing::FakeView;
using testing::kFrame, testing::kFree, testing::kGuest, testing::kHead, testing::kInvalid;
using testing::launched_vm, testing::with;

std::string_view name_of(const std::optional<Finding>& found) {
  if (!found) return "nothing";
  return found->cls == FindingClass::kKnownUpstream ? "known" : found->name();
}
std::string_view judged(const FakeView& view) {
  Oracle oracle;
  oracle.begin(view);
  return name_of(oracle.check(view));
}

TEST(Neighbors, OnlyARefusalInTheHookIsTheKnownOne) {
  using enum EventKind;
  const auto freed_after = [](std::initializer_list<EventKind> kinds, bool immutable, bool leaked) {
    FakeView view;
    testing::page_freed(view);
    view.rmp_value[kFrame] = with(kInvalid, [=](RmpView& e) { e.immutable = immutable; });
    view.frames_value[kFrame].leaked = view.frame_changes_value[0].before.leaked = leaked;
    view.events_value.clear();
    for (const EventKind kind : kinds)
      view.events_value.add({.kind = kind, .a = kFrame.value, .b = 1});
    return judged(view);
  };
  constexpr std::string_view kRow = "host.freed_frame_is_shared";
  const auto refused = {kArchInvalidate, kRmpUpdateRefused, kFrameFreed};
  EXPECT_EQ(freed_after(refused, false, false), "known");
  EXPECT_EQ(freed_after(refused, true, false), kRow) << "AMD-SP's page was in a file";
  EXPECT_EQ(freed_after(refused, true, true), "known") << "a launch had leaked it";
  EXPECT_EQ(freed_after({kRmpUpdateRefused, kArchInvalidate, kFrameFreed}, false, false), kRow);
  EXPECT_EQ(freed_after({kRmpUpdateRefused, kFrameFreed, kArchInvalidate}, false, false), kRow);
  EXPECT_EQ(
      freed_after({kArchInvalidate, kRmpUpdateRefused, kRmpUpdate, kFrameFreed}, false, false),
      kRow)
      << "the update was done after all";
}

TEST(Neighbors, ARefusalMayHaveBeenInTheHookWhereEventsAreMissing) {
  FakeView view;
  testing::page_freed(view);
  view.rmp_value[kFrame] = kInvalid;
  view.events_value.clear();
  for (const EventKind kind : {EventKind::kRmpUpdateRefused, EventKind::kFrameFreed})
    view.events_value.add({.kind = kind, .a = kFrame.value, .b = 1});
  EXPECT_EQ(judged(view), "host.freed_frame_is_shared");
  for (std::size_t i = 0; i < EventLog::kCapacity; ++i)
    view.events_value.add({.kind = EventKind::kArchInvalidate, .a = kHead.value});
  ASSERT_TRUE(view.events_value.lacks(EventKind::kArchInvalidate));
  EXPECT_EQ(judged(view), "known");
}

TEST(Neighbors, OnlyALeakedPageOfAFileKillsTheHostInAKnownWay) {
  FakeView view;
  view.host_value = {.dead = true, .fatal_frame = kFrame};
  view.frames_value[kFrame] = {.use = FrameUse::kGmem, .leaked = true};
  EXPECT_EQ(judged(view), "known");
  view.frames_value[kFrame].use = FrameUse::kLeaked;
  EXPECT_EQ(judged(view), "host.lives");
}

TEST(Neighbors, ABatchingDefectExplainsItsOwnFrameOnly) {
  constexpr std::array<std::uint64_t, 2> kAsked{
      psc_entry(PscOperation::kShared, {0x200}, true, 300).value,
      psc_entry(PscOperation::kShared, {0x2d4}).value};
  constexpr std::array<std::uint64_t, 2> kDone{PscEntry{kAsked[0]}.with_cur_page(512).value,
                                               PscEntry{kAsked[1]}.with_cur_page(1).value};
  std::array<PscExit, 2> exits{{{.first = {0x32c}, .count = 213, .granted = true},
                                {.first = {0x10}, .count = 1, .granted = false}}};
  FakeView view;
  testing::changed_pages(view);
  view.pscs[0].entries_at_start = kAsked;
  view.pscs[0].entries = kDone;
  view.pscs[0].exits = exits;
  EXPECT_EQ(judged(view), "known");
  exits[1].granted = true;  // nothing says that this page is done
  EXPECT_EQ(judged(view), "psc.exits_are_what_was_done");
}

/// Was page 7 of VM 0's file, which is at GFN 7, asked for in a step that ran this?
template <class Op>
bool is_brought_by(const Op& op, VmIndex vm_of_vcpu = {0}) {
  FakeView view;
  testing::page_brought(view, op);
  view.vm_of_vcpu[0] = vm_of_vcpu;
  return judged(view) != "gmem.resident_pages_add_up";
}

TEST(Neighbors, APageComesForWhoAskedForIt) {
  constexpr auto k2M = PageSizeArg::k2M;
  EXPECT_TRUE(is_brought_by(Pvalidate{.gfn = {0}, .page_size = k2M}));
  EXPECT_FALSE(is_brought_by(Pvalidate{.gfn = {6}}));
  EXPECT_TRUE(is_brought_by(RmpAdjust{.gfn = {7}}));
  EXPECT_FALSE(is_brought_by(RmpAdjust{.gfn = {8}}));
  EXPECT_FALSE(is_brought_by(RmpQuery{.gfn = {8}}));
  EXPECT_TRUE(is_brought_by(TdAccept{.gfn = {0}, .page_size = PageSize::k2M}));
  EXPECT_FALSE(is_brought_by(TdAccept{.gfn = {6}}));
  EXPECT_TRUE(is_brought_by(LaunchUpdate{.gfn = {6}, .size = {0x2000}}));
  EXPECT_FALSE(is_brought_by(LaunchUpdate{.gfn = {6}, .size = {0x1000}}));
  EXPECT_TRUE(is_brought_by(LaunchUpdate{.gfn = {7}}, {1})) << "it is the VM's, not a vCPU's";
  EXPECT_FALSE(is_brought_by(LaunchUpdate{.vm = {1}, .gfn = {7}}));
  EXPECT_TRUE(is_brought_by(PreFaultMemory{.gpa = {0x6000}, .size = {0x2000}}));
  EXPECT_FALSE(is_brought_by(PreFaultMemory{.gpa = {0x6000}, .size = {0x1000}}));
  EXPECT_TRUE(is_brought_by(TdxInitMemRegion{.gpa = {0x6000}, .page_count = {2}}));
  EXPECT_FALSE(is_brought_by(TdxInitMemRegion{.gpa = {0x6000}, .page_count = {1}}));
  EXPECT_TRUE(is_brought_by(GuestAccess{.gfn = {(kTdSharedBit >> kPageShift) | 7}}));
}

/// Page 5 of VM 0 has become private in a step in which its vCPU ran this.
template <class Op>
std::string_view converted_by(const Op& op) {
  FakeView view;
  testing::asked_for_private(view);
  static constexpr std::array<PscExit, 2> kExits{
      {{.first = {5}, .count = 1, .granted = true}, {.first = {9}, .count = 1, .granted = true}}};
  view.pscs[0].exits = kExits;
  view.ran(op, kOpBit<Op>);
  return judged(view);
}

TEST(Neighbors, AConversionIsOfThePagesThatItsGuestAskedAbout) {
  constexpr std::string_view kRow = "attributes.belong_to_vm";
  EXPECT_EQ(converted_by(MapGpaRange{.gpa = {0x4000}, .page_count = {2}}), "nothing");
  EXPECT_EQ(converted_by(MapGpaRange{.gpa = {0x4000}, .page_count = {1}}), kRow);
  EXPECT_EQ(converted_by(MapGpaRange{.gpa = {0x6000}, .page_count = {9}}), kRow);
  EXPECT_EQ(converted_by(PscMsr{.gfn = {5}}), "nothing");
  EXPECT_EQ(converted_by(PscMsr{.gfn = {(std::uint64_t{1} << 40) + 5}}), "nothing") << "40 bits";
  EXPECT_EQ(converted_by(PscMsr{.gfn = {6}}), kRow);
  EXPECT_EQ(converted_by(GuestConvert{.gfn = {4}, .page_count = {2}}), "nothing");
  EXPECT_EQ(converted_by(GuestConvert{.gfn = {4}, .page_count = {1}}), kRow);
  EXPECT_EQ(converted_by(GuestConvert{.gfn = {(std::uint64_t{1} << 40) + 5}, .page_count = {1}}),
            "nothing");
  EXPECT_EQ(converted_by(TdMapGpa{.gpa = {kTdSharedBit | 0x5000}}), "nothing");
  EXPECT_EQ(converted_by(TdMapGpa{.gpa = {0x6000}}), kRow);
  EXPECT_EQ(converted_by(Psc{}), "nothing");
}

TEST(Neighbors, AConversionIsOfThePagesThatItsExitsName) {
  FakeView view;
  testing::asked_for_private(view);
  static constexpr std::array<PscExit, 1> kExits{{{.first = {6}, .count = 4, .granted = true}}};
  view.ran(Psc{}, kOpBit<Psc>);
  view.pscs[0].exits = kExits;
  EXPECT_EQ(judged(view), "attributes.belong_to_vm");
  view.attribute_changes_value[0].first = {6};
  view.private_spans = {{.first = {6}, .end = {7}}};
  EXPECT_EQ(judged(view), "nothing");
}

TEST(Neighbors, ABufferThatOthersWriteNamesOtherPages) {
  constexpr std::string_view kRow = "attributes.belong_to_vm";
  FakeView view;
  testing::asked_for_private(view);
  static constexpr std::array<PscExit, 1> kExits{{{.first = {5}, .count = 1, .granted = true}}};
  view.ran(GuestConvert{.gfn = {9}, .page_count = {2}}, kOpBit<GuestConvert>);
  view.pscs[0].exits = kExits;
  EXPECT_EQ(judged(view), kRow) << "the guest's own buffer";
  view.pscs[0].begun_by_others = true;
  EXPECT_EQ(judged(view), "nothing") << "written before KVM looked at it";
  view.pscs[0].begun_by_others = false;
  view.pscs[0].written_by_others = true;
  EXPECT_EQ(judged(view), "nothing");
  view.pscs[0].exits = {};
  EXPECT_EQ(judged(view), kRow) << "an exit for nobody's page";
  view.pscs[0].began_in_step = true;
  EXPECT_EQ(judged(view), kRow) << "its first buffer";
  view.also_ran = {{actor_slot(view.step_value.actor), view.step_value.op}};
  view.ran(Resume{}, kOpBit<GuestConvert>);
  EXPECT_EQ(judged(view), "nothing") << "one before it may have been written";
}

TEST(Neighbors, NeighboringExitsAreToldAsOneChange) {
  FakeView view;
  testing::asked_for_private(view);
  static constexpr std::array<PscExit, 2> kExits{
      {{.first = {5}, .count = 1, .granted = true}, {.first = {6}, .count = 1, .granted = true}}};
  view.ran(Psc{}, kOpBit<Psc>);
  view.private_spans[0].end = {7}, view.attribute_changes_value[0].count = {2};
  view.pscs[0].exits = kExits;
  EXPECT_EQ(judged(view), "nothing");
  view.pscs[0].exits = std::span(kExits).first(1);
  EXPECT_EQ(judged(view), "attributes.belong_to_vm");
}

/// VMs 0 and 1, of ASID 5 and 6, with a vCPU each.
class TwoGuests : public ::testing::Test {
 protected:
  static constexpr std::array<Asid, 2> kAsids{kGuest, Asid{6}};

  TwoGuests() {
    launched_vm(view_);
    view_.vms[1] = view_.vms[0];
    view_.vms[1].asid = kAsids[1];
    view_.vm_of_vcpu = {VmIndex{0}, VmIndex{1}};
    view_.books.by_use = {FakeView::kFrames - 4, 0, 0, 4, 0, 0};
    for (std::uint64_t i = 0; i < 4; ++i)
      view_.frames_value[kFrame + PageCount{i}] = {.use = FrameUse::kFirmware};
    oracle_.begin(view_);
  }

  template <class Op>
  void run(std::uint8_t vm, const Op& op, const Outcome& outcome = {}) {
    view_.ran(op, kOpBit<Op>, outcome);
    if (Op::kInfo.actor == ActorKind::kVcpu) view_.step_value.actor.index = vm;
  }
  RmpView entry(std::uint8_t vm, bool validated) const {
    return with(kInvalid, [=](RmpView& e) { e.asid = kAsids[vm], e.validated = validated; });
  }
  /// The guest accepts GFN 5 in this frame.
  void accepts(std::uint8_t vm, Pfn pfn) {
    run(vm, Pvalidate{.gfn = {5}});
    view_.change(pfn, entry(vm, false), entry(vm, true));
    EXPECT_EQ(step(), "nothing");
  }
  /// The guest's access to GFN 5 takes a #VC.
  std::string_view takes_vc(std::uint8_t vm) {
    run(vm, GuestAccess{.gfn = {5}, .c_bit = true}, outcome_of(Check::kGuestNotValidated));
    return step();
  }
  std::string_view step() {
    const auto found = oracle_.check(view_);
    view_.frame_changes_value.clear();
    return name_of(found);
  }

  FakeView view_{};
  Oracle oracle_{};
};

TEST_F(TwoGuests, DisorderOfOneExcusesNoVcOfTheOther) {
  accepts(0, kFrame), accepts(1, kFrame + PageCount{1});
  view_.gmems[0].vm = view_.gmems_before[0].vm = {0};
  run(0, GmemPunchHole{});
  EXPECT_EQ(step(), "nothing");
  EXPECT_EQ(takes_vc(0), "nothing");
  EXPECT_EQ(takes_vc(1), "guest.accepted_page_takes_no_vc");
}

TEST_F(TwoGuests, ARequestOutOfOrderIsItsGuestsOwn) {
  accepts(0, kFrame), accepts(1, kFrame + PageCount{1});
  run(1, Psc{});
  EXPECT_EQ(step(), "nothing");
  EXPECT_EQ(takes_vc(1), "nothing");
  EXPECT_EQ(takes_vc(0), "guest.accepted_page_takes_no_vc");
}

TEST_F(TwoGuests, AHoleIsInTheFileOfOne) {
  accepts(0, kFrame), accepts(1, kFrame + PageCount{1});
  view_.gmems[1].vm = view_.gmems_before[1].vm = {1};
  run(0, GmemPunchHole{.gmem = {1}});
  EXPECT_EQ(step(), "nothing");
  EXPECT_EQ(takes_vc(1), "nothing");
  EXPECT_EQ(takes_vc(0), "guest.accepted_page_takes_no_vc");
}

TEST_F(TwoGuests, WhatIsNobodysMayBeAnybodys) {
  view_.header_value.scope = Scope::kMachine;
  accepts(0, kFrame), accepts(1, kFrame + PageCount{1});
  run(0, RmpUpdate{});
  EXPECT_EQ(step(), "nothing");
  EXPECT_EQ(takes_vc(0), "nothing");
  EXPECT_EQ(takes_vc(1), "nothing");
}

TEST_F(TwoGuests, WhoHasNoActorAnyMoreMayHaveTakenAnything) {
  accepts(0, kFrame), accepts(1, kFrame + PageCount{1});
  run(0, HostAccess{});
  view_.ran_value |= kOpBit<Psc>;
  EXPECT_EQ(step(), "nothing");
  EXPECT_EQ(takes_vc(0), "nothing");
  EXPECT_EQ(takes_vc(1), "nothing");
}

TEST_F(TwoGuests, AVmThatEndsBreaksTheOrderOfItsOwnAsid) {
  accepts(0, kFrame), accepts(1, kFrame + PageCount{1});
  const VmView vm = view_.vms[0];
  view_.header_value.scope = Scope::kMachine;
  view_.vms_before[{0}] = vm, view_.vms[0] = {};
  run(0, DestroyVm{});
  static_cast<void>(step());  // its pages are left behind
  view_.vms_before.clear(), view_.vms[0] = vm;
  EXPECT_EQ(takes_vc(0), "nothing");
  EXPECT_EQ(takes_vc(1), "guest.accepted_page_takes_no_vc");
}

TEST_F(TwoGuests, AConversionOfOneIsNoneOfTheOthers) {
  accepts(0, kFrame), accepts(1, kFrame + PageCount{1});
  run(0, SetMemoryAttributes{.vm = {1}, .address = {0x9000}});
  EXPECT_EQ(step(), "nothing");
  EXPECT_EQ(takes_vc(1), "nothing");
  EXPECT_EQ(takes_vc(0), "guest.accepted_page_takes_no_vc");
}

TEST_F(TwoGuests, ADoubleAcceptanceIsJudgedOfTheOtherOnly) {
  accepts(0, kFrame), accepts(0, kFrame + PageCount{1});
  EXPECT_EQ(name_of(oracle_.audit(view_)), "nothing") << "its own doing";
  EXPECT_EQ(takes_vc(0), "nothing");
  accepts(1, kFrame + PageCount{2});
  EXPECT_EQ(name_of(oracle_.audit(view_)), "nothing");
  EXPECT_EQ(takes_vc(1), "guest.accepted_page_takes_no_vc");
  view_.rmp_value[kFrame + PageCount{3}] = entry(1, true);
  EXPECT_EQ(name_of(oracle_.audit(view_)), "rmp.validated_gpa_is_unique");
}

TEST_F(TwoGuests, ADoubleAcceptanceHidesNoLossOfTheOther) {
  const auto reads_after = [this](std::uint8_t vm) {
    run(vm, GuestAccess{.gfn = {5}, .kind = AccessKind::kWrite, .c_bit = true, .value = {9}});
    EXPECT_EQ(step(), "nothing");
    Outcome out{};
    out.has_value = true, out.value = 8;
    run(vm, GuestAccess{.gfn = {5}, .c_bit = true}, out);
    return step();
  };
  accepts(0, kFrame), accepts(0, kFrame + PageCount{1}), accepts(1, kFrame + PageCount{2});
  EXPECT_EQ(reads_after(0), "nothing");
  EXPECT_EQ(reads_after(1), "contents.guest_reads_what_it_wrote");
}

TEST(Rest, WhatNobodyJudgedMeanwhileIsJudgedThen) {
  FakeView view;
  testing::private_leaf(view);
  view.private_spans.clear();
  testing::in_flight(view);
  Oracle oracle;
  oracle.begin(view);
  EXPECT_EQ(name_of(oracle.check(view)), "nothing");
  view.leaf_changes_value.clear(), view.events_value.clear();
  view.ran(HostAccess{}, kOpBit<HostAccess>);
  EXPECT_EQ(name_of(oracle.check(view)), "nothing") << "not yet";
  view.progress_value.in_flight = 0;
  EXPECT_EQ(name_of(oracle.check(view)), "npt.kind_is_attribute");
  EXPECT_EQ(name_of(oracle.check(view)), "nothing") << "once";
}

TEST(Rest, HardRowsWaitForNoRest) {
  FakeView view;
  testing::huge_leaf(view);
  testing::in_flight(view);
  view.books.by_use = {FakeView::kFrames - 2, 2, 0, 0, 0, 0};
  view.gmems[0].resident_pages = view.gmems_before[0].resident_pages = 2;
  Oracle oracle;
  oracle.begin(view);
  EXPECT_EQ(name_of(oracle.check(view)), "nothing");
  view.leaf_changes_value.clear(), view.events_value.clear();
  view.ran(HostAccess{}, kOpBit<HostAccess>);
  view.progress_value.in_flight = 0;
  view.slots_value[0].flags = 1;  // which a step would have told
  EXPECT_EQ(name_of(oracle.check(view)), "nothing");
  EXPECT_EQ(name_of(oracle.audit(view)), "npt.logged_leaf_is_small");
}

/// What a software-protected guest reads after it has written 9, `between` the two.
template <class Op>
std::string_view reads_eight_after(const Op& between) {
  FakeView wrote, other, read;
  testing::wrote_private(wrote);
  testing::read_private(other), other.ran(between, kOpBit<Op>);
  testing::read_private(read), read.outcome_value.value = 8;
  Oracle oracle;
  oracle.begin(wrote);
  EXPECT_EQ(name_of(oracle.check(wrote)), "nothing");
  EXPECT_EQ(name_of(oracle.check(other)), "nothing");
  return name_of(oracle.check(read));
}

TEST(SoftwareProtectedPages, AreForgottenWhereTheyMayHaveGone) {
  constexpr std::string_view kRow = "contents.guest_reads_what_it_wrote";
  EXPECT_EQ(reads_eight_after(HostUnmap{}), kRow);
  EXPECT_EQ(reads_eight_after(CreateVcpu{}), kRow);
  EXPECT_EQ(reads_eight_after(GmemPunchHole{}), "nothing");
  EXPECT_EQ(reads_eight_after(MapGpaRange{}), "nothing") << "user space may punch it out";
  EXPECT_EQ(reads_eight_after(SetMemoryRegion{.slot = {7}}), "nothing");
}

TEST(SoftwareProtectedPages, AreNotKnownWhereTheWriteMayHaveGoneElsewhere) {
  FakeView wrote, read;
  testing::wrote_private(wrote);
  testing::read_private(read), read.outcome_value.value = 8;
  Oracle oracle;
  oracle.begin(wrote);
  EXPECT_EQ(name_of(oracle.check(wrote)), "nothing");
  testing::in_flight(wrote);
  EXPECT_EQ(name_of(oracle.check(wrote)), "nothing") << "a second time";
  EXPECT_EQ(name_of(oracle.check(read)), "nothing");
}

}  // namespace
}  // namespace sluice::oracle
