// Source: AMD APM vol. 2, 5.3 (long-mode page translation), 14.6 (entering long mode); KVM api.rst,
// KVM_SET_SREGS, KVM_RUN; Linux Documentation/virt/kvm/x86/hypercalls.rst (registers).
#include "kvm/guest.h"

#include <cpuid.h>

#include <cstring>
#include <memory>

#include "base/check.h"
#include "kvm/payload/payload.h"

namespace sluice::kvm {
namespace {

constexpr std::uint64_t kPresent = 1, kWritable = 2, kUser = 4, kAccessed = 0x20, kDirty = 0x40,
                        kLarge = 0x80;
// Accessed and dirty are set beforehand: the walker then never writes to the tables.
constexpr std::uint64_t kTableBits = kPresent | kWritable | kUser | kAccessed;
constexpr std::uint64_t kLeafBits = kTableBits | kDirty;
constexpr std::uint64_t kFrameMask = 0x000ffffffffff000;

constexpr std::uint64_t kCr0ProtectedMode = 1, kCr0ExtensionType = 0x10, kCr0NumericError = 0x20,
                        kCr0Paging = std::uint64_t{1} << 31;
constexpr std::uint64_t kCr4PhysicalAddressExtension = 0x20;
constexpr std::uint64_t kEferLongMode = 0x100 | 0x400;
constexpr std::uint64_t kFlagsReserved = 2, kFlagsIoPrivilege3 = 0x3000;

bool host_is_amd() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  __get_cpuid(0, &eax, &ebx, &ecx, &edx);
  return ecx == 0x444d4163 || ecx == 0x656e6975;  // "cAMD", Hygon's "uine"
}

kvm_segment segment(std::uint16_t selector, std::uint8_t type, unsigned cpl) {
  kvm_segment s{};
  s.limit = 0xffffffff;
  s.selector = static_cast<std::uint16_t>(selector | cpl);
  s.type = type;
  s.present = 1;
  s.dpl = static_cast<std::uint8_t>(cpl);
  s.s = 1;
  s.g = 1;
  return s;
}

void set_segments(kvm_sregs& sregs, unsigned cpl) {
  constexpr std::uint8_t kCode = 0xb, kDataSegment = 0x3;  // accessed; readable, writable
  sregs.cs = segment(0x08, kCode, cpl);
  sregs.cs.l = 1;
  sregs.ss = sregs.ds = sregs.es = sregs.fs = sregs.gs = segment(0x10, kDataSegment, cpl);
  for (kvm_segment* s : {&sregs.ss, &sregs.ds, &sregs.es, &sregs.fs, &sregs.gs}) s->db = 1;
}

}  // namespace

Expected<PayloadMemory> PayloadMemory::open(Syscalls& sys) {
  SLUICE_CHECK(payload_code().size() <= kPageBytes);
  auto mapping = Mapping::anonymous(sys, kPayloadBytes);
  if (!mapping) return std::unexpected(mapping.error());
  PayloadMemory memory(std::move(*mapping));
  memory.write_tables();
  return memory;
}

void PayloadMemory::write_tables() {
  const auto page = [this](PayloadPage which) {
    return mapping_.bytes() + static_cast<std::uint64_t>(which) * kPageBytes;
  };
  const auto put = [&](PayloadPage which, std::uint64_t index, std::uint64_t entry) {
    std::memcpy(page(which) + index * sizeof entry, &entry, sizeof entry);
  };
  std::memcpy(page(PayloadPage::kCode), payload_code().data(), payload_code().size());

  put(PayloadPage::kPml4, 0, payload_address(PayloadPage::kPdpt).value | kTableBits);
  constexpr std::uint64_t kOwnGib = kPayloadGpa.value >> 30;
  put(PayloadPage::kPdpt, kOwnGib, payload_address(PayloadPage::kDirectory).value | kTableBits);
  put(PayloadPage::kDirectory, 0, payload_address(PayloadPage::kTable).value | kTableBits);
  for (std::uint64_t i = 0; i < kPayloadBytes.value / kPageBytes; ++i) {
    put(PayloadPage::kTable, i, (kPayloadGpa.value + i * kPageBytes) | kLeafBits);
  }
  for (unsigned vcpu = 0; vcpu < kMaxPayloadVcpus; ++vcpu) {
    put(PayloadPage::kTable, window_entry(vcpu) + 1,
        payload_address(PayloadPage::kCode).value | kLeafBits);
  }
  for (std::uint64_t gib = 0; gib < kIdentityBytes >> 30; ++gib) {
    const auto directory =
        static_cast<PayloadPage>(static_cast<std::uint64_t>(PayloadPage::kIdentity) + gib);
    put(PayloadPage::kPdpt, gib, payload_address(directory).value | kTableBits);
    for (std::uint64_t i = 0; i < 512; ++i) {
      put(directory, i, ((gib << 30) + i * kBytesPer2M) | kLeafBits | kLarge);
    }
  }
}

