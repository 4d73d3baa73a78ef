#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "record/row_file.h"
#include "record/row_json.h"

namespace sluice::record {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Head example_head() {
  return {.run = "2026-11-21T09:20:01Z-1a2b",
          .time = "2026-11-21T09:20:05Z",
          .commit = std::string(40, 'a'),
          .dirty = true,
          .host = "0123456789abcdef"};
}

BenchmarkRow example_benchmark() {
  BenchmarkRow row;
  row.head = example_head();
  row.name = "model/rmpupdate/4K/sequential";
  row.backend = "model";
  row.target = "M1";
  row.arguments = {{.name = "pages", .value = std::int64_t{262144}},
                   {.name = "page_size", .value = std::string("4K")},
                   {.name = "threads", .value = std::int64_t{1}}};
  row.unit = "ns/page";
  row.items = 262144;
  row.repetitions = 21;
  row.cpu = Statistics{.median = 1.8, .p99 = 2.5, .min = 1.75, .mad = 0.02};
  row.wall = Statistics{.median = 1.9, .p99 = 3, .min = 1.8, .mad = 0.1};
  row.floor = Floor{.name = "floor/rmp_store", .cpu_median = 0.26};
  row.ratio = 1.8 / 0.26;
  row.limit = 8.0;
  row.met = true;
  row.counters = {{.name = "page_faults", .value = std::int64_t{0}},
                  missing_fact("instructions", "no hardware counters (ENOENT)")};
  row.label = "ahead of mainline";
  row.ratio_unit = "MiB";
  return row;
}

AlternativeRow example_alternative() {
  AlternativeRow row{.head = example_head(), .axis = "direct_map", .value = "leave"};
  row.summary = "what becomes of the direct map";
  row.flavor = "plain";
  row.policy = "direct_map=leave";
  row.verdict = AlternativeVerdict::kBroken;
  row.file = "corpora/alternatives/direct_map/leave.ops";
  row.invariant = "H2 host.lives";
  row.counterexample =
      Counterexample{.text = "# policy: direct_map=leave\ncreate_vm type=snp\n",
                     .steps = {{.operation = "create_vm type=snp", .answer = "ok"}},
                     .at_end = true,
                     .statement = "The host never writes to an assigned frame.",
                     .finding = "FINDING host.lives (H2)"};
  row.cost = AlternativeCost{.workload = "convert",
                             .pages = 64,
                             .arrived = 64,
                             .frames_when_shared = 64,
                             .frames_when_private = 128,
                             .counts = {{.name = "rmpupdate", .count = 128}},
                             .nanoseconds_a_page = 12.5,
                             .nanoseconds_a_try = 7.5,
                             .of_default = 0.5,
                             .prices = "own.costs"};
  return row;
}

AlternativeRow example_sound_alternative() {
  AlternativeRow row{.head = example_head(), .axis = "direct_map", .value = "split"};
  row.is_default = true;
  row.flavor = "tdx";
  row.verdict = AlternativeVerdict::kNothingFound;
  row.explored = Explored{
      .interleavings = 287, .complete = true, .preemptions_max = 2, .interleavings_max = 5000};
  return row;
}

SimulationRow example_simulation() {
  SimulationRow row{.head = example_head(), .workload = "ping_pong", .vcpus = 256, .nodes = 8};
  row.placement = "local";
  row.policy = "convert_reclaim=keep";
  row.pages_a_vcpu = 64;
  row.seed = 1;
  row.requests = row.pages = 16384;
  row.events = 100000;
  row.virtual_ns = 5e8;
  row.pages_per_second = 27590.25;
  row.latency_ns = {.p50 = 1, .p90 = 2, .p99 = 3, .p999 = 4, .max = 5.5};
  row.locks = {{.name = "slots_lock", .taken = 9, .contended = 8, .waited_ns = 7.5, .held_ns = 6}};
  return row;
}

SimulationRow example_simulation_on_a_machine() {
  SimulationRow row = example_simulation();
  row.topology = SimulatedTopology{.name = "pack:2 [numa] core:4",
                                   .processors = {4, 0},
                                   .distances = "NUMALatency",
                                   .remote_factor = {{1, 2.1}, {2.1, 1}}};
  row.prices = "own.costs";
  return row;
}

std::vector<Row> one_of_each() {
  const Head head = example_head();
  BenchmarkRow skipped;
  skipped.head = head;
  skipped.name = "kvm/pre_fault";
  skipped.backend = "kvm";
  skipped.unit = "ns/page";
  skipped.limit_sense = LimitSense::kMin;
  skipped.skipped = "KVM_CAP_PRE_FAULT_MEMORY=0";
  FuzzRow fuzz{.head = head, .name = "fuzz_sequence", .engine = "libfuzzer"};
  fuzz.seconds = 60.5;
  fuzz.executions = 15000000;
  fuzz.executions_per_second = 250000.0;
  fuzz.findings = {{.invariant = "rmp.x", .file = "a.ops"}};
  fuzz.target = "F1";
  fuzz.met = false;
  DifferentialRow differential{.head = head, .backend = "kvm", .sequences = 12};
  differential.compared = {{.name = "errno", .count = 40}};
  differential.uncomparable = {{.name = "pages_4k", .count = 3}};
  differential.mismatches = {
      {.file = "a.ops", .line = 3, .field = "errno", .model = "EINVAL", .kvm = "ok"}};
  differential.skipped_steps = {{.name = "KVM_CAP_MEMORY_ATTRIBUTES=0", .count = 2}};
  DifferentialRow drawn{.head = head, .backend = "kvm", .sequences = 500};
  drawn.random =
      RandomDraw{.seed = ~std::uint64_t{0}, .first = 1000, .count = 500, .acting_share = 0.5};
  HostRow host{.head = head,
               .fingerprint = {{.name = "kernel", .value = std::string("6.18.44")},
                               {.name = "huge_pages.2M", .value = std::int64_t{0}},
                               {.name = "huge_pages.thp", .value = std::string("madvise")},
                               {.name = "synthetic_topology", .value = false},
                               missing_fact("governor", "no cpufreq")}};
  return {example_benchmark(),
          skipped,
          fuzz,
          differential,
          host,
          drawn,
          SkipRow{.head = head, .name = "lane", .reason = "no qemu"},
          TestRow{.head = head,
                  .suite = "kvm-selftests",
                  .name = "guest_memfd_test",
                  .verdict = TestVerdict::kPassed,
                  .seconds = 0.25},
          TestRow{.head = head,
                  .suite = "kvm-selftests",
                  .name = "private_mem_kvm_exits_test",
                  .verdict = TestVerdict::kSkipped,
                  .seconds = 0.5,
                  .reason = "no such VM"},
          TestRow{.head = head, .suite = "kvm-selftests", .name = "x -n 2", .reason = "hangs"},
          example_alternative(),
          example_sound_alternative(),
          example_simulation(),
          example_simulation_on_a_machine(),
          GateRow{.head = head,
                  .base = "main",
                  .revision = "HEAD",
                  .status = 1,
                  .failures = {"model/convert"}}};
}

class RowFile : public ::testing::Test {
 protected:
  RowFile() : path_(::testing::TempDir() + "sluice_rows_" + std::to_string(::getpid()) + ".jsonl") {
    std::remove(path_.c_str());
  }
  ~RowFile() override { std::remove(path_.c_str()); }
  void write_file(const std::string& text) { std::ofstream(path_, std::ios::binary) << text; }
  std::string path_;
};

TEST(RowJson, EveryKindComesBackAsItWas) {
  for (const Row& row : one_of_each()) {
    const std::string line = to_json(row);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const Expected<Row> back = from_json(line);
    ASSERT_TRUE(back.has_value()) << line << back.error().message();
    EXPECT_TRUE(*back == row) << line << "\n" << to_json(*back);
  }
}

TEST(RowJson, MissingNumbersAreNullWithAReason) {
  const std::string line = to_json(example_benchmark());
  EXPECT_THAT(line, HasSubstr(R"("counters":{"page_faults":0,"instructions":null})"));
  EXPECT_THAT(line,
              HasSubstr(R"-("counter_reasons":{"instructions":"no hardware counters (ENOENT)"})-"));
  EXPECT_THAT(line,
              StartsWith(R"({"schema":1,"kind":"benchmark","run":"2026-11-21T09:20:01Z-1a2b")"));
}

TEST(RowJson, GroupsOfFactsNest) {
  const std::string line = to_json(one_of_each()[4]);
  EXPECT_THAT(line, HasSubstr(R"("huge_pages":{"2M":0,"thp":"madvise"})"));
}

TEST(RowJson, BytesThatAreNotUtf8AreReplacedNotFatal) {
  SkipRow row{.head = example_head(), .name = "a\xff\"b", .reason = "line\nbreak"};
  const std::string line = to_json(row);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_TRUE(from_json(line).has_value());
}

TEST(RowJson, WrongInputNamesKeyAndRemedy) {
  const std::string good = to_json(SkipRow{.head = example_head(), .name = "n", .reason = "r"});
  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string line = good;
    line.replace(line.find(from), from.size(), to);
    const Expected<Row> row = from_json(line);
    return row ? std::string("accepted") : row.error().message();
  };
  EXPECT_THAT(broken("\"schema\":1", "\"schema\":2"), HasSubstr("schema 2"));
  EXPECT_THAT(broken("\"skip\"", "\"jump\""), HasSubstr("unknown kind of row \"jump\""));
  EXPECT_THAT(broken("\"reason\":\"r\"", "\"reason\":7"),
              HasSubstr("key \"reason\" should be a text; delete or mend"));
  EXPECT_THAT(broken("\"run\"", "\"ran\""), HasSubstr("key \"run\""));
  const std::string test = to_json(TestRow{.head = example_head(), .name = "n"});
  std::string unclear = test;
  unclear.replace(unclear.find("failed"), 6, "fai1ed");
  EXPECT_THAT(from_json(unclear).error().message(),
              HasSubstr(R"(key "verdict" should be "passed", "failed" or "skipped")"));
  std::string odd = to_json(example_alternative());
  odd.replace(odd.find("broken"), 6, "beaten");
  EXPECT_THAT(from_json(odd).error().message(),
              HasSubstr(R"(key "verdict" should be "broken", "nothing_found", "stale" or)"));
  odd = to_json(example_alternative());
  odd.replace(odd.find("\"plain\""), 7, "\"vanil\"");
  EXPECT_THAT(from_json(odd).error().message(), HasSubstr(R"(key "flavor" should be "plain" or)"));
  odd = to_json(example_simulation_on_a_machine());
  odd.replace(odd.find("[4,0]"), 5, "[4,-]");
  EXPECT_FALSE(from_json(odd).has_value());
  odd = to_json(example_simulation_on_a_machine());
  odd.replace(odd.find("[4,0]"), 5, "[4.5]");
  EXPECT_THAT(from_json(odd).error().message(),
              HasSubstr(R"(key "processors" should be a list of whole numbers from 0)"));
  odd = to_json(example_simulation_on_a_machine());
  odd.replace(odd.find("[[1.0,2.1]"), 10, "[[1.0,\"\"]");
  EXPECT_THAT(from_json(odd).error().message(),
              HasSubstr(R"(key "remote_factor" should be a list of lists of numbers)"));
  EXPECT_THAT(from_json("[1,2]").error().message(), HasSubstr("rows.jsonl"));
  EXPECT_THAT(from_json("\x7f"
                        "ELF")
                  .error()
                  .message(),
              HasSubstr("not a JSON object"));
}

