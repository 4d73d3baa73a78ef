// The restatement as a whole: rules RU1 to RU9, every page state entered and left, the golden
// entries of rmp.md 1, and all states of one frame that the operations can reach.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "testing/rmp_restatement.h"
#include "testing/rmp_row_cases.h"

namespace sluice::testing_rmp {
namespace {

constexpr Pfn kFrame{3};
constexpr Hpa kSpa{0x3000};
constexpr Hpa kHeadSpa{kHead.value * kPageBytes};
constexpr GuestContext kCaller{.asid = kGuest};
constexpr GuestOperand kOperand{.gva = 0x7000, .gpa = kBase, .leaf = {.pfn = kFrame}};
constexpr GuestOperand kOperand2M{
    .gva = 0, .gpa = kBase, .leaf = {.level = MapLevel::k2M, .pfn = kHead}};
constexpr RmpRecord kGive{.gpa = kBase, .assigned = true, .asid = kGuest};
constexpr RmpRecord kGiveImmutable{
    .gpa = kBase, .assigned = true, .immutable = true, .asid = kGuest};
constexpr RmpRecord kGive2M{
    .gpa = kBase, .assigned = true, .page_size = PageSize::k2M, .asid = kGuest};
constexpr RmpRecord kToFirmware{.assigned = true, .immutable = true};
constexpr RmpRecord kTakeBack{};

// The steps below must succeed; what refuses is in the tables of rows.
RmpState succeed(const Answer& answer) {
  EXPECT_TRUE(answer.result.succeeded()) << answer.row << ": " << to_string(answer.result);
  return answer.state;
}
RmpState update(const RmpState& state, const RmpRecord& record, Hpa spa = kSpa) {
  return succeed(rmpupdate(state, {}, spa, record));
}
RmpState accept(const RmpState& state, bool validate = true) {
  return succeed(pvalidate(state, kCaller, kOperand, {0, validate}));
}
PageState state_of(const RmpState& state) { return state.page_state(kFrame); }

// ---- Rules of rmp.md 3 ----

TEST(Rules, Ru1ImmutableIsChangedByTheFirmwareOnly) {
  const RmpState held = one_4k(immutable(kGuestPage4K));
  EXPECT_EQ(rmpupdate(held, {}, kSpa, kGive).state, held);
  EXPECT_EQ(pvalidate(held, kCaller, kOperand, {0, false}).state, held);
  EXPECT_EQ(rmpadjust(held, kCaller, kOperand, {}).state, held);
  const RmpState held_2m = one_2m(immutable(kGuestPage2M));
  EXPECT_EQ(psmash(held_2m, {}, kHeadSpa).state, held_2m);
  EXPECT_EQ(succeed(fw_page_reclaim(held, kFrame)), one_4k());
}

TEST(Rules, Ru3TheHypervisorClearsValidatedAndNeverSetsIt) {
  const RmpState moved = update(one_4k(), {.gpa = {0x1000}, .assigned = true, .asid = kGuest});
  EXPECT_FALSE(moved.own_slot(kFrame).validated);
  const RmpState back = update(moved, kGive);
  EXPECT_FALSE(back.own_slot(kFrame).validated);
  EXPECT_EQ(update(back, kGive), back);
}

TEST(Rules, Ru4ANewBindingClearsWhatTheGuestSaid) {
  const RmpEntry vmsa = with(kGuestPage4K, [](auto& e) { e.vmsa = true; });
  EXPECT_EQ(update(one_4k(vmsa), kGive), one_4k(vmsa));  // the same four values
  const RmpRecord new_bindings[] = {
      {.gpa = {0x1000}, .assigned = true, .asid = kGuest},
      {.gpa = kBase, .assigned = true, .asid = {6}},
      {.gpa = kBase, .assigned = true, .asid = {}},
  };
  for (const RmpRecord& record : new_bindings) {
    const RmpEntry expected{
        .assigned = true, .gpa = record.gpa, .asid = record.asid, .masks = {kMaskAll, 0, 0, 0}};
    EXPECT_EQ(update(one_4k(vmsa), record), one_4k(expected));
  }
  EXPECT_EQ(update(one_4k(vmsa), kTakeBack), empty());
}

TEST(Rules, Ru4Asid0ResetsEvenIfNothingChanges) {
  const RmpEntry reclaimed{.assigned = true, .masks = {0, 0, 0, 0}};
  const RmpState after = update(one_4k(reclaimed), {.assigned = true});
  EXPECT_EQ(after.own_slot(kFrame).masks, kMasksOnAssignment);
}

TEST(Rules, Ru5ANewSizeMustBeValidatedAgain) {
  const RmpState head_only = empty().with_entry(kHead, kGuestPage4K);
  const RmpState grown = update(head_only, kGive2M, kHeadSpa);
  EXPECT_EQ(grown.own_slot(kHead).page_size, PageSize::k2M);
  EXPECT_FALSE(grown.own_slot(kHead).validated);
  const RmpState smashed = succeed(psmash(one_2m(), {}, kHeadSpa));
  EXPECT_EQ(rmpupdate(smashed, {}, kHeadSpa, kGive2M).result, eax(kFailOverlap));
}

TEST(Rules, Ru6PsmashCopiesAllButTheGpa) {
  const RmpEntry whole = with(kGuestPage2M, [](auto& e) {
    e.vmsa = true;
    e.masks = {1, 2, 3, 4};
  });
  const RmpState smashed = succeed(psmash(one_2m(whole), {}, kHeadSpa));
  EXPECT_EQ(smashed.written().size(), kFramesPer2M);
  for (std::uint64_t i = 0; i < kFramesPer2M; ++i) {
    const RmpEntry expected = with(whole, [&](auto& e) {
      e.page_size = PageSize::k4K;
      e.gpa.value += i * kPageBytes;
    });
    EXPECT_EQ(smashed.own_slot(kHead + PageCount{i}), expected) << i;
  }
  EXPECT_EQ(smashed.own_slot(Pfn{511}), RmpEntry{});
}

TEST(Rules, Ru7ATwoMegabyteEntryIsAlignedOnBothSides) {
  EXPECT_EQ(rmpupdate(empty(), {}, {kHeadSpa.value + kPageBytes}, kGive2M).result, eax(1));
  RmpRecord askew = kGive2M;
  askew.gpa.value += kPageBytes;
  EXPECT_EQ(rmpupdate(empty(), {}, kHeadSpa, askew).result, eax(1));
}

TEST(Rules, Ru9InnerSlotsOfALiveEntryReadAssigned) {
  const RmpState state = update(empty(), kGive2M, kHeadSpa);
  for (std::uint64_t i = 1; i < kFramesPer2M; ++i) {
    EXPECT_EQ(state.own_slot(kHead + PageCount{i}), RmpEntry{.assigned = true});
    EXPECT_EQ(state.covering(kHead + PageCount{i}).head, kHead);
  }
  const RmpState gone = update(state, {.page_size = PageSize::k2M}, kHeadSpa);
  EXPECT_EQ(gone, empty());
}

// ---- Page states of rmp.md 3: how entered, how left ----

TEST(PageStates, GuestPagesByRmpupdateAndPvalidate) {
  const RmpState given = update(empty(), kGive);
  EXPECT_EQ(state_of(empty()), PageState::kHypervisor);
  EXPECT_EQ(state_of(given), PageState::kGuestInvalid);
  const RmpState valid = accept(given);
  EXPECT_EQ(state_of(valid), PageState::kGuestValid);
  EXPECT_EQ(accept(valid, false), given);
  EXPECT_EQ(state_of(update(valid, kTakeBack)), PageState::kHypervisor);
  EXPECT_EQ(state_of(update(given, kTakeBack)), PageState::kHypervisor);
}

TEST(PageStates, GuestValidKeepsItsNameAsVmsa) {
  const RmpState valid = accept(update(empty(), kGive));
  const RmpState vmsa = succeed(rmpadjust(valid, kCaller, kOperand, {.vmsa = true}));
  EXPECT_EQ(state_of(vmsa), PageState::kGuestValid);
  const RmpState rescinded = accept(vmsa, false);
  EXPECT_EQ(state_of(rescinded), PageState::kGuestInvalid);
  EXPECT_TRUE(rescinded.own_slot(kFrame).vmsa);
}

TEST(PageStates, PreGuestByLaunchAndByReclaim) {
  const RmpState pre_guest = update(empty(), kGiveImmutable);
  EXPECT_EQ(state_of(pre_guest), PageState::kPreGuest);
  EXPECT_EQ(state_of(succeed(fw_launch_update(pre_guest, kFrame))), PageState::kGuestValid);
  EXPECT_EQ(state_of(succeed(fw_page_reclaim(pre_guest, kFrame))), PageState::kGuestInvalid);
}

TEST(PageStates, PreSwapKeepsValidated) {
  const RmpState pre_swap = update(one_4k(), kGiveImmutable);
  EXPECT_EQ(state_of(pre_swap), PageState::kPreSwap);
  EXPECT_EQ(succeed(fw_page_reclaim(pre_swap, kFrame)), one_4k());
}

TEST(PageStates, FirmwarePagesComeBackAsReclaim) {
  const RmpState firmware = update(empty(), kToFirmware);
  EXPECT_EQ(state_of(firmware), PageState::kFirmware);
  const RmpState reclaimed = succeed(fw_page_reclaim(firmware, kFrame));
  EXPECT_EQ(state_of(reclaimed), PageState::kReclaim);
  EXPECT_EQ(succeed(fw_page_reclaim(reclaimed, kFrame)), reclaimed);
  EXPECT_EQ(state_of(update(reclaimed, kTakeBack)), PageState::kHypervisor);
}

TEST(PageStates, NamesOfWhatOnlyTheFirmwareMakes) {
  EXPECT_EQ(empty().page_state(Pfn{kCovered.value}), PageState::kDefault);
  EXPECT_EQ(state_of(one_4k({.immutable = true})), PageState::kHvFixed);
  const RmpEntry context{.assigned = true, .immutable = true, .vmsa = true};
  EXPECT_EQ(state_of(one_4k(context)), PageState::kContext);
  const RmpState metadata = one_4k({.assigned = true, .immutable = true, .gpa = {0x1000}});
  EXPECT_EQ(state_of(metadata), PageState::kMetadata);
  EXPECT_EQ(state_of(succeed(fw_page_reclaim(metadata, kFrame))), PageState::kReclaim);
  EXPECT_EQ(state_of(one_4k({.assigned = true, .validated = true})), PageState::kNone);
}

// ---- Golden entries of rmp.md 1 ----

struct RawEntry {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const RawEntry&, const RawEntry&) = default;
};

RawEntry raw(const RmpEntry& e) {
  RawEntry encoded;
  encoded.low |= std::uint64_t{e.assigned} << 0;
  encoded.low |= std::uint64_t{e.page_size == PageSize::k2M} << 1;
  encoded.low |= std::uint64_t{e.immutable} << 2;
  encoded.low |= e.gpa.value;
  encoded.low |= std::uint64_t{e.asid.value} << 51;
  encoded.low |= std::uint64_t{e.vmsa} << 61;
  encoded.low |= std::uint64_t{e.validated} << 62;
  for (unsigned i = 0; i < kVmplCount; ++i) {
    encoded.high |= std::uint64_t{e.masks[i]} << (8 * i);
  }
  return encoded;
}
RawEntry raw_frame(const RmpState& state, Pfn pfn = kFrame) { return raw(state.own_slot(pfn)); }

TEST(Golden, ALaunchedVmsaAsSeenOnAHost) {
  const RmpState pre_guest =
      update(empty(), {.gpa = {0xFFFFFFFFF000}, .assigned = true, .immutable = true, .asid = {2}});
  const RmpState launched = succeed(fw_launch_update(pre_guest, kFrame, true));
  EXPECT_EQ(raw_frame(launched), (RawEntry{0x6010fffffffff001, 0x1f}));
}

TEST(Golden, GuestPages) {
  const RmpState given = update(empty(), {.gpa = {0x12345000}, .assigned = true, .asid = {5}});
  GuestOperand operand = kOperand;
  operand.gpa = {0x12345000};
  const RmpState valid = succeed(pvalidate(given, kCaller, operand, {0, true}));
  EXPECT_EQ(raw_frame(valid).low, 0x4028000012345001u);
  const RmpState pre_guest =
      update(empty(), {.gpa = {0x7000}, .assigned = true, .immutable = true, .asid = {5}});
  EXPECT_EQ(raw_frame(pre_guest).low, 0x0028000000007005u);
  const RmpState large = update(empty(), kGive2M, kHeadSpa);
  EXPECT_EQ(raw_frame(large, kHead).low, 0x0028000040000003u);
  EXPECT_EQ(raw_frame(large, kHead + PageCount{1}).low & 1, 1u);
}

TEST(Golden, FirmwareAndHypervisorPages) {
  EXPECT_EQ(raw_frame(update(empty(), kToFirmware)).low, 0x5u);
  EXPECT_EQ(raw_frame(empty()), RawEntry{});
  EXPECT_EQ(raw_frame(update(one_4k(), kTakeBack)), RawEntry{});
}

TEST(Golden, ALargePageIsAcceptedSmashedAndFreedInPart) {
  RmpState state = update(empty(), kGive2M, kHeadSpa);
  state = succeed(pvalidate(state, kCaller, kOperand2M, {1, true}));
  EXPECT_EQ(raw_frame(state, kHead).low, 0x4028000040000003u);
  state = succeed(psmash(state, {}, kHeadSpa));
  EXPECT_EQ(raw_frame(state, kHead + PageCount{7}).low, 0x4028000040007001u);
  state = update(state, kTakeBack, {(kHead.value + 7) * kPageBytes});
  EXPECT_EQ(raw_frame(state, kHead + PageCount{7}), RawEntry{});
  EXPECT_EQ(raw_frame(state, kHead + PageCount{8}).low, 0x4028000040008001u);
  EXPECT_EQ(state.written().size(), kFramesPer2M - 1);
}

// ---- All that one frame can become ----

std::vector<Answer> host_steps(const RmpState& state) {
  std::vector<Answer> answers;
  for (const bool assigned : {false, true}) {
    for (const bool immutable : {false, true}) {
      for (const std::uint32_t asid : {0u, 5u, 6u}) {
        for (const Gpa gpa : {Gpa{}, kBase}) {
          answers.push_back(rmpupdate(
              state, {}, kSpa,
              {.gpa = gpa, .assigned = assigned, .immutable = immutable, .asid = {asid}}));
        }
      }
    }
  }
  return answers;
}

std::vector<Answer> other_steps(const RmpState& state) {
  std::vector<Answer> answers = {fw_launch_update(state, kFrame),
                                 fw_launch_update(state, kFrame, true),
                                 fw_page_reclaim(state, kFrame)};
  for (const bool on : {false, true}) {
    answers.push_back(pvalidate(state, kCaller, kOperand, {0, on}));
    answers.push_back(rmpadjust(state, kCaller, kOperand, {.mask = kMaskRead, .vmsa = on}));
  }
  return answers;
}

TEST(Reachable, EveryStateHasANameAndObeysTheRules) {
  std::vector<RmpState> reached = {empty()};
  for (std::size_t i = 0; i < reached.size(); ++i) {
    const RmpState state = reached[i];
    const RmpEntry entry = state.own_slot(kFrame);
    EXPECT_NE(state.page_state(kFrame), PageState::kNone);
    EXPECT_TRUE(!entry.validated || (entry.assigned && entry.asid != Asid{}));  // RU2
    EXPECT_TRUE(entry.assigned || (!entry.immutable && entry.asid == Asid{}));  // RU8
    std::vector<Answer> answers = host_steps(state);
    for (const Answer& answer : answers) {
      const RmpEntry after = answer.state.own_slot(kFrame);
      EXPECT_TRUE(entry.validated || !after.validated) << answer.row;  // RU3
      EXPECT_TRUE(!entry.immutable || after == entry) << answer.row;   // RU1
    }
    for (const Answer& answer : other_steps(state)) answers.push_back(answer);
    for (const Answer& answer : answers) {
      EXPECT_TRUE(answer.result.succeeded() || answer.state == state) << answer.row;
      if (std::ranges::find(reached, answer.state) == reached.end()) {
        reached.push_back(answer.state);
      }
    }
  }
  std::set<PageState> names;
  for (const RmpState& state : reached) names.insert(state.page_state(kFrame));
  // Context and HV-Fixed are made by other firmware commands; Metadata by any record with a gpa.
  EXPECT_EQ(names, (std::set{PageState::kHypervisor, PageState::kFirmware, PageState::kMetadata,
                             PageState::kReclaim, PageState::kPreGuest, PageState::kPreSwap,
                             PageState::kGuestInvalid, PageState::kGuestValid}));
}

TEST(Printing, SaysAllFields) {
  EXPECT_EQ(to_string(kGuestPage2M),
            "assigned=1 2M immutable=0 gpa=0x40000000 asid=5 vmsa=0 validated=1 "
            "masks=0x1f,0x1,0x0,0x0");
  EXPECT_EQ(::testing::PrintToString(empty().with_in_use({9}, true)),
            "1024 frames\n  pfn 0x9 in use");
  EXPECT_EQ(to_string(nested_fault(1ull << 31)), "#NPF(bits 0x80000000)");
}

TEST(RmpStateDeathTest, RefusesTablesThatCannotBe) {
  EXPECT_DEATH((void)one_2m().with_entry(kHead + PageCount{1}, kGuestPage4K), "HARNESS-BUG");
  EXPECT_DEATH((void)empty().with_entry(kHead + PageCount{1}, kGuestPage2M), "HARNESS-BUG");
  EXPECT_DEATH((void)empty().with_entry(Pfn{kCovered.value}, kGuestPage4K), "HARNESS-BUG");
}

}  // namespace
}  // namespace sluice::testing_rmp
