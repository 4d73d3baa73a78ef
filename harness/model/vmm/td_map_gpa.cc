#include "model/vmm/td_map_gpa.h"

#include <algorithm>

#include "model/host/run_gate.h"
#include "model/host/td_mirror.h"
#include "model/schedule/scheduler.h"
#include "model/vmm/conversion.h"

namespace sluice::model {
namespace {

constexpr std::uint64_t kSharedBit = kTdSharedGfn << kPageShift;
constexpr std::uint64_t kEnd = kSharedBit << 1;  // of a TD's addresses

/// What is left of a request.
struct Request {
  std::uint64_t next = 0;
  std::uint64_t end = 0;
  bool done() const { return next == end; }
};

Check check_request(const Vm& vm, const TdMapGpa& op) {
  if (!is_td(vm)) return fail(Check::kTdMapGpaNotTd);
  if (!vm.exit_hypercall) return fail(Check::kTdMapGpaDisabled);
  const std::uint64_t first = op.gpa.value;
  const std::uint64_t last = first + op.size.value - 1;
  // Assumption: INVALID_OPERAND for what is not aligned (tdx.md 4). Linux has an ALIGN_ERROR.
  const bool unaligned = ((op.gpa.value | op.size.value) & (kPageBytes - 1)) != 0;
  const bool outside = op.size.value == 0 || last < first || last >= kEnd;
  const bool mixed = ((first ^ last) & kSharedBit) != 0;
  return unaligned || outside || mixed ? fail(Check::kTdMapGpaRange) : Check::kOk;
}

/// More pieces than one operation may have, of a request that is served otherwise.
bool exceeds_limit(const Kernel& k, VcpuIndex index, const TdMapGpa& op) {
  return op.size.value >> kPageShift > kMaxPagesPerOp && run_gate(k, index) == Check::kOk &&
         check_request(k.vm(k.vcpu(index).vm), op) == Check::kOk;
}

/// The exit for the next piece.
ConversionExit take_piece(Request& left) {
  const std::uint64_t bytes = std::min(left.end - left.next, kBytesPer2M);
  const bool to_private = (left.next & kSharedBit) == 0;
  const ConversionExit exit{.gpa = left.next & ~kSharedBit,
                            .page_count = bytes >> kPageShift,
                            .attributes = to_private ? kMapGpaEncrypted : 0};
  left.next += bytes;
  return exit;
}

/// The end of the request behind the reaction to its last exit. R11 says where, as the guest writes
/// addresses.
Outcome outcome_of_reaction(Reaction reaction, const ConversionExit& exit) {
  Outcome failed = refuse(Check::kTdMapGpaVmmFailed);
  failed.has_value = true;
  failed.value = exit.gpa | (exit.attributes == 0 ? kSharedBit : 0);
  return outcome_of(reaction, exit, {.converted = {}, .failed = failed});
}

/// KVM_RUN finds the first piece by the guest's request, each further one by what it left to be
/// done when user space answers: it returns to user space before it looks for a signal.
Check gate_of_piece(Kernel& k, VcpuIndex index, bool first) {
  return first ? run_to_event(k, index) : run_gate(k, index);
}

}  // namespace

Outcome apply(Kernel& k, ActorId actor, const TdMapGpa& op) {
  const VcpuIndex index{actor.index};
  if (exceeds_limit(k, index, op)) return skip(Check::kSkipLimit);
  Request left{.next = op.gpa.value, .end = op.gpa.value + op.size.value};
  for (bool first = true;; first = false) {
    if (const Check gate = gate_of_piece(k, index, first); gate != Check::kOk) return answer(gate);
    Vcpu& vcpu = k.vcpu(index);
    const VmIndex vm = vcpu.vm;
    const Check bad = first ? check_request(k.vm(vm), op) : Check::kOk;
    if (bad != Check::kOk || left.done()) return outcome_of(bad);
    leave_for_conversion(k, vcpu);
    const ConversionExit exit = take_piece(left);
    const Reaction reaction = react(k, actor, vm, exit);
    if (reaction.reply != UserReply::kConverted || left.done())
      return outcome_of_reaction(reaction, exit);
  }
}

Task<Outcome> start(Kernel& k, ActorId actor, const TdMapGpa& op) {
  const VcpuIndex index{actor.index};
  if (exceeds_limit(k, index, op)) co_return skip(Check::kSkipLimit);
  Request left{.next = op.gpa.value, .end = op.gpa.value + op.size.value};
  for (bool first = true;; first = false) {
    co_await lock(k, vcpu_mutex(index));
    const Check gate = gate_of_piece(k, index, first);
    if (gate != Check::kOk) {
      unlock(k, vcpu_mutex(index));
      co_return answer(gate);
    }
    Vcpu& vcpu = k.vcpu(index);
    const VmIndex vm = vcpu.vm;
    const Check bad = first ? check_request(k.vm(vm), op) : Check::kOk;
    const bool over = bad != Check::kOk || left.done();
    if (!over) leave_for_conversion(k, vcpu);
    unlock(k, vcpu_mutex(index));  // KVM_RUN has returned
    if (over) co_return outcome_of(bad);
    const ConversionExit exit = take_piece(left);
    const Reaction reaction = co_await start_reaction(k, actor, vm, exit);
    const bool ends = reaction.reply != UserReply::kConverted || left.done();
    if (ends) co_return outcome_of_reaction(reaction, exit);
  }
}

}  // namespace sluice::model
