#include "model/host/snp_rmp.h"

#include <algorithm>

#include "model/schedule/scheduler.h"

namespace sluice::model {
namespace {

void count_pages(Kernel& k, Asid asid, std::uint64_t frames) {
  std::uint32_t& pages = k.snp.asid_pages[asid.value];
  if (asid.value != 0) k.set(pages, pages + static_cast<std::uint32_t>(frames));
}

/// How much of the direct map around a frame is cached as one: a page of 1 GiB is checked against
/// the RMP by pieces of 2 MiB (rmp.md 5).
MapLevel cached_level(const Kernel& k, Pfn pfn) {
  return std::min(k.snp.direct_map.level(pfn), MapLevel::k2M);
}

/// rmpupdate(): rows 1-4 of snp_host.md 1.
HostError rmpupdate(Kernel& k, Pfn pfn, const RmpRecord& record) {
  if (!k.machine.profile.snp) return HostError::kNoDevice;
  const bool late = planted(Planted::kSplitAfterAssign);
  const bool skips = planted(Planted::kAssignSkipsSplit) || late;
  if (!skips && adjust_direct_map(k, pfn, record.page_size) != HostError::kNone)
    return HostError::kFault;
  Check refused = Check::kOk;
  do {  // row 3: as often as another processor is in the way
    refused = execute_rmpupdate(k, address_of(pfn).value, record);
  } while (refused == Check::kRmpUpdateContended);
  const bool overlaps = refused == Check::kRmpUpdateOverlapSub ||
                        refused == Check::kRmpUpdateInside2M || refused == Check::kRmpUpdateHead2M;
  if (overlaps) report_endless_retry(k);
  const std::uint64_t frames = frames_in(record.page_size);
  if (refused != Check::kOk) {  // FAIL_INUSE is not retried here
    k.machine.events.add({.kind = EventKind::kRmpUpdateRefused, .a = pfn.value, .b = frames});
    if (overlaps)
      k.machine.events.add({.kind = EventKind::kRmpUpdateOverlap, .a = pfn.value, .b = frames});
    return HostError::kFault;
  }
  k.machine.events.add({.kind = EventKind::kRmpUpdate, .a = pfn.value, .b = frames});
  follow_assignment(k, pfn, record.page_size, record.assigned);
  if (late) static_cast<void>(adjust_direct_map(k, pfn, record.page_size));
  if (planted(Planted::kShareMergesDirectMap) && !record.assigned)
    k.snp.direct_map.merge(k.machine.journal, pfn);
  return HostError::kNone;
}

}  // namespace

Check execute_rmpupdate(Kernel& k, std::uint64_t spa, const RmpRecord& record) {
  Rmp& rmp = k.machine.rmp;
  const Pfn pfn{spa >> kPageShift};
  const RmpEntry old = rmp.covers(pfn) ? rmp.own(pfn) : RmpEntry{};
  const Check refused = rmp.update(k.machine.journal, spa, record);
  if (refused != Check::kOk) return refused;
  k.machine.tlbs.forget_frames(k.machine.journal, pfn, frames_in(record.page_size),
                               cached_level(k, pfn));
  // A large entry is replaced by a large one only, so that the old size is that of what goes.
  const Asid asid{record.assigned ? record.asid : 0};
  const std::uint64_t frames = frames_in(record.page_size);
  if (old.asid() == asid && frames_in(old.page_size()) == frames) return Check::kOk;
  count_pages(k, old.asid(), 0 - frames_in(old.page_size()));
  count_pages(k, asid, frames);
  return Check::kOk;
}

RmpLookup snp_lookup_rmpentry(const Kernel& k, Pfn pfn) {
  if (!k.machine.profile.snp) return {.error = HostError::kNoDevice};
  const Rmp& rmp = k.machine.rmp;
  if (!rmp.covers(pfn)) return {.error = HostError::kFault};
  return {.assigned = rmp.own(pfn).assigned(),
          .level = rmp.own(pfn.align_down(kFramesPer2M)).page_size()};
}

HostError rmp_make_private(Kernel& k, const PrivateRecord& record) {
  return rmpupdate(k, record.pfn,
                   {.gpa = record.gpa.value,
                    .page_size = record.level,
                    .assigned = true,
                    .immutable = record.immutable,
                    .asid = record.asid.value});
}

HostError rmp_make_shared(Kernel& k, Pfn pfn, PageSize level) {
  return rmpupdate(k, pfn, {.page_size = level});
}

Check snp_rmptable_psmash(Kernel& k, Pfn pfn) {
  const Pfn head = pfn.align_down(kFramesPer2M);
  Check refused = Check::kOk;
  do {
    refused = k.machine.rmp.smash(k.machine.journal, address_of(head).value);
  } while (refused == Check::kPsmashBusy);
  if (refused == Check::kPsmashInUse) report_endless_retry(k);
  const EventKind kind = refused == Check::kOk ? EventKind::kPsmash : EventKind::kPsmashRefused;
  k.machine.events.add({.kind = kind, .a = head.value});
  return refused;
}

void report_endless_retry(Kernel& k) { k.scheduler.report_livelock(RetryReason::kRmpOverlap); }

// Assumption: no modelled version leaks a page twice, as 6.12 does not from 6.12.97 on.
void snp_leak_page(Kernel& k, Pfn pfn) {
  if (k.machine.frames.view(pfn).leaked) return;
  k.machine.frames.leak(k.machine.journal, pfn);
  k.set(k.snp.leaked_page_count, k.snp.leaked_page_count + 1);
  k.machine.events.add({.kind = EventKind::kFrameLeaked, .a = pfn.value});
}

bool kvm_rmp_make_shared(Kernel& k, Vm& vm, Pfn pfn, PageSize level) {
  if (rmp_make_shared(k, pfn, level) == HostError::kNone) {
    if (planted(Planted::kLeakAfterSuccess)) snp_leak_page(k, pfn);
    return true;
  }
  snp_leak_page(k, pfn);
  k.set(vm.dead, true);
  return false;
}

bool snp_page_reclaim(Kernel& k, Vm& vm, Pfn pfn) {
  if (k.machine.rmp.firmware_reclaim(k.machine.journal, pfn) != FirmwareStatus::kSuccess) {
    snp_leak_page(k, pfn);
    k.set(vm.dead, true);
    return false;
  }
  return kvm_rmp_make_shared(k, vm, pfn, PageSize::k4K);
}

void kill_host(Kernel& k, Pfn pfn) {
  k.set(k.snp.host_dead, true);
  k.set(k.snp.fatal_frame, pfn);
}

bool is_assigned(const Kernel& k, Pfn pfn) {
  const RmpLookup entry = snp_lookup_rmpentry(k, pfn);
  return entry.error == HostError::kNone && entry.assigned;
}

bool is_some_guests(const Kernel& k, Pfn pfn) {
  return is_assigned(k, pfn) || (k.machine.sept.any_td() && k.machine.sept.owner(pfn).owned);
}

void split_entry_of(Kernel& k, Pfn pfn) {
  if (snp_lookup_rmpentry(k, pfn).level == PageSize::k2M)
    static_cast<void>(snp_rmptable_psmash(k, pfn));
}

namespace {

/// By the direct map, or by a mapping that is there for this one store and then gone, its
/// translation too.
bool store(Kernel& k, Pfn pfn, std::uint64_t token, bool by_kmap) {
  Machine& machine = k.machine;
  if (machine.sept.any_td() && machine.sept.owner(pfn).owned) [[unlikely]] {  // poison
    kill_host(k, pfn);
    return false;
  }
  const MapLevel level = by_kmap ? MapLevel::k4K : cached_level(k, pfn);
  const bool cached = !by_kmap && machine.tlbs.direct_map.holds(pfn.value, level);
  if (machine.profile.snp && !cached) {
    const bool mapped = by_kmap || !k.snp.direct_map.is_absent(pfn);
    if (!mapped || !machine.rmp.is_hypervisor_owned(pfn, level)) {
      kill_host(k, pfn);
      return false;
    }
    if (!by_kmap)
      machine.tlbs.direct_map.fill(
          machine.journal, {.page = pfn.value, .pfn = pfn, .level = level, .writable = true});
  }
  machine.frames.set_content(machine.journal, pfn, token);
  return true;
}

bool is_by_kmap(const Kernel& k) { return direct_map_policy(k) == DirectMapPolicy::kLeaveKmap; }

}  // namespace

bool host_kernel_store(Kernel& k, Pfn pfn, std::uint64_t token) {
  ++k.path.page_stores;
  return store(k, pfn, token, false);
}
bool store_to_guest_page(Kernel& k, Pfn pfn, std::uint64_t token) {
  ++k.path.page_stores;
  return store(k, pfn, token, is_by_kmap(k));
}
bool zero_kernel_page(Kernel& k, Pfn pfn) {
  k.path.bytes_zeroed += kPageBytes;
  return store(k, pfn, 0, false);
}
bool zero_guest_page(Kernel& k, Pfn pfn) {
  k.path.bytes_zeroed += kPageBytes;
  return store(k, pfn, 0, is_by_kmap(k));
}

}  // namespace sluice::model
