#include "ops/random.h"

#include "base/check.h"
#include "ops/context.h"
#include "ops/reflect.h"

namespace sluice {
namespace {

constexpr auto kWeightSums = [] {
  std::array<std::array<std::uint32_t, AllOps::kCount>, 2> sums{};
  for (std::size_t scope = 0; scope < 2; ++scope) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < AllOps::kCount; ++i) {
      if (scope == 1 || !kOpInfo[i].machine_scope_only) sum += kOpInfo[i].weight;
      sums[scope][i] = sum;
    }
  }
  return sums;
}();

void add(Sequence& out, const Op& op) {
  if (out.steps.size() < kMaxOps) out.steps.push_back({.actor = default_actor(op), .op = op});
}

/// Where a vCPU is in SMM, half of the slots are for it.
void maybe_for_smm(Rng& rng, const Context& context, Step& step) {
  constexpr std::uint32_t kSpaceOfSmm = 1 << 16;
  auto* const region = std::get_if<SetMemoryRegion>(&step.op);
  const bool may = region != nullptr && uses_smm(context, region->vm) && rng.one_in(2);
  if (may) region->slot.value |= kSpaceOfSmm;
}

/// Where a VM has an interrupt controller, its vCPUs sometimes meet the page of their APIC.
void maybe_at_apic(Rng& rng, const Context& context, Step& step) {
  constexpr std::uint64_t kApicAddress = 0xfee0'0000;
  if (step.actor.kind != ActorKind::kVcpu) return;
  if (!context.irqchips.has(context.vm_of_vcpu[step.actor.index]) || !rng.one_in(4)) return;
  if (auto* const access = std::get_if<GuestAccess>(&step.op)) {
    access->gfn = {kApicAddress >> kPageShift};
  }
  if (auto* const range = std::get_if<PreFaultMemory>(&step.op)) range->gpa = {kApicAddress};
}

void maybe_park(Rng& rng, const Context& context, Step& step) {
  if (rng.one_in(8)) step.park = static_cast<std::uint8_t>(1 + rng.below(4));
  // Another thread than the parked one, where the operation lets us choose.
  if (step.actor.kind == ActorKind::kVmm && takes_actor(step.op.index()) &&
      context.parked.has(actor_slot(step.actor))) {
    step.actor.index = static_cast<std::uint8_t>((step.actor.index + 1u) % kMaxVmmThreads);
  }
}

/// The guest starts its second vCPU from a VMSA of its own.
void append_ap_start(Sequence& out) {
  constexpr Gfn kVmsa{3};
  add(out, Pvalidate{.gfn = kVmsa});
  add(out, RmpAdjust{.gfn = kVmsa, .vmsa = true});
  add(out, ApCreation{.gpa = {address_of(kVmsa).value}});
}

}  // namespace

void fit_to_vm(Rng& rng, const Context& context, Step& step) {
  maybe_for_smm(rng, context, step);
  maybe_at_apic(rng, context, step);
}

