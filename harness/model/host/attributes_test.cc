// Memory attributes: arguments in order, the tree against a plain bitmap, mixed bits, what a
// conversion leaves alone.
#include <gtest/gtest.h>

#include <functional>

#include "base/rng.h"
#include "model/host/host_fixture.h"

namespace sluice::model {
namespace {

struct Break {
  Check check;
  std::function<void(SetMemoryAttributes&)> how;
};

TEST(SetMemoryAttributes, FirstBrokenArgumentWins) {
  const std::vector<Break> breaks{
      {Check::kAttributesFlags, [](auto& op) { op.flags = {1}; }},
      {Check::kAttributesValue, [](auto& op) { op.attributes = {1}; }},
      {Check::kAttributesWraps,
       [](auto& op) { op.size.value = (op.size.value & 1) + 0xffff'ffff'ffff'f000; }},
      {Check::kAttributesUnaligned, [](auto& op) { op.size.value |= 1; }},
  };
  Host host;
  host.run(CreateVm{.type = VmType::kSwProtected});
  for (std::size_t i = 0; i < breaks.size(); ++i) {
    for (std::size_t j = i; j < breaks.size(); ++j) {
      SetMemoryAttributes op = convert(k2M, k2M, true);
      breaks[j].how(op);
      breaks[i].how(op);
      EXPECT_EQ(row_of(host.run(op).check).name, row_of(breaks[i].check).name) << j;
    }
  }
  EXPECT_EQ(host.run(convert(0, 0, true)).check, Check::kAttributesWraps);
  // Reaching exactly 2^64 wraps; a page less is fine, slots or not.
  EXPECT_EQ(host.run(convert(~std::uint64_t{0} << 12, kPageBytes, true)).check,
            Check::kAttributesWraps);
  EXPECT_TRUE(host.run(convert(~std::uint64_t{0} << 13, kPageBytes, true)).ok());
  EXPECT_TRUE(is_private(host.k(), host.vm(), Gfn{(std::uint64_t{1} << 52) - 2}));
}

TEST(SetMemoryAttributes, VmsWithoutPrivateMemoryKnowNone) {
  Host host;
  host.run(CreateVm{});
  EXPECT_EQ(host.run(convert(0, k2M, true)).check, Check::kAttributesValue);
  EXPECT_TRUE(host.run(convert(0, k2M, false)).ok());
  HostProfile profile = Host::profile_of(kDefaultKernel);
  profile.memory_attributes = false;
  Host without(profile);
  without.run(CreateVm{});
  EXPECT_EQ(without.run(convert(0, k2M, false)).check, Check::kAttributesUnsupported);
}

TEST(SetMemoryAttributes, NoChangeLeavesNoTrace) {
  Host host;
  host.boot(VmType::kSwProtected, k2M);
  host.run(convert(0, k2M, true));
  const std::uint64_t seq = host.vm().invalidate_seq;
  const auto mark = host.machine().journal.mark();
  EXPECT_TRUE(host.run(convert(kPageBytes, kPageBytes, true)).ok());
  EXPECT_EQ(host.vm().invalidate_seq, seq);
  EXPECT_EQ(host.machine().journal.mark(), mark);
  EXPECT_EQ(host.k().attribute_log.count, 0U);
}

/// A bitmap of some windows of the GFN space, and the slots over them.
struct Reference {
  std::vector<bool> bits;
  std::uint64_t base = 0;
};

bool uniform(const Reference& ref, std::uint64_t first, std::uint64_t frames) {
  for (std::uint64_t i = 1; i < frames; ++i) {
    if (ref.bits[first + i] != ref.bits[first]) return false;
  }
  return true;
}

TEST(AttributeTree, AgreesWithABitmap) {
  constexpr std::uint64_t kSpan = 3 * kFramesPer1G;
  // Windows at 0 and around the seam between the two trees.
  for (const std::uint64_t base : {std::uint64_t{0}, (std::uint64_t{1} << 33) - kFramesPer1G}) {
    Host host;
    host.boot(VmType::kSwProtected, kPageBytes);
    host.run(SetMemoryRegion{.slot = {1},
                             .gpa = {(base + 512) << 12},
                             .size = {(kSpan - 512) << 12},
                             .hva = {.value = 512 << 12, .raw = true}});
    Reference ref{.bits = std::vector<bool>(kSpan), .base = base};
    Rng rng(base + 7);
    for (int round = 0; round < 60; ++round) {
      const std::uint64_t unit = std::uint64_t{1} << (rng.next() % 19);
      const std::uint64_t first = rng.next() % kSpan / unit * unit;
      const std::uint64_t count = std::min(kSpan - first, unit * (1 + rng.next() % 5));
      const bool value = (rng.next() & 1) != 0;
      ASSERT_TRUE(host.run(convert((base + first) << 12, count << 12, value)).ok());
      std::uint64_t changed = 0;
      for (std::uint64_t i = first; i < first + count; ++i) changed += ref.bits[i] != value;
      std::fill(ref.bits.begin() + static_cast<std::ptrdiff_t>(first),
                ref.bits.begin() + static_cast<std::ptrdiff_t>(first + count), value);
      std::uint64_t logged = 0;
      const AttributeLog& log = host.k().attribute_log;
      for (std::size_t i = 0; i < log.count; ++i) logged += log.changes[i].count.value;
      ASSERT_EQ(logged, log.dropped == 0 ? changed : logged) << round;
      for (int probe = 0; probe < 64; ++probe) {
        const std::uint64_t at = rng.next() % kSpan;
        ASSERT_EQ(is_private(host.k(), host.vm(), Gfn{base + at}), ref.bits[at]) << at;
      }
      for (std::uint64_t at = 512; at < kSpan; at += 512) {
        ASSERT_EQ(is_mixed(host.k(), host.vm(), MapLevel::k2M, Gfn{base + at}),
                  !uniform(ref, at, 512))
            << round << " " << at;
      }
      // The first 1 GiB block is not whole in the slot.
      for (std::uint64_t at = kFramesPer1G; at < kSpan; at += kFramesPer1G) {
        ASSERT_EQ(is_mixed(host.k(), host.vm(), MapLevel::k1G, Gfn{base + at}),
                  !uniform(ref, at, kFramesPer1G));
      }
    }
    // A slot that appears computes what conversions would have kept.
    const MixedBits& bits = host.k().mixed[0][0];
    std::vector<std::uint64_t> before;
    before.reserve(kSpan / 512 / 64);
    for (std::uint64_t w = 0; w < kSpan / 512 / 64; ++w)
      before.push_back(bits[base / 512 / 64 + w]);
    EXPECT_TRUE(host.run(SetMemoryRegion{.slot = {1}}).ok());
    EXPECT_FALSE(is_mixed(host.k(), host.vm(), MapLevel::k2M, Gfn{base + 1024}));
    host.run(SetMemoryRegion{.slot = {1},
                             .gpa = {(base + 512) << 12},
                             .size = {(kSpan - 512) << 12},
                             .hva = {.value = 512 << 12, .raw = true}});
    for (std::uint64_t w = 0; w < before.size(); ++w) {
      EXPECT_EQ(bits[base / 512 / 64 + w], before[w]) << w;
    }
    // Everything is undone.
    const auto next_from = [&](Gfn from) {
      return next_private_range(host.k(), host.vm(), {.first = from, .last = kGfnLimit});
    };
    for (GfnRange run = next_from(Gfn{0}); !run.empty(); run = next_from(run.last)) {
      ASSERT_GE(run.first.value, base);
      ASSERT_TRUE(ref.bits[run.first.value - base]);
    }
    host.machine().journal.roll_back(0);
    EXPECT_FALSE(is_private(host.k(), host.vm(), Gfn{base + 5}));
  }
}

TEST(AttributeTree, ATebibyteCostsItsEdges) {
  Host host;
  host.run(CreateVm{.type = VmType::kSwProtected});
  const std::uint64_t tebibyte = std::uint64_t{1} << 40;
  const auto before = host.machine().journal.mark();
  EXPECT_TRUE(host.run(convert(kPageBytes, tebibyte, true)).ok());
  EXPECT_LT(host.machine().journal.mark() - before, 3000U);
  EXPECT_FALSE(is_private(host.k(), host.vm(), Gfn{0}));
  EXPECT_TRUE(is_private(host.k(), host.vm(), Gfn{1}));
  EXPECT_TRUE(is_private(host.k(), host.vm(), Gfn{tebibyte >> 12}));
  EXPECT_FALSE(is_private(host.k(), host.vm(), Gfn{(tebibyte >> 12) + 1}));
  EXPECT_EQ(host.k().attribute_log.count, 1U);
  EXPECT_EQ(host.k().attribute_log.changes[0].count.value, tebibyte >> 12);
}

TEST(SetMemoryAttributes, KeepsPagesAndContents) {
  Host host;
  host.boot(VmType::kSwProtected, k2M);
  host.run(convert(0, k2M, true));
  host.run(pre_fault(0, 4 * kPageBytes));
  const Pfn pfn = host.page(2).pfn;
  host.machine().frames.set_content(host.machine().journal, pfn, 77);
  host.run(convert(0, k2M, false));
  EXPECT_FALSE(host.leaf(2).present);
  host.run(convert(0, k2M, true));
  host.run(pre_fault(0, 4 * kPageBytes));
  EXPECT_EQ(host.leaf(2).pfn, pfn);
  EXPECT_EQ(host.machine().frames.content(pfn), 77U);
}

TEST(SetMemoryAttributes, HoldsFaultsOffTheWholeBlockAtAnEdge) {
  Host host;
  host.boot(VmType::kSwProtected, 2 * k2M);
  const Memslot& slot = host.vm().slots[0];
  const GfnRange one{.first = {5}, .last = {6}};
  const GfnRange wide = range_under_conversion(host.k(), host.vm(), slot, one);
  EXPECT_EQ(wide.first.value, 0U);
  EXPECT_EQ(wide.last.value, 512U);
  host.run(convert(5 * kPageBytes, kPageBytes, true));
  const GfnRange next{.first = {9}, .last = {10}};
  const GfnRange narrow = range_under_conversion(host.k(), host.vm(), slot, next);
  EXPECT_EQ(narrow.first.value, 9U);  // the block is mixed already: no huge page can be under way
}

}  // namespace
}  // namespace sluice::model