SysResult PayloadMemory::install(const Vm& vm) const {
  return vm.set_memory_region_legacy({.slot = kPayloadSlot,
                                      .flags = 0,
                                      .guest_phys_addr = kPayloadGpa.value,
                                      .memory_size = kPayloadBytes.value,
                                      .userspace_addr = mapping_.address()});
}

SysResult PayloadMemory::remove(const Vm& vm) const {
  return vm.set_memory_region_legacy({.slot = kPayloadSlot,
                                      .flags = 0,
                                      .guest_phys_addr = 0,
                                      .memory_size = 0,
                                      .userspace_addr = 0});
}

Expected<void> Guest::start() {
  SLUICE_CHECK(id_ < kMaxPayloadVcpus);
  kvm_sregs sregs{};
  SysResult result = vcpu_->ioctl(KVM_GET_SREGS, &sregs);
  if (result.ok()) {
    sregs.cr0 = kCr0ProtectedMode | kCr0ExtensionType | kCr0NumericError | kCr0Paging;
    sregs.cr3 = payload_address(PayloadPage::kPml4).value;
    sregs.cr4 = kCr4PhysicalAddressExtension;
    sregs.efer = kEferLongMode;
    set_segments(sregs, 0);
    result = vcpu_->ioctl(KVM_SET_SREGS, &sregs);
  }
  if (!result.ok()) {
    return std::unexpected(SystemError{.number = result.error, .what = "enter long mode"});
  }
  cpl_ = 0;
  exit_in_hand_ = false;
  return {};
}

Expected<void> Guest::stop() {
  if (exit_in_hand_) static_cast<void>(vcpu_->complete_exit());
  exit_in_hand_ = false;
  kvm_sregs sregs{};
  SysResult result = vcpu_->ioctl(KVM_GET_SREGS, &sregs);
  if (result.ok()) {
    sregs.cr0 = kCr0ExtensionType;
    sregs.cr3 = sregs.cr4 = sregs.efer = 0;
    sregs.cs.l = 0;
    result = vcpu_->ioctl(KVM_SET_SREGS, &sregs);
  }
  if (!result.ok()) {
    return std::unexpected(SystemError{.number = result.error, .what = "leave long mode"});
  }
  return {};
}

SysResult Guest::set_privilege(unsigned cpl) {
  if (cpl == cpl_) return SysResult::of(0);
  kvm_sregs sregs{};
  SysResult result = vcpu_->ioctl(KVM_GET_SREGS, &sregs);
  if (!result.ok()) return result;
  set_segments(sregs, cpl);
  result = vcpu_->ioctl(KVM_SET_SREGS, &sregs);
  if (result.ok()) cpl_ = cpl;
  return result;
}

kvm_regs Guest::window_registers(const unsigned char* entry, Gpa gpa, std::uint64_t c_bit) const {
  kvm_regs registers{};
  registers.rip = payload_entry(entry);
  registers.rdi = window_entry_address(id_);
  registers.rsi = (gpa.value & kFrameMask) | kLeafBits | c_bit;
  registers.r8 = window_address(id_) + gpa.value % kPageBytes;
  return registers;
}

CommandResult Guest::read(Gpa gpa, std::uint64_t c_bit) {
  return enter(window_registers(sluice_payload_read, gpa, c_bit));
}

CommandResult Guest::write(Gpa gpa, std::uint64_t value, std::uint64_t c_bit) {
  kvm_regs registers = window_registers(sluice_payload_write, gpa, c_bit);
  registers.rbx = value;
  return enter(registers);
}

CommandResult Guest::fetch(Gpa gpa, std::uint64_t c_bit) {
  kvm_regs registers = window_registers(sluice_payload_fetch, gpa, c_bit);
  registers.r9 = window_address(id_) + kPageBytes - 16;
  registers.rax = payload_address(PayloadPage::kScratch).value;  // low byte, AL, is 0
  return enter(registers);
}

CommandResult Guest::hypercall(const HypercallArguments& arguments, unsigned cpl) {
  const SysResult privileged = set_privilege(cpl);
  if (!privileged.ok()) return {.exit = {.kind = ExitKind::kError, .error = privileged.error}};
  kvm_regs registers{};
  static const bool amd = host_is_amd();
  registers.rip = payload_entry(amd ? sluice_payload_vmmcall : sluice_payload_vmcall);
  registers.rax = arguments.nr;
  registers.rbx = arguments.a0;
  registers.rcx = arguments.a1;
  registers.rdx = arguments.a2;
  registers.rflags = cpl == 0 ? 0 : kFlagsIoPrivilege3;  // ring 3 reports by port, too
  CommandResult result = enter(registers);
  if (result.exit.kind != ExitKind::kHypercall) static_cast<void>(set_privilege(0));
  return result;
}

