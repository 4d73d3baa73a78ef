// The payload driver: puts the guest program into a VM, enters it in long mode and runs one command
// at a time on a vCPU.
#pragma once
#include <cstdint>
#include <optional>

#include "base/system_error.h"
#include "kvm/exit.h"
#include "kvm/vm.h"

namespace sluice::kvm {

/// The payload's memory: code and page tables, written once. One serves any number of VMs one after
/// the other, and all vCPUs of a VM at a time (each has its own window).
class PayloadMemory {
 public:
  static Expected<PayloadMemory> open(Syscalls& sys);
  /// Adds the payload's memslot to the VM (kPayloadSlot at kPayloadGpa): raw answer. EEXIST: the
  /// VM has a slot there.
  SysResult install(const Vm& vm) const;
  SysResult remove(const Vm& vm) const;

 private:
  explicit PayloadMemory(Mapping mapping) : mapping_(std::move(mapping)) {}
  void write_tables();
  Mapping mapping_;
};

struct HypercallArguments {
  std::uint64_t nr = uapi::kHypercallMapGpaRange;
  std::uint64_t a0 = 0;
  std::uint64_t a1 = 0;
  std::uint64_t a2 = 0;
};

/// What a command came to. `value` is meaningful if exit.kind is kDone: what was read, or what the
/// hypercall returned.
struct CommandResult {
  GuestExit exit{};
  std::uint64_t value = 0;
};

/// Guest code on one vCPU. Pre for all commands: the payload is installed in the vCPU's VM, and
/// `start` succeeded. A command that ends otherwise than with kDone leaves the vCPU where it is;
/// the next command starts afresh. Thread: one thread per vCPU. Cost: three ioctls.
class Guest {
 public:
  explicit Guest(const Vcpu& vcpu, unsigned id) : vcpu_(&vcpu), id_(id) {}

  /// Long mode, paging on, ring 0. Fails with the errno of the ioctl that was refused.
  Expected<void> start();
  /// Back to real mode, paging off.
  Expected<void> stop();

  /// Pre: gpa is 8-byte aligned and below 2^52. The payload's page table marks it present, writable
  /// and, where `c_bit` is not 0, with those bits set.
  CommandResult read(Gpa gpa, std::uint64_t c_bit = 0);
  CommandResult write(Gpa gpa, std::uint64_t value, std::uint64_t c_bit = 0);
  /// Executes the last 16 bytes of the page of `gpa`, which must be zero.
  CommandResult fetch(Gpa gpa, std::uint64_t c_bit = 0);
  /// Issues a hypercall in ring 0 or 3. If KVM exits to user space for it (kHypercall), answer with
  /// finish_hypercall().
  CommandResult hypercall(const HypercallArguments& arguments, unsigned cpl = 0);
  CommandResult finish_hypercall(std::uint64_t returned);
  /// Writes one word to `count` places, `stride` bytes apart, through the identity mapping.
  /// Pre: count > 0, all below kIdentityBytes.
  CommandResult touch(Gpa first, std::uint64_t stride, std::uint64_t count);
  /// Starts the loop of port exits; each next_exit() is one round trip.
  CommandResult start_exits();
  GuestExit next_exit() { return decode_exit(vcpu_->run(), vcpu_->run_page()); }
  /// Runs a loop that ends only with a signal.
  CommandResult spin();

 private:
  kvm_regs window_registers(const unsigned char* entry, Gpa gpa, std::uint64_t c_bit) const;
  CommandResult enter(const kvm_regs& registers);
  CommandResult run();
  SysResult set_privilege(unsigned cpl);

  const Vcpu* vcpu_;
  unsigned id_;
  unsigned cpl_ = 0;
  bool exit_in_hand_ = false;  // KVM still has to complete the last exit
};

/// Gives the vCPU the CPUID that KVM supports, with MAXPHYADDR changed if `phys_addr_bits` is
/// given. Raw answer of KVM_SET_CPUID2, or of KVM_GET_SUPPORTED_CPUID if that failed.
SysResult set_supported_cpuid(const Kvm& kvm, const Vcpu& vcpu,
                              std::optional<std::uint8_t> phys_addr_bits = {});

/// Sets the vCPU's own CPUID again, changed in MAXPHYADDR only. After a run KVM takes nothing but
/// what the vCPU has, and KVM itself has changed that since (it follows XCR0, CR4 and others).
SysResult change_phys_addr_bits(const Vcpu& vcpu, std::uint8_t phys_addr_bits);
/// System management mode on or off, as KVM_SET_VCPU_EVENTS does it; all other events stay but an
/// exception, which goes.
SysResult set_smm(const Vcpu& vcpu, bool smm);

}  // namespace sluice::kvm
