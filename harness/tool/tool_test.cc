// The command line as its user meets it: wrong input is answered by what, where and what to do,
// with status 3, and nothing that was there is overwritten.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "ops/files.h"
#include "tool/command.h"
#include "tool/test_folder.h"
#include "trace/capability.h"

namespace sluice::tool {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* kGood = "create_vm vm=0 type=default => ok\n";
constexpr std::size_t kMaxOutput = std::size_t{1} << 20;

class Tool : public ::testing::Test {
 protected:
  std::string file(const std::string& name, std::string_view contents) {
    return folder_.file(name, contents);
  }
  Answer sluice(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), SLUICE_PROGRAM);
    return folder_.run(arguments);
  }
  void expect_refused(const std::vector<std::string>& arguments, const std::string& why) {
    const Answer answer = sluice(arguments);
    EXPECT_EQ(answer.status, kUsage) << answer.text;
    EXPECT_THAT(answer.text, HasSubstr(why));
  }
  const TestFolder folder_{::testing::TempDir() + "sluice_tool_test_" +
                           ::testing::UnitTest::GetInstance()->current_test_info()->name()};
  const std::string& root_ = folder_.path();
};

TEST_F(Tool, UnknownWordsAreNamed) {
  expect_refused({"frobnicate"}, "unknown command 'frobnicate'; known are: doctor, list, run");
  expect_refused({}, "subcommand is required");
  expect_refused({"run", "--frob"}, "--frob");
  expect_refused({"list", "things"}, "things");
  expect_refused({"run", "--random", "-5"}, "--random");
  expect_refused({"run", "--random", "many"}, "many");
  expect_refused({"run", "--random", "3", "--policy", "pace=fast"}, "unknown policy axis 'pace'");
  expect_refused({"run", "--backend", "cloud"}, "cloud");
  expect_refused({"run"}, "files or directories");
}

TEST_F(Tool, BadSequencesAreRefusedWithTheirPlace) {
  const auto refused = [this](std::string_view contents, const std::string& why) {
    expect_refused({"run", file("bad.ops", contents)}, why);
  };
  refused("create_vm\nfrob x=1\n", "bad.ops:2:1: unknown operation 'frob'");
  refused("create_vm color=1\n", "bad.ops:1:11: 'create_vm' has no field 'color'");
  refused("create_vm type=old\n", "bad.ops:1:16: type: 'old' is not a VM type");
  refused("create_vm => EWHAT\n", "bad.ops:1: 'EWHAT' is no outcome");
  refused("# kernel: 2.4\ncreate_vm\n", "bad.ops:1:11: '2.4' is not a modeled kernel");
  refused("# requires: cap=warp\ncreate_vm\n", "'cap=warp' is no requirement");
  refused(std::string_view("\x7f"
                           "ELF\0\0",
                           6),
          "bad.ops:1:1: byte 0x7f is not text");
  refused("", "no operation in it");
}

/// Two VMM threads that fill a file each.
constexpr const char* kProgram =
    "create_vm type=sw_protected\n"
    "create_guest_memfd\n"
    "create_guest_memfd gmem=1\n"
    "gmem_allocate size=8K\n"
    "@vmm1 gmem_allocate gmem=1 size=8K\n";

TEST_F(Tool, ExploreSaysHowManyInterleavingsThereAre) {
  const std::string program = file("program.ops", kProgram);
  const Answer all = sluice({"explore", program, "--from", "4"});
  EXPECT_EQ(all.status, kFine) << all.text;
  EXPECT_THAT(all.text, HasSubstr("20 interleavings (all), 6 end states"));
  EXPECT_THAT(all.text, HasSubstr("no finding"));
  const Answer few = sluice({"explore", program, "--from", "4", "--preemptions", "0", "--json"});
  EXPECT_EQ(few.status, kFine) << few.text;
  const auto json = nlohmann::json::parse(few.text);
  EXPECT_EQ(json["interleavings"], 2);
  EXPECT_EQ(json["preemptions"], 0);
  EXPECT_EQ(json["complete"], true);
  const Answer some = sluice({"explore", program, "--from", "4", "--runs", "3"});
  EXPECT_EQ(some.status, kInconclusive) << some.text;
  EXPECT_THAT(some.text, HasSubstr("3 interleavings (some "));
}

TEST_F(Tool, ExploreMakesProgramsOfItsOwn) {
  const std::string corpus = file("program.ops", kProgram);
  const auto explored = [&](std::string_view seed, std::string_view runs) {
    const Answer answer = sluice({"explore", corpus, "--random", "20", "--seed", std::string(seed),
                                  "--runs", std::string(runs), "--json"});
    EXPECT_EQ(answer.status, kFine) << answer.text;
    // Behind the lines of progress.
    auto json = nlohmann::json::parse(answer.text.substr(answer.text.find('{')));
    EXPECT_GT(json["seconds"].get<double>(), 0);
    json.erase("seconds");
    return json;
  };
  const auto json = explored("3", "50");
  EXPECT_EQ(json["programs"], 20);
  EXPECT_GT(json["interleavings"], 40);
  EXPECT_LE(json["interleavings"], 20 * 50);
  EXPECT_GT(json["complete"], 0);
  EXPECT_EQ(json, explored("3", "50"));
  EXPECT_NE(json, explored("4", "50"));
  EXPECT_EQ(explored("3", "1")["interleavings"], 20);
  const Answer text = sluice({"explore", "--random", "5"});
  EXPECT_THAT(text.text, HasSubstr("seed 1: 5 programs, "));
  EXPECT_THAT(text.text, HasSubstr("0 kinds of findings"));
}

