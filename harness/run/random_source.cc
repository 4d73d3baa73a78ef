#include "run/random_source.h"

#include <algorithm>

#include "base/check.h"
#include "ops/random.h"
#include "run/features.h"

namespace sluice::run {

Repertoire kernel_repertoire(const HostProfile& profile) {
  const bool modeled = modeled_kernel_index(profile.version) < kModeledKernels.size();
  return {.kernel = modeled ? profile.version : kDefaultKernel,  // text takes modeled ones only
          .vm_types = profile.vm_types & ~(1u << static_cast<unsigned>(VmType::kSnp)),
          .snp = false,
          .only_kernel = true};
}

Expected<RandomSource> RandomSource::open(const HostProfile& profile, const Repertoire& able,
                                          std::uint64_t seed, std::size_t length,
                                          RandomFocus focus) {
  SLUICE_DCHECK(length >= 1 && length <= kMaxOps);
  auto model = model::ModelBackend::open(profile);
  if (!model) return std::unexpected(model.error());
  return RandomSource(*std::move(model), able, seed, length, focus);
}

void RandomSource::draw() {
  const std::uint64_t dice = rng_.below(8);
  // The pool must have something to offer before it is worth drawing from.
  if (pool_.size() < 16 || dice == 0) {
    return random_sequence(rng_, {.implausible = rng_.one_in(8)}, sequence_);
  }
  if (dice < 3) return mutator_.cross_over(pick(), pick(), sequence_, rng_.next());
  sequence_ = pick();
  mutator_.mutate(sequence_, rng_.next());
}

/// Behind a new scene, or behind what a sequence of the pool leaves; or a race of the pool with
/// other values: who meets whom there has led to something new.
void RandomSource::draw_race() {
  constexpr std::size_t kRoom = 12;
  const std::uint64_t dice = rng_.below(4);
  if (dice == 0 && !pool_.empty()) {
    sequence_ = pick();
    return redraw_race(rng_, stops_, sequence_);
  }
  if (dice < 3) {
    random_scene(rng_, sequence_);
  } else {
    draw();
    if (sequence_.steps.size() + kRoom > length_ && length_ > kRoom)
      sequence_.steps.resize(std::min(sequence_.steps.size(), length_ - kRoom));
  }
  append_race(rng_, stops_, sequence_);
}

void RandomSource::fill() {
  do {
    const bool with_race = focus_ == RandomFocus::kRaces && !rng_.one_in(4);
    with_race ? draw_race() : draw();
    fit(sequence_, able_, rng_);
    if (sequence_.steps.size() > length_) sequence_.steps.resize(length_);
  } while (sequence_.steps.empty());
}

const Sequence& RandomSource::next() {
  for (;;) {
    fill();
    run_on_own_model();
    const bool is_new = leads_somewhere_new(own_answers_);
    // Each hang costs a real kernel's whole deadline: those known upstream are met now and then.
    if (able_.only_kernel && hangs_ && !rng_.one_in(64)) continue;
    if (is_new) keep();
    return sequence_;
  }
}

const Sequence& RandomSource::propose() {
  SLUICE_DCHECK(!able_.only_kernel);
  fill();
  return sequence_;
}

void RandomSource::learn(std::span<const Outcome> answers) {
  const bool whole = answers.size() == sequence_.steps.size();
  if (!whole) run_on_own_model();
  if (leads_somewhere_new(whole ? answers : own_answers_)) keep();
}

void RandomSource::run_on_own_model() {
  using Traits = BackendTraits<model::ModelBackend>;
  own_answers_.clear();
  hangs_ = false;
  if (!Traits::start(model_, sequence_)) return;  // never: the model always starts
  for (const Step& step : sequence_.steps) {
    own_answers_.push_back(model_.apply(step));
    hangs_ = hangs_ || model_.view().progress().livelock;
  }
  Traits::end(model_);
}

bool RandomSource::leads_somewhere_new(std::span<const Outcome> answers) {
  FeatureTrail trail;
  bool is_new = false;
  const auto mark = [&is_new](std::bitset<kFeatures>& seen, std::uint64_t feature) {
    auto place = seen[feature % kFeatures];
    is_new = is_new || !place;
    place = true;
  };
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const Step& step = sequence_.steps[i];
    const StepFeatures features = trail.take(step.op, answers[i]);
    std::uint8_t& highest = stops_[step.op.index()];
    if (answers[i].progression == Progression::kParked) highest = std::max(highest, step.park);
    mark(answers_, features.answer);
    mark(pairs_, features.pair);
  }
  return is_new;
}

void RandomSource::keep() {
  if (pool_.size() < kMaxPool) {
    pool_.push_back(sequence_);
  } else {
    pool_[rng_.below(kMaxPool)] = sequence_;
  }
}

}  // namespace sluice::run
