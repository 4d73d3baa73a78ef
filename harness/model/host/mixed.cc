// Mixed bits: which 2 MiB and 1 GiB blocks hold both kinds of GFN (kvm.md 3; Linux mmu.c
// kvm_arch_pre/post_set_memory_attributes(), hugepage_has_attrs(),
// kvm_mmu_init_memslot_memory_attributes()).
#include <algorithm>

#include "model/host/attributes.h"

namespace sluice::model {
namespace {

constexpr std::array kLevels{MapLevel::k2M, MapLevel::k1G};

MixedBits& bits_of(Kernel& k, const Vm& vm, MapLevel level) {
  return k.mixed[k.index_of(vm).value][level == MapLevel::k2M ? 0 : 1];
}

void write_bit(Kernel& k, Vm& vm, MapLevel level, Gfn gfn, bool value) {
  const std::uint64_t block = gfn.value / frames_in(level);
  const Gfn end{(block + 1) * frames_in(level)};
  if (value && end > vm.mixed_end) k.set(vm.mixed_end, end);
  std::uint64_t& word = bits_of(k, vm, level)[block / 64];
  const std::uint64_t bit = std::uint64_t{1} << (block % 64);
  const std::uint64_t now = value ? word | bit : word & ~bit;
  if (now != word) k.set(word, now);
}

/// Clears the bits of the whole blocks in the range.
void clear_bits(Kernel& k, const Vm& vm, MapLevel level, const GfnRange& range) {
  const std::uint64_t frames = frames_in(level);
  const std::uint64_t first = range.first.value / frames;
  const std::uint64_t last = range.last.value / frames;  // exclusive
  MixedBits& bits = bits_of(k, vm, level);
  for (std::uint64_t at = first; at < last;) {
    const std::uint64_t end = std::min(last, (at / 64 + 1) * 64);
    std::uint64_t& word = bits[at / 64];
    if (word != 0) {
      const std::uint64_t count = end - at;
      const std::uint64_t mask =
          count == 64 ? ~std::uint64_t{0} : ((std::uint64_t{1} << count) - 1) << (at % 64);
      if ((word & mask) != 0) k.set(word, word & ~mask);
    }
    at = end;
  }
}

GfnRange block_of(Gfn gfn, MapLevel level) {
  const Gfn first = gfn.align_down(frames_in(level));
  return {.first = first, .last = first + PageCount{frames_in(level)}};
}
bool inside(const GfnRange& inner, const GfnRange& outer) {
  return inner.first >= outer.first && inner.last <= outer.last;
}

/// hugepage_has_attrs(): the whole block has this attribute.
bool is_uniform(const Kernel& k, const Vm& vm, const GfnRange& block, MapLevel level, bool value) {
  if (level == MapLevel::k2M) return range_is(k, vm, block, value);
  for (Gfn gfn = block.first; gfn < block.last; gfn = gfn + PageCount{kFramesPer2M}) {
    if (is_mixed(k, vm, MapLevel::k2M, gfn) || is_private(k, vm, gfn) != value) return false;
  }
  return true;
}

/// `edge` lies in the part of the block that was just converted.
void recompute(Kernel& k, Vm& vm, Gfn edge, MapLevel level, bool value) {
  if (planted(Planted::kMixedNotRecomputed)) return;
  const GfnRange block = block_of(edge, level);
  if (level == MapLevel::k1G && is_mixed(k, vm, MapLevel::k2M, edge)) {
    write_bit(k, vm, level, edge, true);  // the child most likely to be mixed, before all 512
    return;
  }
  write_bit(k, vm, level, block.first, !is_uniform(k, vm, block, level, value));
}

}  // namespace

bool is_mixed(const Kernel& k, const Vm& vm, MapLevel level, Gfn gfn) {
  const std::uint64_t block = gfn.value / frames_in(level);
  const MixedBits& bits = k.mixed[k.index_of(vm).value][level == MapLevel::k2M ? 0 : 1];
  return (bits[block / 64] >> (block % 64) & 1) != 0;
}

std::optional<Gfn> next_mixed(const Kernel& k, const Vm& vm, MapLevel level,
                              const GfnRange& within) {
  if (!vm.has_private_memory()) return std::nullopt;
  const MixedBits& bits = k.mixed[k.index_of(vm).value][level == MapLevel::k2M ? 0 : 1];
  const std::uint64_t frames = frames_in(level);
  const std::uint64_t limit = std::min(within.last, vm.mixed_end).value;
  const std::uint64_t last = (limit + frames - 1) / frames;  // exclusive
  std::uint64_t block = (within.first.value + frames - 1) / frames;
  while (block < last) {
    const std::uint64_t rest = bits[block / 64] >> (block % 64);
    if (rest != 0) {
      block += static_cast<unsigned>(std::countr_zero(rest));
      return block < last ? std::optional(Gfn{block * frames}) : std::nullopt;
    }
    block = (block / 64 + 1) * 64;
  }
  return std::nullopt;
}

void update_mixed(Kernel& k, Vm& vm, const Memslot& slot, const GfnRange& range, bool value) {
  for (const MapLevel level : kLevels) {
    Gfn gfn = range.first.align_down(frames_in(level));
    const GfnRange head = block_of(range.first, level);
    if (!inside(head, range)) {
      if (inside(head, range_of(slot))) recompute(k, vm, range.first, level, value);
      gfn = head.last;
    }
    const GfnRange tail = block_of(range.last, level);  // begins at range.last if that is aligned
    clear_bits(k, vm, level, {.first = gfn, .last = std::max(gfn, tail.first)});
    const bool has_tail = tail.first >= gfn && tail.first < range.last;
    if (has_tail && inside(tail, range_of(slot))) {
      recompute(k, vm, tail.first, level, value);
    }
  }
}

void init_mixed(Kernel& k, Vm& vm, const Memslot& slot) {
  if (!vm.has_private_memory()) return;
  // A block is mixed exactly if a private range begins or ends strictly inside it.
  const GfnRange all = range_of(slot);
  const auto mark = [&](Gfn edge) {
    for (const MapLevel level : kLevels) {
      const GfnRange block = block_of(edge, level);
      if (edge != block.first && inside(block, all)) write_bit(k, vm, level, edge, true);
    }
  };
  // A range that began before the slot is cut at the slot's first GFN: if that is the first GFN of
  // a block, no edge lies strictly inside; if not, its block is not fully in the slot.
  Gfn from = all.first;
  while (from < all.last) {
    const GfnRange run = next_private_range(k, vm, {.first = from, .last = all.last});
    if (run.empty()) break;
    mark(run.first);
    if (run.last < all.last) mark(run.last);
    from = run.last;
  }
}

void forget_mixed(Kernel& k, Vm& vm, const Memslot& slot) {
  if (!vm.has_private_memory()) return;
  for (const MapLevel level : kLevels) {
    const std::uint64_t frames = frames_in(level);
    clear_bits(k, vm, level,
               {.first = {(slot.base.value + frames - 1) / frames * frames}, .last = slot.end()});
  }
}

GfnRange range_under_conversion(const Kernel& k, const Vm& vm, const Memslot& slot,
                                const GfnRange& range) {
  GfnRange wide = range;
  if (planted(Planted::kConversionInvalidatesItsPagesOnly)) return wide;
  for (const MapLevel level : kLevels) {
    for (const Gfn edge : {range.first, range.last - PageCount{1}}) {
      const GfnRange block = block_of(edge, level);
      if (inside(block, range) || !inside(block, range_of(slot))) continue;
      if (is_mixed(k, vm, level, edge)) continue;
      wide = {.first = std::min(wide.first, block.first), .last = std::max(wide.last, block.last)};
    }
  }
  return wide;
}

}  // namespace sluice::model
