#include "model/host/vcpu_mode.h"

#include "model/host/fault.h"
#include "model/host/handlers.h"
#include "model/host/memslots.h"
#include "model/host/run_gate.h"
#include "model/host/tdp_mmu.h"

namespace sluice::model {
namespace {

/// kvm_mmu_reset_context(): the next entry or pre-fault loads a root of the new role.
void reset_context(Kernel& k, Vcpu& vcpu) {
  if (!planted(Planted::kRoleChangeKeepsRoot)) unload_root(k, vcpu);
}

/// kvm_vcpu_ioctl_x86_set_vcpu_events(), of which only smi.smm counts here.
// Assumption: kvm_leave_nested() leaves the MMU as if the guest had exited; what comes next,
// kvm_mmu_reset_context(), forgets every root in any case.
Outcome set_smm(Kernel& k, ActorId actor, bool smm) {
  const VcpuIndex index = vcpu_of(actor);
  if (const Check gate = vcpu_gate(k, index); gate != Check::kOk) return answer(gate);
  Vcpu& vcpu = k.vcpu(index);
  const Vm& vm = k.vm(vcpu.vm);
  if (!k.machine.profile.smm_address_space) return skip_without(Capability::kSmmAddressSpace);
  if (address_space_count(k, vm) < 2 || vm.has_protected_state()) return skip(Check::kSkipNoSmm);
  if (vcpu.smm == smm) return {};
  k.set(vcpu.guest_mode, GuestMode::kNone);
  k.set(vcpu.smm, smm);
  reset_context(k, vcpu);
  return {};
}

/// The other guest goes on, in the new mode. Where it cannot, KVM_RUN says so in that mode.
Outcome go_on(Kernel& k, Vcpu& vcpu, GuestMode mode) {
  k.set(vcpu.guest_mode, mode);
  if (mode == GuestMode::kNested) {
    flush_own_tlb(k, vcpu);
    return {};
  }
  switch_root(k, vcpu);
  const Check check = reload_root(k, vcpu);
  return check == Check::kOk ? Outcome{} : refuse(check);
}

}  // namespace

Outcome apply(Kernel& k, ActorId actor, const SetCpuid& op) {
  const VcpuIndex index = vcpu_of(actor);
  if (const Check gate = vcpu_gate(k, index); gate != Check::kOk) return answer(gate);
  Vcpu& vcpu = k.vcpu(index);
  const bool changes = vcpu.phys_addr_bits != op.phys_addr_bits.value;
  if (vcpu.ran) return changes ? refuse(Check::kSetCpuidAfterRun) : Outcome{};
  reset_context(k, vcpu);  // kvm_mmu_after_set_cpuid(): the role may have changed
  k.set(vcpu.phys_addr_bits, op.phys_addr_bits.value);
  return {};
}

Outcome apply(Kernel& k, ActorId actor, const EnterSmm&) { return set_smm(k, actor, true); }
Outcome apply(Kernel& k, ActorId actor, const LeaveSmm&) { return set_smm(k, actor, false); }

Outcome apply(Kernel& k, ActorId actor, const EnterGuestMode& op) {
  const VcpuIndex index = vcpu_of(actor);
  if (const Check gate = vcpu_gate(k, index); gate != Check::kOk) return answer(gate);
  Vcpu& vcpu = k.vcpu(index);
  const VmType type = k.vm(vcpu.vm).type;
  if (type != VmType::kDefault && type != VmType::kSwProtected) {
    return skip(Check::kSkipNoGuestMode);
  }
  if (vcpu.guest_mode != GuestMode::kNone) return skip(Check::kSkipVcpuMode);
  if (const Check check = run_to_event(k, index); check != Check::kOk) return answer(check);
  if (vcpu.smm) return refuse(Check::kEnterGuestModeSmm);
  const bool nested = op.paging == L2Paging::kNested;
  return go_on(k, vcpu, nested ? GuestMode::kNested : GuestMode::kShadow);
}

Outcome apply(Kernel& k, ActorId actor, const LeaveGuestMode&) {
  const VcpuIndex index = vcpu_of(actor);
  if (const Check gate = vcpu_gate(k, index); gate != Check::kOk) return answer(gate);
  Vcpu& vcpu = k.vcpu(index);
  if (vcpu.guest_mode == GuestMode::kNone) return skip(Check::kSkipVcpuMode);
  if (const Check check = run_to_event(k, index); check != Check::kOk) return answer(check);
  return go_on(k, vcpu, GuestMode::kNone);
}

LockPlan locks_of(const Kernel&, ActorId actor, const SetCpuid&) { return mutex_of(actor); }
LockPlan locks_of(const Kernel&, ActorId actor, const EnterSmm&) { return mutex_of(actor); }
LockPlan locks_of(const Kernel&, ActorId actor, const LeaveSmm&) { return mutex_of(actor); }
LockPlan locks_of(const Kernel&, ActorId actor, const EnterGuestMode&) { return mutex_of(actor); }
LockPlan locks_of(const Kernel&, ActorId actor, const LeaveGuestMode&) { return mutex_of(actor); }

}  // namespace sluice::model
