#include "model/model_backend.h"

#include <bit>

#include "model/dispatch.h"
#include "model/host/host_region.h"
#include "model/model_view.h"
#include "model/state_hash.h"
#include "trace/kernel_behavior.h"
#include "trace/step_rules.h"

namespace sluice::model {
namespace {

/// What a kernel of another version would be on the same host.
HostProfile profile_for(const HostProfile& host, KernelVersion version) {
  if (version == host.version) return host;
  HostProfile profile = host;
  profile.version = version;
  profile.gmem_flags = default_profile(version).gmem_flags;
  // A host whose kernel could not know TDs may have them with another.
  constexpr std::uint32_t kTdx = 1u << static_cast<unsigned>(VmType::kTdx);
  const bool lacks_td = behavior::tdx_vms(host.version) && !host.has_vm_type(VmType::kTdx);
  profile.vm_types &= ~kTdx;
  if (!lacks_td) profile.vm_types |= default_profile(version).vm_types & kTdx;
  return profile;
}

}  // namespace

struct ModelBackend::State {
  State(const HostProfile& profile, Machine on)
      : host(profile), machine(std::move(on)), scheduler(machine.arena) {}

  HostProfile host;
  Machine machine;
  Scheduler scheduler;
  std::unique_ptr<Kernel> kernel;
  std::unique_ptr<ModelView> view;
  StepRecord record{};
  bool always_coroutines = false;

  void begin_step(const Step& step) {
    ++record.number;
    record.step = step;
    record.outcome = {};
    record.ran_ops = 0;
    record.ran = 0;
    record.host_before = host_view(*kernel);
    record.mark = machine.journal.mark();
    machine.events.clear();
    scheduler.begin_step();
    kernel->begin_step();
  }

  /// A kernel that takes a fatal fault inside a call never answers it.
  Outcome run(const Step& step) {
    const bool was_dead = kernel->snp.host_dead;
    const Outcome out = dispatch(step);
    if (was_dead == kernel->snp.host_dead || out.kind == StatusKind::kHostFault) return out;
    return refuse(Check::kHostKernelStore);
  }

  Outcome dispatch(const Step& step) {
    if (const Check skip = skip_reason(machine.header, step); skip != Check::kOk) {
      return outcome_of(skip);
    }
    if (kernel->snp.host_dead) return outcome_of(Check::kSkipHostDead);
    const Handlers& handlers = kHandlers[step.op.index()];
    const bool nothing_can_stop = step.park == 0 || !handlers.can_stop;
    if (scheduler.quiet() && nothing_can_stop && !always_coroutines) {
      record.ran_ops = std::uint64_t{1} << step.op.index();
      kernel->straight_actor = step.actor;
      return handlers.straight(*kernel, step.actor, step.op);
    }
    const Outcome out = run_scheduled(step, handlers);
    note_who_ran();
    return out;
  }

  Outcome run_scheduled(const Step& step, const Handlers& handlers) {
    if (const auto* const resume = std::get_if<Resume>(&step.op)) {
      const ActorId target = resume->target;
      if (target.index >= actors_of(target.kind) || !scheduler.is_parked(target)) {
        return outcome_of(Check::kSkipNothingToResume);
      }
      return scheduler.resume(target, step.park);
    }
    if (scheduler.is_busy(step.actor)) return outcome_of(Check::kSkipActorBusy);
    Step& kept = record.in_flight[actor_slot(step.actor)];
    kept = step;
    record.had_company &= static_cast<ActorMask>(~(1u << actor_slot(step.actor)));
    return scheduler.run(step.actor, step.park, [this, &kept, &handlers] {
      return handlers.stoppable(*kernel, kept.actor, kept.op);
    });
  }

  void note_who_ran() {
    record.ran = scheduler.ran();
    for (ActorMask left = record.ran; left != 0; left &= static_cast<ActorMask>(left - 1)) {
      const auto slot = static_cast<unsigned>(std::countr_zero(left));
      record.ran_ops |= std::uint64_t{1} << record.in_flight[slot].op.index();
    }
    const bool alone = std::popcount(record.ran) <= 1;
    record.had_company |= static_cast<ActorMask>(alone ? (record.ran == 0 ? 0 : ~record.ran) : ~0);
  }
};

ModelBackend::ModelBackend(std::unique_ptr<State> state) : state_(std::move(state)) {}
ModelBackend::ModelBackend(ModelBackend&&) noexcept = default;
ModelBackend& ModelBackend::operator=(ModelBackend&&) noexcept = default;
ModelBackend::~ModelBackend() = default;

Expected<ModelBackend> ModelBackend::open(const HostProfile& profile) {
  auto machine = Machine::open(profile);
  if (!machine) return std::unexpected(machine.error());
  auto state = std::make_unique<State>(profile, std::move(*machine));
  auto kernel = Kernel::open(state->machine, state->scheduler);
  if (!kernel) return std::unexpected(kernel.error());
  state->kernel = std::move(*kernel);
  auto view = ModelView::open(*state->kernel, state->record);
  if (!view) return std::unexpected(view.error());
  state->view = std::make_unique<ModelView>(std::move(*view));
  return ModelBackend(std::move(state));
}

void ModelBackend::begin(const SequenceHeader& header) {
  State& s = *state_;
  s.machine.header = header;
  s.machine.profile = profile_for(s.host, header.kernel);
  s.begin_step({});
}

Outcome ModelBackend::apply(const Step& step) {
  State& s = *state_;
  s.begin_step(step);
  s.record.outcome = s.run(step);
  return s.record.outcome;
}

void ModelBackend::finish() {
  State& s = *state_;
  s.begin_step({.actor = {}, .park = 0, .op = Resume{}});
  if (s.scheduler.quiet()) return;
  s.record.outcome.progression = Progression::kParked;  // whoever ends, this is not his answer
  s.scheduler.drain();
  s.note_who_ran();
}

void ModelBackend::reset() {
  State& s = *state_;
  s.scheduler.reset();
  s.machine.journal.roll_back(0);
  s.machine.header = {};
  s.machine.header.kernel = s.host.version;
  s.begin_step({});
}

void ModelBackend::renew_host_region() {
  state_->begin_step({});
  model::renew_host_region(*state_->kernel);
}

const View& ModelBackend::view() const { return *state_->view; }

std::uint64_t ModelBackend::state_hash() const {
  return model::state_hash(*state_->kernel, *state_->view, state_->record.in_flight);
}

std::size_t ModelBackend::live_frames() const { return state_->machine.arena.live(); }

void ModelBackend::always_use_coroutines(bool on) { state_->always_coroutines = on; }

Kernel& ModelBackend::kernel() { return *state_->kernel; }

}  // namespace sluice::model
