// The attribute tree: 64 GFNs a word at the bottom, 512 words a node; an entry above says "all
// shared", "all private" or names a node. Two trees, so that the common low addresses need three
// steps and not six.
#include <algorithm>

#include "model/host/attributes.h"

namespace sluice::model {
namespace {

constexpr std::uint64_t kShared = 0;
constexpr std::uint64_t kPrivate = 1;  // above that: node << 1
// Planted build only: entries are there, with the value 0 (bugs.md 35).
constexpr std::uint64_t kStoredZero = ~std::uint64_t{0};
constexpr unsigned kWordBits = 6;  // GFNs of a word at level 0: 64
constexpr unsigned kLowLevel = 3;  // the low tree's top entry covers 2^33 GFNs
constexpr unsigned kHighLevel = 6;
constexpr std::uint64_t kLowEnd = std::uint64_t{1} << 33;

constexpr std::uint64_t span_of(unsigned level) {
  return std::uint64_t{1} << (kWordBits + 9 * level);
}
constexpr std::uint64_t uniform_word(unsigned level, bool value) {
  if (level == 0) return value ? ~std::uint64_t{0} : 0;
  return value ? kPrivate : kShared;
}
constexpr bool is_node(unsigned level, std::uint64_t word) {
  if (kPlantedBuild && word == kStoredZero) return false;
  return level > 0 && word > kPrivate;
}
constexpr NodeId node_of(std::uint64_t word) { return static_cast<NodeId>(word >> 1); }
/// Bits [from, to) of a word.
constexpr std::uint64_t bit_range(std::uint64_t from, std::uint64_t to) {
  const std::uint64_t upper = to == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << to) - 1;
  return upper & ~((std::uint64_t{1} << from) - 1);
}

/// An entry: its word, its level and the first GFN it covers.
struct Entry {
  std::uint64_t word = 0;
  unsigned level = 0;
  std::uint64_t first = 0;
};
Entry child_of(const Kernel& k, const Entry& entry, unsigned slot) {
  const unsigned level = entry.level - 1;
  return {.word = k.nodes.word(node_of(entry.word), slot),
          .level = level,
          .first = entry.first + slot * span_of(level)};
}
/// Slots of an entry's children that [first, last) touches.
struct Slots {
  unsigned first = 0;
  unsigned last = 0;  // inclusive
};
Slots slots_of(const Entry& entry, std::uint64_t first, std::uint64_t last) {
  const std::uint64_t span = span_of(entry.level - 1);
  const std::uint64_t from = std::max(first, entry.first) - entry.first;
  const std::uint64_t to = std::min(last, entry.first + span_of(entry.level)) - entry.first;
  return {.first = static_cast<unsigned>(from / span),
          .last = static_cast<unsigned>((to - 1) / span)};
}

struct Tree {
  unsigned which = 0;
  unsigned level = 0;
};
Tree tree_of(std::uint64_t gfn) {
  return gfn < kLowEnd ? Tree{.which = 0, .level = kLowLevel}
                       : Tree{.which = 1, .level = kHighLevel};
}
/// Calls visit(tree, first, last) for the part of the range in each tree.
template <class Visit>
void for_each_tree(const GfnRange& range, Visit&& visit) {
  const std::uint64_t first = range.first.value;
  const std::uint64_t last = range.last.value;
  if (first < kLowEnd) visit(tree_of(0), first, std::min(last, kLowEnd));
  if (last > kLowEnd) visit(tree_of(kLowEnd), std::max(first, kLowEnd), last);
}

bool entry_is(const Kernel& k, const Entry& entry, const GfnRange& range, bool value) {
  if (entry.level == 0) {
    const std::uint64_t mask =
        bit_range(std::max(range.first.value, entry.first) - entry.first,
                  std::min(range.last.value, entry.first + span_of(0)) - entry.first);
    return (entry.word & mask) == (value ? mask : 0);
  }
  if (!is_node(entry.level, entry.word)) return entry.word == uniform_word(entry.level, value);
  const Slots slots = slots_of(entry, range.first.value, range.last.value);
  for (unsigned slot = slots.first; slot <= slots.last; ++slot) {
    if (!entry_is(k, child_of(k, entry, slot), range, value)) return false;
  }
  return true;
}

/// Adds a run that changes, joined to the one before if they touch.
void log_change(Kernel& k, const Vm& vm, std::uint64_t first, std::uint64_t last, bool was) {
  AttributeLog& log = k.attribute_log;
  if (log.count > 0) {
    AttributeChange& before = log.changes[log.count - 1];
    if (before.vm == k.index_of(vm) && before.was_private == was &&
        before.first.value + before.count.value == first) {
      before.count.value += last - first;
      return;
    }
  }
  log.add({.vm = k.index_of(vm), .first = {first}, .count = {last - first}, .was_private = was});
}
void log_bits(Kernel& k, const Vm& vm, std::uint64_t first, std::uint64_t changed, bool was) {
  while (changed != 0) {
    const auto from = static_cast<unsigned>(std::countr_zero(changed));
    const auto run = static_cast<unsigned>(std::countr_one(changed >> from));
    log_change(k, vm, first + from, first + from + run, was);
    if (from + run == 64) return;
    changed &= ~bit_range(0, from + run);
  }
}

struct Writer {
  Kernel& k;
  Vm& vm;
  std::uint64_t first;
  std::uint64_t last;
  bool value;

