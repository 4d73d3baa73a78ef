#include "reports/store.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "reports/test_rows.h"

namespace sluice::reports {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string name_of(const std::string& row) {
  return nlohmann::json::parse(row).at("name").get<std::string>();
}

Store memory_store() {
  auto store = Store::open(":memory:");
  EXPECT_TRUE(store) << store.error().message();
  return std::move(*store);
}

TEST(Store, SameRowTwiceCountsOnceWhateverItsKeyOrder) {
  Store store = memory_store();
  const std::string row = benchmark_row({.run = 1, .median = 2.5});
  const auto first = store.import_text(row + "\n" + row + "\n", "a");
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(first->added, 1u);
  EXPECT_EQ(first->already_there, 1u);

  // nlohmann::ordered_json keeps the order of insertion, here the reverse of the first row's.
  nlohmann::ordered_json reversed;
  const auto parsed = nlohmann::json::parse(row);
  for (auto field = parsed.rbegin(); field != parsed.rend(); ++field) {
    reversed[field.key()] = field.value();
  }
  const auto second = store.import_text(reversed.dump() + "\n", "b");
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ(second->added, 0u);
  EXPECT_EQ(store.rows({})->size(), 1u);
}

TEST(Store, KeepsRowsAcrossOpenings) {
  const TempDir dir;
  const auto path = dir.path() / "sluice.db";
  {
    auto store = Store::open(path);
    ASSERT_TRUE(store) << store.error().message();
    ASSERT_TRUE(store->import_text(benchmark_row({.run = 1}) + "\n", "a"));
  }
  auto store = Store::open_read_only(path);
  ASSERT_TRUE(store) << store.error().message();
  EXPECT_EQ(store->rows({})->size(), 1u);
}

TEST(Store, LineCutOffByInterruptionIsCountedNotFatal) {
  Store store = memory_store();
  const std::string whole = benchmark_row({.run = 1}) + "\n";
  const std::string cut = benchmark_row({.run = 2}).substr(0, 40);
  const auto summary = store.import_text(whole + cut, "rows.jsonl");
  ASSERT_TRUE(summary) << summary.error().message();
  EXPECT_EQ(summary->added, 1u);
  EXPECT_EQ(summary->incomplete, 1u);

  // The run after the interruption went on in the same file.
  const auto next =
      store.import_text(whole + cut + "\n" + benchmark_row({.run = 3}) + "\n", "rows.jsonl");
  ASSERT_TRUE(next) << next.error().message();
  EXPECT_EQ(next->added, 1u);
  EXPECT_EQ(next->incomplete, 1u);
}

TEST(Store, BadLineImportsNothingAndSaysWhere) {
  Store store = memory_store();
  const std::string good = benchmark_row({.run = 1}) + "\n";
  for (const std::string bad :
       {"{\"schema\":1}", "[1]", "nonsense", "\x7f\x45\x4c\x46", "{\"schema\":2}"}) {
    const auto summary = store.import_text(good + bad + "\n" + good, "in/rows.jsonl");
    ASSERT_FALSE(summary) << bad;
    EXPECT_THAT(summary.error().message(), HasSubstr("in/rows.jsonl:2: ")) << bad;
    EXPECT_EQ(store.rows({})->size(), 0u) << bad;
  }
}

TEST(Store, DeepNestingIsRefusedNotAStackOverflow) {
  Store store = memory_store();
  const auto summary =
      store.import_text("{\"a\":" + std::string(1'000'000, '[') + "}" + "\n", "deep");
  ASSERT_FALSE(summary);
  EXPECT_THAT(summary.error().message(), HasSubstr("deep:1: not a row: nested too deeply"));
}

TEST(Store, MissingRowsFileIsAnError) {
  Store store = memory_store();
  const auto summary = store.import_file("/nonexistent/rows.jsonl");
  ASSERT_FALSE(summary);
  EXPECT_THAT(summary.error().message(), HasSubstr("/nonexistent/rows.jsonl"));
}

TEST(Store, ADatabaseAmongRowsIsSaidToBeOne) {
  const TempDir dir;
  const auto path = dir.path() / "sluice.db";
  ASSERT_TRUE(Store::open(path));
  Store store = memory_store();
  EXPECT_THAT(store.import_file(path).error().message(),
              AllOf(HasSubstr(path.string()), HasSubstr("name it with --db")));
  EXPECT_THAT(Store::open(dir.path()).error().message(), HasSubstr("is a directory"));
}

TEST(Store, RefusesWhatIsNoDatabaseAndLeavesItAlone) {
  const TempDir dir;
  const auto path = dir.path() / "sluice.db";
  const std::string text(5000, 'x');
  write_bytes(path, text);
  const auto store = Store::open(path);
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message(), AllOf(HasSubstr(path.string()), HasSubstr("not a database"),
                                             HasSubstr("move it away")));
  EXPECT_EQ(bytes_of(path), text);
}

