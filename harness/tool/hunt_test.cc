// sluice hunt: what it says where there is nothing to hunt, and what it counts where there is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/planted.h"
#include "tool/test_folder.h"

namespace sluice::tool {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class HuntCommandLine : public ::testing::Test {
 protected:
  Answer hunt(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {SLUICE_PROGRAM, "hunt", "--corpus",
                                         std::string(SLUICE_SOURCE_DIR) + "/corpora"});
    return folder_.run(arguments);
  }
  const TestFolder folder_{::testing::TempDir() + "sluice_hunt_test"};
};

TEST_F(HuntCommandLine, NeedsTheBuildWithPlantedBugs) {
  if (model::kPlantedBuild) GTEST_SKIP() << "this is that build";
  const Answer answer = hunt({"--list"});
  EXPECT_EQ(answer.status, 3);
  EXPECT_THAT(answer.text, HasSubstr("ci/build planted"));
}

TEST_F(HuntCommandLine, CountsSequencesWithInterleavingAndWithout) {
  if (!model::kPlantedBuild) GTEST_SKIP() << "no planted bugs in this build";
  const Answer list = hunt({"--list"});
  EXPECT_EQ(list.status, 0);
  EXPECT_THAT(list.text,
              AllOf(HasSubstr("fault_skips_retry_check 1\n"), Not(HasSubstr("punch_skips_zap"))));
  const Answer both = hunt(
      {"fault_skips_retry_check", "--races", "--length", "24", "--seeds", "2", "--limit", "3000"});
  EXPECT_EQ(both.status, 0) << both.text;
  EXPECT_THAT(
      both.text,
      AllOf(HasSubstr("with interleaving: found by 2 of 2 seeds within 3000 sequences"),
            HasSubstr("without: found by 0 of 2 seeds within 3000 sequences; >3000 >3000")));
  const Answer json = hunt({"fault_skips_retry_check", "--races", "--length", "24", "--seeds", "1",
                            "--limit", "3000", "--stops", "on", "--json"});
  EXPECT_THAT(json.text, AllOf(HasSubstr("\"found_anyway\": 0"), HasSubstr("create_vm")));
}

TEST_F(HuntCommandLine, SaysWhatItDidNotFindAndWhatItDoesNotKnow) {
  if (!model::kPlantedBuild) GTEST_SKIP() << "no planted bugs in this build";
  EXPECT_EQ(hunt({"snapshot_taken_late", "--seeds", "1", "--limit", "2"}).status, 2);
  const Answer unknown = hunt({"no_such_bug"});
  EXPECT_EQ(unknown.status, 3);
  EXPECT_THAT(unknown.text, HasSubstr("'no_such_bug' is no planted bug"));
}

}  // namespace
}  // namespace sluice::tool
