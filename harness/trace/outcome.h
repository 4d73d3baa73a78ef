// What one operation answered. Both backends fill it; what a backend cannot know stays absent and
// is never compared.
#pragma once
#include <array>
#include <cstdint>

#include "base/units.h"
#include "trace/check_list.h"

namespace sluice {

/// Where an operation stands when its step is over.
enum class Progression : std::uint8_t { kDone, kParked, kBlocked };

/// What a blocked actor waits for. Text: blocked(srcu), ...
enum class WaitFor : std::uint8_t {
  kNothing,
  kKvmLock,
  kVcpuMutex,
  kSlotsLock,
  kInvalidateLock,
  kMmapLock,
  kMmuLock,
  kSrcu,
  kActiveInvalidations,
  kRetry  // a retry loop that has seen nothing new
};
inline constexpr std::array<const char*, 10> kWaitNames{
    "nothing",   "kvm_lock", "vcpu_mutex", "slots_lock",           "invalidate_lock",
    "mmap_lock", "mmu_lock", "srcu",       "active_invalidations", "retry"};

/// KVM_EXIT_* as user space sees it.
struct ExitInfo {
  std::uint32_t reason = 0;      // 0: KVM_RUN did not exit to user space for this operation
  std::uint32_t flags = 0;       // MEMORY_FAULT: 8 = the fault was private
  std::uint64_t gpa = 0;         // MEMORY_FAULT, MMIO: page address; HYPERCALL: args[0]
  std::uint64_t size = 0;        // MEMORY_FAULT: 4096; HYPERCALL: args[1], pages; by a GHCB: bytes
  std::uint64_t attributes = 0;  // HYPERCALL: args[2]
  friend constexpr bool operator==(const ExitInfo&, const ExitInfo&) = default;
};
inline constexpr std::uint32_t kExitIo = 2;
inline constexpr std::uint32_t kExitHypercall = 3;
inline constexpr std::uint32_t kExitMmio = 6;
inline constexpr std::uint32_t kExitInternalError = 17;
inline constexpr std::uint32_t kExitSystemEvent = 24;
inline constexpr std::uint32_t kExitMemoryFault = 39;
inline constexpr std::uint32_t kMemoryFaultPrivate = 8;

/// How far an ioctl with partial progress came (KVM_PRE_FAULT_MEMORY, LAUNCH_UPDATE).
struct RangeProgress {
  std::uint64_t gpa = 0;
  std::uint64_t left = 0;
  friend constexpr bool operator==(const RangeProgress&, const RangeProgress&) = default;
};

struct Outcome {
  Progression progression = Progression::kDone;
  WaitFor wait = WaitFor::kNothing;
  StatusKind kind = StatusKind::kOk;
  std::uint16_t number = 0;  // errno, code, vector, ... as `kind` says
  Check check = Check::kOk;  // why; a backend that cannot know leaves kOk and has_check false
  bool has_check = true;
  bool has_progress = false;
  bool has_value = false;
  std::uint8_t capability = 0;  // kSkipCapability: index into capability names (trace/capability.h)
  RangeProgress progress{};
  ExitInfo exit{};
  std::uint64_t value = 0;  // token or RMP entry read, RMPQUERY mask, SW_EXITINFO2, GHCB MSR

  constexpr bool ok() const { return progression == Progression::kDone && kind == StatusKind::kOk; }
  constexpr bool skipped() const { return kind == StatusKind::kSkipped; }
};

/// The outcome a row stands for.
constexpr Outcome outcome_of(Check check) {
  const CheckRow& row = row_of(check);
  Outcome out{};
  out.kind = row.kind;
  out.number = row.number;
  out.check = check;
  if (row.kind == StatusKind::kExit) out.exit.reason = row.number;
  return out;
}

}  // namespace sluice
