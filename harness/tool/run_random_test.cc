// `sluice run --random` as its user meets it: the refusal, the repetition, the figures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "ops/files.h"
#include "tool/command.h"
#include "tool/programs.h"
#include "tool/progress.h"
#include "tool/run_session.h"
#include "tool/sandbox.h"

namespace sluice::tool {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

struct Answer {
  int status = -1;
  std::string out{};
};
Answer sluice(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), SLUICE_PROGRAM);
  const auto finished = run_program(arguments, {.capture = true});
  if (!finished) return {};
  return {.status = finished->status, .out = finished->out};
}
Answer sluice_with_errors(const std::string& arguments) {
  const auto finished =
      run_program({"/bin/sh", "-c", SLUICE_PROGRAM " " + arguments + " 2>&1"}, {.capture = true});
  if (!finished) return {};
  return {.status = finished->status, .out = finished->out};
}

std::string fresh_folder(const std::string& parent, const std::string& name) {
  const std::string path = parent + "/sluice_random_test_" + std::to_string(::getpid()) + name;
  fs::remove_all(path);
  fs::create_directories(path);
  return path;
}

TEST(RandomOnAKernel, IsRefusedOutsideALaneGuest) {
  if (why_no_lane_guest().empty()) GTEST_SKIP() << "this is a lane guest";
  for (const char* const backend : {"kvm", "both"}) {
    const Answer answer = sluice_with_errors(std::string("run --random 5 --backend ") + backend);
    EXPECT_EQ(answer.status, kUsage) << answer.out;
    EXPECT_THAT(answer.out, HasSubstr("refused outside a lane guest"));
    EXPECT_THAT(answer.out, HasSubstr("takes this machine with it"));
    EXPECT_THAT(answer.out, HasSubstr("--on-this-host"));
    EXPECT_THAT(answer.out, HasSubstr("lane/settings is not there"));
  }
}

TEST(Sandbox, ALaneGuestHasTheLanesSettingsInMemory) {
  // Where the kernel keeps files in memory, as a lane guest's root is.
  constexpr const char* kMemory = "/dev/shm";
  const std::string probe = fresh_folder(kMemory, "_probe");
  if (!fs::exists(probe)) GTEST_SKIP() << "no /dev/shm here";
  fs::remove_all(probe);

  const std::string root = fresh_folder(kMemory, "_guest");
  EXPECT_THAT(why_no_lane_guest(root), HasSubstr("is not there"));
  fs::create_directories(root + "/lane");
  ASSERT_TRUE(write_file(root + "/lane/settings", "limit=5\n"));
  EXPECT_THAT(why_no_lane_guest(root), HasSubstr("is not the lane's"));
  ASSERT_TRUE(write_file(root + "/lane/settings", "token=00ff\nlimit=5\n"));
  EXPECT_EQ(why_no_lane_guest(root), "");
  fs::remove_all(root);
}

TEST(Sandbox, AMarkerOnADiskMakesNoLaneGuest) {
  const std::string root = fresh_folder(fs::path(SLUICE_PROGRAM).parent_path(), "_disk");
  fs::create_directories(root + "/lane");
  ASSERT_TRUE(write_file(root + "/lane/settings", "token=00ff\nlimit=5\n"));
  const std::string reason = why_no_lane_guest(root);
  fs::remove_all(root);
  if (reason.empty()) GTEST_SKIP() << "the build folder is in memory, too";
  EXPECT_THAT(reason, HasSubstr("is not the memory it was booted into"));
}

TEST(RandomOnTheModel, RepeatsItselfAndCounts) {
  const auto run = [](const std::string& seed) {
    const Answer answer = sluice({"run", "--random", "120", "--seed", seed, "--json"});
    EXPECT_EQ(answer.status, kFine) << answer.out;
    nlohmann::json report = nlohmann::json::parse(answer.out, nullptr, false);
    EXPECT_TRUE(report.is_object()) << answer.out;
    report["random"].erase("seconds");
    return report;
  };
  const nlohmann::json first = run("5");
  EXPECT_EQ(first, run("5"));
  EXPECT_NE(first["random"]["by_operation"], run("6")["random"]["by_operation"]);
  const nlohmann::json& random = first["random"];
  EXPECT_EQ(random["sequences"], 120);
  EXPECT_GT(random["acted"], random["operations"].get<std::uint64_t>() / 2);
  EXPECT_GT(random["answers"], 50);
  EXPECT_TRUE(random["found"].empty());
  std::uint64_t sum = 0;
  for (const auto& counts : random["by_operation"])
    sum += counts["operations"].get<std::uint64_t>();
  EXPECT_EQ(random["operations"], sum);
  std::uint64_t sequences = 0;
  for (const auto& scopes : random["by_kernel"])
    sequences += scopes["host"].get<std::uint64_t>() + scopes["machine"].get<std::uint64_t>();
  EXPECT_EQ(random["sequences"], sequences);
  EXPECT_GT(random["by_kernel"].size(), 1u);
}

TEST(RandomOnTheModel, OneIn64RunsTwiceToTheSameState) {
  const Answer answer = sluice({"run", "--random", "130", "--first", "1", "--seed", "5", "--json"});
  EXPECT_EQ(answer.status, kFine) << answer.out;
  const nlohmann::json report = nlohmann::json::parse(answer.out, nullptr, false);
  EXPECT_EQ(report["random"]["ran_twice"], 2) << "numbers 64 and 128";
  EXPECT_EQ(report["random"]["known_upstream"], 0);
}

