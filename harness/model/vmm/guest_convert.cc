#include "model/vmm/guest_convert.h"

#include <algorithm>

#include "model/guest/run.h"
#include "model/host/run_gate.h"
#include "model/schedule/scheduler.h"
#include "model/vmm/psc.h"

namespace sluice::model {
namespace {

Gfn end_of(const GuestConvert& op) {
  const bool truncates = op.to_private && planted(Planted::kAcceptTruncatesCount);
  return op.gfn + PageCount{op.page_count.value & (truncates ? 0xffu : ~0u)};
}

/// The entries of one request: a walk over the range from `next`.
struct Chunk {
  std::array<PscEntry, kPscEntriesPerRequest> entries{};
  std::array<Gfn, kPscEntriesPerRequest> frames{};  // of which an entry has room for 40 bits
  unsigned count = 0;
};
Chunk take_chunk(const GuestConvert& op, Gfn& next) {
  const Gfn end = end_of(op);
  const std::uint8_t operation = op.to_private ? PscOperation::kPrivate : PscOperation::kShared;
  Chunk chunk;
  while (next < end && chunk.count < kPscEntriesPerRequest) {
    const bool large =
        op.large && next.is_aligned(kFramesPer2M) && (end - next).value >= kFramesPer2M;
    const PscEntry entry = psc_entry(operation, next, large);
    chunk.entries[chunk.count] = entry;
    chunk.frames[chunk.count++] = next;
    next = next + PageCount{entry.pages()};
  }
  return chunk;
}

enum class When : std::uint8_t { kNever, kBefore, kAfter };
/// When PVALIDATE comes: before or after the request.
When pvalidate_time(GuestPolicy policy, bool to_private) {
  switch (policy) {
    case GuestPolicy::kKeepsValidated:
      return to_private ? When::kAfter : When::kNever;
    case GuestPolicy::kRescindsLate:
      return When::kAfter;
    case GuestPolicy::kValidatesEarly:
      return When::kBefore;
    case GuestPolicy::kNeverValidates:
      return to_private ? When::kNever : When::kBefore;
    case GuestPolicy::kEnlightened:
    case GuestPolicy::kTrustsTheHost:
    case GuestPolicy::kAcceptsOnVc:
      break;
  }
  return to_private ? When::kAfter : When::kBefore;
}

/// One PVALIDATE after the other over a chunk; an entry of 2 MiB that meets smaller pages goes page
/// by page.
struct Walk {
  unsigned entry = 0;
  unsigned page = 0;
  bool small = false;  // inside an entry of 2 MiB, page by page
};
GuestInstruction pvalidate_at(const Chunk& chunk, const Walk& at, bool validate) {
  const PscEntry entry = chunk.entries[at.entry];
  return {.action = GuestAction::kPvalidate,
          .kind = AccessKind::kWrite,
          .validate = validate,
          .reenters = true,
          .size = entry.is_2m() && !at.small ? PageSizeArg::k2M : PageSizeArg::k4K,
          .gfn = chunk.frames[at.entry] + PageCount{at.page}};
}
bool is_about_size(const Outcome& out) { return out.check == Check::kPvalidateSizeMismatch; }
/// The guest has its answer in registers, whatever it is: KVM_RUN goes on.
bool is_inside_guest(const Outcome& out) {
  return out.ok() || out.kind == StatusKind::kCode || out.kind == StatusKind::kCarry;
}
/// Goes on after `out`; what ends the operation, if anything.
Check advance(const Chunk& chunk, const Outcome& out, bool trusts, Walk& at) {
  const PscEntry entry = chunk.entries[at.entry];
  if (is_about_size(out) && entry.is_2m() && !at.small) {
    at.small = true;
    return Check::kOk;
  }
  if (!out.ok() && !trusts) {
    if (const Check check = fail(Check::kGuestConvertPvalidate); check != Check::kOk) return check;
  }
  if (at.small && ++at.page < kFramesPer2M) return Check::kOk;
  at = {.entry = at.entry + 1};
  return Check::kOk;
}

/// What the guest makes of KVM's answer to one VMGEXIT of a request that began with `start`.
Check judge_answer(const Vcpu& vcpu, const Outcome& out, PscHeader start) {
  const PscHeader now = vcpu.psc.buffer.header();
  if (out.kind == StatusKind::kGhcb) {
    if (const Check check = fail(Check::kGuestConvertAnswer); check != Check::kOk) return check;
  }
  if (now.reserved() != 0) {
    if (const Check check = fail(Check::kGuestConvertReserved); check != Check::kOk) return check;
  }
  if (now.end_entry() > start.end_entry()) {
    if (const Check check = fail(Check::kGuestConvertEndGrew); check != Check::kOk) return check;
  }
  // Left out: Linux also compares cur_entry with its value at the start, which always is 0.
  return Check::kOk;
}
/// KVM_RUN went on with an answer in the GHCB; ignored conversions look done to the guest.
bool is_answered(const Outcome& out) {
  return out.ok() || out.kind == StatusKind::kGhcb || out.check == Check::kMapGpaIgnored;
}
bool is_left_over(const Vcpu& vcpu) {
  const PscHeader header = vcpu.psc.buffer.header();
  return header.cur_entry() <= header.end_entry();
}

/// What a request comes to for the operation: an error that the guest does not look at is none, and
/// SW_EXITINFO2 stays between the two.
Outcome seen_by_guest(Outcome out) {
  if (out.kind == StatusKind::kGhcb) return {};
  out.has_value = false;
  out.value = 0;
  return out;
}

/// The guest writes the request into its GHCB.
PscHeader write_request(Kernel& k, Vcpu& vcpu, const Chunk& chunk) {
  const PscHeader header = psc_header({}, {.value = static_cast<std::uint16_t>(chunk.count - 1)});
  fill_psc_buffer(k, vcpu, header, std::span(chunk.entries).first(chunk.count));
  return header;
}

/// PVALIDATE over a chunk; ok, or what ends the operation.
Outcome pvalidate_chunk(Kernel& k, VcpuIndex index, const Chunk& chunk, bool validate) {
  const bool trusts = k.machine.header.policy.guest == GuestPolicy::kTrustsTheHost;
  for (Walk at{}; at.entry < chunk.count;) {
    const Outcome out = run_guest(k, index, pvalidate_at(chunk, at, validate));
    if (!is_inside_guest(out)) return out;
    const Check check = advance(chunk, out, trusts, at);
    if (check != Check::kOk) return outcome_of(check);
  }
  return {};
}

Task<Outcome> start_pvalidate_chunk(Kernel& k, VcpuIndex index, const Chunk& chunk, bool validate) {
  const bool trusts = k.machine.header.policy.guest == GuestPolicy::kTrustsTheHost;
  for (Walk at{}; at.entry < chunk.count;) {
    const GuestInstruction instruction = pvalidate_at(chunk, at, validate);
    const Outcome out = co_await start_guest(k, index, instruction);
    if (!is_inside_guest(out)) co_return out;
    const Check check = advance(chunk, out, trusts, at);
    if (check != Check::kOk) co_return outcome_of(check);
  }
  co_return Outcome{};
}

/// VMGEXIT until KVM has done all entries; ok, or what ends the operation.
Outcome request_chunk(Kernel& k, ActorId actor, VcpuIndex index, const Chunk& chunk) {
  const bool trusts = k.machine.header.policy.guest == GuestPolicy::kTrustsTheHost;
  Vcpu& vcpu = k.vcpu(index);
  Check gate = run_gate(k, index);
  if (gate == Check::kOk) gate = enter_with_root(k, vcpu);
  if (gate != Check::kOk) return answer(gate);
  const PscHeader start = write_request(k, vcpu, chunk);
  const Check bad = begin_psc(k, vcpu, {});
  const Outcome out = bad != Check::kOk ? refuse_psc(bad) : run_psc(k, actor, index);
  if (!is_answered(out)) return out;
  // Nobody else acts in between: KVM has done all, or has refused.
  const Check check = trusts ? Check::kOk : judge_answer(vcpu, out, start);
  return check == Check::kOk ? seen_by_guest(out) : outcome_of(check);
}

/// One VMGEXIT. Pre: the actor holds the vCPU's mutex, which is free afterwards.
Task<Outcome> start_begun(Kernel& k, ActorId actor, VcpuIndex index, Check refused) {
  if (refused == Check::kOk) co_return co_await start_psc(k, actor, index);
  unlock(k, vcpu_mutex(index));
  co_return refuse_psc(refused);
}

Task<Outcome> start_request_chunk(Kernel& k, ActorId actor, VcpuIndex index, const Chunk& chunk) {
  const bool trusts = k.machine.header.policy.guest == GuestPolicy::kTrustsTheHost;
  Vcpu& vcpu = k.vcpu(index);
  PscHeader start{};
  std::uint64_t request = 0;
  for (bool again = false;; again = true) {
    co_await lock(k, vcpu_mutex(index));
    Check bad = run_gate(k, index);
    // Meanwhile the VM went, and another one has a vCPU of this number.
    if (bad == Check::kOk && again && vcpu.psc.requests != request) bad = Check::kSkipNoVcpu;
    if (bad == Check::kOk) bad = enter_with_root(k, vcpu);
    if (bad != Check::kOk) {
      unlock(k, vcpu_mutex(index));
      co_return answer(bad);
    }
    if (!again) start = write_request(k, vcpu, chunk);
    bad = begin_psc(k, vcpu, {});
    request = vcpu.psc.requests;
    const Outcome out = co_await start_begun(k, actor, index, bad);
    if (!is_answered(out)) co_return out;
    co_await point(k, Point::kGuestAfterPsc);
    if (vcpu.psc.requests != request) continue;
    const Check check = trusts ? Check::kOk : judge_answer(vcpu, out, start);
    if (check != Check::kOk) co_return outcome_of(check);
    const bool refused = out.kind == StatusKind::kGhcb;  // and nobody looked
    if (refused || !is_left_over(vcpu)) co_return seen_by_guest(out);
  }
}

/// Whether what a part of it came to ends the operation. Of those that do not, the last with an
/// exit is kept.
bool ends(const Outcome& part, Outcome& last) {
  const bool goes_on = part.ok() || part.check == Check::kMapGpaIgnored;
  if (!goes_on || part.exit.reason != 0) last = part;
  return !goes_on;
}

}  // namespace

Outcome apply(Kernel& k, ActorId actor, const GuestConvert& op) {
  const VcpuIndex index{actor.index};
  if (const Check gate = enter_gate(k, index); gate != Check::kOk) return answer(gate);
  const When when = pvalidate_time(k.machine.header.policy.guest, op.to_private);
  Outcome last{};
  const Gfn end = end_of(op);
  for (Gfn next = op.gfn; next < end;) {
    const Chunk chunk = take_chunk(op, next);
    if (when == When::kBefore && ends(pvalidate_chunk(k, index, chunk, op.to_private), last))
      return last;
    if (ends(request_chunk(k, actor, index, chunk), last)) return last;
    if (when == When::kAfter && ends(pvalidate_chunk(k, index, chunk, op.to_private), last))
      return last;
  }
  return last;
}

Task<Outcome> start(Kernel& k, ActorId actor, const GuestConvert& op) {
  const VcpuIndex index{actor.index};
  const Check gate = enter_gate(k, index);
  if (gate != Check::kOk) co_return answer(gate);
  const When when = pvalidate_time(k.machine.header.policy.guest, op.to_private);
  Outcome last{};
  const Gfn end = end_of(op);
  for (Gfn next = op.gfn; next < end;) {
    const Chunk chunk = take_chunk(op, next);
    if (when == When::kBefore) {
      const Outcome part = co_await start_pvalidate_chunk(k, index, chunk, op.to_private);
      if (ends(part, last)) co_return last;
    }
    co_await point(k, Point::kGuestBeforePsc);
    const Outcome asked = co_await start_request_chunk(k, actor, index, chunk);
    if (ends(asked, last)) co_return last;
    if (when == When::kAfter) {
      const Outcome part = co_await start_pvalidate_chunk(k, index, chunk, op.to_private);
      if (ends(part, last)) co_return last;
    }
  }
  co_return last;
}

}  // namespace sluice::model
