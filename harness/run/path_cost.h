// What a page costs on its way under a set of policies: how often the model did what takes time on
// a machine, as exact integers. Prices: cost_table.h.
#pragma once
#include <cstdint>
#include <string_view>

#include "model/model_backend.h"
#include "ops/policy.h"
#include "run/cost_table.h"

namespace sluice::run {

/// Adds up what the model does while operations run.
class WorkMeter {
 public:
  explicit WorkMeter(model::ModelBackend& model) : model_(model) {}
  /// A step begins: its events are counted from the first.
  void begin_step() { seen_ = 0; }
  /// What was done since the last call. Calls, instructions of the guest and locks are not in it.
  PathCounts take();

 private:
  model::ModelBackend& model_;
  std::size_t seen_ = 0;  // events of the step
};

/// What an operation is by itself, beside what the meter sees: the guest's PVALIDATEs, and calls of
/// user space, those by which it answers a page state change among them (one request, one slot).
PathCounts own_counts(const Op& op, const PolicySet& policy);

/// A way that pages go, of a guest that reacts as its policies say and a user space that mends what
/// it is told of.
enum class Workload : std::uint8_t {
  /// An SNP guest touches shared pages as private ones, and makes a page state change only where an
  /// exception tells it to.
  kTouch,
  kConvert,  // an SNP guest's pages become private, shared, and private again, each time touched
  kConvertWritten,  // the same, and the kernel writes each page while it is shared
  kPremap,          // pages of an ordinary VM are pre-faulted, then touched
  kPremapInSmm,     // the same on a vCPU that is in SMM, with memory of its own for that mode
  kPopulate         // pages of a TD are added before it runs, on a kernel that has TDs (6.18)
};
std::string_view name_of(Workload workload);

struct PathCost {
  PathCounts counts{};      // of the way itself, not of its preparation
  std::uint64_t pages = 0;  // that were asked for
  std::uint64_t done = 0;   // pages that arrived; with fewer than `pages` the way is no way
  std::uint64_t tried = 0;  // pages that somebody tried, up to where the VM or the host has died
  /// Of kConvert: frames in use, beyond those of the preparation, when all pages are shared and
  /// touched, and when all are private again. What convert_reclaim is about.
  std::uint64_t frames_when_shared = 0, frames_when_private = 0;
};
inline constexpr std::uint64_t kCostPages = 64;

/// Runs the workload on the model, every operation by its locks. Pre: no sequence is under way;
/// afterwards none is. Deterministic. Cost: some milliseconds.
PathCost measure_path(model::ModelBackend& model, const PolicySet& policy, Workload workload);

}  // namespace sluice::run
