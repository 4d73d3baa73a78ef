// A guest_memfd in user space: mmap(2) of a page and the touch that faults it in (kvm.md 1.2; Linux
// kvm_gmem_mmap(), kvm_gmem_fault_user_mapping()). A page that was touched once stays mapped until
// it leaves the page cache; that mmap and touch are one operation leaves out mappings without one.
#include "model/host/guest_memfd.h"
#include "model/host/handlers.h"
#include "model/host/host_region.h"
#include "model/host/in_place.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {
namespace {

constexpr std::uint64_t kMaxFileBytes = 0x7fff'ffff'ffff'ffff;

/// The file is one that user space may fault pages of: before INIT_SHARED every mappable one, which
/// no VM with private memory had (kvm.md 1.1).
bool serves_user_faults(const Kernel& k, const Gmem& gmem, std::uint64_t index) {
  if (is_in_place(k)) return !is_private_page(k, gmem, index);
  if (planted(Planted::kMmapIgnoresInitShared)) return true;
  if (behavior::gmem_init_shared(k.version())) return (gmem.flags & kGmemFlagInitShared) != 0;
  return true;
}

}  // namespace

Check check_gmem_mmap(const Kernel& k, const Gmem& gmem, RawOffset offset) {
  if (offset.value >> kPageShift > (kMaxFileBytes - kPageBytes) >> kPageShift) {
    return Check::kGmemAccessTooFar;
  }
  const bool mappable = behavior::gmem_mmap(k.version()) && (gmem.flags & kGmemFlagMmap) != 0;
  return mappable || is_in_place(k) ? Check::kOk : Check::kGmemAccessNoMmap;
}

Outcome apply(Kernel& k, ActorId, const GmemAccess& op) {
  Gmem& gmem = k.gmem(op.gmem);
  if (!gmem.has_descriptor()) return skip(Check::kSkipNoGmem);
  if (const Check check = check_gmem_mmap(k, gmem, op.offset); check != Check::kOk) {
    return refuse(check);
  }
  const std::uint64_t index = op.offset.value >> kPageShift;
  const UserTouch touch{.page = user_page_of(op.gmem, index),
                        .write = op.kind == AccessKind::kWrite,
                        .token = op.value.value};
  if (const auto cached = touch_cached(k, touch)) return *cached;
  if (index >= gmem.page_count) return refuse(Check::kGmemAccessBeyondEof);
  if (!serves_user_faults(k, gmem, index)) return refuse(Check::kGmemAccessNotShared);
  if (const Check check = map_for_user(k, gmem, index); check != Check::kOk) return answer(check);
  return touch_as_user(k, find_page(k, gmem, index).pfn(), MapLevel::k4K, touch);
}

}  // namespace sluice::model
