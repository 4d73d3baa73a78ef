// What a view shows of VMs, their slots, and files: now and before the step, made once a step.
#include <algorithm>
#include <cstring>

#include "model/host/apic_page.h"
#include "model/model_view.h"

namespace sluice::model {
namespace {

GmemView view_of(const Gmem& gmem) {
  return {.open = gmem.open,
          .vm = gmem.vm,
          .page_count = gmem.page_count,
          .flags = gmem.flags,
          .resident_pages = gmem.resident_pages.value};
}

SlotView view_of(VmIndex vm, const Memslot& slot) {
  const std::uint64_t offset = slot.hva_raw ? slot.hva : slot.hva - kHostRegionAddress;
  return {.vm = vm,
          .address_space = slot.address_space,
          .id = slot.id,
          .flags = slot.flags,
          .invalid = slot.invalid,
          .base = slot.base,
          .page_count = slot.page_count,
          .hva = {.value = offset, .raw = slot.hva_raw},
          .gmem = {slot.gmem},
          .gmem_page_offset = slot.gmem_page_offset,
          .gmem_only = slot.gmem_only};
}

VmView view_of(const VmCore& vm) {
  const bool unset = vm.invalidate_in_progress <= 0 || vm.invalidate_first > vm.invalidate_last;
  return {.exists = vm.exists,
          .open = vm.open,
          .dead = vm.dead,
          .type = vm.type,
          .slot_zap_all = vm.slot_zap_all,
          .life = vm.life,
          .users = vm.users,
          .vcpu_count = vm.vcpu_count,
          .asid = vm.sev.asid,
          .launching = vm.sev.context,
          .launched = vm.pre_fault_allowed,
          .invalidate_seq = vm.invalidate_seq,
          .invalidate_in_progress = vm.invalidate_in_progress,
          .invalidate_range = unset ? GfnSpan{} : GfnSpan{vm.invalidate_first, vm.invalidate_last},
          .generation = vm.generation};
}
}  // namespace

const GmemView& ModelView::gmem(GmemIndex index) const {
  auto& [step, view] = gmem_views_[index.value];
  if (step != record_->number) {
    step = record_->number;
    view = view_of(k_->gmem(index));
  }
  return view;
}

const GmemView& ModelView::gmem_before(GmemIndex index) const {
  build();
  if ((gmems_touched_ >> index.value & 1) == 0) return gmem(index);
  auto& [step, view] = gmem_views_before_[index.value];
  if (step != record_->number) {
    step = record_->number;
    view = view_of(gmems_before_[index.value]);
  }
  return view;
}

const VmView& ModelView::vm_before(VmIndex index) const {
  build();
  if ((vms_touched_ >> index.value & 1) == 0) return vm(index);
  auto& [step, view] = vm_views_before_[index.value];
  if (step != record_->number) {
    step = record_->number;
    view = view_of(vms_before_[index.value]);
    view.root_count = vm(index).root_count;
    view.apicv_active = vm(index).apicv_active;
  }
  return view;
}

/// The first slots of the VM as they were; how many that are.
std::uint64_t ModelView::undo_slots(VmIndex index,
                                    std::array<Memslot, kMaxSlotsPerVm>& slots) const {
  const Vm& vm = k_->vm(index);
  const bool touched = (vms_touched_ >> index.value & 1) != 0;
  const std::uint64_t before = touched ? vms_before_[index.value].slot_high_water : 0;
  const std::uint64_t count = std::max(vm.slot_high_water, before);
  std::copy_n(vm.slots.begin(), count, slots.begin());
  const auto now = reinterpret_cast<std::uintptr_t>(vm.slots.data());
  const auto entries = k_->machine.journal.since(record_->mark);
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    const auto at = reinterpret_cast<std::uintptr_t>(entry->address());
    if (at - now >= count * sizeof(Memslot)) continue;
    std::memcpy(reinterpret_cast<std::byte*>(slots.data()) + (at - now), &entry->old_value,
                entry->size());
  }
  return count;
}

std::span<const SlotView> ModelView::slots_before(VmIndex index) const {
  build();
  if ((slots_touched_ >> index.value & 1) == 0) return slots(index);
  SlotList& list = slots_before_[index.value];
  if (list.step != record_->number) {
    list.step = record_->number;
    list.count = 0;
    std::array<Memslot, kMaxSlotsPerVm> before;
    const std::uint64_t count = undo_slots(index, before);
    for (std::uint64_t i = 0; i < count; ++i) {
      if (before[i].used) list.slots[list.count++] = view_of(index, before[i]);
    }
  }
  return {list.slots.data(), list.count};
}

std::span<const BindingView> ModelView::gmem_bindings(GmemIndex gmem) const {
  BindingList& list = bindings_[gmem.value];
  if (list.step != record_->number) {
    list.step = record_->number;
    list.count = 0;
    const Gmem& file = k_->gmem(gmem);
    for (const Binding& binding : file.bindings) {
      if (!binding.used) continue;
      list.bindings[list.count++] = {.address_space = binding.address_space,
                                     .slot = binding.id,
                                     .first = binding.first,
                                     .count = binding.count};
    }
  }
  return {list.bindings.data(), list.count};
}

const VmView& ModelView::vm(VmIndex index) const {
  auto& [step, view] = vm_views_[index.value];
  if (step != record_->number) {
    step = record_->number;
    const Vm& vm = k_->vm(index);
    view = view_of(vm);
    view.apicv_active = is_apicv_active(*k_, vm);
    for (const Root& root : vm.roots) view.root_count += root.used && root.valid ? 1 : 0;
  }
  return view;
}

std::span<const SlotView> ModelView::slots(VmIndex index) const {
  SlotList& list = slots_[index.value];
  if (list.step != record_->number) {
    list.step = record_->number;
    list.count = 0;
    const Vm& vm = k_->vm(index);
    for (std::uint64_t i = 0; i < vm.slot_high_water; ++i) {
      if (vm.slots[i].used) list.slots[list.count++] = view_of(index, vm.slots[i]);
    }
  }
  return {list.slots.data(), list.count};
}

}  // namespace sluice::model
