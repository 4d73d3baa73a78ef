#include "model/vmm/psc.h"

#include "model/host/run_gate.h"
#include "model/schedule/scheduler.h"
#include "model/vmm/conversion.h"

namespace sluice::model {
namespace {

ConversionExit exit_of(const PscMsr& op) {
  const bool to_private = op.operation.value == PscOperation::kPrivate;
  // The MSR has 40 bits for the frame.
  return {.gpa = address_of(Gfn{op.gfn.value & PscEntry::kGfnMask}).value,
          .page_count = 1,
          .attributes = to_private ? kMapGpaEncrypted : 0};
}

Outcome outcome_of_msr(Reaction reaction, const ConversionExit& exit) {
  return outcome_of(reaction, exit,
                    {.converted = answer_psc_msr(Check::kOk),
                     .failed = answer_psc_msr(fail(Check::kPscMsrVmmFailed))});
}

/// The guest fills its buffer and does VMGEXIT; true if KVM took the request.
Check begin(Kernel& k, Vcpu& vcpu, const Psc& op) {
  const std::array<PscEntry, 4> entries{op.entry0, op.entry1, op.entry2, op.entry3};
  fill_psc_buffer(k, vcpu, psc_header(op.cur_entry, op.end_entry), entries);
  return begin_psc(k, vcpu, {.ghcb = op.ghcb, .version = op.version, .scratch = op.scratch});
}

/// Where a request stands after user space's part.
struct Progress {
  bool over = false;
  Outcome outcome{};
};

/// KVM_RUN after an exit, up to the completion of the batch (snp_host.md 5.4).
Progress reenter(Kernel& k, VcpuIndex index, Reaction reaction, const ConversionExit& exit) {
  if (reaction.reply == UserReply::kKilled) {
    return {.over = true, .outcome = not_converted(reaction.reply, exit)};
  }
  if (const Check gate = run_gate(k, index); gate != Check::kOk) {
    return {.over = true, .outcome = answer(gate)};
  }
  Vcpu& vcpu = k.vcpu(index);
  // Meanwhile the VM went, and another one has a vCPU of this number.
  if (!vcpu.psc.exit_pending) return {.over = true, .outcome = skip(Check::kSkipNoVcpu)};
  if (reaction.reply == UserReply::kSkipped) {
    finish_psc(k, vcpu, Check::kPscVmmFailed);
    return {.over = true, .outcome = skip(reaction.skip)};
  }
  const bool failed = reaction.reply == UserReply::kFailed;
  if (!failed) note_psc_granted(k, vcpu);
  if (failed && !planted(Planted::kPscIgnoresReply)) {
    if (const Check check = fail(Check::kPscVmmFailed); check != Check::kOk) {
      return {.over = true, .outcome = with_exit(finish_psc(k, vcpu, check), exit)};
    }
  }
  complete_psc_batch(k, vcpu);
  return {};
}

/// The guest has its answer; `exit` is the last one, if there was any.
Outcome finished(Kernel& k, VcpuIndex index, Check check, const ConversionExit& exit) {
  const Outcome out = finish_psc(k, k.vcpu(index), check);
  const bool exited = exit.page_count != 0;
  const bool ignored = exited && k.machine.header.policy.vmm == VmmPolicy::kIgnore;
  if (check == Check::kOk && ignored) return not_converted(UserReply::kIgnored, exit);
  return exited ? with_exit(out, exit) : out;
}

}  // namespace

Outcome apply(Kernel& k, ActorId actor, const PscMsr& op) {
  const VcpuIndex index{actor.index};
  if (const Check gate = run_to_event(k, index); gate != Check::kOk) return answer(gate);
  Vcpu& vcpu = k.vcpu(index);
  const VmIndex vm = vcpu.vm;
  if (const Check bad = check_psc_msr(k.vm(vm), op.operation); bad != Check::kOk) {
    return answer_psc_msr(bad);
  }
  leave_for_conversion(k, vcpu);
  const ConversionExit exit = exit_of(op);
  return outcome_of_msr(react(k, actor, vm, exit), exit);
}

Task<Outcome> start(Kernel& k, ActorId actor, const PscMsr& op) {
  const VcpuIndex index{actor.index};
  co_await lock(k, vcpu_mutex(index));
  const Check gate = run_to_event(k, index);
  if (gate != Check::kOk) {
    unlock(k, vcpu_mutex(index));
    co_return answer(gate);
  }
  Vcpu& vcpu = k.vcpu(index);
  const VmIndex vm = vcpu.vm;
  const Check bad = check_psc_msr(k.vm(vm), op.operation);
  if (bad == Check::kOk) leave_for_conversion(k, vcpu);
  unlock(k, vcpu_mutex(index));  // KVM_RUN has returned
  if (bad != Check::kOk) co_return answer_psc_msr(bad);
  const ConversionExit exit = exit_of(op);
  const Reaction reaction = co_await start_reaction(k, actor, vm, exit);
  co_return outcome_of_msr(reaction, exit);
}

Outcome apply(Kernel& k, ActorId actor, const Psc& op) {
  const VcpuIndex index{actor.index};
  if (const Check gate = run_to_event(k, index); gate != Check::kOk) return answer(gate);
  if (const Check bad = begin(k, k.vcpu(index), op); bad != Check::kOk) return refuse_psc(bad);
  return run_psc(k, actor, index);
}

Task<Outcome> start(Kernel& k, ActorId actor, const Psc& op) {
  const VcpuIndex index{actor.index};
  co_await lock(k, vcpu_mutex(index));
  Check bad = run_to_event(k, index);
  if (bad != Check::kOk) {
    unlock(k, vcpu_mutex(index));
    co_return answer(bad);
  }
  bad = begin(k, k.vcpu(index), op);
  if (bad != Check::kOk) {
    unlock(k, vcpu_mutex(index));
    co_return refuse_psc(bad);
  }
  co_return co_await start_psc(k, actor, index);
}

Outcome run_psc(Kernel& k, ActorId actor, VcpuIndex index) {
  Vcpu& vcpu = k.vcpu(index);
  const VmIndex vm = vcpu.vm;
  ConversionExit exit{};
  for (;;) {
    const PscStart first = find_psc_start(k, vcpu);
    if (!first.found) return finished(k, index, first.refused, exit);
    if (!take_psc_batch(k, vcpu, first, exit)) continue;
    leave_for_conversion(k, vcpu);
    const Progress at = reenter(k, index, react(k, actor, vm, exit), exit);
    if (at.over) return at.outcome;
  }
}

Task<Outcome> start_psc(Kernel& k, ActorId actor, VcpuIndex index) {
  Vcpu& vcpu = k.vcpu(index);
  const VmIndex vm = vcpu.vm;
  ConversionExit exit{};
  for (;;) {
    const PscStart first = find_psc_start(k, vcpu);
    if (!first.found) {
      const Outcome out = finished(k, index, first.refused, exit);
      unlock(k, vcpu_mutex(index));
      co_return out;
    }
    co_await point(k, Point::kPscEntryRead);
    const bool exits = take_psc_batch(k, vcpu, first, exit);
    if (!exits) continue;
    leave_for_conversion(k, vcpu);
    unlock(k, vcpu_mutex(index));  // KVM_RUN has returned
    const Reaction reaction = co_await start_reaction(k, actor, vm, exit);
    co_await lock(k, vcpu_mutex(index));
    const Progress at = reenter(k, index, reaction, exit);
    if (!at.over) continue;
    unlock(k, vcpu_mutex(index));
    co_return at.outcome;
  }
}

Outcome apply(Kernel& k, ActorId, const GhcbWriteHeader& op) {
  Vcpu& vcpu = k.vcpu(op.vcpu);
  if (!vcpu.exists) return skip(Check::kSkipNoVcpu);
  write_psc_word(k, vcpu, 0, psc_header(op.cur_entry, op.end_entry, op.reserved).value);
  return {};
}

Outcome apply(Kernel& k, ActorId, const GhcbWriteEntry& op) {
  Vcpu& vcpu = k.vcpu(op.vcpu);
  if (!vcpu.exists) return skip(Check::kSkipNoVcpu);
  if (op.index.value < kPscMaxEntries) {
    write_psc_word(k, vcpu, 1u + op.index.value, op.entry.value);
  }
  return {};
}

Outcome apply(Kernel& k, ActorId, const GhcbWriteScratch& op) {
  Vcpu& vcpu = k.vcpu(op.vcpu);
  if (!vcpu.exists) return skip(Check::kSkipNoVcpu);
  write_scratch(k, vcpu, op.scratch);
  return {};
}

}  // namespace sluice::model
