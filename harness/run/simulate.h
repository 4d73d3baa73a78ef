// Scaling in virtual time: many vCPUs run the model's own operations, each at its moment on a
// clock that only counts (docs/design/simulate.md). What an operation did, and which locks it took
// in which order, the model says as it applies it; how long that takes, a table of prices; who
// waits for whom, a queue for each lock. Same arguments, same numbers.
#pragma once
#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "model/schedule/locks.h"
#include "run/path_cost.h"
#include "run/simulated_topology.h"

namespace sluice::run {

/// What the vCPUs do, each on pages of its own.
enum class SimulatedWorkload : std::uint8_t {
  kBootEager,   // an SNP guest accepts all its memory, page by page
  kBootLazy,    // it accepts what it touches, when it touches it
  kPremap,      // all memory is pre-faulted in pieces of 16 pages, then accepted
  kPingPong,    // bounce buffers: a page becomes shared, is written, and becomes private again
  kBallooning,  // 16 pages are given to the host and taken back
  kMigration    // an ordinary VM writes its memory while user space turns dirty logging on
};
inline constexpr std::array<std::string_view, 6> kSimulatedWorkloads{
    "boot_eager", "boot_lazy", "premap", "ping_pong", "ballooning", "migration"};

struct SimulateOptions {
  SimulatedWorkload workload = SimulatedWorkload::kBootEager;
  unsigned vcpus = 16;  // 1 to kMaxSimulatedVcpus, and no more than the topology has processors
  SimulatedTopology topology{};
  Placement placement = Placement::kLocal;
  std::uint64_t pages = 64;  // of each vCPU, 16 to kMaxSimulatedPages
  std::uint64_t seed = 1;    // of the order in which kBootLazy touches them
  PolicySet policy{};
  CostTable costs = CostTable::defaults();
};
inline constexpr std::uint64_t kMaxSimulatedPages = 512;
/// Of all vCPUs together: as many as user space has shared memory for (kHostRegionBytes).
inline constexpr std::uint64_t kMaxSimulatedPagesInAll = kHostRegionBytes / kPageBytes;

/// One kind of lock, or the RMP's regions of 2 MiB together.
struct LockTime {
  std::string name{};
  std::uint64_t taken = 0;
  std::uint64_t contended = 0;  // of those, that had to wait
  double waited_ns = 0;         // by all together
  double held_ns = 0;           // for writing
};

struct SimulateResult {
  std::uint64_t requests = 0;  // what the workload counts: see simulate.md
  std::uint64_t pages = 0;     // that arrived
  std::uint64_t refused = 0;   // operations that were: 0, or the policy does not let it work
  std::uint64_t events = 0;    // of the simulation: pieces of work, locks taken and let go
  double virtual_ns = 0;       // from the first request to the last page
  std::array<double, 5> latency_ns{};  // of a request: at kLatencyShares
  std::vector<LockTime> locks{};       // by name; those that were taken
  double pages_per_second() const {
    return virtual_ns > 0 ? static_cast<double>(pages) * 1e9 / virtual_ns : 0;
  }
};
inline constexpr std::array<double, 5> kLatencyShares{0.5, 0.9, 0.99, 0.999, 1.0};

/// Pre: no sequence is under way on the model; afterwards none is. Error: what of the options is
/// out of its range. Cost: some 160 ns an event; memory: some 100 bytes a page.
std::expected<SimulateResult, std::string> simulate(model::ModelBackend& model,
                                                    const SimulateOptions& options);

}  // namespace sluice::run
