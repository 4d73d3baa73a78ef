// sluice kselftest: runs programs that judge themselves as the kernel's selftests do, each with its
// own time limit, and writes a row for each as soon as it ends.
#include "tool/kselftest.h"
#include "ops/text.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "ops/files.h"
#include "tool/command.h"
#include "tool/programs.h"
#include "tool/rows.h"

namespace sluice::tool {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using record::TestVerdict;

constexpr int kSkipStatus = 4;
constexpr unsigned kLimitMax = 86400;  // seconds
constexpr std::size_t kMaxPlan = 1 << 16;
constexpr std::size_t kMaxLog = 1 << 24;
constexpr auto kPoll = std::chrono::milliseconds(10);
constexpr auto kGrace = std::chrono::seconds(5);

struct Options {
  std::string plan{}, out = "out/kselftest", suite = "kselftest";
  RowTarget rows{};
};

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(separators), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

/// KVM's tests load themselves as the guest's program, by the name that they were started with.
std::string path_of(const std::string& program) {
  if (program.contains('/')) return program;
  const char* const path = std::getenv("PATH");
  for (const std::string_view folder : split(path == nullptr ? "" : path, ":")) {
    const fs::path candidate = fs::path(folder) / program;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate.string();
  }
  return program;
}

bool ends_within(const Running& running, std::chrono::seconds time) {
  const auto until = Clock::now() + time;
  while (!has_ended(running)) {
    if (Clock::now() >= until) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

std::string log_name(const PlannedTest& test) {
  std::string name = fs::path(test.command.front()).filename().string() +
                     test.name.substr(test.command.front().size());
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ' ' || c == '/'; }, '_');
  return name + ".log";
}

/// Runs one to its end or its limit.
Expected<record::TestRow> run_test(const PlannedTest& test, const Options& options) {
  record::TestRow row{.suite = options.suite, .name = test.name};
  const std::string log = options.out + "/" + log_name(test);
  std::vector<std::string> command = test.command;
  command.front() = path_of(command.front());
  const auto begin = Clock::now();
  auto running = start_program(command, {.output_file = log, .own_group = true});
  if (!running) {
    row.reason = running.error().message();
    return row;
  }
  const int group = running->pid;
  if (!ends_within(*running, std::chrono::seconds(test.limit_seconds))) {
    ::kill(-group, SIGKILL);
    row.reason = fmt::format("did not end within {} s", test.limit_seconds);
    if (ends_within(*running, kGrace)) {
      static_cast<void>(finish_program(std::move(*running)));
    } else {
      row.reason += ", and not when it was killed";  // stuck in the kernel: it stays behind
    }
    const auto output = read_file(log, kMaxLog);
    const std::string last = output ? telling_line(*output) : std::string();
    if (!last.empty()) row.reason += "; last: " + last;
    return row;
  }
  row.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const auto finished = finish_program(std::move(*running));
  if (!finished) return std::unexpected(finished.error());
  ::kill(-group, SIGKILL);  // what it left running would disturb the next
  const auto output = read_file(log, kMaxLog);
  TestAnswer answer = judge_test(finished->status, output ? *output : std::string());
  row.verdict = answer.verdict;
  row.reason = std::move(answer.reason);
  return row;
}

const char* word_of(TestVerdict verdict) {
  if (verdict == TestVerdict::kPassed) return "passed";
  return verdict == TestVerdict::kSkipped ? "skipped" : "FAILED";
}

int kselftest(const Options& options) {
  const auto text = read_file(options.plan, kMaxPlan);
  if (!text) return complain(text.error());
  const auto plan = parse_plan(*text);
  if (!plan) return complain(options.plan + ":" + plan.error().message());
  if (const auto made = make_out_folder(options.out); !made) return complain(made.error());
  auto rows = RowWriter::open(options.rows);
  if (!rows) return complain(rows.error());
  std::size_t failed = 0, skipped = 0;
  for (const PlannedTest& test : *plan) {
    const auto row = run_test(test, options);
    if (!row) return complain(row.error());
    failed += row->verdict == TestVerdict::kFailed;
    skipped += row->verdict == TestVerdict::kSkipped;
    const std::string took = row->seconds ? fmt::format("{:.1f} s", *row->seconds) : "-";
    fmt::print("{:<8}{:>8}  {}{}{}\n", word_of(row->verdict), took, row->name,
               row->reason.empty() ? "" : ": ", row->reason);
    std::fflush(stdout);
    if (const auto written = rows->append(*row); !written) return complain(written.error());
  }
  fmt::print("{} tests: {} passed, {} failed, {} skipped\n", plan->size(),
             plan->size() - failed - skipped, failed, skipped);
  return failed == 0 ? kFine : kFinding;
}

}  // namespace

