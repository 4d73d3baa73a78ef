// The kernel's direct map as far as the RMP cares: which of its 2 MiB pieces are mapped by 4 KiB
// pages. A write through a larger mapping faults if any frame behind it is assigned (rmp.md 5,
// AC4), so a piece is split before its first 4 KiB frame is assigned (snp_host.md 1; Linux
// arch/x86/virt/svm/sev.c adjust_direct_map()). Left out: 1 GiB mappings of the direct map, which
// split into the 2 MiB pieces counted here.
#pragma once
#include <cstdint>

#include "base/reserved_array.h"
#include "base/units.h"
#include "model/machine/journal.h"

namespace sluice::model {

/// Thread: compatible. Cost: O(1); one bit per 2 MiB of memory.
class DirectMap {
 public:
  static Expected<DirectMap> open(std::uint64_t frame_count);

  bool is_split(Pfn pfn) const {
    const std::uint64_t piece = pfn.value / kFramesPer2M;
    return (words_[piece / kBitsPerWord] >> (piece % kBitsPerWord) & 1) != 0;
  }
  /// True if the piece was mapped large until now. Nothing ever merges it back.
  bool split(Journal& journal, Pfn pfn);
  /// Pieces split since the host started (H3: never fewer).
  std::uint64_t split_count() const { return split_count_; }

 private:
  static constexpr std::uint64_t kBitsPerWord = 64;
  explicit DirectMap(ReservedArray<std::uint64_t> words) : words_(std::move(words)) {}
  ReservedArray<std::uint64_t> words_;
  std::uint64_t split_count_ = 0;
};

struct Kernel;

/// Why one of the host's RMP helpers failed; the kernel's errnos.
enum class HostError : std::uint8_t { kNone, kNoDevice, kFault, kInvalid };

/// adjust_direct_map(): makes room for an RMP entry of this size.  Fails: kInvalid for a frame or a
/// 2 MiB block that the machine does not have, or one that is not aligned.  Cost: O(1).
HostError adjust_direct_map(Kernel& k, Pfn pfn, PageSize level);

}  // namespace sluice::model