TEST(RowJson, EveryPrefixOfARowIsTornAndNothingElse) {
  for (const Row& row : one_of_each()) {
    const std::string line = to_json(row);
    for (std::size_t n = 1; n < line.size(); ++n)
      EXPECT_TRUE(is_torn(line.substr(0, n))) << line.substr(0, n);
    EXPECT_FALSE(is_torn(line));
  }
  EXPECT_FALSE(is_torn("{]"));
  EXPECT_FALSE(is_torn(R"({"a":1}x)"));
  EXPECT_FALSE(is_torn("hello"));
  EXPECT_FALSE(is_torn(""));
}

TEST_F(RowFile, RowsAppendedByTwoSinksComeBackInOrder) {
  const std::vector<Row> rows = one_of_each();
  for (const Row& row : rows) {
    Expected<RowSink> sink = RowSink::open(path_);
    ASSERT_TRUE(sink.has_value());
    ASSERT_TRUE(sink->append(row).has_value());
  }
  const Expected<RowsRead> read = read_rows(path_);
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_TRUE(read->rows == rows);
  EXPECT_TRUE(read->torn.empty());
}

TEST_F(RowFile, ATornLastLineCostsNothingButItself) {
  const Row row = example_benchmark();
  const std::string line = to_json(row);
  write_file(line + "\n" + line.substr(0, 100));
  Expected<RowsRead> read = read_rows(path_);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->rows.size(), 1U);
  EXPECT_THAT(read->torn, ElementsAre(HasSubstr(path_ + ":2: unfinished row")));

  Expected<RowSink> sink = RowSink::open(path_);  // the next run goes on in the same file
  ASSERT_TRUE(sink.has_value());
  ASSERT_TRUE(sink->append(row).has_value());
  ASSERT_TRUE(sink->append(row).has_value());
  read = read_rows(path_);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->rows.size(), 3U);
  EXPECT_EQ(read->torn.size(), 1U);
}

