#include "model/host/mismatch.h"

#include "model/host/guest_memfd.h"
#include "model/host/handlers.h"
#include "model/host/memslots.h"

namespace sluice::model {
namespace {

NpfMismatch policy(const Kernel& k) { return k.machine.header.policy.npf_mismatch; }

SetMemoryAttributes conversion_of(VmIndex vm, const PageFault& fault) {
  return {.vm = vm,
          .address = {address_of(fault.gfn).value},
          .size = {kPageBytes},
          .attributes = {fault.is_private ? kAttributePrivate : 0}};
}
ActorId actor_of(VcpuIndex vcpu) { return {.kind = ActorKind::kVcpu, .index = vcpu.value}; }

/// The hole for the copy that is not reachable any more, as user space would punch it
/// (convert_reclaim); size 0 if there is none.
GmemPunchHole hole_of(const Kernel& k, const Vm& vm, const PageFault& fault) {
  constexpr GmemPunchHole kNone{.size = {0}};
  const bool reclaims = reclaims_by_hole(k.machine.header.policy) && !fault.is_private;
  const SlotIndex i = reclaims ? find_slot(vm, 0, fault.gfn) : kNoSlot;
  if (i == kNoSlot || !has_live_file(k, vm.slots[i])) return kNone;
  const Memslot& slot = vm.slots[i];
  const std::uint64_t index = file_index(slot, fault.gfn);
  return {.gmem = {slot.gmem}, .offset = {index << kPageShift}, .size = {kPageBytes}};
}

}  // namespace

bool is_converted_by_kernel(const Kernel& k, const FaultResult& result) {
  return result.check == Check::kFaultMismatch && policy(k) == NpfMismatch::kAutoConvert;
}

Check convert_for_guest(Kernel& k, VcpuIndex vcpu, const PageFault& fault) {
  const VmIndex vm = k.vcpu(vcpu).vm;
  const Outcome converted = apply(k, actor_of(vcpu), conversion_of(vm, fault));
  if (!converted.ok()) return converted.check;
  const GmemPunchHole hole = hole_of(k, k.vm(vm), fault);
  if (hole.size.value != 0) apply(k, actor_of(vcpu), hole);
  return Check::kOk;
}

Task<Check> start_convert_for_guest(Kernel& k, VcpuIndex vcpu, PageFault fault) {
  const VmIndex vm = k.vcpu(vcpu).vm;
  const SetMemoryAttributes conversion = conversion_of(vm, fault);
  const Outcome converted = co_await start(k, actor_of(vcpu), conversion);
  if (!converted.ok()) co_return converted.check;
  const GmemPunchHole hole = hole_of(k, k.vm(vm), fault);
  if (hole.size.value == 0) co_return Check::kOk;
  co_await start(k, actor_of(vcpu), hole);
  co_return Check::kOk;
}

Check answer_mismatch(Kernel& k, Vm& vm) {
  switch (policy(k)) {
    case NpfMismatch::kInject:
      return Check::kGuestMismatchInjected;
    case NpfMismatch::kRequirePsc:
      return Check::kGuestMismatchNotified;
    case NpfMismatch::kKill:
      k.set(vm.dead, true);
      return Check::kFaultMismatchKills;
    case NpfMismatch::kExit:
    case NpfMismatch::kAutoConvert:
      break;
  }
  return Check::kFaultMismatch;
}

}  // namespace sluice::model
