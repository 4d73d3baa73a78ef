#include "model/host/launch.h"

#include <bit>

#include "model/host/adversity.h"
#include "model/host/guest_memfd.h"
#include "model/host/handlers.h"
#include "model/host/host_region.h"
#include "model/host/memslots.h"
#include "model/host/snp_rmp.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

// ---- ASIDs ----

/// sev_asid_new(): the lowest ASID never used; once all have been, those given back are flushed and
/// start over.
Asid take_asid(Kernel& k) {
  constexpr std::uint32_t kAll = ((1u << kSnpAsidCount) - 1) << 1;
  SnpHost& host = k.snp;
  if ((host.asids & kAll) == kAll) {
    k.set(host.asids, host.asids & ~host.reclaimable_asids);
    k.set(host.reclaimable_asids, 0);
  }
  const std::uint32_t free = ~host.asids & kAll;
  SLUICE_CHECK(free != 0);  // no more VMs than ASIDs
  const auto asid = static_cast<std::uint32_t>(std::countr_zero(free));
  k.set(host.asids, host.asids | 1u << asid);
  return {asid};
}

// ---- Firmware pages and VMSA pages ----

/// A frame for the host's own use. `aligned` pages are passed over where a VMSA is wanted, since
/// the processor mistakes accesses through large mappings around one in use (R11; Linux
/// snp_safe_alloc_page_node()).
std::optional<Pfn> allocate_page(Kernel& k, FrameUse use) {
  Frames& frames = k.machine.frames;
  const Frames::Owner owner{.use = use};
  const bool must_be_safe = use == FrameUse::kVmsa && !planted(Planted::kVmsaMayBeAligned);
  const auto pfn = must_be_safe ? frames.allocate_unaligned(k.machine.journal, owner)
                                : frames.allocate(k.machine.journal, owner);
  // Firmware overwrites what it takes for itself; a VMSA page comes zeroed (__GFP_ZERO).
  if (pfn && use == FrameUse::kVmsa) zero_kernel_page(k, *pfn);
  return pfn;
}

/// snp_context_create(): a firmware page becomes the guest context.
bool create_context(Kernel& k, Vm& vm) {
  if (allocation_fails(k)) return false;
  const auto pfn = allocate_page(k, FrameUse::kFirmware);
  if (!pfn) return false;
  const HostError error = rmp_make_private(k, {.pfn = *pfn, .immutable = true});
  if (error != HostError::kNone) return false;  // the allocation is not freed (snp_host.md 9)
  if (k.machine.rmp.firmware_create_context(k.machine.journal, *pfn) != FirmwareStatus::kSuccess) {
    return false;
  }
  k.set(vm.sev.context, true);
  k.set(vm.sev.context_page, *pfn);
  return true;
}

/// snp_decommission_context(): the context page goes back to the host. False: the ASID is leaked.
bool decommission(Kernel& k, Vm& vm) {
  const Pfn pfn = vm.sev.context_page;
  Rmp& rmp = k.machine.rmp;
  if (rmp.firmware_decommission(k.machine.journal, pfn) != FirmwareStatus::kSuccess) return false;
  k.set(vm.sev.context, false);
  const bool shared = rmp.firmware_reclaim(k.machine.journal, pfn) == FirmwareStatus::kSuccess &&
                      rmp_make_shared(k, pfn, PageSize::k4K) == HostError::kNone;
  if (shared) {
    k.machine.frames.release(k.machine.journal, pfn);
  } else {
    snp_leak_page(k, pfn);
  }
  return true;
}

/// Firmware's LAUNCH_UPDATE of one page that is Pre-Guest: what the host put there is encrypted in
/// place.  False once the guest is running, or if the page is in another state.
bool firmware_launch_update(Kernel& k, const Vm& vm, Pfn pfn, bool vmsa) {
  if (!vmsa && !vm.sev.launched && planted(Planted::kLaunchSkipsFirmware)) return true;
  if (vm.sev.launched) return false;
  Machine& machine = k.machine;
  const FirmwareStatus status = machine.rmp.firmware_launch_update(machine.journal, pfn, vmsa);
  if (status != FirmwareStatus::kSuccess) return false;
  machine.frames.set_content(machine.journal, pfn,
                             encrypt(machine.frames.content(pfn), memory_key(k, vm), pfn));
  return true;
}