TEST(RandomOnTheModel, RacesAreOtherSequencesAndFindNothingEither) {
  const Answer plain = sluice({"run", "--random", "500", "--seed", "3"});
  const Answer races = sluice({"run", "--random", "500", "--seed", "3", "--races"});
  EXPECT_EQ(races.status, kFine) << races.out;
  EXPECT_NE(races.out, plain.out);
  EXPECT_EQ(sluice_with_errors("run --random 5 --races --backend both --on-this-host").status,
            kUsage);
}

TEST(RandomOnTheModel, NoSequenceIsLongerThanAskedFor) {
  const auto operations = [](const std::string& length) {
    const Answer answer =
        sluice({"run", "--random", "400", "--seed", "3", "--length", length, "--json"});
    EXPECT_EQ(answer.status, kFine) << answer.out;
    const nlohmann::json report = nlohmann::json::parse(answer.out, nullptr, false);
    return report["random"]["operations"].get<std::uint64_t>();
  };
  EXPECT_EQ(operations("1"), 400u);
  EXPECT_GT(operations("5"), 400u);
  EXPECT_LE(operations("5"), 2000u);
  EXPECT_GT(operations("64"), operations("5"));
  EXPECT_EQ(sluice({"run", "--random", "1", "--length", "65"}).status, kUsage);
  EXPECT_EQ(sluice({"run", "--random", "1", "--length", "0"}).status, kUsage);
}

TEST(RandomOnTheModel, ASequenceCanBeRunByItsNumber) {
  const auto operations = [](const char* first, const char* count) {
    const Answer answer =
        sluice({"run", "--random", count, "--first", first, "--seed", "9", "--json"});
    const nlohmann::json report = nlohmann::json::parse(answer.out, nullptr, false);
    EXPECT_TRUE(report.is_object()) << answer.out;
    return report["random"]["operations"].get<std::uint64_t>();
  };
  EXPECT_EQ(operations("0", "30") + operations("30", "20"), operations("0", "50"));
}

TEST(RandomOnTheModel, PeopleSeeTheShareThatActed) {
  const std::string out = fresh_folder(::testing::TempDir(), "_out");
  const Answer answer = sluice_with_errors("run --random 50 --out " + out);
  EXPECT_EQ(answer.status, kFine) << answer.out;
  EXPECT_THAT(answer.out, HasSubstr("50 sequences: 50 passed"));
  EXPECT_THAT(answer.out, HasSubstr("different answers of the model"));
  EXPECT_THAT(answer.out, HasSubstr("25 of 50 sequences"));
  EXPECT_TRUE(fs::is_empty(out)) << "nothing was found, and nothing runs any more";
  fs::remove_all(out);
}

TEST(RandomRows, ThatCannotBeWrittenAreRefusedBeforeTheRun) {
  const Answer alone = sluice_with_errors("run --random 5 --rows rows.jsonl");
  EXPECT_EQ(alone.status, kUsage);
  EXPECT_THAT(alone.out, HasSubstr("the model alone has none"));
  EXPECT_FALSE(fs::exists("rows.jsonl"));
  const Answer nowhere =
      sluice_with_errors("run --random 5 --backend both --on-this-host --rows /nowhere/rows.jsonl");
  EXPECT_EQ(nowhere.status, kUsage);
  EXPECT_THAT(nowhere.out, HasSubstr("/nowhere/rows.jsonl"));
  EXPECT_EQ(nowhere.out.find("operation"), std::string::npos) << nowhere.out;
  const Answer fuzzed =
      sluice_with_errors("fuzz fuzz_sequence --time 1 --rows /nowhere/rows.jsonl");
  EXPECT_EQ(fuzzed.status, kUsage);
  EXPECT_THAT(fuzzed.out, HasSubstr("/nowhere/rows.jsonl"));
}

TEST(RandomRows, TheDrawStandsInTheRow) {
  Session session;
  session.tally_of["kvm"].sequences = 40;
  EXPECT_FALSE(differential_row(session).random.has_value()) << "files have no seed";
  session.random = RandomReport{.seed = 77, .first = 100, .sequences = 40};
  session.ops[0] = {.steps = 6, .acted = 5};
  session.ops[1] = {.steps = 4, .acted = 1};
  const record::DifferentialRow row = differential_row(session);
  EXPECT_EQ(row.random,
            (record::RandomDraw{.seed = 77, .first = 100, .count = 40, .acting_share = 0.6}));
  EXPECT_EQ(row.sequences, 40u);
}

TEST(Progress, SaysRateAndWhatIsLeft) {
  EXPECT_EQ(progress_line(500, 2000, "sequences", 2.0),
            "500 of 2000 sequences, 250 a second, 6 s left");
  EXPECT_EQ(progress_line(1000, 100000, "sequences", 10.0),
            "1000 of 100000 sequences, 100 a second, 16 min 30 s left");
  EXPECT_EQ(progress_line(2000, 2000, "sequences", 4.0), "2000 of 2000 sequences, 500 a second");
  EXPECT_EQ(progress_line(0, 10, "files", 0.0), "0 of 10 files, 0 a second");
}

}  // namespace
}  // namespace sluice::tool
