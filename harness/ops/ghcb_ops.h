// Operations: what a guest asks its hypervisor for by its GHCB, page state changes (psc_ops.h)
// apart. Layouts, checks and answers: snp_host.md 5.2 and 8.
#pragma once
#include "ops/op_info.h"

namespace sluice {

/// The AP creation event: a vCPU asks that another one (or itself) start from a VMSA that the guest
/// has made, or stop. The vCPU asked about follows at its next entry.  Refused: groups vmgexit and
/// ap_creation; at that entry run.halted, run.no_vmsa, run.vmsa.
struct ApCreation {
  VcpuIndex vcpu{.value = 1};  // by its APIC ID
  ApRequest request{};
  RawGpa gpa{.value = 0x1000};  // of the VMSA, SW_EXITINFO2
  SevFeatures features{};       // RAX
  bool rax_valid = true;
  GhcbState ghcb = GhcbState::kUsable;
  static constexpr OpInfo kInfo{
      .name = "ap_creation",
      .actor = ActorKind::kVcpu,
      .weight = 3,
      .source = "snp_host.md 8; sev_snp_ap_creation()",
      .summary = "The guest asks for a vCPU to start from a VMSA of its own, or to stop."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vcpu", op.vcpu), visit("request", op.request), visit("gpa", op.gpa);
    visit("features", op.features), visit("rax_valid", op.rax_valid), visit("ghcb", op.ghcb);
  }
};
SLUICE_OPERATION(ApCreation);

}  // namespace sluice
