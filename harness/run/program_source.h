// Small programs for explore(), one after another: the ends of sequences from a corpus, mutated and
// crossed with each other, and of what RandomSource makes.
#pragma once
#include <cstdint>
#include <vector>

#include "ops/mutate.h"
#include "run/explore.h"
#include "run/random_source.h"

namespace sluice::run {

/// Deterministic: the same corpus and seed give the same programs. Thread: compatible. Cost: some
/// ten microseconds a program.
class ProgramSource {
 public:
  /// Without a corpus all are RandomSource's. Notes, expectations and park points of the corpus do
  /// not matter; of its hosts nothing is known: every program is for one that has everything.
  static Expected<ProgramSource> open(std::vector<Sequence> corpus, std::uint64_t seed);
  /// The next program: two to five operations of at least two actors behind a setup; stands until
  /// the next call.
  const Program& next();

 private:
  /// Of the sequence that a program is the end of.
  static constexpr std::size_t kMaxSteps = 40;

  ProgramSource(std::vector<Sequence> corpus, RandomSource random, std::uint64_t seed)
      : corpus_(std::move(corpus)), random_(std::move(random)), rng_(seed), mutator_(seed) {}
  void draw();
  void vary();

  std::vector<Sequence> corpus_;
  RandomSource random_;
  Rng rng_;
  Mutator mutator_;
  Sequence sequence_{}, crossed_{};
  Program program_{};
};

}  // namespace sluice::run
