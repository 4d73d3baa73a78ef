// What becomes of a memslot's leaves when dirty logging is turned on or off (kvm.md 2, FLAGS_ONLY;
// Linux kvm_mmu_slot_apply_flags()). Left out: the log itself, which no operation reads.
#pragma once
#include "model/host/kernel.h"

namespace sluice::model {

/// Once everybody sees the new flags.  On: huge leaves are split and write permission goes; off:
/// leaves go that could be huge.  A read-only slot has nothing that could become dirty, and keeps
/// what it maps.  True if a flush is owed.
bool apply_logging(Kernel& k, Vm& vm, SlotIndex slot);
/// The flush, for which Linux does not hold mmu_lock.
void flush_logging(Kernel& k, const Vm& vm, bool owed);

}  // namespace sluice::model
