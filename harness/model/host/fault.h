// The fault path of the TDP MMU, shared by guest accesses and pre-faults (kvm.md 5; Linux
// kvm_mmu_do_page_fault(), kvm_tdp_page_fault(), kvm_mmu_faultin_pfn()). It is cut where the kernel
// can be interrupted: a straight driver runs the pieces in a row, a coroutine stops between them.
#pragma once
#include "model/host/tdp_mmu.h"
#include "model/schedule/scheduler.h"

namespace sluice::model {

/// RET_PF_*, and kError for a negative errno.
enum class FaultStatus : std::uint8_t {
  kContinue,
  kRetry,
  kEmulate,  // no page behind it: MMIO
  kWriteProtected,
  kInvalid,
  kFixed,
  kSpurious,
  kError
};

/// struct kvm_page_fault: what is asked, and what the pieces find out.
struct PageFault {
  // The access.
  Gfn gfn{};
  bool is_private = false;  // SNP: the C bit; a guest fault of SW_PROTECTED fills it in itself
  bool write = false;
  bool present = false;   // the walk found a present leaf: a permission fault
  bool reserved = false;  // it found an MMIO entry, of whatever generation
  bool prefetch = false;

  // What was found.
  SlotIndex slot = kNoSlot;
  // That slot as it was at the look-up, whatever becomes of it: Linux has a pointer to one that
  // SRCU keeps, and a change publishes another.
  Memslot memslot{};
  bool has_snapshot = false;      // `seq` was read in some attempt
  bool met_invalidation = false;  // in some attempt
  bool has_folio = false;         // a reference to a page-cache folio is held
  bool map_writable = false;
  std::uint8_t gmem = GmemRef::kNone;
  MapLevel max_level = MapLevel::k1G;
  MapLevel goal_level = MapLevel::k4K;
  std::uint64_t gmem_index = 0;
  std::uint64_t seq = 0;
  Pfn pfn{};
};

/// `check` says why for kError and kEmulate; `exit` is filled where KVM_EXIT_MEMORY_FAULT was
/// prepared.
struct FaultResult {
  FaultStatus status = FaultStatus::kContinue;
  Check check = Check::kOk;
  RetryReason retry = RetryReason::kOther;  // why kRetry
  ExitInfo exit{};
};

/// One attempt: the guest re-enters (or the pre-fault loops) on kRetry.  Pre: SRCU held for reading
/// in the coroutine form, root loaded.  Post: no lock, no folio reference held; goal_level is the
/// level of the leaf.  Fails: fault.*  Cost: a walk, plus the page look-up.
FaultResult handle_fault(Kernel& k, Vcpu& vcpu, PageFault& fault);
Task<FaultResult> start_fault(Kernel& k, VcpuIndex vcpu, PageFault& fault);

/// kvm_mmu_reload(): a root for the vCPU's role if it has no valid one.  Fails: fault.no_memory.
Check reload_root(Kernel& k, Vcpu& vcpu);

/// The processor finds an MMIO entry, of whatever generation: its bits are reserved.
bool meets_mmio_entry(const Kernel& k, const Vcpu& vcpu, Gfn gfn);

/// The MMU's answer to an access that found a cached MMIO entry (kvm.md 5 step 0b): true if the
/// entry is current, so that the access is emulated at once.
bool is_cached_mmio(const Kernel& k, const Vcpu& vcpu, Gfn gfn);

// The pieces, for drivers only.
FaultResult fault_begin(Kernel& k, Vcpu& vcpu, PageFault& fault);          // steps 1-4
void fault_snapshot(const Kernel& k, const Vcpu& vcpu, PageFault& fault);  // step 5
FaultResult fault_check(Kernel& k, Vcpu& vcpu, PageFault& fault);          // steps 6-10
FaultResult fault_look_up(Kernel& k, Vcpu& vcpu, PageFault& fault);  // step 11, before prepare
FaultResult fault_prepare(Kernel& k, Vcpu& vcpu, PageFault& fault);  // step 11, prepare; 12
bool fault_is_stale(const Kernel& k, const Vcpu& vcpu, PageFault& fault);  // step 13
FaultResult fault_install(Kernel& k, Vcpu& vcpu, PageFault& fault);        // steps 14-15
void fault_release(Kernel& k, PageFault& fault);  // drops the folio reference

}  // namespace sluice::model
