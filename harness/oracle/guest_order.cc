#include "oracle/guest_order.h"

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
            CreateIrqchip>;

bool binds_a_file(const View& view) {
  return any_ran_op(view, [](const Op& op) {
    const auto* const region = std::get_if<SetMemoryRegion>(&op);
    return region != nullptr && region->gmem.is_gmem() && region->size.value != 0;
  });
}

}  // namespace

void GuestOrderBook::note(const View& view, bool anything_accepted) {
  if (!holds_ || !anything_accepted) return;
  const PolicySet& policy = view.header().policy;
  const bool keeps_order = policy.guest == GuestPolicy::kEnlightened;
  const bool kills = policy.vmm == VmmPolicy::kKill && ran<GuestConvert>(view);
  std::uint64_t harmless = kHarmless;
  if (ran<SetMemoryRegion>(view) && !binds_a_file(view)) harmless |= kOpBit<SetMemoryRegion>;
  holds_ = keeps_order && !kills && (view.ran_ops() & ~harmless) == 0;
}

}  // namespace sluice::oracle
