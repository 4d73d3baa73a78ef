// Sequences from a seed, for `sluice run --random`: the generator and the mutator of `ops`, fed
// back what the model answers. A sequence that made the model answer something new is kept and
// mutated further, so that later ones lead deeper than chance does.
#pragma once
#include <bitset>
#include <cstdint>
#include <span>
#include <vector>

#include "model/model_backend.h"
#include "ops/mutate.h"
#include "ops/race.h"
#include "ops/repertoire.h"
#include "run/backend.h"

namespace sluice::run {

/// What a source makes: any sequences, or three of four with a race at their end (ops/race.h).
enum class RandomFocus : std::uint8_t { kNone, kRaces };

/// What a running kernel with this profile can do.
Repertoire kernel_repertoire(const HostProfile& profile);

/// Deterministic: the same profile, repertoire, seed and length give the same sequences, whatever
/// the subject answers to them. Thread: compatible. Cost: some microseconds a sequence.
class RandomSource {
 public:
  /// Pre: 1 <= `length` <= kMaxOps, of operations in a sequence at most.
  static Expected<RandomSource> open(const HostProfile& profile, const Repertoire& able,
                                     std::uint64_t seed, std::size_t length = kMaxOps,
                                     RandomFocus focus = RandomFocus::kNone);
  /// The next sequence, never empty; stands until the next call. Runs it on a model of its own.
  const Sequence& next();
  /// The same sequences for who runs them on such a model anyway: each propose() is followed by
  /// learn() with what the model answered to its steps. Answers that a finding cut short are made
  /// good by a run of its own. Pre: the repertoire is a model's, not a running kernel's.
  const Sequence& propose();
  void learn(std::span<const Outcome> answers);
  /// How many different answers the model gave so far, and how many sequences led to a new one.
  std::size_t answers() const { return answers_.count(); }
  std::size_t kept() const { return pool_.size(); }

 private:
  static constexpr std::size_t kFeatures = std::size_t{1} << 16;
  static constexpr std::size_t kMaxPool = 1024;

  RandomSource(model::ModelBackend model, const Repertoire& able, std::uint64_t seed,
               std::size_t length, RandomFocus focus)
      : model_(std::move(model)),
        able_(able),
        rng_(seed),
        mutator_(seed),
        length_(length),
        focus_(focus) {}
  void draw();
  void draw_race();
  const Sequence& pick() { return pool_[rng_.below(pool_.size())]; }
  void fill();
  void run_on_own_model();
  bool leads_somewhere_new(std::span<const Outcome> answers);
  void keep();

  model::ModelBackend model_;
  Repertoire able_;
  Rng rng_;
  Mutator mutator_;
  std::size_t length_;
  RandomFocus focus_;
  StopsSeen stops_{};
  Sequence sequence_{};
  std::vector<Sequence> pool_{};
  std::bitset<kFeatures> answers_{};
  std::bitset<kFeatures> pairs_{};
  std::vector<Outcome> own_answers_{};
  bool hangs_ = false;  // the last sequence, on the model
};

}  // namespace sluice::run
