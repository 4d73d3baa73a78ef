// The kernel's objects as RAII values: descriptors, mappings, the system (/dev/kvm), a VM, a vCPU.
// They hold and close; they never judge. Every ioctl wrapper hands back the raw SysResult, so that
// negative tests see the errno the kernel gave. Thread: compatible; vCPUs of one VM may run in
// different threads.
#pragma once
#include <bitset>
#include <cstdint>
#include <utility>

#include "base/system_error.h"
#include "base/units.h"
#include "kvm/syscalls.h"
#include "kvm/uapi.h"

namespace sluice::kvm {

/// An open descriptor, closed at the end. A default one is empty (-1).
class Fd {
 public:
  Fd() = default;
  Fd(Syscalls& sys, int fd) : sys_(&sys), fd_(fd) {}
  Fd(Fd&& other) noexcept : sys_(other.sys_), fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      static_cast<void>(reset());
      sys_ = other.sys_;
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { static_cast<void>(reset()); }

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  /// Closes now and hands back close(2)'s answer; ok where nothing was open.
  SysResult reset() {
    if (fd_ < 0) return SysResult::of(0);
    return sys_->close(std::exchange(fd_, -1));
  }
  /// Gives the descriptor up without closing it.
  int release() { return std::exchange(fd_, -1); }

 private:
  Syscalls* sys_ = nullptr;
  int fd_ = -1;
};

/// A mapping of this process, unmapped at the end.
class Mapping {
 public:
  Mapping() = default;
  /// Fails with mmap(2)'s errno.
  static Expected<Mapping> open(Syscalls& sys, const MmapCall& call);
  /// Anonymous, private, zeroed, without huge pages reserved.
  static Expected<Mapping> anonymous(Syscalls& sys, ByteCount bytes);
  Mapping(Mapping&& other) noexcept
      : sys_(other.sys_), address_(std::exchange(other.address_, 0)), length_(other.length_) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping() { unmap(); }

  std::uintptr_t address() const { return address_; }
  std::size_t length() const { return length_; }
  std::byte* bytes() const { return reinterpret_cast<std::byte*>(address_); }

 private:
  Mapping(Syscalls& sys, std::uintptr_t address, std::size_t length)
      : sys_(&sys), address_(address), length_(length) {}
  void unmap();

  Syscalls* sys_ = nullptr;
  std::uintptr_t address_ = 0;
  std::size_t length_ = 0;
};

/// The harness's host memory: 64 MiB at a 2 MiB-aligned address, so that `hva=0x...` in a sequence
/// is an offset into it and huge-page alignment follows from the offset alone.
class HostRegion {
 public:
  static Expected<HostRegion> open(Syscalls& sys);
  /// What open() maps, and where the region lies in it.
  static constexpr std::size_t kMappingBytes = (std::size_t{64} << 20) + kBytesPer2M;
  static constexpr std::uintptr_t base_in(std::uintptr_t mapping) {
    return (mapping + kBytesPer2M - 1) & ~(kBytesPer2M - 1);
  }
  std::uintptr_t base() const { return base_; }
  static constexpr std::uint64_t kBytes = kMappingBytes - kBytesPer2M;
  /// Pre: offset < kBytes.
  std::uintptr_t at(std::uint64_t offset) const { return base_ + offset; }
  /// munmap of part of the region, as an operation asks for it; raw answer. What was unmapped is
  /// then reserved without access, so that nothing else is mapped there.
  SysResult unmap(std::uint64_t offset, std::uint64_t length);
  /// madvise(MADV_DONTNEED) and, for NUMA balancing, the two changes of protection that it consists
  /// of, of part of the region; raw answers.  Pre: an aligned range inside the region (of discard:
  /// its length as an operation gives it).  Cost: for each hole two system calls more.
  SysResult discard(std::uint64_t offset, std::uint64_t length);
  SysResult protect_and_restore(std::uint64_t offset, std::uint64_t length);
  /// All zero and all mapped again. Cost: one system call, and what was touched is faulted anew.
  Expected<void> renew();

 private:
  HostRegion(Syscalls& sys, Mapping mapping, std::uintptr_t base)
      : sys_(&sys), mapping_(std::move(mapping)), base_(base) {}
  struct Span {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };
  /// The first hole, or the first part without one, inside the span; length 0 if there is none.
  Span next(Span within, bool hole) const;
  void reserve(Span hole);

  Syscalls* sys_;
  Mapping mapping_;
  std::uintptr_t base_;
  std::bitset<kBytes / kPageBytes> holes_{};  // pages that were unmapped
};

class Vm;

/// /dev/kvm.
class Kvm {
 public:
  static constexpr const char* kDefaultPath = "/dev/kvm";
  /// Fails where the device is missing, forbidden, or speaks another API version than 12.
  static Expected<Kvm> open(Syscalls& sys = kernel_syscalls(), const char* path = kDefaultPath);

  Syscalls& sys() const { return *sys_; }
  int fd() const { return fd_.get(); }
  std::size_t run_bytes() const { return run_bytes_; }
  /// KVM_CREATE_VM, raw.
  SysResult create_vm_fd(unsigned long type) const {
    return sys_->ioctl(fd_.get(), KVM_CREATE_VM, type);
  }
  Expected<Vm> create_vm(unsigned long type = uapi::kVmTypeDefault) const;