  /// Makes the entry uniform and frees what hung below it.
  void make_uniform(std::uint64_t& word, const Entry& entry) {
    log_old(entry);
    drop(entry);
    const bool stores_zero = entry.level > 0 && !value && planted(Planted::kSharedIsStored);
    k.set(word, stores_zero ? kStoredZero : uniform_word(entry.level, value));
  }
  void drop(const Entry& entry) {
    if (!is_node(entry.level, entry.word)) return;
    const NodeId id = node_of(entry.word);
    for (unsigned slot = 0; slot < 512; ++slot) {
      std::uint64_t& word = k.nodes.word(id, slot);
      if (word == 0) continue;
      drop(child_of(k, entry, slot));
      k.set(word, 0);
    }
    k.nodes.give(k.machine.journal, id);
  }
  void log_old(const Entry& entry) {
    if (entry.level == 0) {
      log_bits(k, vm, entry.first, value ? ~entry.word : entry.word, !value);
    } else if (is_node(entry.level, entry.word)) {
      for (unsigned slot = 0; slot < 512; ++slot) log_old(child_of(k, entry, slot));
    } else if (entry.word != uniform_word(entry.level, value)) {
      log_change(k, vm, entry.first, entry.first + span_of(entry.level), !value);
    }
  }
  NodeId split(std::uint64_t& word, const Entry& entry) {
    const unsigned level = entry.level - 1;
    const NodeId id = k.nodes.take(k.machine.journal,
                                   {.kind = NodeKind::kAttributeTree,
                                    .owner = k.index_of(vm).value,
                                    .level = static_cast<std::uint8_t>(entry.level)},
                                   entry.first);
    if (entry.word == kPrivate) {
      for (std::uint64_t& child : k.nodes.node(id).words) k.set(child, uniform_word(level, true));
    }
    k.set(word, std::uint64_t{id} << 1);
    return id;
  }
  void store(std::uint64_t& word, unsigned level, std::uint64_t from) {
    const Entry entry{.word = word, .level = level, .first = from};
    if (level == 0) {
      const std::uint64_t mask =
          bit_range(std::max(first, from) - from, std::min(last, from + span_of(0)) - from);
      const std::uint64_t now = value ? word | mask : word & ~mask;
      if (now == word) return;
      log_bits(k, vm, from, now ^ word, !value);
      k.set(word, now);
      return;
    }
    if (!is_node(level, word) && word == uniform_word(level, value)) return;
    if (first <= from && from + span_of(level) <= last) return make_uniform(word, entry);
    const NodeId id = is_node(level, word) ? node_of(word) : split(word, entry);
    const Slots slots = slots_of(entry, first, last);
    for (unsigned slot = slots.first; slot <= slots.last; ++slot) {
      store(k.nodes.word(id, slot), level - 1, from + slot * span_of(level - 1));
    }
  }
};

/// What find_next() looks for: the first GFN in [from, to) that is private (value = true) or
/// shared.
struct Search {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  bool value = true;
};
/// The GFN found, or search.to. Cost: the entries of the tree that the search range touches.
std::uint64_t find_next(const Kernel& k, const Entry& entry, const Search& search) {
  const std::uint64_t end = std::min(entry.first + span_of(entry.level), search.to);
  const std::uint64_t begin = std::max(search.from, entry.first);
  if (begin >= end) return search.to;
  if (entry.level == 0) {
    const std::uint64_t bits = (search.value ? entry.word : ~entry.word) &
                               bit_range(begin - entry.first, end - entry.first);
    return bits == 0 ? search.to : entry.first + static_cast<unsigned>(std::countr_zero(bits));
  }
  if (!is_node(entry.level, entry.word)) {
    return entry.word == uniform_word(entry.level, search.value) ? begin : search.to;
  }
  const Slots slots = slots_of(entry, begin, end);
  for (unsigned slot = slots.first; slot <= slots.last; ++slot) {
    const std::uint64_t at = find_next(k, child_of(k, entry, slot), search);
    if (at < search.to) return at;
  }
  return search.to;
}
std::uint64_t find_next(const Kernel& k, const Vm& vm, const Search& search) {
  if (search.from < kLowEnd) {
    const Entry low{.word = vm.attribute_top[0], .level = kLowLevel, .first = 0};
    const std::uint64_t at =
        find_next(k, low, {search.from, std::min(search.to, kLowEnd), search.value});
    if (at < std::min(search.to, kLowEnd)) return at;
  }
  // The high tree's part below kLowEnd is never written and reads as shared.
  const Entry high{.word = vm.attribute_top[1], .level = kHighLevel, .first = 0};
  return find_next(k, high, {std::max(search.from, kLowEnd), search.to, search.value});
}

}  // namespace

