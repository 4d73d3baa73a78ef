// What a run of a vCPU ended with, decoded from errno and kvm_run together: neither alone is enough
// (kvm.md 5, KVM_EXIT_MEMORY_FAULT).
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "kvm/syscalls.h"
#include "kvm/uapi.h"

namespace sluice::kvm {

enum class ExitKind : std::uint8_t {
  kDone,           // the payload's closing port write: the command has run to its end
  kIo,             // another port access
  kMmio,           // no memslot, or a write to a read-only one
  kMemoryFault,    // KVM_EXIT_MEMORY_FAULT, with EFAULT or EHWPOISON
  kHypercall,      // KVM_EXIT_HYPERCALL
  kHalt,           // HLT
  kShutdown,       // triple fault
  kInternalError,  // KVM_EXIT_INTERNAL_ERROR
  kFailEntry,      // KVM_EXIT_FAIL_ENTRY
  kInterrupted,    // EINTR: a signal, the deadline's among others
  kError,          // KVM_RUN failed and no exit explains it
  kOther,          // an exit reason this table does not know
};
std::string_view name_of(ExitKind kind);

/// Fields an exit does not have are 0.
struct GuestExit {
  ExitKind kind = ExitKind::kOther;
  int error = 0;                        // errno of KVM_RUN
  std::uint32_t reason = 0;             // kvm_run.exit_reason as it stands
  std::uint64_t gpa = 0;                // kMmio, kMemoryFault
  std::uint64_t size = 0;               // kMmio, kMemoryFault: bytes
  std::uint64_t flags = 0;              // kMemoryFault: bit 3 private; kHypercall: bit 0 long mode
  bool is_write = false;                // kMmio
  std::uint64_t nr = 0;                 // kHypercall; kIo: port; kInternalError: suberror
  std::array<std::uint64_t, 6> args{};  // kHypercall
};

/// Pre: `result` is KVM_RUN's answer for the vCPU whose page `run` is.
GuestExit decode_exit(SysResult result, const kvm_run& run);

/// The other way: writes what KVM_RUN leaves in kvm_run for this exit, and gives its answer.
/// decode_exit() of both is `exit` again, where its fields are ones that the kind has.
SysResult encode_exit(const GuestExit& exit, kvm_run& run);

}  // namespace sluice::kvm
