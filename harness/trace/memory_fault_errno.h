// What the ioctl returns beside KVM_EXIT_MEMORY_FAULT, by the row that made the exit (kvm.md 5,
// "accompanied by"; 1.5). Apart from check_list.h, whose rows have one number each.
#pragma once
#include <cerrno>
#include <cstdint>

#include "trace/check_list.h"
#include "trace/outcome.h"

namespace sluice {

struct MemoryFaultErrno {
  Check check;
  std::uint16_t number;
};
inline constexpr MemoryFaultErrno kMemoryFaultErrnos[] = {
    {Check::kFaultMismatch, EFAULT},      {Check::kFaultPrivateNoSlot, EFAULT},
    {Check::kFaultPrivateNoGmem, EFAULT}, {Check::kFaultPrivateEmulated, EFAULT},
    {Check::kFaultGmemGone, EFAULT},      {Check::kFaultPoisoned, EHWPOISON},
    {Check::kFaultPrepareLookup, ENOENT}, {Check::kFaultPrepareAssign, EINVAL},
};

/// 0 for a row that makes no such exit.
constexpr std::uint16_t memory_fault_errno(Check check) {
  for (const MemoryFaultErrno& row : kMemoryFaultErrnos) {
    if (row.check == check) return row.number;
  }
  return 0;
}

constexpr bool each_memory_fault_has_an_errno() {
  for (const CheckRow& row : kChecks) {
    const bool faults = row.kind == StatusKind::kExit && row.number == kExitMemoryFault;
    if (faults != (memory_fault_errno(row.check) != 0)) return false;
  }
  return true;
}
static_assert(each_memory_fault_has_an_errno(), "a new row of exit 39 needs its errno above");

}  // namespace sluice
