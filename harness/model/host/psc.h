// Page state changes by the GHCB, KVM's part: the checks of the request, the batches, their
// completion (snp_host.md 5.2-5.4), and the MSR protocol (6). User space's part, and who calls what
// when, is in vmm/psc.h.
#pragma once
#include <span>

#include "model/host/kernel.h"

namespace sluice::model {

/// hypercall.args[0..2] of KVM_EXIT_HYPERCALL with KVM_HC_MAP_GPA_RANGE.
struct ConversionExit {
  std::uint64_t gpa = 0;
  std::uint64_t page_count = 0;
  std::uint64_t attributes = 0;  // bits 0-3 page size, bit 4 encrypted
};
inline constexpr std::uint64_t kMapGpaEncrypted = 0x10;

/// VMGEXIT with the PSC event, as far as the GHCB says.
struct PscRequest {
  GhcbState ghcb = GhcbState::kUsable;
  GhcbVersion version{};
  GhcbScratch scratch{};
};

/// The guest fills its buffer; entries not given are 0. Pre: no request of this vCPU is open.
/// Cost: a write per word that changes.
void fill_psc_buffer(Kernel& k, Vcpu& vcpu, PscHeader header, std::span<const PscEntry> entries);
/// Somebody else writes a word of it. Pre: index below the buffer's end.
void write_psc_word(Kernel& k, Vcpu& vcpu, unsigned index, std::uint64_t word);
/// The same of SW_SCRATCH, of which KVM has a copy.
void write_scratch(Kernel& k, Vcpu& vcpu, GhcbScratch scratch);

/// snp_host.md 5.2, in order; kOk begins the request.  Fails: psc.unregistered_kills,
/// psc.unregistered, psc.usage, psc.missing_input, psc.scratch, psc.disabled.
Check begin_psc(Kernel& k, Vcpu& vcpu, const PscRequest& request);

/// Copies of what the kernel read, once: what the guest writes afterwards does not reach them.
struct PscStart {
  Check refused = Check::kOk;  // psc.header, psc.entry
  bool found = false;          // false without `refused`: nothing is left to do
  bool large = false;          // the batch counts in 2 MiB
  std::uint16_t index = 0;
  std::uint16_t last = 0;  // end_entry
  std::uint16_t pages = 0;
  PscEntry entry{};
  Gfn gfn{};
};
/// Rows 1 to 4 of 5.3: the first entry with something left to do.  Cost: a read per entry.
PscStart find_psc_start(Kernel& k, Vcpu& vcpu);
/// Rows 5 and 6: takes what follows `start` into one batch. True if it needs an exit, which is
/// `exit` then; false if it was marked done as it stands (row 6').
bool take_psc_batch(Kernel& k, Vcpu& vcpu, const PscStart& start, ConversionExit& exit);
/// User space's hypercall.ret = 0 for the last exit, for the record.
void note_psc_granted(Kernel& k, Vcpu& vcpu);
/// 5.4, hypercall.ret = 0: the entries of the batch are done.
void complete_psc_batch(Kernel& k, Vcpu& vcpu);

/// Finishes the request: what the guest finds. `check` is kOk or why not.
Outcome finish_psc(Kernel& k, Vcpu& vcpu, Check check);
/// What the guest finds of a request that never began.
Outcome refuse_psc(Check check);

/// Forgets everything, as the vCPU goes.
void forget_psc(Kernel& k, Vcpu& vcpu);

/// The MSR protocol (6): kOk if there is an exit for it.  Fails: psc_msr.not_snp,
/// psc_msr.operation, psc_msr.disabled.
Check check_psc_msr(const Vm& vm, PscOperation operation);
/// What the guest reads back from the MSR.
Outcome answer_psc_msr(Check check);

}  // namespace sluice::model
