#include "model/vmm/map_gpa_range.h"

#include "model/host/handlers.h"
#include "model/host/memslots.h"
#include "model/host/run_gate.h"
#include "model/schedule/scheduler.h"

namespace sluice::model {
namespace {

constexpr std::uint64_t kEncrypted = 0x10;
constexpr std::uint64_t kPageLimit = std::uint64_t{1} << (64 - kPageShift);

Outcome answer(Check check) {
  return row_of(check).kind == StatusKind::kSkipped ? skip(check) : refuse(check);
}

/// KVM's own part, rows 1 to 3 of kvm.md 8.
Check check_hypercall(const Vm& vm, const MapGpaRange& op) {
  if (op.cpl.value != 0) return fail(Check::kMapGpaCpl);
  if (!vm.exit_hypercall) return fail(Check::kMapGpaDisabled);
  const std::uint64_t first = op.gpa.value >> kPageShift;
  const bool unaligned = (op.gpa.value & (kPageBytes - 1)) != 0;
  const bool empty_or_wraps = first + op.page_count.value <= first;
  return unaligned || empty_or_wraps ? fail(Check::kMapGpaRange) : Check::kOk;
}

Outcome with_exit(Outcome out, const MapGpaRange& op) {
  out.exit = {.reason = kExitHypercall,
              .gpa = op.gpa.value,
              .size = op.page_count.value,
              .attributes = op.attributes.value};
  return out;
}

bool is_to_private(const MapGpaRange& op) { return (op.attributes.value & kEncrypted) != 0; }

SetMemoryAttributes conversion_of(VmIndex vm, const MapGpaRange& op) {
  return {.vm = vm,
          .address = op.gpa,
          .size = {op.page_count.value << kPageShift},
          .attributes = {is_to_private(op) ? kAttributePrivate : 0}};
}

bool reclaims(const Kernel& k, const MapGpaRange& op) {
  return k.machine.header.policy.convert_reclaim == ConvertReclaim::kPunchHole &&
         !is_to_private(op);
}

/// The hole that user space punches for one slot; size 0 if none.
GmemPunchHole hole_in(const Memslot& slot, const MapGpaRange& op) {
  if (!slot.used || slot.address_space != 0 || slot.gmem == GmemRef::kNone) {
    return {.size = {0}};
  }
  const Gfn first{op.gpa.value >> kPageShift};
  const GfnRange part =
      GfnRange{.first = first, .last = first + PageCount{op.page_count.value}}.clip(range_of(slot));
  if (part.empty()) return {.size = {0}};
  const std::uint64_t index = slot.gmem_page_offset + (part.first - slot.base).value;
  return {.gmem = {slot.gmem},
          .offset = {index << kPageShift},
          .size = {part.count().value << kPageShift}};
}

/// The guest's RAX after user space could or could not convert.
Outcome completed(bool converted, const MapGpaRange& op) {
  return with_exit(converted ? Outcome{} : refuse(Check::kMapGpaVmmFailed), op);
}

/// The guest runs whether or not KVM refuses its hypercall.
void enter_guest(Kernel& k, Vcpu& vcpu) {
  if (!vcpu.ran) k.set(vcpu.ran, true);
}

void leave_guest(Kernel& k, const Vcpu& vcpu) {
  k.event(EventKind::kExitToUser, k.vm(vcpu.vm), kExitHypercall);
}

}  // namespace

Outcome apply(Kernel& k, ActorId actor, const MapGpaRange& op) {
  const VcpuIndex index{actor.index};
  if (const Check gate = run_gate(k, index); gate != Check::kOk) return answer(gate);
  Vcpu& vcpu = k.vcpu(index);
  const VmIndex vm = vcpu.vm;
  enter_guest(k, vcpu);
  if (const Check bad = check_hypercall(k.vm(vm), op); bad != Check::kOk) return outcome_of(bad);
  leave_guest(k, vcpu);
  const VmmPolicy policy = k.machine.header.policy.vmm;
  if (policy == VmmPolicy::kIgnore) return with_exit(refuse(Check::kMapGpaIgnored), op);
  if (policy == VmmPolicy::kKill) {
    apply(k, actor, DestroyVm{.vm = vm});
    return with_exit(refuse(Check::kMapGpaKilled), op);
  }
  if (op.page_count.value >= kPageLimit) return completed(false, op);
  const Outcome converted = apply(k, actor, conversion_of(vm, op));
  if (!converted.ok()) return converted.skipped() ? converted : completed(false, op);
  for (std::uint64_t i = 0; reclaims(k, op) && i < k.vm(vm).slot_high_water; ++i) {
    const GmemPunchHole hole = hole_in(k.vm(vm).slots[i], op);
    if (hole.size.value != 0) apply(k, actor, hole);
  }
  return completed(true, op);
}

Task<Outcome> start(Kernel& k, ActorId actor, const MapGpaRange& op) {
  const VcpuIndex index{actor.index};
  co_await lock(k, vcpu_mutex(index));
  const Check gate = run_gate(k, index);
  if (gate != Check::kOk) {
    unlock(k, vcpu_mutex(index));
    co_return answer(gate);
  }
  Vcpu& vcpu = k.vcpu(index);
  const VmIndex vm = vcpu.vm;
  enter_guest(k, vcpu);
  const Check bad = check_hypercall(k.vm(vm), op);
  if (bad == Check::kOk) leave_guest(k, vcpu);
  unlock(k, vcpu_mutex(index));  // KVM_RUN has returned
  if (bad != Check::kOk) co_return outcome_of(bad);
  co_await point(k, Point::kHypercallExit);
  const VmmPolicy policy = k.machine.header.policy.vmm;
  if (policy == VmmPolicy::kIgnore) co_return with_exit(refuse(Check::kMapGpaIgnored), op);
  if (policy == VmmPolicy::kKill) {
    const DestroyVm destroy{.vm = vm};
    co_await start(k, actor, destroy);
    co_return with_exit(refuse(Check::kMapGpaKilled), op);
  }
  if (op.page_count.value >= kPageLimit) co_return completed(false, op);
  const SetMemoryAttributes conversion = conversion_of(vm, op);
  const Outcome converted = co_await start(k, actor, conversion);
  if (!converted.ok()) co_return converted.skipped() ? converted : completed(false, op);
  co_await point(k, Point::kHypercallConverted);
  for (std::uint64_t i = 0; reclaims(k, op) && i < k.vm(vm).slot_high_water; ++i) {
    const GmemPunchHole hole = hole_in(k.vm(vm).slots[i], op);
    if (hole.size.value == 0) continue;
    co_await start(k, actor, hole);
  }
  co_return completed(true, op);
}

}  // namespace sluice::model
