// How the rows about nested page tables come by leaves: what a step installed, or all there are.
#pragma once
#include <algorithm>
#include <vector>

#include "oracle/invariant_list.h"
#include "oracle/view_helpers.h"

namespace sluice::oracle {

/// Calls judge(const LeafRecord&) for every leaf that the step installed or gave another frame or
/// level, until it returns a violation.
template <class Judge>
std::optional<Violation> each_installed(const View& view, Judge&& judge) {
  for (const LeafChange& change : view.leaf_changes()) {
    const LeafView& now = change.now;
    if (!change.is_remapped() || !(now.present || now.mmio)) continue;
    const LeafRecord record{.vm = change.vm,
                            .root = change.root,
                            .address_space = change.address_space,
                            .gfn = change.gfn,
                            .leaf = now,
                            .slot = change.slot};
    if (auto wrong = judge(record); wrong.has_value()) return wrong;
  }
  return std::nullopt;
}

/// Calls visit(const LeafRecord&) for the leaves of one root inside the span until it says false.
template <class Visit>
void each_leaf_in(const View& view, VmIndex vm, std::uint32_t root, GfnSpan span, Visit&& visit) {
  const std::uint8_t address_space = view.root(vm, root).address_space;
  const std::span<const SlotView> slots = view.slots(vm);
  while (!span.empty()) {
    const auto found = view.next_leaf(vm, root, span);
    if (!found) return;
    const LeafRecord record{.vm = vm,
                            .root = root,
                            .address_space = address_space,
                            .gfn = found->gfn,
                            .leaf = found->leaf,
                            .slot = slot_at(slots, address_space, found->gfn)};
    if (!visit(record)) return;
    span.first = std::max(record.span().end, found->gfn + PageCount{1});
  }
}

/// Calls visit(root index) for the used roots of a VM's address space.
template <class Visit>
void each_root(const View& view, VmIndex vm, std::uint8_t address_space, Visit&& visit) {
  for (std::uint32_t i = 0; i < View::kMaxRoots; ++i) {
    const RootView root = view.root(vm, i);
    if (root.used && root.address_space == address_space) visit(i);
  }
}

/// Every page of the file that the leaf reaches is where it says. Nobody gets the frame of a
/// poisoned page. Pre: its slot has a file. Cost: a look a folio.
bool maps_its_file(const View& view, const LeafRecord& r);

/// All leaves of all VMs. Cost: a walk over the page tables.
void collect_leaves(const View& view, std::vector<LeafRecord>& leaves);

}  // namespace sluice::oracle
