#include "model/machine/seamcall.h"

#include "model/planted.h"

namespace sluice::model {
namespace {

/// Is another processor in the way of this call?
bool is_busy(Machine& machine) {
  SecureEpt& sept = machine.sept;
  SeamContention next = sept.contention();
  if (next.left == 0) return false;
  const bool busy = next.wait == 0;
  --(busy ? next.left : next.wait);
  sept.contend(machine.journal, next);
  return busy;
}

void note(Machine& machine, EventKind kind, VmIndex vm, std::uint64_t a = 0, std::uint64_t b = 0) {
  machine.events.add({.kind = kind, .vm = vm.value, .a = a, .b = b});
}

void set_state(Machine& machine, VmIndex vm, Gfn gfn, SeptState state) {
  const SeptEntry old = machine.sept.entry(vm, gfn);
  machine.sept.set_entry(machine.journal, vm, gfn, SeptEntry::of(state, old.pfn()));
}

/// Whether a frame may become a page of a TD at this entry.
SeamStatus check_new_page(const Machine& machine, VmIndex vm, Gfn gfn, Pfn pfn) {
  if (!machine.sept.entry(vm, gfn).is_free()) return SeamStatus::kEntryState;
  const bool taken = machine.sept.owner(pfn).owned && !planted(Planted::kTdFaultMapsNeighbor);
  return taken ? SeamStatus::kPageMetadata : SeamStatus::kSuccess;
}

/// Every vCPU that was inside the TD has been so since this epoch began.
bool all_passed(const Machine& machine, VmIndex vm, std::uint32_t epoch) {
  if (machine.sept.td(vm).epoch < epoch) return false;
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    const std::uint32_t seen = machine.sept.epoch_of({i});
    if (machine.sept.td_of({i}) == vm && seen != 0 && seen < epoch) return false;
  }
  return true;
}

}  // namespace

SeamStatus tdh_mem_page_add(Machine& machine, VmIndex vm, Gfn gfn, Pfn pfn, Pfn source) {
  if (is_busy(machine)) return SeamStatus::kOperandBusy;
  Td& td = machine.sept.td(vm);
  if (td.finalized) return SeamStatus::kOpState;
  const SeamStatus bad = check_new_page(machine, vm, gfn, pfn);
  if (bad != SeamStatus::kSuccess) return bad;
  machine.sept.set_entry(machine.journal, vm, gfn, SeptEntry::of(SeptState::kMapped, pfn));
  const std::uint64_t token = machine.frames.content(source);
  machine.frames.set_content(machine.journal, pfn, encrypt(token, machine.sept.key(vm), pfn));
  machine.journal.set(td.pages_added, td.pages_added + 1);
  return SeamStatus::kSuccess;
}

SeamStatus tdh_mr_extend(Machine& machine, VmIndex vm, Gfn gfn) {
  Td& td = machine.sept.td(vm);
  if (td.finalized) return SeamStatus::kOpState;
  if (!machine.sept.entry(vm, gfn).is_mapped()) return SeamStatus::kEntryState;
  machine.journal.set(td.pages_measured, td.pages_measured + 1);
  return SeamStatus::kSuccess;
}

SeamStatus tdh_mr_finalize(Machine& machine, VmIndex vm) {
  if (is_busy(machine)) return SeamStatus::kOperandBusy;
  Td& td = machine.sept.td(vm);
  if (td.finalized) return SeamStatus::kOpState;
  machine.journal.set(td.finalized, true);
  note(machine, EventKind::kTdFinalized, vm);
  return SeamStatus::kSuccess;
}

SeamStatus tdh_mem_page_aug(Machine& machine, VmIndex vm, Gfn gfn, Pfn pfn) {
  if (is_busy(machine)) return SeamStatus::kOperandBusy;
  if (!machine.sept.td(vm).finalized) return SeamStatus::kOpState;
  const SeamStatus bad = check_new_page(machine, vm, gfn, pfn);
  if (bad != SeamStatus::kSuccess) return bad;
  const bool accepts = planted(Planted::kTdAugAccepts);
  machine.sept.set_entry(machine.journal, vm, gfn,
                         SeptEntry::of(accepts ? SeptState::kMapped : SeptState::kPending, pfn));
  return SeamStatus::kSuccess;
}

