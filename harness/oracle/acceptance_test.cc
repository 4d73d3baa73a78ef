// The book of acceptance by hand-made steps: what ends the condition of R8, and what must not.
#include "oracle/acceptance.h"

#include <gtest/gtest.h>

#include "oracle/oracle.h"
#include "oracle/view_helpers.h"
#include "testing/fake_view.h"

namespace sluice::oracle {
namespace {

using testing::FakeView;

constexpr Asid kGuest{5};
constexpr Pfn kFirst{0x205};
constexpr Pfn kSecond{0x206};
const RmpView kFree{.covered = true};

RmpView entry_of(Gfn gfn, bool validated) {
  return {.covered = true,
          .assigned = true,
          .validated = validated,
          .asid = kGuest,
          .gpa = {gfn.value * kPageBytes},
          .vmpl_mask = {0x1f, 0, 0, 0}};
}

/// Steps of one guest, each seen by a judge and by a book of its own.
class Guest {
 public:
  Guest() {
    view_.header_value.scope = Scope::kMachine;  // the files are no matter here
    view_.vms[0] = {.exists = true, .open = true, .type = VmType::kSnp, .asid = kGuest};
    view_.books.by_use = {FakeView::kFrames - 2, 2, 0, 0, 0, 0};
    view_.frames_value[kFirst] = {.use = FrameUse::kGmem, .gmem = {0}, .index = 0};
    view_.frames_value[kSecond] = {.use = FrameUse::kGmem, .gmem = {1}, .index = 0};
    judge_.begin(view_);
  }

  void launch(Pfn pfn, Gfn gfn) {
    view_.ran(LaunchUpdate{.gfn = gfn}, kOpBit<LaunchUpdate>);
    step(pfn, kFree, entry_of(gfn, true));
  }
  void accept(Pfn pfn, Gfn gfn) { pvalidate(pfn, gfn, true); }
  void rescind(Pfn pfn, Gfn gfn) { pvalidate(pfn, gfn, false); }
  /// RMPADJUST makes the page a VMSA.
  void make_vmsa(Pfn pfn, Gfn gfn) {
    view_.ran(RmpAdjust{.gfn = gfn, .vmsa = true}, kOpBit<RmpAdjust>);
    RmpView vmsa = entry_of(gfn, true);
    vmsa.vmsa = true;
    step(pfn, entry_of(gfn, true), vmsa);
  }
  /// PVALIDATE of a page that is a VMSA.
  void rescind_vmsa(Pfn pfn, Gfn gfn) {
    view_.ran(Pvalidate{.gfn = gfn, .validate = false}, kOpBit<Pvalidate>);
    RmpView rescinded = view_.rmp(pfn);
    rescinded.validated = false;
    step(pfn, view_.rmp(pfn), rescinded);
  }
  void reassign(Pfn pfn, Gfn gfn) {
    view_.ran(RmpUpdate{}, kOpBit<RmpUpdate>);
    step(pfn, view_.rmp(pfn), entry_of(gfn, false));
  }
  /// The host punches a hole: the frame is free; whether the guest loses it is the host's affair.
  void punch(Pfn pfn, bool takes_it_back, bool is_refused = false) {
    view_.ran(GmemPunchHole{}, kOpBit<GmemPunchHole>);
    view_.frame_changes_value.clear();
    const RmpView before = view_.rmp(pfn);
    view_.change(pfn, before, takes_it_back ? kFree : before);
    view_.frames_value[pfn] = {};
    --view_.books.by_use[1], ++view_.books.by_use[0];
    if (is_refused)
      view_.events_value.add({.kind = EventKind::kRmpUpdateRefused, .a = pfn.value, .b = 1});
    see();
    view_.events_value.clear();
  }
  /// Somebody else's step, in which this guest's vCPU 0 goes on and accepts.
  void accept_in_passing(Pfn pfn, Gfn gfn) {
    view_.ran(Resume{}, kOpBit<Pvalidate>);
    view_.also_ran[actor_slot({.kind = ActorKind::kVcpu, .index = 0})] = Pvalidate{.gfn = gfn};
    step(pfn, view_.rmp(pfn), entry_of(gfn, true));
    view_.also_ran.clear();
  }

  bool holds() const { return book_.holds(kGuest); }
  bool believes_in(Gfn gfn) const { return book_.is_accepted(kGuest, gfn); }
  /// What the whole state looks like to a judge who saw every step.
  std::string_view audited() {
    const auto found = judge_.audit(view_);
    return found ? found->name() : "nothing";
  }

 private:
  void pvalidate(Pfn pfn, Gfn gfn, bool validate) {
    view_.ran(Pvalidate{.gfn = gfn, .validate = validate}, kOpBit<Pvalidate>);
    step(pfn, entry_of(gfn, !validate), entry_of(gfn, validate));
  }
  void step(Pfn pfn, const RmpView& before, const RmpView& now) {
    view_.frame_changes_value.clear();
    view_.change(pfn, before, now);
    see();
  }
  void see() {
    book_.note(view_);
    EXPECT_EQ(judge_.check(view_), std::nullopt);
  }

