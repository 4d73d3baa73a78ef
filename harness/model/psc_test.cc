// Page state changes by the GHCB: what a request leaves in its buffer, and what KVM keeps of it
// (snp_host.md 5). What is answered is in corpora/regressions/psc_*.ops.
#include <gtest/gtest.h>

#include <vector>

#include "model/host/kernel.h"
#include "model/model_backend.h"
#include "ops/text.h"
#include "trace/outcome_text.h"

namespace sluice::model {
namespace {

constexpr const char* kLaunched =
    "create_vm type=snp\nsev_init2\nlaunch_start\ncreate_vcpu\ncreate_vcpu vcpu=1\nlaunch_finish\n"
    "create_guest_memfd size=4M\nset_memory_region flags=guest_memfd size=4M gmem=0\n"
    "set_memory_attributes size=4M attributes=private\n";

class Psc : public testing::Test {
 protected:
  Psc() : model_(*ModelBackend::open(default_profile(kDefaultKernel))) {}

  Outcome run(const std::string& text, const std::string& header = {}) {
    model_.reset();
    const auto sequence = parse_text(header + kLaunched + text, "test");
    EXPECT_TRUE(sequence.has_value()) << sequence.error().message();
    model_.begin(sequence->header);
    Outcome last{};
    for (const Step& step : sequence->steps) last = model_.apply(step);
    return last;
  }
  Outcome then(const std::string& line) {
    const auto sequence = parse_text(line + "\n", "test");
    EXPECT_TRUE(sequence.has_value()) << sequence.error().message();
    return model_.apply(sequence->steps[0]);
  }
  PscView psc() { return model_.view().psc({0}); }
  std::vector<unsigned> pages_done() {
    std::vector<unsigned> done;
    for (const std::uint64_t entry : psc().entries) done.push_back(PscEntry{entry}.cur_page());
    return done;
  }
  using Done = std::vector<unsigned>;

  ModelBackend model_;
};

TEST_F(Psc, EveryEntryIsMarkedInItsOwnSize) {
  EXPECT_TRUE(run("@vcpu0 psc end_entry=3 entry0=shared:0x0:2M entry1=shared:0x200:2M "
                  "entry2=private:0x201 entry3=unsmash:0x202")
                  .ok());
  EXPECT_EQ(pages_done(), (Done{512, 512, 1, 1}));
  EXPECT_EQ(psc().header.cur_entry(), 4u);
  EXPECT_EQ(psc().header.end_entry(), 3u);
  EXPECT_EQ(psc().touched, 4u);
  const auto exits = psc().exits;
  ASSERT_EQ(exits.size(), 2u);
  EXPECT_EQ(exits[0], (PscExit{.first = {0}, .count = 1024, .to_private = false, .granted = true}));
  EXPECT_EQ(exits[1], (PscExit{.first = {0x201}, .count = 1, .to_private = true, .granted = true}));
}

TEST_F(Psc, ExitNamesTheSizeOfItsFirstEntry) {
  const Outcome whole = run("@vcpu0 psc entry0=private:0x200:2M");
  EXPECT_EQ(whole.exit,
            (ExitInfo{.reason = kExitHypercall, .gpa = 0x200000, .size = 512, .attributes = 0x11}));
  // The rest of a block still says 2 MiB (snp_host.md 5.3, details).
  const Outcome rest = run("@vcpu0 psc entry0=shared:0x200:2M+500");
  EXPECT_EQ(rest.exit,
            (ExitInfo{.reason = kExitHypercall, .gpa = 0x3f4000, .size = 12, .attributes = 1}));
  EXPECT_EQ(pages_done()[0], 512u);
}

TEST_F(Psc, FailureLeavesTheBatchWhereItBegan) {
  const Outcome out = run("@vcpu0 psc end_entry=2 entry0=0:0x9 entry1=shared:0x1 entry2=shared:0x2",
                          "# policy: vmm=refuse\n");
  EXPECT_EQ(out.check, Check::kPscVmmFailed);
  EXPECT_EQ(pages_done(), (Done{1, 0, 0, 0}));
  EXPECT_EQ(psc().header.cur_entry(), 1u);
  EXPECT_EQ(psc().batch_size, 0u);
  EXPECT_FALSE(psc().exit_pending);
  ASSERT_EQ(psc().exits.size(), 1u);
  EXPECT_FALSE(psc().exits[0].granted);
}

TEST_F(Psc, PartlyDoneBlockTakesInAPageThatDoesNotFollow) {
  EXPECT_TRUE(run("@vcpu0 psc end_entry=1 entry0=shared:0x200:2M+300 entry1=shared:0x2d4").ok());
  ASSERT_EQ(psc().exits.size(), 1u);
  EXPECT_EQ(psc().exits[0].first, Gfn{0x32c});
  EXPECT_EQ(psc().exits[0].count, 213u);
  EXPECT_EQ(pages_done(), (Done{512, 1, 0, 0}));
}

TEST_F(Psc, BatchIsUnderWayWhileUserSpaceHasItsExit) {
  EXPECT_EQ(run("@vcpu0 psc end_entry=1 entry0=shared:0x1 entry1=shared:0x2 park=1").progression,
            Progression::kParked);
  EXPECT_TRUE(psc().open);
  EXPECT_TRUE(psc().began_in_step);
  EXPECT_EQ(psc().batch_size, 0u);
  EXPECT_EQ(then("resume vcpu0 park=1").progression, Progression::kParked);
  EXPECT_TRUE(psc().exit_pending);
  EXPECT_FALSE(psc().began_in_step);
  EXPECT_EQ(psc().batch_size, 2u);
  EXPECT_EQ(psc().header.cur_entry(), 0u);
  EXPECT_TRUE(then("resume vcpu0").ok());
  EXPECT_FALSE(psc().open);
  EXPECT_EQ(psc().header_before.cur_entry(), 0u);
  EXPECT_EQ(psc().header.cur_entry(), 2u);
}

TEST_F(Psc, ResetForgetsBufferAndRecords) {
  model_.reset();
  const auto nothing = parse_text(kLaunched, "test");
  model_.begin(nothing->header);
  for (const Step& step : nothing->steps) model_.apply(step);
  const std::uint64_t before = model_.state_hash();
  run("@vcpu0 psc end_entry=252 entry0=shared:0x1 park=2");
  EXPECT_NE(model_.state_hash(), before);
  run("");
  EXPECT_EQ(model_.state_hash(), before);
  EXPECT_FALSE(psc().started);
}

TEST_F(Psc, NewVcpuOfTheSameNumberKnowsNothingOfTheOldOne) {
  run("@vcpu0 psc end_entry=1 entry0=shared:0x1 entry1=private:0x2 park=2\ndestroy_vm\n"
      "close_guest_memfd");
  for (const char* line :
       {"create_vm type=snp", "sev_init2", "launch_start", "create_vcpu", "launch_finish"}) {
    EXPECT_TRUE(then(line).ok()) << line;
  }
  EXPECT_FALSE(psc().started);
  EXPECT_TRUE(then("resume vcpu0").skipped());
  EXPECT_FALSE(psc().started);
}

}  // namespace
}  // namespace sluice::model
