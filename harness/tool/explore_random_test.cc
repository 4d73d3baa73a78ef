// What `sluice explore --random` finds it writes, and what it wrote shows it again. On the normal
// model there is nothing to find: in the planted build only.
#ifdef SLUICE_PLANTED
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "model/planted.h"
#include "ops/files.h"
#include "ops/text.h"
#include "run/runner.h"
#include "tool/command.h"
#include "tool/explore_command.h"
#include "tool/test_folder.h"

namespace sluice::tool {
namespace {

using ::testing::HasSubstr;

class ExploreRandom : public ::testing::Test {
 protected:
  void TearDown() override { model::planted_switches() = {}; }
  const TestFolder folder_{::testing::TempDir() + "sluice_explore_random_test"};
};

TEST_F(ExploreRandom, WritesTheFirstOfEachKindSoThatItShowsAgain) {
  ExploreCommand command{.out = folder_.path() + "/found", .random = 40, .seed = 5, .json = true};
  command.in = {folder_.file("program.ops",
                             "create_vm type=sw_protected\n"
                             "create_guest_memfd size=64K\n"
                             "set_memory_region flags=guest_memfd size=64K gmem=0\n"
                             "create_vcpu\n"
                             "set_memory_attributes size=64K attributes=private\n"
                             "pre_fault_memory size=16K\n"
                             "set_memory_attributes size=8K\n"
                             "@vcpu0 guest_access\n")};
  ASSERT_EQ(explore_random(command), kFine);
  EXPECT_TRUE(std::filesystem::is_empty(command.out));

  model::planted_switches() = {.bug = model::Planted::kAttributesSkipZap};
  ASSERT_EQ(explore_random(command), kFinding);
  std::size_t shown = 0;
  for (const auto& entry : std::filesystem::directory_iterator(command.out)) {
    const auto sequence = read_sequence(entry.path().string());
    ASSERT_TRUE(sequence.has_value()) << sequence.error().message();
    EXPECT_THAT(sequence->notes.source, HasSubstr("seed 5, number "));
    auto model = run::open_model_for(*sequence);
    ASSERT_TRUE(model.has_value());
    const run::Verdict verdict = run::run_sequence(*model, *sequence, run::RunOptions{});
    EXPECT_EQ(verdict.kind, run::VerdictKind::kFinding) << entry.path();
    ++shown;
  }
  EXPECT_GE(shown, 1U);
}

}  // namespace
}  // namespace sluice::tool
#endif
