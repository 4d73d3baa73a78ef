#include "model/host/adversity.h"

namespace sluice::model {

Outcome apply(Kernel& k, ActorId, const RmpContention& op) {
  if (!k.machine.profile.snp) return skip_without(Capability::kSnp);
  k.machine.rmp.contend(k.machine.journal,
                        {.code = op.code, .left = op.count.value, .wait = op.after.value});
  return {};
}

}  // namespace sluice::model