CommandResult Guest::finish_hypercall(std::uint64_t returned) {
  vcpu_->run_page().hypercall.ret = returned;
  const CommandResult result = run();
  static_cast<void>(set_privilege(0));
  return result;
}

CommandResult Guest::touch(Gpa first, std::uint64_t stride, std::uint64_t count) {
  SLUICE_CHECK(count > 0);
  SLUICE_CHECK(first.value + stride * (count - 1) < kIdentityBytes);
  kvm_regs registers{};
  registers.rip = payload_entry(sluice_payload_touch);
  registers.rdi = first.value;
  registers.rsi = stride;
  registers.rcx = count;
  return enter(registers);
}

CommandResult Guest::start_exits() {
  kvm_regs registers{};
  registers.rip = payload_entry(sluice_payload_exits);
  return enter(registers);
}

CommandResult Guest::spin() {
  kvm_regs registers{};
  registers.rip = payload_entry(sluice_payload_spin);
  return enter(registers);
}

CommandResult Guest::enter(const kvm_regs& registers) {
  // An exit that KVM still has in hand would be completed into the new command's registers.
  if (exit_in_hand_) static_cast<void>(vcpu_->complete_exit());
  exit_in_hand_ = false;
  kvm_regs with_flags = registers;
  with_flags.rflags |= kFlagsReserved;
  const SysResult set = vcpu_->ioctl(KVM_SET_REGS, &with_flags);
  if (!set.ok()) return {.exit = {.kind = ExitKind::kError, .error = set.error}};
  return run();
}

CommandResult Guest::run() {
  CommandResult result{.exit = decode_exit(vcpu_->run(), vcpu_->run_page())};
  switch (result.exit.kind) {
    case ExitKind::kDone: {
      kvm_regs registers{};
      const SysResult got = vcpu_->ioctl(KVM_GET_REGS, &registers);
      if (!got.ok()) return {.exit = {.kind = ExitKind::kError, .error = got.error}};
      result.value = registers.rax;
      exit_in_hand_ = true;
      break;
    }
    case ExitKind::kMmio:
    case ExitKind::kIo:
    case ExitKind::kHypercall:
      exit_in_hand_ = true;
      break;
    default:
      exit_in_hand_ = false;
  }
  return result;
}

namespace {

void set_phys_addr_bits(uapi::CpuidTable& table, std::uint8_t bits) {
  for (std::uint32_t i = 0; i < table.header.entry_count; ++i) {
    kvm_cpuid_entry2& entry = table.entries[i];
    if (entry.function == 0x80000008) entry.eax = (entry.eax & ~0xffu) | bits;
  }
}

}  // namespace

SysResult set_supported_cpuid(const Kvm& kvm, const Vcpu& vcpu,
                              std::optional<std::uint8_t> phys_addr_bits) {
  const auto table = std::make_unique<uapi::CpuidTable>();  // 10 KiB: too much for a stack frame
  const SysResult got =
      kvm.sys().ioctl(kvm.fd(), uapi::kGetSupportedCpuid, argument_of(table.get()));
  if (!got.ok()) return got;
  if (phys_addr_bits) set_phys_addr_bits(*table, *phys_addr_bits);
  return vcpu.ioctl(uapi::kSetCpuid2, table.get());
}

SysResult change_phys_addr_bits(const Vcpu& vcpu, std::uint8_t phys_addr_bits) {
  const auto table = std::make_unique<uapi::CpuidTable>();
  const SysResult got = vcpu.ioctl(uapi::kGetCpuid2, table.get());
  if (!got.ok()) return got;
  set_phys_addr_bits(*table, phys_addr_bits);
  return vcpu.ioctl(uapi::kSetCpuid2, table.get());
}

SysResult set_smm(const Vcpu& vcpu, bool smm) {
  kvm_vcpu_events events{};
  const SysResult got = vcpu.ioctl(KVM_GET_VCPU_EVENTS, &events);
  if (!got.ok()) return got;
  events.flags |= KVM_VCPUEVENT_VALID_SMM;
  // An exception that a command broken off left pending reads as injected, which KVM_SET_REGS does
  // not take back: the next command would die of it.
  events.exception = {};
  events.smi.smm = smm ? 1 : 0;
  return vcpu.ioctl(KVM_SET_VCPU_EVENTS, &events);
}

}  // namespace sluice::kvm
