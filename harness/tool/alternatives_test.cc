// sluice alternatives as its user meets it: the table, its JSON, the search, and wrong input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "ops/files.h"
#include "ops/text.h"
#include "record/row_file.h"
#include "run/cost_table.h"
#include "tool/command.h"
#include "tool/test_folder.h"

namespace sluice::tool {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class AlternativesTool : public ::testing::Test {
 protected:
  Answer sluice(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {SLUICE_PROGRAM, "alternatives", "--tours", tours_});
    return folder_.run(arguments);
  }
  void expect_refused(const std::vector<std::string>& arguments, const std::string& why) {
    const Answer answer = sluice(arguments);
    EXPECT_EQ(answer.status, kUsage) << answer.text;
    EXPECT_THAT(answer.text, HasSubstr(why));
  }
  /// The rows that the arguments have written, without the host's.
  std::vector<record::AlternativeRow> rows(std::vector<std::string> arguments) {
    const std::string file = folder_.path("rows.jsonl");
    arguments.insert(arguments.end(), {"--corpus", corpus_, "--rows", file, "--run", "r7"});
    const Answer answer = sluice(arguments);
    EXPECT_EQ(answer.status, kFine) << answer.text;
    const auto read = record::read_rows(file);
    EXPECT_TRUE(read) << read.error().message();
    fs::remove(file);
    std::vector<record::AlternativeRow> found;
    for (const record::Row& row : read ? read->rows : std::vector<record::Row>{}) {
      if (const auto* one = std::get_if<record::AlternativeRow>(&row)) found.push_back(*one);
    }
    return found;
  }
  const std::string corpus_ = std::string(SLUICE_SOURCE_DIR) + "/corpora/alternatives";
  const std::string tours_ = std::string(SLUICE_SOURCE_DIR) + "/corpora/tours";
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
                   "vmgexit=0\nbyte_zeroed=0\nset_update=0\nframe_reference=0\n"
                   "direct_map_flush = 64 # each\n");
  const Answer answer = sluice({"--axis", "direct_map", "--corpus", corpus_, "--costs", free});
  EXPECT_EQ(answer.status, kFine) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("128 ns"));  // unmap: two flushes a page
}

TEST_F(AlternativesTool, ARowForEachValueSaysWhatTheTableSays) {
  const auto all = rows({"--axis", "direct_map"});
  ASSERT_GE(all.size(), 5u);
  const record::AlternativeRow &split = all[0], &leave = all[1];
  EXPECT_EQ(split.head.run, "r7");
  EXPECT_EQ(split.axis + "=" + split.value, "direct_map=split");
  EXPECT_TRUE(split.is_default);
  EXPECT_EQ(split.policy, "");
  EXPECT_EQ(split.verdict, record::AlternativeVerdict::kNothingFound);
  EXPECT_FALSE(split.counterexample);
  ASSERT_TRUE(split.explored && split.cost);
  EXPECT_GT(split.explored->interleavings, 100u);
  EXPECT_TRUE(split.explored->complete);
  EXPECT_EQ(split.explored->preemptions_max, 2u);
  EXPECT_EQ(split.cost->workload, "convert");
  EXPECT_EQ(split.cost->counts.size(), run::kCostItems);
  EXPECT_EQ(split.cost->of_default, 1.0);
  EXPECT_FALSE(split.cost->prices);

  EXPECT_FALSE(leave.is_default);
  EXPECT_EQ(leave.policy, "direct_map=leave");
  EXPECT_EQ(leave.verdict, record::AlternativeVerdict::kBroken);
  EXPECT_EQ(leave.invariant, "H2 host.lives");
  EXPECT_EQ(leave.file, corpus_ + "/direct_map/leave.ops");
  EXPECT_FALSE(leave.explored);
  ASSERT_TRUE(leave.cost);
  EXPECT_LT(leave.cost->arrived, leave.cost->pages);
  EXPECT_FALSE(leave.cost->nanoseconds_a_page) << "the host dies on the way";
  EXPECT_FALSE(leave.cost->nanoseconds_a_try) << "before the first page";
}

TEST_F(AlternativesTool, ACounterexampleIsInItsRowStepByStep) {
  const auto all = rows({"--axis", "direct_map"});
  ASSERT_GE(all.size(), 5u);
  ASSERT_TRUE(all[1].counterexample);
  const record::Counterexample& shown = *all[1].counterexample;
  const auto sequence = parse_text(shown.text, "row");
  ASSERT_TRUE(sequence) << sequence.error().message();
  ASSERT_EQ(shown.steps.size(), sequence->steps.size());
  for (std::size_t i = 0; i < shown.steps.size(); ++i) {
    EXPECT_EQ(shown.steps[i].operation, format_step(sequence->steps[i]));
    EXPECT_FALSE(shown.steps[i].answer.empty());
  }
  EXPECT_THAT(shown.statement, HasSubstr("never writes to an assigned frame"));
  EXPECT_THAT(shown.finding, HasSubstr("FINDING host.lives (H2)"));
  EXPECT_FALSE(shown.at_end);
}

