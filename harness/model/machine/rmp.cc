#include "model/machine/rmp.h"

#include <algorithm>

namespace sluice::model {
namespace {

constexpr std::uint64_t kGpaLimit = std::uint64_t{1} << 51;
constexpr std::uint64_t kKeptByImmutableChange =
    RmpEntry::kAssigned | RmpEntry::kSize2M | RmpEntry::kGpaMask | RmpEntry::kAsidMask;

bool is_aligned(std::uint64_t address, PageSize size) {
  const std::uint64_t mask = size == PageSize::k4K ? kPageBytes - 1 : kBytesPer2M - 1;
  return (address & mask) == 0;
}

/// rmp.md 4.2 row 5. Assumption: gpa bits 11:0 or beyond bit 50, and ASIDs of 1024 and more, are
/// FAIL_INPUT.
bool is_bad_record(const RmpRecord& record) {
  if (record.gpa >= kGpaLimit || !is_aligned(record.gpa, record.page_size)) return true;
  if (record.asid > kMaxAsid) return true;
  return !record.assigned && (record.immutable || record.asid != 0);
}

}  // namespace

Expected<Rmp> Rmp::open(std::uint64_t frame_count, Journal& journal) {
  SLUICE_CHECK(frame_count % kFramesPer2M == 0);
  auto slots = ReservedArray<RmpEntry>::open(frame_count);
  if (!slots) return std::unexpected(slots.error());
  auto blocks = ReservedArray<std::uint16_t>::open(frame_count / kFramesPer2M);
  if (!blocks) return std::unexpected(blocks.error());
  auto tables =
      std::make_unique<Tables>(Tables{.slots = std::move(*slots), .blocks = std::move(*blocks)});
  journal.derive({.context = tables.get(), .undo = &Rmp::undo});
  return Rmp(std::move(tables));
}

void Rmp::undo(void* context, void* address, std::uint64_t old_low) {
  Tables& tables = *static_cast<Tables*>(context);
  const auto* const slot = static_cast<const RmpEntry*>(address);
  const auto index = static_cast<std::uint64_t>(slot - tables.slots.data());
  const int change = static_cast<int>(old_low & RmpEntry::kAssigned) -
                     static_cast<int>(slot->low & RmpEntry::kAssigned);
  std::uint16_t& block = tables.blocks[index / kFramesPer2M];
  block = static_cast<std::uint16_t>(block + change);
}

inline void Rmp::write(Journal& journal, Pfn pfn, const RmpEntry& entry) {
  RmpEntry& slot = tables_->slots[pfn.value];
  std::uint16_t& block = tables_->blocks[pfn.value / kFramesPer2M];
  block = static_cast<std::uint16_t>(block + static_cast<int>(entry.low & RmpEntry::kAssigned) -
                                     static_cast<int>(slot.low & RmpEntry::kAssigned));
  journal.set_with_derived(slot.low, entry.low);
  if (slot.high != entry.high) journal.set(slot.high, entry.high);
}

RmpEntry Rmp::own(Pfn pfn) const {
  const Pfn head = pfn.align_down(kFramesPer2M);
  if (head != pfn && tables_->slots[head.value].is_live_2m())
    return {.low = RmpEntry::kAssigned, .high = 0};
  return tables_->slots[pfn.value];
}

Pfn Rmp::covering_frame(Pfn pfn) const {
  const Pfn head = pfn.align_down(kFramesPer2M);
  return tables_->slots[head.value].is_live_2m() ? head : pfn;
}

RmpEntry Rmp::covering(Pfn pfn) const { return tables_->slots[covering_frame(pfn).value]; }

void Rmp::write_covering(Journal& journal, Pfn pfn, const RmpEntry& entry) {
  write(journal, covering_frame(pfn), entry);
}

std::uint64_t Rmp::assigned_in_block(Pfn pfn) const {
  const Pfn head = pfn.align_down(kFramesPer2M);
  return tables_->slots[head.value].is_live_2m() ? kFramesPer2M
                                                 : tables_->blocks[head.value / kFramesPer2M];
}

bool Rmp::is_hypervisor_owned(Pfn pfn, MapLevel level) const {
  if (!covers(pfn)) return true;
  return level == MapLevel::k4K ? !own(pfn).assigned() : assigned_in_block(pfn) == 0;
}

bool Rmp::is_in_use(Pfn pfn) const {
  return in_use_count_ != 0 && std::ranges::find(in_use_, pfn.value + 1) != in_use_.end();
}

bool Rmp::block_in_use(Pfn head) const {
  return in_use_count_ != 0 && std::ranges::any_of(in_use_, [head](std::uint64_t marked) {
           return marked != 0 && Pfn{marked - 1}.align_down(kFramesPer2M) == head;
         });
}

bool Rmp::covering_in_use(Pfn pfn) const {
  if (in_use_count_ == 0) return false;
  const Pfn head = pfn.align_down(kFramesPer2M);
  return raw(head).is_live_2m() ? block_in_use(head) : is_in_use(pfn);
}

void Rmp::mark_in_use(Journal& journal, Pfn pfn) {
  std::uint64_t* const place = std::ranges::find(in_use_, 0u);
  SLUICE_CHECK(place != in_use_.end());
  journal.set(*place, pfn.value + 1);
  journal.set(in_use_count_, in_use_count_ + 1);
  journal.set(obstacles_, obstacles_ + 1);
}

void Rmp::clear_in_use(Journal& journal, Pfn pfn) {
  std::uint64_t* const place = std::ranges::find(in_use_, pfn.value + 1);
  SLUICE_CHECK(place != in_use_.end());
  journal.set(*place, 0);
  journal.set(in_use_count_, in_use_count_ - 1);
  journal.set(obstacles_, obstacles_ - 1);
}

void Rmp::contend(Journal& journal, const Contention& contention) {
  journal.set(obstacles_, obstacles_ - contention_.left + contention.left);
  journal.set(contention_, contention);
}

/// Uses up one round of contention if there is any of this code.
bool Rmp::meets(Journal& journal, RmpBusy code) {
  if (contention_.left == 0 || contention_.code != code) return false;
  Contention next = contention_;
  const bool now = contention_.wait == 0;
  --(now ? next.left : next.wait);
  if (now) journal.set(obstacles_, obstacles_ - 1);
  journal.set(contention_, next);
  return now;
}

void Rmp::pass_contention(Journal& journal) {
  const bool met = meets(journal, RmpBusy::kOverlap);
  SLUICE_CHECK(met);
}

/// rmp.md 4.2 row 6: somebody else has the entry.
// Assumption: contention is met before the entry itself is looked at, whichever code it answers.
Check Rmp::refuse_obstacle(Journal& journal, Pfn pfn, PageSize page_size) {
  if (meets(journal, RmpBusy::kInUse)) return fail(Check::kRmpUpdateBusy);
  if (meets(journal, RmpBusy::kOverlap)) return fail(Check::kRmpUpdateContended);
  const bool in_use = page_size == PageSize::k4K ? is_in_use(pfn) : block_in_use(pfn);
  return in_use ? fail(Check::kRmpUpdateInUse) : Check::kOk;
}

bool Rmp::has_fixed_sub_frame(Pfn head) const {
  if (fixed_count_ == 0) return false;
  for (std::uint64_t i = 1; i < kFramesPer2M; ++i) {
    const RmpEntry& slot = tables_->slots[head.value + i];
    if (slot.immutable() && !slot.assigned()) return true;
  }
  return false;
}

/// rmp.md 4.2 rows 7 and 8 for a 4 KiB record.
Check Rmp::refuse_4k(Pfn pfn) const {
  const bool live = tables_->slots[pfn.align_down(kFramesPer2M).value].is_live_2m();
  const bool inside = live && !pfn.is_aligned(kFramesPer2M);
  // An inner frame of an immutable 2 MiB entry answers by its own slot, which is not immutable (row
  // 8b then refuses).
  const bool ignored = planted(Planted::kRmpUpdateIgnoresImmutable);
  if (!inside && tables_->slots[pfn.value].immutable() && !ignored)
    return fail(Check::kRmpUpdateImmutable);
  if (!live) return Check::kOk;
  // Assumption: a 4 KiB record at the head of a live 2 MiB entry is FAIL_OVERLAP; KVM always
  // smashes first.
  return fail(inside ? Check::kRmpUpdateInside2M : Check::kRmpUpdateHead2M);
}

/// The same for a 2 MiB record.
Check Rmp::refuse_2m(Pfn head) const {
  const RmpEntry old = tables_->slots[head.value];
  // Assumption: a 2 MiB record over an unassigned immutable sub-frame is FAIL_PERMISSION.
  if (old.immutable() || (fixed_count_ != 0 && has_fixed_sub_frame(head)))
    return fail(Check::kRmpUpdateImmutable);
  const bool others_assigned =
      tables_->blocks[head.value / kFramesPer2M] > (old.assigned() ? 1 : 0);
  if (planted(Planted::kOverlapAccepted)) return Check::kOk;
  return others_assigned && !old.is_live_2m() ? fail(Check::kRmpUpdateOverlapSub) : Check::kOk;
}

Check Rmp::update(Journal& journal, std::uint64_t spa, const RmpRecord& record) {
  const std::uint64_t frames = frames_in(record.page_size);
  if (!is_aligned(spa, record.page_size) || (spa >> kPageShift) + frames > count_)
    return fail(Check::kRmpUpdateSpa);
  if (is_bad_record(record)) return fail(Check::kRmpUpdateRecord);
  const Pfn pfn{spa >> kPageShift};
  if (obstacles_ != 0) {
    const Check obstacle = refuse_obstacle(journal, pfn, record.page_size);
    if (obstacle != Check::kOk) return obstacle;
  }
  const Check refused = record.page_size == PageSize::k4K ? refuse_4k(pfn) : refuse_2m(pfn);
  if (refused != Check::kOk) return refused;

  // An unassigned entry keeps no gpa and no size (Assumption of rmp.md 4).
  RmpEntry fresh = record.assigned ? make_entry(Gpa{record.gpa}, Asid{record.asid},
                                                record.page_size, record.immutable)
                                   : RmpEntry{};
  const RmpEntry old = tables_->slots[pfn.value];
  // RU4: only a change of {Assigned, ASID, GPA, Page_Size} costs the guest its acceptance.
  if (((old.low ^ fresh.low) & kKeptByImmutableChange) == 0 && record.asid != 0) {
    fresh.low |= old.low & (RmpEntry::kValidated | RmpEntry::kVmsa);
    fresh.high = old.high;
    if (planted(Planted::kRmpUpdateValidates)) fresh.low |= RmpEntry::kValidated;
  } else if (planted(Planted::kRmpKeepsValidated)) {
    fresh.low |= old.low & RmpEntry::kValidated;
  } else if (planted(Planted::kUnassignedKeepsAsid) && !record.assigned) {
    fresh.low |= old.low & RmpEntry::kAsidMask;
  }
  write(journal, pfn, fresh);
  return Check::kOk;
}

Check Rmp::smash(Journal& journal, std::uint64_t spa) {
  if (!is_aligned(spa, PageSize::k2M) || (spa >> kPageShift) >= count_)
    return fail(Check::kPsmashSpa);
  const Pfn head{spa >> kPageShift};
  if (meets(journal, RmpBusy::kInUse)) return fail(Check::kPsmashBusy);
  if (block_in_use(head)) return fail(Check::kPsmashInUse);
  const RmpEntry old = tables_->slots[head.value];
  if (old.immutable()) return fail(Check::kPsmashImmutable);
  if (!old.is_live_2m()) return fail(Check::kPsmashNot2M);
  RmpEntry piece = old;
  piece.low &= ~RmpEntry::kSize2M;
  if (planted(Planted::kSmashForgetsValidated)) piece.low &= ~RmpEntry::kValidated;
  for (std::uint64_t i = 0; i < kFramesPer2M; ++i) {
    write(journal, head + PageCount{i}, piece);
    // RU6; the gpa is 2 MiB aligned, so no carry leaves its field.
    if (!planted(Planted::kSmashKeepsGpa)) piece.low += kPageBytes;
  }
  return Check::kOk;
}

Check Rmp::read(std::uint64_t spa, RmpRecord& out) const {
  if (!is_aligned(spa, PageSize::k4K) || (spa >> kPageShift) >= count_)
    return fail(Check::kRmpReadSpa);
  const RmpEntry slot = own(Pfn{spa >> kPageShift});
  out = {.gpa = slot.gpa().value,
         .page_size = slot.page_size(),
         .assigned = slot.assigned(),
         .immutable = slot.immutable(),
         .asid = slot.asid().value};
  return Check::kOk;
}

FirmwareStatus Rmp::firmware_launch_update(Journal& journal, Pfn pfn, bool vmsa) {
  RmpEntry entry = own(pfn);
  if (!entry.assigned() || entry.asid().value == 0) return FirmwareStatus::kInvalidPageOwner;
  if (!entry.immutable() || entry.validated()) return FirmwareStatus::kInvalidPageState;
  if (vmsa && entry.page_size() == PageSize::k2M) return FirmwareStatus::kInvalidPageSize;
  entry.low =
      (entry.low & ~RmpEntry::kImmutable) | RmpEntry::kValidated | (vmsa ? RmpEntry::kVmsa : 0);
  write(journal, pfn, entry);
  return FirmwareStatus::kSuccess;
}

FirmwareStatus Rmp::firmware_reclaim(Journal& journal, Pfn pfn) {
  RmpEntry entry = own(pfn);
  if (!entry.immutable()) return FirmwareStatus::kSuccess;
  const bool context = entry.asid().value == 0 && entry.vmsa();  // leaves by SNP_DECOMMISSION only
  if (!entry.assigned() || context)
    return FirmwareStatus::kInvalidPageState;  // unassigned: HV-Fixed, until shutdown
  entry.low &= ~RmpEntry::kImmutable;
  write(journal, pfn, entry);
  return FirmwareStatus::kSuccess;
}

FirmwareStatus Rmp::firmware_create_context(Journal& journal, Pfn pfn) {
  RmpEntry entry = own(pfn);
  if (!entry.assigned() || entry.asid().value != 0 || !entry.immutable() || entry.vmsa())
    return FirmwareStatus::kInvalidPageState;
  entry.low |= RmpEntry::kVmsa;
  write(journal, pfn, entry);
  return FirmwareStatus::kSuccess;
}

FirmwareStatus Rmp::firmware_decommission(Journal& journal, Pfn pfn) {
  RmpEntry entry = own(pfn);
  if (!entry.assigned() || entry.asid().value != 0 || !entry.immutable() || !entry.vmsa())
    return FirmwareStatus::kInvalidPageState;
  entry.low &= ~RmpEntry::kVmsa;
  write(journal, pfn, entry);
  return FirmwareStatus::kSuccess;
}

void Rmp::firmware_fix(Journal& journal, Pfn pfn) {
  SLUICE_CHECK(covers(pfn));
  SLUICE_CHECK(!own(pfn).assigned());
  write(journal, pfn, {.low = RmpEntry::kImmutable, .high = 0});
  journal.set(fixed_count_, fixed_count_ + 1);
}

RmpView Rmp::view(Pfn pfn) const {
  if (!covers(pfn)) return {};
  return view_of(pfn, tables_->slots[pfn.value],
                 tables_->slots[pfn.align_down(kFramesPer2M).value]);
}

RmpView Rmp::view_of(Pfn pfn, const RmpEntry& own_slot, const RmpEntry& head) const {
  // An assigned raw slot behind a live head is an overlap that no instruction may make; show it, so
  // that R6 can see it.
  const bool inside = head.is_live_2m() && !pfn.is_aligned(kFramesPer2M) && !own_slot.assigned();
  const RmpEntry entry = inside ? head : own_slot;
  return {.covered = true,
          .assigned = entry.assigned(),
          .validated = entry.validated(),
          .immutable = entry.immutable(),
          .vmsa = entry.vmsa(),
          .in_use = is_in_use(pfn),
          .is_head = !inside,
          .page_size = entry.page_size(),
          .asid = entry.asid(),
          .gpa = {entry.gpa().value + (inside ? (pfn.value & (kFramesPer2M - 1)) * kPageBytes : 0)},
          .vmpl_mask = {entry.mask({0}), entry.mask({1}), entry.mask({2}), entry.mask({3})}};
}

}  // namespace sluice::model