// ---- LAUNCH_START ----

constexpr std::uint64_t kPolicySmt = std::uint64_t{1} << 16;
constexpr std::uint64_t kPolicyMustBeOne = std::uint64_t{1} << 17;
constexpr std::uint64_t kPolicyDebug = std::uint64_t{1} << 19;
constexpr std::uint64_t kPolicySingleSocket = std::uint64_t{1} << 20;
constexpr std::uint64_t kPolicyAbi = 0xffff;
/// SNP_POLICY_MASK_VALID.
// Assumption: kernels up to 7.0 accept the same policy bits as 6.12; later ones ask firmware.
constexpr std::uint64_t kPolicyKnown =
    kPolicyAbi | kPolicySmt | kPolicyMustBeOne | kPolicyDebug | kPolicySingleSocket;

Check check_policy(const Kernel& k, std::uint64_t policy) {
  if ((policy & ~kPolicyKnown) != 0) return Check::kLaunchStartPolicyBits;
  const bool strict = behavior::launch_policy_needs_smt(k.version());
  const std::uint64_t needed = kPolicyMustBeOne | (strict ? kPolicySmt : 0);
  if ((policy & needed) != needed) return Check::kLaunchStartPolicyNeeded;
  if (strict && (policy & kPolicySingleSocket) != 0) return Check::kLaunchStartSingleSocket;
  return Check::kOk;
}

// ---- LAUNCH_UPDATE ----

constexpr std::uint8_t kTypeNormal = 1, kTypeZero = 3, kTypeCpuid = 6;

constexpr PopulateChecks kLaunchChecks{.slot = Check::kLaunchUpdateSlot,
                                       .file_gone = Check::kLaunchUpdateFileGone,
                                       .signal = Check::kLaunchUpdateSignal,
                                       .no_folio = Check::kLaunchUpdateNoFolio,
                                       .poisoned = Check::kLaunchUpdatePoisoned,
                                       .prepared = Check::kLaunchUpdatePrepared,
                                       .not_private = Check::kLaunchUpdateNotPrivate,
                                       .kept_shared = Check::kLaunchUpdateAssign};

struct Populate {
  const LaunchUpdate& op;
  std::uint64_t source = 0;  // host address of the first page's contents
};

bool has_source(const Populate& populate) {
  return populate.op.type.value != kTypeZero && populate.source != 0;
}
std::uint64_t source_of(const Populate& populate, Gfn gfn) {
  return populate.source + (gfn - populate.op.gfn).value * kPageBytes;
}

/// A populate that pins first. What it has pinned, nothing takes away before the copy.
Check pin_source(Kernel& k, Gfn gfn, void* argument) {
  const Populate& populate = *static_cast<const Populate*>(argument);
  if (!has_source(populate)) return Check::kOk;
  const bool pinned = touch_host_page(k, source_of(populate, gfn)) != nullptr;
  return pinned ? Check::kOk : fail(Check::kLaunchUpdateSource);
}

/// copy_from_user() of one page into a frame that is still the host's.
Check copy_source(Kernel& k, const Populate& populate, Gfn gfn, Pfn to) {
  const HostPage* const page = touch_host_page(k, source_of(populate, gfn));
  if (page == nullptr) return fail(Check::kLaunchUpdateSource);
  store_to_guest_page(k, to, k.machine.frames.content(page->pfn()));
  return Check::kOk;
}

