// Source: payload/payload.S (which registers a command takes); KVM api.rst, KVM_RUN and the
// completion of KVM_EXIT_IO, KVM_EXIT_MMIO and KVM_EXIT_HYPERCALL; Linux arch/x86/kvm/cpuid.c.
#include "kvm/emulated_vcpu.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "kvm/payload/payload.h"

namespace sluice::kvm {
namespace {

constexpr std::uint64_t kFrameMask = 0x000ffffffffff000;
constexpr std::uint64_t kPresent = 1, kWritable = 2;
constexpr std::uint64_t kPaging = std::uint64_t{1} << 31, kLongModeActive = 0x400;
constexpr std::uint32_t kAddressSizes = 0x80000008;
constexpr std::size_t kFetchOffset = kPageBytes - 16;

template <class T>
SysResult copy_out(std::uintptr_t argument, const T& value) {
  std::memcpy(reinterpret_cast<void*>(argument), &value, sizeof value);
  return SysResult::of(0);
}
template <class T>
SysResult copy_in(std::uintptr_t argument, T& value) {
  std::memcpy(&value, reinterpret_cast<const void*>(argument), sizeof value);
  return SysResult::of(0);
}

}  // namespace

EmulatedVcpu::EmulatedVcpu()
    : run_(std::make_unique<RunPages>()), cpuid_(std::make_unique<uapi::CpuidTable>()) {
  cpuid_->header.entry_count = 0;
  sregs_.cr0 = 0x60000010;  // after reset: real mode, caches off
  regs_.rip = 0xfff0;
  regs_.rflags = 2;
}

std::uintptr_t EmulatedVcpu::run_address() const {
  return reinterpret_cast<std::uintptr_t>(run_->bytes);
}
kvm_run& EmulatedVcpu::run() const { return *reinterpret_cast<kvm_run*>(run_->bytes); }

EmulatedVcpu::RegistersAnswer EmulatedVcpu::registers(const RegistersRequest& request) {
  switch (request.request) {
    case KVM_GET_REGS:
      return {.result = copy_out(request.argument, regs_)};
    case KVM_SET_REGS:
      done_ = false;
      // A port write is finished by stepping over it, which other registers make moot.
      if (in_hand_ == ExitKind::kDone) in_hand_ = ExitKind::kOther;
      return {.result = copy_in(request.argument, regs_)};
    case KVM_GET_SREGS:
      return {.result = copy_out(request.argument, sregs_)};
    case KVM_SET_SREGS: {
      const kvm_sregs old = sregs_;
      const SysResult set = copy_in(request.argument, sregs_);
      return {
          .result = set,
          .resets_mmu = old.cr0 != sregs_.cr0 || old.cr4 != sregs_.cr4 || old.efer != sregs_.efer};
    }
    case uapi::kGetCpuid2:
      return {.result = get_cpuid(*reinterpret_cast<uapi::CpuidTable*>(request.argument))};
    default:
      return {.result = SysResult::failed(ENOTTY)};
  }
}

SysResult EmulatedVcpu::get_cpuid(uapi::CpuidTable& table) const {
  const std::uint32_t count = cpuid_->header.entry_count;
  if (table.header.entry_count < count) return SysResult::failed(E2BIG);
  table.header.entry_count = count;
  std::copy_n(cpuid_->entries.begin(), count, table.entries.begin());
  return SysResult::of(0);
}

SysResult EmulatedVcpu::set_cpuid(const uapi::CpuidTable& table) {
  const std::uint32_t count = table.header.entry_count;
  if (count > cpuid_->entries.size()) return SysResult::failed(E2BIG);
  cpuid_->header.entry_count = count;
  std::copy_n(table.entries.begin(), count, cpuid_->entries.begin());
  return SysResult::of(0);
}

bool EmulatedVcpu::has_cpuid(const uapi::CpuidTable& table) const {
  const std::uint32_t count = table.header.entry_count;
  return count == cpuid_->header.entry_count &&
         std::memcmp(table.entries.data(), cpuid_->entries.data(),
                     count * sizeof(kvm_cpuid_entry2)) == 0;
}

/// More than an entry's 52 address bits are of no use to the guest.
unsigned EmulatedVcpu::phys_addr_bits() const { return std::min(phys_addr_bits_of(*cpuid_), 52u); }

bool EmulatedVcpu::enter() {
  switch (std::exchange(in_hand_, ExitKind::kOther)) {
    case ExitKind::kDone:
      done_ = false;  // behind the port write every program jumps back to its entry
      break;
    case ExitKind::kMmio: {
      std::uint64_t data = 0;
      std::memcpy(&data, run().mmio.data, sizeof data);
      finish(data);
      break;
    }
    case ExitKind::kHypercall:
      finish(run().hypercall.ret);
      break;
    default:
      break;
  }
  return run().immediate_exit == 0;
}

EmulatedVcpu::Program EmulatedVcpu::program() const {
  const auto starts = [this](const unsigned char* entry) {
    return regs_.rip == payload_entry(entry);
  };
  if (starts(sluice_payload_read)) return Program::kRead;
  if (starts(sluice_payload_write)) return Program::kWrite;
  if (starts(sluice_payload_fetch)) return Program::kFetch;
  if (starts(sluice_payload_vmmcall) || starts(sluice_payload_vmcall)) return Program::kHypercall;
  if (starts(sluice_payload_touch)) return Program::kTouch;
  if (starts(sluice_payload_exits)) return Program::kExits;
  if (starts(sluice_payload_spin)) return Program::kSpin;
  return Program::kNone;
}

/// rsi is written to [rdi], the window's page table entry, and r8 lies in the window.
GuestCommand EmulatedVcpu::through_window(GuestCommand::Kind kind) const {
  const std::uint64_t id = (regs_.rdi - window_entry_address(0)) / (2 * sizeof(std::uint64_t));
  const bool is_window =
      id < kMaxPayloadVcpus && regs_.rdi == window_entry_address(static_cast<unsigned>(id)) &&
      (regs_.r8 & ~(kPageBytes - 1)) == window_address(static_cast<unsigned>(id));
  if (!is_window || (regs_.rsi & kPresent) == 0 || (regs_.rsi & kWritable) == 0) return {};
  const Gpa gpa{(regs_.rsi & kFrameMask) + regs_.r8 % kPageBytes};
  // A reserved bit in the entry: a page fault, and the guest has no handlers.
  if (gpa.value >> phys_addr_bits() != 0) return {.kind = GuestCommand::Kind::kFault};
  return {.kind = kind, .gpa = gpa, .value = regs_.rbx};
}

GuestCommand EmulatedVcpu::next() const {
  using Kind = GuestCommand::Kind;
  const bool long_mode = (sregs_.cr0 & kPaging) != 0 && (sregs_.efer & kLongModeActive) != 0 &&
                         sregs_.cr3 == payload_address(PayloadPage::kPml4).value;
  const Program at = program();
  if (!long_mode || at == Program::kNone) return {};
  if (done_ || at == Program::kExits) return {.kind = Kind::kPort};
  switch (at) {
    case Program::kRead:
      return through_window(Kind::kRead);
    case Program::kWrite:
      return through_window(Kind::kWrite);
    case Program::kFetch:
      return regs_.r9 == (regs_.r8 & ~(kPageBytes - 1)) + kFetchOffset
                 ? through_window(Kind::kFetch)
                 : GuestCommand{};
    case Program::kHypercall:
      return {.kind = Kind::kHypercall,
              .hypercall = {.nr = regs_.rax, .a0 = regs_.rbx, .a1 = regs_.rcx, .a2 = regs_.rdx},
              .cpl = sregs_.cs.selector & 3u};
    case Program::kTouch:
      if (regs_.rdi >= kIdentityBytes) return {.kind = Kind::kFault};
      return {.kind = Kind::kWrite, .gpa = Gpa{regs_.rdi}, .value = regs_.rdi};
    case Program::kSpin:
      return {.kind = Kind::kSpin};
    case Program::kExits:
    case Program::kNone:
      break;
  }
  return {};
}

void EmulatedVcpu::finish(std::uint64_t value) {
  switch (program()) {
    case Program::kTouch:
      regs_.rdi += regs_.rsi;
      --regs_.rcx;
      done_ = regs_.rcx == 0;
      return;
    case Program::kRead:
    case Program::kHypercall:
      regs_.rax = value;
      break;
    default:
      break;
  }
  done_ = true;
}

SysResult EmulatedVcpu::leave(const GuestExit& exit) {
  const SysResult result = encode_exit(exit, run());
  const bool finished_later = exit.kind == ExitKind::kDone || exit.kind == ExitKind::kMmio ||
                              exit.kind == ExitKind::kHypercall;
  in_hand_ = finished_later ? exit.kind : ExitKind::kOther;
  if (exit.kind == ExitKind::kMmio && exit.is_write) {
    const std::uint64_t value = next().value;
    std::memcpy(run().mmio.data, &value, sizeof value);
  }
  return result;
}

unsigned phys_addr_bits_of(const uapi::CpuidTable& table) {
  constexpr unsigned kWithoutLeaf = 36;
  for (std::uint32_t i = 0; i < table.header.entry_count; ++i) {
    const kvm_cpuid_entry2& entry = table.entries[i];
    if (entry.function == kAddressSizes) return entry.eax & 0xff;
  }
  return kWithoutLeaf;
}

SysResult write_supported_cpuid(uapi::CpuidTable& table, unsigned phys_addr_bits) {
  constexpr std::uint32_t kExtended = 0x80000000, kLinearBits = 48;
  constexpr std::uint32_t kCount = 3;
  if (table.header.entry_count < kCount) return SysResult::failed(E2BIG);
  table.header.entry_count = kCount;
  std::fill_n(table.entries.begin(), kCount, kvm_cpuid_entry2{});
  // "AuthenticAMD", whose KVM this is a model of.
  table.entries[0].ebx = 0x68747541;
  table.entries[0].edx = 0x69746e65;
  table.entries[0].ecx = 0x444d4163;
  table.entries[1].function = kExtended;
  table.entries[1].eax = kAddressSizes;
  table.entries[2].function = kAddressSizes;
  table.entries[2].eax = kLinearBits << 8 | phys_addr_bits;
  return SysResult::of(0);
}

}  // namespace sluice::kvm
