// The generic KVM operations: how the model answers each (model_backend dispatches to these).
// apply() is the straight driver, for when nothing is in flight; start() the coroutine, which may
// stop at interleaving points. Both run the same pieces in the same order.
//
// Fails: the check group that carries the operation's name.  Cost: as the sections of kvm.md say,
// no allocation.
#pragma once
#include "model/host/kernel.h"
#include "model/schedule/lock_plan.h"
#include "model/schedule/task.h"
#include "ops/memory_ops.h"
#include "ops/vm_ops.h"

namespace sluice::model {

Outcome apply(Kernel& k, ActorId actor, const CreateVm& op);
Outcome apply(Kernel& k, ActorId actor, const DestroyVm& op);
Outcome apply(Kernel& k, ActorId actor, const CreateVcpu& op);
Outcome apply(Kernel& k, ActorId actor, const CreateGuestMemfd& op);
Outcome apply(Kernel& k, ActorId actor, const CloseGuestMemfd& op);
Outcome apply(Kernel& k, ActorId actor, const GmemAllocate& op);
Outcome apply(Kernel& k, ActorId actor, const GmemPunchHole& op);
Outcome apply(Kernel& k, ActorId actor, const SetMemoryRegion& op);
Outcome apply(Kernel& k, ActorId actor, const SetMemoryAttributes& op);
Outcome apply(Kernel& k, ActorId actor, const PreFaultMemory& op);
Outcome apply(Kernel& k, ActorId actor, const HostAccess& op);
Outcome apply(Kernel& k, ActorId actor, const HostUnmap& op);
Outcome apply(Kernel& k, ActorId actor, const HostDontneed& op);
Outcome apply(Kernel& k, ActorId actor, const GmemAccess& op);

Task<Outcome> start(Kernel& k, ActorId actor, const DestroyVm& op);
Task<Outcome> start(Kernel& k, ActorId actor, const CreateVcpu& op);
Task<Outcome> start(Kernel& k, ActorId actor, const CloseGuestMemfd& op);
Task<Outcome> start(Kernel& k, ActorId actor, const GmemAllocate& op);
Task<Outcome> start(Kernel& k, ActorId actor, const GmemPunchHole& op);
Task<Outcome> start(Kernel& k, ActorId actor, const SetMemoryRegion& op);
Task<Outcome> start(Kernel& k, ActorId actor, const SetMemoryAttributes& op);
Task<Outcome> start(Kernel& k, ActorId actor, const PreFaultMemory& op);
Task<Outcome> start(Kernel& k, ActorId actor, const HostUnmap& op);
Task<Outcome> start(Kernel& k, ActorId actor, const HostDontneed& op);

/// mmu_notifier_register() waits for whoever changes the process's mappings.
LockPlan locks_of(const Kernel& k, ActorId actor, const CreateVm& op);

/// The gate of every VM ioctl: skip.no_vm, then vm.dead.  kOk if the call goes on.  Left out: EIO
/// for a caller of another process, of which a sequence has none.
Check vm_gate(const Kernel& k, VmIndex vm);
/// It has a vCPU, or is about to (Linux kvm->created_vcpus != 0).
inline bool has_vcpus(const Vm& vm) { return vm.vcpu_count + vm.vcpus_in_creation != 0; }
/// The same for a vCPU ioctl of the acting vCPU: skip.no_vcpu, then vm.dead.
Check vcpu_gate(const Kernel& k, VcpuIndex vcpu);

/// The vCPU that acts.  Pre: the operation is a vCPU's.
constexpr VcpuIndex vcpu_of(ActorId actor) { return {actor.index}; }
/// What a vCPU ioctl that has no point of its own holds from end to end.  Pre: as vcpu_of().
inline LockPlan mutex_of(ActorId actor) { return LockPlan{}.then(vcpu_mutex(vcpu_of(actor))); }

}  // namespace sluice::model
