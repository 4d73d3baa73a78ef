// Roots of nested page tables: whose they are, when they become obsolete, when they go (kvm.md 7;
// Linux kvm_mmu_load(), kvm_mmu_new_pgd(), kvm_mmu_free_obsolete_roots(), kvm_mmu_zap_all_fast(),
// kvm_tdp_mmu_alloc_root()).
#include "model/host/td_mirror.h"
#include "model/host/tdp_mmu.h"

namespace sluice::model {
namespace {

void free_root(Kernel& k, Root& root) {
  clear_table(k, root.table, root.level);
  k.nodes.give(k.machine.journal, root.table);
  k.set(root.used, false);
  k.set(root.valid, false);
  k.set(root.mirror, false);
  k.set(root.table, kNoNode);
}

/// What a root is made for (union kvm_mmu_page_role).
struct RootRole {
  std::uint8_t level = 4;
  bool smm = false;
  bool guest_mode = false;
};
RootRole role_of(const Kernel& k, const Vcpu& vcpu) {
  // Assumption: EPT has 5 levels exactly where the guest's MAXPHYADDR exceeds 48, NPT always has 4.
  // Deviation: a TD's tables always have 4 levels, as its addresses have 48 bits (secure_ept.h).
  const bool wide = k.machine.profile.root_level_by_cpuid && vcpu.phys_addr_bits > 48;
  const bool five = wide && !is_td(k.vm(vcpu.vm));
  return {.level = static_cast<std::uint8_t>(five ? 5 : 4),
          .smm = vcpu.smm,
          .guest_mode = vcpu.guest_mode == GuestMode::kShadow};
}
bool has_role(const Root& root, const RootRole& role) {
  return root.level == role.level && root.smm == role.smm && root.guest_mode == role.guest_mode;
}

/// A valid root of the role, made if there is none.
std::uint8_t find_root(Kernel& k, Vm& vm, const RootRole& role) {
  std::uint8_t place = kNoRootIndex;
  for (std::uint8_t i = 0; i < kMaxRootsPerVm; ++i) {
    const Root& root = vm.roots[i];
    const bool fits = root.used && root.valid && has_role(root, role) && !root.mirror;
    if (fits && !planted(Planted::kRootsNotShared)) return i;
    if (!root.used && place == kNoRootIndex) place = i;
  }
  SLUICE_CHECK(place != kNoRootIndex);  // kMaxRootsPerVm says why
  Root& root = vm.roots[place];
  k.set(root.used, true);
  k.set(root.valid, true);
  k.set(root.level, role.level);
  k.set(root.smm, role.smm);
  k.set(root.guest_mode, role.guest_mode);
  k.set(root.users, 0);
  k.set(root.table, take_table(k, vm, place, role.level, 0));
  return place;
}

/// The mirror root of a TD, which lives as long as the TD: KVM never invalidates it.
void make_mirror(Kernel& k, Vm& vm) {
  std::uint8_t place = 0;
  while (vm.roots[place].used) ++place;
  Root& root = vm.roots[place];
  k.set(root.used, true);
  k.set(root.valid, true);
  k.set(root.mirror, true);
  k.set(root.level, 4);
  k.set(root.smm, false);
  k.set(root.guest_mode, false);
  k.set(root.users, 0);
  k.set(root.table, take_table(k, vm, place, 4, 0));
  k.set(vm.td.mirror, place);
}

/// The vCPU lets go of what `held` names.
void put_root(Kernel& k, Vm& vm, std::uint8_t& held) {
  Root& root = vm.roots[held];
  k.set(root.users, static_cast<std::uint8_t>(root.users - 1));
  k.set(held, kNoRootIndex);
  if (root.users == 0 && !root.valid) free_root(k, root);
}

}  // namespace

bool has_valid_root(const Kernel& k, const Vcpu& vcpu) {
  if (vcpu.root == kNoRootIndex) return false;
  return k.vm(vcpu.vm).roots[vcpu.root].valid || planted(Planted::kObsoleteRootIsUsed);
}

void load_root(Kernel& k, Vcpu& vcpu) {
  if (has_valid_root(k, vcpu)) return;
  free_obsolete_roots(k, vcpu);
  flush_own_tlb(k, vcpu);
  Vm& vm = k.vm(vcpu.vm);
  if (is_td(vm) && vm.td.mirror == kNoRootIndex) make_mirror(k, vm);
  const std::uint8_t root = find_root(k, vm, role_of(k, vcpu));
  k.set(vm.roots[root].users, static_cast<std::uint8_t>(vm.roots[root].users + 1));
  k.set(vcpu.root, root);
}

void flush_own_tlb(Kernel& k, const Vcpu& vcpu) {
  const VcpuIndex index{static_cast<std::uint8_t>(&vcpu - k.vcpus.data())};
  if (k.machine.tlbs.is_filled(index)) k.machine.tlbs.flush_guest(k.machine.journal, index);
}

void unload_root(Kernel& k, Vcpu& vcpu) {
  // kvm_mmu_load() flushes before the vCPU runs on another root; nothing can use these until then.
  if (vcpu.root != kNoRootIndex) flush_own_tlb(k, vcpu);
  Vm& vm = k.vm(vcpu.vm);
  if (vcpu.root != kNoRootIndex) put_root(k, vm, vcpu.root);
  if (vcpu.previous_root != kNoRootIndex) put_root(k, vm, vcpu.previous_root);
}

void free_obsolete_roots(Kernel& k, Vcpu& vcpu) {
  Vm& vm = k.vm(vcpu.vm);
  const auto is_obsolete = [&vm](std::uint8_t held) {
    return held != kNoRootIndex && !vm.roots[held].valid;
  };
  if (is_obsolete(vcpu.root)) put_root(k, vm, vcpu.root);
  if (planted(Planted::kObsoletePreviousRootStays)) return;
  if (is_obsolete(vcpu.previous_root)) put_root(k, vm, vcpu.previous_root);
}

void switch_root(Kernel& k, Vcpu& vcpu) {
  // nested_svm_transition_tlb_flush()
  if (!planted(Planted::kGuestModeSkipsFlush)) flush_own_tlb(k, vcpu);
  Vm& vm = k.vm(vcpu.vm);
  const RootRole role = role_of(k, vcpu);
  const auto is_usable = [&](std::uint8_t held) {
    return held != kNoRootIndex && vm.roots[held].valid && has_role(vm.roots[held], role);
  };
  if (is_usable(vcpu.root)) return;
  const std::uint8_t present = vcpu.root;
  if (is_usable(vcpu.previous_root)) {
    k.set(vcpu.root, vcpu.previous_root);
    k.set(vcpu.previous_root, present);
  } else if (present != kNoRootIndex) {
    if (vcpu.previous_root != kNoRootIndex) put_root(k, vm, vcpu.previous_root);
    k.set(vcpu.previous_root, present);
    k.set(vcpu.root, kNoRootIndex);
  }
}

void invalidate_roots(Kernel& k, Vm& vm) {
  for (Root& root : vm.roots) {
    if (root.used && !root.mirror) k.set(root.valid, false);
  }
}

// Deviation: invalidated roots are zapped in the same hold of mmu_lock as the invalidation, and
// with a flush. Linux takes the lock anew, shared, meanwhile vCPUs load other roots, and each
// flushes when it loads one.
void zap_invalidated_roots(Kernel& k, Vm& vm) {
  for (Root& root : vm.roots) {
    if (!root.used || root.valid) continue;
    if (root.users == 0) {
      free_root(k, root);
    } else {
      clear_table(k, root.table, root.level);
    }
  }
  k.event(EventKind::kZap, vm, 0, ~std::uint64_t{0});
  flush_remote_tlbs(k, vm);
}

void free_roots(Kernel& k, Vm& vm) {
  for (Root& root : vm.roots) {
    SLUICE_CHECK(root.users == 0);
    if (root.used) free_root(k, root);
  }
}

}  // namespace sluice::model
