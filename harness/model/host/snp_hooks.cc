// The SNP side of the architecture hooks (snp_host.md 3; Linux sev_gmem_prepare(),
// sev_gmem_invalidate(), sev_private_max_mapping_level(), sev_vm_destroy(), sev_free_vcpu()).
#include "model/host/ap_creation.h"
#include "model/host/arch_hooks.h"
#include "model/host/launch.h"
#include "model/host/pinned.h"
#include "model/host/snp_rmp.h"
#include "model/host/td_mirror.h"

namespace sluice::model {
namespace {

/// Row 4: the whole 2 MiB block may become one entry. The caller vouches that GFN and PFN are
/// congruent and that the folio covers the block.
bool is_large_entry_possible(const Kernel& k, Pfn pfn, MapLevel max_level) {
  return max_level >= MapLevel::k2M && k.machine.rmp.assigned_in_block(pfn) == 0;
}

/// Gives one frame, or the whole 2 MiB entry where `count` has room for it, back to the hypervisor.
/// Returns how many frames that were.
PageCount invalidate_at(Kernel& k, Pfn pfn, PageCount count) {
  const RmpLookup entry = snp_lookup_rmpentry(k, pfn);
  if (entry.error != HostError::kNone || !entry.assigned) return {1};
  const bool whole =
      pfn.is_aligned(kFramesPer2M) && count.value >= kFramesPer2M && entry.level == PageSize::k2M;
  // A part of a larger entry: split it first. A failure is warned of and the update tried anyway.
  const bool splits = !whole && entry.level == PageSize::k2M;
  if (splits && !planted(Planted::kInvalidateSkipsPsmash))
    static_cast<void>(snp_rmptable_psmash(k, pfn));
  const PageSize size = whole ? PageSize::k2M : PageSize::k4K;
  const PageCount frames{frames_in(size)};
  if (planted(Planted::kFreeKeepsAssigned)) return frames;
  // On failure the page is freed while it is still assigned (bugs.md 63).
  if (rmp_make_shared(k, pfn, size) == HostError::kNone && !planted(Planted::kFreeSkipsFlush)) {
    k.machine.events.add({.kind = EventKind::kCacheFlush, .a = pfn.value, .b = frames.value});
  }
  return frames;
}

}  // namespace

Check gmem_prepare(Kernel& k, Vm& vm, Pfn pfn, Gfn gfn, MapLevel max_level) {
  if (!vm.sev.active) return Check::kOk;
  const RmpLookup entry = snp_lookup_rmpentry(k, pfn);
  if (entry.error != HostError::kNone) return fail(Check::kFaultPrepareLookup);
  if (entry.assigned) return Check::kOk;  // to whomever, for whatever address
  const bool large = is_large_entry_possible(k, pfn, max_level);
  const std::uint64_t frames = large ? kFramesPer2M : 1;
  const Gfn as = planted(Planted::kPrepareOfOtherGfn) ? gfn + PageCount{frames} : gfn;
  const HostError error = rmp_make_private(k, {.pfn = pfn.align_down(frames),
                                               .gpa = address_of(as.align_down(frames)),
                                               .level = large ? PageSize::k2M : PageSize::k4K,
                                               .asid = vm.sev.asid,
                                               .immutable = false});
  return error == HostError::kNone ? Check::kOk : fail(Check::kFaultPrepareAssign);
}

void gmem_invalidate(Kernel& k, Pfn first, PageCount count) {
  for (std::uint64_t i = 0; i < count.value; ++i) {
    k.machine.events.add({.kind = EventKind::kArchInvalidate, .a = first.value + i});
  }
  if (!k.machine.profile.snp) return;
  if (planted(Planted::kInvalidateStopsShort)) --count.value;
  for (PageCount done{}; done < count;) {
    const PageCount left{count.value - done.value};
    done.value += invalidate_at(k, first + done, left).value;
  }
}

unsigned private_max_mapping_level(const Kernel& k, const Vm& vm, Pfn pfn) {
  if (is_td(vm)) return static_cast<unsigned>(MapLevel::k4K);  // tdx.md 1, level
  if (!vm.sev.active || planted(Planted::kRmpLevelIgnored)) return 0;
  const RmpLookup entry = snp_lookup_rmpentry(k, pfn);
  const bool large =
      entry.error == HostError::kNone && entry.assigned && entry.level == PageSize::k2M;
  return static_cast<unsigned>(large ? MapLevel::k2M : MapLevel::k4K);
}

void arch_destroy_vm(Kernel& k, Vm& vm) {
  if (is_pinned_backing(k)) unpin_all(k, vm);
  sev_vm_destroy(k, vm);
  destroy_td(k, vm);
}
void arch_destroy_vcpu(Kernel& k, Vcpu& vcpu) {
  sev_free_vcpu(k, vcpu);
  forget_reset(k, vcpu);
  const VcpuIndex index{static_cast<std::uint8_t>(&vcpu - k.vcpus.data())};
  if (vcpu.td.initialized) k.machine.sept.set_epoch(k.machine.journal, index, vcpu.vm, 0);
}

bool pre_fault_allowed_at_birth(VmType type) {
  return type != VmType::kSnp && type != VmType::kTdx;
}

}  // namespace sluice::model
