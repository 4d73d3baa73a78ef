#include "benchmarks/kvm_support.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/units.h"

namespace sluice::bench {

OrRefusal<kvm::Kvm> open_kvm() {
  Expected<kvm::Kvm> kvm = kvm::Kvm::open();
  if (!kvm) return skip(kvm.error().message());
  return std::move(*kvm);
}

OrRefusal<kvm::Vm> open_vm(const kvm::Kvm& kvm, unsigned long type) {
  Expected<kvm::Vm> vm = kvm.create_vm(type);
  if (vm) return std::move(*vm);
  if (type != kvm::uapi::kVmTypeDefault && vm.error().number == EINVAL) {
    return skip(fmt::format("KVM_CAP_VM_TYPES ({}) has no type {}", kvm::uapi::kCapVmTypes, type));
  }
  return fail(vm.error());
}

Status require(const kvm::Vm& vm, unsigned capability, const char* name, std::uint64_t wanted) {
  const kvm::SysResult has = vm.check_extension(capability);
  const auto value = has.ok() ? static_cast<std::uint64_t>(has.value) : 0;
  if (wanted == 0 ? value != 0 : (value & wanted) == wanted) return {};
  if (wanted == 0) return skip(fmt::format("{} ({}) is 0", name, capability));
  return skip(
      fmt::format("{} ({}) is {:#x}, bits {:#x} are needed", name, capability, value, wanted));
}

Status worked(kvm::SysResult result, const char* what) {
  if (result.ok()) return {};
  return fail(SystemError{.number = result.error, .what = what});
}

std::uint64_t resident_pages(const void* begin, std::uint64_t pages) {
  std::vector<unsigned char> present(pages);
  if (::mincore(const_cast<void*>(begin), pages * kPageBytes, present.data()) != 0) return 0;
  return static_cast<std::uint64_t>(
      std::ranges::count_if(present, [](unsigned char p) { return (p & 1) != 0; }));
}

Expected<std::uint64_t> pages_of_file(int fd, std::uint64_t pages) {
  constexpr long kCachestat =
      451;  // the same number on every architecture; Debian 12's headers are older than the call
  struct Range {
    std::uint64_t offset;
    std::uint64_t length;
  } range{.offset = 0, .length = pages * kPageBytes};
  struct Answer {
    std::uint64_t cached, dirty, writeback, evicted, recently_evicted;
  } answer{};
  if (::syscall(kCachestat, fd, &range, &answer, 0U) != 0)
    return system_error("cachestat of the guest_memfd");
  return answer.cached;
}

OrRefusal<GuestMachine> GuestMachine::open(unsigned vcpus, unsigned long type) {
  OrRefusal<kvm::Kvm> kvm = open_kvm();
  if (!kvm) return std::unexpected(kvm.error());
  OrRefusal<kvm::Vm> vm = open_vm(*kvm, type);
  if (!vm) return std::unexpected(vm.error());
  Expected<kvm::PayloadMemory> payload = kvm::PayloadMemory::open(kvm->sys());
  if (!payload) return fail(payload.error());
  GuestMachine machine(std::move(*kvm), std::move(*vm), std::move(*payload));
  if (Status ok = worked(machine.payload_.install(machine.vm_), "add the guest program's memslot");
      !ok) {
    return std::unexpected(ok.error());
  }
  for (unsigned id = 0; id < vcpus; ++id) {
    Expected<kvm::Vcpu> vcpu = kvm::Vcpu::create(machine.kvm_, machine.vm_, id);
    if (!vcpu) return fail(vcpu.error());
    machine.vcpus_.push_back(std::make_unique<kvm::Vcpu>(std::move(*vcpu)));
    if (Status ok = worked(kvm::set_supported_cpuid(machine.kvm_, *machine.vcpus_.back()),
                           "KVM_SET_CPUID2");
        !ok) {
      return std::unexpected(ok.error());
    }
    machine.guests_.emplace_back(*machine.vcpus_.back(), id);
    if (Expected<void> started = machine.guests_.back().start(); !started)
      return fail(started.error());
  }
  return machine;
}

}  // namespace sluice::bench