SeamStatus tdh_mem_range_block(Machine& machine, VmIndex vm, Gfn gfn) {
  if (is_busy(machine)) return SeamStatus::kOperandBusy;
  const SeptEntry entry = machine.sept.entry(vm, gfn);
  if (!entry.is_mapped() && !entry.is_pending()) return SeamStatus::kEntryState;
  const SeptState state = entry.is_mapped() ? SeptState::kBlocked : SeptState::kPendingBlocked;
  const std::uint32_t epoch = machine.sept.td(vm).epoch + 1;
  machine.sept.set_entry(machine.journal, vm, gfn, SeptEntry::of(state, entry.pfn(), epoch));
  note(machine, EventKind::kSeptBlock, vm, gfn.value, entry.pfn().value);
  return SeamStatus::kSuccess;
}

SeamStatus tdh_mem_track(Machine& machine, VmIndex vm) {
  if (is_busy(machine)) return SeamStatus::kOperandBusy;
  Td& td = machine.sept.td(vm);
  if (!td.finalized) return SeamStatus::kOpState;
  machine.journal.set(td.epoch, td.epoch + 1);
  note(machine, EventKind::kSeptTrack, vm, td.epoch);
  return SeamStatus::kSuccess;
}

SeamStatus tdh_mem_page_remove(Machine& machine, VmIndex vm, Gfn gfn) {
  if (is_busy(machine)) return SeamStatus::kOperandBusy;
  const SeptEntry entry = machine.sept.entry(vm, gfn);
  if (!entry.is_blocked()) return SeamStatus::kEntryState;
  // Before it is finalized a TD has no vCPU inside, and nothing to track.
  const bool tracked = !machine.sept.td(vm).finalized || all_passed(machine, vm, entry.epoch());
  if (!tracked && !planted(Planted::kTdRemoveSkipsTrack)) return SeamStatus::kNotTracked;
  machine.sept.set_entry(machine.journal, vm, gfn, {});
  note(machine, EventKind::kSeptRemove, vm, gfn.value, entry.pfn().value);
  return SeamStatus::kSuccess;
}

SeamStatus tdh_phymem_page_wbinvd(Machine& machine, Pfn pfn) {
  machine.events.add({.kind = EventKind::kCacheFlush, .a = pfn.value, .b = 1});
  return SeamStatus::kSuccess;
}

void tdh_vp_enter(Machine& machine, VmIndex vm, VcpuIndex vcpu) {
  const std::uint32_t epoch = machine.sept.td(vm).epoch;
  if (machine.sept.epoch_of(vcpu) == epoch) return;
  machine.tlbs.guests[vcpu.value].drop_encrypted(machine.journal);
  machine.sept.set_epoch(machine.journal, vcpu, vm, epoch);
}

AcceptStatus tdg_mem_page_accept(Machine& machine, VmIndex vm, Gfn gfn, PageSize size) {
  const bool aligned = gfn.is_aligned(frames_in(size));
  if (gfn.value >= kTdSharedGfn || !aligned) return AcceptStatus::kOperand;
  if (size == PageSize::k2M) {
    const bool smaller = machine.sept.has_table(vm, gfn);
    return smaller ? AcceptStatus::kSizeMismatch : AcceptStatus::kViolation;
  }
  const SeptEntry entry = machine.sept.entry(vm, gfn);
  if (entry.is_mapped()) return AcceptStatus::kAlready;
  if (!entry.is_pending()) return AcceptStatus::kViolation;
  set_state(machine, vm, gfn, SeptState::kMapped);
  const Pfn pfn = entry.pfn();
  machine.frames.set_content(machine.journal, pfn, encrypt(0, machine.sept.key(vm), pfn));
  return AcceptStatus::kAccepted;
}

}  // namespace sluice::model