/// sev_gmem_post_populate() for one page.
Check post_populate(Kernel& k, Vm& vm, Gfn gfn, const GmemHold& hold, void* argument) {
  const Populate& populate = *static_cast<const Populate*>(argument);
  const bool zeroes = populate.op.type.value == kTypeZero;
  if (!zeroes && !has_source(populate)) return fail(Check::kLaunchUpdateNoSource);
  const RmpLookup entry = snp_lookup_rmpentry(k, hold.pfn);
  const bool taken = entry.assigned && !planted(Planted::kLaunchTwice);
  if (entry.error != HostError::kNone || taken) return fail(Check::kLaunchUpdateAssigned);
  if (zeroes) {
    k.machine.frames.set_content(k.machine.journal, hold.pfn, 0);
  } else if (const Check bad = copy_source(k, populate, gfn, hold.pfn); bad != Check::kOk) {
    return bad;
  }
  const HostError error = rmp_make_private(
      k, {.pfn = hold.pfn, .gpa = address_of(gfn), .asid = vm.sev.asid, .immutable = true});
  if (error != HostError::kNone) return fail(Check::kLaunchUpdateAssign);
  if (firmware_launch_update(k, vm, hold.pfn, false)) return Check::kOk;
  if (planted(Planted::kDeadVmWorks)) k.set(vm.dead, true);
  if (!planted(Planted::kLaunchFailureKeepsPage)) snp_page_reclaim(k, vm, hold.pfn);
  return fail(Check::kLaunchUpdateFirmware);
}

bool is_launch_type(std::uint8_t type) {
  return type == kTypeNormal || (type >= kTypeZero && type <= kTypeCpuid);
}

bool has_source(std::uint8_t type) { return type != kTypeZero; }

Check check_launch_update(const Kernel& k, const Vm& vm, const LaunchUpdate& op) {
  if (!vm.sev.active || !vm.sev.context) return fail(Check::kLaunchUpdateNoContext);
  const bool unaligned = (op.size.value & (kPageBytes - 1)) != 0;
  const bool empty = op.size.value == 0 && behavior::launch_update_wants_a_length(k.version());
  const bool off_page = (op.hva.value & (kPageBytes - 1)) != 0 && has_source(op.type.value) &&
                        behavior::launch_update_aligns_source(k.version());
  const bool bad_type = !is_launch_type(op.type.value);
  if (unaligned || empty || off_page || op.flags.value != 0 || bad_type) {
    return fail(Check::kLaunchUpdateArguments);
  }
  const SlotIndex slot = find_slot(vm, 0, op.gfn);
  if (slot == kNoSlot || !vm.slots[slot].has_gmem()) return fail(Check::kLaunchUpdateSlot);
  const GfnRange asked{.first = op.gfn, .last = op.gfn + PageCount{op.size.value >> kPageShift}};
  const PageCount pages = asked.clip(range_of(vm.slots[slot])).count();
  const bool too_many = pages.value > kMaxPagesPerOp;
  return too_many ? Check::kSkipLimit : Check::kOk;
}

// ---- LAUNCH_FINISH ----

/// snp_launch_update_vmsa() of one vCPU.
Check launch_vmsa(Kernel& k, Vm& vm, Vcpu& vcpu) {
  if (vcpu.sev.has_vmsa) return fail(Check::kLaunchFinishProtected);
  if (vcpu.block_irq) {
    if (const Check bad = fail(Check::kLaunchFinishDebugged); bad != Check::kOk) return bad;
  }
  if (!vcpu.sev.has_page) {
    const auto page = allocate_page(k, FrameUse::kVmsa);
    if (!page) return Check::kSkipLimit;
    k.set(vcpu.sev.vmsa, *page);
    k.set(vcpu.sev.has_page, true);
  }
  const Pfn pfn = vcpu.sev.vmsa;
  const HostError error =
      rmp_make_private(k, {.pfn = pfn, .gpa = kVmsaGpa, .asid = vm.sev.asid, .immutable = true});
  if (error != HostError::kNone) return fail(Check::kLaunchFinishAssign);
  if (!firmware_launch_update(k, vm, pfn, true)) {
    if (!snp_page_reclaim(k, vm, pfn)) k.set(vcpu.sev.has_page, false);
    return fail(Check::kLaunchFinishFirmware);
  }
  k.set(vcpu.sev.has_vmsa, true);
  return Check::kOk;
}

}  // namespace