TEST_F(Tool, ExploreRefusesWhatItsOwnProgramsHaveNoUseFor) {
  const std::string program = file("program.ops", kProgram);
  expect_refused({"explore", program, "--random", "3", "--from", "4"}, "--random makes its own");
  expect_refused({"explore", program + "x", "--random", "3"}, "program.opsx");
  expect_refused({"explore", "--random", "0"}, "--random");
  expect_refused({"explore", "--random", "3", "--out", program}, "--out");
}

TEST_F(Tool, ExploreRefusesWhatIsNoProgram) {
  const std::string program = file("program.ops", kProgram);
  expect_refused({"explore"}, "explore wants one FILE");
  expect_refused({"explore", program, program}, "explore wants one FILE");
  expect_refused({"explore", program}, "program.ops: where the part to explore begins");
  expect_refused({"explore", program, "--from", "5"}, "program.ops:5: only one actor");
  expect_refused({"explore", program, "--from", "9"}, "program.ops:9: no operation there");
  expect_refused({"explore", program, "--from", "4", "--preemptions", "-1"}, "--preemptions");
  expect_refused({"explore", program, "--from", "4", "--policy", "pace=fast"}, "'pace'");
  const Answer lacks = sluice({"explore", file("td.ops",
                                               "# requires: cap=tdx, no=tdx\n"
                                               "create_vm type=default\n"
                                               "create_vcpu park=1\n"
                                               "@vmm1 create_guest_memfd\n")});
  EXPECT_EQ(lacks.status, kInconclusive) << lacks.text;
  EXPECT_THAT(lacks.text, HasSubstr("skipped "));
}

TEST_F(Tool, BadPathsAreRefused) {
  file("readme.txt", kGood);
  expect_refused({"run", root_}, "no .ops file");
  expect_refused({"run", root_ + "/missing.ops"}, "No such file");
  expect_refused({"run", file("huge.ops", std::string(1 << 20, '\n'))}, "huge.ops: has more than");
  if (::geteuid() != 0) {
    const std::string secret = file("secret.ops", kGood);
    fs::permissions(secret, fs::perms::none);
    expect_refused({"run", secret}, "secret.ops: Permission denied");
  }
}

TEST_F(Tool, NothingIsOverwrittenByARefusal) {
  const std::string bad = file("bad.ops", "frob\n");
  const std::string good = file("good.ops", kGood);
  const std::string kept = file("kept", "as it was");
  expect_refused({"encode", bad, "--out", kept}, "unknown operation");
  expect_refused({"decode", good, "--out", kept}, "not the byte form");
  expect_refused({"minimize", good, "--out", kept}, "no finding");
  expect_refused({"encode", good, "--out", root_}, "is a directory");
  EXPECT_EQ(*read_file(kept, kMaxOutput), "as it was");
}

TEST_F(Tool, ADatabaseThatIsNoneStaysAsItIs) {
  const std::string store = file("sluice.db", "not a database, and long enough to be read as one");
  const std::string rows = file("rows.jsonl", "[]\n");
  const std::string site = root_ + "/site";
  expect_refused({"site", "--db", store, "--out", site}, "sluice.db: file is not a database");
  expect_refused({"site", "--db", root_, "--out", site}, "is a directory");
  expect_refused({"site", rows, "--out", site}, "rows.jsonl:1: not a JSON object");
  expect_refused({"compare", rows}, "rows.jsonl:1: not a JSON object");
  EXPECT_THAT(*read_file(store, kMaxOutput), HasSubstr("not a database, and"));
  EXPECT_FALSE(fs::exists(site));
}

TEST_F(Tool, AFullStandardOutputIsSaid) {
  const auto finished = run_program({"/bin/sh", "-c", SLUICE_PROGRAM " list checks >/dev/full"},
                                    {.capture = false, .output_file = root_ + "/log"});
  ASSERT_TRUE(finished.has_value());
  EXPECT_EQ(finished->status, kUsage);
  EXPECT_THAT(*read_file(root_ + "/log", kMaxOutput), HasSubstr("No space left"));
}

TEST_F(Tool, DoctorSaysWhatEveryMissingCapabilityCosts) {
  const Answer answer = sluice({"doctor", "--json"});
  ASSERT_EQ(answer.status, kFine) << answer.text;
  const auto report = nlohmann::json::parse(answer.text, nullptr, false);
  ASSERT_TRUE(report.is_object()) << answer.text;
  std::size_t found = 0;
  for (const auto& skipped : report["skipped"]) {
    const auto capability = find_capability(skipped["capability"].get<std::string>());
    ASSERT_TRUE(capability.has_value()) << skipped;
    EXPECT_FALSE(skipped["skipped"].get<std::string>().empty()) << skipped;
    // Raw RMP instructions and stopping inside an operation exist in the model only.
    found += *capability == Capability::kRmpInstructions || *capability == Capability::kParking;
  }
  EXPECT_EQ(found, 2u);
}

TEST(Programs, WhatAProgramLeavesBehindIsWaitedForAndItsWorkCounted) {
  adopt_orphans();
  const auto parent = run_program(
      {"sh", "-c", "(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done) >/dev/null & exit 7"});
  ASSERT_TRUE(parent) << parent.error().message();
  EXPECT_EQ(parent->status, 7);
  EXPECT_GT(reap_orphans(), parent->cpu_seconds) << "the loop is its work, not the shell's";
  EXPECT_EQ(reap_orphans(), 0.0) << "nothing is left";
}

}  // namespace
}  // namespace sluice::tool