 private:
  Kvm(Syscalls& sys, Fd fd, std::size_t run_bytes)
      : sys_(&sys), fd_(std::move(fd)), run_bytes_(run_bytes) {}
  Syscalls* sys_;
  Fd fd_;
  std::size_t run_bytes_;  // of a vCPU's kvm_run mapping
};

/// One VM. Destroying it closes its descriptor only: vCPUs and guest_memfds hold the VM alive.
class Vm {
 public:
  Vm() = default;
  Vm(Syscalls& sys, Fd fd) : sys_(&sys), fd_(std::move(fd)) {}

  Syscalls& sys() const { return *sys_; }
  int fd() const { return fd_.get(); }
  bool is_open() const { return fd_.is_open(); }
  SysResult close() { return fd_.reset(); }

  SysResult check_extension(unsigned capability) const {
    return sys_->ioctl(fd(), KVM_CHECK_EXTENSION, capability);
  }
  SysResult enable_capability(unsigned capability, std::uint64_t argument) const {
    kvm_enable_cap request{};
    request.cap = capability;
    request.args[0] = argument;
    return sys_->ioctl(fd(), KVM_ENABLE_CAP, argument_of(&request));
  }
  /// KVM_SET_USER_MEMORY_REGION2. Size 0 deletes.
  SysResult set_memory_region(const uapi::UserspaceMemoryRegion2& region) const {
    return sys_->ioctl(fd(), uapi::kSetUserMemoryRegion2, argument_of(&region));
  }
  /// KVM_SET_USER_MEMORY_REGION, which knows no guest_memfd.
  SysResult set_memory_region_legacy(const kvm_userspace_memory_region& region) const {
    return sys_->ioctl(fd(), uapi::kSetUserMemoryRegion, argument_of(&region));
  }
  SysResult delete_slot(std::uint32_t slot) const { return set_memory_region({.slot = slot}); }
  /// KVM_CREATE_GUEST_MEMFD; the value is a descriptor the caller owns.
  SysResult create_guest_memfd(ByteCount size, std::uint64_t flags = 0) const {
    uapi::CreateGuestMemfd request{.size = size.value, .flags = flags};
    return sys_->ioctl(fd(), uapi::kCreateGuestMemfd, argument_of(&request));
  }
  SysResult set_memory_attributes(const uapi::MemoryAttributes& attributes) const {
    return sys_->ioctl(fd(), uapi::kSetMemoryAttributes, argument_of(&attributes));
  }
  /// KVM_CREATE_VCPU; the value is a descriptor the caller owns.
  SysResult create_vcpu_fd(unsigned long id) const {
    return sys_->ioctl(fd(), KVM_CREATE_VCPU, id);
  }

 private:
  Syscalls* sys_ = nullptr;
  Fd fd_;
};

/// A guest_memfd.
class Gmem {
 public:
  Gmem() = default;
  Gmem(Syscalls& sys, int fd) : sys_(&sys), fd_(sys, fd) {}
  static Expected<Gmem> create(const Vm& vm, ByteCount size, std::uint64_t flags = 0);

  int fd() const { return fd_.get(); }
  bool is_open() const { return fd_.is_open(); }
  SysResult close() { return fd_.reset(); }
  /// fallocate(2), any mode, any range.
  SysResult fallocate(int mode, std::uint64_t offset, std::uint64_t length) const {
    return sys_->fallocate({.fd = fd(),
                            .mode = mode,
                            .offset = static_cast<std::int64_t>(offset),
                            .length = static_cast<std::int64_t>(length)});
  }
  SysResult allocate(std::uint64_t offset, std::uint64_t length) const;
  SysResult punch_hole(std::uint64_t offset, std::uint64_t length) const;

 private:
  Syscalls* sys_ = nullptr;
  Fd fd_;
};

/// One vCPU and its kvm_run page.
class Vcpu {
 public:
  static Expected<Vcpu> create(const Kvm& kvm, const Vm& vm, unsigned long id);
  /// Takes a descriptor that create_vcpu_fd() gave.
  static Expected<Vcpu> adopt(const Kvm& kvm, int fd);

  int fd() const { return fd_.get(); }
  kvm_run& run_page() const { return *reinterpret_cast<kvm_run*>(run_.address()); }
  Syscalls& sys() const { return *sys_; }

  SysResult ioctl(unsigned long request, const void* argument) const {
    return sys_->ioctl(fd(), request, argument_of(argument));
  }
  /// KVM_RUN, raw. Clears exit_reason first, so that a stale reason is never taken for this run's.
  SysResult run() const {
    run_page().exit_reason = KVM_EXIT_UNKNOWN;
    return sys_->ioctl(fd(), KVM_RUN, 0);
  }
  /// Lets KVM finish an exit it still has in hand (MMIO, port, hypercall) without entering the
  /// guest.
  SysResult complete_exit() const;
  /// KVM_PRE_FAULT_MEMORY; the kernel writes the rest of the range back.
  SysResult pre_fault(uapi::PreFaultMemory& range) const {
    return ioctl(uapi::kPreFaultMemory, &range);
  }

 private:
  Vcpu(Syscalls& sys, Fd fd, Mapping run) : sys_(&sys), fd_(std::move(fd)), run_(std::move(run)) {}
  Syscalls* sys_;
  Fd fd_;
  Mapping run_;
};

}  // namespace sluice::kvm
