// What is no violation of the invariants of page state changes, and what is a known one.
#include <gtest/gtest.h>

#include "oracle/oracle.h"
#include "oracle/view_helpers.h"
#include "testing/invariant_case.h"
#include "testing/psc_views.h"

namespace sluice::oracle {
namespace {

using testing::changed_pages;
using testing::FakeView;
using testing::kFrame, testing::kInvalid, testing::launched_vm, testing::with;

std::optional<Finding> judge(const FakeView& view) {
  Oracle oracle;
  oracle.begin(view);
  return oracle.check(view);
}

TEST(PscInvariants, WhatOthersWroteIsNotThePageStateChangesFault) {
  FakeView view;
  changed_pages(view);
  view.pscs[0].exits = {};
  view.pscs[0].header = psc_header({0}, {9});
  view.pscs[0].header_before = psc_header({5}, {9});
  view.pscs[0].written_by_others = true;
  EXPECT_FALSE(judge(view).has_value());
}

TEST(PscInvariants, ABatchBehindAPartlyDoneEntryIsKnown) {
  constexpr std::array<std::uint64_t, 2> kAsked{
      psc_entry(PscOperation::kShared, {0x200}, true, 300).value,
      psc_entry(PscOperation::kShared, {0x2d4}).value};
  constexpr std::array<std::uint64_t, 2> kDone{PscEntry{kAsked[0]}.with_cur_page(512).value,
                                               PscEntry{kAsked[1]}.with_cur_page(1).value};
  std::array<PscExit, 1> exits{{{.first = {0x32c}, .count = 213, .granted = true}}};
  FakeView view;
  changed_pages(view);
  view.pscs[0].entries_at_start = kAsked;
  view.pscs[0].entries = kDone;
  view.pscs[0].exits = exits;
  const auto known = judge(view);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->cls, FindingClass::kKnownUpstream);
  EXPECT_EQ(known->violation.subject, 0x2d4u);
  exits[0].count = 212;  // the second page would be missing, and nothing else: no such defect
  view.pscs[0].entries = std::span(kDone).first(1);
  EXPECT_FALSE(judge(view).has_value());
}

TEST(PscInvariants, AVcIsNobodysFaultOnceTheOrderWasBroken) {
  const auto accepted_then = [](const Op& op, std::uint64_t bit, GuestPolicy policy) {
    FakeView view;
    Oracle oracle;
    oracle.begin(view);
    launched_vm(view);
    view.header_value.policy.guest = policy;
    view.ran(Pvalidate{.gfn = {5}}, kOpBit<Pvalidate>);
    view.change(kFrame, kInvalid, with(kInvalid, [](RmpView& e) { e.validated = true; }));
    EXPECT_FALSE(oracle.check(view).has_value());
    view.frame_changes_value.clear();
    view.step_value = {.actor = default_actor(op), .op = op};
    view.ran_value = bit;
    const auto then = oracle.check(view);
    EXPECT_FALSE(then.has_value()) << describe(*then);
    view.ran(GuestAccess{.gfn = {5}, .c_bit = true}, kOpBit<GuestAccess>,
             outcome_of(Check::kGuestNotValidated));
    return oracle.check(view).has_value();
  };
  const GuestPolicy good = GuestPolicy::kEnlightened;
  EXPECT_TRUE(accepted_then(PreFaultMemory{}, 0, good));
  EXPECT_TRUE(accepted_then(GuestConvert{}, kOpBit<GuestConvert>, good));
  EXPECT_FALSE(accepted_then(GuestConvert{}, kOpBit<GuestConvert>, GuestPolicy::kRescindsLate));
  EXPECT_FALSE(accepted_then(GmemPunchHole{}, kOpBit<GmemPunchHole>, good));
  EXPECT_FALSE(accepted_then(Psc{}, kOpBit<Psc>, good));
  EXPECT_FALSE(accepted_then(SetMemoryAttributes{}, kOpBit<SetMemoryAttributes>, good));
}

}  // namespace
}  // namespace sluice::oracle
