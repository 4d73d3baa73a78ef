#include "run/export_run.h"

#include <fmt/format.h>

#include "kvm/export_c.h"
#include "kvm/kvm_backend.h"
#include "run/model_syscalls.h"
#include "run/runner.h"
#include "trace/outcome_text.h"

namespace sluice::run {

HostProfile export_profile(const Sequence& sequence) {
  HostProfile profile = default_profile(sequence.header.kernel);
  profile.snp = false;
  profile.vm_types &= ~(1u << static_cast<unsigned>(VmType::kSnp));
  return profile_without(profile, sequence);
}

Expected<std::string> export_program(const Sequence& sequence, const HostProfile& profile,
                                     const std::string& file) {
  if (const std::string reason = kvm::why_not_exportable(sequence, file); !reason.empty()) {
    return input_error(reason);
  }
  auto adapter = ModelSyscalls::open(profile);
  if (!adapter) return std::unexpected(adapter.error());
  auto kvm = kvm::KvmBackend::open({.sys = adapter->get(), .reuse_vms = false});
  if (!kvm) return std::unexpected(kvm.error());
  if (auto ready = (*kvm)->reset(sequence.header, sequence.steps); !ready) {
    return std::unexpected(ready.error());
  }
  std::vector<kvm::ExportedStep> steps;
  for (const Step& step : sequence.steps) {
    const Outcome out = (*kvm)->apply(step);
    kvm::ExportedStep exported{.modeled = out};
    if (out.skipped()) exported.left_out = describe(out) + ": " + (*kvm)->skip_reason();
    steps.push_back(std::move(exported));
  }
  const std::string host =
      fmt::format("the model of Linux {}.{} {} nested paging", profile.version.major,
                  profile.version.minor, profile.tdp ? "with" : "without");
  return kvm::export_c(sequence, steps, file, host);
}

}  // namespace sluice::run
