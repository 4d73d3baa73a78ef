#include "model/guest/run.h"

#include "model/guest/td_guest.h"
#include "model/host/ap_creation.h"
#include "model/host/apic_page.h"
#include "model/host/fault.h"
#include "model/host/handlers.h"
#include "model/host/launch.h"
#include "model/host/mismatch.h"
#include "model/host/rmp_fault.h"
#include "model/host/run_gate.h"
#include "model/schedule/scheduler.h"

namespace sluice::model {
namespace {

/// What one try of the instruction met.
struct Try {
  GuestResult result{};  // allowed, refused in the guest, or a nested page fault
  LeafView leaf{};
  RmpEntry entry{};  // that governs the leaf's frame
  std::uint8_t mask = 0;
};

GuestPage page_of(const Vm& vm, const GuestInstruction& in, const LeafView& leaf) {
  return {.snp = vm.sev.active,
          .asid = vm.sev.asid,
          .vmpl = in.vmpl,
          .cpl = in.cpl,
          .gpa = address_of(in.gfn),
          .leaf = {.present = leaf.present && !leaf.mmio,
                   .writable = leaf.writable,
                   .level = leaf.level,
                   .pfn = leaf.pfn}};
}

GuestResult execute(Kernel& k, const GuestPage& page, const GuestInstruction& in,
                    std::uint8_t& mask) {
  Machine& machine = k.machine;
  switch (in.action) {
    case GuestAction::kAccess:
      return check_guest_access(machine.rmp, page, {.kind = in.kind, .c_bit = in.c_bit});
    case GuestAction::kPvalidate:
      return pvalidate(machine.rmp, machine.journal, page, in.size, in.validate);
    case GuestAction::kRmpAdjust:
      return rmpadjust(
          machine.rmp, machine.journal, page,
          {.size = in.size, .target_vmpl = in.target_vmpl, .mask = in.mask, .vmsa = in.vmsa});
    case GuestAction::kTdAccept:
      return {.check = fail(Check::kTdAcceptNotTd)};
    case GuestAction::kRmpQuery:
      break;
  }
  return rmpquery(machine.rmp, page, in.target_vmpl, mask);
}

/// One try: VMRUN, the instruction. Pre: a root is loaded.
Try attempt(Kernel& k, Vcpu& vcpu, const GuestInstruction& in) {
  const Vm& vm = k.vm(vcpu.vm);
  Try out{};
  if (is_td(vm)) {
    const VcpuIndex index{static_cast<std::uint8_t>(&vcpu - k.vcpus.data())};
    tdh_vp_enter(k.machine, vcpu.vm, index);
    if (in.action == GuestAction::kAccess || in.action == GuestAction::kTdAccept) {
      const TdTry tried = attempt_in_td(k, index, in);
      out.result = tried.result;
      out.leaf = tried.leaf;
      return out;
    }
  }
  out.leaf = lookup_leaf(k, vm, vcpu.root, in.gfn);
  const GuestPage page = page_of(vm, in, out.leaf);
  out.result = execute(k, page, in, out.mask);
  if (page.leaf.present && k.machine.rmp.covers(page.leaf.pfn)) {
    out.entry = k.machine.rmp.covering(page.leaf.pfn);
  }
  const bool faults = out.result.npf != 0;
  if (faults && !page.leaf.present && meets_mmio_entry(k, vcpu, in.gfn))
    out.result.npf |= npf::kReserved;
  return out;
}

bool is_encrypted(const Vm& vm, const GuestInstruction& in) {
  return (vm.sev.active || is_td(vm)) && (in.c_bit || in.kind == AccessKind::kFetch);
}

/// The processor keeps what it has found: the leaf, and that the access passed its checks.
void cache(Kernel& k, VcpuIndex index, const GuestInstruction& in, const LeafView& leaf) {
  // Where there is an RMP, a leaf of 1 GiB is checked by pieces of 2 MiB (rmp.md 5).
  const MapLevel largest = k.machine.profile.snp ? MapLevel::k2M : MapLevel::k1G;
  k.machine.tlbs.fill_guest(k.machine.journal, index,
                            {.page = in.gfn.value,
                             .pfn = leaf.pfn,
                             .level = std::min(leaf.level, largest),
                             .writable = in.kind == AccessKind::kWrite,
                             .encrypted = is_encrypted(k.vm(k.vcpu(index).vm), in)});
}

/// What the guest's access does to memory, and reads.
Outcome touch_page(Kernel& k, const Vcpu& vcpu, const GuestInstruction& in, Pfn pfn) {
  Outcome out{};
  const Vm& vm = k.vm(vcpu.vm);
  if (is_apic_page(vm, vcpu, in.gfn)) [[unlikely]]
    return out;  // virtualized: no memory
  Frames& frames = k.machine.frames;
  // AC6: without the C bit a guest reads the bytes as memory has them; a fetch counts as with it.
  const bool through_key = in.c_bit || in.kind == AccessKind::kFetch;
  const MemoryKey key = through_key ? memory_key(k, vm) : MemoryKey{};
  if (in.kind == AccessKind::kWrite) {
    frames.set_content(k.machine.journal, pfn, encrypt(in.token, key, pfn));
    return out;
  }
  out.has_value = true;
  out.value = decrypt(frames.content(pfn), key, pfn);
  return out;
}

/// The access by a translation that the processor has cached, as it may be, where that allows it;
/// an access that it does not allow makes the processor walk anew.
// Assumption: PVALIDATE, RMPADJUST and RMPQUERY always walk.
std::optional<Outcome> access_cached(Kernel& k, VcpuIndex index, const GuestInstruction& in) {
  Tlb& tlb = k.machine.tlbs.guests[index.value];
  if (tlb.empty() || in.action != GuestAction::kAccess) return std::nullopt;
  const Vcpu& vcpu = k.vcpu(index);
  if (!has_valid_root(k, vcpu)) return std::nullopt;
  const Vm& vm = k.vm(vcpu.vm);
  const auto found = tlb.find(in.gfn.value, is_encrypted(vm, in));
  if (!found || (in.kind == AccessKind::kWrite && !found->writable)) return std::nullopt;
  const Pfn pfn = found->frame_of(in.gfn.value);
  const LeafView leaf{.present = true, .writable = true, .level = found->level, .pfn = pfn};
  const GuestResult result =
      check_guest_access(k.machine.rmp, page_of(vm, in, leaf),
                         {.kind = in.kind, .c_bit = in.c_bit, .owner_checked = true});
  if (result.allowed()) return touch_page(k, vcpu, in, pfn);
  tlb.drop(k.machine.journal, in.gfn.value);
  return std::nullopt;
}

/// The outcome of a try that did not fault.
Outcome outcome_of_try(Kernel& k, VcpuIndex index, const GuestInstruction& in, const Try& tried) {
  if (tried.result.check != Check::kOk) return outcome_of(tried.result.check);
  const Vcpu& vcpu = k.vcpu(index);
  const Vm& vm = k.vm(vcpu.vm);
  Outcome out{};
  if (!tried.leaf.present) return out;  // a refusal that the planted build has switched off
  const bool writes = in.action != GuestAction::kAccess || in.kind == AccessKind::kWrite;
  if (!is_td_private(vm, in)) {  // the secure EPT keeps its own bits
    mark_accessed(k, vm.roots[vcpu.root], in.gfn, writes && tried.leaf.writable);
  }
  if (in.action == GuestAction::kRmpQuery) {
    out.has_value = true;
    out.value = tried.mask;
  }
  if (in.action != GuestAction::kAccess) return out;
  cache(k, index, in, tried.leaf);
  return touch_page(k, vcpu, in, tried.leaf.pfn);
}

/// KVM_RUN returns to user space.
Outcome leave_guest(Kernel& k, const Vm& vm, Check check, const ExitInfo& exit) {
  Outcome out = refuse(check);
  if (out.ok() || exit.reason == 0) return out;
  out.exit = exit;
  k.event(EventKind::kExitToUser, vm, exit.reason);
  return out;
}

PageFault fault_of(const Vm& vm, const GuestInstruction& in, std::uint64_t npf) {
  return {.gfn = in.gfn,
          .is_private = (vm.sev.active || is_td(vm)) && (npf & npf::kEncrypted) != 0,
          .write = (npf & npf::kWrite) != 0,
          .present = (npf & npf::kPresent) != 0,
          .reserved = (npf & npf::kReserved) != 0};
}

/// MMIO is emulated, by KVM where it has the device, and there is no instruction to emulate where
/// none can be fetched from. The registers of an SNP guest and of a TD are not KVM's to emulate
/// with: the guest is told of its own access, and asks by GHCB or TDVMCALL (Linux
/// svm_check_emulate_instruction(), sev_hardware_setup(), vt_check_emulate_instruction()).
// Assumption: an SNP guest and a TD are told of it also where no MMIO entry could be written; Linux
// lets the guest fault for ever.
Outcome mmio_exit(Kernel& k, const Vm& vm, const GuestInstruction& in) {
  if (vm.sev.active) return refuse(Check::kGuestMmioVc);
  if (is_td(vm)) return refuse(Check::kGuestMmioVe);
  if (in.action == GuestAction::kAccess && in.kind == AccessKind::kFetch) {
    return leave_guest(k, vm, Check::kFaultFetchMmio, {.reason = kExitInternalError});
  }
  if (is_emulated_apic(vm, in.gfn)) return {};  // by the kernel's own APIC
  return leave_guest(k, vm, Check::kFaultMmio,
                     {.reason = kExitMmio, .gpa = address_of(in.gfn).value});
}

/// The access meets an MMIO entry, and is emulated at once (kvm.md 5 row 0b). The C-bit of an SNP
/// guest makes no difference: the entry's reserved bits do not ask for it.
// Assumption: an MMIO entry of an older generation lets an SNP guest and a TD fault to the host, as
// others.
// In Linux the processor goes on telling the guest until all such entries are zapped.
bool is_mmio(const Kernel& k, const Vcpu& vcpu, const GuestInstruction& in) {
  return !is_td_private(k.vm(vcpu.vm), in) && is_cached_mmio(k, vcpu, in.gfn);
}

/// True if the MMU's answer ends KVM_RUN: `out` is what user space gets.
bool leaves(Kernel& k, Vm& vm, const GuestInstruction& in, const FaultResult& result,
            Outcome& out) {
  if (result.status != FaultStatus::kError && result.status != FaultStatus::kEmulate) return false;
  const bool skipped = row_of(result.check).kind == StatusKind::kSkipped;
  if (skipped) {
    out = skip(result.check);
  } else if (result.check == Check::kFaultMmio ||
             (result.status == FaultStatus::kEmulate && is_emulated_apic(vm, in.gfn))) {
    out = mmio_exit(k, vm, in);
  } else if (result.check == Check::kFaultMismatch) {
    const Check answer = answer_mismatch(k, vm);
    out = answer == result.check ? leave_guest(k, vm, answer, result.exit) : refuse(answer);
  } else {
    out = leave_guest(k, vm, result.check, result.exit);
  }
  return true;
}

/// What KVM_RUN finds before the guest is first entered.
Check first_entry(Kernel& k, VcpuIndex index, const GuestInstruction& in) {
  Check gate = in.reenters ? run_gate(k, index) : enter_gate(k, index);
  if (in.reenters && gate == Check::kOk) gate = enter_again(k, k.vcpu(index), false);
  const bool nested = k.vcpu(index).guest_mode == GuestMode::kNested;
  return gate == Check::kOk && nested ? Check::kSkipNestedPaging : gate;
}

/// Before each further entry vcpu_run() looks for a signal, among others.
// Deviation: a vCPU that starts from another VMSA inside an instruction does that instruction
// there.
Check next_entry(Kernel& k, Vcpu& vcpu, const GuestInstruction& in, bool entered) {
  return entered ? enter_again(k, vcpu, !in.reenters) : Check::kOk;
}

/// The same fault with the same translation and the same RMP entry: nothing has changed.
bool is_same(const Try& one, const Try& other) {
  return one.result.npf == other.result.npf && one.leaf.present == other.leaf.present &&
         one.leaf.pfn == other.leaf.pfn && one.leaf.level == other.leaf.level &&
         one.leaf.writable == other.leaf.writable && one.entry == other.entry;
}

/// The VMSA of a vCPU that is inside its guest is in use (rmp.md 6). Only RMPADJUST and other
/// actors can tell, so only they pay for the mark.
void mark_vmsa(Kernel& k, const Vcpu& vcpu) {
  if (const auto vmsa = held_vmsa(vcpu)) k.machine.rmp.mark_in_use(k.machine.journal, *vmsa);
}
void clear_vmsa(Kernel& k, const Vcpu& vcpu) {
  if (const auto vmsa = held_vmsa(vcpu)) k.machine.rmp.clear_in_use(k.machine.journal, *vmsa);
}
Try attempt_marked(Kernel& k, Vcpu& vcpu, const GuestInstruction& in) {
  if (in.action != GuestAction::kRmpAdjust) return attempt(k, vcpu, in);
  mark_vmsa(k, vcpu);
  const Try tried = attempt(k, vcpu, in);
  clear_vmsa(k, vcpu);
  return tried;
}

/// What ends KVM_RUN before an entry, or makes it short: a signal, a cached translation, no memory
/// for a root.
std::optional<Outcome> before_entry(Kernel& k, VcpuIndex index, const GuestInstruction& in,
                                    bool entered) {
  Check check = next_entry(k, k.vcpu(index), in, entered);
  if (check == Check::kOk) {
    if (const auto cached = access_cached(k, index, in)) return cached;
    check = reload_root(k, k.vcpu(index));
  }
  return check == Check::kOk ? std::nullopt : std::optional(answer(check));
}

}  // namespace

Outcome run_guest(Kernel& k, VcpuIndex index, const GuestInstruction& in) {
  if (const Check gate = first_entry(k, index, in); gate != Check::kOk) return answer(gate);
  Vcpu& vcpu = k.vcpu(index);
  Vm& vm = k.vm(vcpu.vm);
  enter_guest(k, vcpu);
  if (const auto cached = access_cached(k, index, in)) return *cached;
  Try last{};
  bool compare = false;  // as below
  for (unsigned round = 0; round < kMaxGuestRounds; ++round) {
    Check check = next_entry(k, vcpu, in, round > 0);
    if (check == Check::kOk) check = reload_root(k, vcpu);
    if (check != Check::kOk) return answer(check);
    const Try tried = attempt_marked(k, vcpu, in);
    const std::uint64_t npf = tried.result.npf;
    if (npf == 0) return outcome_of_try(k, index, in, tried);
    k.event(EventKind::kNpf, vm, in.gfn.value, npf);
    if (compare && is_same(tried, last)) break;
    last = tried;
    compare = true;
    if (is_mmio(k, vcpu, in)) return mmio_exit(k, vm, in);
    PageFault fault = fault_of(vm, in, npf);
    const FaultResult result = handle_fault(k, vcpu, fault);
    if (is_converted_by_kernel(k, result)) {
      const Check refused = convert_for_guest(k, index, fault);
      if (refused != Check::kOk) return answer(refused);
      compare = false;
      continue;
    }
    Outcome out{};
    if (leaves(k, vm, in, result, out)) return out;
    if ((npf & npf::kRmp) != 0) {
      const RmpFix fix = look_at_rmp_fault(k, vm, in.gfn);
      const bool zap = fix.needed && split_for_rmp_fault(k, fix);
      if (zap) zap_gfn_range(k, vm, range_of_rmp_fault(in.gfn));
    }
    if (vm.dead) return refuse(Check::kVmDead);
  }
  return refuse(Check::kFaultLoop);
}

Task<Outcome> start_guest(Kernel& k, VcpuIndex index, GuestInstruction in) {
  co_await lock(k, vcpu_mutex(index));
  if (const Check gate = first_entry(k, index, in); gate != Check::kOk) {
    unlock(k, vcpu_mutex(index));
    co_return answer(gate);
  }
  Vcpu& vcpu = k.vcpu(index);
  const VmIndex vm_index = vcpu.vm;
  Vm& vm = k.vm(vm_index);
  enter_guest(k, vcpu);
  Outcome out = refuse(Check::kFaultLoop);
  Try last{};
  bool compare = false;  // `last` was met with nothing done in between
  bool entered = false;
  for (unsigned round = 0; round < kMaxGuestRounds; ++round) {
    if (const auto left = before_entry(k, index, in, entered)) {
      out = *left;
      break;
    }
    entered = true;
    const Try tried = attempt_marked(k, vcpu, in);
    const std::uint64_t npf = tried.result.npf;
    if (npf == 0) {
      out = outcome_of_try(k, index, in, tried);
      break;
    }
    k.event(EventKind::kNpf, vm, in.gfn.value, npf);
    if (compare && is_same(tried, last)) break;
    last = tried;
    srcu_read_lock(k, vm_index);
    if (is_mmio(k, vcpu, in)) {
      out = mmio_exit(k, vm, in);
      srcu_read_unlock(k, vm_index);
      break;
    }
    PageFault fault = fault_of(vm, in, npf);
    const FaultResult result = co_await start_guest_fault(k, index, fault);
    if (is_converted_by_kernel(k, result)) {
      srcu_read_unlock(k, vm_index);
      const Check refused = co_await start_convert_for_guest(k, index, fault);
      compare = false;
      if (refused == Check::kOk) continue;
      out = answer(refused);
      break;
    }
    const bool left = leaves(k, vm, in, result, out);
    if (!left && (npf & npf::kRmp) != 0) {
      co_await point(k, Point::kNpfBeforeRmpFix);
      const RmpFix fix = look_at_rmp_fault(k, vm, in.gfn);
      if (fix.needed) co_await point(k, Point::kNpfBeforePsmash);
      const bool zap = fix.needed && split_for_rmp_fault(k, fix);
      if (zap) {
        co_await lock(k, mmu_lock(vm_index));
        const bool flush = zap_gfn_range_begin(k, vm, range_of_rmp_fault(in.gfn));
        const bool others = flush && has_translations(k, vm);
        if (others) co_await point(k, Point::kZapBeforeFlush);
        zap_gfn_range_end(k, vm, flush);
        unlock(k, mmu_lock(vm_index));
      }
    }
    srcu_read_unlock(k, vm_index);
    if (left) break;
    if (vm.dead) {
      out = refuse(Check::kVmDead);
      break;
    }
    mark_vmsa(k, vcpu);
    const std::size_t written = k.machine.journal.size();
    co_await point(k, Point::kGuestReentry);
    // What others did here may be why the fault is the same: a leaf was zapped again.
    compare = k.machine.journal.size() == written;
    clear_vmsa(k, vcpu);
    if (result.status == FaultStatus::kRetry) {
      // The fault could not be handled yet: it is met again until others are done, however often.
      co_await retry(k, result.retry, in.gfn.value);
      compare = false;
      round = 0;
    }
  }
  unlock(k, vcpu_mutex(index));
  co_return out;
}

}  // namespace sluice::model