Outcome apply(Kernel& k, ActorId, const SevInit2& op) {
  if (!k.machine.profile.snp) return skip_without(Capability::kSnp);
  if (const Check gate = vm_gate(k, op.vm); gate != Check::kOk) return answer(gate);
  Vm& vm = k.vm(op.vm);
  // sev_mem_enc_ioctl() lets an SNP guest have SNP commands only, before the command looks at
  // anything.
  if (vm.sev.active) return refuse(Check::kSevInitTwice);
  if (vm.type != VmType::kSnp) return refuse(Check::kSevInitNotSev);
  if (has_vcpus(vm)) return refuse(Check::kSevInitVcpus);
  if (op.flags.value != 0) return refuse(Check::kSevInitFlags);
  k.set(vm.sev.asid, take_asid(k));
  k.set(vm.sev.active, true);
  return {};
}

Outcome apply(Kernel& k, ActorId, const LaunchStart& op) {
  if (!k.machine.profile.snp) return skip_without(Capability::kSnp);
  if (const Check gate = vm_gate(k, op.vm); gate != Check::kOk) return answer(gate);
  Vm& vm = k.vm(op.vm);
  if (!vm.sev.active) return refuse(Check::kLaunchStartNotSnp);
  if (vm.sev.context) return refuse(Check::kLaunchStartContext);
  if (op.flags.value != 0) return refuse(Check::kLaunchStartFlags);
  if (const Check bad = check_policy(k, op.policy.value); bad != Check::kOk) return refuse(bad);
  if (!create_context(k, vm)) return refuse(Check::kLaunchStartNoContext);
  k.set(vm.sev.policy, op.policy.value);
  // ACTIVATE: firmware counts the pages of every ASID.
  if (k.snp.asid_pages[vm.sev.asid.value] != 0) {
    decommission(k, vm);
    return refuse(Check::kLaunchStartAsidInUse);
  }
  // Assumption: every activation of an ASID brings the fresh key of its guest context.
  k.set(k.snp.asid_keys[vm.sev.asid.value], k.snp.asid_keys[vm.sev.asid.value] + 1);
  return {};
}

Outcome apply(Kernel& k, ActorId, const LaunchUpdate& op) {
  if (!k.machine.profile.snp) return skip_without(Capability::kSnp);
  if (const Check gate = vm_gate(k, op.vm); gate != Check::kOk) return answer(gate);
  Vm& vm = k.vm(op.vm);
  const Check bad = check_launch_update(k, vm, op);
  if (bad != Check::kOk)
    return row_of(bad).kind == StatusKind::kSkipped ? skip(bad) : outcome_of(bad);
  const std::uint64_t source = op.hva.raw ? op.hva.value : kHostRegionAddress + op.hva.value;
  Populate populate{.op = op, .source = source};
  const PageCount asked{op.size.value >> kPageShift};
  const PopulateResult result = gmem_populate(
      k, vm, {.first = op.gfn, .last = op.gfn + asked},
      {.pin = pin_source, .hook = post_populate, .argument = &populate, .checks = kLaunchChecks});
  // Any page done counts as success; the caller goes on from there.
  if (result.done.value == 0 && result.check != Check::kOk) return answer(result.check);
  Outcome out{};
  out.has_progress = true;
  out.progress = {.gpa = address_of(op.gfn + result.done).value,
                  .left = (asked.value - result.done.value) * kPageBytes};
  return out;
}

namespace {

/// What is looked at before the vCPUs.
Check check_launch_finish(const Vm& vm, const LaunchFinish& op) {
  if (!vm.sev.active) return fail(Check::kLaunchFinishNotSnp);
  if (!vm.sev.context) return fail(Check::kLaunchFinishNoContext);
  if (op.flags.value != 0) return fail(Check::kLaunchFinishFlags);
  // Assumption: every modelled version looks for a creation under way, as 6.12 does from 6.12.83
  // on.
  return vm.vcpus_in_creation != 0 ? fail(Check::kLaunchFinishBusy) : Check::kOk;
}

}  // namespace

