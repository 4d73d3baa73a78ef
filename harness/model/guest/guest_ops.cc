#include "model/guest/guest_ops.h"

#include <algorithm>

#include "model/guest/td_guest.h"
#include "model/host/handlers.h"
#include "model/schedule/scheduler.h"

namespace sluice::model {
namespace {

GuestInstruction instruction_of(const GuestAccess& op) {
  // Assumption: a guest access at a VMPL above 3, which no vCPU can run at, runs at VMPL 3.
  const auto vmpl = std::min<std::uint8_t>(op.vmpl.value, kVmplCount - 1);
  const bool drops_c_bit = op.kind == AccessKind::kWrite && planted(Planted::kGuestDropsCBit);
  return {.action = GuestAction::kAccess,
          .kind = op.kind,
          .c_bit = op.c_bit && !drops_c_bit,
          .vmpl = vmpl,
          .gfn = op.gfn,
          .token = op.value.value};
}

GuestInstruction instruction_of(const Pvalidate& op) {
  return {.action = GuestAction::kPvalidate,
          .kind = AccessKind::kWrite,
          .validate = op.validate,
          .vmpl = op.vmpl.value,
          .cpl = op.cpl.value,
          .size = op.page_size,
          .gfn = op.gfn};
}

GuestInstruction instruction_of(const RmpAdjust& op) {
  return {.action = GuestAction::kRmpAdjust,
          .kind = AccessKind::kWrite,
          .vmsa = op.vmsa,
          .vmpl = op.vmpl.value,
          .cpl = op.cpl.value,
          .target_vmpl = op.target_vmpl.value,
          .mask = op.mask.value,
          .size = op.page_size,
          .gfn = op.gfn};
}

GuestInstruction instruction_of(const RmpQuery& op) {
  return {.action = GuestAction::kRmpQuery,
          .vmpl = op.vmpl.value,
          .target_vmpl = op.target_vmpl.value,
          .gfn = op.gfn};
}

/// The access as the processor sees it.
GuestInstruction access_of(const Kernel& k, ActorId actor, const GuestAccess& op) {
  GuestInstruction in = instruction_of(op);
  strip_shared_bit(k, vcpu_of(actor), in);
  return in;
}

/// The #VC handler of a guest that accepts what it finds (policy guest=accepts_on_vc).
bool accepts(const Kernel& k, const Outcome& out) {
  return out.check == Check::kGuestNotValidated &&
         k.machine.header.policy.guest == GuestPolicy::kAcceptsOnVc;
}
GuestInstruction acceptance_of(const GuestAccess& op) {
  return {.action = GuestAction::kPvalidate,
          .kind = AccessKind::kWrite,
          .validate = true,
          .gfn = op.gfn};
}

/// What the guest goes on with where its #VC handler has stepped over the access (planted).
Outcome step_over(AccessKind kind) {
  Outcome out{};
  out.has_value = kind != AccessKind::kWrite;
  return out;
}
bool is_stepped_over(const Outcome& out) {
  return out.check == Check::kGuestNotValidated && planted(Planted::kVcHandlerSkipsAccess);
}

Task<Outcome> start_accepting(Kernel& k, VcpuIndex vcpu, GuestInstruction access,
                              GuestInstruction acceptance) {
  const Outcome out = co_await start_guest(k, vcpu, access);
  if (is_stepped_over(out)) co_return step_over(access.kind);
  if (!accepts(k, out)) co_return out;
  const Outcome accepted = co_await start_guest(k, vcpu, acceptance);
  if (!accepted.ok()) co_return accepted;
  co_return co_await start_guest(k, vcpu, access);
}

}  // namespace

Outcome apply(Kernel& k, ActorId actor, const GuestAccess& op) {
  const Outcome out = run_guest(k, vcpu_of(actor), access_of(k, actor, op));
  if (is_stepped_over(out)) return step_over(op.kind);
  if (!accepts(k, out)) return out;
  const Outcome accepted = run_guest(k, vcpu_of(actor), acceptance_of(op));
  return accepted.ok() ? run_guest(k, vcpu_of(actor), access_of(k, actor, op)) : accepted;
}
Outcome apply(Kernel& k, ActorId actor, const Pvalidate& op) {
  return run_guest(k, vcpu_of(actor), instruction_of(op));
}
Outcome apply(Kernel& k, ActorId actor, const RmpAdjust& op) {
  return run_guest(k, vcpu_of(actor), instruction_of(op));
}
Outcome apply(Kernel& k, ActorId actor, const RmpQuery& op) {
  return run_guest(k, vcpu_of(actor), instruction_of(op));
}

Task<Outcome> start(Kernel& k, ActorId actor, const GuestAccess& op) {
  const bool handles_vc = k.machine.header.policy.guest == GuestPolicy::kAcceptsOnVc ||
                          planted(Planted::kVcHandlerSkipsAccess);
  if (handles_vc) {
    return start_accepting(k, vcpu_of(actor), access_of(k, actor, op), acceptance_of(op));
  }
  return start_guest(k, vcpu_of(actor), access_of(k, actor, op));
}
Task<Outcome> start(Kernel& k, ActorId actor, const Pvalidate& op) {
  return start_guest(k, vcpu_of(actor), instruction_of(op));
}
Task<Outcome> start(Kernel& k, ActorId actor, const RmpAdjust& op) {
  return start_guest(k, vcpu_of(actor), instruction_of(op));
}
Task<Outcome> start(Kernel& k, ActorId actor, const RmpQuery& op) {
  return start_guest(k, vcpu_of(actor), instruction_of(op));
}

}  // namespace sluice::model
