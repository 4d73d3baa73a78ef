// How a TD's first pages get there, each way (policy tdx_populate): what is mapped when, what is
// added, and what FINALIZE says. That one_loop mixes up sources is the oracle's to find
// (corpora/alternatives).
#include <gtest/gtest.h>

#include "model/host/kernel.h"
#include "model/host/tdp_mmu.h"
#include "model/machine/encryption.h"
#include "testing/sequence_fixture.h"

namespace sluice::model {
namespace {

constexpr const char* kTd =
    "create_vm type=tdx\ntdx_init_vm\ncreate_guest_memfd size=64K\n"
    "set_memory_region flags=guest_memfd size=64K gmem=0\ncreate_vcpu\ncreate_vcpu vcpu=1\n"
    "set_memory_attributes size=64K attributes=private\ntdx_init_vcpu\n@vcpu1 tdx_init_vcpu\n"
    "host_access hva=16K kind=write value=4\nhost_access hva=20K kind=write value=5\n";

class TdPopulate : public testing::SequenceFixture {
 protected:
  TdPopulate() : testing::SequenceFixture({6, 18}) {}

  void begin(const std::string& policy) {
    for (const Outcome& out : run("# kernel: 6.18\n# policy: tdx_populate=" + policy + "\n" + kTd))
      ASSERT_TRUE(out.ok()) << policy << ": " << describe(out);
  }
  bool is_in_mirror(Gfn gfn) {
    const Vm& vm = k().vms[0];
    return vm.td.mirror != kNoRootIndex && lookup_leaf(k(), vm, vm.td.mirror, gfn).present;
  }
  /// What the TD would read; nothing if it has no page there.
  std::optional<std::uint64_t> content(Gfn gfn) {
    const SeptEntry entry = k().machine.sept.entry({0}, gfn);
    if (!entry.is_mapped()) return std::nullopt;
    const Machine& machine = k().machine;
    return decrypt(machine.frames.content(entry.pfn()), machine.sept.key({0}), entry.pfn());
  }
};

TEST_F(TdPopulate, EveryWayAddsEachPageFromItsSource) {
  for (const char* const way : {"mainline", "one_loop", "one_ioctl_two_loops", "two_pass",
                                "hybrid_6_16", "recorded_source_7_0"}) {
    begin(way);
    if (std::string_view(way) == "two_pass") answer("pre_fault_memory size=8K");
    EXPECT_EQ(answer("tdx_init_mem_region page_count=2 hva=16K"), "ok(gpa=0x2000, left=0x0)")
        << way;
    EXPECT_EQ(content({0}), 4u) << way;
    EXPECT_EQ(content({1}), 5u) << way;
    EXPECT_EQ(k().machine.sept.td({0}).pages_measured, 2u) << way;
    EXPECT_EQ(k().vms[0].td.premapped, 0u) << way;
    EXPECT_EQ(answer("tdx_finalize"), "ok") << way;
  }
}

TEST_F(TdPopulate, NoWayAddsAPageTwice) {
  for (const char* const way :
       {"one_loop", "one_ioctl_two_loops", "two_pass", "hybrid_6_16", "recorded_source_7_0"}) {
    begin(way);
    if (std::string_view(way) == "two_pass") answer("pre_fault_memory");
    answer("tdx_init_mem_region hva=16K");
    const std::string again = answer("tdx_init_mem_region hva=20K");
    EXPECT_NE(again.find("[tdx_init_mem_region."), std::string::npos) << way << ": " << again;
    EXPECT_EQ(content({0}), 4u) << way;
    EXPECT_EQ(k().machine.sept.td({0}).pages_added, 1u) << way;
  }
}

TEST_F(TdPopulate, TwoLoopsMapAllBeforeTheyAddOne) {
  begin("one_ioctl_two_loops");
  answer("host_unmap hva=20K");  // the second page's source
  EXPECT_EQ(answer("tdx_init_mem_region page_count=2 hva=16K"),
            "EFAULT [tdx_init_mem_region.source]");
  EXPECT_TRUE(is_in_mirror({1}));
  EXPECT_EQ(k().vms[0].td.premapped, 1u);
  EXPECT_NE(answer("tdx_finalize").find("tdx_finalize.premapped"), std::string::npos);
  EXPECT_EQ(answer("tdx_init_mem_region gpa=4K hva=16K"), "ok(gpa=0x2000, left=0x0)");
  EXPECT_EQ(answer("tdx_finalize"), "ok");
}

TEST_F(TdPopulate, OneLoopMapsNothingThatItDoesNotAdd) {
  begin("one_loop");
  answer("host_unmap hva=20K");
  answer("tdx_init_mem_region page_count=2 hva=16K");
  EXPECT_TRUE(is_in_mirror({0}));
  EXPECT_FALSE(is_in_mirror({1}));
  EXPECT_EQ(answer("tdx_finalize"), "ok");
}

TEST_F(TdPopulate, OnlyTwoPassPreFaultsBeforeTheTdIsSealed) {
  for (const char* const way : {"mainline", "one_loop", "one_ioctl_two_loops"}) {
    begin(way);
    EXPECT_NE(answer("pre_fault_memory").find("not_allowed"), std::string::npos) << way;
    EXPECT_FALSE(is_in_mirror({0})) << way;
  }
  begin("two_pass");
  EXPECT_EQ(answer("pre_fault_memory"), "ok(gpa=0x1000, left=0x0)");
  EXPECT_TRUE(is_in_mirror({0}));
  EXPECT_FALSE(content({0}).has_value());
  EXPECT_NE(answer("tdx_finalize").find("tdx_finalize.premapped"), std::string::npos);
}

TEST_F(TdPopulate, EveryWayRefusesAPageThatIsNotPrivateAndASignal) {
  for (const char* const way : {"one_loop", "one_ioctl_two_loops"}) {
    begin(way);
    answer("set_memory_attributes address=4K attributes=0");
    EXPECT_EQ(answer("tdx_init_mem_region gpa=4K hva=16K"),
              "EINVAL [tdx_init_mem_region.not_private]")
        << way;
    EXPECT_NE(answer("tdx_init_mem_region gpa=1M").find("tdx_init_mem_region.slot"),
              std::string::npos)
        << way;
    answer("send_signal target=vcpu0");
    EXPECT_NE(answer("tdx_init_mem_region").find("tdx_init_mem_region.signal"), std::string::npos)
        << way;
  }
}

}  // namespace
}  // namespace sluice::model
