#include "ops/mutate.h"

#include <algorithm>
#include <iterator>

#include "ops/context.h"
#include "ops/priorities.h"
#include "ops/random.h"
#include "ops/reflect.h"

namespace sluice {
namespace {

auto position(std::vector<Step>& steps, std::size_t at) {
  return steps.begin() + static_cast<std::ptrdiff_t>(at);
}

std::size_t pick_step(const Sequence& sequence, Rng& rng) {
  return rng.below(sequence.steps.size());
}

bool has_room(const Sequence& sequence) { return sequence.steps.size() < kMaxOps; }

/// A value of `domain` that some operation of the sequence already uses; nothing if none does.
bool copy_value(const Sequence& sequence, const DomainSpec& domain, Rng& rng, FieldValue& value) {
  if (sequence.steps.empty()) return false;
  const std::size_t first = pick_step(sequence, rng);
  for (std::size_t i = 0; i < sequence.steps.size(); ++i) {
    const Op& op = sequence.steps[(first + i) % sequence.steps.size()].op;
    const auto fields = fields_of(op.index());
    for (std::size_t f = 0; f < fields.size(); ++f) {
      if (fields[f].domain != &domain) continue;
      value = get_field(op, f);
      return true;
    }
  }
  return false;
}

Step new_step(const Mutator& mutator, const Sequence& sequence, Rng& rng) {
  Step step;
  random_step(rng, mutator.draw_op(rng, sequence.header.scope), step);
  const auto fields = fields_of(step.op.index());
  for (std::size_t f = 0; f < fields.size(); ++f) {
    FieldValue value;
    if (rng.one_in(2) && copy_value(sequence, *fields[f].domain, rng, value)) {
      set_field(step.op, f, value);
    }
  }
  return step;
}

void insert_op(const Mutator& mutator, Sequence& sequence, Rng& rng) {
  if (!has_room(sequence)) return;
  const Step step = new_step(mutator, sequence, rng);
  sequence.steps.insert(position(sequence.steps, rng.below(sequence.steps.size() + 1)), step);
}

void append_op(const Mutator& mutator, Sequence& sequence, Rng& rng) {
  if (has_room(sequence)) sequence.steps.push_back(new_step(mutator, sequence, rng));
}

void replace_op(const Mutator& mutator, Sequence& sequence, Rng& rng) {
  if (sequence.steps.empty()) return;
  sequence.steps[pick_step(sequence, rng)] = new_step(mutator, sequence, rng);
}

void remove_ops(const Mutator&, Sequence& sequence, Rng& rng) {
  if (sequence.steps.empty()) return;
  const std::size_t at = pick_step(sequence, rng);
  const std::size_t most = std::min<std::size_t>(sequence.steps.size() - at, 4);
  const std::size_t count = rng.one_in(2) ? 1 : 1 + rng.below(most);
  sequence.steps.erase(position(sequence.steps, at), position(sequence.steps, at + count));
}

void duplicate_op(const Mutator&, Sequence& sequence, Rng& rng) {
  if (sequence.steps.empty() || !has_room(sequence)) return;
  const Step step = sequence.steps[pick_step(sequence, rng)];
  sequence.steps.insert(position(sequence.steps, rng.below(sequence.steps.size() + 1)), step);
}

void move_op(const Mutator&, Sequence& sequence, Rng& rng) {
  if (sequence.steps.size() < 2) return;
  const std::size_t from = pick_step(sequence, rng);
  const Step step = sequence.steps[from];
  sequence.steps.erase(position(sequence.steps, from));
  sequence.steps.insert(position(sequence.steps, rng.below(sequence.steps.size() + 1)), step);
}

/// The step and field to change; false if the picked operation has no field.
bool pick_field(const Sequence& sequence, Rng& rng, std::size_t& step, std::size_t& field) {
  if (sequence.steps.empty()) return false;
  step = pick_step(sequence, rng);
  const std::size_t count = fields_of(sequence.steps[step].op.index()).size();
  if (count == 0) return false;
  field = rng.below(count);
  return true;
}

void change_field(const Mutator&, Sequence& sequence, Rng& rng) {
  std::size_t step = 0;
  std::size_t field = 0;
  if (!pick_field(sequence, rng, step, field)) return;
  Op& op = sequence.steps[step].op;
  const FieldInfo& info = fields_of(op.index())[field];
  const std::uint64_t dice = rng.below(8);
  if (dice == 0) return set_field(op, field, info.default_value);
  const FieldValue now = get_field(op, field);
  set_field(op, field,
            dice < 4 ? change_value(*info.domain, now, rng) : pick_value(*info.domain, rng));
}

void copy_field(const Mutator&, Sequence& sequence, Rng& rng) {
  std::size_t step = 0;
  std::size_t field = 0;
  FieldValue value;
  if (!pick_field(sequence, rng, step, field)) return;
  Op& op = sequence.steps[step].op;
  if (copy_value(sequence, *fields_of(op.index())[field].domain, rng, value)) {
    set_field(op, field, value);
  }
}

void change_actor(const Mutator&, Sequence& sequence, Rng& rng) {
  if (sequence.steps.empty()) return;
  Step& step = sequence.steps[pick_step(sequence, rng)];
  if (!takes_actor(step.op.index())) return;
  step.actor.index = static_cast<std::uint8_t>(rng.below(actors_of(step.actor.kind)));
}

/// Two steps change places in who does them, where the same kind of actor does both.
void swap_actors(const Mutator&, Sequence& sequence, Rng& rng) {
  if (sequence.steps.size() < 2) return;
  Step& a = sequence.steps[pick_step(sequence, rng)];
  Step& b = sequence.steps[pick_step(sequence, rng)];
  if (a.actor.kind == b.actor.kind && takes_actor(a.op.index()) && takes_actor(b.op.index())) {
    std::swap(a.actor, b.actor);
  }
}

void change_park(const Mutator&, Sequence& sequence, Rng& rng) {
  if (sequence.steps.empty()) return;
  Step& step = sequence.steps[pick_step(sequence, rng)];
  const std::uint64_t dice = rng.below(8);
  if (step.park != 0 && dice < 3) {
    step.park = 0;
  } else if (step.park != 0 && dice < 6) {
    step.park = static_cast<std::uint8_t>(rng.one_in(2) && step.park > 1 ? step.park - 1
                                          : step.park < kMaxPark         ? step.park + 1
                                                                         : step.park);
  } else {
    step.park = static_cast<std::uint8_t>(1 + (rng.one_in(8) ? rng.below(kMaxPark) : rng.below(4)));
  }
}

/// Back to the usual length, but for one sequence in eight: pieces go from anywhere behind the
/// first operations, which set up what the others need.
void shorten(Sequence& sequence, Rng& rng) {
  if (sequence.steps.size() <= 2 * Mutator::kUsualOps || rng.one_in(8)) return;
  const std::size_t wanted = Mutator::kUsualOps + rng.below(Mutator::kUsualOps + 1);
  while (sequence.steps.size() > wanted) {
    const std::size_t first = Mutator::kUsualOps / 2;
    const std::size_t at = first + rng.below(sequence.steps.size() - first);
    const std::size_t most = std::min(sequence.steps.size() - at, sequence.steps.size() - wanted);
    const std::size_t count = 1 + rng.below(most);
    sequence.steps.erase(position(sequence.steps, at), position(sequence.steps, at + count));
  }
}

/// Resumes an actor that is parked at the place of insertion.
void insert_resume(const Mutator&, Sequence& sequence, Rng& rng) {
  if (!has_room(sequence)) return;
  Context context;
  const std::size_t at = rng.below(sequence.steps.size() + 1);
  for (std::size_t i = 0; i < at; ++i) context.observe(sequence.steps[i]);
  if (context.parked.empty()) return;
  const FieldValue target{.bits = context.parked.pick(rng)};
  Step step{.op = Resume{.target = Domain<ActorId>::from(target)}};
  step.actor = default_actor(step.op);
  if (rng.one_in(4)) step.park = static_cast<std::uint8_t>(1 + rng.below(3));
  sequence.steps.insert(position(sequence.steps, at), step);
}

/// Parks an operation and puts the next one on another actor: the smallest race.
void make_race(const Mutator& mutator, Sequence& sequence, Rng& rng) {
  if (sequence.steps.empty() || sequence.steps.size() + 2 > kMaxOps) return;
  const std::size_t at = pick_step(sequence, rng);
  Step& first = sequence.steps[at];
  if (!takes_actor(first.op.index())) return;
  first.park = static_cast<std::uint8_t>(1 + rng.below(4));
  const ActorId parked = first.actor;
  Step second = new_step(mutator, sequence, rng);
  if (takes_actor(second.op.index()) && second.actor == parked) {
    second.actor.index = static_cast<std::uint8_t>((parked.index + 1u) % actors_of(parked.kind));
  }
  Step resume{.op = Resume{.target = parked}};
  resume.actor = default_actor(resume.op);
  const auto where = position(sequence.steps, at + 1);
  sequence.steps.insert(sequence.steps.insert(where, resume), second);
}

/// The end of the sequence by another schedule.
void change_priorities(const Mutator&, Sequence& sequence, Rng& rng) {
  schedule_by_priority(rng, sequence);
}

void insert_setup(const Mutator&, Sequence& sequence, Rng& rng) {
  Sequence setup;
  setup.header = sequence.header;
  append_setup(rng, setup);
  if (sequence.steps.size() + setup.steps.size() > kMaxOps) return;
  sequence.header.kernel = setup.header.kernel;
  sequence.steps.insert(sequence.steps.begin(), setup.steps.begin(), setup.steps.end());
}

void drop_what_scope_forbids(Sequence& sequence) {
  if (sequence.header.scope == Scope::kMachine) return;
  std::erase_if(sequence.steps,
                [](const Step& step) { return info_of(step.op).machine_scope_only; });
}

void change_header(const Mutator&, Sequence& sequence, Rng& rng) {
  switch (rng.below(4)) {
    case 0:
      sequence.header.scope =
          sequence.header.scope == Scope::kHost ? Scope::kMachine : Scope::kHost;
      return drop_what_scope_forbids(sequence);
    case 1:
      return draw_policy_around(rng, sequence.header.policy);
    default:
      sequence.header.kernel = kModeledKernels[rng.below(kModeledKernels.size())];
  }
}

constexpr std::array<MutationKind, 16> kKinds{{
    {"insert_op", 10, insert_op},
    {"append_op", 10, append_op},
    {"replace_op", 4, replace_op},
    {"remove_ops", 8, remove_ops},
    {"duplicate_op", 4, duplicate_op},
    {"move_op", 4, move_op},
    {"change_field", 20, change_field},
    {"copy_field", 10, copy_field},
    {"change_actor", 3, change_actor},
    {"swap_actors", 2, swap_actors},
    {"change_park", 8, change_park},
    {"insert_resume", 6, insert_resume},
    {"make_race", 5, make_race},
    {"change_priorities", 4, change_priorities},
    {"insert_setup", 1, insert_setup},
    {"change_header", 4, change_header},
}};
constexpr unsigned kKindWeightSum = [] {
  unsigned sum = 0;
  for (const MutationKind& kind : kKinds) sum += kind.weight;
  return sum;
}();

const MutationKind& draw_kind(Rng& rng) {
  std::uint64_t at = rng.below(kKindWeightSum);
  std::size_t i = 0;
  for (; at >= kKinds[i].weight; ++i) at -= kKinds[i].weight;
  return kKinds[i];
}

void forget_text(Sequence& sequence) {
  sequence.notes = {};
  sequence.expectations.clear();
  sequence.lines.clear();
}

bool creates_a_vm(const Sequence& sequence) {
  return std::ranges::any_of(sequence.steps,
                             [](const Step& step) { return is_one_of<CreateVm>(step.op); });
}

}  // namespace

std::span<const MutationKind> mutation_kinds() { return kKinds; }

Mutator::Mutator(std::uint64_t seed) : swarm_rng_(seed) {
  // The first period has every operation, by plain weight.
  for (std::size_t scope = 0; scope < 2; ++scope) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < AllOps::kCount; ++i) {
      if (scope == 1 || !kOpInfo[i].machine_scope_only) sum += 4u * kOpInfo[i].weight;
      weight_sums_[scope][i] = sum;
    }
  }
}

