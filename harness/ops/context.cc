#include "ops/context.h"

#include <bit>

#include "base/check.h"
#include "ops/reflect.h"

namespace sluice {
namespace {

constexpr std::array<unsigned, 4> kLimits{kMaxVms, kMaxVcpus, kMaxGmems, kMaxGmems};

/// Somebody who has a thread in user space: a vCPU that exists, or a thread of the VMM that does
/// much.
bool attach_thread(Step& step, std::size_t field, const Context& context, Rng& rng) {
  ActorId who = Domain<ActorId>::from(get_field(step.op, field));
  if (who.kind == ActorKind::kVmm) {
    if (who.index > 1) who.index = 0;
  } else if (who.kind == ActorKind::kKernel || !context.vcpus.has(who.index)) {
    who = {};
    if (!context.vcpus.empty()) {
      who = {.kind = ActorKind::kVcpu, .index = static_cast<std::uint8_t>(context.vcpus.pick(rng))};
    }
  }
  set_field(step.op, field, Domain<ActorId>::to(who));
  return true;
}

/// Where `role`'s new value comes from; false if nowhere.
bool attach_field(Step& step, std::size_t field, FieldRole role, const Context& context, Rng& rng) {
  FieldValue value = get_field(step.op, field);
  const auto at = static_cast<unsigned>(value.bits);
  if (role == FieldRole::kActor) {
    if (!is_one_of<Resume>(step.op)) return attach_thread(step, field, context, rng);
    if (context.parked.empty()) return false;
    if (!context.parked.has(at)) value.bits = context.parked.pick(rng);
    set_field(step.op, field, value);
    return true;
  }
  const IndexSet& existing = role == FieldRole::kVm     ? context.vms
                             : role == FieldRole::kVcpu ? context.vcpus
                                                        : context.gmems;
  if (creates(step.op.index(), role)) {
    if (!existing.has(at)) return true;
    value.bits = existing.first_free(kLimits[static_cast<std::size_t>(role) - 1]);
    if (value.bits == kLimits[static_cast<std::size_t>(role) - 1]) return false;
  } else if (role == FieldRole::kGmemRef) {
    if (at >= kMaxGmems || existing.has(at)) return true;
    value.bits = existing.empty() ? std::uint64_t{kMaxGmems} : existing.pick(rng);
  } else {
    if (existing.has(at)) return true;
    if (existing.empty()) return false;
    value.bits = existing.pick(rng);
  }
  set_field(step.op, field, value);
  return true;
}

void observe_mode(const Step& step, Context& context) {
  const unsigned vcpu = step.actor.index;
  if (is_one_of<EnterSmm>(step.op)) {
    context.smm.add(vcpu), context.guest_mode.remove(vcpu);
  }
  if (is_one_of<LeaveSmm>(step.op)) context.smm.remove(vcpu);
  if (is_one_of<EnterGuestMode>(step.op)) context.guest_mode.add(vcpu);
  if (is_one_of<LeaveGuestMode>(step.op)) context.guest_mode.remove(vcpu);
}

}  // namespace

bool changes_mode(const Step& step, const Context& context) {
  const unsigned vcpu = step.actor.index;
  const VmType type = context.type_of_vm[context.vm_of_vcpu[vcpu]];
  if (is_one_of<EnterSmm>(step.op)) {
    return type == VmType::kDefault && !context.smm.has(vcpu);
  }
  if (is_one_of<EnterGuestMode>(step.op)) {
    const bool may_nest = type == VmType::kDefault || type == VmType::kSwProtected;
    return may_nest && !context.guest_mode.has(vcpu) && !context.smm.has(vcpu);
  }
  if (is_one_of<LeaveSmm>(step.op)) return context.smm.has(vcpu);
  return !is_one_of<LeaveGuestMode>(step.op) || context.guest_mode.has(vcpu);
}

bool uses_smm(const Context& context, VmIndex vm) {
  for (unsigned i = 0; i < kMaxVcpus; ++i) {
    if (context.smm.has(i) && context.vm_of_vcpu[i] == vm.value) return true;
  }
  return false;
}

unsigned IndexSet::pick(Rng& rng) const {
  SLUICE_DCHECK(bits != 0);
  std::uint32_t left = bits;
  for (std::uint64_t skip = rng.below(static_cast<unsigned>(std::popcount(bits))); skip > 0;
       --skip) {
    left &= left - 1;
  }
  return static_cast<unsigned>(std::countr_zero(left));
}

unsigned IndexSet::first_free(unsigned limit) const {
  unsigned i = 0;
  while (i < limit && has(i)) ++i;
  return i;
}

void Context::observe(const Step& step) {
  if (const auto* op = std::get_if<CreateVm>(&step.op)) {
    vms.add(op->vm.value);
    type_of_vm[op->vm.value] = op->type;
    irqchips.remove(op->vm.value);
  }
  if (const auto* op = std::get_if<DestroyVm>(&step.op)) {
    vms.remove(op->vm.value);
    for (unsigned i = 0; i < kMaxVcpus; ++i) {
      if (vm_of_vcpu[i] == op->vm.value) vcpus.remove(i);
    }
  }
  if (const auto* op = std::get_if<CreateVcpu>(&step.op)) {
    vcpus.add(op->vcpu.value);
    vm_of_vcpu[op->vcpu.value] = op->vm.value;
    smm.remove(op->vcpu.value), guest_mode.remove(op->vcpu.value);
  }
  if (const auto* op = std::get_if<CreateIrqchip>(&step.op)) irqchips.add(op->vm.value);
  if (const auto* op = std::get_if<CreateGuestMemfd>(&step.op)) gmems.add(op->gmem.value);
  if (const auto* op = std::get_if<CloseGuestMemfd>(&step.op)) gmems.remove(op->gmem.value);
  observe_mode(step, *this);
  const auto* resume = std::get_if<Resume>(&step.op);
  const unsigned actor = actor_slot(resume != nullptr ? resume->target : step.actor);
  step.park != 0 ? parked.add(actor) : parked.remove(actor);
}

FieldRole role_of(const DomainSpec& domain) {
  if (&domain == &Domain<VmIndex>::kSpec) return FieldRole::kVm;
  if (&domain == &Domain<VcpuIndex>::kSpec) return FieldRole::kVcpu;
  if (&domain == &Domain<GmemIndex>::kSpec) return FieldRole::kGmem;
  if (&domain == &Domain<GmemRef>::kSpec) return FieldRole::kGmemRef;
  if (&domain == &Domain<ActorId>::kSpec) return FieldRole::kActor;
  return FieldRole::kPlain;
}

bool creates(std::size_t index, FieldRole role) {
  const std::string_view name = kOpInfo[index].name;
  return (role == FieldRole::kVm && name == CreateVm::kInfo.name) ||
         (role == FieldRole::kVcpu && name == CreateVcpu::kInfo.name) ||
         (role == FieldRole::kGmem && name == CreateGuestMemfd::kInfo.name);
}

bool attach(Step& step, const Context& context, Rng& rng) {
  const std::size_t index = step.op.index();
  const auto fields = fields_of(index);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const FieldRole role = role_of(*fields[i].domain);
    if (role != FieldRole::kPlain && !attach_field(step, i, role, context, rng)) return false;
  }
  if (takes_actor(index) && step.actor.kind == ActorKind::kVcpu &&
      !context.vcpus.has(step.actor.index)) {
    if (context.vcpus.empty()) return false;
    step.actor.index = static_cast<std::uint8_t>(context.vcpus.pick(rng));
  }
  return true;
}

void repair(Sequence& sequence, Rng& rng) {
  Context context;
  std::vector<Step>& steps = sequence.steps;
  for (std::size_t i = 0; i < steps.size();) {
    const bool can_be = attach(steps[i], context, rng);
    if (!can_be || (!changes_mode(steps[i], context) && !rng.one_in(16))) {
      steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(i));
      continue;
    }
    const unsigned actor = actor_slot(steps[i].actor);
    if (takes_actor(steps[i].op.index()) && context.parked.has(actor)) {
      Step resume{.op = Resume{.target = steps[i].actor}};
      resume.actor = default_actor(resume.op);
      if (steps.size() == kMaxOps) {
        steps[i] = resume;
      } else {
        steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(i), resume);
      }
    }
    context.observe(steps[i]);
    ++i;
  }
}

}  // namespace sluice
