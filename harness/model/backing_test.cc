// Where private memory lives, and what is freed of it (policies backing=vma_gup, convert_reclaim):
// each value does what policy.h says of it.
#include <gtest/gtest.h>

#include "model/host/kernel.h"
#include "model/host/snp_rmp.h"
#include "testing/sequence_fixture.h"

namespace sluice::model {
namespace {

constexpr const char* kSnp =
    "create_vm type=snp\nsev_init2\ncreate_guest_memfd size=64K\n"
    "set_memory_region flags=guest_memfd size=64K gmem=0\ncreate_vcpu\nlaunch_start\n"
    "launch_finish\n";

class BackingTest : public testing::SequenceFixture {
 protected:
  BackingTest() : testing::SequenceFixture({6, 18}) {}

  void run(const std::string& header, const std::string& text) {
    testing::SequenceFixture::run(header + "\n" + text);
  }
  const HostPage& page(std::uint64_t index) { return k().host_pages[index]; }
  bool is_guests(std::uint64_t index) {
    return page(index).present() && is_assigned(k(), page(index).pfn());
  }
};

class Reclaim : public BackingTest {
 protected:
  /// Three private pages of the file, of which the second is converted to shared and back.
  struct Left {
    std::uint64_t file_pages = 0;  // after the conversion to shared
    bool shared_page = false;      // after the one back
  };
  Left left_by(const std::string& reclaim) {
    run("# policy: convert_reclaim=" + reclaim,
        std::string(kSnp) + "gmem_allocate size=12K\nhost_access hva=4K kind=write value=9\n");
    EXPECT_EQ(answer("map_gpa_range gpa=0x1000"), "ok") << reclaim;
    Left left{.file_pages = k().gmems[0].resident_pages.value};
    EXPECT_EQ(answer("map_gpa_range gpa=0x1000 attributes=0x10"), "ok") << reclaim;
    left.shared_page = page(1).present();
    return left;
  }
};

TEST_F(Reclaim, FreesOneCopyTheOtherOrNone) {
  EXPECT_EQ(left_by("punch_hole").file_pages, 2u);
  EXPECT_TRUE(left_by("punch_hole").shared_page);
  EXPECT_EQ(left_by("keep").file_pages, 3u);
  EXPECT_TRUE(left_by("keep").shared_page);
  EXPECT_EQ(left_by("punch_shared_only").file_pages, 3u);
  EXPECT_FALSE(left_by("punch_shared_only").shared_page);
  EXPECT_EQ(left_by("unsupported").file_pages, 3u);
  EXPECT_TRUE(left_by("unsupported").shared_page);
}

TEST_F(Reclaim, RandomHolesAreElsewhere) {
  const std::uint64_t elsewhere = page_punched_anywhere(1);
  ASSERT_NE(elsewhere, 1u);
  run("# policy: convert_reclaim=random_holes", std::string(kSnp) + "gmem_allocate size=64K\n");
  EXPECT_EQ(answer("map_gpa_range gpa=0x1000"), "ok");
  EXPECT_EQ(k().gmems[0].resident_pages.value, 14u);  // the copy, and another page
  EXPECT_EQ(answer("map_gpa_range gpa=0x1000 attributes=0x10"), "ok");
  EXPECT_EQ(k().gmems[0].resident_pages.value, 14u) << "the same page again";
}

class Pinned : public BackingTest {
 protected:
  static constexpr const char* kPolicy = "# policy: backing=vma_gup,host_fault=folio_ref";
  /// GFN 0 is private and the guest has written it.
  void private_page(const std::string& more = {}) {
    run(kPolicy, std::string(kSnp) + "set_memory_attributes size=64K attributes=private\n" + more);
    EXPECT_EQ(answer("guest_access c_bit=1"), "exception 29 [guest.not_validated]");
    EXPECT_EQ(answer("pvalidate"), "ok");
    EXPECT_EQ(answer("guest_access c_bit=1 kind=write value=5"), "ok");
  }
};

TEST_F(Pinned, APrivatePageIsUserSpacesOwn) {
  private_page();
  EXPECT_TRUE(is_guests(0));
  EXPECT_FALSE(is_guests(1));
  EXPECT_EQ(k().gmems[0].resident_pages.value, 0u) << "the file is not used";
  EXPECT_EQ(answer("host_access kind=write value=1").find("ok"), std::string::npos);
  EXPECT_EQ(answer("guest_access c_bit=1"), "ok(value=0x5)");
}

TEST_F(Pinned, AConversionTakesItBack) {
  private_page();
  EXPECT_EQ(answer("map_gpa_range gpa=0"), "ok");
  EXPECT_FALSE(is_guests(0));
  EXPECT_EQ(answer("host_access kind=write value=1"), "ok");
  EXPECT_EQ(answer("guest_access"), "ok(value=0x1)");
}

TEST_F(Pinned, WhoUnmapsOrDiscardsItLosesItAndNobodyElseGetsIt) {
  for (const char* const op : {"host_unmap", "host_dontneed", "host_memory_failure"}) {
    private_page();
    const Pfn pfn = page(0).pfn();
    EXPECT_EQ(answer(op), "ok");
    EXPECT_FALSE(is_assigned(k(), pfn)) << op;
    EXPECT_EQ(answer("guest_access c_bit=1").find("ok"), std::string::npos) << op;
  }
}

TEST_F(Pinned, NumaBalancingZapsAndTheSamePageComesBack) {
  private_page();
  const Pfn pfn = page(0).pfn();
  EXPECT_EQ(answer("numa_balancing"), "ok");
  EXPECT_EQ(answer("guest_access c_bit=1"), "ok(value=0x5)");
  EXPECT_EQ(page(0).pfn(), pfn);
}

TEST_F(Pinned, ItGoesWithTheVmAndNotWithTheSlot) {
  private_page();
  EXPECT_EQ(answer("set_memory_region size=0"), "ok");
  EXPECT_TRUE(is_guests(0));
  EXPECT_EQ(answer("close_guest_memfd"), "ok");
  EXPECT_EQ(answer("destroy_vm"), "ok");
  EXPECT_FALSE(is_guests(0));
}

TEST_F(Pinned, NobodyElseHasItMeanwhile) {
  private_page(
      "create_vm vm=1\nset_memory_region vm=1 size=64K hva=64K\ncreate_vcpu vcpu=1 vm=1\n");
  EXPECT_EQ(answer("set_memory_region vm=1 slot=1 gpa=1M size=64K"), "ok");
  EXPECT_NE(answer("@vcpu1 guest_access gfn=0x100").find("fault.prepare_assign"),
            std::string::npos);
  EXPECT_EQ(answer("@vcpu1 guest_access"), "ok(value=0x0)");
  EXPECT_NE(answer("guest_access gfn=1 c_bit=1").find("fault.prepare_assign"), std::string::npos)
      << "what another VM shows is not pinned";
}

TEST_F(Pinned, AHugePageIsSplitForAPrivateOne) {
  run("# policy: backing=vma_gup,host_fault=folio_ref,host_order=2M",
      "create_vm type=snp\nsev_init2\nset_memory_region size=4M\ncreate_vcpu\nlaunch_start\n"
      "launch_finish\nhost_access kind=write value=1\n");
  ASSERT_TRUE(page(0).large());
  answer("set_memory_attributes attributes=private");
  answer("guest_access c_bit=1");
  EXPECT_TRUE(is_guests(0));
  EXPECT_FALSE(page(0).large());
  EXPECT_EQ(answer("host_access hva=4K kind=write value=2"), "ok");
}

constexpr const char* kPolicyOfTd =
    "# kernel: 6.18\n# policy: backing=vma_gup,host_fault=folio_ref";
constexpr const char* kTd =
    "create_vm type=tdx\ntdx_init_vm\nset_memory_region size=64K\ncreate_vcpu\n"
    "set_memory_attributes size=64K attributes=private\ntdx_init_vcpu\ntdx_finalize\n";

TEST_F(Pinned, OfATdTheUsersStoreEndsTheHost) {
  run(kPolicyOfTd, kTd);
  EXPECT_EQ(answer("pre_fault_memory"), "ok(gpa=0x1000, left=0x0)");
  EXPECT_EQ(answer("host_access hva=4K kind=write value=1"), "ok");
  EXPECT_FALSE(k().snp.host_dead);
  answer("host_access kind=write value=1");
  EXPECT_TRUE(k().snp.host_dead);
}

TEST_F(Pinned, OfATdAStoreByWhatTheProcessorHasCachedEndsItToo) {
  run(kPolicyOfTd, kTd);
  EXPECT_EQ(answer("host_access kind=write value=1"), "ok");
  EXPECT_EQ(answer("pre_fault_memory"), "ok(gpa=0x1000, left=0x0)");
  answer("host_access kind=write value=2");
  EXPECT_TRUE(k().snp.host_dead);
}

TEST_F(Pinned, ASlotThatBeginsBelowTheRegionIsTakenBackInIt) {
  run(kPolicy, std::string(kSnp) +
                   "set_memory_region slot=1 gpa=1M size=8K hva=raw:0x7efffffff000\n"
                   "set_memory_attributes address=1M size=8K attributes=private\n");
  ASSERT_EQ(answer("set_memory_region size=0"), "ok");  // which shows the page, too
  EXPECT_EQ(answer("guest_access gfn=0x101 c_bit=1"), "exception 29 [guest.not_validated]");
  EXPECT_TRUE(is_guests(0));
  EXPECT_EQ(answer("set_memory_attributes address=1M size=8K"), "ok");
  EXPECT_FALSE(is_guests(0));
}

TEST(UnmapDebug, LeavesTheMapAloneButOnAHostThatIsDebugged) {
  for (const bool debug : {false, true}) {
    HostProfile profile = default_profile(kDefaultKernel);
    profile.debug = debug;
    ModelBackend model = *ModelBackend::open(profile);
    SequenceHeader header{};
    header.policy.direct_map = DirectMapPolicy::kUnmapDebug;
    model.begin(header);
    Kernel& k = model.kernel();
    const Pfn frame{2049};
    ASSERT_EQ(rmp_make_private(k, {.pfn = frame, .asid = {1}}), HostError::kNone);
    EXPECT_EQ(k.snp.direct_map.is_absent(frame), debug);
    EXPECT_EQ(store_to_guest_page(k, frame + PageCount{1}, 1), true);
    EXPECT_EQ(host_kernel_store(k, frame + PageCount{2}, 1), debug);
  }
}

}  // namespace
}  // namespace sluice::model
