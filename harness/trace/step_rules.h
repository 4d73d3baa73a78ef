// What makes a step a skip on every backend alike, before any of them looks at its state.
#pragma once
#include "ops/sequence.h"
#include "trace/check_list.h"

namespace sluice {

/// kOk, or why no backend may run this step: a raw host instruction outside machine scope, an actor
/// of the wrong kind. Whether the actor is busy, and whether VM, vCPU and guest_memfd exist, only
/// the backend knows. Cost: two loads.
constexpr Check skip_reason(const SequenceHeader& header, const Step& step) {
  const OpInfo& info = info_of(step.op);
  if (info.machine_scope_only && header.scope != Scope::kMachine) return Check::kSkipScope;
  const bool is_resume = is_one_of<Resume>(step.op);
  if (!is_resume && step.actor.kind != info.actor) return Check::kSkipWrongActor;
  if (step.actor.index >= actors_of(step.actor.kind)) return Check::kSkipWrongActor;
  return Check::kOk;
}

}  // namespace sluice
