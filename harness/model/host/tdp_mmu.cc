#include "model/host/tdp_mmu.h"

#include <algorithm>
#include <bit>

#include "model/host/arch_hooks.h"
#include "model/host/td_mirror.h"

namespace sluice::model {
namespace {

constexpr unsigned kSlots = 512;

/// Bits of a GFN that a root of this level translates.
constexpr unsigned gfn_bits(unsigned level) { return 9 * level; }

bool covers(const Root& root, Gfn gfn) { return gfn.value >> gfn_bits(root.level) == 0; }

std::uint64_t& word_at(Kernel& k, const Walk& at) { return k.nodes.word(at.node, at.slot); }

/// Zaps the leaves below one table, of this level at most, that overlap the range.
bool zap_table(Kernel& k, NodeId node, unsigned level, const GfnRange& range,
               unsigned highest = 5) {
  const std::uint64_t first = k.nodes.first(node);
  const std::uint64_t span = pages_below_entry(level);
  const std::uint64_t end = first + span * kSlots;
  unsigned slot = range.first.value <= first ? 0 : node_slot(range.first.value, level);
  const unsigned last =
      range.last.value >= end ? kSlots - 1 : node_slot(range.last.value - 1, level);
  bool zapped = false;
  NodePool::Node& table = k.nodes.node(node);
  for (; slot <= last; ++slot) {
    const Spte spte{table.words[slot]};
    if (!spte.present()) continue;
    if (!spte.is_leaf(level)) {
      zapped |= zap_table(k, spte.child(), level - 1, range, highest);
    } else if (level <= highest) {
      k.machine.journal.set(table.words[slot], 0);
      ++k.path.entries;
      zapped = true;
    }
  }
  return zapped;
}

/// The first entry of [slot, last] that is not zero; last + 1 if there is none.
unsigned next_used(const NodePool::Node& table, unsigned slot, unsigned last) {
  while (slot <= last && table.words[slot] == 0) ++slot;
  return slot;
}

std::optional<LeafAt> first_leaf_of(const Kernel& k, const Vm& vm, const Root& root, Walk at,
                                    const GfnRange& range) {
  const std::uint64_t first = k.nodes.first(at.node);
  const std::uint64_t span = pages_below_entry(at.level);
  const unsigned from = range.first.value <= first ? 0 : node_slot(range.first.value, at.level);
  const bool to_end = range.last.value >= first + span * kSlots;
  const unsigned last = to_end ? kSlots - 1 : node_slot(range.last.value - 1, at.level);
  const NodePool::Node& table = k.nodes.node(at.node);
  for (unsigned slot = next_used(table, from, last); slot <= last;
       slot = next_used(table, slot + 1, last)) {
    const Spte spte{table.words[slot]};
    if (spte.is_table(at.level)) {
      const Walk below{.level = at.level - 1, .node = spte.child()};
      if (auto found = first_leaf_of(k, vm, root, below, range); found) return found;
      continue;
    }
    const Gfn gfn = std::max(range.first, Gfn{first + slot * span});
    const LeafView leaf = leaf_of(vm, root, {.spte = spte, .level = at.level}, gfn);
    if (leaf.present || leaf.mmio) return LeafAt{.gfn = gfn, .leaf = leaf};
  }
  return std::nullopt;
}

void write_protect_table(Kernel& k, NodeId node, unsigned level, const GfnRange& range) {
  const std::uint64_t first = k.nodes.first(node);
  const std::uint64_t span = pages_below_entry(level);
  const std::uint64_t end = first + span * kSlots;
  unsigned slot = range.first.value <= first ? 0 : node_slot(range.first.value, level);
  const unsigned last =
      range.last.value >= end ? kSlots - 1 : node_slot(range.last.value - 1, level);
  NodePool::Node& table = k.nodes.node(node);
  for (; slot <= last; ++slot) {
    const Spte spte{table.words[slot]};
    if (spte.is_table(level)) {
      write_protect_table(k, spte.child(), level - 1, range);
    } else if (spte.present() && spte.writable()) {
      k.machine.journal.set(table.words[slot], spte.word & ~Spte::kWritable);
      ++k.path.entries;
    }
  }
}

/// Calls act(root index, root, part of the range that it reaches) for the roots of one address
/// space.
template <class Do>
void each_root_in(Vm& vm, std::uint8_t address_space, const GfnRange& range, Do&& act) {
  for (std::uint8_t i = 0; i < kMaxRootsPerVm; ++i) {
    const Root& root = vm.roots[i];
    if (!root.used || root.mirror || (root.smm ? 1 : 0) != address_space) continue;
    const Gfn end{std::uint64_t{1} << gfn_bits(root.level)};
    const GfnRange part = range.clip({.first = Gfn{0}, .last = end});
    if (!part.empty()) act(i, root, part);
  }
}

/// Some vCPU has the root loaded, not only kept.
bool is_current(const Kernel& k, const Vm& vm, const Root& root) {
  return std::ranges::any_of(k.vcpus, [&](const Vcpu& vcpu) {
    return vcpu.exists && &k.vm(vcpu.vm) == &vm && vcpu.root != kNoRootIndex &&
           &vm.roots[vcpu.root] == &root;
  });
}

constexpr std::uint64_t table_word(NodeId child) {
  return Spte::kPresent | Spte::kWritable | std::uint64_t{child} << Spte::kFrameShift;
}

/// Replaces a huge leaf by a table of leaves one level down that translate the same.
NodeId split_leaf(Kernel& k, const Vm& vm, std::uint8_t root, const Walk& at) {
  const unsigned level = at.level - 1;
  const std::uint64_t first = k.nodes.first(at.node) + at.slot * pages_below_entry(at.level);
  const NodeId child = take_table(k, vm, root, level, first);
  const std::uint64_t step = pages_below_entry(level) << Spte::kFrameShift;
  std::uint64_t word = level == 1 ? at.spte.word & ~Spte::kLarge : at.spte.word;
  for (std::uint64_t& entry : k.nodes.node(child).words) {
    k.machine.journal.set(entry, word);
    word += step;
  }
  return child;
}

void split_below(Kernel& k, Vm& vm, std::uint8_t root, NodeId node, unsigned level,
                 const GfnRange& range) {
  const std::uint64_t first = k.nodes.first(node);
  const std::uint64_t span = pages_below_entry(level);
  const unsigned from = range.first.value <= first ? 0 : node_slot(range.first.value, level);
  const bool to_end = range.last.value >= first + span * kSlots;
  const unsigned last = to_end ? kSlots - 1 : node_slot(range.last.value - 1, level);
  for (unsigned slot = from; slot <= last && level > 1; ++slot) {
    const Spte spte{k.nodes.word(node, slot)};
    if (!spte.present()) continue;
    NodeId child = spte.child();
    if (spte.is_leaf(level)) {
      child = split_leaf(k, vm, root, {.spte = spte, .level = level, .node = node, .slot = slot});
      k.set(k.nodes.word(node, slot), table_word(child));
    }
    split_below(k, vm, root, child, level - 1, range);
  }
}

/// Walks down to `level`, making tables on the way.
Walk walk_to(Kernel& k, Vm& vm, std::uint8_t index, Gfn gfn, unsigned level) {
  const Root& root = vm.roots[index];
  ++k.path.walks;
  Walk at{.level = root.level, .node = root.table};
  for (;; --at.level) {
    at.slot = node_slot(gfn.value, at.level);
    at.spte = Spte{k.nodes.word(at.node, at.slot)};
    if (at.level == level) return at;
    NodeId child = at.spte.child();
    if (!at.spte.is_table(at.level)) {
      const std::uint64_t span = pages_below_entry(at.level);
      child = at.spte.present()
                  ? split_leaf(k, vm, index, at)
                  : take_table(k, vm, index, at.level - 1, k.nodes.first(at.node) + at.slot * span);
      k.set(word_at(k, at), table_word(child));
    }
    at.node = child;
  }
}

std::uint64_t leaf_word(const MapRequest& request, unsigned level) {
  const std::uint64_t first = request.pfn.value & ~(pages_below_entry(level) - 1);
  std::uint64_t word = Spte::kPresent | first << Spte::kFrameShift;
  if (level > 1) word |= Spte::kLarge;
  if (request.writable) word |= Spte::kWritable | Spte::kMmuWritable | Spte::kDirty;
  if (!request.prefetch || planted(Planted::kPrefetchSetsAccessed)) word |= Spte::kAccessed;
  return word;
}

}  // namespace

NodeId take_table(Kernel& k, const Vm& vm, std::uint8_t root, unsigned level, std::uint64_t first) {
  return k.nodes.take(k.machine.journal,
                      {.kind = NodeKind::kPageTable,
                       .owner = k.index_of(vm).value,
                       .root = root,
                       .level = static_cast<std::uint8_t>(level)},
                      first);
}

void clear_table(Kernel& k, NodeId node, unsigned level) {
  NodePool::Node& table = k.nodes.node(node);
  for (unsigned slot = 0; slot < kSlots; ++slot) {
    const Spte spte{table.words[slot]};
    if (spte.word == 0) continue;
    if (spte.is_table(level)) {
      clear_table(k, spte.child(), level - 1);
      k.nodes.give(k.machine.journal, spte.child());
    }
    k.machine.journal.set(table.words[slot], 0);
  }
}

Walk walk(const Kernel& k, const Root& root, Gfn gfn) {
  ++k.path.walks;
  Walk at{.level = root.level, .node = root.table};
  if (!covers(root, gfn)) return at;
  for (;; --at.level) {
    at.slot = node_slot(gfn.value, at.level);
    at.spte = Spte{k.nodes.word(at.node, at.slot)};
    if (!at.spte.is_table(at.level)) return at;
    at.node = at.spte.child();
  }
}

LeafView leaf_of(const Vm& vm, const Root& root, const Walk& at, Gfn gfn) {
  LeafView leaf{};
  if (at.spte.mmio()) {
    leaf.mmio = at.spte.generation() == vm.generation[root.smm ? 1 : 0] ||
                planted(Planted::kMmioIgnoresGeneration);
    return leaf;
  }
  if (!at.spte.present()) return leaf;
  leaf.present = true;
  leaf.writable = at.spte.writable();
  leaf.accessed = at.spte.accessed();
  leaf.dirty = at.spte.dirty();
  leaf.level = static_cast<MapLevel>(at.level);
  leaf.pfn = at.spte.pfn() + PageCount{gfn.value & (pages_below_entry(at.level) - 1)};
  return leaf;
}

LeafView lookup_leaf(const Kernel& k, const Vm& vm, std::uint8_t index, Gfn gfn) {
  const Root& root = vm.roots[index];
  if (!root.used) return {};
  return leaf_of(vm, root, walk(k, root, gfn), gfn);
}

std::optional<LeafAt> first_leaf(const Kernel& k, const Vm& vm, std::uint8_t index,
                                 const GfnRange& range) {
  const Root& root = vm.roots[index];
  if (!root.used) return std::nullopt;
  const Gfn end{std::uint64_t{1} << gfn_bits(root.level)};
  const GfnRange part = range.clip({.first = Gfn{0}, .last = end});
  if (part.empty()) return std::nullopt;
  return first_leaf_of(k, vm, root, {.level = root.level, .node = root.table}, part);
}

void mark_accessed(Kernel& k, const Root& root, Gfn gfn, bool write) {
  const Walk at = walk(k, root, gfn);
  SLUICE_DCHECK(at.spte.present());
  const std::uint64_t word = at.spte.word | Spte::kAccessed | (write ? Spte::kDirty : 0);
  if (word != at.spte.word) k.set(word_at(k, at), word);
}

void flush_remote_tlbs(Kernel& k, const Vm& vm) {
  k.event(EventKind::kTlbFlush, vm);
  Translations& all = k.machine.tlbs;
  for (std::uint64_t left = all.filled.value; left != 0; left &= left - 1) {
    const VcpuIndex vcpu{static_cast<std::uint8_t>(std::countr_zero(left))};
    if (k.vcpu(vcpu).vm != k.index_of(vm)) continue;
    if (is_td(vm)) {  // private translations go by TRACK alone
      all.guests[vcpu.value].drop_encrypted(k.machine.journal, false);
    } else {
      all.flush_guest(k.machine.journal, vcpu);
    }
  }
}

bool has_translations(const Kernel& k, const Vm& vm) {
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    if (k.machine.tlbs.is_filled({i}) && k.vcpus[i].vm == k.index_of(vm)) return true;
  }
  return false;
}

