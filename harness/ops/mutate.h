// Mutation and crossover of sequences, shared by every fuzzing engine. Works on operations, never
// on bytes: the result is a program whose operations mostly name what exists (context.h).
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/rng.h"
#include "ops/op_list.h"
#include "ops/sequence.h"

namespace sluice {

/// Deterministic: the same seed and the same calls give the same sequences. Operations are drawn by
/// weight, and by a swarm: for kSwarmPeriod calls some operations are left out and some preferred,
/// so that rare ones pile up now and then. Thread: compatible.
class Mutator {
 public:
  static constexpr unsigned kSwarmPeriod = 512;
  /// A run costs what its operations cost, and most of what a long sequence shows a short one shows
  /// too: mutation lengthens freely up to here, and mostly shortens beyond.
  static constexpr std::size_t kUsualOps = 16;
  /// For the same reason folios of 1 GiB (gmem_order=1G) become 2 MiB, but for one in so many.
  static constexpr std::uint64_t kGiantsKept = 256;

  explicit Mutator(std::uint64_t seed);

  /// Changes `sequence` in place by one to a few mutations. Notes and expectations are dropped.
  void mutate(Sequence& sequence, std::uint64_t seed);

  /// Replaces `out` by a mix of `a` and `b`: one's head and the other's tail, or a part of one
  /// inside the other. Pre: `out` is neither.
  void cross_over(const Sequence& a, const Sequence& b, Sequence& out, std::uint64_t seed);

  /// An operation that `scope` allows, by weight and swarm.
  std::size_t draw_op(Rng& rng, Scope scope) const;

 private:
  void draw_swarm();

  Rng swarm_rng_;
  std::uint64_t calls_ = 0;
  std::array<std::array<std::uint32_t, AllOps::kCount>, 2> weight_sums_{};  // by scope, running
};

/// One kind of change. `apply` does nothing where it does not fit (no step to remove, no room).
struct MutationKind {
  std::string_view name;
  unsigned weight;
  void (*apply)(const Mutator& mutator, Sequence& sequence, Rng& rng);
};
std::span<const MutationKind> mutation_kinds();

}  // namespace sluice
