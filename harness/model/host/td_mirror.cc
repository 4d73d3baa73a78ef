#include "model/host/td_mirror.h"

#include "model/host/snp_rmp.h"
#include "model/host/td_populate.h"
#include "model/host/tdp_mmu.h"

namespace sluice::model {
namespace {

/// A SEAMCALL that KVM repeats once with every vCPU kept out of the TD: nobody is in its way then.
template <class Call>
SeamStatus call_alone(Kernel& k, Call&& call) {
  const SeamStatus status = call();
  if (status != SeamStatus::kOperandBusy) return status;
  k.machine.sept.contend(k.machine.journal, {});
  return call();
}

/// KVM_BUG_ON(): the VM is dead.
bool is_bug(Kernel& k, Vm& vm, SeamStatus status) {
  if (status == SeamStatus::kSuccess) return false;
  SLUICE_CHECK(kPlantedBuild);  // the model's KVM and its TDX module do not agree
  k.set(vm.dead, true);
  return true;
}

/// kvm_make_all_cpus_request(OUTSIDE_GUEST_MODE): who was inside the TD enters it anew.
void kick_all(Kernel& k, const Vm& vm) {
  const VmIndex index = k.index_of(vm);
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    const Vcpu& vcpu = k.vcpus[i];
    const bool inside = vcpu.exists && vcpu.vm == index && k.machine.sept.epoch_of({i}) != 0;
    if (inside) tdh_vp_enter(k.machine, index, {i});
  }
}

/// tdx_track(). Before the TD is runnable there is nobody to track.
bool track(Kernel& k, Vm& vm) {
  if (!vm.td.runnable || planted(Planted::kTdRemoveSkipsTrack)) return true;
  const SeamStatus status = call_alone(k, [&] { return tdh_mem_track(k.machine, k.index_of(vm)); });
  if (is_bug(k, vm, status)) return false;
  kick_all(k, vm);
  return true;
}

/// tdx_sept_remove_private_spte().
void remove_private(Kernel& k, Vm& vm, Gfn gfn, Pfn pfn) {
  if (planted(Planted::kTdZapKeepsEntry)) return;
  const VmIndex td = k.index_of(vm);
  const SeamStatus blocked = call_alone(k, [&] { return tdh_mem_range_block(k.machine, td, gfn); });
  if (blocked == SeamStatus::kEntryState && !vm.td.runnable && vm.td.premapped > 0) {
    k.set(vm.td.premapped, vm.td.premapped - 1);
    return;
  }
  if (is_bug(k, vm, blocked) || !track(k, vm)) return;
  const SeamStatus removed = call_alone(k, [&] { return tdh_mem_page_remove(k.machine, td, gfn); });
  if (is_bug(k, vm, removed)) return;
  if (is_bug(k, vm, tdh_phymem_page_wbinvd(k.machine, pfn))) return;
  zero_kernel_page(k, pfn);  // MOVDIR64B, so that nobody meets the old key's integrity
}

}  // namespace

namespace {

/// tdx_populate=one_loop: the hook takes the source from where the ioctl has left it in the VM.
// Deviation: as with PAGE.AUG below, BUSY is asked again at once.
void add_recorded(Kernel& k, Vm& vm, Gfn gfn, Pfn pfn) {
  SeamStatus status = SeamStatus::kOperandBusy;
  while (status == SeamStatus::kOperandBusy)
    status = tdh_mem_page_add(k.machine, k.index_of(vm), gfn, pfn, vm.td.source);
  static_cast<void>(is_bug(k, vm, status));
}

}  // namespace

void install_private(Kernel& k, Vm& vm, Gfn gfn, Pfn pfn) {
  if (!vm.td.runnable && populate_policy(k) == TdxPopulate::kOneLoop)
    return add_recorded(k, vm, gfn, pfn);
  if (!vm.td.runnable) {
    k.set(vm.td.premapped, vm.td.premapped + 1);
    return;
  }
  if (planted(Planted::kTdFaultSkipsAug)) return;
  const VmIndex td = k.index_of(vm);
  // Deviation: where TDH.MEM.PAGE.AUG is BUSY it is asked again at once, with mmu_lock held. In
  // Linux the fault is retried, or the pre-fault's loop goes on, and a signal is looked for.
  SeamStatus status = SeamStatus::kOperandBusy;
  while (status == SeamStatus::kOperandBusy) status = tdh_mem_page_aug(k.machine, td, gfn, pfn);
  if (is_bug(k, vm, status)) return;
  const Gfn next = gfn + PageCount{1};
  if (planted(Planted::kTdFaultMapsNeighbor) && k.machine.sept.entry(td, next).is_free()) {
    tdh_mem_page_aug(k.machine, td, next, pfn);
  }
}

bool zap_private(Kernel& k, Vm& vm, const GfnRange& range) {
  const std::uint8_t mirror = vm.td.mirror;
  bool zapped = false;
  for (GfnRange left = range; mirror != kNoRootIndex && !left.empty();) {
    const auto found = first_leaf(k, vm, mirror, left);
    if (!found) break;
    const Walk at = walk(k, vm.roots[mirror], found->gfn);
    k.set(k.nodes.word(at.node, at.slot), 0);
    remove_private(k, vm, found->gfn, found->leaf.pfn);
    zapped = true;
    left.first = found->gfn + PageCount{1};
  }
  return zapped;
}

void destroy_td(Kernel& k, Vm& vm) {
  if (!is_td(vm)) return;
  k.machine.sept.destroy(k.machine.journal, k.index_of(vm));
  k.set(vm.td.initialized, false);
  k.set(vm.td.runnable, false);
  k.set(vm.td.premapped, 0);
  k.set(vm.td.source, Pfn{});
  k.set(vm.td.mirror, kNoRootIndex);
}

}  // namespace sluice::model
