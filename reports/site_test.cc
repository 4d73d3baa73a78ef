#include "reports/site.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>

#include "reports/store.h"
#include "reports/test_rows.h"

namespace sluice::reports {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string text_of_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    count++;
  }
  return count;
}

class SiteTest : public testing::Test {
 protected:
  std::filesystem::path rows_file(const std::string& rows) {
    const auto path = dir_.path() / "in.jsonl";
    std::ofstream(path) << rows;
    return path;
  }
  nlohmann::json data_of(const std::filesystem::path& index) {
    const std::string page = text_of_file(index);
    const std::string begin = "type=\"application/json\" id=\"data\">";
    const std::size_t from = page.find(begin) + begin.size();
    return nlohmann::json::parse(page.substr(from, page.find("</script>", from) - from));
  }
  std::string fuzz_row(int run) {
    nlohmann::json row = common_fields("fuzz", run, kHost);
    row.update({{"name", "fuzz_sequence"},
                {"engine", "afl"},
                {"seconds", 60},
                {"executions", 1000},
                {"executions_per_second", 16.6},
                {"empty_executions_per_second", 20.0},
                {"ratio", 0.83},
                {"target", "F2"},
                {"limit", 0.9},
                {"met", false},
                {"corpus_entries", 10},
                {"features", nullptr},
                {"findings", {{{"invariant", "R4"}, {"file", "out/x.ops"}}}},
                {"acting_share", nullptr},
                {"skipped", nullptr}});
    return row.dump() + "\n";
  }
  std::string differential_row(int run) {
    nlohmann::json row = common_fields("differential", run, kHost);
    row.update({{"backend", "kvm"},
                {"sequences", 3},
                {"compared", {{"errno", 10}, {"exits", 2}}},
                {"uncomparable", {{"rmp", 7}}},
                {"mismatches",
                 {{{"file", "a.ops"},
                   {"line", 4},
                   {"field", "errno"},
                   {"model", "EINVAL"},
                   {"kvm", "ok"}}}},
                {"skipped_steps", {{"ENOTTY", 5}}}});
    return row.dump() + "\n";
  }
  TempDir dir_;
};

TEST_F(SiteTest, WritesAWholeDirectoryAndCountsIt) {
  const auto rows =
      rows_file(host_row(1, kHost, "6.18") + "\n" + benchmark_row({.run = 1, .median = 1.5}) +
                "\n" + benchmark_row({.run = 1, .name = "model/slow", .median = 50}) + "\n" +
                benchmark_row({.run = 1, .name = "kvm/x", .skipped = "no cap"}) + "\n" +
                skip_row(1, "counters", "ENOENT") + "\n" + fuzz_row(1) + differential_row(1));
  const auto made = generate_site({.rows_files = {rows},
                                   .database = dir_.path() / "history.db",
                                   .out_dir = dir_.path() / "a" / "site",
                                   .copy_database = true});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->rows, 7u);
  EXPECT_EQ(made->rows_added, 7u);
  EXPECT_EQ(made->series, 4u);
  EXPECT_EQ(made->targets_met, 1u);
  EXPECT_EQ(made->targets_missed, 2u);
  EXPECT_EQ(made->findings, 1u);
  EXPECT_EQ(made->mismatches, 1u);
  EXPECT_EQ(made->skipped, 2u);
  const auto out = dir_.path() / "a" / "site";
  EXPECT_EQ(count_of(text_of_file(out / "rows.jsonl"), "\n"), 7u);
  EXPECT_TRUE(Store::open_read_only(out / "sluice.db"));

  const auto summary = nlohmann::json::parse(text_of_file(out / "summary.json"));
  EXPECT_EQ(summary["totals"]["benchmarks"]["measured"], 2);
  EXPECT_EQ(summary["totals"]["differential"]["compared"], 12);
  EXPECT_EQ(summary["totals"]["differential"]["uncomparable"], 7);
  EXPECT_EQ(summary["targets"]["unmeasured"][0]["name"], "kvm/x");
  EXPECT_EQ(summary["findings"][0]["invariant"], "R4");
  EXPECT_EQ(summary["mismatches"][0]["line"], 4);
  EXPECT_EQ(summary["skipped"][0]["reason"], "no cap");
  EXPECT_EQ(summary["newest_run"]["host"], kHost);
}

