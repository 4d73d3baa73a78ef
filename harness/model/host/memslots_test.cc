// KVM_SET_USER_MEMORY_REGION2: every pair of broken arguments answers the one that is checked
// first.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "model/host/host_fixture.h"

namespace sluice::model {
namespace {

constexpr std::uint64_t kRaw = 0x10'0000'0000;

/// A way to break a request, in the order of kvm.md 2.
struct Break {
  Check check;
  std::function<void(SetMemoryRegion&)> how;
};

const std::vector<Break>& breaks() {
  static const std::vector<Break> all{
      {Check::kRegionSlotId, [](auto& r) { r.slot.value = (r.slot.value & ~0xffffU) | 32764; }},
      {Check::kRegionFlags, [](auto& r) { r.flags.value |= 8; }},
      {Check::kRegionSizeUnaligned, [](auto& r) { r.size.value += 1; }},
      {Check::kRegionGpaUnaligned, [](auto& r) { r.gpa.value += 1; }},
      {Check::kRegionHva, [](auto& r) { r.hva = {.value = 0x7fff'ffff'f000, .raw = true}; }},
      {Check::kRegionGmemOffset, [](auto& r) { r.gmem_offset.value += 1; }},
      {Check::kRegionAddressSpace, [](auto& r) { r.slot.value |= 1U << 16; }},
      {Check::kRegionGpaWraps,
       [](auto& r) { r.gpa.value = (r.gpa.value & 1) | 0xffff'ffff'ffff'f000; }},
      {Check::kRegionOverlap, [](auto& r) { r.gpa.value = k2M - kPageBytes; }},
      {Check::kRegionBindFd, [](auto& r) { r.gmem = {GmemRef::kNone}; }},
      {Check::kRegionMaxGfn, [](auto& r) { r.gpa.value = std::uint64_t{1} << 48; }},
  };
  return all;
}

TEST(SetMemoryRegion, FirstBrokenArgumentWins) {
  for (std::size_t i = 0; i < breaks().size(); ++i) {
    for (std::size_t j = i; j < breaks().size(); ++j) {
      Host host;
      host.boot(VmType::kSwProtected, k2M);
      host.run(CreateGuestMemfd{.gmem = {1}, .size = {4 * k2M}});
      SetMemoryRegion region{.slot = {1},
                             .flags = {kMemGuestMemfd},
                             .gpa = {8 * k2M},
                             .size = {2 * k2M},
                             .hva = {.value = kRaw, .raw = true},
                             .gmem = {1}};
      // The later one first, so that the earlier may not be undone where both touch a field.
      breaks()[j].how(region);
      breaks()[i].how(region);
      const Check got = host.run(region).check;
      EXPECT_EQ(row_of(got).name, row_of(breaks()[i].check).name)
          << "with " << row_of(breaks()[j].check).name;
    }
  }
}

TEST(SetMemoryRegion, FlagsDependOnVersionAndType) {
  struct Row {
    KernelVersion version;
    VmType type;
    std::uint32_t flags;
    Check check;
  };
  const Row rows[] = {
      {{6, 12}, VmType::kDefault, kMemLogDirtyPages, Check::kOk},
      {{6, 12}, VmType::kDefault, kMemReadonly, Check::kOk},
      {{6, 12}, VmType::kDefault, kMemGuestMemfd, Check::kRegionFlags},
      {{6, 17}, VmType::kDefault, kMemGuestMemfd, Check::kRegionBindFd},
      {{6, 12}, VmType::kSwProtected, kMemGuestMemfd, Check::kRegionBindFd},
      {{6, 12}, VmType::kSwProtected, kMemGuestMemfd | kMemLogDirtyPages, Check::kRegionFlags},
      {{6, 12}, VmType::kSwProtected, kMemGuestMemfd | kMemReadonly, Check::kRegionFlags},
      {{6, 12}, VmType::kSwProtected, kMemReadonly, Check::kOk},
      {{6, 12}, VmType::kSnp, kMemReadonly, Check::kRegionFlags},
  };
  for (const Row& row : rows) {
    Host host(row.version);
    host.run(CreateVm{.type = row.type});
    const Outcome out = host.run(SetMemoryRegion{.flags = {row.flags}, .size = {kPageBytes}});
    EXPECT_EQ(row_of(out.check).name, row_of(row.check).name) << row.flags;
  }
}

TEST(SetMemoryRegion, ExistingSlotsMoveChangeFlagsOrRefuse) {
  Host host;
  host.boot(VmType::kDefault, k2M);
  const SetMemoryRegion same{.size = {k2M}};
  EXPECT_TRUE(host.run(same).ok());
  SetMemoryRegion other = same;
  other.size = {k2M / 2};
  EXPECT_EQ(host.run(other).check, Check::kRegionExistingDiffers);
  other = same;
  other.hva = {.value = kPageBytes};
  EXPECT_EQ(host.run(other).check, Check::kRegionExistingDiffers);
  other = same;
  other.flags = {kMemReadonly};
  EXPECT_EQ(host.run(other).check, Check::kRegionExistingDiffers);
  other.flags = {kMemLogDirtyPages};
  EXPECT_TRUE(host.run(other).ok());
  EXPECT_EQ(host.vm().slots[0].flags, kMemLogDirtyPages);
  other.gpa = {4 * k2M};
  EXPECT_TRUE(host.run(other).ok());
  EXPECT_EQ(find_slot(host.vm(), 0, Gfn{0}), kNoSlot);
  EXPECT_EQ(find_slot(host.vm(), 0, Gfn{2048}), 0);
  other.size = {0};
  EXPECT_TRUE(host.run(other).ok());
  EXPECT_EQ(host.run(other).check, Check::kRegionDeleteAbsent);
}

TEST(SetMemoryRegion, MoveThatIsTooHighRestoresTheSlotButNotItsLeaves) {
  Host host(KernelVersion{6, 16});  // whose pre-fault replaces an obsolete root
  host.boot(VmType::kDefault, k2M);
  host.run(pre_fault(0, kPageBytes));
  ASSERT_TRUE(host.leaf(0).present);
  const SetMemoryRegion move{.gpa = {std::uint64_t{1} << 48}, .size = {k2M}};
  EXPECT_EQ(host.run(move).check, Check::kRegionMaxGfn);
  EXPECT_EQ(find_slot(host.vm(), 0, Gfn{0}), 0);
  EXPECT_FALSE(host.vm().slots[0].invalid);
  EXPECT_FALSE(host.leaf(0).present);
  EXPECT_TRUE(host.run(pre_fault(0, kPageBytes)).ok());
}

TEST(SetMemoryRegion, GuestMemfdSlotsAreFixed) {
  Host host;
  host.boot(VmType::kSwProtected, k2M);
  const SetMemoryRegion again{.flags = {kMemGuestMemfd}, .size = {k2M}, .gmem = {0}};
  EXPECT_EQ(host.run(again).check, Check::kRegionExistingGmem);  // even if identical
  SetMemoryRegion remove = again;
  remove.size = {0};
  EXPECT_TRUE(host.run(remove).ok());  // flags do not matter for a deletion
}

TEST(SetMemoryRegion, BindingRefusals) {
  Host host;
  host.boot(VmType::kSwProtected, k2M);
  host.run(CreateVm{.vm = {1}, .type = VmType::kSwProtected});
  host.run(CreateGuestMemfd{.vm = {1}, .gmem = {1}, .size = {k2M}});
  const auto bind = [&](std::uint8_t gmem, std::uint64_t offset, std::uint64_t size) {
    return host
        .run(SetMemoryRegion{.slot = {1},
                             .flags = {kMemGuestMemfd},
                             .gpa = {8 * k2M},
                             .size = {size},
                             .gmem = {gmem},
                             .gmem_offset = {offset}})
        .check;
  };
  EXPECT_EQ(bind(3, 0, k2M), Check::kRegionBindFd);  // no such file is open
  EXPECT_EQ(bind(GmemRef::kOther, 0, k2M), Check::kRegionBindNotGmem);
  EXPECT_EQ(bind(1, 0, k2M), Check::kRegionBindOtherVm);
  EXPECT_EQ(bind(0, kPageBytes, k2M), Check::kRegionBindRange);
  EXPECT_EQ(bind(0, std::uint64_t{1} << 63, kPageBytes), Check::kRegionBindRange);
  EXPECT_EQ(bind(0, 0, kPageBytes), Check::kRegionBindTaken);
  EXPECT_EQ(find_slot_id(host.vm(), 0, 1), kNoSlot);
}

/// The slot that a page is bound to; kNoSlot if none.
SlotIndex binding_of(const Gmem& gmem, std::uint64_t index) {
  const auto holds = [index](const Binding& binding) {
    return binding.used && index - binding.first < binding.count;
  };
  const auto found = std::ranges::find_if(gmem.bindings, holds);
  return found != gmem.bindings.end() ? found->slot : kNoSlot;
}

TEST(SetMemoryRegion, FailedCreationGivesTheBindingBack) {
  Host host;
  host.run(CreateVm{.type = VmType::kSwProtected});
  host.run(CreateGuestMemfd{.size = {k2M}});
  SetMemoryRegion region{
      .flags = {kMemGuestMemfd}, .gpa = {std::uint64_t{1} << 48}, .size = {k2M}, .gmem = {0}};
  EXPECT_EQ(host.run(region).check, Check::kRegionMaxGfn);
  EXPECT_EQ(binding_of(host.k().gmems[0], 0), kNoSlot);
  region.gpa = {0};
  EXPECT_TRUE(host.run(region).ok());
  EXPECT_EQ(binding_of(host.k().gmems[0], 511), 0);
}

TEST(SetMemoryRegion, AddressSpacesAreApart) {
  Host host;
  host.boot(VmType::kDefault, k2M);
  EXPECT_TRUE(host.run(SetMemoryRegion{.slot = {1U << 16}, .size = {k2M}}).ok());
  EXPECT_EQ(host.run(SetMemoryRegion{.slot = {2U << 16}, .size = {k2M}}).check,
            Check::kRegionAddressSpace);
  EXPECT_EQ(find_slot(host.vm(), 1, Gfn{0}), 1);
}

TEST(Kernel, HasMixedBitsForEverySlotThatCanBe) {
  for (const bool tdp : {true, false}) {
    HostProfile profile = Host::profile_of(kDefaultKernel);
    profile.tdp = tdp;
    Host host(profile);
    const Gfn last = max_gfn(host.k());
    host.succeed(CreateVm{});
    const std::uint64_t block = last.value / kFramesPer2M * kBytesPer2M;
    EXPECT_TRUE(host.run(SetMemoryRegion{.gpa = {block}, .size = {k2M}}).ok());
    for (const auto& levels : host.k().mixed) {
      EXPECT_GT(levels[0].size(), last.value / kFramesPer2M / 64);
      EXPECT_GT(levels[1].size(), last.value / kFramesPer1G / 64);
    }
  }
}

TEST(SetMemoryRegion, DeletionZapsAllOnlyForDefaultVms) {
  for (const VmType type : {VmType::kDefault, VmType::kSwProtected}) {
    Host host(KernelVersion{6, 16});  // whose pre-fault replaces an obsolete root
    host.run(CreateVm{.type = type});
    host.run(CreateVcpu{});
    host.run(SetMemoryRegion{.slot = {0}, .gpa = {0}, .size = {k2M}});
    host.run(SetMemoryRegion{.slot = {1}, .gpa = {k2M}, .size = {k2M}, .hva = {.value = k2M}});
    EXPECT_EQ(host.run(pre_fault(0, 2 * k2M)).progress.left, 0U);
    EXPECT_TRUE(host.run(SetMemoryRegion{.slot = {0}}).ok());
    EXPECT_FALSE(host.leaf(0).present);
    EXPECT_EQ(host.leaf(512).present, type != VmType::kDefault);
    const Outcome again = host.run(pre_fault(k2M, kPageBytes));
    EXPECT_TRUE(again.ok());
    EXPECT_TRUE(host.leaf(512).present);
  }
}

TEST(SetMemoryRegion, LargePagesNeedWholeCongruentBlocks) {
  Host host;
  host.run(CreateVm{.type = VmType::kSwProtected});
  host.run(SetMemoryRegion{.gpa = {kPageBytes}, .size = {4 * k2M}, .hva = {.value = kPageBytes}});
  host.run(
      SetMemoryRegion{.slot = {1}, .gpa = {16 * k2M}, .size = {k2M}, .hva = {.value = kPageBytes}});
  const auto disallowed = [&](SlotIndex slot, std::uint64_t gfn) {
    return is_lpage_disallowed(host.k(), host.vm(), host.vm().slots[slot], Gfn{gfn}, MapLevel::k2M);
  };
  EXPECT_TRUE(disallowed(0, 1));  // head
  EXPECT_FALSE(disallowed(0, 512));
  EXPECT_TRUE(disallowed(0, 2048));                     // tail
  EXPECT_TRUE(disallowed(1, std::uint64_t{16} * 512));  // host address not congruent
}

TEST(SetMemoryRegion, MmioEntriesDieWithTheGeneration) {
  Host host;
  host.boot(VmType::kDefault, k2M);
  EXPECT_EQ(host.run(pre_fault(4 * k2M, kPageBytes)).check, Check::kPreFaultNoSlot);
  EXPECT_TRUE(host.leaf(2048).mmio);
  EXPECT_TRUE(is_cached_mmio(host.k(), host.k().vcpus[0], Gfn{2048}));
  host.run(SetMemoryRegion{.slot = {1}, .gpa = {4 * k2M}, .size = {k2M}});
  EXPECT_FALSE(host.leaf(2048).mmio);
  EXPECT_TRUE(host.run(pre_fault(4 * k2M, kPageBytes)).ok());
  EXPECT_TRUE(host.leaf(2048).present);
}

TEST(SetMemoryRegion, LoggingWriteProtects) {
  Host host;
  host.boot(VmType::kDefault, k2M);
  host.run(pre_fault(0, kPageBytes));
  EXPECT_TRUE(host.leaf(0).writable);
  host.run(SetMemoryRegion{.flags = {kMemLogDirtyPages}, .size = {k2M}});
  EXPECT_FALSE(host.leaf(0).writable);
  PageFault write{.gfn = {0}, .write = true, .present = true};
  EXPECT_EQ(handle_fault(host.k(), host.k().vcpus[0], write).status, FaultStatus::kFixed);
  EXPECT_TRUE(host.leaf(0).writable);
}

}  // namespace
}  // namespace sluice::model
