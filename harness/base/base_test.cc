// Base: units cannot be mixed, the generator is the same everywhere, the arena hands freed blocks
// out again.
#include <gtest/gtest.h>

#include <cstring>
#include <type_traits>

#include "base/arena.h"
#include "base/hash.h"
#include "base/reserved_array.h"
#include "base/reserved_list.h"
#include "base/rng.h"
#include "base/units.h"

namespace sluice {
namespace {

static_assert(!std::is_convertible_v<Gfn, Pfn> && !std::is_convertible_v<std::uint64_t, Gfn>);
static_assert(!std::is_convertible_v<PageCount, ByteCount> && !std::is_convertible_v<Gpa, Gfn>);

TEST(Units, FramesAndAddressesAgree) {
  EXPECT_EQ(address_of(Gfn{0x12345}).value, 0x12345000u);
  EXPECT_EQ(Gpa{0x12345000}.frame(), Gfn{0x12345});
  EXPECT_EQ(Gfn{0x3ff}.align_down(kFramesPer2M), Gfn{0x200});
  EXPECT_EQ(frames_in(MapLevel::k1G), kFramesPer1G);
  EXPECT_EQ(frames_in(PageSize::k2M), frames_in(MapLevel::k2M));
}

TEST(UnitsDeathTest, AnUnalignedAddressHasNoFrame) {
  EXPECT_DEATH((void)Gpa{0x123}.frame(), "HARNESS-BUG .*is_page_aligned");
}

TEST(Rng, IsTheSameOnEveryCompiler) {
  Rng rng(1);
  EXPECT_EQ(rng.next(), 0x910a2dec89025cc1u);
  EXPECT_EQ(rng.next(), 0xbeeb8da1658eec67u);
  for (int i = 0; i < 1000; ++i) EXPECT_LT(rng.below(7), 7u);
}

TEST(Hash, OrderAndLengthMatter) {
  Hash a, b, c;
  a.add(1), a.add(2);
  b.add(2), b.add(1);
  c.add(1), c.add(2), c.add(0);
  EXPECT_NE(a.value(), b.value());
  EXPECT_NE(a.value(), c.value());
}

TEST(Arena, GivesFreedBlocksOutAgain) {
  Arena arena;
  void* const first = arena.take(100);
  void* const second = arena.take(100);
  EXPECT_NE(first, second);
  arena.give(first, 100);
  EXPECT_EQ(arena.live(), 1u);
  EXPECT_EQ(arena.take(128), first) << "same size class";
  arena.give(first, 128);
  arena.give(second, 100);
  EXPECT_EQ(arena.live(), 0u);
}

TEST(ReservedArray, IsZeroAndLazy) {
  auto table = ReservedArray<std::uint64_t>::open(std::size_t{1} << 32);
  ASSERT_TRUE(table.has_value());
  EXPECT_EQ((*table)[(std::size_t{1} << 32) - 1], 0u);
  (*table)[12345] = 7;
  EXPECT_EQ((*table)[12345], 7u);
}

TEST(ReservedList, KeepsPlaceAndMemory) {
  auto list = ReservedList<std::uint64_t>::open(std::size_t{1} << 32);
  ASSERT_TRUE(list.has_value());
  list->add(1);
  const std::uint64_t* const first = list->begin();
  for (std::uint64_t i = 2; i <= 100'000; ++i) list->add(i);
  EXPECT_EQ(list->size(), 100'000u);
  EXPECT_EQ(list->begin(), first);
  EXPECT_EQ(*(list->end() - 1), 100'000u);
  list->clear();
  EXPECT_EQ(list->begin(), list->end());
}

}  // namespace
}  // namespace sluice
