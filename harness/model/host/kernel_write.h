// The kernel's own write to a page that a guest shares, and what keeps it and a conversion apart
// (policy host_fault; alternatives A).
#pragma once
#include "model/host/kernel.h"
#include "model/schedule/task.h"
#include "ops/adversity_ops.h"

namespace sluice::model {

/// The frame is one that may not become private now.
bool keeps_shared(const Kernel& k, const HeldFrame& held);

/// Somebody holds the frame who was not asked: its GFN became private while no slot showed it. With
/// mapped_set_lock=unlocked the question is asked at the conversion alone, some time before.
bool is_kept_shared(const Kernel& k, Pfn pfn);

/// mapped_set_lock=sleep: a conversion has the set's lock from the question whether a page is
/// mapped until the page is converted; `change` is 1 or -1.  Nothing with the other locks, under
/// which nobody else runs.
// Deviation: conversions of different VMs do not keep each other out by it.
void lock_mapped_set(Kernel& k, int change);

Outcome apply(Kernel& k, ActorId actor, const KernelWrite& op);
Task<Outcome> start(Kernel& k, ActorId actor, const KernelWrite& op);

}  // namespace sluice::model