TEST_F(RowFile, AKilledWriterKeepsItsRows) {
  const pid_t child = ::fork();
  if (child == 0) {
    Expected<RowSink> sink = RowSink::open(path_);
    for (int i = 0; i < 3; ++i) static_cast<void>(sink->append(example_benchmark()));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const Expected<RowsRead> read = read_rows(path_);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->rows.size(), 3U);
}

TEST_F(RowFile, ALineThatIsNoRowNamesFileAndLine) {
  write_file(to_json(example_benchmark()) + "\n\nhello\n");
  const Expected<RowsRead> read = read_rows(path_);
  ASSERT_FALSE(read.has_value());
  EXPECT_THAT(read.error().message(), StartsWith(path_ + ":3: not a JSON object"));
}

TEST_F(RowFile, MissingFileAndFullDiskAreErrorsWithThePath) {
  EXPECT_THAT(read_rows(path_).error().message(), HasSubstr(path_));
  EXPECT_THAT(RowSink::open("/nowhere/rows.jsonl").error().message(),
              HasSubstr("/nowhere/rows.jsonl"));
  Expected<RowSink> full = RowSink::open("/dev/full");
  ASSERT_TRUE(full.has_value());
  const Expected<void> appended = full->append(example_benchmark());
  ASSERT_FALSE(appended.has_value());
  EXPECT_EQ(appended.error().number, ENOSPC);
}

}  // namespace
}  // namespace sluice::record
