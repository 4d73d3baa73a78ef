#include "kvm/exit.h"

#include <cerrno>
#include <cstring>

#include "kvm/payload/payload.h"

namespace sluice::kvm {
namespace {

void take_memory_fault(const kvm_run& run, GuestExit& exit) {
  uapi::MemoryFaultExit fault;
  std::memcpy(&fault, reinterpret_cast<const std::byte*>(&run) + uapi::kRunUnionOffset,
              sizeof fault);
  exit.kind = ExitKind::kMemoryFault;
  exit.gpa = fault.gpa;
  exit.size = fault.size;
  exit.flags = fault.flags;
}

// KVM_RUN returned -1. Only a memory fault comes with both an errno and a valid exit.
GuestExit decode_failure(int error, const kvm_run& run) {
  GuestExit exit{.kind = ExitKind::kError, .error = error, .reason = run.exit_reason};
  if (error == EINTR) {
    exit.kind = ExitKind::kInterrupted;
  } else if (run.exit_reason == uapi::kExitMemoryFault) {
    take_memory_fault(run, exit);
  }
  return exit;
}

}  // namespace

std::string_view name_of(ExitKind kind) {
  constexpr std::array<std::string_view, 12> kNames{
      "done",       "io",          "mmio",     "memory_fault",
      "hypercall",  "halt",        "shutdown", "internal_error",
      "fail_entry", "interrupted", "error",    "other"};
  static_assert(static_cast<std::size_t>(ExitKind::kOther) + 1 == kNames.size());
  return kNames[static_cast<std::size_t>(kind)];
}

GuestExit decode_exit(SysResult result, const kvm_run& run) {
  if (!result.ok()) return decode_failure(result.error, run);
  GuestExit exit{.reason = run.exit_reason};
  switch (run.exit_reason) {
    case KVM_EXIT_IO:
      exit.kind = run.io.port == kDonePort && run.io.direction == KVM_EXIT_IO_OUT ? ExitKind::kDone
                                                                                  : ExitKind::kIo;
      exit.nr = run.io.port;
      exit.is_write = run.io.direction == KVM_EXIT_IO_OUT;
      exit.size = run.io.size;
      break;
    case KVM_EXIT_MMIO:
      exit.kind = ExitKind::kMmio;
      exit.gpa = run.mmio.phys_addr;
      exit.size = run.mmio.len;
      exit.is_write = run.mmio.is_write != 0;
      break;
    case KVM_EXIT_HYPERCALL:
      exit.kind = ExitKind::kHypercall;
      exit.nr = run.hypercall.nr;
      for (std::size_t i = 0; i < exit.args.size(); ++i) exit.args[i] = run.hypercall.args[i];
      exit.flags = run.hypercall.longmode;
      break;
    case uapi::kExitMemoryFault:  // never of KVM_RUN, but left by a pre-fault that did some pages
      take_memory_fault(run, exit);
      break;
    case KVM_EXIT_HLT:
      exit.kind = ExitKind::kHalt;
      break;
    case KVM_EXIT_SHUTDOWN:
      exit.kind = ExitKind::kShutdown;
      break;
    case KVM_EXIT_INTERNAL_ERROR:
      exit.kind = ExitKind::kInternalError;
      exit.nr = run.internal.suberror;
      break;
    case KVM_EXIT_FAIL_ENTRY:
      exit.kind = ExitKind::kFailEntry;
      exit.nr = run.fail_entry.hardware_entry_failure_reason;
      break;
    default:
      exit.kind = ExitKind::kOther;
  }
  return exit;
}

namespace {

/// Of a kind that comes with a zero answer of KVM_RUN.
void encode_success(const GuestExit& exit, kvm_run& run) {
  switch (exit.kind) {
    case ExitKind::kDone:
    case ExitKind::kIo: {
      const bool done = exit.kind == ExitKind::kDone;
      const bool out = done || exit.is_write;
      run.exit_reason = KVM_EXIT_IO;
      run.io.direction = out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
      run.io.size = done ? 1 : static_cast<std::uint8_t>(exit.size);
      run.io.port = done ? kDonePort : static_cast<std::uint16_t>(exit.nr);
      run.io.count = 1;
      run.io.data_offset = kPageBytes;
      break;
    }
    case ExitKind::kMmio:
      run.exit_reason = KVM_EXIT_MMIO;
      run.mmio.phys_addr = exit.gpa;
      run.mmio.len = static_cast<std::uint32_t>(exit.size);
      run.mmio.is_write = exit.is_write ? 1 : 0;
      break;
    case ExitKind::kHypercall:
      run.exit_reason = KVM_EXIT_HYPERCALL;
      run.hypercall.nr = exit.nr;
      for (std::size_t i = 0; i < exit.args.size(); ++i) run.hypercall.args[i] = exit.args[i];
      run.hypercall.longmode = static_cast<std::uint32_t>(exit.flags);
      break;
    case ExitKind::kHalt:
      run.exit_reason = KVM_EXIT_HLT;
      break;
    case ExitKind::kShutdown:
      run.exit_reason = KVM_EXIT_SHUTDOWN;
      break;
    case ExitKind::kInternalError:
      run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
      run.internal.suberror = static_cast<std::uint32_t>(exit.nr);
      break;
    case ExitKind::kFailEntry:
      run.exit_reason = KVM_EXIT_FAIL_ENTRY;
      run.fail_entry.hardware_entry_failure_reason = exit.nr;
      break;
    default:
      run.exit_reason = exit.reason;
  }
}

}  // namespace

SysResult encode_exit(const GuestExit& exit, kvm_run& run) {
  std::memset(reinterpret_cast<std::byte*>(&run) + uapi::kRunUnionOffset, 0, sizeof run.padding);
  switch (exit.kind) {
    case ExitKind::kInterrupted:
      run.exit_reason = KVM_EXIT_INTR;
      return SysResult::failed(EINTR);
    case ExitKind::kError:
      run.exit_reason = KVM_EXIT_UNKNOWN;
      return SysResult::failed(exit.error);
    case ExitKind::kMemoryFault: {
      const uapi::MemoryFaultExit fault{.flags = exit.flags, .gpa = exit.gpa, .size = exit.size};
      run.exit_reason = uapi::kExitMemoryFault;
      std::memcpy(reinterpret_cast<std::byte*>(&run) + uapi::kRunUnionOffset, &fault, sizeof fault);
      return SysResult::failed(exit.error);
    }
    default:
      encode_success(exit, run);
      return SysResult::of(0);
  }
}

}  // namespace sluice::kvm
