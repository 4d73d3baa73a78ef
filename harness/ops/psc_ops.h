// Operations: page state changes that a guest asks for through its GHCB, and who else writes that
// page. Layouts, checks and answers: snp_host.md 5 and 6.
#pragma once
#include "ops/op_info.h"

namespace sluice {

/// A page state change by the GHCB's MSR protocol: one page; user space answers as the policy axis
/// `vmm` says.  Refused: group psc_msr.
struct PscMsr {
  Gfn gfn{};
  PscOperation operation{.value = PscOperation::kShared};
  static constexpr OpInfo kInfo{
      .name = "psc_msr",
      .actor = ActorKind::kVcpu,
      .weight = 4,
      .source = "snp_begin_psc_msr(), snp_complete_psc_msr()",
      .summary = "The guest asks for a page state change by the GHCB's MSR protocol."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gfn", op.gfn), visit("operation", op.operation);
  }
};
SLUICE_OPERATION(PscMsr);

/// A page state change by the NAE event: the guest fills the buffer (its first entries as given,
/// zeros behind them) and does one VMGEXIT.  Refused: group psc.
struct Psc {
  GhcbState ghcb = GhcbState::kUsable;
  GhcbVersion version{};
  GhcbScratch scratch{};
  PscIndex cur_entry{};
  PscIndex end_entry{};
  PscEntry entry0{};
  PscEntry entry1{};
  PscEntry entry2{};
  PscEntry entry3{};
  static constexpr OpInfo kInfo{
      .name = "psc",
      .actor = ActorKind::kVcpu,
      .weight = 6,
      .source = "snp_begin_psc(), snp_complete_one_psc()",
      .summary = "The guest asks for page state changes by its GHCB: one VMGEXIT."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("ghcb", op.ghcb), visit("version", op.version), visit("scratch", op.scratch);
    visit("cur_entry", op.cur_entry), visit("end_entry", op.end_entry);
    visit("entry0", op.entry0), visit("entry1", op.entry1), visit("entry2", op.entry2);
    visit("entry3", op.entry3);
  }
};
SLUICE_OPERATION(Psc);

/// The guest changes the state of a range as its kernel does: PVALIDATE and page state changes in
/// the order that the policy axis `guest` gives, in requests of 64 entries.  Refused: group
/// guest_convert.
struct GuestConvert {
  Gfn gfn{};
  GuestPageCount page_count{};
  bool to_private = true;
  bool large = true;  // entries of 2 MiB where a whole aligned block is left
  static constexpr OpInfo kInfo{
      .name = "guest_convert",
      .actor = ActorKind::kVcpu,
      .weight = 6,
      .source = "Linux set_pages_state(), vmgexit_psc(), pvalidate_pages()",
      .summary = "The guest makes a range of its memory private or shared, acceptance included."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gfn", op.gfn), visit("page_count", op.page_count), visit("to_private", op.to_private);
    visit("large", op.large);
  }
};
SLUICE_OPERATION(GuestConvert);

/// Somebody writes the header of a PSC buffer: a GHCB is shared memory, so the host can as well as
/// another vCPU of the guest. Only a stopped request can tell.
struct GhcbWriteHeader {
  VcpuIndex vcpu{};
  PscIndex cur_entry{};
  PscIndex end_entry{};
  PscReserved reserved{};
  static constexpr OpInfo kInfo{.name = "ghcb_write_header",
                                .weight = 1,
                                .source = "bugs.md 69; snp_host.md 5.1",
                                .summary = "Writes the header of a vCPU's PSC buffer."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vcpu", op.vcpu), visit("cur_entry", op.cur_entry), visit("end_entry", op.end_entry);
    visit("reserved", op.reserved);
  }
};
SLUICE_OPERATION(GhcbWriteHeader);

/// The same for one entry; an index beyond the buffer writes nothing.
struct GhcbWriteEntry {
  VcpuIndex vcpu{};
  PscIndex index{};
  PscEntry entry{};
  static constexpr OpInfo kInfo{.name = "ghcb_write_entry",
                                .weight = 1,
                                .source = "bugs.md 69; snp_host.md 5.1",
                                .summary = "Writes an entry of a vCPU's PSC buffer."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vcpu", op.vcpu), visit("index", op.index), visit("entry", op.entry);
  }
};
SLUICE_OPERATION(GhcbWriteEntry);

}  // namespace sluice
