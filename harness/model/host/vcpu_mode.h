// What a vCPU's root is made for can change: CPUID, system management mode, guest mode (kvm.md 7;
// Linux kvm_mmu_after_set_cpuid(), kvm_smm_changed(), nested_svm_load_cr3()). Left out: L2's own
// page tables and what L1 intercepts; under nested paging, KVM's shadow of L1's nested page tables.
//
// Fails: the check group that carries the operation's name, and what KVM_RUN refuses.  Cost: at
// most a root, no allocation.
#pragma once
#include "model/host/kernel.h"
#include "model/schedule/lock_plan.h"
#include "ops/mode_ops.h"
#include "ops/vm_ops.h"

namespace sluice::model {

Outcome apply(Kernel& k, ActorId actor, const SetCpuid& op);
Outcome apply(Kernel& k, ActorId actor, const EnterSmm& op);
Outcome apply(Kernel& k, ActorId actor, const LeaveSmm& op);
Outcome apply(Kernel& k, ActorId actor, const EnterGuestMode& op);
Outcome apply(Kernel& k, ActorId actor, const LeaveGuestMode& op);

// All are ioctls of the vCPU.
LockPlan locks_of(const Kernel& k, ActorId actor, const SetCpuid& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const EnterSmm& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const LeaveSmm& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const EnterGuestMode& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const LeaveGuestMode& op);

}  // namespace sluice::model
