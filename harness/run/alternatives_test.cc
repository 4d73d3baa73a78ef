// The table of alternatives: each value has something that shows it, what is found is found again,
// and what is shown follows from running it.
#include "run/alternatives.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "ops/files.h"
#include "ops/text.h"
#include "run/fuzz_run.h"

namespace sluice::run {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

const std::string kCorpora = std::string(SLUICE_SOURCE_DIR) + "/corpora";
const AlternativeFolders kCheckedIn{.counterexamples = kCorpora + "/alternatives",
                                    .tours = kCorpora + "/tours"};

Alternative alternative(std::string_view axis, std::string_view value) {
  for (const Alternative& one : all_alternatives()) {
    if (one.axis_name() == axis && one.value_name() == value) return one;
  }
  ADD_FAILURE() << axis << '=' << value;
  return {};
}

AlternativeShown shown(const AlternativeFolders& folders, const Alternative& one,
                       const ShowOptions& options = {.preemptions = 2, .max_runs = 200},
                       Flavor flavor = Flavor::kPlain) {
  const auto result = show_alternative(folders, one, flavor, options);
  EXPECT_TRUE(result.has_value()) << result.error();
  return result.value_or(AlternativeShown{});
}

class Folder {
 public:
  Folder() { fs::create_directories(path_); }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  void write(const std::string& name, std::string_view text) const {
    fs::create_directories(fs::path(path_ + "/" + name).parent_path());
    std::ofstream(path_ + "/" + name) << text;
  }
  AlternativeFolders folders() const {
    return {.counterexamples = path_ + "/counterexamples", .tours = path_ + "/tours"};
  }

 private:
  std::string path_ = ::testing::TempDir() + "sluice_alternatives_" +
                      ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST(Alternatives, EveryValueHasSomethingThatShowsItOfEachKindOfGuest) {
  for (const Alternative& one : all_alternatives()) {
    for (const Flavor flavor : {Flavor::kPlain, Flavor::kTdx}) {
      if (!one.is_of(flavor)) continue;
      const AlternativeShown result =
          shown(kCheckedIn, one, {.preemptions = 1, .max_runs = 20}, flavor);
      EXPECT_TRUE(result.verdict == AlternativeVerdict::kBroken ||
                  result.verdict == AlternativeVerdict::kNothingFound)
          << one.axis_name() << '=' << one.value_name() << ": " << name_of(result.verdict) << ' '
          << result.reason;
      EXPECT_TRUE(!one.is_default() || result.verdict == AlternativeVerdict::kNothingFound)
          << one.axis_name() << " as mainline has it: " << result.invariant;
    }
  }
}

/// Each checked-in counterexample breaks what it says, and not without its alternative.
TEST(Alternatives, CounterexamplesNeedTheirAlternative) {
  auto run = FuzzRun::open(default_profile(kDefaultKernel));
  ASSERT_TRUE(run.has_value());
  std::size_t seen = 0;
  for (const Alternative& one : all_alternatives()) {
    for (const Flavor flavor : {Flavor::kPlain, Flavor::kTdx}) {
      const std::string path = counterexample_path(kCheckedIn.counterexamples, one, flavor);
      if (!fs::exists(path)) continue;
      ++seen;
      auto sequence = read_sequence(path);
      ASSERT_TRUE(sequence.has_value()) << path;
      const auto found = run->run(*sequence);
      ASSERT_TRUE(found.has_value()) << path;
      EXPECT_EQ(found->finding.name(), sequence->notes.finds) << path;
      PolicySet& policy = sequence->header.policy;
      set_policy_value(policy, one.axis, policy_value(PolicySet{}, one.axis));
      if (!why_invalid(policy).empty()) policy = with_mainline_kernel(policy);
      EXPECT_FALSE(run->run(*sequence).has_value()) << path << " as mainline has it";
    }
  }
  // Each file is of some value, and there is none that nobody looks at.
  const auto is_file = [](const fs::directory_entry& entry) { return entry.is_regular_file(); };
  const fs::recursive_directory_iterator files(kCheckedIn.counterexamples);
  EXPECT_EQ(seen, static_cast<std::size_t>(std::ranges::count_if(files, is_file)));
  EXPECT_GE(seen, 22u);
}

TEST(Alternatives, ADeadHostIsFoundFromNothing) {
  const Alternative leave = alternative("direct_map", "leave");
  for (const std::uint64_t seed : {1u, 2u}) {
    const auto found =
        find_counterexample(leave, Flavor::kPlain, {.seed = seed, .sequences = 20000, .tours = {}});
    ASSERT_TRUE(found.has_value()) << found.error().message();
    ASSERT_TRUE(found->has_value()) << seed;
    const Sequence& small = **found;
    EXPECT_LE(small.steps.size(), 12u);
    auto run = FuzzRun::open(default_profile(kDefaultKernel));
    ASSERT_TRUE(run.has_value());
    const auto again = run->run(small);
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->finding.name(), small.notes.finds);
  }
}

/// Without the counterexamples the tours show the same of each value.
TEST(Alternatives, ToursTellSoundWaysOfHoldingAPageFromUnsoundOnes) {
  for (const Flavor flavor : {Flavor::kPlain, Flavor::kTdx}) {
    const auto verdict = [&](std::string_view axis, std::string_view value) {
      return shown({.tours = kCheckedIn.tours}, alternative(axis, value),
                   {.preemptions = 2, .max_runs = 1000}, flavor)
          .verdict;
    };
    for (const char* const value : {"none", "convert_back", "mapped_set"})
      EXPECT_EQ(verdict("host_fault", value), AlternativeVerdict::kBroken) << value;
    for (const char* const value : {"upm", "upm_no_direct_map", "mapped_set_gup", "folio_ref"})
      EXPECT_EQ(verdict("host_fault", value), AlternativeVerdict::kNothingFound) << value;
    for (const char* const value : {"sleep", "unlocked"})
      EXPECT_EQ(verdict("mapped_set_lock", value), AlternativeVerdict::kBroken) << value;
    EXPECT_EQ(verdict("mapped_set_lock", "spin"), AlternativeVerdict::kNothingFound);
  }
}

TEST(Alternatives, WhatOnlyItsTourShowsIsFoundThere) {
  const Alternative unlocked = alternative("mapped_set_lock", "unlocked");
  const auto found = find_counterexample(unlocked, Flavor::kPlain,
                                         {.seed = 1, .sequences = 100, .tours = kCheckedIn.tours});
  ASSERT_TRUE(found.has_value()) << found.error().message();
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->notes.finds, "host.lives");
}

