// KVM_HC_MAP_GPA_RANGE: the guest's hypercall (kvm.md 8; Linux __kvm_emulate_hypercall(),
// complete_hypercall_exit()). What user space does with the exit: vmm/conversion.h.
//
// vmm=ignore ends the operation with map_gpa_range.ignored, vmm=kill with map_gpa_range.killed.
// With vmm=convert the guest finds ret in RAX; the operation ends with map_gpa_range.vmm_failed if
// it is not 0. In every case but a refusal by KVM itself (cpl, disabled, range), outcome.exit is
// the exit: reason 3, gpa = args[0], size = args[1] (pages), attributes = args[2].
#pragma once
#include "model/host/kernel.h"
#include "model/schedule/task.h"
#include "ops/memory_ops.h"

namespace sluice::model {

/// Fails: run_gate(), map_gpa_range.*.  Cost: that of the conversion.
Outcome apply(Kernel& k, ActorId actor, const MapGpaRange& op);
/// Stops as start_reaction() does.
Task<Outcome> start(Kernel& k, ActorId actor, const MapGpaRange& op);

}  // namespace sluice::model
