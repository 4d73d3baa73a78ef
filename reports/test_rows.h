// Rows for the tests of this room, in the format of harness/record.
#pragma once
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

namespace sluice::reports {

inline constexpr const char* kHost = "00000000000000a1";
inline constexpr const char* kOtherHost = "00000000000000b2";

inline std::string run_id(int run) {
  return fmt::format("2026-11-{:02}T{:02}:{:02}:00Z-test", 1 + run / 1440, run / 60 % 24, run % 60);
}
inline std::string run_time(int run) { return run_id(run).substr(0, 20); }

inline nlohmann::json common_fields(const char* kind, int run, const std::string& host) {
  return {{"schema", 1},
          {"kind", kind},
          {"run", run_id(run)},
          {"time", run_time(run)},
          {"commit", std::string(40, 'a')},
          {"dirty", false},
          {"host", host}};
}

struct BenchmarkFields {
  int run = 1;
  std::string host = kHost;
  std::string name = "model/rmpupdate/4K/sequential";
  int pages = 4096;
  bool smoke = false;
  double median = 2.0;
  double mad = 0.02;
  std::optional<double> limit = 8.0;
  std::string skipped{};
};

inline std::string benchmark_row(const BenchmarkFields& fields) {
  nlohmann::json row = common_fields("benchmark", fields.run, fields.host);
  row.update(
      {{"name", fields.name},
       {"backend", "model"},
       {"target", "M1"},
       {"arguments", {{"pages", fields.pages}, {"page_size", "4K"}}},
       {"unit", "ns/page"},
       {"items", fields.pages},
       {"repetitions", 11},
       {"simulated", false},
       {"smoke", fields.smoke},
       {"skipped", nullptr},
       {"limit", fields.limit ? nlohmann::json(*fields.limit) : nlohmann::json()},
       {"limit_sense", "max"},
       {"wall", nullptr},
       {"counters", {{"instructions", nullptr}, {"rmpupdate", fields.pages}}},
       {"counter_reasons", {{"instructions", "no hardware counters on this host (ENOENT)"}}}});
  if (!fields.skipped.empty()) {
    row.update({{"skipped", fields.skipped},
                {"cpu", nullptr},
                {"floor", nullptr},
                {"ratio", nullptr},
                {"met", nullptr}});
    return row.dump();
  }
  row["cpu"] = {{"median", fields.median},
                {"p99", fields.median * 1.2},
                {"min", fields.median * 0.9},
                {"mad", fields.mad}};
  row["floor"] = {{"name", "floor/rmp_store"}, {"cpu_median", 0.25}};
  row["ratio"] = fields.median / 0.25;
  row["met"] =
      fields.limit ? nlohmann::json(fields.median / 0.25 <= *fields.limit) : nlohmann::json();
  return row.dump();
}

inline std::string skip_row(int run, const char* name, const char* reason) {
  nlohmann::json row = common_fields("skip", run, kHost);
  row.update({{"name", name}, {"reason", reason}});
  return row.dump();
}

inline std::string test_row(int run, const char* name, const char* verdict, const char* reason) {
  nlohmann::json row = common_fields("test", run, kHost);
  row.update({{"suite", "kvm-selftests"},
              {"name", name},
              {"verdict", verdict},
              {"seconds", 0.5},
              {"reason", reason}});
  return row.dump();
}

inline std::string host_row(int run, const std::string& host, const std::string& kernel) {
  nlohmann::json row = common_fields("host", run, host);
  row["fingerprint"] = {
      {"kernel", kernel}, {"cpu", "Test CPU"}, {"cores", 2}, {"synthetic_topology", false}};
  return row.dump();
}

/// A directory that goes when the test does.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-reports-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace sluice::reports
