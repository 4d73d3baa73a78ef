#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "benchmarks/scenario/measure.h"
#include "benchmarks/scenario/options.h"
#include "benchmarks/scenario/session.h"
#include "benchmarks/scenario/statistics.h"
#include "benchmarks/scenario/watchdog.h"

namespace sluice::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Statistics, AreOrderStatistics) {
  const record::Statistics odd = statistics_of({5, 1, 3, 2, 100});
  EXPECT_EQ(odd.median, 3);
  EXPECT_EQ(odd.min, 1);
  EXPECT_EQ(odd.p99, 100);
  EXPECT_EQ(odd.mad, 2);  // deviations 2 2 0 1 97
  EXPECT_EQ(statistics_of({4, 2}).median, 3);
  EXPECT_EQ(statistics_of({7}).mad, 0);
  std::vector<double> many;
  for (int i = 1; i <= 200; ++i) many.push_back(i);
  EXPECT_EQ(statistics_of(many).p99, 198);
}

Expected<Options> parse(std::vector<const char*> arguments) { return parse_options(arguments); }

TEST(Options, TakeBothSpellingsAndRefuseTheRest) {
  const Expected<Options> good =
      parse({"--smoke", "--filter", "a.*", "--rows=r.jsonl", "--repetitions=5", "--cpu-node", "1"});
  ASSERT_TRUE(good.has_value()) << good.error().message();
  EXPECT_TRUE(good->smoke);
  EXPECT_EQ(good->filter, "a.*");
  EXPECT_EQ(good->rows, "r.jsonl");
  EXPECT_EQ(good->repetitions, 5U);
  EXPECT_EQ(good->cpu_node, 1U);
  EXPECT_THAT(parse({"--fliter", "x"}).error().message(),
              HasSubstr("unknown argument \"--fliter\""));
  EXPECT_THAT(parse({"--rows"}).error().message(), HasSubstr("--rows wants a value"));
  EXPECT_THAT(parse({"--repetitions", "many"}).error().message(),
              HasSubstr("wants a number, not \"many\""));
  EXPECT_FALSE(parse({"--cpu-node", "-1"}).has_value());
}

/// Counts its calls; how it ends is chosen by its argument "ending".
class Probe : public Scenario {
 public:
  explicit Probe(const Arguments& arguments)
      : items_(arguments.number("pages")), ending_(arguments.text("ending")) {}
  Status setup() override {
    calls += "s";
    if (ending_ == "skip") return skip("KVM_CAP_NOTHING=0");
    if (ending_ == "broken") return fail(SystemError{.number = ENOMEM, .what = "open the probe"});
    return {};
  }
  void before() override { calls += "b"; }
  void run(unsigned) override {
    calls += "r";
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < 1000 * items_; ++i) keep(sum += i);
    if (++runs_ == 3 && ending_ == "late") note_failure("the third run failed");
  }
  Status verify() override {
    calls += "v";
    if (ending_ == "wrong") return fail("page 7 is not assigned");
    return {};
  }
  void after() override { calls += "a"; }
  std::uint64_t items() const override { return items_; }
  Facts counters() const override {
    return {{.name = "pages", .value = static_cast<std::int64_t>(items_)}};
  }
  static inline std::string calls;

 private:
  std::uint64_t items_;
  std::string ending_;
  int runs_ = 0;
};

Definition probe(std::string name, std::string ending, std::string floor = {}) {
  return {.name = std::move(name),
          .parameters = {{"pages", {64, 128}, {4, 8}}, {"ending", {std::move(ending)}}},
          .make = make_scenario<Probe>,
          .floor = std::move(floor)};
}

struct Ran {
  SessionResult result{};
  std::vector<record::BenchmarkRow> rows{};
  std::string text{};
};

Ran run(const std::vector<const Definition*>& definitions, const Options& options) {
  Probe::calls.clear();
  const Expected<platform::Topology> topology = platform::Topology::open();
  Ran ran;
  const SessionHost host{
      .head = {.run = "r"},
      .topology = &*topology,
      .write =
          [&](const record::Row& row) { ran.rows.push_back(std::get<record::BenchmarkRow>(row)); },
      .print = [&](const std::string& line) { ran.text += line + "\n"; }};
  const Expected<SessionResult> result =
      run_session(options, instances_of(definitions, options.smoke), host);
  if (result) {
    ran.result = *result;
  } else {
    ran.text = result.error().message();
  }
  return ran;
}

