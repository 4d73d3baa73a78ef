#include "ops/priorities.h"

#include <gtest/gtest.h>

#include <map>

#include "ops/context.h"
#include "ops/files.h"
#include "ops/text.h"

namespace sluice {
namespace {

Sequence parsed(const std::string& text) {
  const auto sequence = parse_text(text, "test");
  EXPECT_TRUE(sequence.has_value()) << sequence.error().message();
  return sequence.value_or(Sequence{});
}

const Sequence& race() {
  static const Sequence kRace = parsed(
      "create_vm\nset_memory_region size=64K\ncreate_vcpu\n@vcpu0 guest_access park=2\n"
      "@vmm1 set_memory_attributes size=4K attributes=private\nresume vcpu0\n"
      "@vcpu0 guest_access gfn=1\n@vmm1 set_memory_attributes size=8K\n");
  return kRace;
}

Sequence scheduled(std::uint64_t seed) {
  Rng rng(seed);
  Sequence sequence = race();
  schedule_by_priority(rng, sequence);
  return sequence;
}

/// The operations of each actor, in order, without stops.
std::map<unsigned, std::vector<std::string>> by_actor(const Sequence& sequence) {
  std::map<unsigned, std::vector<std::string>> work;
  for (Step step : sequence.steps) {
    if (is_one_of<Resume>(step.op)) continue;
    step.park = 0;
    work[actor_slot(step.actor)].push_back(format_step(step));
  }
  return work;
}

TEST(Priorities, EachActorDoesTheSameInTheSameOrder) {
  for (std::uint64_t seed = 0; seed < 500; ++seed)
    EXPECT_EQ(by_actor(scheduled(seed)), by_actor(race())) << format_text(scheduled(seed));
}

TEST(Priorities, WhoIsStoppedIsResumedAndBeginsNothingMeanwhile) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const Sequence sequence = scheduled(seed);
    Context context;
    for (const Step& step : sequence.steps) {
      EXPECT_TRUE(is_one_of<Resume>(step.op) || !context.parked.has(actor_slot(step.actor)))
          << format_text(sequence);
      context.observe(step);
    }
    EXPECT_TRUE(context.parked.empty()) << format_text(sequence);
  }
}

TEST(Priorities, OneOperationIsStoppedTwiceByAndBy) {
  unsigned twice = 0, not_at_all = 0;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const Sequence sequence = scheduled(seed);
    twice += std::ranges::any_of(sequence.steps, [](const Step& step) {
      return is_one_of<Resume>(step.op) && step.park != 0;
    });
    not_at_all += std::ranges::none_of(sequence.steps, [](const Step& s) { return s.park != 0; });
  }
  EXPECT_GT(twice, 10u);
  EXPECT_LT(not_at_all, 100u);
}

TEST(Priorities, WhoIsStoppedFallsBehindAllOthers) {
  // Between a stop and its resume everybody else has done what he can.
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const Sequence sequence = scheduled(seed);
    for (std::size_t i = 3; i + 1 < sequence.steps.size(); ++i) {
      const auto* const next = std::get_if<Resume>(&sequence.steps[i + 1].op);
      const bool goes_on_at_once = sequence.steps[i].park != 0 && next != nullptr &&
                                   !is_one_of<Resume>(sequence.steps[i].op) &&
                                   next->target == sequence.steps[i].actor;
      const bool as_before =
          i < race().steps.size() && format_step(sequence.steps[i]) == format_step(race().steps[i]);
      if (!goes_on_at_once || as_before) continue;
      // Then nobody else had anything to do any more.
      for (std::size_t j = i + 1; j < sequence.steps.size(); ++j) {
        const auto* const resume = std::get_if<Resume>(&sequence.steps[j].op);
        EXPECT_TRUE(resume != nullptr || sequence.steps[j].actor == sequence.steps[i].actor)
            << format_text(sequence);
      }
    }
  }
}

TEST(Priorities, NothingChangesWhereOneActorIsAlone) {
  const Sequence alone = parsed("create_vm\nset_memory_region size=64K\nset_memory_attributes\n");
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Rng rng(seed);
    Sequence sequence = alone;
    schedule_by_priority(rng, sequence);
    EXPECT_EQ(format_text(sequence), format_text(alone));
  }
}

}  // namespace
}  // namespace sluice
