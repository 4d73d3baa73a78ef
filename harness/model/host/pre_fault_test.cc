// KVM_PRE_FAULT_MEMORY and the fault path without interleaving: errnos, progress, levels, versions.
#include <gtest/gtest.h>

#include "model/host/host_fixture.h"

namespace sluice::model {
namespace {

constexpr KernelVersion kVersions[] = {{6, 12}, {6, 14}, {6, 18}, {7, 0}};

TEST(PreFault, RefusesInOrder) {
  Host host;
  EXPECT_EQ(host.run(pre_fault(0, kPageBytes)).check, Check::kSkipNoVcpu);
  host.run(CreateVm{.type = VmType::kSnp});
  host.run(CreateVcpu{});
  PreFaultMemory op = pre_fault(1, 0);
  op.flags = {1};
  EXPECT_EQ(host.run(op).check, Check::kPreFaultFlags);
  const std::pair<std::uint64_t, std::uint64_t> bad[] = {{1, kPageBytes},
                                                         {0, 1},
                                                         {0, 0},
                                                         {~std::uint64_t{0} << 12, kPageBytes},
                                                         {kPageBytes, ~std::uint64_t{0} << 12}};
  for (const auto& [gpa, size] : bad) {
    const Outcome out = host.run(pre_fault(gpa, size));
    EXPECT_EQ(out.check, Check::kPreFaultRange) << gpa << " " << size;
    EXPECT_EQ(out.progress, (RangeProgress{.gpa = gpa, .left = size}));
  }
  EXPECT_EQ(host.run(pre_fault(0, kPageBytes)).check, Check::kPreFaultNotAllowed);
  host.k().set(host.vm().dead, true);
  EXPECT_EQ(host.run(op).check, Check::kVmDead);
}

TEST(PreFault, ShadowPagingHasNoRootThenNoTdp) {
  HostProfile profile = Host::profile_of({6, 18});
  profile.tdp = false;
  Host host(profile);
  host.run(CreateVm{});
  host.run(CreateVcpu{});
  PreFaultMemory op = pre_fault(0, kPageBytes);
  EXPECT_EQ(host.run(op).number, ENOSPC);
  host.run(SetMemoryRegion{.size = {k2M}});
  EXPECT_EQ(host.run(op).check, Check::kPreFaultNotTdp);
  host.run(SetMemoryRegion{});
  EXPECT_EQ(host.run(op).number, EOPNOTSUPP);
  op.flags = {1};
  EXPECT_EQ(host.run(op).check, Check::kPreFaultFlags);
  // Without nested paging slots reach up to 52 bits.
  EXPECT_TRUE(host.run(SetMemoryRegion{.gpa = {std::uint64_t{1} << 51}, .size = {k2M}}).ok());
}

TEST(PreFault, StopsAtTheEndOfTheSlotWithProgress) {
  for (const KernelVersion version : kVersions) {
    for (const bool is_private : {false, true}) {
      Host host(version);
      host.boot(VmType::kSwProtected, k2M + kPageBytes);
      if (is_private) host.run(convert(0, k2M + kPageBytes, true));
      const Outcome whole = host.run(pre_fault(0, k2M));
      EXPECT_TRUE(whole.ok());
      EXPECT_EQ(whole.progress, (RangeProgress{.gpa = k2M, .left = 0}));
      const Outcome past = host.run(pre_fault(k2M, 2 * kPageBytes));
      EXPECT_TRUE(past.ok());
      EXPECT_EQ(past.progress, (RangeProgress{.gpa = k2M + kPageBytes, .left = kPageBytes}));
      const Outcome end = host.run(pre_fault(k2M + kPageBytes, kPageBytes));
      EXPECT_EQ(end.number, ENOENT);
      EXPECT_EQ(end.progress.left, kPageBytes);
      for (std::uint64_t gfn = 0; gfn <= 512; ++gfn) {
        ASSERT_TRUE(host.leaf(gfn).present) << gfn;
        ASSERT_FALSE(host.leaf(gfn).accessed);
      }
    }
  }
}

TEST(PreFault, PrivateErrorsPrepareAMemoryFaultExit) {
  Host host;
  host.run(CreateVm{.type = VmType::kSwProtected});
  host.run(CreateVcpu{});
  host.run(SetMemoryRegion{.size = {k2M}});
  host.run(convert(0, 2 * k2M, true));
  const Outcome no_gmem = host.run(pre_fault(kPageBytes, kPageBytes));
  EXPECT_EQ(no_gmem.check, Check::kFaultPrivateNoGmem);
  EXPECT_EQ(no_gmem.kind, StatusKind::kErrno);
  EXPECT_EQ(no_gmem.number, EFAULT);
  EXPECT_EQ(no_gmem.exit, (ExitInfo{.reason = kExitMemoryFault,
                                    .flags = kMemoryFaultPrivate,
                                    .gpa = kPageBytes,
                                    .size = kPageBytes}));
  EXPECT_EQ(host.run(pre_fault(k2M, kPageBytes)).check, Check::kFaultPrivateNoSlot);
}

TEST(PreFault, SharedPageWithoutHostMemoryIsPlainEfault) {
  Host host;
  host.run(CreateVm{});
  host.run(CreateVcpu{});
  host.run(SetMemoryRegion{.size = {k2M}, .hva = {.value = kHostRegionBytes - kPageBytes}});
  const Outcome out = host.run(pre_fault(0, 2 * kPageBytes));
  EXPECT_TRUE(out.ok());
  EXPECT_EQ(out.progress.left, kPageBytes);
  const Outcome beyond = host.run(pre_fault(kPageBytes, kPageBytes));
  EXPECT_EQ(beyond.check, Check::kFaultHvaUnmapped);
  EXPECT_EQ(beyond.exit.reason, 0U);
}

TEST(PreFault, PresentLeavesByVersion) {
  for (const KernelVersion version : kVersions) {
    Host host(version);
    host.boot(VmType::kDefault, k2M);
    PageFault touch{.gfn = {3}, .write = true};
    load_root(host.k(), host.k().vcpus[0]);
    EXPECT_EQ(handle_fault(host.k(), host.k().vcpus[0], touch).status, FaultStatus::kFixed);
    EXPECT_TRUE(host.leaf(3).accessed);
    EXPECT_TRUE(host.run(pre_fault(0, k2M)).ok());
    // 6.12 rewrites the leaf without the Accessed bit; later kernels leave it alone.
    EXPECT_EQ(host.leaf(3).accessed, version >= (KernelVersion{6, 14}));
    EXPECT_TRUE(host.leaf(3).writable);
  }
}

TEST(PreFault, AnObsoleteRootByVersion) {
  for (const KernelVersion version : kVersions) {
    Host host(version);
    host.boot(VmType::kDefault, k2M);
    EXPECT_TRUE(host.run(pre_fault(0, kPageBytes)).ok());
    EXPECT_TRUE(host.run(SetMemoryRegion{}).ok());
    EXPECT_TRUE(host.run(SetMemoryRegion{.size = {k2M}}).ok());
    const Outcome out = host.run(pre_fault(0, kPageBytes));
    const bool ends = version >= (KernelVersion{6, 15});
    EXPECT_EQ(out.check, ends ? Check::kOk : Check::kPreFaultObsoleteRoot);
    EXPECT_EQ(out.progress.left, ends ? 0 : kPageBytes);
    EXPECT_EQ(host.leaf(0).present, ends);
    EXPECT_EQ(host.scheduler().liveness().livelock, !ends);
  }
}

TEST(PreFault, HugeLeavesAdvanceByTheirBlock) {
  for (const KernelVersion version : kVersions) {
    Host host(version);
    host.machine().header.policy.gmem_order = GmemOrder::k2M;
    host.boot(VmType::kSwProtected, 2 * k2M);
    host.run(convert(0, 2 * k2M, true));
    const Outcome out = host.run(pre_fault(3 * kPageBytes, kPageBytes));
    EXPECT_EQ(out.progress.gpa, 4 * kPageBytes);   // never past what was asked
    EXPECT_EQ(host.leaf(0).level, MapLevel::k2M);  // but the whole block is mapped
    EXPECT_FALSE(host.leaf(512).present);
    // A conversion inside takes the huge leaf and keeps it away.
    host.run(convert(7 * kPageBytes, kPageBytes, false));
    EXPECT_FALSE(host.leaf(0).present);
    host.run(pre_fault(0, kPageBytes));
    EXPECT_EQ(host.leaf(0).level, MapLevel::k4K);
    host.run(convert(7 * kPageBytes, kPageBytes, true));
    host.run(pre_fault(7 * kPageBytes, kPageBytes));
    EXPECT_EQ(host.leaf(0).level, MapLevel::k2M);  // whole again, over the small table
  }
}

TEST(PreFault, OnlyTheVcpusOwnRootIsFilled) {
  Host host;
  host.boot(VmType::kDefault, k2M);
  host.run(CreateVcpu{.vcpu = {1}});
  host.run(CreateVcpu{.vcpu = {2}});
  EXPECT_TRUE(host.run(SetCpuid{.phys_addr_bits = {52}}, kVcpu1).ok());
  host.run(pre_fault(0, kPageBytes), kVcpu0);
  const ActorId vcpu2{.kind = ActorKind::kVcpu, .index = 2};
  host.run(pre_fault(kPageBytes, kPageBytes), vcpu2);
  host.run(pre_fault(2 * kPageBytes, kPageBytes), kVcpu1);
  EXPECT_TRUE(host.leaf(0, 2).present);  // vCPUs 0 and 2 share a root
  EXPECT_FALSE(host.leaf(0, 1).present);
  EXPECT_EQ(host.vm().roots[host.k().vcpus[1].root].level, 5);
  // A hole reaches every root.
  host.run(HostUnmap{.size = {k2M}});
  for (unsigned vcpu = 0; vcpu < 3; ++vcpu) {
    for (std::uint64_t gfn = 0; gfn < 3; ++gfn) EXPECT_FALSE(host.leaf(gfn, vcpu).present);
  }
  host.k().set(host.k().vcpus[0].ran, true);
  EXPECT_EQ(host.run(SetCpuid{.phys_addr_bits = {52}}).check, Check::kSetCpuidAfterRun);
  EXPECT_TRUE(host.run(SetCpuid{.phys_addr_bits = {48}}).ok());
}

TEST(PreFault, SmmVcpusUseTheirOwnAddressSpace) {
  Host host;
  host.boot(VmType::kDefault, k2M);
  host.run(SetMemoryRegion{.slot = {1U << 16}, .gpa = {k2M}, .size = {k2M}});
  host.k().set(host.k().vcpus[0].smm, true);
  EXPECT_EQ(host.run(pre_fault(0, kPageBytes)).number, ENOENT);
  EXPECT_TRUE(host.run(pre_fault(k2M, kPageBytes)).ok());
}

TEST(Fault, GuestAccessesByKind) {
  Host host;
  host.boot(VmType::kSnp, k2M);
  Vcpu& vcpu = host.k().vcpus[0];
  load_root(host.k(), vcpu);
  PageFault wants_private{.gfn = {1}, .is_private = true};
  FaultResult result = handle_fault(host.k(), vcpu, wants_private);
  EXPECT_EQ(result.check, Check::kFaultMismatch);
  EXPECT_EQ(result.exit.flags, kMemoryFaultPrivate);
  host.run(convert(0, k2M, true));
  PageFault wants_shared{.gfn = {1}};
  result = handle_fault(host.k(), vcpu, wants_shared);
  EXPECT_EQ(result.check, Check::kFaultMismatch);
  EXPECT_EQ(result.exit.flags, 0U);
  PageFault nowhere{.gfn = {4096}};
  result = handle_fault(host.k(), vcpu, nowhere);
  EXPECT_EQ(result.status, FaultStatus::kEmulate);
  EXPECT_EQ(result.exit.reason, kExitMmio);
}

TEST(Fault, WriteToReadOnlySlotIsMmio) {
  Host host;
  host.run(CreateVm{});
  host.run(CreateVcpu{});
  host.run(SetMemoryRegion{.flags = {kMemReadonly}, .size = {k2M}});
  EXPECT_TRUE(host.run(pre_fault(0, kPageBytes)).ok());
  EXPECT_FALSE(host.leaf(0).writable);
  PageFault write{.gfn = {0}, .write = true, .present = true};
  EXPECT_EQ(handle_fault(host.k(), host.k().vcpus[0], write).check, Check::kFaultReadonly);
}

TEST(HostRegion, AccessesAndUnmapping) {
  Host host;
  EXPECT_TRUE(host.run(HostAccess{.kind = AccessKind::kWrite, .value = {9}}).ok());
  EXPECT_EQ(host.run(HostAccess{}).value, 9U);
  EXPECT_EQ(host.run(HostAccess{.hva = {.value = kPageBytes}}).value, 0U);
  EXPECT_EQ(host.run(HostAccess{.hva = {.value = 0, .raw = true}}).check,
            Check::kSkipOutsideHostRegion);
  EXPECT_EQ(host.run(HostUnmap{.hva = {.value = 1}}).check, Check::kHostUnmapRange);
  EXPECT_EQ(host.run(HostUnmap{.size = {0}}).check, Check::kHostUnmapRange);
  EXPECT_TRUE(host.run(HostUnmap{.size = {1}}).ok());  // munmap rounds the length up
  EXPECT_EQ(host.run(HostAccess{}).check, Check::kHostAccessUnmapped);
  EXPECT_EQ(host.run(HostAccess{.hva = {.value = kPageBytes}}).check, Check::kOk);
}

}  // namespace
}  // namespace sluice::model