/// Of a way that breaks every VM, too.
TEST(Alternatives, WhatIsFoundOnATdStaysOne) {
  const auto found = find_counterexample(alternative("mapped_set_lock", "sleep"), Flavor::kTdx,
                                         {.seed = 1, .sequences = 100, .tours = kCheckedIn.tours});
  ASSERT_TRUE(found.has_value() && found->has_value());
  const auto is_td = [](const Step& step) {
    const auto* const create = std::get_if<CreateVm>(&step.op);
    return create != nullptr && create->type == VmType::kTdx;
  };
  EXPECT_TRUE(std::ranges::any_of((*found)->steps, is_td)) << format_text(**found);
}

TEST(Alternatives, MainlineIsNotFoundBroken) {
  const auto found = find_counterexample(alternative("direct_map", "split"), Flavor::kPlain,
                                         {.seed = 1, .sequences = 2000, .tours = {}});
  ASSERT_TRUE(found.has_value()) << found.error().message();
  EXPECT_FALSE(found->has_value());
}

TEST(Alternatives, WhatNoFileShowsIsNotShown) {
  const Folder folder;
  EXPECT_EQ(shown(folder.folders(), alternative("direct_map", "leave")).verdict,
            AlternativeVerdict::kNotShown);
}

TEST(Alternatives, ACounterexampleThatShowsNothingIsStale) {
  const Folder folder;
  folder.write("counterexamples/direct_map/leave.ops", "# policy: direct_map=leave\ncreate_vm\n");
  folder.write("counterexamples/direct_map/unmap.ops", "create_vm\n");
  const AlternativeShown leave = shown(folder.folders(), alternative("direct_map", "leave"));
  EXPECT_EQ(leave.verdict, AlternativeVerdict::kStale);
  EXPECT_THAT(leave.reason, HasSubstr("nothing is found"));
  const AlternativeShown unmap = shown(folder.folders(), alternative("direct_map", "unmap"));
  EXPECT_EQ(unmap.verdict, AlternativeVerdict::kStale);
  EXPECT_THAT(unmap.reason, HasSubstr("direct_map=unmap"));
}

TEST(Alternatives, AFileThatIsNoSequenceIsAnError) {
  const Folder folder;
  folder.write("counterexamples/direct_map/leave.ops", "frobnicate\n");
  folder.write("tours/direct_map.ops", "create_vm\n");
  const auto error = [&](std::string_view value) {
    const auto result =
        show_alternative(folder.folders(), alternative("direct_map", value), Flavor::kPlain, {});
    return result ? std::string() : result.error();
  };
  EXPECT_THAT(error("leave"), HasSubstr("leave.ops:1:1: unknown operation"));
  EXPECT_THAT(error("split"), HasSubstr("tours/direct_map.ops"));
}

}  // namespace
}  // namespace sluice::run
