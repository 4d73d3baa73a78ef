#include "model/host/direct_map.h"

#include "model/host/kernel.h"

namespace sluice::model {

Expected<DirectMap> DirectMap::open(std::uint64_t frame_count) {
  auto pieces = Bits::open(frame_count / kFramesPer2M / kBitsPerWord + 1);
  if (!pieces) return std::unexpected(pieces.error());
  auto giants = Bits::open(frame_count / kFramesPer1G / kBitsPerWord + 1);
  if (!giants) return std::unexpected(giants.error());
  auto absent = Bits::open(frame_count / kBitsPerWord + 1);
  if (!absent) return std::unexpected(absent.error());
  return DirectMap(std::move(*pieces), std::move(*giants), std::move(*absent));
}

bool DirectMap::split(Journal& journal, Pfn pfn) {
  const MapLevel now = level(pfn);
  if (now == MapLevel::k4K) return false;
  if (now == MapLevel::k1G) flip(journal, giants_, pfn.value / kFramesPer1G);
  flip(journal, pieces_, pfn.value / kFramesPer2M);
  journal.set(split_count_, split_count_ + (now == MapLevel::k1G ? 2 : 1));
  return true;
}

void DirectMap::merge(Journal& journal, Pfn pfn) {
  if (level(pfn) != MapLevel::k4K) return;
  flip(journal, pieces_, pfn.value / kFramesPer2M);
  journal.set(split_count_, split_count_ - 1);
}

bool DirectMap::set_absent(Journal& journal, Pfn pfn, bool absent) {
  if (is_absent(pfn) == absent) return false;
  flip(journal, absent_, pfn.value);
  return true;
}

DirectMapPolicy direct_map_policy(const Kernel& k) {
  const DirectMapPolicy policy = k.machine.header.policy.direct_map;
  if (policy != DirectMapPolicy::kUnmapDebug) return policy;
  return k.machine.profile.debug ? DirectMapPolicy::kUnmap : DirectMapPolicy::kLeaveKmap;
}

HostError adjust_direct_map(Kernel& k, Pfn pfn, PageSize level) {
  // Row 1, a level above 2 MiB, is not expressible in PageSize.
  const std::uint64_t frames = frames_in(level);
  const bool covered =
      pfn.value < k.machine.rmp.frame_count() && k.machine.rmp.frame_count() - pfn.value >= frames;
  if (!covered || !pfn.is_aligned(frames)) return HostError::kInvalid;
  // A 2 MiB entry over a 2 MiB mapping is checked as a whole: nothing to split.
  if (level == PageSize::k2M) return HostError::kNone;
  const DirectMapPolicy policy = direct_map_policy(k);
  if (policy == DirectMapPolicy::kLeave || policy == DirectMapPolicy::kLeaveKmap)
    return HostError::kNone;
  if (k.snp.direct_map.split(k.machine.journal, pfn)) {
    k.machine.tlbs.direct_map.flush(k.machine.journal);  // cpa_flush()
    ++k.path.direct_map_flushes;
    k.machine.events.add(
        {.kind = EventKind::kDirectMapSplit, .a = pfn.align_down(kFramesPer2M).value});
  }
  return HostError::kNone;
}

void follow_assignment(Kernel& k, Pfn pfn, PageSize level, bool assigned) {
  const DirectMapPolicy policy = direct_map_policy(k);
  const bool unmaps = policy == DirectMapPolicy::kUnmap || policy == DirectMapPolicy::kUnmapNoFlush;
  if (!unmaps) return;
  bool changed = false;
  for (std::uint64_t i = 0; i < frames_in(level); ++i) {
    const Pfn frame = pfn + PageCount{i};
    changed = k.snp.direct_map.set_absent(k.machine.journal, frame, assigned) || changed;
  }
  // What was absent is cached nowhere.
  const bool flushes = changed && assigned && policy == DirectMapPolicy::kUnmap;
  if (!flushes) return;
  k.machine.tlbs.direct_map.flush(k.machine.journal);
  ++k.path.direct_map_flushes;
}

}  // namespace sluice::model
