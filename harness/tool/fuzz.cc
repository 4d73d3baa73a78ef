// sluice fuzz: runs a fuzz target under an engine beside the same engine with an empty target,
// keeps what it finds, records a row.
#include <fmt/core.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "ops/codec.h"
#include "ops/files.h"
#include "ops/text.h"
#include "run/fuzz_run.h"
#include "tool/command.h"
#include "tool/programs.h"
#include "tool/rows.h"

namespace sluice::tool {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string target{}, engine = "libfuzzer", time = "60", out = "out/fuzz";
  unsigned jobs = 1;
  RowTarget rows{};
};

/// What one engine run did.
struct Counts {
  std::uint64_t executions = 0;
  double cpu_seconds = 0;
  std::uint64_t corpus = 0;
  std::uint64_t features = 0;
  double per_second() const {
    return cpu_seconds > 0 ? static_cast<double>(executions) / cpu_seconds : 0;
  }
};

/// "90", "90s", "10m", "2h"; 0 if it is none of these.
std::uint64_t seconds_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return 0;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit.empty() || unit == "s") return number;
  return unit == "m" ? number * 60 : unit == "h" ? number * 3600 : 0;
}

/// The number after the last occurrence of `key` in a log.
std::uint64_t last_number(const std::string& log, const std::string& key) {
  const std::size_t at = log.rfind(key);
  if (at == std::string::npos) return 0;
  std::size_t begin = log.find_first_of("0123456789", at + key.size());
  std::uint64_t number = 0;
  if (begin != std::string::npos)
    std::from_chars(log.data() + begin, log.data() + log.size(), number);
  return number;
}

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Engine {
  std::string folder{};  // the fuzzers/ folder of the engine's build
  bool afl = false;
};

Expected<Engine> find_engine(const Options& options) {
  const bool afl = options.engine == "afl";
  const std::string preset = afl ? "fuzz-afl" : "fuzz-libfuzzer";
  const std::string build = sibling_build(preset);
  const std::string folder = build + "/fuzzers";
  if (build.empty() || !fs::exists(fs::path(folder) / options.target)) {
    return input_error(
        fmt::format("no {} build of '{}': cmake --preset {} && cmake --build --preset {} (targets: "
                    "fuzz_codec, fuzz_text, fuzz_sequence, fuzz_empty)",
                    options.engine, options.target, preset, preset));
  }
  return Engine{.folder = folder, .afl = afl};
}

/// One job of libFuzzer; its corpus and crashes stay in `place`.
std::vector<std::string> libfuzzer_command(const Engine& engine, const std::string& target,
                                           const fs::path& place, std::uint64_t seconds) {
  return {engine.folder + "/" + target,
          (place / "corpus").string(),
          engine.folder + "/seeds/" + target,
          fmt::format("-max_total_time={}", seconds),
          "-print_final_stats=1",
          "-reload=1",
          "-use_value_profile=0",
          "-entropic=0",  // covers more in equal CPU time: docs/design/fuzzing-engine.md
          fmt::format("-dict={}/{}.dict", engine.folder, target),
          fmt::format("-artifact_prefix={}/", (place / "crashes").string())};
}
std::vector<std::string> afl_command(const Engine& engine, const std::string& target,
                                     const fs::path& place, std::uint64_t seconds) {
  return {"afl-fuzz",
          "-V",
          std::to_string(seconds),
          "-i",
          engine.folder + "/seeds/" + target,
          "-o",
          (place / "afl").string(),
          "--",
          engine.folder + "/" + target};
}
std::vector<std::string> afl_environment(const Engine& engine, const std::string& target) {
  std::vector<std::string> out{"AFL_NO_AFFINITY=1", "AFL_SKIP_CPUFREQ=1",
                               "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1", "AFL_NO_UI=1",
                               "AFL_AUTORESUME=1"};
  if (target == "fuzz_codec" || target == "fuzz_sequence") {
    out.push_back("AFL_CUSTOM_MUTATOR_LIBRARY=" + engine.folder + "/sluice_afl_mutator.so");
    out.emplace_back("AFL_CUSTOM_MUTATOR_ONLY=1");
  }
  return out;
}

Counts read_libfuzzer(const std::string& log) {
  return {.executions = last_number(log, "stat::number_of_executed_units:"),
          .corpus = last_number(log, "corp:"),
          .features = last_number(log, "ft:")};
}
Counts read_afl(const std::string& stats) {
  return {.executions = last_number(stats, "execs_done"),
          .corpus = last_number(stats, "corpus_count"),
          .features = last_number(stats, "edges_found")};
}

/// Runs `jobs` engines to their end. The status of an engine that found something is not an error.
Expected<Counts> run_engine(const Engine& engine, const std::string& target, const fs::path& place,
                            std::uint64_t seconds, unsigned jobs) {
  std::error_code error;
  for (const char* const part : {"corpus", "crashes"}) fs::create_directories(place / part, error);
  if (error)
    return input_error(fmt::format("{}: cannot be made: {}", place.string(), error.message()));
  adopt_orphans();
  std::vector<Running> running;
  for (unsigned job = 0; job < jobs; ++job) {
    const std::string log = (place / fmt::format("log{}", job)).string();
    const auto command = engine.afl ? afl_command(engine, target, place, seconds)
                                    : libfuzzer_command(engine, target, place, seconds);
    auto started = start_program(
        command,
        {.capture = false,
         .output_file = log,
         .environment = engine.afl ? afl_environment(engine, target) : std::vector<std::string>{}});
    if (!started) return std::unexpected(started.error());
    running.push_back(std::move(*started));
  }
  Counts total;
  for (unsigned job = 0; job < jobs; ++job) {
    const auto finished = finish_program(std::move(running[job]));
    if (!finished) return std::unexpected(finished.error());
    const std::string log = slurp(place / fmt::format("log{}", job));
    const Counts counts = engine.afl ? read_afl(slurp(place / "afl" / "default" / "fuzzer_stats"))
                                     : read_libfuzzer(log);
    if (counts.executions == 0)
      return input_error(fmt::format("{} ran no input (status {}); its log is {}/log{}", target,
                                     finished->status, place.string(), job));
    total.executions += counts.executions;
    total.cpu_seconds += finished->cpu_seconds;
    total.corpus = counts.corpus;
    total.features = counts.features;
  }
  // afl-fuzz ends without waiting for the target, which has done most of the work.
  total.cpu_seconds += reap_orphans();
  return total;
}

