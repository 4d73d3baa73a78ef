// Rows: one result = one line of JSON (schema 1). The types; row_json.h turns them into lines and
// back. A number that was not measured is an empty optional (null in JSON) and a reason beside it,
// never 0.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/fact.h"

namespace sluice::record {

inline constexpr int kSchema = 1;

/// What every row carries.
struct Head {
  std::string run{};     // one id per invocation of nightly or bench: "2026-11-21T09:20:01Z-1a2b"
  std::string time{};    // UTC, "2026-11-21T09:20:05Z"
  std::string commit{};  // 40 hex digits; empty where the build knows none
  bool dirty = false;    // the work tree differed from the commit
  std::string host{};    // 16 hex digits: id of the host's fingerprint
  friend bool operator==(const Head&, const Head&) = default;
};

/// The host a run was made on; first row of each run.
struct HostRow {
  Head head{};
  Facts fingerprint{};
  friend bool operator==(const HostRow&, const HostRow&) = default;
};

/// Over the repetitions of one benchmark, in nanoseconds per item. MAD: median absolute deviation
/// from the median, unscaled.
struct Statistics {
  double median = 0;
  double p99 = 0;
  double min = 0;
  double mad = 0;
  friend bool operator==(const Statistics&, const Statistics&) = default;
};

/// The least work that must touch the same memory, measured in the same run.
struct Floor {
  std::string name{};
  double cpu_median = 0;
  friend bool operator==(const Floor&, const Floor&) = default;
};

enum class LimitSense { kMax, kMin };  // kMax: the ratio may be at most the limit

struct BenchmarkRow {
  Head head{};
  std::string name{};                   // "model/rmpupdate/4K/sequential"
  std::string backend{};                // "model" or "kvm"
  std::optional<std::string> target{};  // row of the target table: "M1"
  Facts arguments{};
  std::string unit{};             // what one item is: "ns/page"
  std::uint64_t items = 0;        // per repetition
  std::uint64_t repetitions = 0;  // 0 where skipped
  std::optional<Statistics> cpu{};
  std::optional<Statistics> wall{};
  std::optional<Floor> floor{};
  std::optional<double>
      ratio{};  // subject over floor, medians of CPU time, or what ratio_unit says
  std::optional<std::string> ratio_unit{};  // where the target bounds no ratio to a floor: "MiB"
  std::optional<double> limit{};            // the target's bound on `ratio`
  LimitSense limit_sense = LimitSense::kMax;
  std::optional<bool> met{};
  Facts counters{};  // over one repetition's items; a missing one carries its reason
  bool simulated = false;
  std::optional<std::string> label{};  // such as "ahead of mainline"
  bool smoke = false;                  // smoke sizes: says the code works, says nothing of speed
  std::optional<std::string> skipped{};
  friend bool operator==(const BenchmarkRow&, const BenchmarkRow&) = default;
};

struct FuzzFinding {
  std::string invariant{};
  std::string file{};
  friend bool operator==(const FuzzFinding&, const FuzzFinding&) = default;
};

struct FuzzRow {
  Head head{};
  std::string name{};    // "fuzz_sequence"
  std::string engine{};  // "libfuzzer" or "afl"
  std::optional<double> seconds{};
  std::optional<std::uint64_t> executions{};
  std::optional<double> executions_per_second{};
  std::optional<double>
      empty_executions_per_second{};  // the engine with an empty target: the ceiling
  std::optional<double> ratio{};      // subject over ceiling
  std::optional<std::string> target{};
  std::optional<double> limit{};
  std::optional<bool> met{};
  std::optional<std::uint64_t> corpus_entries{};
  std::optional<std::uint64_t> features{};
  std::vector<FuzzFinding> findings{};
  std::optional<double> acting_share{};  // mutated operations that act, of all
  std::optional<std::string> skipped{};
  friend bool operator==(const FuzzRow&, const FuzzRow&) = default;
};

struct Mismatch {
  std::string file{};
  std::uint64_t line = 0;
  std::string field{};
  std::string model{};
  std::string kvm{};
  friend bool operator==(const Mismatch&, const Mismatch&) = default;
};

struct Count {
  std::string name{};
  std::uint64_t count = 0;
  friend bool operator==(const Count&, const Count&) = default;
};

/// Random sequences instead of files: numbers `first` to `first + count - 1` of a seed, which give
/// the same sequences again on a host of the same profile.
struct RandomDraw {
  std::uint64_t seed = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;  // that ran; fewer than asked for where there were findings enough
  double acting_share = 0;  // operations that acted, of all
  friend bool operator==(const RandomDraw&, const RandomDraw&) = default;
};

struct DifferentialRow {
  Head head{};
  std::string backend{};
  std::optional<RandomDraw> random{};  // empty: files
  std::uint64_t sequences = 0;
  std::vector<Count> compared{};      // by field
  std::vector<Count> uncomparable{};  // by field
  std::vector<Mismatch> mismatches{};
  std::vector<Count> skipped_steps{};  // by reason
  friend bool operator==(const DifferentialRow&, const DifferentialRow&) = default;
};

/// A thing the host lacks, and so was not run.
struct SkipRow {
  Head head{};
  std::string name{};
  std::string reason{};
  friend bool operator==(const SkipRow&, const SkipRow&) = default;
};

enum class TestVerdict { kPassed, kFailed, kSkipped };

/// A program of another suite that ran here and judged by itself (KVM's selftests).
struct TestRow {
  Head head{};
  std::string suite{};  // "kvm-selftests"
  std::string name{};   // with its arguments: "private_mem_conversions_test -n 2"
  TestVerdict verdict = TestVerdict::kFailed;
  std::optional<double> seconds{};  // empty where it did not come to its end
  std::string reason{};             // why it failed or was skipped
  friend bool operator==(const TestRow&, const TestRow&) = default;
};

/// The pre-merge gate's verdict on two revisions.
struct GateRow {
  Head head{};
  std::string base{};      // revision compared against
  std::string revision{};  // revision judged
  int status = 0;          // 0 fine, 1 regression, 2 inconclusive
  std::vector<std::string> failures{};
  friend bool operator==(const GateRow&, const GateRow&) = default;
};

enum class AlternativeVerdict {
  kNotShown,      // no file shows it
  kBroken,        // an invariant does not hold
  kNothingFound,  // within what was explored
  kStale          // its file shows nothing any more
};

/// An operation of a sequence and what the model answered.
struct AnsweredStep {
  std::string operation{};
  std::string answer{};
  friend bool operator==(const AnsweredStep&, const AnsweredStep&) = default;
};

/// What breaks an alternative, in full, so that a reader needs no other file.
struct Counterexample {
  std::string text{};                 // as a file of operations has it
  std::vector<AnsweredStep> steps{};  // up to the finding
  bool at_end = false;      // behind the last of them, when whoever was parked had gone on
  std::string statement{};  // of the invariant
  std::string finding{};    // what does not hold, and of what
  friend bool operator==(const Counterexample&, const Counterexample&) = default;
};

/// How far the interleavings of a tour were gone through.
struct Explored {
  std::string policy{};  // the tour's own, with the value
  std::uint64_t interleavings = 0;
  bool complete = false;                // all within the bound of preemptions
  std::uint64_t preemptions_max = 0;    // of one interleaving
  std::uint64_t interleavings_max = 0;  // after which it stops
  friend bool operator==(const Explored&, const Explored&) = default;
};

struct AlternativeCost {
  std::string workload{};   // the way that its pages go: "convert"
  std::uint64_t pages = 0;  // that were asked for
  std::uint64_t arrived = 0;
  /// Frames in use when all pages are shared, and when all are private again; empty where the way
  /// does not convert.
  std::optional<std::uint64_t> frames_when_shared{}, frames_when_private{};
  std::vector<Count> counts{};  // of all pages, exact
  std::optional<double>
      nanoseconds_a_page{};                   // empty where fewer pages arrived than were asked for
  std::optional<double> nanoseconds_a_try{};  // where not all arrive, and somebody has tried
  std::optional<double> of_default{};         // over the default's; empty where either has none
  std::optional<std::string> prices{};        // their file; empty: the defaults
  friend bool operator==(const AlternativeCost&, const AlternativeCost&) = default;
};

/// One value of one policy axis, shown by running it. It says nothing of the host: the same build
/// writes the same everywhere.
struct AlternativeRow {
  Head head{};
  std::string axis{};
  std::string summary{};  // what the axis is about
  std::string value{};
  bool is_default = false;
  std::string flavor{};  // "plain", or "tdx": on a TD
  std::string policy{};  // the whole set, as "axis=value,..." without defaults
  AlternativeVerdict verdict = AlternativeVerdict::kNotShown;
  std::string reason{};     // of kStale
  std::string file{};       // the counterexample's or the tour's; "" where there is none
  std::string invariant{};  // of kBroken: "H2 host.lives"
  std::optional<Counterexample> counterexample{};  // of kBroken
  std::optional<Explored> explored{};              // of a tour
  std::optional<AlternativeCost> cost{};           // of "plain", or of what is about TDs alone
  friend bool operator==(const AlternativeRow&, const AlternativeRow&) = default;
};

/// Of a request, in virtual nanoseconds.
struct Latencies {
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
  double p999 = 0;
  double max = 0;
  friend bool operator==(const Latencies&, const Latencies&) = default;
};

struct LockTime {
  std::string name{};
  std::uint64_t taken = 0;
  std::uint64_t contended = 0;
  double waited_ns = 0;  // by all vCPUs together
  double held_ns = 0;
  friend bool operator==(const LockTime&, const LockTime&) = default;
};

/// A machine that was simulated where no count of equal nodes stands for one.
struct SimulatedTopology {
  std::string name{};                       // as it was asked for
  std::vector<std::uint64_t> processors{};  // of each node
  std::optional<std::string> distances{};   // name of the matrix; empty: the factor is the default
  std::vector<std::vector<double>> remote_factor{};  // of each node to each
  friend bool operator==(const SimulatedTopology&, const SimulatedTopology&) = default;
};

/// A workload on so many vCPUs in virtual time. It says nothing of the host, like AlternativeRow.
struct SimulationRow {
  Head head{};
  std::string workload{};
  std::uint64_t vcpus = 0;
  std::uint64_t nodes = 0;
  std::optional<SimulatedTopology> topology{};
  std::string placement{};
  std::string policy{};  // as AlternativeRow's
  std::uint64_t pages_a_vcpu = 0;
  std::uint64_t seed = 0;
  std::optional<std::string> prices{};  // as AlternativeCost's
  std::uint64_t requests = 0;
  std::uint64_t pages = 0;    // that arrived
  std::uint64_t refused = 0;  // operations; where there are any, the policy does not let it work
  std::uint64_t events = 0;
  double virtual_ns = 0;
  double pages_per_second = 0;
  Latencies latency_ns{};
  std::vector<LockTime> locks{};
  friend bool operator==(const SimulationRow&, const SimulationRow&) = default;
};

using Row = std::variant<BenchmarkRow, FuzzRow, SkipRow, DifferentialRow, HostRow, GateRow, TestRow,
                         AlternativeRow, SimulationRow>;

inline const Head& head_of(const Row& row) {
  return std::visit([](const auto& r) -> const Head& { return r.head; }, row);
}

}  // namespace sluice::record