void Mutator::draw_swarm() {
  std::array<std::uint32_t, AllOps::kCount> factors{};
  for (std::uint32_t& factor : factors) {
    constexpr std::array<std::uint32_t, 4> kFactors{0, 1, 4, 16};  // a quarter of them is left out
    factor = kFactors[swarm_rng_.below(kFactors.size())];
  }
  for (std::size_t scope = 0; scope < 2; ++scope) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < AllOps::kCount; ++i) {
      if (scope == 1 || !kOpInfo[i].machine_scope_only) sum += factors[i] * kOpInfo[i].weight;
      weight_sums_[scope][i] = sum;
    }
  }
  // All left out: as good as none left out, and there must be something to draw.
  if (weight_sums_[0].back() == 0) *this = Mutator(swarm_rng_.next());
}

std::size_t Mutator::draw_op(Rng& rng, Scope scope) const {
  const auto& sums = weight_sums_[scope == Scope::kMachine ? 1 : 0];
  const std::uint64_t at = rng.below(sums.back());
  return static_cast<std::size_t>(std::ranges::upper_bound(sums, at) - sums.begin());
}

namespace {

/// A folio of 1 GiB takes a thousand times as long as most operations.
void keep_folios_usual(Sequence& sequence, Rng& rng) {
  GmemOrder& order = sequence.header.policy.gmem_order;
  if (order == GmemOrder::k1G && !rng.one_in(Mutator::kGiantsKept)) order = GmemOrder::k2M;
}

}  // namespace

