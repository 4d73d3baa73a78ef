// The locks of an operation that has no interleaving point of its own: it runs in one piece, but
// only when nobody in flight holds what it needs.
#pragma once
#include <array>
#include <cstddef>

#include "model/schedule/scheduler.h"

namespace sluice::model {

/// Taken in this order (kvm.md 10), all exclusive, and given back when the operation is over.
struct LockPlan {
  std::array<LockId, 8> locks{};
  std::size_t count = 0;
  constexpr LockPlan& then(LockId id) {
    locks[count++] = id;
    return *this;
  }
  /// How many locks this plan and `other` begin with alike.
  constexpr std::size_t common_with(const LockPlan& other) const {
    std::size_t common = 0;
    while (common < count && common < other.count && locks[common] == other.locks[common]) ++common;
    return common;
  }
};

}  // namespace sluice::model