bool zap_leaves(Kernel& k, Vm& vm, std::uint8_t address_space, const GfnRange& range,
                ZapFilter filter) {
  bool zapped = is_td(vm) && filter != ZapFilter::kShared && zap_private(k, vm, range);
  const bool skips_direct = is_td(vm) && filter == ZapFilter::kPrivate;
  for (Root& root : vm.roots) {
    if (skips_direct || !root.used || root.mirror || (root.smm ? 1 : 0) != address_space) continue;
    if (planted(Planted::kZapSkipsIdleRoots) && !is_current(k, vm, root)) continue;
    const std::uint64_t end = std::uint64_t{1} << gfn_bits(root.level);
    const GfnRange part = range.clip({.first = Gfn{0}, .last = Gfn{end}});
    if (part.empty()) continue;
    const bool here = zap_table(k, root.table, root.level, part);
    zapped |= here;
    if (here && planted(Planted::kZapFirstRootOnly)) break;
  }
  if (zapped) k.event(EventKind::kZap, vm, range.first.value, range.count().value);
  return zapped;
}

bool zap_small_leaves(Kernel& k, Vm& vm, std::uint8_t address_space, const GfnRange& range) {
  bool zapped = false;
  each_root_in(vm, address_space, range, [&](std::uint8_t, const Root& root, const GfnRange& part) {
    zapped |= zap_table(k, root.table, root.level, part, 1);
  });
  if (zapped) k.event(EventKind::kZap, vm, range.first.value, range.count().value);
  return zapped;
}