TEST(Session, CountingRunsWhatIsMadeForItAndNothingElse) {
  const Definition timed = probe("model/timed", "well");
  Definition counted = probe("kvm/operation", "well");
  counted.counted = true;
  counted.unit = "instructions/page";
  counted.label = "emulated instruction counts";
  counted.repetitions = 5;
  const Ran counts = run({&timed, &counted}, {.count = true});
  ASSERT_EQ(counts.rows.size(), 2U) << counts.text;
  for (const record::BenchmarkRow& row : counts.rows) {
    EXPECT_TRUE(row.name.starts_with("kvm/operation/")) << row.name;
    EXPECT_EQ(row.unit, "instructions/page");
    EXPECT_EQ(row.label, "emulated instruction counts");
    EXPECT_GE(row.repetitions, 1U) << "those with a timer tick in them are left out";
    EXPECT_LE(row.repetitions, 5U);
    ASSERT_TRUE(row.cpu);
    EXPECT_FALSE(row.wall) << "there is no time";
    const auto least = std::get<std::int64_t>(find_fact(row.counters, "instructions")->value);
    EXPECT_DOUBLE_EQ(row.cpu->min, static_cast<double>(least) / static_cast<double>(row.items));
    EXPECT_GE(std::get<std::int64_t>(find_fact(row.counters, "most_frequent")->value), least);
  }
  EXPECT_EQ(run({&timed, &counted}, {}).rows.size(), 2U);
  EXPECT_NE(run({&counted}, {}).text.find("selects no benchmark"), std::string::npos);
}

TEST(CountedRepetitions, OnesWithATickCountOnlyWhereThereIsNoOther) {
  CountedRepetitions made(10);
  for (const bool has_tick : {true, false, true, false}) made.add(has_tick ? 900 : 110, has_tick);
  made.add(4, false);
  EXPECT_EQ(made.size(), 5U);
  const Counted quiet = std::move(made).result({});
  EXPECT_THAT(quiet.values, ElementsAre(100, 100, 0)) << "never less than nothing";
  EXPECT_FALSE(quiet.has_ticks);

  CountedRepetitions ticked(10);
  for (int i = 0; i < 2; ++i) ticked.add(910, true);
  const Counted all = std::move(ticked).result("it broke");
  EXPECT_THAT(all.values, ElementsAre(900, 900));
  EXPECT_TRUE(all.has_ticks);
  EXPECT_EQ(all.failure, "it broke");
}

TEST(CountedRepetitions, ShortOnesAreSpreadOverTicksAndLongOnesBeginRightAfterOne) {
  CountedRepetitions made(0);
  std::vector<bool> begins;
  for (int i = 0; i < 8; ++i) {
    begins.push_back(made.begins_after_tick());
    made.add(CountedRepetitions::kLong, false);
  }
  EXPECT_THAT(begins, ElementsAre(false, false, false, true, false, false, false, true));
  made.add(CountedRepetitions::kLong + 1, true);
  EXPECT_EQ(made.size(), 0U) << "what was made before one was known to be long is forgotten";
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(made.begins_after_tick());
    made.add(CountedRepetitions::kLong + 1, false);
  }
  EXPECT_EQ(std::move(made).result({}).values.size(), 3U);
}

TEST(Scenario, NamesCarryTextsAlwaysAndNumbersWhereThereIsAChoice) {
  const Definition definition{
      .name = "model/x",
      .parameters = {{"pages", {262144}, {64}}, {"size", {"4K", "2M"}}, {"threads", {1, 2}, {1}}},
      .make = make_scenario<Probe>};
  const auto names = [&](bool smoke) {
    std::vector<std::string> result;
    for (const Instance& instance : instances_of({&definition}, smoke))
      result.push_back(instance.name);
    return result;
  };
  EXPECT_THAT(names(false), ElementsAre("model/x/4K/threads:1", "model/x/4K/threads:2",
                                        "model/x/2M/threads:1", "model/x/2M/threads:2"));
  EXPECT_THAT(names(true), ElementsAre("model/x/4K/threads:1", "model/x/2M/threads:1"));
  EXPECT_EQ(instances_of({&definition}, true)[0].arguments.number("pages"), 64U);
}

