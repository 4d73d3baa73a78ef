#include "model/state_hash.h"

#include <algorithm>
#include <vector>

#include "base/hash.h"
#include "model/host/attributes.h"
#include "model/host/guest_memfd.h"
#include "model/host/launch.h"
#include "model/host/tdp_mmu.h"
#include "ops/reflect.h"

namespace sluice::model {
namespace {

/// Adds its arguments in order.
template <class... Words>
void add(Hash& hash, Words... words) {
  (hash.add(static_cast<std::uint64_t>(words)), ...);
}

void add_slots(Hash& hash, const ModelView& view, VmIndex vm) {
  const auto slots = view.slots(vm);
  std::array<SlotView, kMaxSlotsPerVm> sorted{};
  std::ranges::copy(slots, sorted.begin());
  const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(slots.size());
  std::sort(sorted.begin(), end, [](const SlotView& a, const SlotView& b) {
    return a.address_space != b.address_space ? a.address_space < b.address_space
           : a.id != b.id                     ? a.id < b.id
                                              : a.invalid < b.invalid;
  });
  add(hash, slots.size());
  for (auto slot = sorted.begin(); slot != end; ++slot) {
    add(hash, slot->address_space, slot->id, slot->flags, slot->invalid, slot->base.value,
        slot->page_count.value, slot->hva.value, slot->hva.raw, slot->gmem.value,
        slot->gmem_page_offset);
  }
}

void add_attributes(Hash& hash, const Kernel& k, const Vm& vm) {
  for (Gfn from{};;) {
    const GfnRange range = next_private_range(k, vm, {.first = from, .last = kGfnLimit});
    if (range.empty()) break;
    add(hash, range.first.value, range.last.value);
    from = range.last;
  }
  add(hash, 0);
}

/// A root by its role and what it maps. Which place of Vm::roots it has is an accident.
std::uint64_t hash_of_root(const Kernel& k, const Vm& vm, std::uint8_t index) {
  Hash hash;
  const Root& root = vm.roots[index];
  add(hash, root.valid, root.level, root.smm, root.guest_mode, root.users, root.mirror);
  for_each_leaf(k, vm, index, [&hash](Gfn gfn, const LeafView& leaf) {
    if (leaf.mmio) return;
    add(hash, gfn.value, leaf.pfn.value, leaf.writable, leaf.accessed, leaf.dirty, leaf.level);
  });
  return hash.value();
}

void add_roots(Hash& hash, const Kernel& k, const Vm& vm) {
  std::array<std::uint64_t, kMaxRootsPerVm> roots{};
  std::size_t count = 0;
  for (std::uint8_t i = 0; i < kMaxRootsPerVm; ++i) {
    if (vm.roots[i].used) roots[count++] = hash_of_root(k, vm, i);
  }
  std::sort(roots.begin(), roots.begin() + static_cast<std::ptrdiff_t>(count));
  add(hash, count);
  for (std::size_t i = 0; i < count; ++i) add(hash, roots[i]);
}

/// The TD, and its entries by GFN.
void add_td(Hash& hash, const Kernel& k, const ModelView& view, VmIndex index) {
  const Td& td = k.machine.sept.td(index);
  const TdVm& own = k.vm(index).td;
  add(hash, own.initialized, own.runnable, own.premapped, own.source.value, td.finalized,
      td.sept_ve_disable, td.epoch, td.key, td.pages_added, td.pages_measured);
  for (GfnSpan left{.first = {0}, .end = {kTdSharedGfn}}; auto at = view.next_sept(index, left);) {
    add(hash, at->gfn.value, k.machine.sept.entry(index, at->gfn).word);
    left.first = at->gfn + PageCount{1};
  }
}

void add_vm(Hash& hash, const Kernel& k, const ModelView& view, VmIndex index) {
  const Vm& vm = k.vm(index);
  add(hash, vm.exists);
  if (!vm.exists) return;
  const bool invalidating = vm.invalidate_in_progress > 0;
  add(hash, vm.open, vm.dead, vm.type, vm.exit_hypercall, vm.slot_zap_all, vm.pre_fault_allowed,
      vm.had_slot, vm.irqchip, vm.apic_access_enabled, vm.vcpu_count, vm.vcpus_in_creation,
      vm.users, vm.invalidate_seq, vm.invalidate_in_progress,
      invalidating ? vm.invalidate_first.value : 0, invalidating ? vm.invalidate_last.value : 0);
  add(hash, vm.generation[0], vm.generation[1], vm.sev.active, vm.sev.context, vm.sev.launched,
      vm.sev.asid.value, vm.sev.policy, vm.sev.context_page.value);
  if (vm.type == VmType::kTdx) add_td(hash, k, view, index);
  add_slots(hash, view, index);
  add_attributes(hash, k, vm);
  add_roots(hash, k, vm);
}

/// The buffer and what KVM knows of it; records for the view are left out.
void add_psc(Hash& hash, const PscState& psc) {
  std::size_t count = psc.buffer.used;
  while (count > 0 && psc.buffer.words[count - 1] == 0) --count;
  add(hash, count, psc.room, psc.batch_start, psc.batch_size, psc.exit_pending, psc.open);
  for (std::size_t i = 0; i < count; ++i) add(hash, psc.buffer.words[i]);
}

/// What AP creation has left; the record for the view is left out, and a frame that counts for
/// nothing.
void add_reset(Hash& hash, const ApReset& ap) {
  if (!ap.waiting && !ap.applied) return;
  add(hash, ap.waiting, ap.requested, ap.halted, ap.applied, ap.has_vmsa, ap.is_clean,
      ap.pending.value, ap.has_vmsa ? ap.vmsa.value : 0, ap.is_clean ? ap.held.value : 0);
}

void add_vcpu(Hash& hash, const Kernel& k, VcpuIndex index) {
  const Vcpu& vcpu = k.vcpu(index);
  add(hash, vcpu.exists);
  if (!vcpu.exists) return;
  const bool has_root = vcpu.root != kNoRootIndex;
  const bool has_previous = vcpu.previous_root != kNoRootIndex;
  add(hash, vcpu.vm.value, vcpu.ran, vcpu.smm, vcpu.block_irq, vcpu.guest_mode, vcpu.phys_addr_bits,
      vcpu.sev.has_page, vcpu.sev.has_vmsa, vcpu.sev.vmsa.value, has_root, has_previous,
      vcpu.td.initialized, k.machine.sept.epoch_of(index));
  if (has_root) add(hash, hash_of_root(k, k.vm(vcpu.vm), vcpu.root));
  if (has_previous) add(hash, hash_of_root(k, k.vm(vcpu.vm), vcpu.previous_root));
  add_psc(hash, vcpu.psc);
  add_reset(hash, vcpu.sev.ap);
}

void add_gmem(Hash& hash, const Kernel& k, GmemIndex index) {
  const Gmem& gmem = k.gmem(index);
  add(hash, gmem.open, gmem.resident_pages.value);
  if (!gmem.open) return;
  add(hash, gmem.vm.value, gmem.page_count, gmem.flags);
  std::array<Binding, kMaxBindings> bound = gmem.bindings;
  std::ranges::sort(bound, [](const Binding& a, const Binding& b) {
    return a.used != b.used ? a.used : a.first < b.first;
  });
  for (const Binding& binding : bound) {
    if (!binding.used) break;
    add(hash, binding.first, binding.count, binding.address_space, binding.id);
  }
}

/// RMP entries, owners and contents; a page of a guest_memfd with its state in the page cache.
void add_frames(Hash& hash, const Kernel& k, const ModelView& view) {
  for (const Pfn pfn : view.occupied_frames()) {
    const RmpView entry = view.rmp(pfn);
    const FrameView frame = view.frame(pfn);
    add(hash, pfn.value, entry.assigned, entry.validated, entry.immutable, entry.vmsa, entry.in_use,
        entry.is_head, entry.page_size, entry.asid.value, entry.gpa.value);
    for (const std::uint8_t mask : entry.vmpl_mask) add(hash, mask);
    add(hash, frame.use, frame.leaked, frame.poisoned, frame.gmem.value, frame.index,
        frame.content);
    if (frame.use != FrameUse::kGmem) continue;
    const GmemPageView page = view_page(k, k.gmem(frame.gmem), frame.index);
    add(hash, page.present && page.pfn == pfn, page.uptodate, page.references, page.user_mapped,
        page.folio_pages);
  }
}

/// By place: in which order an operation wrote them, and how often, is no state.
void add_host_region(Hash& hash, const Kernel& k) {
  std::vector<std::size_t> written{};
  for (const Journal::Entry& entry : k.machine.journal.since(0)) {
    const auto at = reinterpret_cast<std::uintptr_t>(entry.address());
    const auto begin = reinterpret_cast<std::uintptr_t>(k.host_pages.data());
    if (at < begin || at >= begin + k.host_pages.size() * sizeof(HostPage)) continue;
    written.push_back((at - begin) / sizeof(HostPage));
  }
  std::ranges::sort(written);
  const auto repeated = std::ranges::unique(written);
  written.erase(repeated.begin(), repeated.end());
  for (const std::size_t index : written) {
    // Present pages are frames that are in use; what has gone is not, and is known by its place.
    if (k.host_pages[index].unmapped()) add(hash, index);
    if (k.host_pages[index].poisoned()) add(hash, index, 2);
    if (k.host_pages[index].large() && index % kFramesPer2M == 0) add(hash, index, 1);
  }
}

void add_translations(Hash& hash, const ModelView& view) {
  for (const TranslationView& t : view.translations()) {
    add(hash, t.use, t.vcpu.value, t.page, t.pfn.value, t.level, t.writable, t.encrypted);
  }
  add(hash, view.translations().size());
}

void add_countdowns(Hash& hash, const Countdowns& countdowns) {
  add(hash, countdowns.armed);
  for (unsigned slot = 0; slot < kMaxActors; ++slot) {
    if ((countdowns.armed >> slot & 1) != 0) add(hash, countdowns.left[slot]);
  }
}

void add_in_flight(Hash& hash, const Scheduler& scheduler,
                   const std::array<Step, kMaxActors>& in_flight) {
  for (unsigned slot = 0; slot < kMaxActors; ++slot) {
    const ActorRecord& actor = scheduler.actor(slot);
    add(hash, actor.state);
    if (actor.state == ActorState::kIdle) continue;
    const Op& op = in_flight[slot].op;
    add(hash, op.index(), actor.point, actor.points, actor.until_park, actor.wait, actor.held_locks,
        actor.srcu_readers, actor.invalidations);
    for (std::size_t i = 0; i < fields_of(op.index()).size(); ++i) {
      const FieldValue value = get_field(op, i);
      add(hash, value.bits, value.raw);
    }
  }
}

}  // namespace

std::uint64_t state_hash(const Kernel& k, const ModelView& view,
                         const std::array<Step, kMaxActors>& in_flight) {
  Hash hash;
  add(hash, k.machine.header.scope, k.machine.header.kernel.major, k.machine.header.kernel.minor);
  add(hash, k.snp.host_dead, k.snp.leaked_page_count, k.snp.direct_map.split_count(), k.snp.asids,
      k.snp.reclaimable_asids, k.machine.rmp.contention().code, k.machine.rmp.contention().left,
      k.machine.rmp.contention().wait, k.machine.sept.contention().left,
      k.machine.sept.contention().wait);
  for (std::uint32_t asid = 1; asid <= kSnpAsidCount; ++asid) add(hash, k.snp.asid_keys[asid]);
  for (std::size_t axis = 0; axis < kPolicyAxes.size(); ++axis) {
    add(hash, policy_value(k.machine.header.policy, axis));
  }
  for (std::uint8_t i = 0; i < kMaxVms; ++i) add_vm(hash, k, view, {i});
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) add_vcpu(hash, k, {i});
  for (std::uint8_t i = 0; i < kMaxGmems; ++i) add_gmem(hash, k, {i});
  add_frames(hash, k, view);
  add_host_region(hash, k);
  add_translations(hash, view);
  add(hash, k.mapped_set_locked);
  for (const HeldFrame& held : k.held) {
    if (held.holders != 0) add(hash, held.pfn.value, held.holders, held.mapped);
  }
  add_countdowns(hash, k.signals);
  add_countdowns(hash, k.failures);
  add_in_flight(hash, k.scheduler, in_flight);
  return hash.value();
}

}  // namespace sluice::model
