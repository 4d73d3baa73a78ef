// What the real-KVM benchmarks share: opening the device, naming a capability that is missing, and
// asking which pages are there.
#pragma once
#include <cstdint>
#include <expected>
#include <optional>
#include <vector>

#include "benchmarks/scenario/scenario.h"
#include "kvm/guest.h"
#include "kvm/vm.h"

namespace sluice::bench {

template <class T>
using OrRefusal = std::expected<T, Refusal>;

/// /dev/kvm. Where it is missing or forbidden: a skip that says so.
OrRefusal<kvm::Kvm> open_kvm();
/// A VM of a type. A type that this kernel cannot make: a skip that names it.
OrRefusal<kvm::Vm> open_vm(const kvm::Kvm& kvm, unsigned long type = kvm::uapi::kVmTypeDefault);
/// A skip that names the capability if the VM does not have all bits of `wanted` (0: any).
Status require(const kvm::Vm& vm, unsigned capability, const char* name, std::uint64_t wanted = 0);
/// A failure that names the call, unless it succeeded.
Status worked(kvm::SysResult result, const char* what);

/// Pages that a file holds in memory, also those not yet zeroed, which mincore(2) does not show.
/// Errors: cachestat(2)'s errno. Pre: whole pages. Source: cachestat(2), since Linux 6.5;
/// guest_memfd came with 6.8.
Expected<std::uint64_t> pages_of_file(int fd, std::uint64_t pages);
/// Pages of a private mapping that are in memory now (mincore). Pre: page aligned, mapped.
std::uint64_t resident_pages(const void* begin, std::uint64_t pages);

/// The share of one thread of `total` items: [begin, end).
struct Share {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};
constexpr Share share_of(std::uint64_t total, unsigned thread, unsigned threads) {
  return {.begin = total * thread / threads, .end = total * (thread + 1) / threads};
}

/// A VM with the guest program and vCPUs that run it.
class GuestMachine {
 public:
  static OrRefusal<GuestMachine> open(unsigned vcpus,
                                      unsigned long type = kvm::uapi::kVmTypeDefault);
  const kvm::Kvm& kvm() const { return kvm_; }
  const kvm::Vm& vm() const { return vm_; }
  const kvm::Vcpu& vcpu(unsigned index) const { return *vcpus_[index]; }
  kvm::Guest& guest(unsigned index) { return guests_[index]; }

 private:
  GuestMachine(kvm::Kvm kvm, kvm::Vm vm, kvm::PayloadMemory payload)
      : kvm_(std::move(kvm)), vm_(std::move(vm)), payload_(std::move(payload)) {}
  kvm::Kvm kvm_;
  kvm::Vm vm_;
  kvm::PayloadMemory payload_;
  std::vector<std::unique_ptr<kvm::Vcpu>> vcpus_;  // guests_ point at them
  std::vector<kvm::Guest> guests_;
};

}  // namespace sluice::bench
