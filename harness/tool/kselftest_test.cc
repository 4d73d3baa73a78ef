// sluice kselftest on made-up tests: what fails, hangs, dies or is skipped is told apart and can
// never pass, and each has its row.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "record/row_file.h"
#include "tool/command.h"
#include "tool/kselftest.h"
#include "tool/test_folder.h"

namespace sluice::tool {
namespace {

using record::TestRow;
using record::TestVerdict;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Kselftest : public ::testing::Test {
 protected:
  struct Ran {
    Answer answer{};
    std::vector<TestRow> rows{};
    std::size_t hosts = 0;
  };
  /// A plan with one line for each pair of limit and shell commands; the programs are t0, t1, ...
  Ran run(const std::vector<std::pair<unsigned, std::string>>& tests) {
    std::string plan;
    for (std::size_t i = 0; i < tests.size(); ++i) {
      const std::string program =
          folder_.script(fmt::format("t{}", i), "#!/bin/sh\n" + tests[i].second + "\n");
      plan += fmt::format("{} {} -n {}\n", tests[i].first, program, i);
    }
    const std::string file = folder_.file("plan", plan), rows = folder_.path("rows.jsonl");
    Ran ran;
    ran.answer = folder_.run({SLUICE_PROGRAM, "kselftest", file, "--suite", "made-up", "--out",
                              folder_.path("logs"), "--rows", rows, "--run", "r1"});
    const auto read = record::read_rows(rows);
    EXPECT_TRUE(read.has_value());
    if (!read) return ran;
    for (const record::Row& row : read->rows) {
      ran.hosts += std::holds_alternative<record::HostRow>(row);
      if (const auto* const test = std::get_if<TestRow>(&row)) ran.rows.push_back(*test);
    }
    return ran;
  }
  const TestFolder folder_{::testing::TempDir() + "sluice_kselftest_test_" +
                           ::testing::UnitTest::GetInstance()->current_test_info()->name()};
};

TEST_F(Kselftest, EachTestHasItsRow) {
  const Ran ran = run({{60, "exit 0"}, {60, "echo '1..0 # SKIP - no such VM'; exit 4"}});
  EXPECT_EQ(ran.answer.status, kFine) << ran.answer.text;
  EXPECT_THAT(ran.answer.text, HasSubstr("2 tests: 1 passed, 0 failed, 1 skipped"));
  EXPECT_EQ(ran.hosts, 1u);
  ASSERT_EQ(ran.rows.size(), 2u);
  EXPECT_EQ(ran.rows[0].verdict, TestVerdict::kPassed);
  EXPECT_EQ(ran.rows[0].name, folder_.path("t0") + " -n 0");
  EXPECT_EQ(ran.rows[0].suite, "made-up");
  EXPECT_EQ(ran.rows[0].head.run, "r1");
  EXPECT_TRUE(ran.rows[0].seconds.has_value());
  EXPECT_EQ(ran.rows[0].reason, "");
  EXPECT_EQ(ran.rows[1].verdict, TestVerdict::kSkipped);
  EXPECT_EQ(ran.rows[1].reason, "no such VM");
}

TEST_F(Kselftest, NothingThatFailsPassesAndTheRestStillRuns) {
  const Ran ran = run({{60,
                        "echo '==== Test Assertion Failure ====' >&2\n"
                        "echo '  lib/kvm_util.c:12: ret == 0' >&2\necho '  more' >&2\nexit 254"},
                       {60, "echo working; kill -SEGV $$"},
                       {1, "echo begun; sleep 600 & sleep 600"},
                       {60, "echo 'not ok 2 private.exits'; echo '# Totals'; exit 1"},
                       {60, "exit 3"},
                       {60, "exit 0"}});
  EXPECT_EQ(ran.answer.status, kFinding) << ran.answer.text;
  EXPECT_THAT(ran.answer.text, HasSubstr("6 tests: 1 passed, 5 failed, 0 skipped"));
  ASSERT_EQ(ran.rows.size(), 6u);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(ran.rows[i].verdict, TestVerdict::kFailed) << i;
  EXPECT_EQ(ran.rows[0].reason, "exit status 254: lib/kvm_util.c:12: ret == 0");
  EXPECT_EQ(ran.rows[1].reason, "ended by signal 11: working");
  EXPECT_EQ(ran.rows[2].reason, "did not end within 1 s; last: begun");
  EXPECT_FALSE(ran.rows[2].seconds.has_value());
  EXPECT_EQ(ran.rows[3].reason, "exit status 1: not ok 2 private.exits");
  EXPECT_EQ(ran.rows[4].reason, "exit status 3");
  EXPECT_EQ(ran.rows[5].verdict, TestVerdict::kPassed);
  EXPECT_THAT(*read_file(folder_.path("logs/t0_-n_0.log"), 4096), HasSubstr("more"));
}

TEST_F(Kselftest, AMissingProgramIsAFailure) {
  const std::string plan = folder_.file("plan", "5 no_such_test -n 2\n");
  const Answer answer =
      folder_.run({SLUICE_PROGRAM, "kselftest", plan, "--out", folder_.path("logs")});
  EXPECT_EQ(answer.status, kFinding);
  EXPECT_THAT(answer.text, StartsWith("FAILED"));
  EXPECT_THAT(answer.text, HasSubstr("start no_such_test"));
}

TEST_F(Kselftest, BadPlansAreRefused) {
  const auto refused = [this](std::string_view plan, const std::string& why) {
    const Answer answer = folder_.run(
        {SLUICE_PROGRAM, "kselftest", folder_.file("plan", plan), "--out", "/dev/null"});
    EXPECT_EQ(answer.status, kUsage);
    EXPECT_THAT(answer.text, HasSubstr(why));
  };
  refused("# only this\n", "plan:1: a plan without a test");
  refused("5 a\nb\n", "plan:2: a line of a plan is LIMIT PROGRAM");
  refused("0 a\n", "plan:1: a line of a plan");
  refused("5 a\n6 a\n", "plan:2: 'a' is there twice");
  refused("5 a\n", "--out /dev/null");
}

TEST(KselftestRules, PlanAndVerdicts) {
  const auto plan = parse_plan("# head\n\n 60  guest_memfd_test # why\n7 a -n 2\n");
  ASSERT_TRUE(plan.has_value());
  ASSERT_EQ(plan->size(), 2u);
  EXPECT_EQ((*plan)[0].name, "guest_memfd_test");
  EXPECT_EQ((*plan)[1].limit_seconds, 7u);
  EXPECT_THAT((*plan)[1].command, ElementsAre("a", "-n", "2"));
  EXPECT_EQ(judge_test(4, "").reason, "exit status 4");
  EXPECT_EQ(judge_test(4, "ok\nneeds hugepages\n").reason, "needs hugepages");
  EXPECT_EQ(judge_test(254, "").reason, "exit status 254");
  EXPECT_EQ(judge_test(0, "not ok").verdict, TestVerdict::kPassed);
  EXPECT_EQ(telling_line(std::string(1000, 'x')).size(), 300u);
}

}  // namespace
}  // namespace sluice::tool