TEST_F(AlternativesTool, OnATdAValueHasARowOfItsOwnWithoutACost) {
  const auto all = rows({"--axis", "npf_mismatch", "--runs", "20"});
  const auto of = [&all](const std::string& value, const std::string& flavor) {
    return std::ranges::find_if(all, [&](const record::AlternativeRow& row) {
      return row.value == value && row.flavor == flavor;
    });
  };
  ASSERT_NE(of("auto_convert", "tdx"), all.end());
  EXPECT_EQ(of("auto_convert", "tdx")->verdict, record::AlternativeVerdict::kBroken);
  EXPECT_FALSE(of("auto_convert", "tdx")->cost);
  EXPECT_TRUE(of("auto_convert", "plain")->cost);
  ASSERT_NE(of("kill", "plain"), all.end());
  EXPECT_FALSE(of("kill", "plain")->cost->nanoseconds_a_page);
  EXPECT_TRUE(of("kill", "plain")->cost->nanoseconds_a_try) << "no page arrives";
  ASSERT_TRUE(of("exit", "tdx")->explored);
  EXPECT_EQ(of("exit", "tdx")->explored->interleavings_max, 20u);
}

TEST_F(AlternativesTool, RowsAreTheSameEveryTimeButForTheirHead) {
  const auto without_heads = [this] {
    auto all = rows({"--axis", "mapped_set_lock"});
    for (record::AlternativeRow& row : all) row.head = {};
    return all;
  };
  const auto once = without_heads();
  EXPECT_FALSE(once.empty());
  EXPECT_TRUE(once == without_heads());
  EXPECT_EQ(once[0].explored->policy, "backing=fd_in_place,host_fault=mapped_set_gup");
}

TEST_F(AlternativesTool, ASearchFindsFromNothingWhatItThenShows) {
  const std::string found = folder_.path() + "/found";
  const Answer search = sluice({"--axis", "premap_mode", "--corpus", corpus_, "--search", found,
                                "--seed", "2", "--sequences", "4000"});
  EXPECT_EQ(search.status, kFine) << search.text;
  EXPECT_THAT(search.text, HasSubstr("premap_mode=reject: nothing in 4000 random sequences"));
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

TEST_F(AlternativesTool, ToursThatAreNowhereAreNamedAndNoneCanBeWanted) {
  const auto with_tours = [this](const std::string& tours, std::vector<std::string> more) {
    more.insert(more.begin(), {SLUICE_PROGRAM, "alternatives", "--axis", "vmm", "--tours", tours});
    return folder_.run(more);
  };
  const std::string none = folder_.path() + "/none", found = folder_.path() + "/found";
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"--corpus", corpus_}, {"--search", found, "--sequences", "1"}}) {
    const Answer answer = with_tours(none, arguments);
    EXPECT_EQ(answer.status, kUsage) << answer.text;
    EXPECT_THAT(answer.text, HasSubstr("--tours: " + none + " is no folder"));
  }
  EXPECT_THAT(with_tours("", {"--search", found, "--sequences", "1"}).text,
              HasSubstr("0 programs and no tour"));
  const Answer table = with_tours("", {"--corpus", corpus_});
  EXPECT_EQ(table.status, kInconclusive) << table.text;
  EXPECT_THAT(table.text, Not(HasSubstr("nothing found")));
  EXPECT_THAT(table.text, HasSubstr("TDX: not shown"));
}

TEST_F(AlternativesTool, WrongInputIsNamed) {
  expect_refused({"--axis", "color"}, "no alternatives are known of 'color'");
  expect_refused({"--corpus", folder_.path() + "/none"}, "--corpus: ");
  expect_refused({"--corpus", corpus_, "--costs", folder_.path() + "/none"}, "No such file");
  expect_refused({"--corpus", corpus_, "--costs", folder_.file("x.costs", "lock = 1\nluck = 2\n")},
                 "x.costs:2: nothing is called 'luck'");
  expect_refused({"--runs", "0"}, "--runs");
  expect_refused({"--corpus", corpus_, "--rows", folder_.path() + "/none/rows.jsonl"},
                 "none/rows.jsonl for appending rows: No such file or directory; name a file in a "
                 "folder that exists");
  expect_refused({"--search", folder_.path("found"), "--rows", folder_.path("rows.jsonl")},
                 "--rows: a search shows nothing yet");
  expect_refused({"--search", folder_.file("plain", ""), "--sequences", "1"}, "--search");
}

}  // namespace
}  // namespace sluice::tool
