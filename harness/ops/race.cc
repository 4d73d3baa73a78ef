#include "ops/race.h"

#include <algorithm>
#include <bitset>
#include <optional>

#include "ops/context.h"
#include "ops/random.h"
#include "ops/reflect.h"
#include "ops/repertoire.h"

namespace sluice {
namespace {

constexpr unsigned kTries = 16;

using OpSet = std::bitset<AllOps::kCount>;

bool says_where(const DomainSpec& domain) {
  const bool is_yes_or_no = domain.is_small() && domain.max <= 1;
  return role_of(domain) == FieldRole::kPlain && domain.text != TextKind::kFlags && !is_yes_or_no;
}

const std::array<OpSet, AllOps::kCount>& related_ops() {
  static const auto kRelated = [] {
    std::array<OpSet, AllOps::kCount> related{};
    for (std::size_t one = 0; one < AllOps::kCount; ++one) {
      for (std::size_t other = 0; other < AllOps::kCount; ++other) {
        related[one][other] = std::ranges::any_of(fields_of(one), [other](const FieldInfo& field) {
          return says_where(*field.domain) &&
                 std::ranges::find(fields_of(other), field.domain, &FieldInfo::domain) !=
                     fields_of(other).end();
        });
      }
    }
    return related;
  }();
  return kRelated;
}

std::size_t draw_related(Rng& rng, std::size_t to) {
  const OpSet& related = related_ops()[to];
  std::uint64_t skip = related.any() ? rng.below(related.count()) : 0;
  for (std::size_t i = 0; i < AllOps::kCount; ++i) {
    if (related[i] && skip-- == 0) return i;
  }
  return to;
}

/// Some operations keep to the place where set-ups put things in all fields but one, some in most,
/// some in about half, some in none.
void draw_near(Rng& rng, std::size_t index, Step& step) {
  constexpr std::array<unsigned, 3> kEighthsAtDefault{0, 4, 7};
  const std::uint64_t kind = rng.below(kEighthsAtDefault.size() + 1);
  random_step(rng, index, step);
  const auto fields = fields_of(index);
  const std::uint64_t one = fields.empty() ? 0 : rng.below(fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const bool at_default =
        kind < kEighthsAtDefault.size() ? rng.below(8) < kEighthsAtDefault[kind] : i != one;
    if (at_default) set_field(step.op, i, fields[i].default_value);
  }
}

std::uint8_t draw_stop(Rng& rng, const StopsSeen& seen, const Op& op) {
  const unsigned most = std::min<unsigned>(seen[op.index()] + 1u, kMostRacePoints);
  return static_cast<std::uint8_t>(1 + rng.below(most));
}

/// What set the scene, once more, but for one field.
void draw_again(Rng& rng, const Sequence& sequence, Step& step) {
  step = sequence.steps[rng.below(sequence.steps.size())];
  step.park = 0;
  const auto fields = fields_of(step.op.index());
  if (fields.empty()) return;
  const std::size_t field = rng.below(fields.size());
  set_field(step.op, field, pick_value(*fields[field].domain, rng));
}

bool has_vm(const Context& context, VmType type) {
  for (unsigned i = 0; i < kMaxVms; ++i) {
    if (context.vms.has(i) && context.type_of_vm[i] == type) return true;
  }
  return false;
}

/// What only one type of VM has is for scenes with such a VM, and has half of those to itself.
bool fits_scene(Rng& rng, const Context& context, const Op& op) {
  const bool snp = has_vm(context, VmType::kSnp), td = has_vm(context, VmType::kTdx);
  if (needs_snp(op)) return snp;
  if (needs_tdx(op)) return td;
  return !(snp || td) || rng.one_in(2);
}

/// Somebody who is not inside an operation does it; false if there is nobody.
bool give_to_idle_actor(const Context& context, Step& step) {
  if (!context.parked.has(actor_slot(step.actor))) return true;
  if (!takes_actor(step.op.index())) return false;
  const unsigned count = actors_of(step.actor.kind);
  for (unsigned i = 1; i < count; ++i) {
    ActorId other = step.actor;
    other.index = static_cast<std::uint8_t>((step.actor.index + i) % count);
    const bool exists = other.kind != ActorKind::kVcpu || context.vcpus.has(other.index);
    if (!exists || context.parked.has(actor_slot(other))) continue;
    step.actor = other;
    return true;
  }
  return false;
}

/// Half of those who name a vCPU name one that has stopped.
void name_who_stopped(Rng& rng, const Context& context, Step& step) {
  const std::size_t index = step.op.index();
  const auto fields = fields_of(index);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (role_of(*fields[i].domain) != FieldRole::kVcpu || creates(index, FieldRole::kVcpu))
      continue;
    for (std::uint8_t vcpu = 0; vcpu < kMaxVcpus; ++vcpu) {
      const ActorId actor{.kind = ActorKind::kVcpu, .index = vcpu};
      if (context.parked.has(actor_slot(actor)) && rng.one_in(2))
        set_field(step.op, i, {.bits = vcpu});
    }
  }
}

/// Draws what goes with the sequence so far, half of the time with operation `beside`.
class Drawing {
 public:
  Drawing(Rng& rng, Sequence& sequence) : rng_(rng), sequence_(sequence) {
    for (const Step& step : sequence.steps) context_.observe(step);
  }
  const Context& context() const { return context_; }

