// Exploration: how many interleavings there are, that none is left out, that what is found replays.
#include "run/explore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/text.h"
#include "run/program_source.h"
#include "run/proofs.h"
#include "run/runner.h"

namespace sluice::run {
namespace {

using ::testing::HasSubstr;

Sequence sequence_of(std::string_view text) {
  auto parsed = parse_text(text, "test.ops");
  EXPECT_TRUE(parsed.has_value()) << parsed.error().message();
  return parsed.value_or(Sequence{});
}

Exploration explore_text(std::string_view text, std::optional<std::uint32_t> line,
                         const ExploreOptions& options = {}) {
  const Sequence sequence = sequence_of(text);
  const auto program = program_of(sequence, "test.ops", line);
  EXPECT_TRUE(program.has_value()) << program.error();
  auto model = open_model_for(sequence);
  EXPECT_TRUE(model.has_value()) << model.error().message();
  return explore(*model, *program, options);
}

/// Two threads that each fill a file of their own, page by page: every page is a turn, and the last
/// turn ends the operation.
std::string fill_two_files(unsigned pages_of_one, unsigned pages_of_other) {
  return "create_vm type=sw_protected\n"
         "create_guest_memfd\n"
         "create_guest_memfd gmem=1\n"
         "gmem_allocate size=" +
         std::to_string(4 * pages_of_one) +
         "K\n"
         "@vmm1 gmem_allocate gmem=1 size=" +
         std::to_string(4 * pages_of_other) + "K\n";
}

std::uint64_t binomial(std::uint64_t n, std::uint64_t k) {
  std::uint64_t out = 1;
  for (std::uint64_t i = 1; i <= k; ++i) out = out * (n - k + i) / i;
  return out;
}

TEST(Explore, CountsTheWaysToMergeTwoThreads) {
  for (const unsigned one : {1u, 2u, 4u}) {
    for (const unsigned other : {1u, 3u}) {
      const Exploration result = explore_text(fill_two_files(one, other), 4);
      EXPECT_TRUE(result.complete);
      // Allocating changes something in each turn but the one that only ends the operation.
      EXPECT_EQ(result.runs, binomial(one + other + 2, one + 1)) << one << " and " << other;
      EXPECT_EQ(result.longest, one + other + 2);
      EXPECT_EQ(result.turns, result.runs * result.longest);
      EXPECT_FALSE(result.has_finding());
    }
  }
}

TEST(Explore, CountsTheWaysWithFewPreemptions) {
  // Five turns each. Two threads with m and n turns have 2 ways without a preemption; with one: the
  // first is left at one of its m - 1 points, for all of the second.
  const std::string text = fill_two_files(4, 4);
  const auto runs = [&](unsigned preemptions) {
    const Exploration result = explore_text(text, 4, {.preemptions = preemptions});
    EXPECT_TRUE(result.complete);
    return result.runs;
  };
  EXPECT_EQ(runs(0), 2u);
  EXPECT_EQ(runs(1), 2u + 2 * 4);
  EXPECT_GT(runs(2), runs(1));
  EXPECT_EQ(runs(8), binomial(10, 5));
  EXPECT_EQ(runs(1000), binomial(10, 5));
}

TEST(Explore, StopsWhereItIsTold) {
  std::uint64_t told = 0;
  double share = 0;
  const Exploration result = explore_text(
      fill_two_files(4, 4), 4, {.max_runs = 63, .on_run = [&](std::uint64_t runs, double part) {
                                  told = runs;
                                  EXPECT_GT(part, share);
                                  share = part;
                                }});
  EXPECT_EQ(result.runs, 63u);
  EXPECT_EQ(told, 63u);
  EXPECT_FALSE(result.complete);
  EXPECT_GT(result.share, 0.05);
  EXPECT_LT(result.share, 0.9);
}

TEST(Explore, KnowsWhereTheProgramBegins) {
  const auto error = [](std::string_view text, std::optional<std::uint32_t> line) {
    const auto program = program_of(sequence_of(text), "test.ops", line);
    return program ? std::string() : program.error();
  };
  EXPECT_THAT(error("create_vm\ncreate_vcpu\n", {}), HasSubstr("test.ops: where the part"));
  EXPECT_THAT(error("create_vm\ncreate_vcpu\n", 7), HasSubstr("test.ops:7: no operation there"));
  EXPECT_THAT(error("create_vm\ncreate_vcpu\n", 2), HasSubstr("test.ops:2: only one actor"));
  EXPECT_THAT(error("create_vm\ncreate_vcpu park=1\n@vmm1 create_guest_memfd\nresume vmm0\n", 3),
              HasSubstr("test.ops:2: an operation stops here"));
  const auto program = program_of(
      sequence_of("create_vm\ncreate_vcpu park=1\n@vmm1 create_guest_memfd\nresume vmm0 park=2\n"),
      "test.ops", {});
  ASSERT_TRUE(program.has_value()) << program.error();
  EXPECT_EQ(program->setup.steps.size(), 1u);
  ASSERT_EQ(program->steps.size(), 2u);
  EXPECT_EQ(program->steps[0].park, 0);
  EXPECT_EQ(program->line, 2u);
}

/// A pre-fault on 6.12 beside the deletion of its memslot: known upstream, in some orders.
constexpr std::string_view kRace =
    "# kernel: 6.12\n"
    "create_vm type=default\n"
    "set_memory_region size=16K\n"
    "create_vcpu\n"
    "@vcpu0 pre_fault_memory size=16K\n"
    "@vmm1 set_memory_region size=0\n";

TEST(Explore, KnownUpstreamEndsNothingAndReplays) {
  const Exploration result = explore_text(kRace, 5);
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.has_finding());
  ASSERT_FALSE(result.found.empty());
  EXPECT_GT(result.end_states.size(), 1u);
  auto model = open_model_for(sequence_of(kRace));
  ASSERT_TRUE(model.has_value());
  for (const ExploreFinding& one : result.found) {
    EXPECT_EQ(one.finding.cls, oracle::FindingClass::kKnownUpstream);
    EXPECT_GT(one.times, 0u);
    EXPECT_LT(one.times, result.runs);
    const Verdict verdict = run_sequence(*model, one.sequence, {.file = "again"});
    ASSERT_TRUE(verdict.known_upstream.has_value()) << format_text(one.sequence);
    EXPECT_EQ(verdict.known_upstream->finding.invariant, one.finding.invariant);
  }
}

TEST(Explore, SameProgramSameAnswer) {
  const Exploration one = explore_text(kRace, 5);
  const Exploration two = explore_text(kRace, 5);
  EXPECT_EQ(one.runs, two.runs);
  EXPECT_EQ(one.turns, two.turns);
  EXPECT_EQ(one.end_states, two.end_states);
}

/// Two vCPUs that each pre-fault a page of one file.
constexpr std::string_view kTwoFaults =
    "create_vm type=sw_protected\n"
    "create_guest_memfd\n"
    "set_memory_region flags=guest_memfd size=2M gmem=0\n"
    "set_memory_attributes size=8K attributes=private\n"
    "create_vcpu\n"
    "create_vcpu vcpu=1\n"
    "@vcpu0 pre_fault_memory size=4K\n"
    "@vcpu1 pre_fault_memory gpa=4K size=4K\n";

TEST(Explore, SleepSetsLeaveOutNothing) {
  auto model = model::ModelBackend::open(default_profile(kDefaultKernel));
  ASSERT_TRUE(model.has_value());
  auto source = ProgramSource::open({parse_text(kTwoFaults, "faults").value()}, 7).value();
  std::uint64_t saved = 0, programs = 0;
  for (int i = 0; i < 150; ++i) {
    const Program& program = source.next();
    const Exploration all = explore(*model, program, {.max_runs = 300, .sleep_sets = false});
    if (!all.complete) continue;
    ++programs;
    ASSERT_EQ(all.unlike, 0u) << format_text(program.setup);
    const Exploration fewer = explore(*model, program, {});
    saved += all.runs - fewer.runs;
    Sequence shown = program.setup;
    shown.steps.insert(shown.steps.end(), program.steps.begin(), program.steps.end());
    ASSERT_EQ(all.end_states, fewer.end_states) << format_text(shown);
    ASSERT_LE(fewer.runs, all.runs);
    ASSERT_EQ(all.found.size(), fewer.found.size()) << format_text(shown);
    ASSERT_FALSE(all.has_finding()) << format_text(all.found.front().sequence);
  }
  EXPECT_GT(programs, 50u);
  EXPECT_GT(saved, 0u);
  RecordProperty("saved", std::to_string(saved));
}

TEST(Explore, SleepSetsSaveRuns) {
  const Exploration all = explore_text(kTwoFaults, 7, {.sleep_sets = false});
  const Exploration fewer = explore_text(kTwoFaults, 7);
  EXPECT_TRUE(all.complete);
  EXPECT_TRUE(fewer.complete);
  EXPECT_EQ(all.left_out, 0u);
  EXPECT_GT(fewer.left_out, 0u);
  EXPECT_LT(fewer.runs, all.runs);
  EXPECT_EQ(fewer.end_states, all.end_states);
}

TEST(Explore, InterleavingsOfTheRegressionsFindNothingAndReplay) {
  const auto regressions = read_corpus(std::string(SLUICE_SOURCE_DIR) + "/corpora", "regressions");
  ASSERT_TRUE(regressions.has_value()) << regressions.error().message();
  unsigned programs = 0, replayed = 0;
  for (const NamedSequence& named : *regressions) {
    const auto program = program_of(named.sequence, named.name, {});
    if (!program) continue;
    auto model = open_model_for(named.sequence);
    ASSERT_TRUE(model.has_value());
    const Exploration result = explore(*model, *program, {.preemptions = 2, .max_runs = 60});
    ++programs;
    EXPECT_EQ(result.unlike, 0u) << named.name;
    EXPECT_FALSE(result.has_finding()) << named.name << "\n"
                                       << format_text(result.found.back().sequence);
    for (const ExploreFinding& one : result.found) {
      const Verdict verdict = run_sequence(*model, one.sequence, {.file = "again"});
      EXPECT_TRUE(verdict.known_upstream.has_value()) << format_text(one.sequence);
      ++replayed;
    }
  }
  EXPECT_GT(programs, 60u);
  EXPECT_GT(replayed, 5u);
}

}  // namespace
}  // namespace sluice::run
