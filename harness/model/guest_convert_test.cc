// A guest that changes the state of a range: how it cuts the range into requests, and that it does
// the same whether or not somebody could stop it (snp_host.md 10). What is answered is in
// corpora/regressions/guest_*.ops.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "model/host/kernel.h"
#include "model/model_backend.h"
#include "ops/text.h"
#include "trace/outcome_text.h"

namespace sluice::model {
namespace {

constexpr const char* kLaunched =
    "create_vm type=snp\nsev_init2\nlaunch_start\ncreate_vcpu\ncreate_vcpu vcpu=1\nlaunch_finish\n"
    "create_guest_memfd size=4M\nset_memory_region flags=guest_memfd size=4M gmem=0\n";

class GuestConvert : public testing::Test {
 protected:
  GuestConvert() : model_(*ModelBackend::open(default_profile(kDefaultKernel))) {}

  Outcome run(const std::string& text, const std::string& header = {}) {
    model_.reset();
    const auto sequence = parse_text(header + kLaunched + text, "test");
    EXPECT_TRUE(sequence.has_value()) << sequence.error().message();
    model_.begin(sequence->header);
    answers_.clear();
    Outcome last{};
    for (const Step& step : sequence->steps) {
      last = model_.apply(step);
      answers_.push_back(describe(last));
    }
    return last;
  }
  Outcome then(const std::string& line) {
    const auto sequence = parse_text(line + "\n", "test");
    EXPECT_TRUE(sequence.has_value()) << sequence.error().message();
    return model_.apply(sequence->steps[0]);
  }
  std::uint64_t exits() {
    const auto events = model_.view().events().events();
    return static_cast<std::uint64_t>(
        std::ranges::count(events, EventKind::kExitToUser, &Event::kind));
  }

  ModelBackend model_;
  std::vector<std::string> answers_;
};

TEST_F(GuestConvert, ARequestHasAtMost64Entries) {
  EXPECT_TRUE(run("@vcpu0 guest_convert gfn=0 page_count=130 large=0").ok());
  EXPECT_EQ(exits(), 3u);
  EXPECT_EQ(model_.view().psc({0}).entries.size(), 2u);
  // A block and 63 pages are one request of two batches, then come 25 pages.
  EXPECT_TRUE(run("@vcpu0 guest_convert gfn=0 page_count=600", "# policy: gmem_order=2M\n").ok());
  EXPECT_EQ(exits(), 3u);
  EXPECT_EQ(model_.view().psc({0}).entries.size(), 25u);
  // Not aligned: pages.
  EXPECT_TRUE(run("@vcpu0 guest_convert gfn=0x1f0 page_count=100").ok());
  EXPECT_EQ(exits(), 2u);
}

TEST_F(GuestConvert, EveryPageIsAcceptedAndRescinded) {
  const Kernel& k = model_.kernel();
  const auto validated = [&k] {
    std::uint64_t count = 0;
    for (std::uint64_t pfn = 0; pfn < 4096; ++pfn) count += k.machine.rmp.view({pfn}).validated;
    return count;
  };
  run("");
  const std::uint64_t own = validated();  // VMSAs
  EXPECT_TRUE(then("@vcpu0 guest_convert gfn=0 page_count=700").ok());
  EXPECT_EQ(validated(), own + 700);
  EXPECT_TRUE(then("@vcpu0 guest_convert gfn=100 page_count=600 to_private=0").ok());
  EXPECT_EQ(validated(), own + 100);
}

TEST_F(GuestConvert, CoroutinesDoTheSame) {
  const std::string text =
      "@vcpu0 guest_convert gfn=0 page_count=700\n"
      "@vcpu0 guest_access gfn=3 kind=write c_bit=1 value=5\n"
      "@vcpu0 guest_convert gfn=1 page_count=600 to_private=0\n"
      "@vcpu1 guest_convert gfn=1 page_count=2\n"
      "@vcpu1 guest_access gfn=2 c_bit=1\n"
      "@vcpu1 guest_convert gfn=0x400 page_count=3\n";
  for (const char* policy :
       {"vmm=convert", "vmm=refuse", "vmm=ignore", "vmm=kill", "guest=keeps_validated",
        "guest=rescinds_late", "guest=validates_early", "guest=never_validates",
        "guest=trusts_the_host", "guest=accepts_on_vc", "gmem_order=2M"}) {
    const std::string header = std::string("# policy: ") + policy + "\n";
    model_.always_use_coroutines(false);
    run(text, header);
    const std::uint64_t hash = model_.state_hash();
    const std::vector<std::string> answers = answers_;
    model_.always_use_coroutines(true);
    run(text, header);
    EXPECT_EQ(answers_, answers) << policy;
    EXPECT_EQ(model_.state_hash(), hash) << policy;
    model_.finish();
    EXPECT_EQ(model_.live_frames(), 0u);
  }
}

TEST_F(GuestConvert, TheVmGoesBetweenAnswerAndLook) {
  EXPECT_EQ(run("@vcpu0 guest_convert gfn=1 park=1").progression, Progression::kParked);
  EXPECT_TRUE(then("destroy_vm").ok());
  EXPECT_TRUE(then("close_guest_memfd").ok());
  for (const char* line :
       {"create_vm type=snp", "sev_init2", "launch_start", "create_vcpu", "launch_finish"}) {
    EXPECT_TRUE(then(line).ok()) << line;
  }
  // The guest of the new VM goes on where the old one stood: harmless, and the model stays whole.
  EXPECT_EQ(then("resume vcpu0").progression, Progression::kDone);
  EXPECT_EQ(model_.live_frames(), 0u);
}

}  // namespace
}  // namespace sluice::model
