#include "model/host/ghcb.h"

#include <algorithm>

#include "model/host/handlers.h"
#include "model/host/run_gate.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

/// Linux GHCB_SCRATCH_AREA_LIMIT: of an area outside of the GHCB.
constexpr std::uint64_t kScratchLimit = 16 * kPageBytes;
/// One KVM_EXIT_MMIO carries as much.
constexpr std::uint64_t kMmioBytes = 8;
constexpr std::uint64_t kIntMax = 0x7fffffff;

/// KVM_RUN returns to user space.
Outcome leave(Kernel& k, const Vm& vm, Check check, const ExitInfo& exit) {
  Outcome out = refuse(check);
  if (out.ok()) return out;
  out.exit = exit;
  k.event(EventKind::kExitToUser, vm, exit.reason);
  return out;
}

Outcome mmio(Kernel& k, const Vm& vm, const GhcbMmio& op) {
  const std::uint64_t size = op.size.value;
  if (size == 0) return answer_vmgexit(Check::kOk);  // nothing to do
  if (op.version.value >= 2 && size > kMmioBytes) {
    if (const Check check = fail(Check::kGhcbMmioLength); check != Check::kOk)
      return answer_vmgexit(check);
  }
  if (!is_usable({.begin = op.scratch, .version = op.version, .size = size})) {
    if (const Check check = fail(Check::kGhcbMmioScratch); check != Check::kOk)
      return answer_vmgexit(check);
  }
  return leave(k, vm, Check::kGhcbMmioExit,
               {.reason = kExitMmio, .gpa = op.gpa.value, .size = std::min(size, kMmioBytes)});
}

/// sev_es_string_io(): INS and OUTS with the data in the scratch area.
Outcome string_io(Kernel& k, const Vm& vm, const GhcbPortIo& op, const ExitInfo& exit) {
  const std::uint64_t count = op.count.value, bytes = count * op.size.value;
  if (count > kIntMax || bytes > kIntMax) {
    if (const Check check = fail(Check::kGhcbPortIoCount); check != Check::kOk)
      return answer_vmgexit(check);
  }
  if (bytes == 0) return answer_vmgexit(Check::kOk);
  if (!is_usable({.begin = op.scratch, .version = op.version, .size = bytes})) {
    if (const Check check = fail(Check::kGhcbPortIoScratch); check != Check::kOk)
      return answer_vmgexit(check);
  }
  return leave(k, vm, Check::kGhcbPortIoExit, exit);
}

Outcome port_io(Kernel& k, const Vm& vm, const GhcbPortIo& op) {
  const bool lacks_scratch = op.string && op.ghcb == GhcbState::kNoScratch;
  const bool lacks_rax = !op.string && !op.in && !op.rax_valid;
  if (lacks_scratch || lacks_rax) {
    if (const Check check = fail(Check::kGhcbPortIoMissingInput); check != Check::kOk)
      return answer_vmgexit(check);
  }
  if (op.size.value == 0) return answer_vmgexit(Check::kOk);
  const ExitInfo exit{.reason = kExitIo, .size = op.size.value};
  return op.string ? string_io(k, vm, op, exit) : leave(k, vm, Check::kGhcbPortIoExit, exit);
}

}  // namespace

Check check_vmgexit(const Kernel& k, const Vm& vm, GhcbState ghcb) {
  if (vm.sev.active && ghcb == GhcbState::kUnregistered) {
    const bool told = behavior::unregistered_ghcb_gets_an_error(k.version());
    const Check check = fail(told ? Check::kVmgexitUnregistered : Check::kVmgexitUnregisteredKills);
    if (check != Check::kOk) return check;
  }
  return ghcb == GhcbState::kBadUsage ? fail(Check::kVmgexitUsage) : Check::kOk;
}

Outcome answer_vmgexit(Check check) {
  Outcome out = outcome_of(check);
  if (out.kind == StatusKind::kErrno) return out;  // KVM_RUN failed: the guest sees nothing
  out.has_value = true;
  out.value = check == Check::kOk ? 0 : row_of(check).number;
  return out;
}

std::optional<Outcome> before_event(Kernel& k, VcpuIndex index, GhcbState ghcb, Check not_sev) {
  if (const Check gate = run_to_event(k, index); gate != Check::kOk) return answer(gate);
  const Vm& vm = k.vm(k.vcpu(index).vm);
  Check check = check_vmgexit(k, vm, ghcb);
  // Assumption: a VM that is no SEV-ES VM and has no GHCB answers as one that has it (5.2 row 2).
  if (check == Check::kOk && !vm.sev.active) check = fail(not_sev);
  return check == Check::kOk ? std::nullopt : std::optional(answer_vmgexit(check));
}

bool is_usable(const ScratchArea& area) {
  const std::uint64_t at = area.begin.value;
  const std::uint64_t gpa = kGhcbAddress + at;
  if (gpa == 0 || gpa + area.size < gpa) return false;
  if (at < kPageBytes) return at >= kGhcbBufferBegin && at + area.size <= kGhcbBufferEnd;
  // Assumption: what a version 1 guest names outside of its GHCB is memory that KVM can read.
  return area.version.value < 2 && area.size <= kScratchLimit;
}

Outcome apply(Kernel& k, ActorId actor, const GhcbMmio& op) {
  const Check missing = Check::kGhcbMmioMissingInput;
  if (const auto out = before_event(k, vcpu_of(actor), op.ghcb, missing)) return *out;
  if (op.ghcb == GhcbState::kNoScratch) {
    if (const Check check = fail(missing); check != Check::kOk) return answer_vmgexit(check);
  }
  return mmio(k, k.vm(k.vcpu(vcpu_of(actor)).vm), op);
}

Outcome apply(Kernel& k, ActorId actor, const GhcbPortIo& op) {
  const auto out = before_event(k, vcpu_of(actor), op.ghcb, Check::kGhcbPortIoMissingInput);
  return out ? *out : port_io(k, k.vm(k.vcpu(vcpu_of(actor)).vm), op);
}

LockPlan locks_of(const Kernel&, ActorId actor, const GhcbMmio&) { return mutex_of(actor); }
LockPlan locks_of(const Kernel&, ActorId actor, const GhcbPortIo&) { return mutex_of(actor); }

}  // namespace sluice::model
