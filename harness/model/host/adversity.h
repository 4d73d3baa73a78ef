// Obstacles that later operations meet (ops/adversity_ops.h): arming them.
#pragma once
#include "model/host/kernel.h"
#include "ops/adversity_ops.h"

namespace sluice::model {

/// Fails: skip.capability on a host without SNP, where no RMP instruction runs.
Outcome apply(Kernel& k, ActorId actor, const RmpContention& op);

}  // namespace sluice::model
