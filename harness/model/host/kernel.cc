#include "model/host/kernel.h"

namespace sluice::model {
namespace {

constexpr std::uint64_t kBitsPerWord = 64;

/// One bit per block of `frames` GFNs below `gfn_count`.
Expected<MixedBits> open_bits(std::uint64_t gfn_count, std::uint64_t frames) {
  return MixedBits::open(gfn_count / frames / kBitsPerWord + 1);
}

Expected<std::array<MixedBits, 2>> open_levels(std::uint64_t gfn_count) {
  auto small = open_bits(gfn_count, kFramesPer2M);
  if (!small) return std::unexpected(small.error());
  auto large = open_bits(gfn_count, kFramesPer1G);
  if (!large) return std::unexpected(large.error());
  return std::array<MixedBits, 2>{std::move(*small), std::move(*large)};
}

}  // namespace

Expected<std::unique_ptr<Kernel>> Kernel::open(Machine& machine, Scheduler& scheduler) {
  auto pool = NodePool::open();
  if (!pool) return std::unexpected(pool.error());
  auto map = DirectMap::open(machine.profile.frame_count);
  if (!map) return std::unexpected(map.error());
  auto pages = ReservedArray<HostPage>::open(kHostRegionPages);
  if (!pages) return std::unexpected(pages.error());
  const std::uint64_t gfn_count = max_gfn(machine.profile).value + 1;
  auto first = open_levels(gfn_count);
  if (!first) return std::unexpected(first.error());
  auto second = open_levels(gfn_count);
  if (!second) return std::unexpected(second.error());
  static_assert(kMaxVms == 2);
  return std::make_unique<Kernel>(
      machine, scheduler, std::move(*pool), std::move(*map), std::move(*pages),
      std::array<std::array<MixedBits, 2>, kMaxVms>{std::move(*first), std::move(*second)});
}

}  // namespace sluice::model
