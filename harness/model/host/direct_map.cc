#include "model/host/direct_map.h"

#include "model/host/kernel.h"

namespace sluice::model {

Expected<DirectMap> DirectMap::open(std::uint64_t frame_count) {
  auto words = ReservedArray<std::uint64_t>::open(frame_count / kFramesPer2M / kBitsPerWord + 1);
  if (!words) return std::unexpected(words.error());
  return DirectMap(std::move(*words));
}

bool DirectMap::split(Journal& journal, Pfn pfn) {
  if (is_split(pfn)) return false;
  const std::uint64_t piece = pfn.value / kFramesPer2M;
  std::uint64_t& word = words_[piece / kBitsPerWord];
  journal.set(word, word | std::uint64_t{1} << (piece % kBitsPerWord));
  journal.set(split_count_, split_count_ + 1);
  return true;
}

HostError adjust_direct_map(Kernel& k, Pfn pfn, PageSize level) {
  // Row 1, a level above 2 MiB, is not expressible in PageSize.
  const std::uint64_t frames = frames_in(level);
  const bool covered =
      pfn.value < k.machine.rmp.frame_count() && k.machine.rmp.frame_count() - pfn.value >= frames;
  if (!covered || !pfn.is_aligned(frames)) return HostError::kInvalid;
  // A 2 MiB entry over a 2 MiB mapping is checked as a whole: nothing to split.
  if (level == PageSize::k2M) return HostError::kNone;
  if (k.snp.direct_map.split(k.machine.journal, pfn)) {
    k.machine.events.add(
        {.kind = EventKind::kDirectMapSplit, .a = pfn.align_down(kFramesPer2M).value});
  }
  return HostError::kNone;
}

}  // namespace sluice::model
