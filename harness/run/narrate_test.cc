#include "run/narrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/files.h"
#include "ops/text.h"

namespace sluice::run {
namespace {

Sequence counterexample(const std::string& name) {
  auto sequence = read_sequence(std::string(SLUICE_SOURCE_DIR) + "/corpora/alternatives/" + name);
  EXPECT_TRUE(sequence) << sequence.error().message();
  return sequence.value_or(Sequence{});
}

TEST(Narrate, TellsEachAnswerAndTheFindingBehindTheLast) {
  const Sequence sequence = counterexample("direct_map/leave.ops");
  const auto told = narrate(sequence);
  ASSERT_TRUE(told) << told.error().message();
  ASSERT_EQ(told->steps.size(), sequence.steps.size());
  EXPECT_EQ(told->steps.front().operation, "create_vm type=snp");
  EXPECT_EQ(told->steps.front().answer, "ok");
  ASSERT_TRUE(told->found);
  EXPECT_EQ(told->found->finding.name(), "host.lives");
  EXPECT_FALSE(told->at_end());
}

TEST(Narrate, SaysThatWhoWasParkedWentOnAtTheEnd) {
  const auto told = narrate(counterexample("host_fault/none.ops"));
  ASSERT_TRUE(told) << told.error().message();
  EXPECT_EQ(told->steps[told->steps.size() - 2].answer, "parked");
  EXPECT_TRUE(told->at_end());
}

TEST(Narrate, ASoundSequenceHasAnAnswerForEachStepAndNoFinding) {
  const auto sequence = parse_text("create_vm type=snp\ncreate_vcpu vm=1\n", "test.ops");
  ASSERT_TRUE(sequence) << sequence.error().message();
  const auto told = narrate(*sequence);
  ASSERT_TRUE(told) << told.error().message();
  ASSERT_EQ(told->steps.size(), 2u);
  EXPECT_THAT(told->steps[1].answer, ::testing::StartsWith("skip"));
  EXPECT_FALSE(told->found);
  EXPECT_FALSE(told->at_end());
}

}  // namespace
}  // namespace sluice::run