void split_huge_leaves(Kernel& k, Vm& vm, std::uint8_t address_space, const GfnRange& range) {
  each_root_in(vm, address_space, range,
               [&](std::uint8_t i, const Root& root, const GfnRange& part) {
                 split_below(k, vm, i, root.table, root.level, part);
               });
}

void write_protect(Kernel& k, Vm& vm, std::uint8_t address_space, const GfnRange& range) {
  each_root_in(vm, address_space, range, [&](std::uint8_t, const Root& root, const GfnRange& part) {
    write_protect_table(k, root.table, root.level, part);
  });
}

MapResult map_leaf(Kernel& k, Vm& vm, std::uint8_t root, const MapRequest& request) {
  const auto level = static_cast<unsigned>(request.level);
  SLUICE_CHECK(((request.gfn.value ^ request.pfn.value) & (pages_below_entry(level) - 1)) == 0);
  const Walk at = walk_to(k, vm, root, request.gfn, level);
  std::uint64_t word = leaf_word(request, level);
  if (request.prefetch && at.spte.present() && planted(Planted::kPreFaultChangesLeaf)) {
    word &= ~Spte::kWritable;
  }
  const bool spurious =
      at.spte.word == word || (at.spte.is_table(level) && planted(Planted::kTableIsSpurious));
  if (spurious) return MapResult::kSpurious;
  if (at.spte.is_table(level)) {
    clear_table(k, at.spte.child(), level - 1);
    k.nodes.give(k.machine.journal, at.spte.child());
    flush_remote_tlbs(k, vm);
  } else if (at.spte.present()) {
    // handle_changed_spte(): a present leaf that changes its frame is BUG().
    SLUICE_CHECK(kPlantedBuild || at.spte.pfn() == Spte{word}.pfn());
  }
  k.set(word_at(k, at), word);
  k.event(EventKind::kMap, vm, request.gfn.value, request.seq);
  return MapResult::kFixed;
}

void map_mmio(Kernel& k, Vm& vm, std::uint8_t index, Gfn gfn) {
  const Root& root = vm.roots[index];
  const Walk at = walk_to(k, vm, index, gfn, 1);
  const std::uint64_t generation = vm.generation[root.smm ? 1 : 0];
  const std::uint64_t word = Spte::kMmio | generation << Spte::kFrameShift;
  if (at.spte.word == word) return;
  k.set(word_at(k, at), word);
  k.event(EventKind::kMapMmio, vm, gfn.value);
}

}  // namespace sluice::model
