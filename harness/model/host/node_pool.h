// Nodes of 512 words: page tables, the page caches of guest_memfds and the attribute tree all grow
// out of one pool, so that state lives in memory that never moves and costs only what is touched.
#pragma once
#include <array>
#include <cstdint>

#include "base/reserved_array.h"
#include "base/units.h"
#include "model/machine/journal.h"

namespace sluice::model {

/// What the 512 words of a node are. A freed node keeps its kind until it is handed out again, so
/// that the touched set of a step can still be classified.
enum class NodeKind : std::uint8_t {
  kUnused,
  kPageTable,  // word = Spte (tdp_mmu.h); owner = VM, root = index into Vm::roots
  kPageCache,  // level 1: word = GmemPage (guest_memfd.h); above: node index; owner = guest_memfd
  kAttributeTree,  // level 1: 8 words of bits, one per GFN; above: attributes.h; owner = VM
};

/// Where a node hangs. `first` is the first GFN (or page index) that it covers; level 1 covers 512
/// of them, one word each.
struct NodePlace {
  NodeKind kind = NodeKind::kUnused;
  std::uint8_t owner = 0;
  std::uint8_t root = 0;
  std::uint8_t level = 0;
  std::uint32_t freed_in_step = 0;
};
static_assert(sizeof(NodePlace) == 8);

using NodeId = std::uint32_t;
inline constexpr NodeId kNoNode = 0;  // the pool never hands out node 0

constexpr std::uint64_t pages_below_entry(unsigned level) {
  return std::uint64_t{1} << (9 * (level - 1));
}
constexpr unsigned node_slot(std::uint64_t page, unsigned level) {
  return static_cast<unsigned>(page >> (9 * (level - 1)) & 511);
}

/// Thread: compatible. Cost: take() and give() are a few journaled writes.
class NodePool {
 public:
  static constexpr std::size_t kCapacity = std::size_t{1} << 18;  // 1 GiB of address space
  struct Node {
    std::array<std::uint64_t, 512> words;
  };

  static Expected<NodePool> open();

  /// A node whose words are all zero. A full pool is a harness bug: kernel.h's limits keep a
  /// sequence below it.
  NodeId take(Journal& journal, const NodePlace& place, std::uint64_t first);
  /// Pre: every word of the node is zero (checked in audits).
  void give(Journal& journal, NodeId node);

  std::uint64_t& word(NodeId node, unsigned slot) { return nodes_[node].words[slot]; }
  std::uint64_t word(NodeId node, unsigned slot) const { return nodes_[node].words[slot]; }
  Node& node(NodeId id) { return nodes_[id]; }
  const Node& node(NodeId id) const { return nodes_[id]; }
  const NodePlace& place(NodeId node) const { return places_[node]; }
  /// First GFN or page index of the node; for the root of a page table or a tree, 0.
  std::uint64_t first(NodeId node) const { return firsts_[node]; }

  /// For the touched set: which word of which node lies at `address`; node kNoNode if none.
  struct At {
    NodeId node = kNoNode;
    unsigned slot = 0;
  };
  At find(const void* address) const {
    const std::uintptr_t offset =
        reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(nodes_.data());
    if (offset >= kCapacity * sizeof(Node)) return {};
    return {.node = static_cast<NodeId>(offset / sizeof(Node)),
            .slot = static_cast<unsigned>(offset % sizeof(Node) / sizeof(std::uint64_t))};
  }

  /// A node freed in a step is not handed out again within it. The backend calls this once a step.
  void begin_step() { ++step_; }
  /// Nodes ever handed out since the start, for tests.
  std::uint64_t high_water() const { return next_; }

 private:
  NodePool(ReservedArray<Node> nodes, ReservedArray<NodePlace> places,
           ReservedArray<std::uint64_t> firsts, ReservedArray<NodeId> next_free)
      : nodes_(std::move(nodes)),
        places_(std::move(places)),
        firsts_(std::move(firsts)),
        next_free_(std::move(next_free)) {}

  ReservedArray<Node> nodes_;
  ReservedArray<NodePlace> places_;
  ReservedArray<std::uint64_t> firsts_;
  ReservedArray<NodeId> next_free_;
  NodeId free_head_ = kNoNode;
  std::uint64_t next_ = 1;
  std::uint32_t step_ = 1;  // only ever compared for equality within a step, so it is not journaled
};

}  // namespace sluice::model
