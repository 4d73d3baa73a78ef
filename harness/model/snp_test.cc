// The SNP side of the host and its guests, in the words of snp_host.md: helpers around the RMP,
// gmem hooks, launch, the decision table of faults, conversion.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/host/guest_memfd.h"
#include "model/host/kernel.h"
#include "model/host/launch.h"
#include "model/host/snp_rmp.h"
#include "model/schedule/scheduler.h"
#include "testing/sequence_fixture.h"

namespace sluice::model {
namespace {

constexpr const char* kLaunched =
    "create_vm type=snp\nsev_init2\nlaunch_start\ncreate_vcpu\nlaunch_finish\n"
    "create_guest_memfd size=4M\nset_memory_region flags=guest_memfd size=4M gmem=0\n"
    "set_memory_attributes size=4M attributes=private\n";
constexpr const char* kAhead = "# policy: gmem_order=2M\n";  // ahead of mainline
constexpr Pfn kContextFrame{512}, kVmsaFrame{513};

class Snp : public testing::SequenceFixture {
 protected:
  /// The answer of the last step is kept.
  void run(const std::string& text) {
    const std::vector<Outcome> answers = testing::SequenceFixture::run(text);
    ASSERT_FALSE(answers.empty());
    last_ = answers.back();
  }
  Machine& machine() { return k().machine; }
  std::uint64_t count(EventKind kind) {
    const auto events = machine().events.events();
    return static_cast<std::uint64_t>(std::ranges::count(events, kind, &Event::kind));
  }

