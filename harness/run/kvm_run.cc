#include "run/kvm_run.h"

#include "run/lockstep.h"

namespace sluice::run {

Verdict run_differential(kvm::KvmBackend& kvm, model::ModelBackend& model, const Sequence& sequence,
                         oracle::Differential& differential, const RunOptions& options) {
  return run_lockstep(kvm, model, sequence, differential, options);
}

template Verdict run_sequence(kvm::KvmBackend&, oracle::Oracle&, const Sequence&,
                              const RunOptions&);

}  // namespace sluice::run
