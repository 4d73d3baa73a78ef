#include "platform/topology.h"

#include <fmt/format.h>
#include <hwloc.h>

#include <array>
#include <utility>

namespace sluice::platform {
namespace {

using Handle = std::shared_ptr<hwloc_topology>;

/// A set of bits that frees itself.
struct Bitmap {
  Bitmap() : bits(hwloc_bitmap_alloc()) {}
  explicit Bitmap(hwloc_const_bitmap_t from) : bits(hwloc_bitmap_dup(from)) {}
  Bitmap(const Bitmap&) = delete;
  Bitmap& operator=(const Bitmap&) = delete;
  ~Bitmap() { hwloc_bitmap_free(bits); }
  hwloc_bitmap_t bits;
};

unsigned count_of(hwloc_topology_t topology, hwloc_obj_type_t type) {
  const int count = hwloc_get_nbobjs_by_type(topology, type);
  return count > 0 ? static_cast<unsigned>(count) : 0;
}

Expected<Handle> start() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return system_error("start hwloc");
  return Handle(raw, [](hwloc_topology_t t) { hwloc_topology_destroy(t); });
}

/// hwloc lists a processor at each node that is near to it: beside that of its own memory, one that
/// serves a whole package or the machine, or other memory at the same place.
void count_processors(hwloc_topology_t topology, std::vector<Node>& nodes) {
  for (unsigned i = 0; i < count_of(topology, HWLOC_OBJ_PU); ++i) {
    const hwloc_obj_t cpu = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PU, i);
    Node* nearest = nullptr;
    int fewest = 0;
    for (unsigned n = 0; n < nodes.size(); ++n) {
      const hwloc_obj_t node = hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, n);
      const int shared_by = hwloc_bitmap_weight(node->cpuset);
      if (hwloc_bitmap_isincluded(cpu->cpuset, node->cpuset) == 0) continue;
      if (nearest != nullptr && shared_by >= fewest) continue;
      nearest = &nodes[n];
      fewest = shared_by;
    }
    if (nearest != nullptr) ++nearest->cpu_count;
  }
}

struct ReleaseDistances {
  hwloc_topology_t topology = nullptr;
  void operator()(hwloc_distances_s* matrix) const { hwloc_distances_release(topology, matrix); }
};
/// A matrix that goes before its topology does; null where there is none.
using Distances = std::unique_ptr<hwloc_distances_s, ReleaseDistances>;

Distances latencies_of(hwloc_topology_t topology) {
  hwloc_distances_s* matrix = nullptr;
  unsigned count = 1;  // that fit; then, that there are
  const int answer = hwloc_distances_get_by_type(topology, HWLOC_OBJ_NUMANODE, &count, &matrix,
                                                 HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0);
  return Distances(answer == 0 && count != 0 ? matrix : nullptr, {.topology = topology});
}

}  // namespace

NodeMemory::NodeMemory(NodeMemory&& other) noexcept
    : topology_(std::move(other.topology_)),
      begin_(std::exchange(other.begin_, nullptr)),
      size_(other.size_) {}

NodeMemory& NodeMemory::operator=(NodeMemory&& other) noexcept {
  std::swap(topology_, other.topology_);
  std::swap(begin_, other.begin_);
  std::swap(size_, other.size_);
  return *this;
}

NodeMemory::~NodeMemory() {
  if (begin_ != nullptr) hwloc_free(topology_.get(), begin_, size_.value);
}

Topology::Topology(Handle topology) : topology_(std::move(topology)) {
  hwloc_topology_t raw = topology_.get();
  core_count_ = count_of(raw, HWLOC_OBJ_CORE);
  cpu_count_ = count_of(raw, HWLOC_OBJ_PU);
  for (unsigned i = 0; i < count_of(raw, HWLOC_OBJ_NUMANODE); ++i) {
    const hwloc_obj_t node = hwloc_get_obj_by_type(raw, HWLOC_OBJ_NUMANODE, i);
    const int cores = hwloc_get_nbobjs_inside_cpuset_by_type(raw, node->cpuset, HWLOC_OBJ_CORE);
    nodes_.push_back({.os_index = node->os_index,
                      .core_count = cores > 0 ? static_cast<unsigned>(cores) : 0,
                      .memory = {node->attr->numanode.local_memory}});
  }
  count_processors(raw, nodes_);
}

Expected<Topology> Topology::open() {
  Expected<Handle> handle = start();
  if (!handle) return std::unexpected(handle.error());
  if (hwloc_topology_load(handle->get()) != 0)
    return system_error("let hwloc read the machine's topology");
  return Topology(std::move(*handle));
}

