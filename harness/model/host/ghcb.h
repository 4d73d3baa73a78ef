// VMGEXIT by the GHCB: what KVM asks of the page whatever the event is, and where the scratch area
// lies (snp_host.md 5.2; Linux sev_handle_vmgexit(), sev_es_validate_vmgexit(),
// setup_vmgexit_scratch()); and the events of MMIO and port I/O, of which the kernel does no more
// than to check them and leave for user space.
//
// Left out: what the scratch area holds, so that no data comes or goes.
#pragma once
#include <optional>

#include "model/host/kernel.h"
#include "model/schedule/lock_plan.h"
#include "ops/ghcb_ops.h"

namespace sluice::model {

/// Before KVM looks at the event.  Fails: vmgexit.*
Check check_vmgexit(const Kernel& k, const Vm& vm, GhcbState ghcb);
/// What the guest finds: value = SW_EXITINFO2, unless KVM_RUN failed or has left for user space.
Outcome answer_vmgexit(Check check);
/// KVM_RUN up to the event, for an event that only SEV-ES VMs have: the answer where it does not
/// come to that, nullopt where the event is next.  Fails: what KVM_RUN refuses, vmgexit.*, and
/// `not_sev` where the VM is none.  Cost: O(1).
std::optional<Outcome> before_event(Kernel& k, VcpuIndex index, GhcbState ghcb, Check not_sev);

/// SW_SCRATCH and the bytes that an event needs there.
struct ScratchArea {
  GhcbScratch begin{};
  GhcbVersion version{};
  std::uint64_t size = 0;  // not 0
};
/// 5.2 row 3: KVM can have the area.
bool is_usable(const ScratchArea& area);

/// Each does one VMGEXIT; an exit is handed back as that of a guest_access is.  Fails: what KVM_RUN
/// refuses, vmgexit.*, and the group that carries the operation's name.  Cost: O(1).
Outcome apply(Kernel& k, ActorId actor, const GhcbMmio& op);
Outcome apply(Kernel& k, ActorId actor, const GhcbPortIo& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const GhcbMmio& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const GhcbPortIo& op);

}  // namespace sluice::model
