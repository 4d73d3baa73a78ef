// The hunt for planted bugs tells races from other bugs, finds them with interleaving, and has a
// control that is not blind.
#include "run/hunt.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/text.h"

namespace sluice::run {
namespace {

TEST(Hunt, AFileNamesItsBug) {
  const model::PlantedRow& row = model::kPlanted[1];
  const std::string name(row.name);
  for (const std::string& file : {name, name + ".ops", "planted/" + name + ".another_way.ops"}) {
    const auto found = planted_row_of(file);
    ASSERT_TRUE(found.has_value()) << file;
    EXPECT_EQ(found->bug, row.bug);
  }
  EXPECT_FALSE(planted_row_of("none").has_value());
  EXPECT_FALSE(planted_row_of("planted/no_such_bug.ops").has_value());
}

TEST(Hunt, AStraightenedSequenceStopsNowhere) {
  const auto sequence = parse_text(
      "create_vm\n"
      "create_vcpu\n"
      "@vcpu0 pre_fault_memory park=2 => parked\n"
      "@vmm1 set_memory_region\n"
      "resume vcpu0\n",
      "test.ops");
  ASSERT_TRUE(sequence.has_value());
  EXPECT_EQ(format_text(straightened(*sequence)),
            format_text(*parse_text("create_vm\n"
                                    "create_vcpu\n"
                                    "@vcpu0 pre_fault_memory\n"
                                    "@vmm1 set_memory_region\n",
                                    "test.ops")));
}

#ifdef SLUICE_PLANTED

using model::Planted;

std::vector<Race> races() {
  const auto planted = read_corpus(std::string(SLUICE_SOURCE_DIR) + "/corpora", "planted");
  EXPECT_TRUE(planted.has_value());
  return planted ? find_races(*planted) : std::vector<Race>{};
}

Hunt hunted(Planted bug, std::uint64_t seed, bool stops, std::uint64_t limit) {
  const auto hunt = run::hunt({.bug = bug,
                               .seed = seed,
                               .limit = limit,
                               .length = 24,
                               .stops = stops,
                               .focus = RandomFocus::kRaces});
  EXPECT_TRUE(hunt.has_value());
  return hunt.value_or(Hunt{});
}

TEST(Hunt, RacesAreTheBugsThatNoStraightSequenceShows) {
  const std::vector<Race> all = races();
  const auto is_race = [&all](Planted bug) {
    return std::ranges::any_of(all, [bug](const Race& race) { return race.row.bug == bug; });
  };
  EXPECT_TRUE(is_race(Planted::kFaultSkipsRetryCheck));
  EXPECT_TRUE(is_race(Planted::kDeleteSkipsGracePeriod));
  // One is shown by a plain sequence, the other by one with stops and one without.
  EXPECT_FALSE(is_race(Planted::kPunchSkipsZap));
  EXPECT_FALSE(is_race(Planted::kDestroyKeepsVmsa));
  EXPECT_GE(all.size(), 14u);
  for (const Race& race : all) EXPECT_GE(race.preemptions.value_or(1), 1u) << race.row.name;
}

/// By several fixed seeds, and with the same seeds not where nobody stops.
TEST(Hunt, RacesAreFoundWithInterleavingAndNotWithout) {
  for (const Planted bug : {Planted::kFaultSkipsRetryCheck, Planted::kDeleteSkipsGracePeriod}) {
    for (const std::uint64_t seed : {1u, 2u, 3u}) {
      const Hunt with = hunted(bug, seed, true, 20'000);
      EXPECT_TRUE(with.finding.has_value()) << static_cast<int>(bug) << " seed " << seed;
      const Hunt without = hunted(bug, seed, false, 5'000);
      EXPECT_FALSE(without.finding.has_value()) << format_text(without.sequence);
      EXPECT_EQ(without.runs, 5'000u);
      EXPECT_EQ(with.found_anyway + without.found_anyway, 0u);
    }
  }
}

TEST(Hunt, TheControlFindsWhatIsNoRace) {
  const Hunt without = hunted(Planted::kPunchSkipsZap, 1, false, 5'000);
  ASSERT_TRUE(without.finding.has_value());
  for (const Step& step : without.sequence.steps) {
    EXPECT_EQ(step.park, 0);
    EXPECT_FALSE(is_one_of<Resume>(step.op));
  }
}

TEST(Hunt, TheSameSeedCountsTheSame) {
  const Hunt first = hunted(Planted::kFaultSkipsRetryCheck, 7, true, 20'000);
  const Hunt again = hunted(Planted::kFaultSkipsRetryCheck, 7, true, 20'000);
  EXPECT_EQ(first.runs, again.runs);
  EXPECT_EQ(format_text(first.sequence), format_text(again.sequence));
}

TEST(Hunt, WithoutABugNothingIsFound) {
  const Hunt hunt = hunted(Planted::kNone, 1, true, 5'000);
  EXPECT_FALSE(hunt.finding.has_value());
  EXPECT_EQ(hunt.found_anyway, 0u);
}

#endif

}  // namespace
}  // namespace sluice::run
