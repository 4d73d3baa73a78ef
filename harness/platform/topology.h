// The machine's nodes and cores, and placement on them (hwloc). A topology that is not this
// machine's (a description or a file, for the simulator and tests) is marked: placement on it is
// refused, so that its numbers can never pass for a machine's. Source: hwloc 2.9 manual, "synthetic
// topologies", "importing and exporting topologies from/to XML files", "distances",
// hwloc_topology_is_thissystem().
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/system_error.h"
#include "base/units.h"

struct hwloc_topology;

namespace sluice::platform {

struct Node {
  unsigned os_index = 0;  // as the kernel numbers it
  unsigned core_count = 0;
  /// Processors (hyperthreads) whose nearest node it is, so that each counts once; 0 where it has
  /// memory only. Of nodes that are near to the same ones, the first has them.
  unsigned cpu_count = 0;
  ByteCount memory{};
};

/// How far each node is from each.
struct NodeDistances {
  std::string name{};  // hwloc's; "NUMALatency" is what firmware says (ACPI SLIT)
  /// As a multiple of how far a node is from itself: from[i][j] of node i to node j, by their index
  /// in nodes().
  std::vector<std::vector<double>> from{};
};

/// Memory that lives on one node; unmapped when it goes.
class NodeMemory {
 public:
  NodeMemory(NodeMemory&& other) noexcept;
  NodeMemory& operator=(NodeMemory&& other) noexcept;
  ~NodeMemory();
  std::byte* begin() const { return begin_; }
  ByteCount size() const { return size_; }

 private:
  friend class Topology;
  NodeMemory(std::shared_ptr<hwloc_topology> topology, std::byte* begin, ByteCount size)
      : topology_(std::move(topology)), begin_(begin), size_(size) {}
  std::shared_ptr<hwloc_topology> topology_;
  std::byte* begin_;
  ByteCount size_;
};

/// Nodes and cores are named by their index in nodes() and 0..core_count()-1 (all nodes' cores in
/// order). Thread: compatible; the binding calls act on the calling thread.
class Topology {
 public:
  /// This machine's.
  static Expected<Topology> open();
  /// From a description such as "pack:2 [numa] l3:4 core:4 pu:2". Errors: a description that hwloc
  /// does not take.
  static Expected<Topology> synthetic(const std::string& description);
  /// From a file as `lstopo --of xml` writes it. Errors: a file that cannot be read, or is no such.
  static Expected<Topology> from_xml(const std::string& path);

  bool is_this_system() const;
  const std::vector<Node>& nodes() const { return nodes_; }
  unsigned core_count() const { return core_count_; }
  unsigned cpu_count() const { return cpu_count_; }
  /// hwloc's export string; takes the machine back to life as a synthetic one. Errors: an
  /// asymmetric machine has none.
  Expected<std::string> description() const;
  /// What is said about the distances of nodes: the first of hwloc's matrices that means latency.
  /// Empty where nothing is, as for any description in one line and a machine of one node. Errors:
  /// a matrix that leaves nodes out, or says that a node is 0 from itself.
  Expected<std::optional<NodeDistances>> distances() const;

  /// Runs the calling thread on one node's cores, or on one core, from now on. Errors: no such node
  /// or core; a synthetic topology; what the system refused.
  Expected<void> bind_thread_to_node(unsigned node) const;
  Expected<void> bind_thread_to_core(unsigned core) const;
  /// The index-th core of a node, counted round when there are fewer: how threads of one benchmark
  /// spread.
  Expected<void> bind_thread_to_core_of_node(unsigned node, unsigned index) const;
  /// Lets the calling thread run everywhere again.
  Expected<void> unbind_thread() const;

  /// Makes the calling thread's new pages, also those the kernel allocates for it (guest_memfd),
  /// come from one node.
  Expected<void> bind_thread_memory_to_node(unsigned node) const;
  Expected<void> unbind_thread_memory() const;

  /// Zeroed memory on one node, bound but not yet touched.
  Expected<NodeMemory> allocate(ByteCount size, unsigned node) const;
  /// Nodes that hold pages of the range now; empty if nothing is touched yet.
  Expected<std::vector<unsigned>> nodes_of_memory(const void* begin, ByteCount size) const;
  /// The core that the calling thread last ran on.
  Expected<unsigned> core_of_thread() const;

 private:
  explicit Topology(std::shared_ptr<hwloc_topology> topology);
  Expected<void> placeable(const std::string& what) const;
  std::shared_ptr<hwloc_topology> topology_;
  std::vector<Node> nodes_;
  unsigned core_count_ = 0;
  unsigned cpu_count_ = 0;
};

}  // namespace sluice::platform
