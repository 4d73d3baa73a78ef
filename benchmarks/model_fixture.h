// What the benchmarks of the model's host share: a backend brought into a state by a program in
// text form, which is then what reset() returns to.
#pragma once
#include <optional>
#include <string>

#include "benchmarks/scenario/scenario.h"
#include "model/host/kernel.h"
#include "model/model_backend.h"
#include "ops/text.h"

namespace sluice::bench {

/// An SNP guest past its launch, with `pages` pages of memory at GFN 0 behind slot 0 and vCPU 0.
inline std::string snp_guest(std::uint64_t pages, bool large) {
  const std::string size = std::to_string(pages * kPageBytes);
  return std::string(large ? "# policy: gmem_order=2M\n" : "") +
         "create_vm vm=0 type=snp\n"
         "sev_init2 vm=0\n"
         "create_guest_memfd vm=0 gmem=0 size=" +
         size + "\n" + "set_memory_region vm=0 slot=0 flags=guest_memfd gpa=0x0 size=" + size +
         " hva=0x0 gmem=0\n" +
         "create_vcpu vm=0 vcpu=0\n"
         "launch_start vm=0\n"
         "launch_finish vm=0\n";
}

class ModelFixture {
 public:
  /// Every step of `program` must succeed; what they leave is the state that reset() returns to.
  Status open(const std::string& program,
              const HostProfile& profile = default_profile(kDefaultKernel)) {
    auto opened = model::ModelBackend::open(profile);
    if (!opened) return fail(opened.error());
    backend_.emplace(std::move(*opened));
    auto sequence = parse_text(program, "benchmark");
    if (!sequence) return fail(sequence.error());
    header_ = sequence->header;
    backend_->begin(header_);
    for (const Step& step : sequence->steps) {
      const Outcome outcome = backend_->apply(step);
      if (!outcome.ok())
        return fail(format_step(step) + " answered " + std::string(row_of(outcome.check).name));
    }
    backend_->kernel().machine.journal.commit();
    return {};
  }
  void reset() {
    backend_->reset();
    backend_->begin(header_);
  }
  model::ModelBackend& backend() { return *backend_; }
  const model::ModelBackend& backend() const { return *backend_; }

 private:
  std::optional<model::ModelBackend> backend_;
  SequenceHeader header_{};
};

/// The steps of a program; the benchmark's own mistake if it does not parse.
inline std::vector<Step> steps_of(const std::string& program) {
  auto sequence = parse_text(program, "benchmark");
  SLUICE_CHECK(sequence.has_value());
  return std::move(sequence->steps);
}

}  // namespace sluice::bench
