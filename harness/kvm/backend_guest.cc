// What a vCPU does on the real kernel: touching pages, asking for conversions, pre-faulting.
// Source: kvm.md 4, 5, 8.
#include <algorithm>
#include <cerrno>

#include "kvm/kvm_backend.h"
#include "kvm/outcomes.h"
#include "kvm/payload/payload.h"

namespace sluice::kvm {
namespace {

constexpr std::uint64_t kEncrypted = 0x10;  // kvm.md 0, attribute argument of MAP_GPA_RANGE

Outcome exit_outcome(const GuestExit& exit) {
  Outcome out = kernel_outcome(StatusKind::kExit, exit.reason);
  out.exit = {.reason = exit.reason,
              .flags = static_cast<std::uint32_t>(exit.flags),
              .gpa = exit.gpa,
              .size = exit.size};
  return out;
}

}  // namespace

/// A fault outside all slots leaves an MMIO entry behind in the nested page tables, which neither a
/// slot's creation nor a conversion takes away: a later sequence would meet it (Linux
/// kvm_handle_noslot_fault(), handle_mmio_page_fault()). A pre-fault that got somewhere does not
/// say why it stopped.
void KvmBackend::note_mmio(const Acting& acting, const Outcome& out) {
  const bool emulated = out.kind == StatusKind::kExit &&
                        (out.number == kExitMmio || out.number == kExitInternalError);
  const bool no_slot = out.kind == StatusKind::kErrno && out.number == ENOENT;
  const bool stopped = out.ok() && out.has_progress && out.progress.left != 0;
  const bool leaves_entry = emulated || no_slot || stopped;
  if (acting.vm->type != VmType::kDefault && leaves_entry) acting.vm->reusable = false;
}

std::optional<Outcome> KvmBackend::prepare_guest(const Acting& acting) {
  if (acting.vm->type != VmType::kDefault && acting.vm->type != VmType::kSwProtected) {
    return skip(Capability::kSnp);  // such a guest's registers cannot be set from outside
  }
  if (acting.vcpu->smm) {
    return skip(Check::kSkipLimit, "the guest program is not in the address space of SMM");
  }
  if (!payload_allowed_) {
    return skip(Check::kSkipLimit, "the sequence uses the guest program's slot or memory");
  }
  if (!acting.vm->payload_installed) {
    const SysResult installed = payload_.install(acting.vm->vm);
    if (!installed.ok()) {
      return skip(Check::kSkipLimit, "the guest program's memslot was refused");
    }
    acting.vm->payload_installed = acting.vm->had_slot = true;
  }
  LiveVcpu& vcpu = *acting.vcpu;
  if (vcpu.phys_addr_bits < kPayloadAddressBits) {
    return skip(Check::kSkipLimit, "the vCPU's MAXPHYADDR is too small for the guest program");
  }
  if (!vcpu.has_cpuid) {
    if (!set_supported_cpuid(kvm_, vcpu.vcpu, vcpu.phys_addr_bits).ok()) {
      return skip(Check::kSkipLimit, "KVM refused its own supported CPUID");
    }
    vcpu.has_cpuid = true;
  }
  if (!vcpu.in_long_mode) {
    if (auto started = vcpu.guest.start(); !started) {
      return skip(Check::kSkipLimit, started.error().message());
    }
    vcpu.in_long_mode = true;
  }
  return std::nullopt;
}

Outcome KvmBackend::of_guest_exit(const CommandResult& result, bool reads) {
  const GuestExit& exit = result.exit;
  switch (exit.kind) {
    case ExitKind::kDone: {
      Outcome out = kernel_outcome(StatusKind::kOk, 0);
      out.has_value = reads;
      out.value = reads ? result.value : 0;
      return out;
    }
    case ExitKind::kInterrupted:
      return kernel_outcome(StatusKind::kLoop, 0);
    case ExitKind::kError:
      return kernel_outcome(StatusKind::kErrno, static_cast<unsigned>(exit.error));
    case ExitKind::kMmio: {
      GuestExit page = exit;
      page.gpa &= ~(kPageBytes - 1);
      page.size = 0;  // how an access is cut into MMIO exits is the emulator's business
      return exit_outcome(page);
    }
    default:
      return exit_outcome(exit);
  }
}

Outcome KvmBackend::run(const Step& step, const GuestAccess& op) {
  const Acting acting = acting_vcpu(step);
  if (acting.vcpu == nullptr) return skip(Check::kSkipNoVcpu, "the vCPU has not been created");
  const unsigned bits = std::clamp(unsigned{acting.vcpu->phys_addr_bits}, 12u, 52u);
  const Gpa gpa = address_of(op.gfn);
  if (op.gfn.value >> (bits - kPageShift) != 0 || op.gfn.value > probe_.max_gfn) {
    return skip(Check::kSkipLimit, "beyond the MAXPHYADDR of the vCPU or the host");
  }
  if (const LiveSlot* const slot = acting.vm->slot_at(gpa.value)) {
    const std::uint64_t page = slot->address + (gpa.value - slot->gpa);
    if (!inside_region(page, kPageBytes)) {
      return skip(Check::kSkipOutsideHostRegion, "the slot maps what is not the host region");
    }
    std::uint64_t ignored = 0;
    if (!probe_.reports_lost_memory && !kvm_.sys().load(page, ignored).ok()) {
      return skip(Capability::kLostMemoryReport);
    }
  }
  if (auto not_ready = prepare_guest(acting)) return *not_ready;
  Guest& guest = acting.vcpu->guest;
  const bool reads = op.kind == AccessKind::kRead;
  const Outcome out =
      of_guest_exit(reads                           ? guest.read(gpa)
                    : op.kind == AccessKind::kWrite ? guest.write(gpa, op.value.value)
                                                    : guest.fetch(gpa),
                    reads);
  note_mmio(acting, out);
  return out;
}

Outcome KvmBackend::run(const Step& step, const PreFaultMemory& op) {
  const Acting acting = acting_vcpu(step);
  if (acting.vcpu == nullptr) return skip(Check::kSkipNoVcpu, "the vCPU has not been created");
  if (!probe_.tdp && acting.vm->had_slot && !acting.vm->had_sequence_slot) {
    return skip(Check::kSkipLimit, "without nested paging the guest program's slot would show");
  }
  const std::uint64_t end = op.gpa.value + op.size.value;
  for (const LiveSlot& slot : acting.vm->slots) {
    if (probe_.pre_fault == 0 || end <= op.gpa.value) break;  // refused before a slot is looked at
    if (op.gpa.value < slot.gpa + slot.size && slot.gpa < end &&
        !inside_region(slot.address, slot.size)) {
      return skip(Check::kSkipOutsideHostRegion, "the slot maps what is not the host region");
    }
  }
  kvm_run& page = acting.vcpu->vcpu.run_page();
  page.exit_reason = KVM_EXIT_UNKNOWN;
  uapi::PreFaultMemory range{.gpa = op.gpa.value, .size = op.size.value, .flags = op.flags.value};
  const SysResult result = acting.vcpu->vcpu.pre_fault(range);
  if (result.error == ENOTTY) return skip(Capability::kPreFault);
  Outcome out = of_result(result);
  out.has_progress = true;
  out.progress = {.gpa = range.gpa, .left = range.size};
  // A private fault that failed has left its exit behind, also where others succeeded (kvm.md 4).
  const GuestExit left = decode_exit(result, page);
  if (left.kind == ExitKind::kMemoryFault) out.exit = exit_outcome(left).exit;
  note_mmio(acting, out);
  return out;
}

Outcome KvmBackend::run(const Step& step, const MapGpaRange& op) {
  const Acting acting = acting_vcpu(step);
  if (acting.vcpu == nullptr) return skip(Check::kSkipNoVcpu, "the vCPU has not been created");
  if (!probe_.has(Capability::kHypercallInstruction)) {
    return skip(Capability::kHypercallInstruction);
  }
  const std::uint64_t gfn = op.gpa.value >> kPageShift;
  const bool refused = op.gpa.value % kPageBytes != 0 || gfn + op.page_count.value <= gfn;
  if (!refused && op.page_count.value > kMaxOperationBytes / kPageBytes) {
    return skip(Check::kSkipLimit, "would convert more than 1 GiB");
  }
  if (op.cpl.value != 0 && !probe_.ring3) return skip(Capability::kRing3Payload);
  if (auto not_ready = prepare_guest(acting)) return *not_ready;
  const CommandResult asked = acting.vcpu->guest.hypercall(
      {.a0 = op.gpa.value, .a1 = op.page_count.value, .a2 = op.attributes.value}, op.cpl.value);
  if (asked.exit.kind == ExitKind::kHypercall) {
    return answer_conversion(acting, op, *vcpu_vm_[step.actor.index]);
  }
  if (asked.exit.kind != ExitKind::kDone) return of_guest_exit(asked, false);
  const auto returned = static_cast<std::int64_t>(asked.value);
  return returned == 0 ? kernel_outcome(StatusKind::kOk, 0)
                       : kernel_outcome(StatusKind::kRax, static_cast<unsigned>(-returned));
}

/// Plays the VMM as the policy axis `vmm` says: the rule stands in model/vmm/conversion.h, which
/// this room may not include.
Outcome KvmBackend::answer_conversion(const Acting& acting, const MapGpaRange& op, VmIndex index) {
  const kvm_run& page = acting.vcpu->vcpu.run_page();
  Outcome out = kernel_outcome(StatusKind::kExit, kExitHypercall);
  out.exit = {.reason = kExitHypercall,
              .gpa = page.hypercall.args[0],
              .size = page.hypercall.args[1],
              .attributes = page.hypercall.args[2]};
  if (header_.policy.vmm == VmmPolicy::kKill) {
    static_cast<void>(destroy(index));
    return out;
  }
  if (header_.policy.vmm == VmmPolicy::kIgnore) {
    static_cast<void>(acting.vcpu->guest.finish_hypercall(0));
    return out;
  }
  const GpaRange range{.gpa = op.gpa.value, .size = op.page_count.value * kPageBytes};
  const bool to_private = (op.attributes.value & kEncrypted) != 0;
  const bool converted =
      header_.policy.vmm != VmmPolicy::kRefuse && convert(*acting.vm, range, to_private).ok();
  const std::uint64_t answer = converted ? 0 : static_cast<std::uint64_t>(-EINVAL);
  const CommandResult finished = acting.vcpu->guest.finish_hypercall(answer);
  if (finished.exit.kind != ExitKind::kDone) return of_guest_exit(finished, false);
  const auto returned = static_cast<std::int64_t>(finished.value);
  const Outcome status = returned == 0
                             ? kernel_outcome(StatusKind::kOk, 0)
                             : kernel_outcome(StatusKind::kRax, static_cast<unsigned>(-returned));
  out.kind = status.kind;
  out.number = status.number;
  out.has_check = status.has_check;
  return out;
}

SysResult KvmBackend::convert(LiveVm& vm, GpaRange range, bool to_private) {
  const SysResult result =
      vm.vm.set_memory_attributes({.address = range.gpa,
                                   .size = range.size,
                                   .attributes = to_private ? uapi::kAttributePrivate : 0});
  if (!result.ok()) return result;
  vm.converted.push_back(range);
  reclaim(vm, range, to_private);
  return result;
}

/// Gives back what a conversion left unreachable, as the policy axis `convert_reclaim` says.
void KvmBackend::reclaim(const LiveVm& vm, GpaRange range, bool to_private) {
  const ReclaimSteps steps = reclaim_after(header_.policy, to_private);
  for (const LiveSlot& slot : vm.slots) {
    if (slot.slot >= 1u << 16 || !slot.gmem.is_gmem()) continue;
    const std::uint64_t begin = std::max(range.gpa, slot.gpa);
    const std::uint64_t end = std::min(range.gpa + range.size, slot.gpa + slot.size);
    if (begin >= end) continue;
    const Gmem& file = gmems_[slot.gmem.value];
    const std::uint64_t offset = slot.gmem_offset + (begin - slot.gpa);
    const std::uint64_t other = page_punched_anywhere(offset >> kPageShift) << kPageShift;
    if (steps.copy) static_cast<void>(file.punch_hole(offset, end - begin));
    if (steps.shared) discard(slot.address + (begin - slot.gpa), end - begin);
    if (steps.elsewhere) static_cast<void>(file.punch_hole(other, kPageBytes));
  }
}

/// What lies outside the region is not the harness's to discard.
void KvmBackend::discard(std::uint64_t address, std::uint64_t size) {
  const std::uint64_t at = address - region_.base();
  if (at >= HostRegion::kBytes || size > HostRegion::kBytes - at) return;
  static_cast<void>(region_.discard(at, size));
}

}  // namespace sluice::kvm
