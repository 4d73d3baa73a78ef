// How a benchmark is written: one small file with a Scenario and one add_benchmark() call. The
// session (session.h) prepares it, verifies it once, times it beside its floor and writes one row.
//
//     // Cost of RMPUPDATE 4K over one machine, all checks on.
//     #include "benchmarks/scenario/scenario.h"
//     namespace sluice::bench {
//     namespace {
//     class RmpUpdate4K : public Scenario {
//      public:
//       explicit RmpUpdate4K(const Arguments& arguments) : pages_(arguments.number("pages")) {}
//       Status setup() override { ... open the machine; return fail(error) or skip("why") if it
//       cannot be ... } void before() override { ... untimed: back to the start state ... } void
//       run(unsigned) override { ... timed: all pages once ... } Status verify() override { ...
//       every page is assigned? if not: return fail("page 7 is not assigned") ... } std::uint64_t
//       items() const override { return pages_; } Facts counters() const override { return {{.name
//       = "rmpupdate", .value = std::int64_t{...}}}; }
//     };
//     const bool kAdded = add_benchmark(
//         {.name = "model/rmpupdate", .backend = "model",
//          .parameters = {{"pages", {262144}, {512}}, {"page_size", {"4K"}}, {"order",
//          {"sequential", "random"}}}, .make = make_scenario<RmpUpdate4K>, .floor =
//          "floor/rmp_store", .target = "M1", .limit = 8.0});
//     }  // namespace
//     }  // namespace sluice::bench
//
// Put it in benchmarks/model_*.cc (part of sluice_bench_model), benchmarks/kvm_*.cc
// (sluice_bench_kvm) or benchmarks/floor_*.cc (both); no CMake edit. Texts become part of the name
// ("model/rmpupdate/4K/random"), numbers only where there is more than one ("kvm/exit/threads:2").
// A parameter called "threads" is the number of threads that call run().
#pragma once
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/fact.h"
#include "base/system_error.h"
#include "record/row.h"

namespace sluice::bench {

/// Why a scenario is not timed: the host lacks something (a skip, no fault of anyone), or it did
/// not do its work (a failure: the program's exit status becomes 1).
struct Refusal {
  enum class Kind { kSkip, kFailure };
  Kind kind = Kind::kFailure;
  std::string reason{};
};
using Status = std::expected<void, Refusal>;
[[nodiscard]] std::unexpected<Refusal> skip(std::string reason);
[[nodiscard]] std::unexpected<Refusal> fail(std::string reason);
[[nodiscard]] std::unexpected<Refusal> fail(const SystemError& error);

/// The values of one run of a scenario, by parameter name.
class Arguments {
 public:
  Arguments(Facts facts, bool smoke) : facts_(std::move(facts)), smoke_(smoke) {}
  /// Pre: the definition has such a parameter, and of that kind.
  std::uint64_t number(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  std::uint64_t number_or(std::string_view name, std::uint64_t otherwise) const;
  const Facts& facts() const { return facts_; }
  bool smoke() const { return smoke_; }

 private:
  Facts facts_;
  bool smoke_;
};

/// The number that a target's limit bounds.
struct Bounded {
  double value = 0;
  std::string unit{};  // "MiB"
};

/// What is measured. Order of calls: setup, before, run, verify, after, then for each repetition
/// before, run, after. All but run() happen on one thread and outside the timer; all run on the
/// node that the rows name, with memory from the node they name.
class Scenario {
 public:
  Scenario() = default;
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;
  virtual ~Scenario() = default;

  /// Once. A capability that the host lacks is a skip that names it.
  virtual Status setup() = 0;
  /// Back to the state that run() starts from.
  virtual void before() {}
  /// Each thread by itself, untimed, before each run(): what has to happen on the thread that will
  /// do the work (a vCPU's first entry). May overlap with before(), which thread 0 has done when it
  /// arrives.
  virtual void arrive(unsigned thread) { static_cast<void>(thread); }
  /// The work, of thread `thread` of those asked for. Should take 100 us or more: the CPU clock
  /// costs about 1 us.
  virtual void run(unsigned thread) = 0;
  /// Checks once, after the first run(), that the work was done. Never empty: a benchmark of
  /// nothing is fast.
  virtual Status verify() = 0;
  virtual void after() {}

  /// Items of one run(), all threads together; times are per item.
  virtual std::uint64_t items() const = 0;
  /// Exact counts of the work of the last run(): equal for equal code, so that the gate can compare
  /// them.
  virtual Facts counters() const { return {}; }
  /// For a target that bounds neither a ratio to a floor nor a time: what it bounds.
  virtual std::optional<Bounded> bounded() const { return std::nullopt; }

  /// First thing that went wrong in before(), run() or after(); the session stops the benchmark and
  /// reports it.
  std::optional<std::string> failure() const;

 protected:
  /// For before(), run() and after(), which return nothing. Thread: safe.
  void note_failure(std::string reason);

 private:
  mutable std::mutex mutex_;
  std::optional<std::string> failure_;
};

using Value = std::variant<std::int64_t, std::string>;
struct Parameter {
  std::string name{};
  std::vector<Value> real{};
  std::vector<Value> smoke{};  // empty: as real (texts); a number needs its small value
};

struct Definition {
  std::string name{};            // "model/rmpupdate"; texts of parameters follow
  std::string backend{"model"};  // "model" or "kvm"
  std::vector<Parameter> parameters{};
  std::function<std::unique_ptr<Scenario>(const Arguments&)> make{};
  std::string unit{"ns/page"};
  /// Name of the benchmark to measure beside this one: of a definition (its run whose arguments
  /// agree with ours is taken) or of one run ("model/convert/4K"). Empty: none.
  std::string floor{};
  std::string target{};  // row of the target table; empty: none
  std::optional<double> limit{};
  record::LimitSense limit_sense = record::LimitSense::kMax;
  bool limit_is_time = false;  // the limit bounds the median CPU time per item, in nanoseconds
  unsigned repetitions = 21;   // odd: the median is a value that was measured; more where the limit
                               // is close to the noise
  std::string label{};         // such as "ahead of mainline"
  bool simulated = false;
  bool counted = false;  // for --count, where the clock counts instructions, and for nothing else:
                         // one run() is one system call, and `unit` is instructions per item
};

/// Registers it with the program that links this file. Returns true, so that it can initialize a
/// constant.
bool add_benchmark(Definition definition);

template <class S>
std::unique_ptr<Scenario> make_scenario(const Arguments& arguments) {
  return std::make_unique<S>(arguments);
}

/// Keeps the compiler from dropping a computation whose result nobody reads.
template <class T>
inline void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

/// One definition with one choice of values.
struct Instance {
  const Definition* definition = nullptr;
  std::string name{};
  Arguments arguments;
};

/// Every run of every registered definition, sorted by name.
std::vector<Instance> all_instances(bool smoke);
/// The same for definitions given, for tests.
std::vector<Instance> instances_of(const std::vector<const Definition*>& definitions, bool smoke);
/// The floor of an instance among all of them, or null.
const Instance* find_floor(const Instance& of, const std::vector<Instance>& among);

}  // namespace sluice::bench
