// Random sequences repeat themselves, fit who runs them, and lead deeper than chance.
#include "run/random_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "ops/random.h"
#include "ops/text.h"
#include "run/features.h"

namespace sluice::run {
namespace {

RandomSource open_source(const HostProfile& profile, const Repertoire& able, std::uint64_t seed) {
  auto source = RandomSource::open(profile, able, seed);
  EXPECT_TRUE(source.has_value()) << source.error().message();
  return *std::move(source);
}

std::vector<std::string> first_texts(const HostProfile& profile, std::uint64_t seed,
                                     std::size_t count) {
  RandomSource source = open_source(profile, kernel_repertoire(profile), seed);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(format_text(source.next()));
  return out;
}

HostProfile kernel_profile() {
  HostProfile profile = default_profile(kDefaultKernel);
  profile.snp = false;
  profile.vm_types = 0b11;
  return profile;
}

TEST(RandomSource, SameSeedAndProfileGiveTheSameBytes) {
  constexpr std::size_t kCount = 600;  // more than a period of the mutator's swarm
  const HostProfile profile = kernel_profile();
  EXPECT_EQ(first_texts(profile, 7, kCount), first_texts(profile, 7, kCount));
  EXPECT_NE(first_texts(profile, 7, 20), first_texts(profile, 8, 20));
}

TEST(RandomSource, AKernelGetsWhatAKernelCanDo) {
  const HostProfile profile = kernel_profile();
  RandomSource source = open_source(profile, kernel_repertoire(profile), 1);
  std::size_t steps = 0, refused_types = 0;
  for (int i = 0; i < 2000; ++i) {
    const Sequence& sequence = source.next();
    ASSERT_FALSE(sequence.steps.empty());
    ASSERT_LE(sequence.steps.size(), kMaxOps);
    EXPECT_EQ(sequence.header.kernel, profile.version);
    EXPECT_EQ(sequence.header.scope, Scope::kHost);
    EXPECT_FALSE(is_ahead_of_mainline(sequence.header.policy));
    for (const Step& step : sequence.steps) {
      EXPECT_EQ(step.park, 0);
      EXPECT_FALSE(info_of(step.op).machine_scope_only);
      EXPECT_FALSE(is_one_of<LaunchUpdate>(step.op));
      const auto* const vm = std::get_if<CreateVm>(&step.op);
      refused_types += vm != nullptr && !profile.has_vm_type(vm->type);
      ++steps;
    }
  }
  EXPECT_GT(steps, 16000u);
  EXPECT_GT(refused_types, 0u);
}

/// As the text of the sequences that a source gives to somebody who runs them himself, and of whose
/// answers every `cut`-th sequence misses the last.
std::vector<std::string> proposed_texts(const HostProfile& profile, std::size_t count,
                                        std::size_t cut) {
  RandomSource source = open_source(profile, {}, 5);
  auto model = model::ModelBackend::open(profile);
  EXPECT_TRUE(model.has_value());
  std::vector<std::string> out;
  std::vector<Outcome> answers;
  for (std::size_t i = 0; i < count; ++i) {
    const Sequence& sequence = source.propose();
    out.push_back(format_text(sequence));
    EXPECT_TRUE(BackendTraits<model::ModelBackend>::start(*model, sequence));
    answers.clear();
    for (const Step& step : sequence.steps) answers.push_back(model->apply(step));
    if (i % cut == cut - 1) answers.pop_back();
    source.learn(answers);
  }
  return out;
}

TEST(RandomSource, WhoRunsThemHimselfGetsTheSame) {
  constexpr std::size_t kCount = 600;
  const HostProfile profile = default_profile(kDefaultKernel);
  RandomSource source = open_source(profile, {}, 5);
  std::vector<std::string> own;
  for (std::size_t i = 0; i < kCount; ++i) own.push_back(format_text(source.next()));
  EXPECT_EQ(own, proposed_texts(profile, kCount, kCount + 1));
  EXPECT_EQ(own, proposed_texts(profile, kCount, 3));
}

/// How many different answers of the model the same number of unguided sequences meets.
std::size_t answers_by_chance(const HostProfile& profile, std::size_t count) {
  auto model = model::ModelBackend::open(profile);
  EXPECT_TRUE(model.has_value());
  const Repertoire able = kernel_repertoire(profile);
  Rng rng(1);
  Sequence sequence;
  std::set<std::uint64_t> answers;
  for (std::size_t i = 0; i < count; ++i) {
    random_sequence(rng, {.implausible = rng.one_in(8)}, sequence);
    fit(sequence, able, rng);
    EXPECT_TRUE(BackendTraits<model::ModelBackend>::start(*model, sequence));
    FeatureTrail trail;
    for (const Step& step : sequence.steps) {
      answers.insert(trail.take(step.op, model->apply(step)).answer);
    }
  }
  return answers.size();
}

TEST(RandomSource, FeedbackLeadsDeeperThanChance) {
  constexpr std::size_t kCount = 3000;
  const HostProfile profile = kernel_profile();
  RandomSource source = open_source(profile, kernel_repertoire(profile), 1);
  for (std::size_t i = 0; i < kCount; ++i) static_cast<void>(source.next());
  EXPECT_GT(source.answers(), answers_by_chance(profile, kCount));
  EXPECT_GT(source.kept(), 100u);
}

/// How many of 2,000 sequences have somebody stop on his way.
std::size_t sequences_that_stop(const Repertoire& able, RandomFocus focus) {
  auto source = RandomSource::open(default_profile(kDefaultKernel), able, 3, 24, focus);
  EXPECT_TRUE(source.has_value()) << source.error().message();
  std::size_t count = 0;
  for (int i = 0; i < 2000; ++i) {
    const Sequence& sequence = source->next();
    EXPECT_LE(sequence.steps.size(), 24u);
    const bool stops = std::ranges::any_of(sequence.steps, [](const Step& step) {
      return step.park != 0 || is_one_of<Resume>(step.op);
    });
    count += stops ? 1u : 0u;
  }
  return count;
}

TEST(RandomSource, StopsNobodyWhereTheRepertoireHasNoStops) {
  for (const RandomFocus focus : {RandomFocus::kNone, RandomFocus::kRaces})
    EXPECT_EQ(sequences_that_stop({.stops = false}, focus), 0u);
}

TEST(RandomSource, FocusedOnRacesMostSequencesHaveOne) {
  EXPECT_GT(sequences_that_stop({}, RandomFocus::kRaces), 1500u);
}

}  // namespace
}  // namespace sluice::run
