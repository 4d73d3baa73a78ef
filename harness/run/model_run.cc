// KVM_RUN on the model: the guest's commands one after the other, until one ends in an exit.
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kvm/payload/payload.h"
#include "model/host/kernel.h"
#include "model/host/run_gate.h"
#include "run/model_syscalls.h"

namespace sluice::run {

using kvm::ExitKind;
using kvm::GuestCommand;
using kvm::GuestExit;
using kvm::SysResult;

namespace {

constexpr std::uint64_t kEmulationFailed = 1;                        // KVM_INTERNAL_ERROR_EMULATION
constexpr std::uint64_t kNoSuchHypercall = 1000, kNotPermitted = 1;  // KVM_ENOSYS, KVM_EPERM
constexpr std::uint64_t kWordBytes = 8;

GuestExit internal_error() { return {.kind = ExitKind::kInternalError, .nr = kEmulationFailed}; }
GuestExit error(int number) { return {.kind = ExitKind::kError, .error = number}; }

/// What a guest that never leaves comes to: a signal for its thread.
GuestExit wait_for_signal() {
  ::pause();
  return {.kind = ExitKind::kInterrupted, .error = EINTR};
}

GuestExit exit_of(const Outcome& out, const GuestCommand& command) {
  switch (out.exit.reason) {
    case kExitMemoryFault:
      return {.kind = ExitKind::kMemoryFault,
              .error = EFAULT,
              .gpa = out.exit.gpa,
              .size = out.exit.size,
              .flags = out.exit.flags};
    case kExitMmio:
      return {.kind = ExitKind::kMmio,
              .gpa = command.gpa.value,
              .size = kWordBytes,
              .is_write = command.kind == GuestCommand::Kind::kWrite};
    case kExitHypercall:
      return {.kind = ExitKind::kHypercall,
              .flags = 1,  // long mode
              .nr = kvm::uapi::kHypercallMapGpaRange,
              .args = {out.exit.gpa, out.exit.size, out.exit.attributes}};
    case kExitInternalError:
      return internal_error();
    default:
      return {.kind = ExitKind::kFailEntry};
  }
}

constexpr ActorId actor_of(VcpuIndex vcpu) {
  return {.kind = ActorKind::kVcpu, .index = vcpu.value};
}

}  // namespace

/// The guest fetches its program from its memslot, which the model does not see happen: where the
/// slot is missing, or private, or holds something else, it does not get there.
std::optional<GuestExit> ModelSyscalls::missing_program(VcpuIndex vcpu) {
  const VmIndex vm = vcpus_[vcpu.value].vm;
  const Gfn code{kvm::payload_address(kvm::PayloadPage::kCode).value >> kPageShift};
  if (model_.view().is_private(vm, code)) {
    return GuestExit{.kind = ExitKind::kMemoryFault,
                     .error = EFAULT,
                     .gpa = address_of(code).value,
                     .size = kPageBytes,
                     .flags = kMemoryFaultPrivate};
  }
  for (const SlotView& slot : model_.view().slots(vm)) {
    const bool holds_it =
        slot.address_space == 0 && code >= slot.base && code < slot.base + slot.page_count;
    if (!holds_it) continue;
    const std::uint64_t offset = (code - slot.base).value << kPageShift;
    std::uint64_t wanted = 0, found = 0;
    std::memcpy(&wanted, kvm::payload_code().data(), sizeof wanted);
    const bool there = load(slot.hva.value + (slot.hva.raw ? 0 : region_) + offset, found).ok();
    if (!there) return error(EFAULT);
    return found == wanted ? std::nullopt : std::optional(internal_error());
  }
  return internal_error();
}

/// Where a command came to; nothing if the guest goes on.
std::optional<GuestExit> ModelSyscalls::guest_met(VcpuIndex vcpu, const Outcome& out,
                                                  const GuestCommand& command) {
  kvm::EmulatedVcpu& cpu = *vcpus_[vcpu.value].cpu;
  switch (out.kind) {
    case StatusKind::kOk:
      cpu.finish(out.value);
      return std::nullopt;
    case StatusKind::kRax:
      cpu.finish(~std::uint64_t{out.number} + 1);
      return std::nullopt;
    case StatusKind::kErrno:
      return error(out.number);
    case StatusKind::kExit:
      return exit_of(out, command);
    case StatusKind::kException:
      return GuestExit{.kind = ExitKind::kShutdown};  // the program has no handlers
    case StatusKind::kLoop:
      return wait_for_signal();
    default:
      return error(ENOMEM);  // beyond the model's limits
  }
}

std::optional<GuestExit> ModelSyscalls::access(VcpuIndex vcpu, const GuestCommand& command) {
  // The model's token stands at the start of a page; of the rest it knows nothing.
  if (!command.gpa.is_page_aligned()) return internal_error();
  GuestAccess op{.gfn = command.gpa.frame(), .value = {command.value}};
  if (command.kind == GuestCommand::Kind::kWrite) op.kind = AccessKind::kWrite;
  if (command.kind == GuestCommand::Kind::kFetch) op.kind = AccessKind::kFetch;
  return guest_met(vcpu, apply(actor_of(vcpu), op), command);
}

std::optional<GuestExit> ModelSyscalls::hypercall(VcpuIndex vcpu, const GuestCommand& command) {
  if (command.hypercall.nr != kvm::uapi::kHypercallMapGpaRange) {
    const std::uint64_t refused = command.cpl != 0 ? kNotPermitted : kNoSuchHypercall;
    vcpus_[vcpu.value].cpu->finish(~refused + 1);
    return std::nullopt;
  }
  return guest_met(
      vcpu,
      apply(actor_of(vcpu), MapGpaRange{.gpa = {command.hypercall.a0},
                                        .page_count = {command.hypercall.a1},
                                        .attributes = {command.hypercall.a2},
                                        .cpl = {static_cast<std::uint8_t>(command.cpl)}}),
      command);
}

SysResult ModelSyscalls::answer(VcpuIndex vcpu, const kvm::RunRequest&) {
  kvm::EmulatedVcpu& cpu = *vcpus_[vcpu.value].cpu;
  model::Kernel& kernel = model_.kernel();
  if (const Check gate = model::run_gate(kernel, vcpu); gate != Check::kOk) {
    return cpu.leave(guest_met(vcpu, outcome_of(gate), {}).value_or(internal_error()));
  }
  if (!cpu.enter()) return cpu.leave({.kind = ExitKind::kInterrupted});
  if (!kernel.vcpu(vcpu).ran) kernel.set(kernel.vcpu(vcpu).ran, true);
  if (const auto lost = missing_program(vcpu)) return cpu.leave(*lost);
  for (;;) {
    const GuestCommand command = cpu.next();
    std::optional<GuestExit> left;
    switch (command.kind) {
      case GuestCommand::Kind::kRead:
      case GuestCommand::Kind::kWrite:
      case GuestCommand::Kind::kFetch:
        left = access(vcpu, command);
        break;
      case GuestCommand::Kind::kHypercall:
        left = hypercall(vcpu, command);
        break;
      case GuestCommand::Kind::kPort:
        left = GuestExit{.kind = ExitKind::kDone};
        break;
      case GuestCommand::Kind::kSpin:
        left = wait_for_signal();
        break;
      case GuestCommand::Kind::kFault:
        left = GuestExit{.kind = ExitKind::kShutdown};
        break;
      case GuestCommand::Kind::kLost:
        left = internal_error();
        break;
    }
    if (left) return cpu.leave(*left);
  }
}

}  // namespace sluice::run
