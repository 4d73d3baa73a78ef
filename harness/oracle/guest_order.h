// The book of order, which X8 needs: a guest that keeps the order of page state changes can still
// lose what it accepted if the host takes a page that it was not asked for, or if the guest asks
// for a change outside of the order (invariants.md X8; snp_host.md 10).
#pragma once
#include "trace/view.h"

namespace sluice::oracle {

/// Whether, since something was accepted, the guest has only kept the order and the host has only
/// done what it was asked for. Once broken, X8 does not apply to that guest for the rest of the
/// sequence.
/// Thread: compatible.
class GuestOrderBook {
 public:
  void clear() { broken_ = 0; }
  /// After every step; `anything_accepted`: then or before. Cost: a mask.
  void note(const View& view, bool anything_accepted);
  /// For the guest of this ASID.
  bool holds(Asid asid) const { return (broken_ >> bit_of(asid) & 1) == 0; }

 private:
  static constexpr unsigned bit_of(Asid asid) { return asid.value % 64; }
  void break_for(const View& view, VmIndex vm);
  std::uint64_t broken_ = 0;  // ASIDs, by bit
};

}  // namespace sluice::oracle
