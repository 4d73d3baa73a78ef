#include "model/machine/secure_ept.h"

#include <algorithm>

namespace sluice::model {
namespace {

constexpr std::uint64_t kGfnsPerTable = kFramesPer2M;

}  // namespace

Expected<SecureEpt> SecureEpt::open(std::uint64_t frame_count) {
  auto directory = ReservedArray<std::uint32_t>::open(kMaxVms * kBlocks);
  if (!directory) return std::unexpected(directory.error());
  auto places = ReservedArray<std::uint64_t>::open(kMaxTables);
  if (!places) return std::unexpected(places.error());
  auto entries = ReservedArray<std::uint64_t>::open(kMaxTables * kGfnsPerTable);
  if (!entries) return std::unexpected(entries.error());
  auto owners = ReservedArray<std::uint64_t>::open(frame_count);
  if (!owners) return std::unexpected(owners.error());
  return SecureEpt(std::move(*directory), std::move(*places), std::move(*entries),
                   std::move(*owners));
}

void SecureEpt::create(Journal& journal, VmIndex vm, bool sept_ve_disable) {
  Td& td = tds_[vm.value];
  journal.set(td.exists, true);
  journal.set(td.finalized, false);
  journal.set(td.sept_ve_disable, sept_ve_disable);
  journal.set(td.epoch, 1);
  journal.set(td.key, next_key_);
  journal.set(next_key_, next_key_ + 1);
  journal.set(td.pages_added, 0);
  journal.set(td.pages_measured, 0);
}

void SecureEpt::destroy(Journal& journal, VmIndex vm) {
  Td& td = tds_[vm.value];
  if (!td.exists) return;
  for (std::uint32_t table = 1; table < next_table_; ++table) {
    const std::uint64_t place = places_[table];
    const Gfn first{place >> kOwnerGfnShift};
    const bool own = (place >> kOwnerVmShift & 1) == vm.value && table_of(vm, first) == table;
    if (!own) continue;
    for (std::uint64_t i = 0; i < kGfnsPerTable; ++i) {
      set_entry(journal, vm, first + PageCount{i}, {});
    }
    journal.set(directory_[block_of(vm, first)], 0);
  }
  journal.set(td.exists, false);
  journal.set(td.finalized, false);
}

void SecureEpt::disown(Journal& journal, VmIndex vm, Gfn gfn, Pfn pfn) {
  const Owner owner = this->owner(pfn);
  if (owner.owned && owner.vm == vm && owner.gfn == gfn) journal.set(owners_[pfn.value], 0);
}

void SecureEpt::set_entry(Journal& journal, VmIndex vm, Gfn gfn, SeptEntry entry) {
  SLUICE_CHECK(gfn.value < kTdSharedGfn);
  const SeptEntry old = this->entry(vm, gfn);
  if (old.word == entry.word) return;
  std::uint32_t& table = directory_[block_of(vm, gfn)];
  if (table == 0) {
    SLUICE_CHECK(next_table_ < kMaxTables);
    const std::uint64_t first = gfn.align_down(kGfnsPerTable).value;
    journal.set(places_[next_table_],
                first << kOwnerGfnShift | std::uint64_t{vm.value} << kOwnerVmShift);
    journal.set(table, next_table_);
    journal.set(next_table_, next_table_ + 1);
  }
  journal.set(entries_[place_of(table, gfn)], entry.word);
  if (!old.is_free() && (entry.is_free() || entry.pfn() != old.pfn())) {
    disown(journal, vm, gfn, old.pfn());
  }
  if (!entry.is_free()) {
    journal.set(owners_[entry.pfn().value],
                gfn.value << kOwnerGfnShift | std::uint64_t{vm.value} << kOwnerVmShift | kOwned);
  }
}

SecureEpt::Owner SecureEpt::owner(Pfn pfn) const {
  const std::uint64_t word = owners_[pfn.value];
  if ((word & kOwned) == 0) return {};
  return {.owned = true,
          .vm = {static_cast<std::uint8_t>(word >> kOwnerVmShift & 1)},
          .gfn = {word >> kOwnerGfnShift}};
}

Gfn SecureEpt::next(VmIndex vm, Gfn first, Gfn end) const {
  // Tables are few, blocks many: the lowest GFN in any table.
  Gfn found = end;
  for (std::uint32_t table = 1; table < next_table_; ++table) {
    const std::uint64_t place = places_[table];
    const Gfn base{place >> kOwnerGfnShift};
    const bool own = (place >> kOwnerVmShift & 1) == vm.value && table_of(vm, base) == table;
    if (!own || base >= found || base + PageCount{kGfnsPerTable} <= first) continue;
    const Gfn from = std::max(base, first);
    const Gfn to = std::min(base + PageCount{kGfnsPerTable}, found);
    for (Gfn gfn = from; gfn < to; gfn = gfn + PageCount{1}) {
      if (SeptEntry{entries_[place_of(table, gfn)]}.is_free()) continue;
      found = gfn;
      break;
    }
  }
  return found;
}

void SecureEpt::contend(Journal& journal, const SeamContention& contention) {
  journal.set(contention_.left, contention.left);
  journal.set(contention_.wait, contention.wait);
}

SecureEpt::At SecureEpt::find(const void* address) const {
  const std::uintptr_t offset =
      reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(entries_.data());
  if (offset >= kMaxTables * kGfnsPerTable * sizeof(std::uint64_t)) return {};
  const std::size_t index = offset / sizeof(std::uint64_t);
  const std::uint64_t place = places_[index / kGfnsPerTable];
  return {.found = true,
          .vm = {static_cast<std::uint8_t>(place >> kOwnerVmShift & 1)},
          .gfn = Gfn{(place >> kOwnerGfnShift) + index % kGfnsPerTable}};
}

}  // namespace sluice::model
