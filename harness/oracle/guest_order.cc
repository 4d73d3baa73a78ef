#include "oracle/guest_order.h"

#include "oracle/view_helpers.h"

namespace sluice::oracle {
namespace {

template <class... Ops>
constexpr std::uint64_t kBitsOf = (kOpBit<Ops> | ...);

/// What neither takes a page from a guest nor asks for that outside of the order: PVALIDATE counts
/// as kept, since the book of acceptance knows what it did. An allocation can be a hole, by its
/// mode.
constexpr std::uint64_t kHarmless =
    kBitsOf<GuestConvert, GuestAccess, Pvalidate, RmpQuery, RmpAdjust, PreFaultMemory, HostAccess,
            CreateVm, CreateVcpu, SetCpuid, EnterSmm, LeaveSmm, EnterGuestMode, LeaveGuestMode,
            CreateGuestMemfd, SevInit2, LaunchStart, LaunchUpdate, LaunchFinish, RmpRead, Resume>;

}  // namespace

void GuestOrderBook::note(const View& view, bool anything_accepted) {
  if (!holds_ || !anything_accepted) return;
  const PolicySet& policy = view.header().policy;
  const bool keeps_order = policy.guest == GuestPolicy::kEnlightened;
  const bool kills = policy.vmm == VmmPolicy::kKill && ran<GuestConvert>(view);
  holds_ = keeps_order && !kills && (view.ran_ops() & ~kHarmless) == 0;
}

}  // namespace sluice::oracle
