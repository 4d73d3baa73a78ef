// TDVMCALL<MapGPA>: the guest of a TD asks for a range to become private or shared (tdx.md 4; Linux
// tdx_map_gpa(), tdx_complete_vmcall_map_gpa()). What user space does with an exit:
// vmm/conversion.h.
//
// KVM exits for at most 2 MiB at a time, as KVM_HC_MAP_GPA_RANGE does. Left out: an interrupt
// between two pieces, after which the guest is told to ask again for the rest.
#pragma once
#include "model/host/kernel.h"
#include "model/schedule/task.h"
#include "ops/tdx_ops.h"

namespace sluice::model {

/// value = the GPA at which it ended, where user space could not convert.  Fails: run_gate(),
/// td_map_gpa.*, map_gpa_range.ignored and .killed.  Cost: that of the conversions.
Outcome apply(Kernel& k, ActorId actor, const TdMapGpa& op);
/// Stops as start_reaction() does, for each piece.
Task<Outcome> start(Kernel& k, ActorId actor, const TdMapGpa& op);

}  // namespace sluice::model
