// What KVM keeps about TDX in a VM and in a vCPU (Linux struct kvm_tdx, struct vcpu_tdx), beside
// what the TDX module keeps itself (machine/secure_ept.h).
#pragma once
#include <cstdint>

#include "base/units.h"

namespace sluice::model {

struct TdVm {
  bool initialized = false;     // KVM_TDX_INIT_VM succeeded
  bool runnable = false;        // KVM_TDX_FINALIZE_VM succeeded
  std::uint8_t mirror = 0xff;   // index into Vm::roots of the mirror root; 0xff: none yet
  Pfn source{};                 // tdx_populate=one_loop: what the page being added will hold
  std::uint32_t premapped = 0;  // nr_premapped: leaves of the mirror without a page in the TD
};

struct TdVcpu {
  bool initialized = false;  // KVM_TDX_INIT_VCPU succeeded
};

}  // namespace sluice::model