Outcome apply(Kernel& k, ActorId, const LaunchFinish& op) {
  if (!k.machine.profile.snp) return skip_without(Capability::kSnp);
  if (const Check gate = vm_gate(k, op.vm); gate != Check::kOk) return answer(gate);
  Vm& vm = k.vm(op.vm);
  if (const Check bad = check_launch_finish(vm, op); bad != Check::kOk) return outcome_of(bad);
  for (Vcpu& vcpu : k.vcpus) {
    if (!vcpu.exists || vcpu.vm != op.vm) continue;
    if (const Check bad = launch_vmsa(k, vm, vcpu); bad != Check::kOk) return outcome_of(bad);
  }
  // Firmware takes no second LAUNCH_FINISH.
  if (vm.sev.launched) return refuse(Check::kLaunchFinishFirmware);
  k.set(vm.sev.launched, true);
  k.set(vm.pre_fault_allowed, true);
  return {};
}

LockPlan locks_of(const Kernel&, ActorId, const SevInit2& op) {
  return LockPlan{}.then(kvm_lock(op.vm));
}
LockPlan locks_of(const Kernel&, ActorId, const LaunchStart& op) {
  return LockPlan{}.then(kvm_lock(op.vm));
}
/// The file's lock as well (Linux kvm_gmem_populate()), once nothing refuses the call before.
// Deviation: LAUNCH_UPDATE holds the file's lock over the whole call. From 7.0 on Linux takes it
// for each page.
LockPlan locks_of(const Kernel& k, ActorId, const LaunchUpdate& op) {
  LockPlan plan = LockPlan{}.then(kvm_lock(op.vm)).then(slots_lock(op.vm));
  if (vm_gate(k, op.vm) != Check::kOk) return plan;
  const Vm& vm = k.vm(op.vm);
  if (check_launch_update(k, vm, op) != Check::kOk) return plan;
  const SlotIndex slot = find_slot(vm, 0, op.gfn);
  if (slot == kNoSlot || !has_live_file(k, vm.slots[slot])) return plan;
  return plan.then(invalidate_lock({vm.slots[slot].gmem}));
}
/// The vCPUs' own, too, once nothing refuses the call before.
LockPlan locks_of(const Kernel& k, ActorId, const LaunchFinish& op) {
  LockPlan plan = LockPlan{}.then(kvm_lock(op.vm));
  static_assert(1 + kMaxVcpus <= plan.locks.size());
  if (!behavior::launch_finish_locks_vcpus(k.version())) return plan;
  if (!k.machine.profile.snp || vm_gate(k, op.vm) != Check::kOk) return plan;
  if (check_launch_finish(k.vm(op.vm), op) != Check::kOk) return plan;
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    if (k.vcpus[i].exists && k.vcpus[i].vm == op.vm) plan.then(vcpu_mutex({i}));
  }
  return plan;
}

void sev_vm_destroy(Kernel& k, Vm& vm) {
  if (!vm.sev.active) return;
  // Without a context there is nothing to decommission, and the ASID is free all the same.
  const bool unbound = !vm.sev.context || decommission(k, vm);
  if (unbound) {
    k.set(k.snp.reclaimable_asids, k.snp.reclaimable_asids | 1u << vm.sev.asid.value);
  }
  k.set(vm.sev.active, false);
  k.set(vm.sev.context, false);
  k.set(vm.sev.launched, false);
  k.set(vm.sev.asid, Asid{});
  k.set(vm.sev.policy, 0);
}

void sev_free_vcpu(Kernel& k, Vcpu& vcpu) {
  if (!vcpu.sev.has_page) return;
  k.set(vcpu.sev.has_vmsa, false);
  k.set(vcpu.sev.has_page, false);
  if (planted(Planted::kDestroyKeepsVmsa)) return;
  if (kvm_rmp_make_shared(k, k.vm(vcpu.vm), vcpu.sev.vmsa, PageSize::k4K)) {
    k.machine.frames.release(k.machine.journal, vcpu.sev.vmsa);
  }
}

}  // namespace sluice::model
