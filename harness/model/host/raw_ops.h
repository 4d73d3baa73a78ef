// The host's raw instructions and stores of machine scope: what any code at CPL 0 of the host could
// do to the RMP, without the kernel's helpers around it (rmp.md 4, 5).
#pragma once
#include "model/host/kernel.h"
#include "ops/rmp_ops.h"

namespace sluice::model {

Outcome apply(Kernel& k, ActorId actor, const RmpUpdate& op);
Outcome apply(Kernel& k, ActorId actor, const Psmash& op);
/// value = Assigned, Page_Size, Immutable, GPA and ASID at their places in a raw entry; the rest is
/// 0.
Outcome apply(Kernel& k, ActorId actor, const RmpRead& op);
/// A store to the page that holds `spa`.  A violation kills the host: every later step is skipped
/// (skip.host_dead).
Outcome apply(Kernel& k, ActorId actor, const HostStore& op);

}  // namespace sluice::model
