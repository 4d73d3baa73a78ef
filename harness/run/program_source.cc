#include "run/program_source.h"

#include <algorithm>
#include <utility>

namespace sluice::run {
namespace {

constexpr std::size_t kMinSteps = 4, kMinTail = 2, kMaxTail = 5;

/// Nobody stops: that is what exploring is for.
void let_run(Sequence& sequence) {
  std::erase_if(sequence.steps,
                [](const Step& step) { return std::holds_alternative<Resume>(step.op); });
  for (Step& step : sequence.steps) step.park = 0;
  sequence.notes = {};
  sequence.expectations.clear();
  sequence.lines.clear();
}

bool has_one_actor(std::span<const Step> steps) {
  return std::ranges::all_of(steps,
                             [&](const Step& step) { return step.actor == steps.front().actor; });
}

}  // namespace

Expected<ProgramSource> ProgramSource::open(std::vector<Sequence> corpus, std::uint64_t seed) {
  auto random = RandomSource::open(default_profile(kDefaultKernel), Repertoire{}, seed, kMaxSteps);
  if (!random) return std::unexpected(random.error());
  return ProgramSource(std::move(corpus), *std::move(random), seed);
}

const Program& ProgramSource::next() {
  for (;;) {
    draw();
    let_run(sequence_);
    sequence_.header.policy = with_mainline_kernel(sequence_.header.policy);
    const std::size_t count = sequence_.steps.size();
    if (count < kMinSteps || count > kMaxSteps) continue;
    const std::size_t tail = kMinTail + rng_.below(std::min(kMaxTail, count) - kMinTail + 1);
    const std::span<const Step> steps = std::span(sequence_.steps).last(tail);
    if (has_one_actor(steps)) continue;
    program_.steps.assign(steps.begin(), steps.end());
    sequence_.steps.resize(count - tail);
    program_.setup = sequence_;
    return program_;
  }
}

/// Two of three from the corpus.
void ProgramSource::draw() {
  if (corpus_.empty() || rng_.one_in(3)) {
    sequence_ = random_.next();
    return;
  }
  sequence_ = corpus_[rng_.below(corpus_.size())];
  for (std::uint64_t left = rng_.below(4); left > 0; --left) vary();
  if (rng_.one_in(2)) sequence_.header.kernel = kModeledKernels[rng_.below(kModeledKernels.size())];
}

void ProgramSource::vary() {
  if (!rng_.one_in(4)) {
    mutator_.mutate(sequence_, rng_.next());
    return;
  }
  mutator_.cross_over(sequence_, corpus_[rng_.below(corpus_.size())], crossed_, rng_.next());
  std::swap(sequence_, crossed_);
}

}  // namespace sluice::run
