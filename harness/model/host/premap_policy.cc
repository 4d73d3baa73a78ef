#include "model/host/premap_policy.h"

#include "model/host/tdp_mmu.h"

namespace sluice::model {
namespace {

PremapMode mode_policy(const Kernel& k) { return k.machine.header.policy.premap_mode; }

bool is_in_base_mode(const Vcpu& vcpu) { return !vcpu.smm && vcpu.guest_mode == GuestMode::kNone; }

bool borrows(PremapMode policy) {
  return policy == PremapMode::kSwitchMmu || policy == PremapMode::kSwitchState ||
         policy == PremapMode::kNoVcpu;
}

void set_mode(Kernel& k, Vcpu& vcpu, bool smm, GuestMode guest_mode) {
  k.set(vcpu.smm, smm);
  k.set(vcpu.guest_mode, guest_mode);
}

}  // namespace

bool checks_mmu(const Kernel& k) { return mode_policy(k) != PremapMode::kUnchecked; }

Check check_promise(const Kernel& k, const Vcpu& vcpu) {
  const bool rejects = mode_policy(k) == PremapMode::kReject;
  if (rejects && !is_in_base_mode(vcpu)) return fail(Check::kPreFaultMode);
  const bool only_confidential = k.machine.header.policy.premap_abi == PremapAbi::kOnlyConfidential;
  const bool refused = only_confidential && !k.vm(vcpu.vm).has_private_memory();
  return refused ? fail(Check::kPreFaultOnlyConfidential) : Check::kOk;
}

bool is_advisory(const Kernel& k, const Vm& vm) {
  const PremapAbi abi = k.machine.header.policy.premap_abi;
  return abi == PremapAbi::kAdvisory || (abi == PremapAbi::kByVmType && !vm.has_private_memory());
}

Borrowed borrow_base_mode(Kernel& k, Vcpu& vcpu) {
  const PremapMode policy = mode_policy(k);
  if (!borrows(policy) || is_in_base_mode(vcpu)) return {};
  Borrowed mode{.changed = true, .smm = vcpu.smm, .guest_mode = vcpu.guest_mode};
  if (policy == PremapMode::kNoVcpu) {
    mode.root = vcpu.root;
    mode.previous_root = vcpu.previous_root;
    k.set(vcpu.root, kNoRootIndex);
    k.set(vcpu.previous_root, kNoRootIndex);
  } else {
    unload_root(k, vcpu);
  }
  set_mode(k, vcpu, false, GuestMode::kNone);
  return mode;
}

void give_mode_back(Kernel& k, Vcpu& vcpu, const Borrowed& mode) {
  if (!mode.changed) return;
  unload_root(k, vcpu);
  set_mode(k, vcpu, mode.smm, mode.guest_mode);
  k.set(vcpu.root, mode.root);
  k.set(vcpu.previous_root, mode.previous_root);
}

}  // namespace sluice::model