TEST(Store, RefusesACorruptDatabaseAndLeavesItAlone) {
  const TempDir dir;
  const auto path = dir.path() / "sluice.db";
  {
    auto store = Store::open(path);
    ASSERT_TRUE(store) << store.error().message();
    std::string rows;
    for (int run = 0; run < 200; ++run) rows += benchmark_row({.run = run}) + "\n";
    ASSERT_TRUE(store->import_text(rows, "a"));
  }
  std::string bytes = bytes_of(path);
  ASSERT_GT(bytes.size(), 40'000u);
  bytes.replace(
      4096, 20'000,
      std::string(20'000, '\xee'));  // all pages after the first: the schema stays readable
  write_bytes(path, bytes);
  const auto store = Store::open(path);
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message(), AllOf(HasSubstr(path.string()), HasSubstr("restore it")));
  EXPECT_EQ(bytes_of(path), bytes);
}

TEST(Store, RefusesATruncatedDatabase) {
  const TempDir dir;
  const auto path = dir.path() / "sluice.db";
  {
    auto store = Store::open(path);
    ASSERT_TRUE(store) << store.error().message();
    std::string rows;
    for (int run = 0; run < 200; ++run) rows += benchmark_row({.run = run}) + "\n";
    ASSERT_TRUE(store->import_text(rows, "a"));
  }
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  const std::string bytes = bytes_of(path);
  const auto store = Store::open(path);
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message(), HasSubstr(path.string()));
  EXPECT_EQ(bytes_of(path), bytes);
}

TEST(Store, RefusesANewerSchemaAndLeavesItAlone) {
  const TempDir dir;
  const auto path = dir.path() / "sluice.db";
  ASSERT_TRUE(Store::open(path));
  {
    SQLite::Database database(path.string(), SQLite::OPEN_READWRITE);
    database.exec(fmt::format("PRAGMA user_version={}", kStoreSchema + 1));
  }
  const std::string bytes = bytes_of(path);
  const auto store = Store::open(path);
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message(),
              AllOf(HasSubstr(path.string()), HasSubstr("schema 2"), HasSubstr("knows up to 1"),
                    HasSubstr("nothing was changed")));
  EXPECT_EQ(bytes_of(path), bytes);
}

TEST(Store, RefusesAnotherProgramsDatabase) {
  const TempDir dir;
  const auto path = dir.path() / "other.db";
  {
    SQLite::Database database(path.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    database.exec("CREATE TABLE bookmark(url TEXT)");
  }
  const auto store = Store::open(path);
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message(), HasSubstr("another program"));
}

TEST(Store, MissingDirectoryIsAnError) {
  const auto store = Store::open("/nonexistent/deep/sluice.db");
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message(),
              AllOf(HasSubstr("/nonexistent/deep/sluice.db"), HasSubstr("directory exists")));
}

TEST(Store, InterruptedImportLosesNothingThatWasThere) {
  const TempDir dir;
  const auto path = dir.path() / "sluice.db";
  auto store = Store::open(path);
  ASSERT_TRUE(store) << store.error().message();
  ASSERT_TRUE(store->import_text(benchmark_row({.run = 1}) + "\n", "a"));
  // A writer that dies in the middle leaves a transaction that was never committed.
  {
    SQLite::Database other(path.string(), SQLite::OPEN_READWRITE);
    SQLite::Transaction transaction(other);
    other.exec("DELETE FROM row");
  }
  EXPECT_EQ(store->rows({})->size(), 1u);
}