TEST_F(SiteTest, TestsOfOtherSuitesAreShownByTheirNewestRow) {
  const auto rows = rows_file(test_row(1, "a_test", "failed", "exit status 254") + "\n" +
                              test_row(2, "a_test", "passed", "") + "\n" +
                              test_row(2, "a_test -n 2", "failed", "did not end") + "\n" +
                              test_row(2, "b_test", "skipped", "no such VM") + "\n");
  const auto made = generate_site({.rows_files = {rows}, .out_dir = dir_.path() / "site"});
  ASSERT_TRUE(made) << made.error().message();
  const auto tests = data_of(made->index)["tests"];
  ASSERT_EQ(tests.size(), 3u);
  EXPECT_EQ(tests[1]["name"], "a_test");
  EXPECT_EQ(tests[1]["verdict"], "passed");
  EXPECT_EQ(tests[1]["run"], 1);
  EXPECT_EQ(made->tests_failed, 1u);
  const auto summary = nlohmann::json::parse(text_of_file(dir_.path() / "site/summary.json"));
  EXPECT_EQ(summary["totals"]["tests"],
            (nlohmann::json{{"passed", 1}, {"failed", 1}, {"skipped", 1}}));
  EXPECT_EQ(summary["tests"]["failed"][0]["name"], "a_test -n 2");
  EXPECT_EQ(summary["tests"]["failed"][0]["reason"], "did not end");
  EXPECT_EQ(summary["tests"]["skipped"][0]["reason"], "no such VM");
}

TEST_F(SiteTest, TheSameRowsGiveTheSamePage) {
  const auto rows = rows_file(host_row(1, kHost, "6.18") + "\n" + benchmark_row({.run = 1}) + "\n");
  ASSERT_TRUE(generate_site({.rows_files = {rows}, .out_dir = dir_.path() / "a"}));
  ASSERT_TRUE(generate_site({.rows_files = {rows, rows}, .out_dir = dir_.path() / "b"}));
  EXPECT_EQ(text_of_file(dir_.path() / "a/index.html"), text_of_file(dir_.path() / "b/index.html"));
  EXPECT_EQ(text_of_file(dir_.path() / "a/rows.jsonl"), text_of_file(dir_.path() / "b/rows.jsonl"));
}

