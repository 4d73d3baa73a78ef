// guest_memfd: arguments in the order of their errnos, allocation, holes, the last close.
#include <gtest/gtest.h>

#include "model/host/host_fixture.h"

namespace sluice::model {
namespace {

constexpr std::uint64_t kHuge = std::uint64_t{1} << 63;

TEST(CreateGuestMemfd, RefusesInOrder) {
  Host host;
  host.run(CreateVm{.type = VmType::kSwProtected});
  const auto create = [&](std::uint64_t size, std::uint64_t flags) {
    return host.run(CreateGuestMemfd{.size = {size}, .flags = {flags}}).check;
  };
  EXPECT_EQ(create(0, 1), Check::kCreateGmemFlags);  // flags before size
  EXPECT_EQ(create(0, 0), Check::kCreateGmemSize);
  EXPECT_EQ(create(kHuge, 0), Check::kCreateGmemSize);
  EXPECT_EQ(create(kPageBytes + 1, 0), Check::kCreateGmemSize);
  EXPECT_EQ(create(kPageBytes, 0), Check::kOk);
  EXPECT_EQ(create(kPageBytes, 0), Check::kSkipGmemExists);
  EXPECT_EQ(host.vm().users, 2U);
}

TEST(CreateGuestMemfd, KnowsFlagsByVersionAndVmType) {
  Host host(KernelVersion{6, 18});
  host.run(CreateVm{.vm = {0}, .type = VmType::kDefault});
  host.run(CreateVm{.vm = {1}, .type = VmType::kSwProtected});
  std::uint8_t gmem = 0;
  for (std::uint64_t flags = 0; flags < 4; ++flags) {
    EXPECT_TRUE(host.run(CreateGuestMemfd{.vm = {0}, .gmem = {gmem}, .flags = {flags}}).ok());
    host.run(CloseGuestMemfd{.gmem = {gmem}});
  }
  const auto on_private = [&](std::uint64_t flags) {
    return host.run(CreateGuestMemfd{.vm = {1}, .gmem = {gmem}, .flags = {flags}}).check;
  };
  EXPECT_EQ(on_private(kGmemFlagInitShared), Check::kCreateGmemFlags);
  EXPECT_EQ(on_private(4), Check::kCreateGmemFlags);
  EXPECT_EQ(on_private(kGmemFlagMmap), Check::kOk);
}

TEST(CreateGuestMemfd, Before618NoFileOfAVmWithPrivateMemoryIsMappable) {
  Host host(KernelVersion{6, 17});
  host.run(CreateVm{.vm = {0}, .type = VmType::kDefault});
  host.run(CreateVm{.vm = {1}, .type = VmType::kSwProtected});
  EXPECT_TRUE(host.run(CreateGuestMemfd{.vm = {0}, .flags = {kGmemFlagMmap}}).ok());
  EXPECT_EQ(host.run(CreateGuestMemfd{.vm = {1}, .gmem = {1}, .flags = {kGmemFlagMmap}}).check,
            Check::kCreateGmemFlags);
}

struct FallocateRow {
  std::uint64_t offset;
  std::uint64_t size;
  std::uint32_t mode;
  Check check;
};

TEST(Fallocate, AnswersAsTheKernelWasSeenTo) {
  const FallocateRow rows[] = {
      {0, 0, 0x01, Check::kFallocateRange},
      {kHuge, kPageBytes, 0x01, Check::kFallocateRange},
      {0, kHuge, 0x01, Check::kFallocateRange},
      {0, 0, 0x100, Check::kFallocateRange},  // row 1 wins over a bad mode
      {0, kPageBytes, 0x100, Check::kFallocateModeVfs},
      {0, kPageBytes, 0x02, Check::kFallocateModeVfs},  // hole without KEEP_SIZE
      {0, kPageBytes, 0x13, Check::kFallocateModeVfs},  // two kinds
      {0, kPageBytes, 0x09, Check::kFallocateModeVfs},  // KEEP_SIZE with COLLAPSE
      {0, kPageBytes, 0x80, Check::kFallocateModeVfs},  // WRITE_ZEROES is unknown in 6.12
      {kHuge - kPageBytes, 2 * kPageBytes, 0x01, Check::kFallocateTooBig},
      {1, 1, 0x00, Check::kFallocateNoKeepSize},  // before alignment
      {0, kPageBytes, 0x08, Check::kFallocateNoKeepSize},
      {0, kPageBytes, 0x40, Check::kFallocateNoKeepSize},
      {1, 1, 0x11, Check::kFallocateMode},  // zero range with KEEP_SIZE
      {0, kPageBytes, 0x41, Check::kFallocateMode},
      {1, kPageBytes, 0x01, Check::kFallocateUnaligned},
      {0, 1, 0x03, Check::kFallocateUnaligned},
      {k2M, kPageBytes, 0x01, Check::kFallocateBeyondEof},
      {k2M - kPageBytes, 2 * kPageBytes, 0x01, Check::kFallocateBeyondEof},
      {k2M, k2M, 0x03, Check::kOk},  // a hole beyond the end is fine
      {k2M - kPageBytes, kPageBytes, 0x01, Check::kOk},
  };
  Host host;
  host.run(CreateVm{.type = VmType::kSwProtected});
  EXPECT_EQ(host.run(GmemAllocate{}).check, Check::kSkipNoGmem);
  host.run(CreateGuestMemfd{.size = {k2M}});
  for (const FallocateRow& row : rows) {
    const GmemAllocate op{.offset = {row.offset}, .size = {row.size}, .mode = {row.mode}};
    EXPECT_EQ(host.run(op).check, row.check) << row.offset << " " << row.size << " " << row.mode;
  }
  Host newer(KernelVersion{6, 17});
  newer.run(CreateVm{});
  newer.run(CreateGuestMemfd{.size = {k2M}});
  EXPECT_EQ(newer.run(GmemAllocate{.mode = {0x80}}).check, Check::kFallocateNoKeepSize);
  EXPECT_EQ(newer.run(GmemAllocate{.mode = {0x81}}).check, Check::kFallocateModeVfs);
}

TEST(Fallocate, AllocatesAndPunchesExactlyTheRange) {
  Host host;
  host.run(CreateVm{.type = VmType::kSwProtected});
  host.run(CreateGuestMemfd{.size = {std::uint64_t{1} << 40}});  // 4 levels
  const std::uint64_t far = (std::uint64_t{1} << 40) - 4 * kPageBytes;
  EXPECT_TRUE(host.run(GmemAllocate{.offset = {0}, .size = {16 * kPageBytes}}).ok());
  EXPECT_TRUE(host.run(GmemAllocate{.offset = {far}, .size = {4 * kPageBytes}}).ok());
  EXPECT_EQ(host.k().gmems[0].resident_pages.value, 20U);
  const Pfn third = host.page(3).pfn;
  EXPECT_EQ(host.machine().frames.view(third).index, 3U);
  EXPECT_TRUE(host.run(GmemPunchHole{.offset = {3 * kPageBytes}, .size = {2 * kPageBytes}}).ok());
  EXPECT_EQ(host.count_events(EventKind::kArchInvalidate), 2U);
  EXPECT_EQ(host.count_events(EventKind::kFrameFreed), 2U);
  for (std::uint64_t i = 0; i < 16; ++i) EXPECT_EQ(host.page(i).present, i != 3 && i != 4) << i;
  EXPECT_EQ(host.machine().frames.view(third).use, FrameUse::kFree);
  EXPECT_TRUE(host.run(GmemPunchHole{.offset = {0}, .size = {std::uint64_t{1} << 41}}).ok());
  EXPECT_EQ(host.k().gmems[0].resident_pages.value, 0U);
  EXPECT_EQ(host.k().gmems[0].cache, kNoNode);
}

TEST(Fallocate, HoleInAnUnboundRangeLeavesNoTrace) {
  Host host;
  host.boot(VmType::kSwProtected, k2M);
  host.run(CreateGuestMemfd{.gmem = {1}, .size = {k2M}});
  const std::uint64_t seq = host.vm().invalidate_seq;
  host.run(GmemPunchHole{.gmem = {1}, .size = {k2M}});
  EXPECT_EQ(host.vm().invalidate_seq, seq);
  host.run(GmemPunchHole{.gmem = {0}, .size = {k2M}});
  EXPECT_EQ(host.vm().invalidate_seq, seq + 1);
  EXPECT_EQ(host.vm().invalidate_in_progress, 0);
}

TEST(CloseGuestMemfd, FreesPagesAndLeavesSlotsWithoutFile) {
  Host host;
  host.boot(VmType::kSwProtected, k2M);
  host.run(convert(0, k2M, true));
  EXPECT_TRUE(host.run(pre_fault(0, 8 * kPageBytes)).ok());
  EXPECT_TRUE(host.leaf(7).present);
  const std::uint64_t seq = host.vm().invalidate_seq;
  EXPECT_TRUE(host.run(CloseGuestMemfd{}).ok());
  EXPECT_FALSE(host.leaf(7).present);
  EXPECT_EQ(host.vm().invalidate_seq, seq + 1);
  EXPECT_EQ(host.machine().frames.accounting().by_use[1], 0U);
  EXPECT_EQ(host.vm().slots[0].gmem, GmemRef::kNone);
  EXPECT_TRUE(host.vm().slots[0].used);
  const Outcome gone = host.run(pre_fault(0, kPageBytes));
  EXPECT_EQ(gone.check, Check::kFaultGmemGone);
  EXPECT_EQ(gone.number, EFAULT);
  EXPECT_EQ(gone.exit.reason, kExitMemoryFault);
  EXPECT_EQ(gone.exit.flags, kMemoryFaultPrivate);
  EXPECT_TRUE(host.run(SetMemoryRegion{}).ok());  // the slot can still be deleted
  EXPECT_EQ(host.run(CloseGuestMemfd{}).check, Check::kSkipNoGmem);
}

TEST(CloseGuestMemfd, LastOneTakesAClosedVmAlong) {
  Host host;
  host.boot(VmType::kSwProtected, k2M);
  EXPECT_EQ(host.vm().users, 3U);
  EXPECT_TRUE(host.run(DestroyVm{}).ok());
  EXPECT_TRUE(host.vm().exists);
  EXPECT_EQ(host.run(DestroyVm{}).check, Check::kSkipNoVm);
  EXPECT_EQ(host.run(CreateVm{}).check, Check::kSkipVmExists);
  EXPECT_TRUE(host.run(GmemAllocate{}).ok());  // the file outlives the descriptor of its VM
  EXPECT_TRUE(host.run(CloseGuestMemfd{}).ok());
  EXPECT_FALSE(host.vm().exists);
  EXPECT_TRUE(host.run(CreateVm{}).ok());
}

TEST(GmemOrder2M, FoliosAreWholeAndSplitWhenPunchedInPart) {
  Host host;
  host.machine().header.policy.gmem_order = GmemOrder::k2M;
  host.boot(VmType::kSwProtected, 2 * k2M);
  host.run(convert(0, 2 * k2M, true));
  const Outcome out = host.run(pre_fault(0, 2 * k2M));
  EXPECT_EQ(out.progress.left, 0U);
  EXPECT_EQ(host.leaf(5).level, MapLevel::k2M);
  EXPECT_EQ(host.k().gmems[0].resident_pages.value, 1024U);
  EXPECT_EQ(host.leaf(5).pfn.value, host.page(5).pfn.value);
  EXPECT_TRUE(host.run(GmemPunchHole{.offset = {kPageBytes}, .size = {kPageBytes}}).ok());
  EXPECT_FALSE(host.leaf(5).present);  // a huge leaf that overlaps goes as a whole
  EXPECT_TRUE(host.leaf(512).present);
  EXPECT_TRUE(host.page(5).uptodate);
  EXPECT_EQ(host.k().gmems[0].resident_pages.value, 1023U);
  EXPECT_TRUE(host.run(pre_fault(0, k2M)).ok());
  EXPECT_EQ(host.leaf(5).level, MapLevel::k4K);
}

TEST(GmemOrder1G, AFolioIsTheLargestThatFileAndNeighborsLeaveRoomFor) {
  Host host;
  host.machine().header.policy.gmem_order = GmemOrder::k1G;
  host.boot(VmType::kSwProtected, kBytesPer1G + k2M + kPageBytes);
  const auto allocate = [&host](std::uint64_t index) {
    host.succeed(GmemAllocate{.offset = {index * kPageBytes}, .size = {kPageBytes}});
    return host.page(index).folio_pages;
  };
  EXPECT_EQ(allocate(kFramesPer1G + kFramesPer2M), 1U);
  EXPECT_EQ(allocate(kFramesPer1G + 7), kFramesPer2M);
  EXPECT_EQ(allocate(7), kFramesPer1G);
  EXPECT_EQ(host.k().gmems[0].resident_pages.value, kFramesPer1G + kFramesPer2M + 1);
  EXPECT_TRUE(host.page(0).pfn.is_aligned(kFramesPer1G));
  for (const std::uint64_t index : {std::uint64_t{1}, kFramesPer2M, kFramesPer1G - 1}) {
    EXPECT_EQ(host.page(index).pfn, host.page(0).pfn + PageCount{index});
    EXPECT_EQ(host.page(index).folio_pages, kFramesPer1G);
  }
  // Of the block that is empty in part, only what is smaller comes anew.
  host.succeed(GmemPunchHole{.offset = {k2M}, .size = {k2M}});
  EXPECT_EQ(host.page(0).folio_pages, kFramesPer2M);
  EXPECT_EQ(allocate(kFramesPer2M), kFramesPer2M);
}

TEST(GmemOrder1G, AFolioComesIntoUseAsOneAndIsSplitByTwoLevels) {
  Host host;
  host.machine().header.policy.gmem_order = GmemOrder::k1G;
  host.boot(VmType::kSwProtected, kBytesPer1G);
  host.succeed(convert(0, kBytesPer1G, true));
  host.succeed(GmemAllocate{.size = {kPageBytes}});
  EXPECT_FALSE(host.page(kFramesPer1G - 1).uptodate);
  EXPECT_TRUE(host.run(pre_fault(k2M, kPageBytes)).ok());
  EXPECT_EQ(host.leaf(5).level, MapLevel::k1G);
  EXPECT_EQ(host.leaf(5).pfn, host.page(5).pfn);
  EXPECT_TRUE(host.page(0).uptodate && host.page(kFramesPer1G - 1).uptodate);
  EXPECT_TRUE(host.run(GmemPunchHole{.offset = {k2M + kPageBytes}, .size = {kPageBytes}}).ok());
  EXPECT_FALSE(host.leaf(5).present);
  EXPECT_EQ(host.page(5).folio_pages, kFramesPer2M);
  EXPECT_EQ(host.page(kFramesPer2M).folio_pages, 1U);
  EXPECT_FALSE(host.page(kFramesPer2M + 1).present);
  EXPECT_EQ(host.page(kFramesPer1G - 1).folio_pages, kFramesPer2M);
  EXPECT_TRUE(host.page(5).uptodate && host.page(kFramesPer2M).uptodate);
  EXPECT_TRUE(host.run(pre_fault(0, kPageBytes)).ok());
  EXPECT_EQ(host.leaf(5).level, MapLevel::k2M);
  EXPECT_TRUE(host.run(pre_fault(k2M, kPageBytes)).ok());
  EXPECT_EQ(host.leaf(kFramesPer2M).level, MapLevel::k4K);
}

TEST(GmemOrder1G, ASlotOverPartOfAFolioSplitsItAsFarAsItMust) {
  Host host;
  host.machine().header.policy.gmem_order = GmemOrder::k1G;
  host.succeed(CreateVm{.type = VmType::kSwProtected});
  host.succeed(CreateVcpu{});
  host.succeed(CreateGuestMemfd{.size = {kBytesPer1G}});
  host.succeed(SetMemoryRegion{
      .flags = {kMemGuestMemfd}, .size = {k2M + kPageBytes}, .gmem = {0}, .gmem_offset = {k2M}});
  host.succeed(convert(0, k2M + kPageBytes, true));
  EXPECT_TRUE(host.run(pre_fault(0, kPageBytes)).ok());
  EXPECT_EQ(host.leaf(0).level, MapLevel::k2M);
  EXPECT_EQ(host.page(2 * kFramesPer2M).folio_pages, kFramesPer2M);
  EXPECT_FALSE(host.page(0).uptodate);
  EXPECT_TRUE(host.run(pre_fault(k2M, kPageBytes)).ok());
  EXPECT_EQ(host.leaf(kFramesPer2M).level, MapLevel::k4K);
  EXPECT_EQ(host.page(2 * kFramesPer2M).folio_pages, 1U);
}

TEST(Populate, FillsPrivatePagesOnceAndCountsThem) {
  Host host;
  host.boot(VmType::kSwProtected, k2M);
  const PopulateHook hook = [](Kernel&, Vm&, Gfn, const GmemHold&, void* calls) {
    ++*static_cast<unsigned*>(calls);
    return Check::kOk;
  };
  const PopulatePin pin = [](Kernel&, Gfn, void*) { return Check::kOk; };
  unsigned calls = 0;
  constexpr PopulateChecks kChecks{.slot = Check::kLaunchUpdateSlot,
                                   .file_gone = Check::kLaunchUpdateFileGone,
                                   .signal = Check::kLaunchUpdateSignal,
                                   .no_folio = Check::kLaunchUpdateNoFolio,
                                   .poisoned = Check::kLaunchUpdatePoisoned,
                                   .prepared = Check::kLaunchUpdatePrepared,
                                   .not_private = Check::kLaunchUpdateNotPrivate,
                                   .kept_shared = Check::kLaunchUpdateAssign};
  const auto populate = [&](std::uint64_t first, std::uint64_t last) {
    return gmem_populate(host.k(), host.vm(), {.first = {first}, .last = {last}},
                         {.pin = pin, .hook = hook, .argument = &calls, .checks = kChecks});
  };
  EXPECT_EQ(populate(600, 601).check, Check::kLaunchUpdateSlot);
  EXPECT_EQ(populate(0, 2).check, Check::kLaunchUpdateNotPrivate);
  EXPECT_TRUE(host.page(0).present);  // the page stays allocated
  host.run(convert(0, k2M, true));
  EXPECT_EQ(populate(510, 600).done.value, 2U);  // clamped to the slot
  const PopulateResult again = populate(509, 512);
  EXPECT_EQ(again.done.value, 1U);
  EXPECT_EQ(again.check, Check::kLaunchUpdatePrepared);
  EXPECT_EQ(calls, 3U);
  EXPECT_EQ(host.page(510).references, 1U);
  host.k().set(host.k().gmems[0].closing, true);  // its release waits for slots_lock
  EXPECT_EQ(populate(0, 1).check, Check::kLaunchUpdateFileGone);
  host.k().set(host.k().gmems[0].closing, false);
  host.run(CloseGuestMemfd{});
  EXPECT_EQ(populate(0, 1).check, Check::kLaunchUpdateFileGone);
}

}  // namespace
}  // namespace sluice::model
