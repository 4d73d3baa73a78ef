// The canonical hash of a model state (decision 13): what future operations and checkers can tell
// apart, in a fixed order, with no address in it. Caches are left out (MMIO entries, empty page
// tables, the allocator's order, events), operations in flight are in: who, inside what, at which
// point, waiting for what.
#pragma once
#include <array>
#include <cstdint>

#include "model/host/kernel.h"
#include "model/model_view.h"
#include "model/schedule/scheduler.h"
#include "ops/sequence.h"

namespace sluice::model {

/// Cost: a walk over everything that the sequence touched. `in_flight` holds the steps of busy
/// actors, by actor_slot().
std::uint64_t state_hash(const Kernel& kernel, const ModelView& view,
                         const std::array<Step, kMaxActors>& in_flight);

}  // namespace sluice::model
