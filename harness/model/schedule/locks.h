// The locks of KVM that an operation can hold while it is stopped, with their kinds and their one
// order (kvm.md 10; Linux Documentation/virt/kvm/locking.rst).
#pragma once
#include <array>
#include <cstdint>

#include "ops/fields.h"
#include "trace/outcome.h"

namespace sluice::model {

/// Outer to inner: who holds one may take only locks further down this list. SRCU and
/// mn_active_invalidate_count are no locks; scheduler.h says what they forbid.
/// Left out: slots_arch_lock and mn_invalidate_lock, which nobody holds at an interleaving point.
// Deviation: the folio lock is left out. In Linux a fault that has found its page holds it until
// the page is prepared (the point gmem.folio_found lies between), and a hole waits there to drop
// the page.
enum class LockKind : std::uint8_t {
  kKvmLock,         // mutex, one per VM
  kVcpuMutex,       // mutex, one per vCPU: held for a whole vCPU ioctl
  kSlotsLock,       // mutex, one per VM: memslot and attribute changes
  kInvalidateLock,  // rw_semaphore, one per guest_memfd inode
  kMmapLock,        // rw_semaphore, one: the process maps, unmaps, or gets a notifier
  kMmuLock,         // rwlock, one per VM: a spinning lock, nobody sleeps under it
};

enum class LockMode : std::uint8_t { kExclusive, kShared };

/// One lock. `number()` rises with the order, so that "all held are further out" is one compare.
struct LockId {
  LockKind kind{};
  std::uint8_t index = 0;

  constexpr unsigned number() const { return kFirst[static_cast<unsigned>(kind)] + index; }
  friend constexpr bool operator==(LockId, LockId) = default;

  static constexpr std::array<unsigned, 7> kFirst{0,
                                                  kMaxVms,
                                                  kMaxVms + kMaxVcpus,
                                                  2 * kMaxVms + kMaxVcpus,
                                                  2 * kMaxVms + kMaxVcpus + kMaxGmems,
                                                  2 * kMaxVms + kMaxVcpus + kMaxGmems + 1,
                                                  3 * kMaxVms + kMaxVcpus + kMaxGmems + 1};
};
inline constexpr unsigned kLockCount = LockId::kFirst[6];
static_assert(kLockCount <= 32, "held locks are a 32-bit mask");

constexpr LockId kvm_lock(VmIndex vm) { return {LockKind::kKvmLock, vm.value}; }
constexpr LockId vcpu_mutex(VcpuIndex vcpu) { return {LockKind::kVcpuMutex, vcpu.value}; }
constexpr LockId slots_lock(VmIndex vm) { return {LockKind::kSlotsLock, vm.value}; }
constexpr LockId invalidate_lock(GmemIndex gmem) { return {LockKind::kInvalidateLock, gmem.value}; }
constexpr LockId mmap_lock() { return {LockKind::kMmapLock, 0}; }
constexpr LockId mmu_lock(VmIndex vm) { return {LockKind::kMmuLock, vm.value}; }

constexpr WaitFor wait_for(LockKind kind) {
  constexpr std::array kWaits{WaitFor::kKvmLock,        WaitFor::kVcpuMutex, WaitFor::kSlotsLock,
                              WaitFor::kInvalidateLock, WaitFor::kMmapLock,  WaitFor::kMmuLock};
  return kWaits[static_cast<unsigned>(kind)];
}
/// mmu_lock, a qrwlock, lets no reader overtake a writer that waits.
// Assumption: a reader of invalidate_lock does not overtake a waiting writer either, although an
// rwsem lets one in until the writer asks for a hand-off (Linux rwsem_down_read_slowpath()).
constexpr bool can_be_shared(LockKind kind) {
  return kind == LockKind::kInvalidateLock || kind == LockKind::kMmuLock;
}

}  // namespace sluice::model
