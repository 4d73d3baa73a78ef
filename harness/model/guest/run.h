// KVM_RUN for one instruction of a guest: the processor walks the vCPU's nested page tables and
// checks the access; a nested page fault goes to the host's fault path, then to the RMP fix-up, and
// the guest tries again (kvm.md 5, snp_host.md 4; Linux npf_interception()).
//
// Left out: the guest's own page tables (a GVA is its GPA), and everything a guest does that
// touches no memory.
#pragma once
#include "model/host/kernel.h"
#include "model/schedule/task.h"

namespace sluice::model {

enum class GuestAction : std::uint8_t { kAccess, kPvalidate, kRmpAdjust, kRmpQuery, kTdAccept };

/// The instruction, as far as memory is concerned. Trivially copyable: a task takes it by value.
struct GuestInstruction {
  GuestAction action = GuestAction::kAccess;
  AccessKind kind = AccessKind::kRead;
  bool c_bit = true;
  bool validate = false;
  bool vmsa = false;
  bool reenters = false;  // one of many: user space answers a signal by KVM_RUN, at once
  std::uint8_t vmpl = 0;
  std::uint8_t cpl = 0;
  std::uint8_t target_vmpl = 0;
  std::uint8_t mask = 0;
  PageSizeArg size = PageSizeArg::k4K;
  Gfn gfn{};
  std::uint64_t token = 0;
};

/// How often one instruction may fault with something changing each time before it counts as a
/// loop. The longest way that ends is: map large, split, map small.
inline constexpr unsigned kMaxGuestRounds = 8;

/// Runs until the instruction is done, was refused inside the guest, or left for user space; an
/// exit carries what user space sees.  Fails: enter_gate(), fault.*, guest.*, and the group of the
/// instruction.  fault.loop: the guest meets the same fault with nothing changed in between, and
/// would go on so until somebody else acts.  Cost: a page-table walk per try, no allocation.
Outcome run_guest(Kernel& k, VcpuIndex vcpu, const GuestInstruction& instruction);
Task<Outcome> start_guest(Kernel& k, VcpuIndex vcpu, GuestInstruction instruction);

}  // namespace sluice::model