/// Inputs the engine kept because they failed.
std::vector<fs::path> crashes_in(const fs::path& place, bool afl) {
  std::vector<fs::path> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(
           afl ? place / "afl" / "default" / "crashes" : place / "crashes", error)) {
    if (entry.path().filename() != "README.txt") out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// A crash of fuzz_sequence as a minimal sequence beside the input; the name of what it shows.
record::FuzzFinding explain(const fs::path& crash, const std::string& target) {
  record::FuzzFinding finding{.invariant = "unexplained", .file = crash.string()};
  const std::string contents = slurp(crash);
  auto model = run::FuzzRun::open(default_profile(kDefaultKernel));
  if (target != "fuzz_sequence" || !model) return finding;
  const std::vector<std::uint8_t> bytes(contents.begin(), contents.end());
  const auto found = model->run_bytes(bytes);
  if (!found) return finding;
  finding.invariant = found->finding.name();
  const Sequence start = model->sequence();
  const MinimizeResult result = run::minimize_finding(*model, start, found->finding);
  const std::string text = crash.string() + ".ops";
  if (write_file(text, format_text(result.sequence))) finding.file = text;
  return finding;
}

int fuzz(const Options& options) {
  const std::uint64_t seconds = seconds_of(options.time);
  if (seconds == 0) return complain("--time wants seconds, or 90s, 10m, 2h");
  if (const auto writable = check_writable(options.rows); !writable)
    return complain(writable.error());
  const auto engine = find_engine(options);
  if (!engine) return complain(engine.error());
  const fs::path place = fs::path(options.out) / options.engine / options.target;
  const bool is_empty = options.target == "fuzz_empty";
  fmt::print("{} under {} for {} s, {} job(s), in {}\n", options.target, options.engine, seconds,
             options.jobs, place.string());
  std::fflush(stdout);
  // The ceiling: the same engine on the same machine, just before, with nothing to do.
  const auto empty = is_empty ? Expected<Counts>(Counts{})
                              : run_engine(*engine, "fuzz_empty",
                                           fs::path(options.out) / options.engine / "fuzz_empty",
                                           std::max<std::uint64_t>(2, seconds / 10), 1);
  if (!empty) return complain(empty.error());
  const auto counts = run_engine(*engine, options.target, place, seconds, options.jobs);
  if (!counts) return complain(counts.error());

  record::FuzzRow row{.name = options.target, .engine = options.engine};
  row.seconds = static_cast<double>(seconds);
  row.executions = counts->executions;
  row.executions_per_second = counts->per_second();
  row.corpus_entries = counts->corpus;
  row.features = counts->features;
  if (!is_empty) {
    row.empty_executions_per_second = empty->per_second();
    row.ratio = counts->per_second() / empty->per_second();
  }
  if (options.target == "fuzz_sequence") {
    row.target = engine->afl ? "F2" : "F1";
    row.limit = engine->afl ? 0.9 : 0.10;
    row.met = *row.ratio >= *row.limit;
  }
  for (const fs::path& crash : crashes_in(place, engine->afl)) {
    if (crash.extension() != ".ops") row.findings.push_back(explain(crash, options.target));
  }
  fmt::print("{} executions, {:.0f} per CPU second", counts->executions, counts->per_second());
  if (row.ratio)
    fmt::print(", {:.3f} of the empty target's {:.0f}", *row.ratio, empty->per_second());
  fmt::print("; corpus {}, features {}\n", counts->corpus, counts->features);
  for (const record::FuzzFinding& finding : row.findings)
    fmt::print("FINDING {} in {}\n", finding.invariant, finding.file);
  const bool found = !row.findings.empty();
  if (const auto written = append_row(options.rows, std::move(row)); !written)
    return complain(written.error());
  return found ? kFinding : kFine;
}

}  // namespace

void add_fuzz(CLI::App& app, int& status) {
  Command command(app, "fuzz", "Run a fuzz target, keep and minimize what it finds");
  static Options options;
  command.option("TARGET", options.target, "fuzz_sequence | fuzz_codec | fuzz_text | fuzz_empty")
      .required()
      .one_of({"fuzz_sequence", "fuzz_codec", "fuzz_text", "fuzz_empty"});
  command.option("--engine", options.engine, "libfuzzer (default) | afl")
      .one_of({"libfuzzer", "afl"});
  command.option("--time", options.time, "Seconds, or 90s, 10m, 2h (default 60)");
  command.option("--jobs", options.jobs, "Processes on one corpus").between(1, 256);
  command.option("--out", options.out,
                 "Where corpus, crashes and logs are kept (default out/fuzz)");
  command.option("--rows", options.rows.file, "Append a row to this file");
  command.option("--run", options.rows.run, "Run id of that row");
  command.on_run([&status] { status = fuzz(options); });
}

}  // namespace sluice::tool
