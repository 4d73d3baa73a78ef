// What KVM keeps about SEV-SNP in a VM and in a vCPU (Linux struct kvm_sev_info, struct
// vcpu_sev_es_state).
#pragma once
#include <cstdint>

#include "base/units.h"

namespace sluice::model {

struct SevVm {
  bool active = false;    // KVM_SEV_INIT2 succeeded
  bool context = false;   // LAUNCH_START succeeded: the guest context exists and the ASID is bound
  bool launched = false;  // LAUNCH_FINISH succeeded
  Asid asid{};            // taken by KVM_SEV_INIT2; 0 = none
  Pfn context_page{};     // firmware's guest context, if `context`
  std::uint64_t policy = 0;
};

struct SevVcpu {
  bool has_vmsa = false;  // the frame below is this vCPU's VMSA
  Pfn vmsa{};
};

}  // namespace sluice::model
