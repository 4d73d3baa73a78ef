// Two runs side by side. It states what differs and whether the difference is larger than the noise
// each run saw; it does not say "regression": that word belongs to the gate, whose error rates are
// measured.
#pragma once
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/system_error.h"

namespace sluice::reports {

/// One run: a rows.jsonl or a run store (told apart by content), and a run id; empty means its
/// newest run with benchmark rows, or for the old side of a comparison within one file the newest
/// but one.
struct RunSelector {
  std::filesystem::path path{};
  std::string run{};
};

enum class CompareSort : unsigned char { kName, kRatio, kOld, kNew };

struct CompareOptions {
  RunSelector old_run{};
  RunSelector new_run{};
  CompareSort sort = CompareSort::kName;
  // Half width of the noise band in standard deviations, estimated as 1.4826 MAD of both runs.
  // Repetitions within one run vary less than runs do, so a value outside the band is a reason to
  // measure again, not a verdict.
  double band_sigmas = 3.0;
};

enum class Remark : unsigned char {
  kWithinNoise,
  kOutsideNoiseHigher,
  kOutsideNoiseLower,
  kNoSpread,  // a run gives no MAD: nothing can be said
  kSkipped,   // in one of the runs
  kOnlyOld,
  kOnlyNew,
  kHostsDiffer,  // times of two machines do not compare
};

struct CounterChange {
  std::string name{};
  double old_value = 0;
  double new_value = 0;
};

struct CompareRow {
  std::string name{};
  std::string backend{};
  std::string arguments{};  // canonical JSON
  std::string unit{};
  std::string label{};  // "smoke", "simulated", "ahead of mainline", as the rows carry them
  std::optional<double>
      old_median{};  // CPU time per item, in the unit; wall time where there is no CPU time
  std::optional<double> new_median{};
  std::optional<double> ratio{};  // new / old
  std::optional<double> band{};   // relative half width of the noise band
  Remark remark = Remark::kNoSpread;
  std::string reason{};  // of a skip
  std::vector<CounterChange> counters{};
};

struct CompareResult {
  std::string old_run{};
  std::string new_run{};
  std::string old_commit{};
  std::string new_commit{};
  bool hosts_differ = false;
  std::vector<CompareRow> rows{};
};

/// Pairs the benchmark rows of two runs by name, backend, arguments and labels.
/// Errors: store.h's; a run that is not there (the message lists those that are).  Cost: reads both
/// files whole.
Expected<CompareResult> compare_runs(const CompareOptions& options);

/// A table for a terminal, one benchmark a line, counter changes below it.
std::string compare_text(const CompareResult& result);

/// {"schema":1,"old":{..},"new":{..},"rows":[..]}: the same content for programs.
std::string compare_json(const CompareResult& result);

/// "within noise", "outside noise, higher", ...
const char* remark_name(Remark remark);

}  // namespace sluice::reports