  FakeView view_{};
  AcceptanceBook book_{};
  Oracle judge_{};
};

TEST(AcceptanceBook, AcceptingTwiceEndsIt) {
  Guest guest;
  guest.accept(kFirst, {5});
  guest.rescind(kFirst, {5});
  guest.accept(kSecond, {5});
  EXPECT_TRUE(guest.holds()) << "it was rescinded in between";
  guest.accept(kFirst, {5});
  EXPECT_FALSE(guest.holds());
  EXPECT_EQ(guest.audited(), "nothing");
}

TEST(AcceptanceBook, AVmsaIsRescindedAsAnyPage) {
  Guest guest;
  guest.accept(kFirst, {5});
  guest.make_vmsa(kFirst, {5});
  EXPECT_TRUE(guest.believes_in({5}));
  guest.rescind_vmsa(kFirst, {5});
  EXPECT_FALSE(guest.believes_in({5}));
}

TEST(AcceptanceBook, AnAcceptanceThatAnotherStepFinishesCounts) {
  Guest guest;
  guest.accept_in_passing(kFirst, {5});
  EXPECT_TRUE(guest.holds());
  guest.accept_in_passing(kSecond, {5});
  EXPECT_FALSE(guest.holds());
}

TEST(AcceptanceBook, LaunchingAnAddressTwiceEndsIt) {
  Guest guest;
  guest.launch(kFirst, {5});
  EXPECT_TRUE(guest.holds());
  guest.launch(kSecond, {5});  // the slot is over another file now, the first page still there
  EXPECT_FALSE(guest.holds());
  EXPECT_EQ(guest.audited(), "nothing");
}

TEST(AcceptanceBook, TwoLaunchesOfAnAddressCountWhereTheFirstPageWasFreed) {
  Guest guest;
  guest.launch(kFirst, {5});
  guest.punch(kFirst, true);
  guest.launch(kSecond, {5});
  EXPECT_TRUE(guest.holds());
  EXPECT_EQ(guest.audited(), "nothing");
}

TEST(AcceptanceBook, APageFreedButNotTakenBackIsFoundByTheNextLaunch) {
  Guest guest;
  guest.launch(kFirst, {5});
  guest.punch(kFirst, false);
  guest.launch(kSecond, {5});
  EXPECT_TRUE(guest.holds());
  EXPECT_EQ(guest.audited(), "rmp.validated_gpa_is_unique");
}

TEST(AcceptanceBook, APageFreedSinceItsUpdateWasRefusedEndsIt) {
  Guest guest;
  guest.launch(kFirst, {5});
  guest.punch(kFirst, false, true);  // bugs.md 63, which H4 has told of
  guest.launch(kSecond, {5});
  EXPECT_FALSE(guest.holds());
  EXPECT_EQ(guest.audited(), "nothing");
}

TEST(AcceptanceBook, APageThatTheHostGaveAnotherAddressCountsNoMore) {
  Guest guest;
  guest.launch(kFirst, {5});
  guest.reassign(kFirst, {6});
  guest.launch(kSecond, {5});
  EXPECT_TRUE(guest.holds());
}

TEST(AcceptanceBook, AGuestKnowsWhatItWasLaunchedWith) {
  Guest guest;
  guest.launch(kFirst, {5});
  guest.punch(kFirst, true);  // which the guest does not see
  guest.accept(kSecond, {5});
  EXPECT_FALSE(guest.holds());
}

TEST(AcceptanceBook, AConversionThatWasDoneIsBelieved) {
  FakeView view;
  view.vms[0] = {.exists = true, .open = true, .type = VmType::kSnp, .asid = kGuest};
  view.ran(GuestConvert{.gfn = {8}, .page_count = {4}}, kOpBit<GuestConvert>);
  view.change(kFirst, entry_of({8}, false), entry_of({8}, true));
  AcceptanceBook book;
  book.clear();
  view.outcome_value = outcome_of(Check::kGuestConvertPvalidate);
  book.note(view);
  EXPECT_TRUE(book.is_accepted(kGuest, {8}));
  EXPECT_FALSE(book.is_accepted(kGuest, {9})) << "the guest knows that it failed";
  book.clear();
  view.outcome_value = {};
  book.note(view);
  EXPECT_TRUE(book.is_accepted(kGuest, {11}));
  EXPECT_FALSE(book.is_accepted(kGuest, {12}));
  EXPECT_TRUE(book.holds(kGuest));
}

TEST(GuestPageSet, RangesGrowAndSplit) {
  GuestPageSet set;
  for (const std::uint64_t gfn : {10u, 11u, 9u}) {
    EXPECT_FALSE(set.overlaps({.asid = kGuest, .first = {gfn}, .count = 1}));
    EXPECT_TRUE(set.add({.asid = kGuest, .first = {gfn}, .count = 1}));
  }
  EXPECT_FALSE(set.overlaps({.asid = {6}, .first = {10}, .count = 1}));
  EXPECT_TRUE(set.remove({.asid = {6}, .first = {9}, .count = 3}));
  EXPECT_TRUE(set.remove({.asid = kGuest, .first = {10}, .count = 1}));
  EXPECT_TRUE(set.overlaps({.asid = kGuest, .first = {9}, .count = 1}));
  EXPECT_FALSE(set.overlaps({.asid = kGuest, .first = {10}, .count = 1}));
  EXPECT_TRUE(set.overlaps({.asid = kGuest, .first = {11}, .count = 5}));
  EXPECT_TRUE(set.remove({.asid = kGuest, .first = {0}, .count = 100}));
  EXPECT_TRUE(set.empty());
}

TEST(GuestPageSet, SaysWhenItIsFull) {
  GuestPageSet set;
  for (std::uint64_t i = 0; i < GuestPageSet::kRoom; ++i)
    ASSERT_TRUE(set.add({.asid = kGuest, .first = {10 * i}, .count = 3}));
  EXPECT_FALSE(set.add({.asid = kGuest, .first = {5}, .count = 1}));
  EXPECT_TRUE(set.add({.asid = kGuest, .first = {3}, .count = 1})) << "it lengthens a range";
  EXPECT_FALSE(set.remove({.asid = kGuest, .first = {11}, .count = 1})) << "it would split one";
}

}  // namespace
}  // namespace sluice::oracle
