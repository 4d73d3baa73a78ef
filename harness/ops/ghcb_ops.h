// Operations: what a guest asks its hypervisor for by its GHCB, page state changes (psc_ops.h)
// apart, and who else writes that page. Layouts, checks and answers: snp_host.md 5.2 and 8.
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

/// The MMIO events: a guest has an access to device memory emulated, by its #VC handler. Whatever
/// is at the address, it goes to user space.  Refused: groups vmgexit and ghcb_mmio.
struct GhcbMmio {
  RawGpa gpa{.value = 0xfee00000};
  GhcbLength size{.value = 4};  // SW_EXITINFO2
  bool write = false;
  GhcbScratch scratch{};
  GhcbVersion version{};
  GhcbState ghcb = GhcbState::kUsable;
  static constexpr OpInfo kInfo{
      .name = "ghcb_mmio",
      .actor = ActorKind::kVcpu,
      .weight = 1,
      .source = "bugs.md 71; sev_handle_vmgexit(), kvm_sev_es_mmio_read()",
      .summary = "The guest asks by its GHCB for an access to device memory."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gpa", op.gpa), visit("size", op.size), visit("write", op.write);
    visit("scratch", op.scratch), visit("version", op.version), visit("ghcb", op.ghcb);
  }
};
SLUICE_OPERATION(GhcbMmio);

/// The IOIO event: port I/O, of one value in RAX or of a string in the scratch area.  Refused:
/// groups vmgexit and ghcb_port_io.
struct GhcbPortIo {
  IoSize size{.value = 4};
  bool in = false;
  bool string = false;
  GhcbLength count{.value = 1};  // of a string
  GhcbScratch scratch{};
  GhcbVersion version{};
  bool rax_valid = true;
  GhcbState ghcb = GhcbState::kUsable;
  static constexpr OpInfo kInfo{.name = "ghcb_port_io",
                                .actor = ActorKind::kVcpu,
                                .weight = 1,
                                .source = "bugs.md 71; sev_handle_vmgexit(), sev_es_string_io()",
                                .summary = "The guest asks by its GHCB for an access to a port."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("size", op.size), visit("in", op.in), visit("string", op.string);
    visit("count", op.count), visit("scratch", op.scratch), visit("version", op.version);
    visit("rax_valid", op.rax_valid), visit("ghcb", op.ghcb);
  }
};
SLUICE_OPERATION(GhcbPortIo);

/// Somebody writes SW_SCRATCH of a vCPU's GHCB. KVM has its copy from the VMGEXIT on, so that only
/// a kernel which reads the field again can tell.
struct GhcbWriteScratch {
  VcpuIndex vcpu{};
  GhcbScratch scratch{};
  static constexpr OpInfo kInfo{.name = "ghcb_write_scratch",
                                .weight = 1,
                                .source = "bugs.md 70",
                                .summary = "Writes the scratch address of a vCPU's GHCB."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vcpu", op.vcpu), visit("scratch", op.scratch);
  }
};
SLUICE_OPERATION(GhcbWriteScratch);

}  // namespace sluice
