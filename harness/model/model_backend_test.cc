// The model as a backend: both drivers do the same, reset forgets everything, the same input gives
// the same state, and the view's before-images are what was there before.
#include "model/model_backend.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "ops/random.h"
#include "ops/text.h"
#include "trace/outcome_text.h"

namespace sluice::model {
namespace {

constexpr int kSequences = 1500;

ModelBackend open_model(const HostProfile& profile = default_profile(kDefaultKernel)) {
  auto model = ModelBackend::open(profile);
  EXPECT_TRUE(model.has_value()) << model.error().message();
  return *std::move(model);
}

/// Random sequences, plausible and not, in both scopes and for every modelled kernel.
template <class Visit>
void for_each_random_sequence(std::uint64_t seed, int count, Visit&& visit) {
  Rng rng(seed);
  Sequence sequence;
  for (int i = 0; i < count; ++i) {
    random_sequence(rng, {.implausible = rng.one_in(8)}, sequence);
    visit(sequence);
    if (testing::Test::HasFatalFailure()) {
      FAIL() << "sequence " << i << " of seed " << seed << ":\n" << format_text(sequence);
    }
  }
}

void expect_same(const Outcome& a, const Outcome& b, const Step& step) {
  EXPECT_EQ(describe(a), describe(b)) << format_step(step);
  EXPECT_EQ(a.progress, b.progress) << format_step(step);
  EXPECT_EQ(a.exit, b.exit) << format_step(step);
}

TEST(ModelBackend, WithNptVcpusOfAnyMaxphyaddrShareTheirRoot) {
  const auto sequence = parse_text(
      "create_vm type=sw_protected\n"
      "create_vcpu\n"
      "create_vcpu vcpu=1\n"
      "@vcpu1 set_cpuid phys_addr_bits=52\n"
      "@vcpu1 guest_access gfn=0x2\n"
      "set_memory_attributes size=2M attributes=private\n"
      "guest_access gfn=0x2\n",
      "npt.ops");
  ASSERT_TRUE(sequence.has_value()) << sequence.error().message();
  for (const bool by_cpuid : {false, true}) {
    HostProfile profile = default_profile(kDefaultKernel);
    profile.root_level_by_cpuid = by_cpuid;
    ModelBackend model = open_model(profile);
    model.begin(sequence->header);
    Outcome last{};
    for (const Step& step : sequence->steps) last = model.apply(step);
    // The MMIO entry that vcpu1 left is met by vcpu0 where both have one root.
    EXPECT_EQ(last.exit.reason, by_cpuid ? kExitMemoryFault : kExitMmio) << describe(last);
  }
}

TEST(ModelBackend, BothDriversDoTheSame) {
  ModelBackend straight = open_model();
  ModelBackend coroutines = open_model();
  coroutines.always_use_coroutines(true);
  for_each_random_sequence(1, kSequences, [&](Sequence& sequence) {
    for (ModelBackend* model : {&straight, &coroutines}) {
      model->reset();
      model->begin(sequence.header);
    }
    for (Step& step : sequence.steps) {
      step.park = 0;
      const Outcome a = straight.apply(step);
      const Outcome b = coroutines.apply(step);
      expect_same(a, b, step);
      ASSERT_EQ(straight.state_hash(), coroutines.state_hash()) << format_step(step);
    }
    ASSERT_EQ(coroutines.live_frames(), 0u);
  });
}

TEST(ModelBackend, ResetForgetsEverything) {
  ModelBackend model = open_model();
  const std::uint64_t fresh = model.state_hash();
  for_each_random_sequence(2, kSequences, [&](Sequence& sequence) {
    model.begin(sequence.header);
    for (const Step& step : sequence.steps) static_cast<void>(model.apply(step));
    model.reset();
    ASSERT_EQ(model.state_hash(), fresh);
    ASSERT_EQ(model.live_frames(), 0u) << "operations in flight were abandoned";
    ASSERT_TRUE(model.view().occupied_frames().empty());
  });
}

TEST(ModelBackend, SameSequenceSameState) {
  ModelBackend once = open_model();
  ModelBackend again = open_model();
  for_each_random_sequence(3, kSequences, [&](Sequence& sequence) {
    for (ModelBackend* model : {&once, &again}) {
      model->reset();
      model->begin(sequence.header);
      for (const Step& step : sequence.steps) static_cast<void>(model->apply(step));
      model->finish();
    }
    ASSERT_EQ(once.state_hash(), again.state_hash());
  });
}

TEST(ModelBackend, InWhichOrderPagesOfUserSpaceWentIsNoState) {
  const HostUnmap first{.size = {.value = kPageBytes}};
  const HostUnmap second{.hva = {.value = kPageBytes}, .size = {.value = kPageBytes}};
  ModelBackend model = open_model();
  const auto state_after = [&model](const Op& one, const Op& other) {
    model.reset();
    model.begin({});
    for (const Op& op : {one, other}) {
      EXPECT_TRUE(model.apply({.actor = default_actor(op), .op = op}).ok());
    }
    return model.state_hash();
  };
  EXPECT_EQ(state_after(first, second), state_after(second, first));
  EXPECT_NE(state_after(first, second), state_after(first, first));
}

TEST(ModelBackend, DrainsOrSaysWhoIsStuck) {
  ModelBackend model = open_model();
  for_each_random_sequence(4, kSequences, [&](Sequence& sequence) {
    model.reset();
    model.begin(sequence.header);
    for (const Step& step : sequence.steps) static_cast<void>(model.apply(step));
    model.finish();
    const ProgressView progress = model.view().progress();
    ASSERT_TRUE(progress.in_flight == 0 || progress.deadlock || progress.livelock);
  });
}

/// What a view says of every frame that is not free.
struct FrameState {
  RmpView rmp{};
  FrameView frame{};
  friend bool operator==(const FrameState&, const FrameState&) = default;
};
std::map<std::uint64_t, FrameState> occupied(const View& view) {
  std::map<std::uint64_t, FrameState> out;
  for (const Pfn pfn : view.occupied_frames()) {
    out[pfn.value] = {.rmp = view.rmp(pfn), .frame = view.frame(pfn)};
  }
  return out;
}

TEST(ModelView, BeforeImagesAreWhatWasThere) {
  ModelBackend model = open_model();
  for_each_random_sequence(5, kSequences / 3, [&](Sequence& sequence) {
    model.reset();
    model.begin(sequence.header);
    auto before = occupied(model.view());
    for (const Step& step : sequence.steps) {
      static_cast<void>(model.apply(step));
      const View& view = model.view();
      auto named = before;
      for (const FrameChange& change : view.frame_changes()) {
        const auto was = before.find(change.pfn.value);
        if (was != before.end()) {
          ASSERT_EQ(change.rmp_before, was->second.rmp) << format_step(step);
          ASSERT_EQ(change.before, was->second.frame) << format_step(step);
        } else {
          ASSERT_FALSE(change.rmp_before.assigned) << format_step(step);
          ASSERT_EQ(change.before.use, FrameUse::kFree) << format_step(step);
        }
        named[change.pfn.value] = {.rmp = view.rmp(change.pfn), .frame = view.frame(change.pfn)};
      }
      auto now = occupied(view);
      for (const auto& [pfn, state] : now) {
        // Inside a live 2 MiB entry the head alone is named.
        if (!state.rmp.is_head || (named.contains(pfn) && !named[pfn].rmp.is_head)) continue;
        ASSERT_EQ(named[pfn], state) << format_step(step) << " did not name frame " << pfn;
      }
      before = std::move(now);
    }
  });
}

std::map<std::uint64_t, GmemPageView> resident_pages(const View& view) {
  std::map<std::uint64_t, GmemPageView> out;
  for (const Pfn pfn : view.occupied_frames()) {
    const FrameView frame = view.frame(pfn);
    if (frame.use != FrameUse::kGmem) continue;
    const GmemPageView page = view.gmem_page(frame.gmem, frame.index);
    if (page.present) out[std::uint64_t{frame.gmem.value} << 56 | frame.index] = page;
  }
  return out;
}

TEST(ModelView, GmemPagesThatComeAndGoAreNamed) {
  ModelBackend model = open_model();
  for_each_random_sequence(6, kSequences / 3, [&](Sequence& sequence) {
    model.reset();
    model.begin(sequence.header);
    auto before = resident_pages(model.view());
    for (const Step& step : sequence.steps) {
      static_cast<void>(model.apply(step));
      const View& view = model.view();
      auto named = before;
      for (const GmemPageChange& change : view.gmem_page_changes()) {
        const std::uint64_t key = std::uint64_t{change.gmem.value} << 56 | change.index;
        const auto was = before.find(key);
        ASSERT_EQ(change.before, was == before.end() ? GmemPageView{} : was->second)
            << format_step(step);
        const GmemPageView now = view.gmem_page(change.gmem, change.index);
        named.erase(key);
        if (now.present) named[key] = now;
      }
      before = resident_pages(view);
      ASSERT_EQ(named.size(), before.size()) << format_step(step);
    }
  });
}

}  // namespace
}  // namespace sluice::model
