#include "model/host/node_pool.h"

#include <algorithm>

namespace sluice::model {

Expected<NodePool> NodePool::open() {
  auto nodes = ReservedArray<Node>::open(kCapacity);
  if (!nodes) return std::unexpected(nodes.error());
  auto places = ReservedArray<NodePlace>::open(kCapacity);
  if (!places) return std::unexpected(places.error());
  auto firsts = ReservedArray<std::uint64_t>::open(kCapacity);
  if (!firsts) return std::unexpected(firsts.error());
  auto next_free = ReservedArray<NodeId>::open(kCapacity);
  if (!next_free) return std::unexpected(next_free.error());
  return NodePool(std::move(*nodes), std::move(*places), std::move(*firsts), std::move(*next_free));
}

NodeId NodePool::take(Journal& journal, const NodePlace& place, std::uint64_t first) {
  NodeId id = free_head_;
  if (id != kNoNode && places_[id].freed_in_step != step_) {
    journal.set(free_head_, next_free_[id]);
  } else {
    SLUICE_CHECK(next_ < kCapacity);
    id = static_cast<NodeId>(next_);
    journal.set(next_, next_ + 1);
  }
  journal.set(places_[id], place);
  journal.set(firsts_[id], first);
  return id;
}

void NodePool::give(Journal& journal, NodeId node) {
  SLUICE_DCHECK(node != kNoNode && places_[node].kind != NodeKind::kUnused);
  SLUICE_AUDIT(std::ranges::all_of(nodes_[node].words, [](std::uint64_t w) { return w == 0; }));
  NodePlace place = places_[node];
  place.freed_in_step = step_;
  journal.set(places_[node], place);
  journal.set(next_free_[node], free_head_);
  journal.set(free_head_, node);
}

}  // namespace sluice::model
