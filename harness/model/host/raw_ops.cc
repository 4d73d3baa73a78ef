#include "model/host/raw_ops.h"

#include "model/host/snp_rmp.h"

namespace sluice::model {

Outcome apply(Kernel& k, ActorId, const RmpUpdate& op) {
  if (!k.machine.profile.snp) return refuse(Check::kRmpUpdateSnpOff);
  const Check check = execute_rmpupdate(k, op.spa.value,
                                        {.gpa = op.gpa.value,
                                         .page_size = op.page_size,
                                         .assigned = op.assigned,
                                         .immutable = op.immutable,
                                         .asid = op.asid.value});
  if (check != Check::kOk) return outcome_of(check);
  k.machine.events.add({.kind = EventKind::kRmpUpdate,
                        .a = op.spa.value >> kPageShift,
                        .b = frames_in(op.page_size)});
  return {};
}

Outcome apply(Kernel& k, ActorId, const Psmash& op) {
  if (!k.machine.profile.snp) return refuse(Check::kPsmashSnpOff);
  const Check check = k.machine.rmp.smash(k.machine.journal, op.spa.value);
  if (check != Check::kOk) return outcome_of(check);
  k.machine.events.add({.kind = EventKind::kPsmash, .a = op.spa.value >> kPageShift});
  return {};
}

// Left out: what RMPREAD adds of the 2 MiB around the frame (rmp.md 2).
Outcome apply(Kernel& k, ActorId, const RmpRead& op) {
  if (!k.machine.profile.snp) return refuse(Check::kRmpReadSnpOff);
  RmpRecord record{};
  const Check check = k.machine.rmp.read(op.spa.value, record);
  if (check != Check::kOk) return outcome_of(check);
  Outcome out{};
  out.has_value = true;
  out.value = (record.assigned ? RmpEntry::kAssigned : 0) |
              (record.page_size == PageSize::k2M ? RmpEntry::kSize2M : 0) |
              (record.immutable ? RmpEntry::kImmutable : 0) | record.gpa |
              std::uint64_t{record.asid} << RmpEntry::kAsidShift;
  return out;
}

Outcome apply(Kernel& k, ActorId, const HostStore& op) {
  const Pfn pfn{op.spa.value >> kPageShift};
  if (!k.machine.rmp.covers(pfn)) return skip(Check::kSkipNotCovered);
  const bool violates = k.machine.profile.snp && !k.machine.rmp.is_hypervisor_owned(pfn, op.level);
  if (violates) {
    const Outcome out = refuse(Check::kHostStoreRmp);
    if (out.ok()) return out;
    kill_host(k, pfn);
    return out;
  }
  if (k.machine.sept.owner(pfn).owned) {
    const Outcome out = refuse(Check::kHostStorePoison);
    if (out.ok()) return out;
    kill_host(k, pfn);
    return out;
  }
  k.machine.frames.set_content(k.machine.journal, pfn, op.value.value);
  return {};
}

}  // namespace sluice::model