bool is_private(const Kernel& k, const Vm& vm, Gfn gfn) {
  Tree tree = tree_of(gfn.value);
  std::uint64_t word = vm.attribute_top[tree.which];
  for (; tree.level > 0; --tree.level) {
    if (!is_node(tree.level, word)) return word == kPrivate;
    const unsigned shift = kWordBits + 9 * (tree.level - 1);
    word = k.nodes.word(node_of(word), static_cast<unsigned>(gfn.value >> shift & 511));
  }
  return (word >> (gfn.value & 63) & 1) != 0;
}

AttributeView stored_attribute(const Kernel& k, const Vm& vm, Gfn gfn) {
  Tree tree = tree_of(gfn.value);
  std::uint64_t word = vm.attribute_top[tree.which];
  for (; is_node(tree.level, word); --tree.level) {
    const unsigned shift = kWordBits + 9 * (tree.level - 1);
    word = k.nodes.word(node_of(word), static_cast<unsigned>(gfn.value >> shift & 511));
  }
  const bool is_set = (tree.level > 0 ? word == kPrivate : (word >> (gfn.value & 63) & 1) != 0);
  const bool is_zero = kPlantedBuild && tree.level > 0 && word == kStoredZero;
  return {.stored = is_set || is_zero, .value = is_set ? kAttributePrivate : 0};
}

bool range_is(const Kernel& k, const Vm& vm, const GfnRange& range, bool value) {
  bool all = true;
  for_each_tree(range, [&](Tree tree, std::uint64_t first, std::uint64_t last) {
    const Entry top{.word = vm.attribute_top[tree.which], .level = tree.level, .first = 0};
    all = all && entry_is(k, top, {.first = {first}, .last = {last}}, value);
  });
  return all;
}

void store_attributes(Kernel& k, Vm& vm, const GfnRange& range, bool value) {
  for_each_tree(range, [&](Tree tree, std::uint64_t first, std::uint64_t last) {
    Writer writer{.k = k, .vm = vm, .first = first, .last = last, .value = value};
    writer.store(vm.attribute_top[tree.which], tree.level, 0);
  });
}

void free_attributes(Kernel& k, Vm& vm) {
  Writer writer{.k = k, .vm = vm, .first = 0, .last = 0, .value = false};
  for (const Tree tree : {tree_of(0), tree_of(kLowEnd)}) {
    std::uint64_t& word = vm.attribute_top[tree.which];
    if (word == kShared) continue;
    writer.drop({.word = word, .level = tree.level, .first = 0});
    k.set(word, kShared);
  }
}

GfnRange next_private_range(const Kernel& k, const Vm& vm, const GfnRange& within) {
  const std::uint64_t end = std::min(within.last, kGfnLimit).value;
  const std::uint64_t first = find_next(k, vm, {within.first.value, end, true});
  return {.first = {first}, .last = {find_next(k, vm, {first, end, false})}};
}

}  // namespace sluice::model
