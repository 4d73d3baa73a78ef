#include "oracle/guest_order.h"

#include <optional>
#include <variant>

#include "oracle/view_helpers.h"

namespace sluice::oracle {
namespace {

template <class... Ops>
constexpr std::uint64_t kBitsOf = (kOpBit<Ops> | ...);

/// What neither takes a page from a guest nor asks for that outside of the order: PVALIDATE counts
/// as kept, since the book of acceptance knows what it did. An allocation can be a hole, by its
/// mode. A change of slots can be harmless, too: where no file is bound, a GFN gets no page that
/// the guest has not accepted.
constexpr std::uint64_t kHarmless =
    kBitsOf<GuestConvert, GuestAccess, Pvalidate, RmpQuery, RmpAdjust, PreFaultMemory, HostAccess,
            CreateVm, CreateVcpu, SetCpuid, EnterSmm, LeaveSmm, EnterGuestMode, LeaveGuestMode,
            CreateGuestMemfd, SevInit2, LaunchStart, LaunchUpdate, LaunchFinish, RmpRead, Resume,
            SendSignal, HostUnmap, HostDontneed, NumaBalancing, DropCaches, GmemAccess,
            CreateIrqchip, KernelWrite>;

bool binds_a_file(const View& view) {
  return any_ran_op(view, [](const Op& op) {
    const auto* const region = std::get_if<SetMemoryRegion>(&op);
    return region != nullptr && region->gmem.is_gmem() && region->size.value != 0;
  });
}

/// The VM whose pages this operation of `actor` may take; none: perhaps any.
std::optional<VmIndex> vm_at_stake(const View& view, ActorId actor, const Op& op) {
  return std::visit(
      [&]<class T>(const T& own) -> std::optional<VmIndex> {
        if constexpr (requires { VmIndex{own.vm}; })
          return VmIndex{own.vm};
        else if constexpr (requires { GmemIndex{own.gmem}; })
          return view.gmem_before(own.gmem).vm;
        else if constexpr (T::kInfo.actor == ActorKind::kVcpu)
          return view.vm_of({actor.index});
        else
          return std::nullopt;
      },
      op);
}

template <class Visit>
void each_ran_op(const View& view, Visit&& visit) {
  const auto of = [&](ActorKind kind, unsigned count) {
    for (std::uint8_t i = 0; i < count; ++i) {
      const ActorId actor{.kind = kind, .index = i};
      if (const Op* const op = view.ran_op(actor); op != nullptr) visit(actor, *op);
    }
  };
  of(ActorKind::kVmm, kMaxVmmThreads), of(ActorKind::kVcpu, kMaxVcpus);
  of(ActorKind::kKernel, kMaxKernelWorkers);
}

constexpr std::uint64_t op_bit(const Op& op) { return std::uint64_t{1} << op.index(); }

}  // namespace

void GuestOrderBook::break_for(const View& view, VmIndex vm) {
  for (const Asid asid : {view.vm(vm).asid, view.vm_before(vm).asid}) {
    if (asid.value != 0) broken_ |= std::uint64_t{1} << bit_of(asid);
  }
}

void GuestOrderBook::note(const View& view, bool anything_accepted) {
  if (broken_ == ~std::uint64_t{0} || !anything_accepted) return;
  const PolicySet& policy = view.header().policy;
  const bool kills = policy.vmm == VmmPolicy::kKill && ran<GuestConvert>(view);
  const bool takes_more = punches_anywhere(policy) && ran<GuestConvert>(view);
  if (policy.guest != GuestPolicy::kEnlightened || kills || takes_more) {
    broken_ = ~std::uint64_t{0};
    return;
  }
  std::uint64_t harmless = kHarmless;
  if (ran<SetMemoryRegion>(view) && !binds_a_file(view)) harmless |= kOpBit<SetMemoryRegion>;
  if ((view.ran_ops() & ~harmless) == 0) return;
  std::uint64_t seen = 0;
  each_ran_op(view, [&](ActorId actor, const Op& op) {
    seen |= op_bit(op);
    if ((op_bit(op) & ~harmless) == 0) return;
    const auto vm = vm_at_stake(view, actor, op);
    if (vm) break_for(view, *vm);
    if (!vm) broken_ = ~std::uint64_t{0};
  });
  // What ran and has no actor of its own any more.
  if ((view.ran_ops() & ~harmless & ~seen) != 0) broken_ = ~std::uint64_t{0};
}

}  // namespace sluice::oracle
