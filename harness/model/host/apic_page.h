// The APIC-access page: a page of KVM's own in a memslot of KVM's own, mapped where the guest
// expects its local APIC, so that the processor finds the access allowed and virtualizes it (kvm.md
// 5 step 9, 7; Linux kvm_alloc_apic_access_page(), kvm_faultin_pfn(),
// __kvm_set_or_clear_apicv_inhibit()). It is why L2 has a root of its own: L1's page must not be
// mapped for L2.
//
// What the APIC does is left out: an access to it is done, reads nothing that a sequence could
// tell, and writes no memory. So are x2APIC, which takes the slot away for good, and a base address
// that the guest has moved.
#pragma once
#include "model/host/kernel.h"
#include "model/schedule/lock_plan.h"
#include "model/schedule/task.h"
#include "ops/apic_ops.h"

namespace sluice::model {

// Assumption: the host has AVIC or APICv, and it is turned on.

/// Fails: create_irqchip.*
Outcome apply(Kernel& k, ActorId actor, const CreateIrqchip& op);
/// Fails: set_guest_debug.*
Outcome apply(Kernel& k, ActorId actor, const SetGuestDebug& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const SetGuestDebug& op);

/// kvm_apicv_activated(): nothing keeps the processor from virtualizing the VM's APICs.
bool is_apicv_active(const Kernel& k, const Vm& vm);

/// A vCPU of the VM is about to be made, and the page is not there yet.
bool needs_apic_page(const Kernel& k, const Vm& vm);
/// kvm_alloc_apic_access_page().  Pre: needed; slots_lock held.  Fails: create_vcpu.apic_page.
Check alloc_apic_page(Kernel& k, Vm& vm);
/// The page, when its slots are gone.
void free_apic_page(Kernel& k, Vm& vm);

/// The GFN is the APIC's, which KVM emulates where no slot is.
inline bool is_emulated_apic(const Vm& vm, Gfn gfn) { return gfn == kApicGfn && vm.irqchip; }
/// The vCPU's address space has the APIC-access page there: what it accesses is no memory.
bool is_apic_page(const Vm& vm, const Vcpu& vcpu, Gfn gfn);

}  // namespace sluice::model
