// The view of TDs and their secure EPTs.
#include <algorithm>
#include <cstring>
#include <tuple>

#include "model/model_view.h"

namespace sluice::model {
namespace {

SeptView view_of(SeptEntry entry) {
  if (entry.is_free()) return {};
  return {.state = entry.state(), .pfn = entry.pfn()};
}

TdView view_of(const Td& td, std::uint32_t premapped) {
  return {.exists = td.exists,
          .finalized = td.finalized,
          .epoch = td.epoch,
          .pages_added = td.pages_added,
          .pages_measured = td.pages_measured,
          .premapped = premapped};
}

}  // namespace

void ModelView::note_sept(const Journal::Entry& entry) const {
  const SecureEpt::At at = k_->machine.sept.find(entry.address());
  if (!at.found) return;
  SeptTables& tables = tables_.sept;
  tables.before.add({.vm = at.vm,
                     .gfn = at.gfn,
                     .word = entry.old_value,
                     .order = static_cast<std::uint32_t>(tables.before.size())});
}

/// Entries were noted newest first, so that of each place the last is how it was.
void ModelView::add_sept_changes() const {
  SeptTables& tables = tables_.sept;
  const auto key = [](const SeptBefore& b) { return std::tuple(b.vm, b.gfn, b.order); };
  std::ranges::sort(tables.before, {}, key);
  for (std::size_t i = 0; i < tables.before.size(); ++i) {
    const SeptBefore& before = tables.before[i];
    const bool is_last = i + 1 == tables.before.size() || tables.before[i + 1].vm != before.vm ||
                         tables.before[i + 1].gfn != before.gfn;
    const SeptEntry now = k_->machine.sept.entry(before.vm, before.gfn);
    if (!is_last || now.word == before.word) continue;
    tables.changes.add({.vm = before.vm,
                        .gfn = before.gfn,
                        .before = view_of(SeptEntry{before.word}),
                        .now = sept(before.vm, before.gfn)});
  }
}

bool ModelView::has_td() const { return k_->machine.sept.any_td(); }

TdView ModelView::td(VmIndex vm) const {
  return view_of(k_->machine.sept.td(vm), k_->vm(vm).td.premapped);
}

void ModelView::note_td(const Journal::Entry& entry, std::uintptr_t offset) const {
  const std::size_t i = offset / sizeof(Td);
  if ((tds_touched_ >> i & 1) == 0) {
    tds_touched_ |= 1U << i;
    tds_before_[i] = k_->machine.sept.tds()[i];
  }
  std::memcpy(reinterpret_cast<std::byte*>(&tds_before_[i]) + offset % sizeof(Td), &entry.old_value,
              entry.size());
}

TdView ModelView::td_before(VmIndex vm) const {
  build();
  const auto touched = [vm](std::uint32_t set) { return (set >> vm.value & 1) != 0; };
  const Td& td = touched(tds_touched_) ? tds_before_[vm.value] : k_->machine.sept.td(vm);
  const VmCore& now = k_->vm(vm);
  const VmCore& own = touched(vms_touched_) ? vms_before_[vm.value] : now;
  return view_of(td, own.td.premapped);
}

std::uint32_t ModelView::td_epoch_of(VcpuIndex vcpu) const {
  return k_->machine.sept.epoch_of(vcpu);
}

SeptView ModelView::sept(VmIndex vm, Gfn gfn) const {
  const Machine& machine = k_->machine;
  SeptView view = view_of(machine.sept.entry(vm, gfn));
  if (!view.is_free()) {
    view.content = decrypt(machine.frames.content(view.pfn), machine.sept.key(vm), view.pfn);
  }
  return view;
}

std::optional<SeptAt> ModelView::sept_of(Pfn pfn) const {
  if (!k_->machine.rmp.covers(pfn)) return std::nullopt;
  const SecureEpt::Owner owner = k_->machine.sept.owner(pfn);
  if (!owner.owned) return std::nullopt;
  return SeptAt{.vm = owner.vm, .gfn = owner.gfn, .entry = sept(owner.vm, owner.gfn)};
}

std::optional<SeptAt> ModelView::next_sept(VmIndex vm, const GfnSpan& within) const {
  const Gfn found = k_->machine.sept.next(vm, within.first, within.end);
  if (found >= within.end) return std::nullopt;
  return SeptAt{.vm = vm, .gfn = found, .entry = sept(vm, found)};
}

}  // namespace sluice::model