void Mutator::mutate(Sequence& sequence, std::uint64_t seed) {
  if (++calls_ % kSwarmPeriod == 0) draw_swarm();
  Rng rng(seed);
  forget_text(sequence);
  if (!creates_a_vm(sequence) && !rng.one_in(8)) insert_setup(*this, sequence, rng);
  std::uint64_t count = 1;
  while (count < 6 && rng.one_in(2)) ++count;
  for (; count > 0; --count) {
    const bool is_long = sequence.steps.size() > kUsualOps && rng.one_in(2);
    is_long ? remove_ops(*this, sequence, rng) : draw_kind(rng).apply(*this, sequence, rng);
  }
  shorten(sequence, rng);
  keep_folios_usual(sequence, rng);
  if (!rng.one_in(16)) repair(sequence, rng);
}

void Mutator::cross_over(const Sequence& a, const Sequence& b, Sequence& out, std::uint64_t seed) {
  Rng rng(seed);
  out.clear();
  out.header = a.header;
  const auto add = [&](const Sequence& from, std::size_t first, std::size_t last) {
    const std::size_t room = kMaxOps - out.steps.size();
    last = std::min(last, first + room);
    out.steps.insert(out.steps.end(), from.steps.begin() + static_cast<std::ptrdiff_t>(first),
                     from.steps.begin() + static_cast<std::ptrdiff_t>(last));
  };
  const std::size_t cut = rng.below(a.steps.size() + 1);
  const std::size_t first = rng.below(b.steps.size() + 1);
  add(a, 0, cut);
  if (rng.one_in(2)) {
    add(b, first, b.steps.size());
  } else {
    add(b, first, first + rng.below(b.steps.size() - first + 1));
    add(a, cut, a.steps.size());
  }
  drop_what_scope_forbids(out);
  shorten(out, rng);
  keep_folios_usual(out, rng);
  if (!rng.one_in(16)) repair(out, rng);
}

}  // namespace sluice
