// What KVM does otherwise than mainline, by policy: each value does what policy.h says of it. What
// comes of it is the oracle's to say, and corpora/alternatives shows it.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/host/kernel.h"
#include "model/host/snp_rmp.h"
#include "model/host/tdp_mmu.h"
#include "testing/sequence_fixture.h"

namespace sluice::model {
namespace {

constexpr const char* kPlain = "create_vm\nset_memory_region size=64K\ncreate_vcpu\n";
constexpr Pfn kFrame{2049};

class Alternatives : public testing::SequenceFixture {
 protected:
  void run(const std::string& policy, const std::string& text) {
    testing::SequenceFixture::run("# policy: " + policy + "\n" + text);
  }
  bool assign(Pfn pfn) {
    return rmp_make_private(k(), {.pfn = pfn, .asid = {1}}) == HostError::kNone;
  }
  bool share(Pfn pfn) { return rmp_make_shared(k(), pfn, PageSize::k4K) == HostError::kNone; }
  /// The root that maps the GFN, by its kind; "" if none does.
  std::string mapped_in(Gfn gfn) {
    std::string kinds;
    const Vm& vm = k().vms[0];
    for (std::uint8_t i = 0; i < kMaxRootsPerVm; ++i) {
      const Root& root = vm.roots[i];
      if (!root.used || !lookup_leaf(k(), vm, i, gfn).present) continue;
      kinds += root.smm ? "smm " : root.guest_mode ? "guest_mode " : "base ";
    }
    return kinds;
  }
};

TEST_F(Alternatives, ASleepingLockIsTheEndOfWhoHasToWaitForIt) {
  constexpr const char* kVm =
      "create_vm type=sw_protected\ncreate_guest_memfd size=64K\n"
      "set_memory_region flags=guest_memfd size=64K gmem=0\n";
  constexpr const char* kConversion =
      "@vmm1 set_memory_attributes address=4K attributes=private park=1";
  for (const char* const lock : {"spin", "sleep"}) {
    run(std::string("backing=fd_in_place,host_fault=mapped_set,mapped_set_lock=") + lock, kVm);
    EXPECT_EQ(answer("kernel_write"), "ok") << lock;
    EXPECT_FALSE(k().snp.host_dead) << "nobody has the lock: " << lock;
    EXPECT_EQ(answer(kConversion), "parked");
    answer("kernel_write");
    EXPECT_EQ(k().snp.host_dead, std::string_view(lock) == "sleep");
  }
  run("backing=fd_in_place,host_fault=mapped_set,mapped_set_lock=sleep",
      std::string(kVm) + kConversion + "\nresume vmm1\n");
  answer("kernel_write");
  EXPECT_FALSE(k().snp.host_dead) << "the conversion has let go of the lock";
}

TEST_F(Alternatives, DirectMapIsLeftAlone) {
  for (const char* const policy : {"direct_map=leave", "direct_map=leave_kmap"}) {
    run(policy, "create_vm\n");
    ASSERT_TRUE(assign(kFrame));
    EXPECT_EQ(k().snp.direct_map.level(kFrame), MapLevel::k1G) << policy;
    EXPECT_EQ(k().snp.direct_map.split_count(), 0u) << policy;
  }
}

TEST_F(Alternatives, AStoreBesideAnAssignedFrameNeedsASplit) {
  const Pfn beside = kFrame + PageCount{1};
  run("direct_map=leave", "create_vm\n");
  ASSERT_TRUE(assign(kFrame));
  EXPECT_FALSE(store_to_guest_page(k(), beside, 1));
  run("direct_map=leave_kmap", "create_vm\n");
  ASSERT_TRUE(assign(kFrame));
  EXPECT_TRUE(store_to_guest_page(k(), beside, 1));
  EXPECT_EQ(k().machine.frames.content(beside), 1u);
  EXPECT_FALSE(store_to_guest_page(k(), kFrame, 1));
  run("direct_map=leave_kmap", "create_vm\n");
  ASSERT_TRUE(assign(kFrame));
  EXPECT_FALSE(host_kernel_store(k(), beside, 1)) << "what is no guest's goes by the direct map";
  run("direct_map=split", "create_vm\n");
  ASSERT_TRUE(assign(kFrame));
  EXPECT_TRUE(host_kernel_store(k(), beside, 1));
}

TEST_F(Alternatives, AFrameIsUnmappedWhileItIsAssigned) {
  for (const char* const policy : {"direct_map=unmap", "direct_map=unmap_noflush"}) {
    run(policy, "create_vm\n");
    const DirectMap& map = k().snp.direct_map;
    ASSERT_TRUE(assign(kFrame));
    EXPECT_TRUE(map.is_absent(kFrame)) << policy;
    EXPECT_FALSE(map.is_absent(kFrame + PageCount{1})) << policy;
    ASSERT_TRUE(share(kFrame));
    EXPECT_FALSE(map.is_absent(kFrame)) << policy;
    EXPECT_TRUE(host_kernel_store(k(), kFrame, 1)) << policy;
  }
  run("direct_map=split", "create_vm\n");
  ASSERT_TRUE(assign(kFrame));
  EXPECT_FALSE(k().snp.direct_map.is_absent(kFrame));
}

TEST_F(Alternatives, OnlyNoflushKeepsWhatTheProcessorHasCachedOfTheDirectMap) {
  const Pfn other{4099};
  const auto keeps = [&](const char* policy) {
    run(policy, "create_vm\n");
    EXPECT_TRUE(assign(kFrame));  // the split of its piece flushes
    EXPECT_TRUE(host_kernel_store(k(), other, 1));
    EXPECT_TRUE(assign(kFrame + PageCount{1}));
    return k().machine.tlbs.direct_map.holds(other.value, MapLevel::k2M);
  };
  EXPECT_TRUE(keeps("direct_map=unmap_noflush"));
  EXPECT_FALSE(keeps("direct_map=unmap"));
}

TEST_F(Alternatives, APreFaultInSmmMapsWhatItsModeSays) {
  const auto maps = [this](const std::string& mode) {
    run("premap_mode=" + mode,
        std::string(kPlain) + "set_memory_region slot=0x10000 hva=2M size=64K\nenter_smm\n");
    const std::string said = answer("pre_fault_memory");
    EXPECT_TRUE(k().vcpus[0].smm) << mode;
    return said.starts_with("ok") ? mapped_in({0}) : said;
  };
  EXPECT_EQ(maps("linux_6_12"), "smm ");
  EXPECT_EQ(maps("mmu_property"), "smm ");
  EXPECT_EQ(maps("unchecked"), "smm ");
  for (const char* const mode : {"switch_mmu", "switch_state", "no_vcpu"})
    EXPECT_EQ(maps(mode), "base ") << mode;
  EXPECT_NE(maps("reject").find("pre_fault_memory.mode"), std::string::npos);
}

TEST_F(Alternatives, OnlyAnUncheckedPreFaultTakesL2sAddressForL1s) {
  const auto maps = [this](const std::string& mode) {
    run("premap_mode=" + mode, std::string(kPlain) + "enter_guest_mode paging=nested\n");
    const std::string said = answer("pre_fault_memory");
    EXPECT_EQ(k().vcpus[0].guest_mode, GuestMode::kNested) << mode;
    return said.starts_with("ok") ? mapped_in({0}) : said;
  };
  EXPECT_NE(maps("linux_6_12").find("not_tdp"), std::string::npos);
  EXPECT_NE(maps("mmu_property").find("not_tdp"), std::string::npos);
  EXPECT_EQ(maps("switch_mmu"), "base ");
  EXPECT_EQ(maps("no_vcpu"), "base ");
  EXPECT_EQ(maps("unchecked"), "base ");
}

TEST_F(Alternatives, SwitchingTheMmuForgetsTheRootsAndNoVcpuKeepsThem) {
  const auto root_after = [this](const std::string& mode) {
    run("premap_mode=" + mode, std::string(kPlain) +
                                   "set_memory_region slot=0x10000 hva=2M size=64K\nenter_smm\n"
                                   "guest_access\npre_fault_memory\n");
    return k().vcpus[0].root;
  };
  EXPECT_EQ(root_after("switch_mmu"), kNoRootIndex);
  EXPECT_NE(root_after("no_vcpu"), kNoRootIndex);
}

TEST_F(Alternatives, AnAdvisoryPreFaultLeavesOutWhatItWouldHaveToTryAgain) {
  constexpr const char* kProtected =
      "create_vm type=sw_protected\nset_memory_region size=64K\ncreate_vcpu\n";
  // The page is faulted anew under the pre-fault, which has looked it up already.
  const auto maps = [this](const std::string& abi, const std::string& vm) {
    run("premap_abi=" + abi, vm + "host_access\npre_fault_memory park=3\nnuma_balancing\n");
    EXPECT_TRUE(answer("resume vcpu0").starts_with("ok")) << abi;
    return mapped_in({0});
  };
  EXPECT_EQ(maps("guaranteed", kPlain), "base ");
  EXPECT_EQ(maps("advisory", kPlain), "");
  EXPECT_EQ(maps("by_vm_type", kPlain), "");
  EXPECT_EQ(maps("by_vm_type", kProtected), "base ");
}

TEST_F(Alternatives, AMismatchThatKvmConvertsIsNoLoop) {
  run("npf_mismatch=auto_convert",
      "create_vm type=sw_protected\ncreate_vcpu\ncreate_guest_memfd size=64K\n"
      "set_memory_region flags=guest_memfd size=64K gmem=0\n");
  EXPECT_EQ(answer("guest_access"), "ok(value=0x0)");
  EXPECT_FALSE(k().vms[0].dead);
}

}  // namespace
}  // namespace sluice::model