TEST_F(SiteTest, ThePageNeedsNoOtherFileAndNoNetwork) {
  const auto rows = rows_file(benchmark_row({.run = 1}) + "\n");
  const auto made = generate_site({.rows_files = {rows}, .out_dir = dir_.path() / "site"});
  ASSERT_TRUE(made) << made.error().message();
  const std::string page = text_of_file(made->index);
  EXPECT_FALSE(std::regex_search(page, std::regex(R"((src|href)="(https?:|//|[a-z]+\.(js|css)))")));
  EXPECT_THAT(page, AllOf(HasSubstr("The MIT License"), HasSubstr("Leon Sorokin"),
                          HasSubstr("default-src 'none'"), Not(HasSubstr("{{"))));
}

TEST_F(SiteTest, NamesCannotLeaveTheirPlace) {
  const std::string hostile = "</script><img src=x onerror=alert(1)><!--";
  const auto rows = rows_file(benchmark_row({.run = 1, .name = hostile}) + "\n" +
                              skip_row(1, hostile.c_str(), hostile.c_str()) + "\n");
  const auto made =
      generate_site({.rows_files = {rows}, .out_dir = dir_.path() / "site", .title = hostile});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_THAT(text_of_file(made->index), Not(HasSubstr("<img src=x")));
  EXPECT_EQ(data_of(made->index)["benchmarks"][0]["latest"]["name"], hostile);
}

TEST_F(SiteTest, HostsNeverShareALineAndChangesBreakIt) {
  std::string text;
  for (int run = 1; run <= 4; ++run) {
    text += host_row(run, kHost, run < 3 ? "6.18.1" : "6.18.2") + "\n" +
            benchmark_row({.run = run}) + "\n";
  }
  text +=
      host_row(5, kOtherHost, "6.12") + "\n" + benchmark_row({.run = 5, .host = kOtherHost}) + "\n";
  const auto made =
      generate_site({.rows_files = {rows_file(text)}, .out_dir = dir_.path() / "site"});
  ASSERT_TRUE(made) << made.error().message();
  const auto data = data_of(made->index);
  ASSERT_EQ(data["benchmarks"].size(), 2u);
  EXPECT_NE(data["benchmarks"][0]["latest"]["host"], data["benchmarks"][1]["latest"]["host"]);
  const auto& changes = data["hosts"][0]["changes"];
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0]["what"][0], "kernel: 6.18.1 -> 6.18.2");
  EXPECT_EQ(data["runs"][changes[0]["run"].get<std::size_t>()]["id"], run_id(3));
}

TEST_F(SiteTest, SmokeAndSimulatedRowsMeetAndMissNothing) {
  auto simulated = nlohmann::json::parse(benchmark_row({.run = 1, .name = "sim", .median = 90}));
  simulated["simulated"] = true;
  const auto made =
      generate_site({.rows_files = {rows_file(benchmark_row({.run = 1, .smoke = true}) + "\n" +
                                              simulated.dump() + "\n")},
                     .out_dir = dir_.path() / "site"});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->targets_met + made->targets_missed, 0u);
}

TEST_F(SiteTest, OldPointsAreLeftOutAndCounted) {
  std::string text;
  for (int run = 0; run < 30; ++run) text += benchmark_row({.run = run}) + "\n";
  const auto made = generate_site(
      {.rows_files = {rows_file(text)}, .out_dir = dir_.path() / "site", .points_max = 10});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(data_of(made->index)["left_out"], 20);
  EXPECT_EQ(count_of(text_of_file(dir_.path() / "site/rows.jsonl"), "\n"), 30u);
}

TEST_F(SiteTest, RowsFileInTheOutputDirectoryIsLeftAlone) {
  std::filesystem::create_directories(dir_.path() / "site");
  const auto rows = dir_.path() / "site/rows.jsonl";
  const std::string text =
      benchmark_row({.run = 1}) + "\n" + benchmark_row({.run = 1}).substr(0, 50);
  std::ofstream(rows) << text;
  const auto made = generate_site({.rows_files = {rows}, .out_dir = dir_.path() / "site"});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->incomplete, 1u);
  EXPECT_EQ(text_of_file(rows), text);
}

TEST_F(SiteTest, BadInputWritesNothing) {
  const auto out = dir_.path() / "site";
  const auto broken = dir_.path() / "broken.db";
  std::ofstream(broken) << std::string(4096, 'x');
  const auto rows = rows_file(benchmark_row({.run = 1}) + "\n");
  const std::vector<std::pair<SiteOptions, std::string>> cases{
      {{.out_dir = out}, "name a rows.jsonl"},
      {{.rows_files = {dir_.path() / "none.jsonl"}, .out_dir = out}, "none.jsonl"},
      {{.rows_files = {rows}, .database = broken, .out_dir = out}, "broken.db"},
      {{.database = dir_.path() / "none.db", .out_dir = out}, "none.db: no such file"},
      {{.rows_files = {dir_.path()}, .out_dir = out}, "Is a directory"},
  };
  for (const auto& [options, message] : cases) {
    const auto made = generate_site(options);
    ASSERT_FALSE(made) << message;
    EXPECT_THAT(made.error().message(), HasSubstr(message));
    EXPECT_FALSE(std::filesystem::exists(out));
  }
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "none.db"));
}

TEST_F(SiteTest, NoRowAtAllIsAnError) {
  const auto made = generate_site({.rows_files = {rows_file("")}, .out_dir = dir_.path() / "site"});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message(), HasSubstr("no rows"));
}

TEST_F(SiteTest, UnwritableOutputIsAnError) {
  const auto rows = rows_file(benchmark_row({.run = 1}) + "\n");
  const auto made = generate_site({.rows_files = {rows}, .out_dir = rows / "under-a-file"});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message(), HasSubstr("under-a-file"));
}

}  // namespace
}  // namespace sluice::reports
