// A vCPU without a processor, for a seam implementation that answers KVM_RUN itself: keeps
// registers, CPUID and the kvm_run page, and reads off the registers what the guest program
// (payload/payload.S) does next. The other side of guest.h; what an access meets is the answerer's
// business.
//
// Left out: a processor. Only the programs of payload.S run, each from its entry; GET_REGS shows
// the entry as RIP until the command has ended, not the instruction inside.
#pragma once
#include <cstdint>
#include <memory>

#include "kvm/exit.h"
#include "kvm/guest.h"
#include "kvm/request.h"
#include "kvm/syscalls.h"

namespace sluice::kvm {

/// The next thing the guest does that somebody has to answer.
struct GuestCommand {
  enum class Kind : std::uint8_t {
    kRead,       // of 8 bytes at gpa
    kWrite,      // of value to gpa
    kFetch,      // an instruction of the page of gpa
    kHypercall,  // hypercall, in ring cpl
    kPort,       // the closing byte to the done port
    kSpin,       // never leaves the guest by itself
    kFault,      // an exception that nothing handles: the vCPU shuts down
    kLost,       // registers that are no command of the program
  };
  Kind kind = Kind::kLost;
  Gpa gpa{};
  std::uint64_t value = 0;
  HypercallArguments hypercall{};
  unsigned cpl = 0;
};

/// Never moves: the run page is mapped by whoever asked for it. Thread: compatible. Cost: no
/// allocation after construction.
class EmulatedVcpu {
 public:
  static constexpr std::size_t kRunBytes = 3 * kPageBytes;  // kvm_run, port data, coalesced MMIO
  EmulatedVcpu();
  EmulatedVcpu(const EmulatedVcpu&) = delete;
  EmulatedVcpu& operator=(const EmulatedVcpu&) = delete;

  /// What mmap(2) of the vCPU's descriptor gives.
  std::uintptr_t run_address() const;

  struct RegistersAnswer {
    SysResult result{};
    bool resets_mmu = false;  // paging was switched: KVM drops the vCPU's root
  };
  /// KVM_{GET,SET}_{REGS,SREGS} and KVM_GET_CPUID2, to the end.
  RegistersAnswer registers(const RegistersRequest& request);

  /// KVM_SET_CPUID2 after whoever fixes CPUID has agreed. E2BIG: more entries than KVM takes.
  SysResult set_cpuid(const uapi::CpuidTable& table);
  /// True if the table is the one the vCPU has.
  bool has_cpuid(const uapi::CpuidTable& table) const;

  /// KVM_RUN begins: finishes the exit in hand. False if the guest is not to be entered
  /// (immediate_exit): KVM_RUN fails with EINTR.
  bool enter();
  GuestCommand next() const;
  /// The command has been answered; `value` is what was read, or what the hypercall returned.
  void finish(std::uint64_t value);
  /// KVM_RUN returns with this exit.
  SysResult leave(const GuestExit& exit);

 private:
  enum class Program : std::uint8_t {
    kNone,
    kRead,
    kWrite,
    kFetch,
    kHypercall,
    kTouch,
    kExits,
    kSpin
  };
  struct RunPages {
    alignas(kPageBytes) std::byte bytes[kRunBytes] = {};
  };
  kvm_run& run() const;
  Program program() const;
  unsigned phys_addr_bits() const;
  GuestCommand through_window(GuestCommand::Kind kind) const;
  SysResult get_cpuid(uapi::CpuidTable& table) const;

  std::unique_ptr<RunPages> run_;
  std::unique_ptr<uapi::CpuidTable> cpuid_;
  kvm_regs regs_{};
  kvm_sregs sregs_{};
  bool done_ = false;                    // all but the closing port write has happened
  ExitKind in_hand_ = ExitKind::kOther;  // kDone, kMmio, kHypercall: to be finished; else nothing
};

/// MAXPHYADDR as a CPUID table says it; 36 where it does not (kvm's cpuid_query_maxphyaddr()).
unsigned phys_addr_bits_of(const uapi::CpuidTable& table);
/// KVM_GET_SUPPORTED_CPUID of a processor that has nothing to say but its MAXPHYADDR. E2BIG: the
/// table is too small.
SysResult write_supported_cpuid(uapi::CpuidTable& table, unsigned phys_addr_bits);

}  // namespace sluice::kvm
