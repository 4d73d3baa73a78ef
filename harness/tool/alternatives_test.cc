// sluice alternatives as its user meets it: the table, its JSON, the search, and wrong input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "ops/files.h"
#include "tool/command.h"
#include "tool/test_folder.h"

namespace sluice::tool {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class AlternativesTool : public ::testing::Test {
 protected:
  Answer sluice(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {SLUICE_PROGRAM, "alternatives"});
    return folder_.run(arguments);
  }
  void expect_refused(const std::vector<std::string>& arguments, const std::string& why) {
    const Answer answer = sluice(arguments);
    EXPECT_EQ(answer.status, kUsage) << answer.text;
    EXPECT_THAT(answer.text, HasSubstr(why));
  }
  const std::string corpus_ = std::string(SLUICE_SOURCE_DIR) + "/corpora/alternatives";
  const TestFolder folder_{::testing::TempDir() + "sluice_alternatives_tool_" +
                           ::testing::UnitTest::GetInstance()->current_test_info()->name()};
};

TEST_F(AlternativesTool, PrintsALineForEachValueOfAnAxis) {
  const Answer answer = sluice({"--axis", "direct_map", "--corpus", corpus_});
  EXPECT_EQ(answer.status, kFine) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("split (default)"));
  EXPECT_THAT(answer.text, HasSubstr("broken: H2 host.lives"));
  EXPECT_THAT(answer.text, HasSubstr("direct_map/leave.ops"));
  EXPECT_THAT(answer.text, HasSubstr("nothing found in"));
}

TEST_F(AlternativesTool, JsonHasEveryCountAndIsTheSameEveryTime) {
  const auto table = [&] {
    const Answer answer = sluice({"--axis", "direct_map", "--corpus", corpus_, "--json"});
    EXPECT_EQ(answer.status, kFine) << answer.text;
    return nlohmann::json::parse(answer.text.substr(answer.text.find("[\n")));
  };
  const auto json = table();
  ASSERT_EQ(json.size(), 6u);
  EXPECT_EQ(json[0]["value"], "split");
  EXPECT_EQ(json[0]["default"], true);
  EXPECT_EQ(json[0]["of_default"], 1.0);
  EXPECT_GT(json[0]["counts"]["rmpupdate"], 0);
  EXPECT_EQ(json[1]["snp"]["invariant"], "H2 host.lives");
  EXPECT_TRUE(json[1]["tdx"].is_null());
  EXPECT_TRUE(json[1]["nanoseconds_a_page"].is_null()) << "the host dies on the way";
  EXPECT_EQ(table(), json);
}

TEST_F(AlternativesTool, PricesCanBeTheHostsOwn) {
  const std::string free =
      folder_.file("free.costs",
                   "nested_fault = 0\nuser_exit=0\nsystem_call=0\n"
                   "fault_try=0\nrmpupdate=0\npsmash=0\npvalidate=0\n"
                   "tlb_flush=0\ndirect_map_split=0\ncache_flush=0\n"
                   "entry=0\nshot_processor=0\ninvalidation=0\nlock=0\nwalk=0\npage_store=0\n"
                   "direct_map_flush = 64 # each\n");
  const Answer answer = sluice({"--axis", "direct_map", "--corpus", corpus_, "--costs", free});
  EXPECT_EQ(answer.status, kFine) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("128 ns"));  // unmap: two flushes a page
}

TEST_F(AlternativesTool, ASearchFindsFromNothingWhatItThenShows) {
  const std::string found = folder_.path() + "/found";
  const Answer search = sluice({"--axis", "premap_mode", "--corpus", corpus_, "--search", found,
                                "--seed", "2", "--sequences", "4000"});
  EXPECT_EQ(search.status, kFine) << search.text;
  EXPECT_THAT(search.text, HasSubstr("premap_mode=reject: nothing in 4000 sequences"));
  ASSERT_TRUE(fs::exists(found + "/premap_mode/switch_mmu.ops")) << search.text;
  const Answer table = sluice({"--axis", "premap_mode", "--corpus", found});
  EXPECT_EQ(table.status, kFine) << table.text;
  EXPECT_THAT(table.text, HasSubstr("found/premap_mode/switch_mmu.ops"));
  EXPECT_THAT(table.text, HasSubstr("broken: "));
}

TEST_F(AlternativesTool, AStaleCounterexampleIsInconclusive) {
  folder_.file("direct_map.leave", "");
  fs::create_directories(folder_.path() + "/direct_map");
  folder_.file("direct_map/leave.ops", "# policy: direct_map=leave\ncreate_vm\n");
  const Answer answer = sluice({"--axis", "direct_map", "--corpus", folder_.path()});
  EXPECT_EQ(answer.status, kInconclusive) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("STALE: nothing is found any more"));
}

TEST_F(AlternativesTool, WrongInputIsNamed) {
  expect_refused({"--axis", "color"}, "no alternatives are known of 'color'");
  expect_refused({"--corpus", folder_.path() + "/none"}, "is no folder");
  expect_refused({"--corpus", corpus_, "--costs", folder_.path() + "/none"}, "No such file");
  expect_refused({"--corpus", corpus_, "--costs", folder_.file("x.costs", "lock = 1\nluck = 2\n")},
                 "x.costs:2: nothing is called 'luck'");
  expect_refused({"--runs", "0"}, "--runs");
  expect_refused({"--search", folder_.file("plain", ""), "--sequences", "1"}, "--search");
}

}  // namespace
}  // namespace sluice::tool