TEST(Store, LatestIsPerIdentityAndHost) {
  Store store = memory_store();
  std::string rows;
  rows += benchmark_row({.run = 1, .median = 1}) + "\n";
  rows += benchmark_row({.run = 3, .median = 3}) + "\n";
  rows += benchmark_row({.run = 2, .median = 2}) + "\n";
  rows += benchmark_row({.run = 1, .host = kOtherHost, .median = 10}) + "\n";
  rows += benchmark_row({.run = 2, .name = "model/other", .median = 20}) + "\n";
  ASSERT_TRUE(store.import_text(rows, "a"));
  const auto latest = store.latest("benchmark");
  ASSERT_TRUE(latest) << latest.error().message();
  std::vector<double> medians;
  for (const auto& row : *latest) {
    medians.push_back(nlohmann::json::parse(row)["cpu"]["median"].get<double>());
  }
  EXPECT_THAT(medians, testing::UnorderedElementsAre(3, 10, 20));
}

TEST(Store, HistoryNeverMixesHostsArgumentsOrSmokeRuns) {
  Store store = memory_store();
  std::string rows;
  const std::string first = benchmark_row({.run = 1});
  rows += first + "\n" + benchmark_row({.run = 2}) + "\n";
  rows += benchmark_row({.run = 3, .host = kOtherHost}) + "\n";
  rows += benchmark_row({.run = 4, .pages = 512}) + "\n";
  rows += benchmark_row({.run = 5, .smoke = true}) + "\n";
  ASSERT_TRUE(store.import_text(rows, "a"));
  const auto identity = identity_of(first);
  ASSERT_TRUE(identity);
  const auto history = store.history({.kind = "benchmark", .host = kHost, .identity = *identity});
  ASSERT_TRUE(history) << history.error().message();
  ASSERT_EQ(history->size(), 2u);
  EXPECT_EQ(nlohmann::json::parse(history->front())["run"], run_id(1));
  EXPECT_EQ(nlohmann::json::parse(history->back())["run"], run_id(2));
}

TEST(Store, SkipsAreThoseOfTheNewestRunThatRecordedAny) {
  Store store = memory_store();
  std::string rows;
  rows += skip_row(1, "hardware counters", "ENOENT") + "\n" + skip_row(1, "old", "gone") + "\n";
  rows += skip_row(2, "hardware counters", "ENOENT") + "\n" + benchmark_row({.run = 3}) + "\n";
  ASSERT_TRUE(store.import_text(rows, "a"));
  const auto skips = store.skips();
  ASSERT_TRUE(skips) << skips.error().message();
  ASSERT_EQ(skips->size(), 1u);
  EXPECT_EQ(name_of(skips->front()), "hardware counters");
}

TEST(Store, RunsAreListedOldestFirst) {
  Store store = memory_store();
  ASSERT_TRUE(
      store.import_text(benchmark_row({.run = 2}) + "\n" + host_row(1, kHost, "6.18") + "\n", "a"));
  const auto runs = store.runs();
  ASSERT_TRUE(runs) << runs.error().message();
  ASSERT_EQ(runs->size(), 2u);
  EXPECT_EQ(runs->front().run, run_id(1));
  EXPECT_EQ(runs->front().commit, std::string(40, 'a'));
  EXPECT_EQ(runs->back().host, kHost);
}

TEST(Store, CopyIsAStoreAndReplacesWhatWasThere) {
  const TempDir dir;
  Store store = memory_store();
  ASSERT_TRUE(store.import_text(benchmark_row({.run = 1}) + "\n", "a"));
  const auto target = dir.path() / "copy.db";
  write_bytes(target, "older copy");
  const auto copied = store.copy_to(target);
  ASSERT_TRUE(copied) << copied.error().message();
  auto copy = Store::open_read_only(target);
  ASSERT_TRUE(copy) << copy.error().message();
  EXPECT_EQ(copy->rows({})->size(), 1u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
}

}  // namespace
}  // namespace sluice::reports
