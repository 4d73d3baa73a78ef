// The kernel's direct map as far as the RMP cares: by pages of which size it maps each frame. It
// starts with 1 GiB pages; splitting one for a 4 KiB page leaves 2 MiB pages around that page's
// piece. A write through a larger mapping faults if any frame of the 2 MiB piece behind it is
// assigned (rmp.md 5, AC4), so a piece is split before its first 4 KiB frame is assigned
// (snp_host.md 1; Linux arch/x86/virt/svm/sev.c adjust_direct_map(), set_memory_4k()). Policy
// direct_map has the other ways (alternatives D): not to, or to take the frame out of the map, too.
#pragma once
#include <cstdint>

#include "base/reserved_array.h"
#include "base/units.h"
#include "model/machine/journal.h"
#include "ops/policy.h"

namespace sluice::model {

/// Thread: compatible. Cost: O(1); one bit per 2 MiB of memory and one per 1 GiB.
class DirectMap {
 public:
  static Expected<DirectMap> open(std::uint64_t frame_count);

  /// By pages of which size the frame is mapped.
  MapLevel level(Pfn pfn) const {
    if (is_set(pieces_, pfn.value / kFramesPer2M)) return MapLevel::k4K;
    return is_set(giants_, pfn.value / kFramesPer1G) ? MapLevel::k2M : MapLevel::k1G;
  }
  /// Maps the frame's 2 MiB piece by 4 KiB pages. True if it was not until now. Nothing ever merges
  /// it back.
  bool split(Journal& journal, Pfn pfn);
  /// Takes a frame of a split piece out of the map, or puts it back. True if that changed it.
  bool set_absent(Journal& journal, Pfn pfn, bool absent);
  bool is_absent(Pfn pfn) const { return is_set(absent_, pfn.value); }
  /// Pages of 1 GiB and of 2 MiB split since the host started (H3: never fewer).
  std::uint64_t split_count() const { return split_count_; }
  /// For the planted bug that H3 is there to catch: maps the piece by one page again.
  void merge(Journal& journal, Pfn pfn);

 private:
  static constexpr std::uint64_t kBitsPerWord = 64;
  using Bits = ReservedArray<std::uint64_t>;
  DirectMap(Bits pieces, Bits giants, Bits absent)
      : pieces_(std::move(pieces)), giants_(std::move(giants)), absent_(std::move(absent)) {}
  static bool is_set(const Bits& bits, std::uint64_t i) {
    return (bits[i / kBitsPerWord] >> (i % kBitsPerWord) & 1) != 0;
  }
  static void flip(Journal& journal, Bits& bits, std::uint64_t i) {
    std::uint64_t& word = bits[i / kBitsPerWord];
    journal.set(word, word ^ std::uint64_t{1} << (i % kBitsPerWord));
  }
  Bits pieces_;  // 2 MiB pieces mapped by 4 KiB pages
  Bits giants_;  // 1 GiB pieces mapped by smaller pages
  Bits absent_;  // frames that are not mapped at all
  std::uint64_t split_count_ = 0;
};

struct Kernel;

/// Why one of the host's RMP helpers failed; the kernel's errnos.
enum class HostError : std::uint8_t { kNone, kNoDevice, kFault, kInvalid };

/// Policy direct_map; of unmap_debug, what this host does by it.
DirectMapPolicy direct_map_policy(const Kernel& k);
/// adjust_direct_map(): makes room for an RMP entry of this size.  Fails: kInvalid for a frame or a
/// 2 MiB block that the machine does not have, or one that is not aligned.  Cost: O(1).
HostError adjust_direct_map(Kernel& k, Pfn pfn, PageSize level);
/// direct_map=unmap: frames that have been assigned are no longer mapped, those that the hypervisor
/// has again are mapped anew.  Pre: adjust_direct_map() of them.  Cost: O(frames).
void follow_assignment(Kernel& k, Pfn pfn, PageSize level, bool assigned);

}  // namespace sluice::model