Expected<std::vector<PlannedTest>> parse_plan(std::string_view text) {
  std::vector<PlannedTest> plan;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    const auto words = split(line.substr(0, line.find('#')), " \t\r");
    if (words.empty()) continue;
    PlannedTest test;
    const std::string_view limit = words.front();
    const auto parsed =
        std::from_chars(limit.data(), limit.data() + limit.size(), test.limit_seconds);
    if (parsed.ec != std::errc() || parsed.ptr != limit.data() + limit.size() ||
        test.limit_seconds == 0 || test.limit_seconds > kLimitMax || words.size() < 2)
      return input_error(fmt::format(
          "{}: a line of a plan is LIMIT PROGRAM [ARGUMENT...], LIMIT in seconds (1 to {})", number,
          kLimitMax));
    test.command.assign(words.begin() + 1, words.end());
    test.name = fmt::format("{}", fmt::join(test.command, " "));
    const auto same = [&test](const PlannedTest& other) { return other.name == test.name; };
    if (std::any_of(plan.begin(), plan.end(), same))
      return input_error(fmt::format("{}: '{}' is there twice", number, test.name));
    plan.push_back(std::move(test));
  }
  if (plan.empty()) return input_error(fmt::format("{}: a plan without a test", number));
  return plan;
}

std::string telling_line(std::string_view output) {
  constexpr std::string_view kAssertion = "Test Assertion Failure";
  constexpr std::size_t kLengthMax = 300;
  std::string_view told, last;
  bool asserted = false;
  for (const std::string_view part : split(output, "\n")) {
    const std::string_view line = trimmed(part);
    if (line.empty()) continue;
    // The line behind an assertion's head has the place and the expression.
    if (asserted && told.empty()) told = line;
    asserted = asserted || line.contains(kAssertion);
    if (told.empty() && line.starts_with("not ok")) told = line;
    last = line;
  }
  return std::string((told.empty() ? last : told).substr(0, kLengthMax));
}

TestAnswer judge_test(int status, std::string_view output) {
  if (status == 0) return {.verdict = TestVerdict::kPassed};
  if (status == kSkipStatus) {
    for (const std::string_view line : split(output, "\n")) {
      constexpr std::string_view kMark = "# SKIP";
      const std::size_t at = line.find(kMark);
      if (at == std::string_view::npos) continue;
      std::string_view reason = trimmed(line.substr(at + kMark.size()));
      if (reason.starts_with("- ")) reason.remove_prefix(2);
      if (!reason.empty()) return {.verdict = TestVerdict::kSkipped, .reason = std::string(reason)};
    }
    const std::string line = telling_line(output);
    return {.verdict = TestVerdict::kSkipped, .reason = line.empty() ? "exit status 4" : line};
  }
  constexpr int kSignalBase = 128, kSignalMax = 64;
  const bool by_signal = status > kSignalBase && status <= kSignalBase + kSignalMax;
  std::string reason = by_signal ? fmt::format("ended by signal {}", status - kSignalBase)
                                 : fmt::format("exit status {}", status);
  const std::string line = telling_line(output);
  if (!line.empty()) reason += ": " + line;
  return {.verdict = TestVerdict::kFailed, .reason = std::move(reason)};
}

void add_kselftest(CLI::App& app, int& status) {
  Command command(
      app, "kselftest",
      "Run programs that judge themselves as the kernel's selftests do (exit status 0 passed, 4 "
      "skipped), each with its own time limit.\n"
      "Status: 0 none failed, 1 one failed or did not end, 3 usage.");
  static Options options;
  command
      .option("PLAN", options.plan,
              "File with a test a line: LIMIT PROGRAM [ARGUMENT...], LIMIT in seconds")
      .required();
  command.option("--suite", options.suite, "What the rows call them (kselftest)");
  command.option("--out", options.out, "Folder for a log of each (out/kselftest)");
  command.option("--rows", options.rows.file, "Append a row of each to this file");
  command.option("--run", options.rows.run, "Id of the run in the rows");
  command.on_run([&status] { status = kselftest(options); });
}

}  // namespace sluice::tool