TEST(Scenario, AFloorIsTheRunWhoseArgumentsAgreeOrTheOneNamed) {
  const Definition floor = probe("floor/f", "ok");
  const Definition subject = probe("model/m", "ok", "floor/f");
  const Definition exact = probe("model/e", "ok", "floor/f/pages:128/ok");
  const Definition orphan = probe("model/o", "ok", "floor/none");
  const std::vector<Instance> all = instances_of({&floor, &subject, &exact, &orphan}, false);
  EXPECT_EQ(find_floor(all[2], all)->name, "floor/f/pages:64/ok");
  EXPECT_EQ(find_floor(all[3], all)->name, "floor/f/pages:128/ok");
  EXPECT_EQ(find_floor(all[4], all)->name, "floor/f/pages:128/ok");
  EXPECT_EQ(find_floor(all[6], all), nullptr);
  EXPECT_EQ(find_floor(all[0], all), nullptr);
}

TEST(Session, CallsInOrderAndWritesOneRowPerRun) {
  const Definition definition = probe("model/m", "ok");
  const Ran ran = run({&definition}, {.filter = "pages:64", .repetitions = 3});
  EXPECT_EQ(Probe::calls,
            "sbrva"
            "bra"
            "bra"
            "bra");
  ASSERT_EQ(ran.rows.size(), 1U);
  const record::BenchmarkRow& row = ran.rows[0];
  EXPECT_EQ(row.name, "model/m/pages:64/ok");
  EXPECT_EQ(row.items, 64U);
  EXPECT_EQ(row.repetitions, 3U);
  ASSERT_TRUE(row.cpu.has_value());
  EXPECT_GT(row.cpu->median, 0);
  EXPECT_LE(row.cpu->min, row.cpu->median);
  EXPECT_GT(row.wall->median, 0);
  EXPECT_EQ(std::get<std::int64_t>(find_fact(row.counters, "pages")->value), 64);
  EXPECT_EQ(std::get<std::int64_t>(find_fact(row.arguments, "threads")->value), 1);
  EXPECT_EQ(std::get<std::int64_t>(find_fact(row.arguments, "memory_node")->value), 0);
  EXPECT_FALSE(row.ratio.has_value());
  EXPECT_FALSE(row.skipped.has_value());
}

TEST(Session, CountersOfTheProcessStandBehindTheScenariosOwn) {
  const Definition definition = probe("model/m", "ok");
  const Expected<platform::Topology> topology = platform::Topology::open();
  platform::Counters counters = platform::Counters::open({"page_faults"}, "/nowhere/counterd");
  std::vector<record::BenchmarkRow> rows;
  const SessionHost host{
      .topology = &*topology,
      .counters = &counters,
      .write = [&](const record::Row& row) { rows.push_back(std::get<record::BenchmarkRow>(row)); },
      .print = [](const std::string&) {}};
  ASSERT_TRUE(
      run_session({.smoke = true, .filter = "pages:4"}, instances_of({&definition}, true), host)
          .has_value());
  ASSERT_EQ(rows[0].counters.size(), 2U);
  EXPECT_EQ(rows[0].counters[0].name, "pages");
  EXPECT_TRUE(rows[0].counters[1].missing());
  EXPECT_THAT(rows[0].counters[1].reason, HasSubstr("/nowhere/counterd"));
}

TEST(Session, RatioAndVerdictComeFromTheSameRun) {
  const Definition floor = probe("floor/f", "ok");
  Definition generous = probe("model/generous", "ok", "floor/f");
  generous.target = "M1";
  generous.limit = 1000;
  Definition strict = generous;
  strict.name = "model/strict";
  strict.limit_sense = record::LimitSense::kMin;
  const Ran ran =
      run({&floor, &generous, &strict}, {.filter = "^model/.*pages:128", .repetitions = 5});
  ASSERT_EQ(ran.rows.size(), 2U);
  for (const record::BenchmarkRow& row : ran.rows) {
    ASSERT_TRUE(row.floor && row.ratio);
    EXPECT_EQ(row.floor->name, "floor/f/pages:128/ok");
    EXPECT_DOUBLE_EQ(*row.ratio, row.cpu->median / row.floor->cpu_median);
  }
  EXPECT_EQ(ran.rows[0].met, true);
  EXPECT_EQ(ran.rows[1].met, false);
  const Ran smoke = run({&floor, &generous}, {.smoke = true, .filter = "^model/"});
  EXPECT_FALSE(smoke.rows[0].met.has_value());
  EXPECT_TRUE(smoke.rows[0].smoke);
}