Expected<Topology> Topology::synthetic(const std::string& description) {
  Expected<Handle> handle = start();
  if (!handle) return std::unexpected(handle.error());
  if (hwloc_topology_set_synthetic(handle->get(), description.c_str()) != 0) {
    return input_error(
        fmt::format("hwloc does not take the topology description \"{}\"; write it like \"pack:2 "
                    "[numa] core:4 pu:1\"",
                    description));
  }
  if (hwloc_topology_load(handle->get()) != 0)
    return system_error(fmt::format("let hwloc make the topology \"{}\"", description));
  return Topology(std::move(*handle));
}

Expected<Topology> Topology::from_xml(const std::string& path) {
  Expected<Handle> handle = start();
  if (!handle) return std::unexpected(handle.error());
  if (hwloc_topology_set_xml(handle->get(), path.c_str()) != 0)
    return system_error("read the topology in " + path);
  if (hwloc_topology_load(handle->get()) != 0)
    return input_error(path + ": no topology that hwloc can read; lstopo --of xml writes them");
  return Topology(std::move(*handle));
}

bool Topology::is_this_system() const { return hwloc_topology_is_thissystem(topology_.get()) == 1; }

Expected<std::string> Topology::description() const {
  std::array<char, 4096> text{};
  if (hwloc_topology_export_synthetic(topology_.get(), text.data(), text.size(), 0) < 0) {
    return system_error(
        "describe the topology in one line (hwloc describes only symmetric machines)");
  }
  return std::string(text.data());
}

Expected<std::optional<NodeDistances>> Topology::distances() const {
  const Distances matrix = latencies_of(topology_.get());
  if (matrix == nullptr) return std::nullopt;
  const std::size_t count = nodes_.size();
  const char* const name = hwloc_distances_get_name(topology_.get(), matrix.get());
  NodeDistances distances{.name = name != nullptr ? name : "distances", .from = {}};
  if (matrix->nbobjs != count)
    return input_error(fmt::format("{}: a matrix of {} nodes on a machine of {}", distances.name,
                                   matrix->nbobjs, count));
  distances.from.assign(count, std::vector<double>(count, 1));
  for (std::size_t i = 0; i < count; ++i) {
    const hwloc_uint64_t* const row = matrix->values + i * count;
    const unsigned from = matrix->objs[i]->logical_index;
    if (row[i] == 0)
      return input_error(
          fmt::format("{}: node {} is 0 from itself, so that nothing is a multiple of it",
                      distances.name, from));
    for (std::size_t j = 0; j < count; ++j)
      distances.from[from][matrix->objs[j]->logical_index] =
          static_cast<double>(row[j]) / static_cast<double>(row[i]);
  }
  return distances;
}

Expected<void> Topology::placeable(const std::string& what) const {
  // hwloc answers 0 to every binding on a synthetic topology and does nothing, which would publish
  // made-up placements.
  if (is_this_system()) return {};
  return input_error(
      what +
      ": the topology is synthetic or a file's, there is no such machine to place anything on");
}

Expected<void> Topology::bind_thread_to_node(unsigned node) const {
  const std::string what = fmt::format("run the thread on node {}", node);
  if (Expected<void> ok = placeable(what); !ok) return ok;
  const hwloc_obj_t object = hwloc_get_obj_by_type(topology_.get(), HWLOC_OBJ_NUMANODE, node);
  if (object == nullptr)
    return input_error(
        fmt::format("{}: the machine has {} node(s), counted from 0", what, nodes_.size()));
  if (hwloc_set_cpubind(topology_.get(), object->cpuset,
                        HWLOC_CPUBIND_THREAD | HWLOC_CPUBIND_STRICT) != 0)
    return system_error(what);
  return {};
}

Expected<void> Topology::bind_thread_to_core(unsigned core) const {
  const std::string what = fmt::format("run the thread on core {}", core);
  if (Expected<void> ok = placeable(what); !ok) return ok;
  const hwloc_obj_t object = hwloc_get_obj_by_type(topology_.get(), HWLOC_OBJ_CORE, core);
  if (object == nullptr)
    return input_error(
        fmt::format("{}: the machine has {} core(s), counted from 0", what, core_count_));
  Bitmap one(object->cpuset);
  hwloc_bitmap_singlify(
      one.bits);  // a thread that hops between hyperthreads has two caches' worth of noise
  if (hwloc_set_cpubind(topology_.get(), one.bits, HWLOC_CPUBIND_THREAD | HWLOC_CPUBIND_STRICT) !=
      0)
    return system_error(what);
  return {};
}

