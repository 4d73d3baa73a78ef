#include "model/vmm/conversion.h"

#include "model/host/guest_memfd.h"
#include "model/host/handlers.h"
#include "model/host/memslots.h"
#include "model/schedule/scheduler.h"

namespace sluice::model {
namespace {

constexpr std::uint64_t kPageLimit = std::uint64_t{1} << (64 - kPageShift);

bool is_to_private(const ConversionExit& exit) { return (exit.attributes & kMapGpaEncrypted) != 0; }

SetMemoryAttributes conversion_of(VmIndex vm, const ConversionExit& exit) {
  return {.vm = vm,
          .address = {exit.gpa},
          .size = {exit.page_count << kPageShift},
          .attributes = {is_to_private(exit) ? kAttributePrivate : 0}};
}

/// What user space frees of one slot after a conversion; size 0: nothing.
struct Reclaim {
  GmemPunchHole hole{.size = {0}};
  HostDontneed discard{.size = {0}};
  GmemPunchHole other{.size = {0}};  // convert_reclaim=random_holes
};

Reclaim reclaim_of(const Kernel& k, const Memslot& slot, const ConversionExit& exit) {
  Reclaim reclaim{};
  const ReclaimSteps steps = reclaim_after(k.machine.header.policy, is_to_private(exit));
  if (!slot.used || slot.address_space != 0 || slot.gmem == GmemRef::kNone) return reclaim;
  const Gfn first{exit.gpa >> kPageShift};
  const GfnRange part =
      GfnRange{.first = first, .last = first + PageCount{exit.page_count}}.clip(range_of(slot));
  if (part.empty()) return reclaim;
  const std::uint64_t index = file_index(slot, part.first);
  const std::uint64_t bytes = part.count().value << kPageShift;
  if (steps.copy) {
    const std::uint64_t extra = planted(Planted::kReclaimPunchesNeighbor) ? kPageBytes : 0;
    reclaim.hole = {.gmem = {slot.gmem}, .offset = {index << kPageShift}, .size = {bytes + extra}};
  }
  if (steps.shared) {
    const std::uint64_t offset = (part.first - slot.base).value << kPageShift;
    reclaim.discard = {.hva = {.value = slot.hva - kHostRegionAddress + offset}, .size = {bytes}};
  }
  if (steps.elsewhere) {
    reclaim.other = {.gmem = {slot.gmem},
                     .offset = {page_punched_anywhere(index) << kPageShift},
                     .size = {kPageBytes}};
  }
  return reclaim;
}

/// Of a conversion that was not done.
Reaction failure(const Outcome& converted) {
  if (converted.skipped()) return {.reply = UserReply::kSkipped, .skip = converted.check};
  return {.reply = UserReply::kFailed};
}

}  // namespace

Reaction react(Kernel& k, ActorId actor, VmIndex vm, const ConversionExit& exit) {
  const VmmPolicy policy = k.machine.header.policy.vmm;
  if (policy == VmmPolicy::kIgnore) return {.reply = UserReply::kIgnored};
  if (policy == VmmPolicy::kKill) {
    apply(k, actor, DestroyVm{.vm = vm});
    return {.reply = UserReply::kKilled};
  }
  if (policy == VmmPolicy::kRefuse || exit.page_count >= kPageLimit) {
    return {.reply = UserReply::kFailed};
  }
  const Outcome converted = apply(k, actor, conversion_of(vm, exit));
  if (!converted.ok()) return failure(converted);
  for (std::uint64_t i = 0; i < k.vm(vm).slot_high_water; ++i) {
    const Reclaim reclaim = reclaim_of(k, k.vm(vm).slots[i], exit);
    if (reclaim.hole.size.value != 0) apply(k, actor, reclaim.hole);
    if (reclaim.discard.size.value != 0) apply(k, actor, reclaim.discard);
    if (reclaim.other.size.value != 0) apply(k, actor, reclaim.other);
  }
  return {};
}

Task<Reaction> start_reaction(Kernel& k, ActorId actor, VmIndex vm, ConversionExit exit) {
  // User space has descriptors of the VM that has left, not of one that gets its number meanwhile.
  const std::uint32_t life = k.vm(vm).life;
  co_await point(k, Point::kHypercallExit);
  if (k.vm(vm).life != life) co_return failure(skip(Check::kSkipNoVm));
  const VmmPolicy policy = k.machine.header.policy.vmm;
  if (policy == VmmPolicy::kIgnore) co_return Reaction{.reply = UserReply::kIgnored};
  if (policy == VmmPolicy::kKill) {
    const DestroyVm destroy{.vm = vm};
    co_await start(k, actor, destroy);
    co_return Reaction{.reply = UserReply::kKilled};
  }
  if (policy == VmmPolicy::kRefuse || exit.page_count >= kPageLimit) {
    co_return Reaction{.reply = UserReply::kFailed};
  }
  const SetMemoryAttributes conversion = conversion_of(vm, exit);
  const Outcome converted = co_await start(k, actor, conversion);
  if (!converted.ok()) co_return failure(converted);
  co_await point(k, Point::kHypercallConverted);
  for (std::uint64_t i = 0; i < k.vm(vm).slot_high_water; ++i) {
    if (k.vm(vm).life != life) break;
    const Reclaim reclaim = reclaim_of(k, k.vm(vm).slots[i], exit);
    if (reclaim.hole.size.value != 0) {
      co_await start(k, actor, reclaim.hole);
    }
    if (reclaim.discard.size.value != 0) {
      co_await start(k, actor, reclaim.discard);
    }
    if (reclaim.other.size.value != 0) {
      co_await start(k, actor, reclaim.other);
    }
  }
  co_return Reaction{};
}

void leave_for_conversion(Kernel& k, const Vcpu& vcpu) {
  k.event(EventKind::kExitToUser, k.vm(vcpu.vm), kExitHypercall);
}

Outcome with_exit(Outcome out, const ConversionExit& exit) {
  out.exit = {.reason = kExitHypercall,
              .gpa = exit.gpa,
              .size = exit.page_count,
              .attributes = exit.attributes};
  return out;
}

Outcome not_converted(UserReply reply, const ConversionExit& exit) {
  const bool killed = reply == UserReply::kKilled;
  return with_exit(refuse(killed ? Check::kMapGpaKilled : Check::kMapGpaIgnored), exit);
}

Outcome outcome_of(Reaction reaction, const ConversionExit& exit, const Answers& answers) {
  switch (reaction.reply) {
    case UserReply::kConverted:
      return with_exit(answers.converted, exit);
    case UserReply::kFailed:
      return with_exit(answers.failed, exit);
    case UserReply::kSkipped:
      return skip(reaction.skip);
    case UserReply::kIgnored:
    case UserReply::kKilled:
      break;
  }
  return not_converted(reaction.reply, exit);
}

}  // namespace sluice::model
