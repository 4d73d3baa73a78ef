// What a guest of a TD does: accesses to either half of its address space, and TDG.MEM.PAGE.ACCEPT
// (tdx.md 1, 2, 4).
//
// An access with c_bit=0 has the SHARED bit set in its address, one with c_bit=1 has not; a fetch
// is always private, since a TD cannot execute shared memory.
#pragma once
#include "model/guest/run.h"
#include "model/host/fault.h"
#include "model/host/td_mirror.h"
#include "model/machine/access.h"
#include "ops/tdx_ops.h"

namespace sluice::model {

/// Is the instruction about the private half of a TD?
inline bool is_td_private(const Vm& vm, const GuestInstruction& in) {
  return is_td(vm) && (in.c_bit || in.kind == AccessKind::kFetch);
}

/// An instruction whose GFN carries the SHARED bit is one about the shared half.
void strip_shared_bit(const Kernel& k, VcpuIndex vcpu, GuestInstruction& in);

/// What one try of the instruction met: as far as the processor is concerned.
struct TdTry {
  GuestResult result{};  // allowed, refused in the guest, or an EPT violation
  LeafView leaf{};
};
/// One try of an access or an ACCEPT. Pre: TDH.VP.ENTER was done, a root is loaded.  Post: the VM
/// is dead where a page that was not accepted ends it.
TdTry attempt_in_td(Kernel& k, VcpuIndex vcpu, const GuestInstruction& in);

/// A fault of a guest: one on a private page of a TD is retried where it is, under SRCU, since each
/// entry of the guest that finds no page costs (Linux tdx_handle_ept_violation()).  Fails: fault.*,
/// run.signal.
Task<FaultResult> start_guest_fault(Kernel& k, VcpuIndex vcpu, PageFault& fault);

/// Fails: run_gate(), fault.*, td_accept.*
Outcome apply(Kernel& k, ActorId actor, const TdAccept& op);
Task<Outcome> start(Kernel& k, ActorId actor, const TdAccept& op);

}  // namespace sluice::model