Expected<void> Topology::bind_thread_to_core_of_node(unsigned node, unsigned index) const {
  const std::string what = fmt::format("run the thread on a core of node {}", node);
  if (Expected<void> ok = placeable(what); !ok) return ok;
  if (node >= nodes_.size())
    return input_error(
        fmt::format("{}: the machine has {} node(s), counted from 0", what, nodes_.size()));
  if (nodes_[node].core_count == 0) return input_error(what + ": the node has memory only");
  const hwloc_obj_t object = hwloc_get_obj_by_type(topology_.get(), HWLOC_OBJ_NUMANODE, node);
  const hwloc_obj_t core = hwloc_get_obj_inside_cpuset_by_type(
      topology_.get(), object->cpuset, HWLOC_OBJ_CORE, index % nodes_[node].core_count);
  return bind_thread_to_core(core->logical_index);
}

Expected<void> Topology::unbind_thread() const {
  if (Expected<void> ok = placeable("run the thread everywhere"); !ok) return ok;
  const hwloc_const_cpuset_t all = hwloc_topology_get_allowed_cpuset(topology_.get());
  if (hwloc_set_cpubind(topology_.get(), all, HWLOC_CPUBIND_THREAD) != 0)
    return system_error("run the thread everywhere");
  return {};
}

Expected<void> Topology::bind_thread_memory_to_node(unsigned node) const {
  const std::string what = fmt::format("take the thread's memory from node {}", node);
  if (Expected<void> ok = placeable(what); !ok) return ok;
  const hwloc_obj_t object = hwloc_get_obj_by_type(topology_.get(), HWLOC_OBJ_NUMANODE, node);
  if (object == nullptr)
    return input_error(
        fmt::format("{}: the machine has {} node(s), counted from 0", what, nodes_.size()));
  const int flags = HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_STRICT | HWLOC_MEMBIND_BYNODESET;
  if (hwloc_set_membind(topology_.get(), object->nodeset, HWLOC_MEMBIND_BIND, flags) != 0)
    return system_error(what);
  return {};
}

Expected<void> Topology::unbind_thread_memory() const {
  if (Expected<void> ok = placeable("take the thread's memory from anywhere"); !ok) return ok;
  const hwloc_const_nodeset_t all = hwloc_topology_get_allowed_nodeset(topology_.get());
  const int flags = HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET;
  if (hwloc_set_membind(topology_.get(), all, HWLOC_MEMBIND_DEFAULT, flags) != 0) {
    return system_error("take the thread's memory from anywhere");
  }
  return {};
}

Expected<NodeMemory> Topology::allocate(ByteCount size, unsigned node) const {
  const std::string what = fmt::format("allocate {} bytes on node {}", size.value, node);
  if (Expected<void> ok = placeable(what); !ok) return std::unexpected(ok.error());
  const hwloc_obj_t object = hwloc_get_obj_by_type(topology_.get(), HWLOC_OBJ_NUMANODE, node);
  if (object == nullptr)
    return input_error(
        fmt::format("{}: the machine has {} node(s), counted from 0", what, nodes_.size()));
  const int flags = HWLOC_MEMBIND_STRICT | HWLOC_MEMBIND_BYNODESET;
  void* const at =
      hwloc_alloc_membind(topology_.get(), size.value, object->nodeset, HWLOC_MEMBIND_BIND, flags);
  if (at == nullptr) return system_error(what);
  return NodeMemory(topology_, static_cast<std::byte*>(at), size);
}

Expected<std::vector<unsigned>> Topology::nodes_of_memory(const void* begin, ByteCount size) const {
  if (Expected<void> ok = placeable("ask where memory lives"); !ok)
    return std::unexpected(ok.error());
  Bitmap found;
  if (hwloc_get_area_memlocation(topology_.get(), begin, size.value, found.bits,
                                 HWLOC_MEMBIND_BYNODESET) != 0) {
    return system_error("ask where memory lives");
  }
  std::vector<unsigned> nodes;
  for (unsigned i = 0; i < nodes_.size(); ++i) {
    if (hwloc_bitmap_isset(found.bits, nodes_[i].os_index) != 0) nodes.push_back(i);
  }
  return nodes;
}

Expected<unsigned> Topology::core_of_thread() const {
  if (Expected<void> ok = placeable("ask where the thread runs"); !ok)
    return std::unexpected(ok.error());
  Bitmap found;
  if (hwloc_get_last_cpu_location(topology_.get(), found.bits, HWLOC_CPUBIND_THREAD) != 0)
    return system_error("ask where the thread runs");
  for (unsigned i = 0; i < core_count_; ++i) {
    const hwloc_obj_t core = hwloc_get_obj_by_type(topology_.get(), HWLOC_OBJ_CORE, i);
    if (hwloc_bitmap_isincluded(found.bits, core->cpuset) != 0) return i;
  }
  return input_error("ask where the thread runs: on no core that hwloc knows");
}

}  // namespace sluice::platform