void append_setup(Rng& rng, Sequence& out) {
  constexpr std::array<std::pair<VmType, unsigned>, 4> kTypes{
      {{VmType::kDefault, 4}, {VmType::kSwProtected, 6}, {VmType::kSnp, 4}, {VmType::kTdx, 2}}};
  std::uint64_t dice = rng.below(16);
  std::size_t at = 0;
  for (; dice >= kTypes[at].second; ++at) dice -= kTypes[at].second;
  const VmType type = kTypes[at].first;
  // Only the later half of the kernels knows TDs (tdx.md, head).
  if (type == VmType::kTdx) {
    constexpr std::size_t kFirst = modeled_kernel_index({.major = 6, .minor = 16});
    out.header.kernel = kModeledKernels[kFirst + rng.below(kModeledKernels.size() - kFirst)];
  }
  const bool is_private = type != VmType::kDefault;
  const bool is_snp = type == VmType::kSnp;
  const bool is_td = type == VmType::kTdx;
  const std::uint64_t bytes = rng.one_in(2) ? kBytesPer2M : 16 * kPageBytes;
  add(out, CreateVm{.type = type});
  if (is_snp) add(out, SevInit2{});
  if (is_td) add(out, TdxInitVm{});
  if (!is_td && rng.one_in(8)) add(out, CreateIrqchip{});
  SetMemoryRegion slot{.size = {bytes}};
  if (is_private) {
    add(out, CreateGuestMemfd{.size = {bytes}});
    slot.flags = {.value = 4};
    slot.gmem = {.value = 0};
  }
  add(out, slot);
  if (!is_private && rng.one_in(4)) {  // the same pages or others, for SMM
    slot.slot = {.value = 1 << 16};
    if (rng.one_in(2)) slot.hva = {.value = kBytesPer2M};
    add(out, slot);
  }
  add(out, CreateVcpu{});
  const bool has_second_vcpu = rng.one_in(2);
  if (has_second_vcpu) add(out, CreateVcpu{.vcpu = {.value = 1}});
  if (is_private) add(out, SetMemoryAttributes{.size = {bytes}, .attributes = {.value = 8}});
  if (is_td) {
    add(out, TdxInitVcpu{});
    if (rng.one_in(2)) add(out, TdxInitMemRegion{.page_count = {1 + rng.below(4)}});
    if (!rng.one_in(4)) add(out, TdxFinalize{});
  }
  if (is_snp) {
    add(out, LaunchStart{});
    if (rng.one_in(2)) add(out, LaunchUpdate{});
    const bool is_launched = !rng.one_in(4);
    if (is_launched) add(out, LaunchFinish{});
    if (is_launched && has_second_vcpu && rng.one_in(4)) append_ap_start(out);
  }
}

std::size_t random_op_index(Rng& rng, Scope scope) {
  const auto& sums = kWeightSums[scope == Scope::kMachine ? 1 : 0];
  const std::uint64_t at = rng.below(sums.back());
  std::size_t index = 0;
  while (sums[index] <= at) ++index;
  return index;
}

void random_step(Rng& rng, std::size_t index, Step& out) {
  out.op = make_op(index);
  out.park = 0;
  const auto fields = fields_of(index);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    // Flags other than the default refuse most operations: leave them alone mostly.
    const bool keep = fields[i].domain->text == TextKind::kFlags && !rng.one_in(4);
    if (!keep) set_field(out.op, i, pick_value(*fields[i].domain, rng));
  }
  out.actor = default_actor(out.op);
  if (takes_actor(index) && rng.one_in(4)) {
    out.actor.index = static_cast<std::uint8_t>(rng.below(actors_of(out.actor.kind)));
  }
}

void random_sequence(Rng& rng, const RandomShape& shape, Sequence& out) {
  SLUICE_CHECK(shape.min_ops <= shape.max_ops && shape.max_ops <= kMaxOps);
  out.clear();
  out.steps.reserve(kMaxOps);
  out.header.scope = rng.one_in(4) ? Scope::kMachine : Scope::kHost;
  out.header.kernel = kModeledKernels[rng.below(kModeledKernels.size())];
  const std::size_t count = shape.min_ops + rng.below(shape.max_ops - shape.min_ops + 1);
  Context context;
  if (!shape.implausible) {
    append_setup(rng, out);
    for (const Step& step : out.steps) context.observe(step);
  }
  if (out.steps.size() > count) out.steps.resize(count);
  // An operation that fits nothing is drawn again, but not for ever.
  for (std::size_t tries = 0; out.steps.size() < count && tries < 8 * kMaxOps; ++tries) {
    Step step;
    random_step(rng, random_op_index(rng, out.header.scope), step);
    if (!shape.implausible) {
      const bool destroys = is_one_of<DestroyVm>(step.op);
      if ((destroys && !rng.one_in(4)) || !attach(step, context, rng)) continue;
      if (!changes_mode(step, context) && !rng.one_in(16)) continue;
      fit_to_vm(rng, context, step);
      maybe_park(rng, context, step);
    } else if (rng.one_in(8)) {
      step.park = static_cast<std::uint8_t>(1 + rng.below(4));
    }
    context.observe(step);
    out.steps.push_back(step);
  }
}

void draw_policy_around(Rng& rng, PolicySet& policy) {
  const std::size_t axis = rng.below(kAroundAxisCount);
  const auto value = static_cast<std::uint8_t>(rng.below(value_count(kPolicyAxes[axis])));
  set_policy_value(policy, axis, value);
}

}  // namespace sluice
