// Cached translations by themselves: what is found, what goes, and that a roll-back brings it back.
#include "model/machine/tlb.h"

#include <gtest/gtest.h>

namespace sluice::model {
namespace {

struct TlbTest : testing::Test {
  Journal journal = *Journal::open();
  Tlb tlb{};

  void fill(std::uint64_t page, std::uint64_t pfn, MapLevel level = MapLevel::k4K) {
    tlb.fill(journal, {.page = page, .pfn = {pfn}, .level = level, .writable = true});
  }
};

TEST_F(TlbTest, FindsWhatItWasGiven) {
  tlb.fill(journal, {.page = 5, .pfn = {0x205}, .encrypted = true});
  EXPECT_FALSE(tlb.find(5).has_value()) << "an access without the C bit is another one";
  EXPECT_FALSE(tlb.find(13, true).has_value()) << "13 has the same place";
  const auto found = tlb.find(5, true);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->pfn, Pfn{0x205});
  EXPECT_FALSE(found->writable);
}

TEST_F(TlbTest, ALargeEntryTranslatesItsBlock) {
  fill(0x205, 0x605, MapLevel::k2M);
  const auto found = tlb.find(0x3ff);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->page, 0x200u);
  EXPECT_EQ(found->frame_of(0x3ff), Pfn{0x7ff});
  EXPECT_FALSE(tlb.find(0x400).has_value());
  tlb.drop(journal, 0x300);
  EXPECT_TRUE(tlb.empty());
}

TEST_F(TlbTest, APageOfTheSamePlacePushesOut) {
  fill(1, 0x201);
  fill(9, 0x209);
  EXPECT_FALSE(tlb.find(1).has_value());
  EXPECT_TRUE(tlb.find(9).has_value());
}

TEST_F(TlbTest, FramesAreForgottenWherever) {
  fill(1, 0x201), fill(3, 0x300), fill(0x400, 0x200, MapLevel::k2M);
  tlb.drop_frames(journal, {0x201}, 1);
  EXPECT_FALSE(tlb.find(1).has_value());
  EXPECT_TRUE(tlb.find(3).has_value());
  EXPECT_FALSE(tlb.find(0x400).has_value()) << "its block holds the frame";
  tlb.drop_frames(journal, {0x200}, kFramesPer2M);
  EXPECT_TRUE(tlb.empty());
}

TEST_F(TlbTest, EveryChangeOfAStepIsUndone) {
  fill(1, 0x201);
  const Journal::Mark mark = journal.mark();
  fill(2, 0x202), fill(9, 0x209);
  tlb.flush(journal);
  fill(3, 0x203);
  EXPECT_FALSE(tlb.find(1).has_value());
  journal.roll_back(mark);
  EXPECT_EQ(tlb.find(1)->pfn, Pfn{0x201});
  EXPECT_FALSE(tlb.find(2).has_value());
  EXPECT_FALSE(tlb.find(3).has_value());
}

TEST(Translations, RmpUpdateReachesGuestsUserSpaceAndDirectMap) {
  Journal journal = *Journal::open();
  Translations all{};
  all.fill_guest(journal, {2}, {.page = 7, .pfn = {0x205}});
  all.user.fill(journal, {.page = 1, .pfn = {0x205}});
  all.direct_map.fill(journal, {.page = 0x205, .pfn = {0x205}, .level = MapLevel::k1G});
  all.forget_frames(journal, {0x206}, 1, MapLevel::k1G);
  EXPECT_FALSE(all.guests[2].empty());
  EXPECT_TRUE(all.direct_map.empty()) << "the entry covers every frame of its piece";
  all.forget_frames(journal, {0x205}, 1, MapLevel::k1G);
  EXPECT_TRUE(all.guests[2].empty());
  EXPECT_TRUE(all.user.empty());
  all.fill_guest(journal, {2}, {.page = 7, .pfn = {0x205}});
  all.flush_guest(journal, {2});
  EXPECT_TRUE(all.guests[2].empty());
  EXPECT_FALSE(all.is_filled({2}));
}

}  // namespace
}  // namespace sluice::model