TEST(Session, ALimitMayBoundTheTimeItself) {
  Definition quick = probe("model/quick", "ok", "floor/f");
  quick.target = "M2";
  quick.limit = 1e12;
  quick.limit_is_time = true;
  Definition slow = quick;
  slow.name = "model/slow";
  slow.limit = 1e-12;
  const Definition floor = probe("floor/f", "ok");
  const Ran ran = run({&floor, &quick, &slow}, {.filter = "^model/.*pages:128", .repetitions = 5});
  ASSERT_EQ(ran.rows.size(), 2U);
  for (const record::BenchmarkRow& row : ran.rows) {
    EXPECT_EQ(row.ratio, row.cpu->median) << "though a floor was measured, too";
    EXPECT_EQ(row.ratio_unit, row.unit);
    EXPECT_TRUE(row.floor.has_value());
  }
  EXPECT_EQ(ran.rows[0].met, true);
  EXPECT_EQ(ran.rows[1].met, false);
}

TEST(Session, WhatIsLackingIsSkippedAndWhatDoesNotWorkFails) {
  const Definition skipped = probe("model/a", "skip");
  const Definition broken = probe("model/b", "broken");
  const Definition wrong = probe("model/c", "wrong");
  const Definition late = probe("model/d", "late");
  const Ran ran = run({&skipped, &broken, &wrong, &late}, {.filter = "pages:64", .repetitions = 4});
  EXPECT_EQ(ran.result.skipped, 1U);
  EXPECT_EQ(ran.result.failed, 3U);
  EXPECT_EQ(ran.result.measured, 0U);
  ASSERT_EQ(ran.rows.size(), 4U);
  EXPECT_EQ(ran.rows[0].skipped, "KVM_CAP_NOTHING=0");
  EXPECT_THAT(*ran.rows[1].skipped, HasSubstr("FAILED: open the probe: Cannot allocate memory"));
  EXPECT_EQ(*ran.rows[2].skipped, "FAILED: verification: page 7 is not assigned");
  EXPECT_EQ(*ran.rows[3].skipped, "FAILED: the third run failed");
  for (const record::BenchmarkRow& row : ran.rows) EXPECT_FALSE(row.cpu.has_value());
}

TEST(Session, AFilterThatSelectsNothingOrIsNoneIsAnError) {
  const Definition definition = probe("model/m", "ok");
  EXPECT_THAT(run({&definition}, {.filter = "nothing like it"}).text,
              HasSubstr("selects no benchmark; --list"));
  EXPECT_THAT(run({&definition}, {.filter = "("}).text, HasSubstr("no regular expression"));
  EXPECT_THAT(run({&definition}, {.cpu_node = 999}).text, HasSubstr("node(s), counted from 0"));
}

TEST(Watchdog, EndsTheProgramOnlyWhenABenchmarkIsOverdue) {
  {
    Watchdog patient(std::chrono::hours(1),
                     [](const std::string&) { FAIL() << "nothing was overdue"; });
    for (int i = 0; i < 100; ++i) {
      patient.begin("short");
      patient.end();
    }
    patient.begin("still running when the program ends");
  }
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        Watchdog watchdog(std::chrono::milliseconds(1), [](const std::string& name) {
          std::fprintf(stderr, "late: %s", name.c_str());
        });
        watchdog.begin("kvm/stuck");
        for (;;) ::pause();
      },
      ::testing::ExitedWithCode(1), "late: kvm/stuck");
}

/// Each thread adds its own share; all threads run at the same time.
class Shared : public Scenario {
 public:
  explicit Shared(const Arguments& arguments) : done_(arguments.number("threads"), 0) {}
  Status setup() override { return {}; }
  void before() override { done_.assign(done_.size(), 0); }
  void run(unsigned thread) override {
    for (int i = 0; i < 100000; ++i) keep(++done_[thread]);
  }
  Status verify() override {
    for (const int n : done_) {
      if (n != 100000) return fail("a thread did not run");
    }
    return {};
  }
  void after() override {
    if (!verify()) note_failure("a thread did not run in a repetition");
  }
  std::uint64_t items() const override { return done_.size() * 100000; }

 private:
  std::vector<int> done_;
};

TEST(Session, EveryThreadOfARepetitionRuns) {
  const Definition definition{.name = "model/shared",
                              .parameters = {{"threads", {1, 2, 4}}},
                              .make = make_scenario<Shared>};
  const Ran ran = run({&definition}, {.repetitions = 3});
  EXPECT_EQ(ran.result.measured, 3U) << ran.text;
}

}  // namespace
}  // namespace sluice::bench
