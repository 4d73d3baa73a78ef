#include "ops/priorities.h"

#include <algorithm>

#include "ops/context.h"
#include "ops/reflect.h"

namespace sluice {
namespace {

constexpr std::uint64_t kMostScheduled = 8;  // operations
constexpr std::uint64_t kMostPoints = 6;     // at which one stops, from its beginning
constexpr std::uint64_t kMostPointsOn = 3;   // and from where it stands on

/// An operation, and how often it is to stop.
struct Turn {
  Step step{};
  unsigned stops = 0;
};

/// What an actor has to do. `stops` are those left of the operation that he stands in.
struct Worker {
  ActorId actor{};
  std::vector<Turn> turns{};
  std::size_t next = 0;
  unsigned stops = 0;
  bool stands = false;

  bool has_work() const { return stands || next < turns.size(); }
};

/// Who does what from `first` on.
std::vector<Worker> workers_of(const Sequence& sequence, std::size_t first) {
  Context context;
  for (std::size_t i = 0; i < first; ++i) context.observe(sequence.steps[i]);
  std::vector<Worker> workers;
  const auto of = [&](ActorId actor) -> Worker& {
    const auto known = std::ranges::find(workers, actor, &Worker::actor);
    if (known != workers.end()) return *known;
    const bool stands = context.parked.has(actor_slot(actor));
    return workers.emplace_back(Worker{.actor = actor, .stands = stands});
  };
  for (std::size_t i = first; i < sequence.steps.size(); ++i) {
    Step step = sequence.steps[i];
    step.park = 0;
    if (const auto* const resume = std::get_if<Resume>(&step.op)) {
      of(resume->target);
    } else {
      of(step.actor).turns.push_back({.step = step});
    }
  }
  std::erase_if(workers, [](const Worker& worker) { return !worker.has_work(); });
  return workers;
}

/// One to three stops, in whatever operations.
void draw_changes(Rng& rng, std::vector<Worker>& workers) {
  for (std::uint64_t left = 1 + rng.below(kMostPriorityChanges); left > 0; --left) {
    Worker& worker = workers[rng.below(workers.size())];
    if (worker.turns.empty()) continue;
    ++worker.turns[rng.below(worker.turns.size())].stops;
  }
}

/// What the actor does next.
Step next_step(Rng& rng, Worker& worker) {
  const bool goes_on = worker.stands;
  Step step{.op = Resume{.target = worker.actor}};
  step.actor = default_actor(step.op);
  if (!goes_on) {
    step = worker.turns[worker.next].step;
    worker.stops = worker.turns[worker.next++].stops;
  }
  worker.stands = worker.stops > 0;
  if (!worker.stands) return step;
  --worker.stops;
  step.park = static_cast<std::uint8_t>(1 + rng.below(goes_on ? kMostPointsOn : kMostPoints));
  return step;
}

}  // namespace

void schedule_by_priority(Rng& rng, Sequence& sequence) {
  const std::size_t size = sequence.steps.size();
  const std::uint64_t most = std::min<std::uint64_t>(size, kMostScheduled);
  if (most < 2) return;
  const std::size_t first = size - (2 + rng.below(most - 1));
  std::vector<Worker> workers = workers_of(sequence, first);
  if (workers.size() < 2) return;
  for (std::size_t i = workers.size(); i > 1; --i) std::swap(workers[i - 1], workers[rng.below(i)]);
  draw_changes(rng, workers);
  sequence.steps.resize(first);
  // The first who has work goes on; who stops goes to the end of the line.
  while (sequence.steps.size() < kMaxOps) {
    const auto at = std::ranges::find_if(workers, &Worker::has_work);
    if (at == workers.end()) return;
    sequence.steps.push_back(next_step(rng, *at));
    if (at->stands) std::rotate(at, at + 1, workers.end());
  }
}

}  // namespace sluice