  bool draw(std::optional<std::size_t> beside, Step& step) {
    for (unsigned i = 0; i < kTries; ++i) {
      if (!sequence_.steps.empty() && rng_.one_in(4)) {
        draw_again(rng_, sequence_, step);
      } else {
        const bool related = beside.has_value() && rng_.one_in(2);
        draw_near(
            rng_,
            related ? draw_related(rng_, *beside) : random_op_index(rng_, sequence_.header.scope),
            step);
      }
      if (may_stand_here(step)) return true;
    }
    return false;
  }
  void add(const Step& step) {
    if (sequence_.steps.size() == kMaxOps) return;
    context_.observe(step);
    sequence_.steps.push_back(step);
  }
  /// To the end mostly. Pre: somebody is parked.
  void resume_somebody() {
    const FieldValue target{.bits = context_.parked.pick(rng_)};
    Step step{.op = Resume{.target = Domain<ActorId>::from(target)}};
    step.actor = default_actor(step.op);
    if (rng_.one_in(4)) step.park = static_cast<std::uint8_t>(1 + rng_.below(3));
    add(step);
  }

 private:
  bool may_stand_here(Step& step) {
    if (is_one_of<Resume>(step.op)) return false;
    if (sequence_.header.scope == Scope::kHost && info_of(step.op).machine_scope_only) return false;
    if (is_one_of<CreateVm, DestroyVm>(step.op) && !rng_.one_in(4)) return false;
    const bool fits = fits_scene(rng_, context_, step.op) && attach(step, context_, rng_) &&
                      changes_mode(step, context_) && give_to_idle_actor(context_, step);
    if (fits) name_who_stopped(rng_, context_, step);
    if (fits) fit_to_vm(rng_, context_, step);
    return fits;
  }

  Rng& rng_;
  Sequence& sequence_;
  Context context_{};
};

}  // namespace

bool share_a_domain(std::size_t one, std::size_t other) { return related_ops()[one][other]; }

void random_scene(Rng& rng, Sequence& out) {
  out.clear();
  out.header.scope = rng.one_in(4) ? Scope::kMachine : Scope::kHost;
  out.header.kernel = kModeledKernels[rng.below(kModeledKernels.size())];
  PolicySet& policy = out.header.policy;
  if (rng.one_in(4)) draw_policy_around(rng, policy);
  // Folios of 1 GiB take a thousand times as long as most operations.
  if (policy.gmem_order == GmemOrder::k1G) policy.gmem_order = GmemOrder::k2M;
  append_setup(rng, out);
  Drawing drawing(rng, out);
  for (std::uint64_t left = rng.below(4); left > 0; --left) {
    Step step;
    if (drawing.draw({}, step)) drawing.add(step);
  }
}

void redraw_race(Rng& rng, const StopsSeen& seen, Sequence& sequence) {
  Context context;
  bool begun = false;
  for (Step& step : sequence.steps) {
    begun = begun || step.park != 0;
    if (begun && !is_one_of<Resume>(step.op)) {
      Step other;
      draw_near(rng, step.op.index(), other);
      other.actor = step.actor;
      const bool fits = attach(other, context, rng);
      if (fits) fit_to_vm(rng, context, other);
      if (fits && rng.one_in(2)) step.op = other.op;
      if (step.park != 0 && rng.one_in(4)) step.park = draw_stop(rng, seen, step.op);
    }
    context.observe(step);
  }
}

void append_race(Rng& rng, const StopsSeen& seen, Sequence& sequence) {
  Drawing drawing(rng, sequence);
  if (drawing.context().vms.empty()) return;
  const std::uint64_t count = 2 + rng.below(2);
  std::optional<std::size_t> beside;
  for (std::uint64_t i = 0; i < count; ++i) {
    Step step;
    if (!drawing.draw(beside, step)) continue;
    beside = step.op.index();
    if (i + 1 < count || rng.one_in(4)) step.park = draw_stop(rng, seen, step.op);
    drawing.add(step);
    if (!drawing.context().parked.empty() && rng.one_in(8)) drawing.resume_somebody();
  }
  for (unsigned i = 0; i < 4 && !drawing.context().parked.empty(); ++i) drawing.resume_somebody();
}

}  // namespace sluice
