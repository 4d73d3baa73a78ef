#include "oracle/requests.h"

#include <algorithm>

#include "oracle/view_helpers.h"

namespace sluice::oracle {
namespace {

/// The MSR and the entries of a GHCB's buffer have 40 bits for the frame.
constexpr std::uint64_t kGfnMask = (std::uint64_t{1} << 40) - 1;

/// Pages that the exits of a vCPU's page state change have named. Changes of neighboring exits are
/// told as one, so that the ends decide.
bool exits_name(const PscView& psc, Gfn first, std::uint64_t count) {
  const auto has_exit = [&](Gfn gfn) {
    return std::ranges::any_of(
        psc.exits, [&](const PscExit& exit) { return gfn.value - exit.first.value < exit.count; });
  };
  return has_exit(first) && has_exit(first + PageCount{count - 1});
}

/// A guest_convert writes a buffer for each part of its range. While it is stopped somebody may
/// write other pages into this one, also before KVM looks at it, or into one before it, whose exits
/// are no longer known.
bool buffer_names(const View& view, VcpuIndex vcpu, Gfn first, std::uint64_t count) {
  const PscView psc = view.psc(vcpu);
  const bool begins = std::holds_alternative<GuestConvert>(view.step().op);
  if (psc.began_in_step && !begins) return true;
  return (psc.written_by_others || psc.begun_by_others) && exits_name(psc, first, count);
}

/// npf_mismatch=auto_convert: by its instruction on a page a guest asks KVM itself to convert it.
bool asks_by_touching(const View& view, const Op& op, Gfn first, std::uint64_t count) {
  if (view.header().policy.npf_mismatch != NpfMismatch::kAutoConvert || count != 1) return false;
  return std::visit(
      [first]<class T>(const T& one) {
        if constexpr (requires { one.gfn == first; } && T::kInfo.actor == ActorKind::kVcpu) {
          return one.gfn == first;
        }
        return false;
      },
      op);
}

/// Guest pages that this vCPU's request is about, whoever has run it; of a TD without the SHARED
/// bit. Of a request that others could reach while it was stopped: perhaps.
bool asks_about(const View& view, VcpuIndex vcpu, const Op& op, Gfn first, std::uint64_t count) {
  if (const auto* const range = std::get_if<MapGpaRange>(&op)) {
    return lies_within(first.value, count, range->gpa.value >> kPageShift, range->page_count.value);
  }
  if (const auto* const msr = std::get_if<PscMsr>(&op)) {
    return lies_within(first.value, count, msr->gfn.value & kGfnMask, 1);
  }
  if (const auto* const td = std::get_if<TdMapGpa>(&op)) {
    return lies_within(first.value, count, (td->gpa.value & ~kTdSharedBit) >> kPageShift,
                       td->size.value >> kPageShift);
  }
  if (const auto* const all = std::get_if<GuestConvert>(&op)) {
    const std::uint64_t offset = (first.value - all->gfn.value) & kGfnMask;
    return lies_within(offset, count, 0, all->page_count.value) ||
           buffer_names(view, vcpu, first, count);
  }
  if (asks_by_touching(view, op, first, count)) return true;
  return std::holds_alternative<Psc>(op) && exits_name(view.psc(vcpu), first, count);
}

}  // namespace

bool was_asked_to_convert(const View& view, VmIndex vm, Gfn first, std::uint64_t count) {
  const bool by_touch = view.header().policy.npf_mismatch == NpfMismatch::kAutoConvert;
  if (!by_touch && !ran_guest_request(view)) return false;
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    const Op* const op = view.ran_op({.kind = ActorKind::kVcpu, .index = i});
    if (op == nullptr) continue;
    if (!view.vcpu({i}).exists) return true;  // gone since: whose it was, and what, nobody can say
    if (view.vm_of({i}) == vm && asks_about(view, {i}, *op, first, count)) return true;
  }
  return false;
}

}  // namespace sluice::oracle
