// One leaf as the rows about nested page tables judge it.
#pragma once
#include "trace/view.h"

namespace sluice::oracle {

/// A leaf (or MMIO entry), where it hangs, and the slot that has its GFN; null if none has.
struct LeafRecord {
  VmIndex vm{};
  std::uint32_t root = 0;
  std::uint8_t address_space = 0;
  Gfn gfn{};
  LeafView leaf{};
  const SlotView* slot = nullptr;

  bool maps() const { return leaf.present && !leaf.mmio; }
  bool is_huge() const { return maps() && leaf.level != MapLevel::k4K; }
  /// The GFNs that it translates.
  GfnSpan span() const {
    const std::uint64_t frames = frames_in(leaf.level);
    const Gfn first = gfn.align_down(frames);
    return {first, first + PageCount{frames}};
  }
};

}  // namespace sluice::oracle
