// The machine by hand: golden entries, the rules RU1-RU9 as small cases, the journal, the frame
// allocator.
#include "model/machine/machine.h"

#include <gtest/gtest.h>

#include <memory>

namespace sluice::model {
namespace {

constexpr std::uint64_t kHead = kFramesPer2M;  // a 2 MiB aligned frame

class MachineTest : public ::testing::Test {
 protected:
  MachineTest() {
    HostProfile profile{};
    profile.frame_count = 4 * kFramesPer2M;
    auto opened = Machine::open(profile);
    SLUICE_CHECK(opened.has_value());
    machine_ = std::make_unique<Machine>(std::move(*opened));
  }
  Check update(std::uint64_t pfn, const RmpRecord& record) {
    return machine_->rmp.update(machine_->journal, pfn << kPageShift, record);
  }
  static RmpRecord guest_record(std::uint64_t gpa, std::uint32_t asid,
                                PageSize size = PageSize::k4K) {
    return {.gpa = gpa, .page_size = size, .assigned = true, .immutable = false, .asid = asid};
  }
  GuestPage page(std::uint64_t pfn, std::uint64_t gpa, MapLevel level = MapLevel::k4K) {
    return {.asid = {5},
            .gpa = {gpa},
            .leaf = {.present = true, .writable = true, .level = level, .pfn = {pfn}}};
  }
  std::unique_ptr<Machine> machine_;
};

// Source of the first: a host's RMP dump (rmp.md 1); the others are computed from the layout.
TEST(Journal, AWriteThatChangesNothingLeavesNoEntry) {
  auto journal = Journal::open();
  ASSERT_TRUE(journal);
  std::uint64_t word = 7;
  Journal::Counter counter{.value = 3};
  const Journal::Mark mark = journal->mark();
  journal->set(word, 7);
  journal->add(counter, 0);
  journal->set(counter, 3);
  EXPECT_EQ(journal->size(), 0u);
  // The first real change after one that changed nothing is the one to undo.
  journal->add(counter, 2);
  journal->set(word, 8);
  EXPECT_EQ(journal->size(), 2u);
  journal->roll_back(mark);
  EXPECT_EQ(counter.value, 3u);
  EXPECT_EQ(word, 7u);
}

TEST(RmpEntry, MatchesGoldenVectors) {
  RmpEntry vmsa = make_entry(Gpa{0xfffffffff000}, Asid{2}, PageSize::k4K, false);
  vmsa.low |= RmpEntry::kVmsa | RmpEntry::kValidated;
  EXPECT_EQ(vmsa.low, 0x6010fffffffff001u);
  EXPECT_EQ(vmsa.high, 0x1fu);
  RmpEntry valid = make_entry(Gpa{0x12345000}, Asid{5}, PageSize::k4K, false);
  valid.low |= RmpEntry::kValidated;
  EXPECT_EQ(valid.low, 0x4028000012345001u);
  EXPECT_EQ(make_entry(Gpa{0x40000000}, Asid{5}, PageSize::k2M, false).low, 0x0028000040000003u);
  EXPECT_EQ(make_entry(Gpa{0x7000}, Asid{5}, PageSize::k4K, true).low, 0x0028000000007005u);
  EXPECT_EQ(make_entry(Gpa{0}, Asid{0}, PageSize::k4K, true).low, 0x0000000000000005u);
}

TEST(RmpEntry, FieldsReadBack) {
  const RmpEntry entry{.low = 0x6010fffffffff001, .high = 0x0000000003021f};
  EXPECT_TRUE(entry.assigned() && entry.validated() && entry.vmsa());
  EXPECT_FALSE(entry.immutable());
  EXPECT_EQ(entry.asid(), Asid{2});
  EXPECT_EQ(entry.gpa(), Gpa{0xfffffffff000});
  EXPECT_EQ(entry.mask(Vmpl{1}), 2);
  EXPECT_EQ(entry.mask(Vmpl{2}), 3);
}

TEST_F(MachineTest, ChangeOfOwnerCostsTheGuestItsAcceptance) {
  ASSERT_EQ(update(7, guest_record(0x7000, 5)), Check::kOk);
  ASSERT_TRUE(pvalidate(machine_->rmp, machine_->journal, page(7, 0x7000), PageSizeArg::k4K, true)
                  .allowed());
  RmpRecord same = guest_record(0x7000, 5);
  same.immutable = true;
  EXPECT_EQ(update(7, same), Check::kOk);
  EXPECT_TRUE(machine_->rmp.own({7}).validated()) << "RU4: only Immutable changed";
  EXPECT_EQ(machine_->rmp.firmware_reclaim(machine_->journal, {7}), FirmwareStatus::kSuccess);
  EXPECT_EQ(update(7, guest_record(0x8000, 5)), Check::kOk);
  EXPECT_FALSE(machine_->rmp.own({7}).validated());
}

TEST_F(MachineTest, SubSlotsOfALargeEntryReadAssigned) {
  ASSERT_EQ(update(kHead, guest_record(0x40000000, 5, PageSize::k2M)), Check::kOk);
  EXPECT_TRUE(machine_->rmp.own({kHead + 9}).assigned());
  EXPECT_EQ(machine_->rmp.own({kHead + 9}).asid().value, 0u);
  EXPECT_EQ(machine_->rmp.view({kHead + 9}).gpa, Gpa{0x40009000});
  EXPECT_EQ(machine_->rmp.assigned_in_block({kHead + 9}), kFramesPer2M);
  EXPECT_EQ(update(kHead + 9, guest_record(0x1000, 5)), Check::kRmpUpdateInside2M);
  EXPECT_EQ(update(kHead, guest_record(0x1000, 5)), Check::kRmpUpdateHead2M);
  EXPECT_EQ(update(kHead, {.page_size = PageSize::k2M}), Check::kOk)
      << "a live head may be freed whole";
  EXPECT_EQ(machine_->rmp.assigned_in_block({kHead}), 0u);
  EXPECT_FALSE(machine_->rmp.own({kHead + 9}).assigned());
}

TEST_F(MachineTest, SmashSpreadsTheEntry) {
  ASSERT_EQ(update(kHead, guest_record(0x40000000, 5, PageSize::k2M)), Check::kOk);
  ASSERT_TRUE(pvalidate(machine_->rmp, machine_->journal, page(kHead, 0x40000000, MapLevel::k2M),
                        PageSizeArg::k2M, true)
                  .allowed());
  ASSERT_EQ(machine_->rmp.smash(machine_->journal, kHead << kPageShift), Check::kOk);
  for (const std::uint64_t i : {0u, 1u, 511u}) {
    const RmpEntry entry = machine_->rmp.own({kHead + i});
    EXPECT_EQ(entry.gpa().value, 0x40000000 + i * kPageBytes);
    EXPECT_TRUE(entry.validated());
    EXPECT_EQ(entry.page_size(), PageSize::k4K);
  }
  EXPECT_EQ(machine_->rmp.assigned_in_block({kHead}), kFramesPer2M);
  EXPECT_EQ(machine_->rmp.smash(machine_->journal, kHead << kPageShift), Check::kPsmashNot2M);
  EXPECT_EQ(update(kHead, {.page_size = PageSize::k2M}), Check::kRmpUpdateOverlapSub);
}

TEST_F(MachineTest, InUseAndFixedFramesRefuse) {
  machine_->rmp.mark_in_use(machine_->journal, {kHead + 3});
  EXPECT_EQ(update(kHead + 3, guest_record(0x3000, 5)), Check::kRmpUpdateInUse);
  EXPECT_EQ(update(kHead, guest_record(0, 5, PageSize::k2M)), Check::kRmpUpdateInUse);
  EXPECT_EQ(machine_->rmp.smash(machine_->journal, kHead << kPageShift), Check::kPsmashInUse);
  machine_->rmp.clear_in_use(machine_->journal, {kHead + 3});
  machine_->rmp.firmware_fix(machine_->journal, {kHead + 4});
  EXPECT_EQ(update(kHead + 4, guest_record(0x3000, 5)), Check::kRmpUpdateImmutable);
  EXPECT_EQ(update(kHead, guest_record(0, 5, PageSize::k2M)), Check::kRmpUpdateImmutable);
}

TEST_F(MachineTest, APageInUseIsNotAdjusted) {
  ASSERT_EQ(update(7, guest_record(0x7000, 5)), Check::kOk);
  ASSERT_TRUE(pvalidate(machine_->rmp, machine_->journal, page(7, 0x7000), PageSizeArg::k4K, true)
                  .allowed());
  const RmpAdjustArguments arguments{.target_vmpl = 1, .mask = 1};
  machine_->rmp.mark_in_use(machine_->journal, {7});
  EXPECT_EQ(rmpadjust(machine_->rmp, machine_->journal, page(7, 0x7000), arguments).check,
            Check::kRmpAdjustInUse);
  EXPECT_EQ(machine_->rmp.own({7}).mask(Vmpl{1}), 0);
  machine_->rmp.clear_in_use(machine_->journal, {7});
  EXPECT_TRUE(rmpadjust(machine_->rmp, machine_->journal, page(7, 0x7000), arguments).allowed());
}

TEST_F(MachineTest, FirmwareMovesPagesBetweenItsStates) {
  Journal& journal = machine_->journal;
  Rmp& rmp = machine_->rmp;
  const RmpRecord firmware{.gpa = 0, .assigned = true, .immutable = true, .asid = 0};
  ASSERT_EQ(update(3, firmware), Check::kOk);
  EXPECT_EQ(rmp.firmware_decommission(journal, {3}), FirmwareStatus::kInvalidPageState);
  EXPECT_EQ(rmp.firmware_create_context(journal, {3}), FirmwareStatus::kSuccess);
  EXPECT_TRUE(rmp.own({3}).vmsa());
  EXPECT_EQ(update(3, {}), Check::kRmpUpdateImmutable);
  EXPECT_EQ(rmp.firmware_decommission(journal, {3}), FirmwareStatus::kSuccess);
  EXPECT_EQ(rmp.firmware_reclaim(journal, {3}), FirmwareStatus::kSuccess);
  EXPECT_EQ(update(3, {}), Check::kOk);
  RmpRecord pre_guest = guest_record(0x3000, 5);
  EXPECT_EQ(rmp.firmware_launch_update(journal, {3}, false), FirmwareStatus::kInvalidPageOwner);
  pre_guest.immutable = true;
  ASSERT_EQ(update(3, pre_guest), Check::kOk);
  EXPECT_EQ(rmp.firmware_launch_update(journal, {3}, true), FirmwareStatus::kSuccess);
  EXPECT_TRUE(rmp.own({3}).validated() && rmp.own({3}).vmsa() && !rmp.own({3}).immutable());
  EXPECT_EQ(rmp.firmware_launch_update(journal, {3}, false), FirmwareStatus::kInvalidPageState);
}

TEST_F(MachineTest, RollingBackRestoresEverything) {
  const auto start = machine_->journal.mark();
  const auto before = machine_->frames.accounting();
  ASSERT_EQ(update(7, guest_record(0x7000, 5)), Check::kOk);
  const auto pfn = machine_->frames.allocate(machine_->journal,
                                             {.use = FrameUse::kGmem, .gmem = {1}, .index = 4});
  ASSERT_TRUE(pfn.has_value());
  machine_->frames.set_content(machine_->journal, *pfn, 99);
  EXPECT_EQ(machine_->frames.view(*pfn),
            (FrameView{.use = FrameUse::kGmem, .gmem = {1}, .index = 4, .content = 99}));
  EXPECT_EQ(machine_->rmp.frame_at(machine_->journal.since(start)[0].address()), 7u);
  machine_->journal.roll_back(start);
  EXPECT_EQ(machine_->rmp.own({7}), RmpEntry{});
  EXPECT_EQ(machine_->rmp.assigned_in_block({7}), 0u);
  EXPECT_EQ(machine_->frames.view(*pfn), FrameView{});
  EXPECT_EQ(machine_->frames.accounting().by_use, before.by_use);
}

TEST_F(MachineTest, FramesComeInOrderAndComeBack) {
  Journal& journal = machine_->journal;
  Frames& frames = machine_->frames;
  const Frames::Owner owner{.use = FrameUse::kHostUser, .gmem = {}, .index = 0};
  const Pfn first = *frames.allocate(journal, owner);
  EXPECT_EQ(first.value, Frames::kFirstUsable);
  const Pfn large = *frames.allocate_block(journal, owner, MapLevel::k2M);
  EXPECT_TRUE(large.is_aligned(kFramesPer2M));
  EXPECT_EQ(frames.allocate(journal, owner)->value, first.value + 1);
  frames.release(journal, first);
  EXPECT_EQ(*frames.allocate(journal, owner), first);
  ASSERT_TRUE(frames.allocate_block(journal, owner, MapLevel::k2M).has_value());
  EXPECT_FALSE(frames.allocate_block(journal, owner, MapLevel::k2M).has_value())
      << "a full machine says so";
  frames.leak(journal, first);
  EXPECT_EQ(frames.owner(first).use, FrameUse::kLeaked);
}

TEST(FramesTest, BlocksOf1GComeFromTheOtherEnd) {
  Machine machine = *Machine::open([] {
    HostProfile profile = default_profile(kDefaultKernel);
    profile.frame_count = 2 * kFramesPer1G + kFramesPer2M;
    return profile;
  }());
  Journal& journal = machine.journal;
  Frames& frames = machine.frames;
  const Frames::Owner owner{.use = FrameUse::kGmem, .gmem = {1}, .index = kFramesPer1G};
  const auto start = journal.mark();
  const Pfn giant = *frames.allocate_block(journal, owner, MapLevel::k1G);
  EXPECT_EQ(giant.value, kFramesPer1G);
  EXPECT_EQ(frames.owner(giant + PageCount{kFramesPer1G - 1}).index, 2 * kFramesPer1G - 1);
  EXPECT_FALSE(frames.allocate_block(journal, owner, MapLevel::k1G).has_value());
  std::uint64_t left = 0;
  while (frames.allocate_block(journal, owner, MapLevel::k2M).has_value()) ++left;
  EXPECT_EQ(left, 511U) << "all below it but the first block";
  EXPECT_FALSE(frames.allocate(journal, owner).has_value());
  journal.roll_back(start);
  EXPECT_EQ(*frames.allocate_block(journal, owner, MapLevel::k1G), giant);
}

}  // namespace
}  // namespace sluice::model
