// Races are made of operations that can meet: somebody stops, others act meanwhile, all in order.
#include "ops/race.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/context.h"
#include "ops/text.h"

namespace sluice {
namespace {

constexpr StopsSeen kAllStop = [] {
  StopsSeen seen{};
  seen.fill(4);
  return seen;
}();

Sequence race(std::uint64_t seed) {
  Rng rng(seed);
  Sequence out;
  random_scene(rng, out);
  append_race(rng, kAllStop, out);
  return out;
}

/// Somebody acts while another actor stands inside an operation.
bool has_company(const Sequence& sequence) {
  Context context;
  bool found = false;
  for (const Step& step : sequence.steps) {
    found = found || (!context.parked.empty() && !is_one_of<Resume>(step.op));
    context.observe(step);
  }
  return found;
}

TEST(Race, TheSameSeedGivesTheSameRace) {
  for (const std::uint64_t seed : {1u, 2u, 3u})
    EXPECT_EQ(format_text(race(seed)), format_text(race(seed)));
  EXPECT_NE(format_text(race(1)), format_text(race(2)));
}

TEST(Race, SomeScenesHaveSomethingAroundKvmOtherwise) {
  constexpr unsigned kCount = 2000;
  unsigned other = 0, large_host_pages = 0;
  for (unsigned seed = 0; seed < kCount; ++seed) {
    const PolicySet policy = race(seed).header.policy;
    EXPECT_TRUE(policy == with_mainline_kernel(policy));
    EXPECT_NE(policy.gmem_order, GmemOrder::k1G);
    other += policy == PolicySet{} ? 0u : 1u;
    large_host_pages += policy.host_order == HostOrder::k2M ? 1u : 0u;
  }
  EXPECT_GT(other, kCount / 10);
  EXPECT_LT(other, kCount / 3);
  EXPECT_GT(large_host_pages, 10u);
}

TEST(Race, SomebodyActsWhileAnotherStands) {
  constexpr unsigned kCount = 1000;
  unsigned in_company = 0;
  for (unsigned seed = 0; seed < kCount; ++seed) in_company += has_company(race(seed)) ? 1u : 0u;
  EXPECT_GT(in_company, kCount * 3 / 4);
}

TEST(Race, WhoStandsInsideAnOperationBeginsNoOther) {
  for (unsigned seed = 0; seed < 1000; ++seed) {
    const Sequence sequence = race(seed);
    ASSERT_LE(sequence.steps.size(), kMaxOps);
    Context context;
    for (const Step& step : sequence.steps) {
      const bool is_free =
          is_one_of<Resume>(step.op) || !context.parked.has(actor_slot(step.actor));
      EXPECT_TRUE(is_free) << format_text(sequence);
      context.observe(step);
    }
  }
}

TEST(Race, StopsNobodyFarBeyondWhereHeWasSeenToStop) {
  Rng rng(5);
  for (unsigned i = 0; i < 1000; ++i) {
    Sequence sequence;
    random_scene(rng, sequence);
    EXPECT_TRUE(std::ranges::all_of(sequence.steps, [](const Step& s) { return s.park == 0; }));
    append_race(rng, StopsSeen{}, sequence);
    for (const Step& step : sequence.steps) {
      if (is_one_of<Resume>(step.op)) continue;
      EXPECT_LE(step.park, 1) << format_text(sequence);
    }
  }
}

TEST(Race, OperationsOnTheSameThingsAreRelated) {
  EXPECT_TRUE(share_a_domain(kOpIndex<Psc>, kOpIndex<GhcbWriteHeader>));
  EXPECT_TRUE(share_a_domain(kOpIndex<GmemPunchHole>, kOpIndex<GmemAllocate>));
  EXPECT_FALSE(share_a_domain(kOpIndex<Psc>, kOpIndex<GmemPunchHole>));
}

TEST(Race, DrawnAgainTheSameActorsDoTheSame) {
  unsigned changed = 0;
  for (unsigned seed = 0; seed < 500; ++seed) {
    const Sequence before = race(seed);
    Sequence after = before;
    Rng rng(seed);
    redraw_race(rng, kAllStop, after);
    ASSERT_EQ(after.steps.size(), before.steps.size());
    for (std::size_t i = 0; i < before.steps.size(); ++i) {
      EXPECT_EQ(after.steps[i].actor, before.steps[i].actor);
      EXPECT_EQ(after.steps[i].op.index(), before.steps[i].op.index());
      EXPECT_EQ(after.steps[i].park == 0, before.steps[i].park == 0);
    }
    changed += format_text(after) != format_text(before) ? 1u : 0u;
  }
  EXPECT_GT(changed, 300u);
}

TEST(Race, NeedsAVm) {
  Rng rng(1);
  Sequence sequence;
  append_race(rng, kAllStop, sequence);
  EXPECT_TRUE(sequence.steps.empty());
}

}  // namespace
}  // namespace sluice