  Outcome last_{};
};

// ---- snp_host.md 1 ----

TEST_F(Snp, LookupAnswersByOwnSlotAndHead) {
  run(kLaunched);
  ASSERT_EQ(rmp_make_private(k(), {.pfn = {2048}, .level = PageSize::k2M, .asid = {1}}),
            HostError::kNone);
  const RmpLookup inner = snp_lookup_rmpentry(k(), {2049});
  EXPECT_TRUE(inner.assigned);
  EXPECT_EQ(inner.level, PageSize::k2M);
  EXPECT_FALSE(snp_lookup_rmpentry(k(), {4096}).assigned);
  EXPECT_EQ(snp_lookup_rmpentry(k(), {machine().rmp.frame_count()}).error, HostError::kFault);
  machine().profile.snp = false;
  EXPECT_EQ(snp_lookup_rmpentry(k(), {2048}).error, HostError::kNoDevice);
  EXPECT_EQ(rmp_make_shared(k(), {2048}, PageSize::k2M), HostError::kNoDevice);
}

TEST_F(Snp, DirectMapIsSplitOnceAndNeverMerged) {
  run("create_vm");
  const DirectMap& map = k().snp.direct_map;
  EXPECT_EQ(adjust_direct_map(k(), {2048}, PageSize::k2M), HostError::kNone);
  EXPECT_EQ(map.split_count(), 0u);
  EXPECT_EQ(adjust_direct_map(k(), {2049}, PageSize::k2M), HostError::kInvalid);
  EXPECT_EQ(adjust_direct_map(k(), {machine().rmp.frame_count()}, PageSize::k4K),
            HostError::kInvalid);
  EXPECT_EQ(rmp_make_private(k(), {.pfn = {2049}, .asid = {1}}), HostError::kNone);
  EXPECT_EQ(rmp_make_private(k(), {.pfn = {2050}, .asid = {1}}), HostError::kNone);
  EXPECT_EQ(map.split_count(), 2u);  // a page of 1 GiB, then one of 2 MiB
  EXPECT_EQ(count(EventKind::kDirectMapSplit), 1u);
  EXPECT_EQ(rmp_make_shared(k(), {2049}, PageSize::k4K), HostError::kNone);
  EXPECT_EQ(map.level({2560 - 1}), MapLevel::k4K);
  EXPECT_EQ(map.level({2560}), MapLevel::k2M);
  EXPECT_EQ(map.level({kFramesPer1G - 1}), MapLevel::k2M);
  EXPECT_EQ(map.level({kFramesPer1G}), MapLevel::k1G);
  EXPECT_EQ(rmp_make_private(k(), {.pfn = {4097}, .asid = {1}}), HostError::kNone);
  EXPECT_EQ(map.split_count(), 3u);
}

TEST_F(Snp, OverlapIsALivelockKnownUpstream) {
  run("create_vm");
  ASSERT_EQ(rmp_make_private(k(), {.pfn = {2049}, .asid = {1}}), HostError::kNone);
  EXPECT_FALSE(k().scheduler.liveness().livelock);
  EXPECT_EQ(rmp_make_private(k(), {.pfn = {2048}, .level = PageSize::k2M, .asid = {1}}),
            HostError::kFault);
  EXPECT_TRUE(k().scheduler.liveness().livelock);
  EXPECT_TRUE(model_.view().progress().known_upstream);
}

TEST_F(Snp, InUseIsNotRetriedByRmpUpdate) {
  run(kLaunched);
  machine().rmp.mark_in_use(machine().journal, kVmsaFrame);
  EXPECT_EQ(rmp_make_shared(k(), kVmsaFrame, PageSize::k4K), HostError::kFault);
  EXPECT_FALSE(k().scheduler.liveness().livelock);
}

TEST_F(Snp, APageIsLeakedOnce) {
  run(kLaunched);
  ASSERT_EQ(
      rmp_make_private(k(), {.pfn = kVmsaFrame, .gpa = kVmsaGpa, .asid = {1}, .immutable = true}),
      HostError::kNone);
  EXPECT_FALSE(kvm_rmp_make_shared(k(), k().vms[0], kVmsaFrame, PageSize::k4K));
  EXPECT_FALSE(kvm_rmp_make_shared(k(), k().vms[0], kVmsaFrame, PageSize::k4K));
  EXPECT_EQ(k().snp.leaked_page_count, 1u);
  EXPECT_EQ(machine().frames.owner(kVmsaFrame).use, FrameUse::kLeaked);
  EXPECT_EQ(answer("@vcpu0 guest_access"), "EIO [vm.dead]");
}

TEST_F(Snp, PrepareFailsWhereTheEntryIsHeld) {
  run(kLaunched);
  // The frame that the next allocation gets; the processor holds its entry, so RMPUPDATE answers
  // FAIL_INUSE, which is not retried.
  const Pfn next = *machine().frames.allocate(machine().journal,
                                              {.use = FrameUse::kHostUser, .gmem = {}, .index = 0});
  machine().frames.release(machine().journal, next);
  machine().rmp.mark_in_use(machine().journal, next);
  EXPECT_NE(answer("@vcpu0 guest_access gfn=1 c_bit=1").find("[fault.prepare_assign]"),
            std::string::npos);
  EXPECT_FALSE(machine().rmp.own(next).assigned());
}

TEST_F(Snp, KernelStoreToAnAssignedFrameIsTheEndOfTheHost) {
  run(kLaunched);
  EXPECT_TRUE(host_kernel_store(k(), {4096}, 7));
  EXPECT_EQ(machine().frames.content({4096}), 7u);
  EXPECT_FALSE(host_kernel_store(k(), kVmsaFrame, 7));
  EXPECT_EQ(answer("@vcpu0 guest_access"), "skip.host_dead");
}

// ---- snp_host.md 3 ----

TEST_F(Snp, AHoleOfAWholeLargeEntryIsOneUpdate) {
  run(std::string(kAhead) + kLaunched + "@vcpu0 pvalidate gfn=0 page_size=2M\n");
  ASSERT_TRUE(last_.ok());
  EXPECT_EQ(answer("gmem_punch_hole size=2M"), "ok");
  EXPECT_EQ(count(EventKind::kPsmash), 0u);
  EXPECT_EQ(count(EventKind::kRmpUpdate), 1u);
  EXPECT_EQ(count(EventKind::kCacheFlush), 1u);
  EXPECT_EQ(count(EventKind::kArchInvalidate), kFramesPer2M);
}

TEST_F(Snp, AHoleInALargeEntrySplitsIt) {
  run(std::string(kAhead) + kLaunched + "@vcpu0 pvalidate gfn=0 page_size=2M\n");
  EXPECT_EQ(answer("gmem_punch_hole offset=4K size=8K"), "ok");
  EXPECT_EQ(count(EventKind::kPsmash), 1u);
  EXPECT_EQ(count(EventKind::kRmpUpdate), 2u);
  EXPECT_EQ(count(EventKind::kCacheFlush), 2u);
}

TEST_F(Snp, AFailedUpdateIsNotFlushedAndFreedAllTheSame) {  // bugs.md 63
  run(std::string("# scope: machine\n") + kLaunched + "@vcpu0 guest_access c_bit=1\n");
  EXPECT_EQ(answer("rmpupdate spa=0x202000 assigned=1 immutable=1 asid=1"), "ok");
  EXPECT_EQ(answer("gmem_punch_hole"), "ok");
  EXPECT_EQ(count(EventKind::kCacheFlush), 0u);
  EXPECT_EQ(machine().frames.owner({514}).use, FrameUse::kFree);
  EXPECT_TRUE(machine().rmp.own({514}).assigned());
}

// ---- snp_host.md 4: the decision table ----

struct DecisionRow {
  const char* what;
  const char* setup;  // after the launch
  const char* access;
  const char* answer;
};
class Decision : public Snp, public ::testing::WithParamInterface<DecisionRow> {};

TEST_P(Decision, IsAsTheTableSays) {
  run(std::string(kAhead) + kLaunched + GetParam().setup);
  EXPECT_EQ(answer(GetParam().access), GetParam().answer) << GetParam().what;
}

constexpr const char* kValid = "@vcpu0 pvalidate gfn=1\n";
const DecisionRow kDecisions[] = {
    {"C=1, shared", "set_memory_attributes size=2M\n", "@vcpu0 guest_access gfn=1 c_bit=1",
     "memory_fault(private, gpa=0x1000) [fault.mismatch]"},
    {"C=0, private, not present", "", "@vcpu0 guest_access gfn=1",
     "memory_fault(shared, gpa=0x1000) [fault.mismatch]"},
    {"C=0 write, private, present", kValid, "@vcpu0 guest_access gfn=1 kind=write",
     "memory_fault(shared, gpa=0x1000) [fault.mismatch]"},
    {"C=1, absent page", "", "@vcpu0 guest_access gfn=1 c_bit=1",
     "exception 29 [guest.not_validated]"},
    {"C=1, guest-invalid", "@vcpu0 guest_access gfn=1 c_bit=1\n",
     "@vcpu0 guest_access gfn=1 kind=write c_bit=1", "exception 29 [guest.not_validated]"},
    {"C=1, guest-valid", kValid, "@vcpu0 guest_access gfn=1 kind=write c_bit=1", "ok"},
    {"PVALIDATE 4K, RMP 2M", "@vcpu0 guest_access gfn=1 c_bit=1\n", "@vcpu0 pvalidate gfn=1", "ok"},
    {"PVALIDATE 2M, RMP 4K", kValid, "@vcpu0 pvalidate gfn=0 page_size=2M",
     "code 6 [pvalidate.size_mismatch]"},
    {"C=1, leaf 4K, RMP 2M", "@vcpu0 pvalidate gfn=0 page_size=2M\nset_memory_attributes size=4K\n",
     "@vcpu0 guest_access gfn=1 kind=write c_bit=1", "ok"},
};
INSTANTIATE_TEST_SUITE_P(Table, Decision, ::testing::ValuesIn(kDecisions));

TEST_F(Snp, AReadWithoutCBitSeesOtherBytes) {
  run(std::string(kLaunched) + kValid + "@vcpu0 guest_access gfn=1 kind=write c_bit=1 value=5\n" +
      "@vcpu0 guest_access gfn=1\n");
  ASSERT_TRUE(last_.ok());
  EXPECT_NE(last_.value, 5u);
  EXPECT_NE(last_.value, 0u);
}

TEST_F(Snp, AFreshPageReadsAsGarbageUntilItIsWritten) {
  run(std::string(kLaunched) + kValid + "@vcpu0 guest_access gfn=1 c_bit=1\n");
  ASSERT_TRUE(last_.ok());
  EXPECT_NE(last_.value, 0u);  // zeroed by the host, without the guest's key
  run(std::string(kLaunched) + kValid + "@vcpu0 guest_access gfn=1 kind=write c_bit=1 value=5\n");
  EXPECT_EQ(answer("@vcpu0 guest_access gfn=1 c_bit=1"), "ok(value=0x5)");
  EXPECT_EQ(answer("@vcpu0 guest_access gfn=1 kind=fetch"), "ok(value=0x5)");
}

TEST_F(Snp, ALaunchedPageIsEncryptedInPlace) {
  run("host_access kind=write value=7\ncreate_vm type=snp\nsev_init2\nlaunch_start\n"
      "create_guest_memfd size=2M\nset_memory_region flags=guest_memfd size=2M gmem=0\n"
      "set_memory_attributes size=2M attributes=private\nlaunch_update\ncreate_vcpu\n"
      "launch_finish\n");
  ASSERT_TRUE(last_.ok());
  const Pfn page = find_page(k(), k().gmems[0], 0).pfn();
  EXPECT_NE(machine().frames.content(page), 7u);
  EXPECT_EQ(answer("@vcpu0 guest_access c_bit=1"), "ok(value=0x7)");
  EXPECT_EQ(answer("host_access"), "ok(value=0x7)") << "the host's own copy stays as it was";
}

TEST_F(Snp, AGuestWithTheSameAsidHasAnotherKey) {
  run(kLaunched);
  const MemoryKey first = memory_key(k(), k().vms[0]);
  for (int i = 0; i < 3; ++i) {
    for (const char* const line :
         {"destroy_vm", "close_guest_memfd", "create_vm type=snp", "sev_init2", "launch_start"})
      answer(line);
  }
  ASSERT_EQ(k().vms[0].sev.asid.value, 1u);
  EXPECT_TRUE(first.encrypts());
  EXPECT_NE(memory_key(k(), k().vms[0]).value, first.value);
}

TEST_F(Snp, FixUpZapsFromTheFaultingPageUp) {
  run(std::string(kAhead) + kLaunched + "@vcpu0 guest_access gfn=0 c_bit=1\n");
  EXPECT_EQ(answer("@vcpu0 pvalidate gfn=5"), "ok");
  EXPECT_EQ(count(EventKind::kPsmash), 1u);
  EXPECT_EQ(machine().rmp.own({1024 + 5}).gpa().value, 0x5000u);
  EXPECT_TRUE(machine().rmp.own({1024 + 5}).validated());
  EXPECT_FALSE(machine().rmp.own({1024 + 6}).validated());
}

// ---- snp_host.md 7 ----

TEST_F(Snp, LaunchAssignsMeasuredPagesAndVmsasOnly) {
  run("create_vm type=snp\nsev_init2\nlaunch_start\ncreate_guest_memfd size=2M\n"
      "set_memory_region flags=guest_memfd size=2M gmem=0\n"
      "set_memory_attributes size=2M attributes=private\nlaunch_update size=8K\n"
      "create_vcpu\npre_fault_memory gpa=0x4000\nlaunch_finish\n");
  ASSERT_TRUE(last_.ok());
  EXPECT_EQ(k().snp.asid_pages[1], 3u);  // two pages, one VMSA
  const RmpEntry page = machine().rmp.own({513});
  EXPECT_TRUE(page.validated());
  EXPECT_FALSE(page.immutable());
  const RmpEntry vmsa = machine().rmp.own(k().vcpus[0].sev.vmsa);
  EXPECT_TRUE(vmsa.vmsa());
  EXPECT_TRUE(vmsa.validated());
  EXPECT_EQ(vmsa.gpa(), kVmsaGpa);
}

TEST_F(Snp, AsidsAreTakenInOrderAndReusedOnlyWhenNoneIsLeft) {
  model_.reset();
  model_.begin({});
  for (const std::uint32_t expected : {1u, 2u, 3u, 1u, 2u}) {
    ASSERT_EQ(answer("create_vm type=snp"), "ok");
    ASSERT_EQ(answer("sev_init2"), "ok");
    EXPECT_EQ(k().vms[0].sev.asid.value, expected);
    ASSERT_EQ(answer("destroy_vm"), "ok");
  }
}

TEST_F(Snp, DestructionGivesEverythingBack) {
  run(std::string(kLaunched) + kValid + "destroy_vm\nclose_guest_memfd\n");
  EXPECT_EQ(k().snp.asid_pages[1], 0u);
  EXPECT_FALSE(machine().rmp.own(kContextFrame).assigned());
  EXPECT_FALSE(machine().rmp.own(kVmsaFrame).assigned());
  EXPECT_EQ(machine().frames.accounting().by_use[static_cast<std::size_t>(FrameUse::kFree)],
            machine().frames.frame_count());
}

TEST_F(Snp, WithoutSnpTheCommandsAreSkippedAndTheInstructionsUndefined) {
  run("create_vm");
  machine().profile.snp = false;
  machine().header.scope = Scope::kMachine;
  EXPECT_EQ(answer("sev_init2"), "skip.capability (lacks sev_snp)");
  EXPECT_EQ(answer("launch_finish"), "skip.capability (lacks sev_snp)");
  EXPECT_EQ(answer("rmpupdate spa=0x201000"), "exception 6 [rmpupdate.snp_off]");
  EXPECT_EQ(answer("psmash spa=0x200000"), "exception 6 [psmash.snp_off]");
  EXPECT_EQ(answer("rmpread spa=0x200000"), "exception 6 [rmpread.snp_off]");
  EXPECT_EQ(answer("host_store spa=0x200000"), "ok");
}

// ---- kvm.md 8 ----

TEST_F(Snp, ConversionPunchesOnlyWhatBecomesUnreachable) {
  const std::string text = std::string(kLaunched) + "gmem_allocate size=16K\n";
  run(text);
  EXPECT_EQ(answer("@vcpu0 map_gpa_range gpa=0x1000 page_count=2 attributes=0x10"), "ok");
  EXPECT_EQ(k().gmems[0].resident_pages.value, 4u);
  EXPECT_EQ(answer("@vcpu0 map_gpa_range gpa=0x1000 page_count=2"), "ok");
  EXPECT_EQ(k().gmems[0].resident_pages.value, 2u);
  run("# policy: convert_reclaim=keep\n" + text);
  EXPECT_EQ(answer("@vcpu0 map_gpa_range gpa=0x1000 page_count=2"), "ok");
  EXPECT_EQ(k().gmems[0].resident_pages.value, 4u);
}

}  // namespace
}  // namespace sluice::model
