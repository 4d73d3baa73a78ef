#include "model/vmm/map_gpa_range.h"

#include "model/host/run_gate.h"
#include "model/schedule/scheduler.h"
#include "model/vmm/conversion.h"

namespace sluice::model {
namespace {

/// A hypercall of L2 is L1's to answer.
Check hypercall_gate(Kernel& k, VcpuIndex index) {
  if (k.vcpu(index).guest_mode == GuestMode::kNone) return run_to_event(k, index);
  const Check gate = enter_gate(k, index);
  return gate == Check::kOk ? Check::kSkipVcpuMode : gate;
}

/// KVM's own part, rows 1 to 3 of kvm.md 8.
Check check_hypercall(const Vm& vm, const MapGpaRange& op) {
  if (op.cpl.value != 0) return fail(Check::kMapGpaCpl);
  if (!vm.exit_hypercall) return fail(Check::kMapGpaDisabled);
  const std::uint64_t first = op.gpa.value >> kPageShift;
  const bool unaligned = (op.gpa.value & (kPageBytes - 1)) != 0;
  const bool empty_or_wraps = first + op.page_count.value <= first;
  return unaligned || empty_or_wraps ? fail(Check::kMapGpaRange) : Check::kOk;
}

ConversionExit exit_of(const MapGpaRange& op) {
  return {
      .gpa = op.gpa.value, .page_count = op.page_count.value, .attributes = op.attributes.value};
}

Outcome outcome_of_reaction(Reaction reaction, const ConversionExit& exit) {
  return outcome_of(reaction, exit, {.converted = {}, .failed = refuse(Check::kMapGpaVmmFailed)});
}

}  // namespace

Outcome apply(Kernel& k, ActorId actor, const MapGpaRange& op) {
  const VcpuIndex index{actor.index};
  if (const Check gate = hypercall_gate(k, index); gate != Check::kOk) return answer(gate);
  Vcpu& vcpu = k.vcpu(index);
  const VmIndex vm = vcpu.vm;
  if (const Check bad = check_hypercall(k.vm(vm), op); bad != Check::kOk) return outcome_of(bad);
  leave_for_conversion(k, vcpu);
  const ConversionExit exit = exit_of(op);
  return outcome_of_reaction(react(k, actor, vm, exit), exit);
}

Task<Outcome> start(Kernel& k, ActorId actor, const MapGpaRange& op) {
  const VcpuIndex index{actor.index};
  co_await lock(k, vcpu_mutex(index));
  const Check gate = hypercall_gate(k, index);
  if (gate != Check::kOk) {
    unlock(k, vcpu_mutex(index));
    co_return answer(gate);
  }
  Vcpu& vcpu = k.vcpu(index);
  const VmIndex vm = vcpu.vm;
  const Check bad = check_hypercall(k.vm(vm), op);
  if (bad == Check::kOk) leave_for_conversion(k, vcpu);
  unlock(k, vcpu_mutex(index));  // KVM_RUN has returned
  if (bad != Check::kOk) co_return outcome_of(bad);
  const ConversionExit exit = exit_of(op);
  const Reaction reaction = co_await start_reaction(k, actor, vm, exit);
  co_return outcome_of_reaction(reaction, exit);
}

}  // namespace sluice::model
