// The real kernel as the runner's backend, alone and in lockstep with the model.
#pragma once
#include "kvm/kvm_backend.h"
#include "oracle/differential.h"
#include "run/runner.h"

namespace sluice::run {

template <>
struct BackendTraits<kvm::KvmBackend> {
  static constexpr std::string_view kName = "kvm";
  static constexpr bool kHasAlternatives = false;  // a kernel is as it is
  static Expected<void> start(kvm::KvmBackend& kvm, const Sequence& sequence) {
    return kvm.reset(sequence.header, sequence.steps);
  }
  static void end(kvm::KvmBackend&) {}
  static bool lacks(const kvm::KvmBackend& kvm, Capability capability) {
    return !kvm.probed().has(capability);
  }
  static std::string skip_words(const kvm::KvmBackend& kvm) { return kvm.skip_reason(); }
};
static_assert(Backend<kvm::KvmBackend>);

/// The kernel against the model that has its profile (lockstep.h). Pre: `model` was opened with
/// kvm.profile().
Verdict run_differential(kvm::KvmBackend& kvm, model::ModelBackend& model, const Sequence& sequence,
                         oracle::Differential& differential, const RunOptions& options);

extern template Verdict run_sequence(kvm::KvmBackend&, oracle::Oracle&, const Sequence&,
                                     const RunOptions&);

}  // namespace sluice::run
