// A seam implementation that passes every call on and spoils chosen ioctls or fallocates: with a
// wrong errno, with a wrong success, or by not returning until a signal comes. For tests of what
// must notice.
#pragma once
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "kvm/syscalls.h"

namespace sluice::kvm {

/// Passes every call on. Thread: as the target.
class ForwardingSyscalls : public Syscalls {
 public:
  explicit ForwardingSyscalls(Syscalls& target) : target_(target) {}
  SysResult open(const char* path, int flags) override { return target_.open(path, flags); }
  SysResult close(int fd) override { return target_.close(fd); }
  SysResult ioctl(int fd, unsigned long request, std::uintptr_t argument) override {
    return target_.ioctl(fd, request, argument);
  }
  SysResult mmap(const MmapCall& call) override { return target_.mmap(call); }
  SysResult munmap(std::uintptr_t address, std::size_t length) override {
    return target_.munmap(address, length);
  }
  SysResult madvise(std::uintptr_t address, std::size_t length, int advice) override {
    return target_.madvise(address, length, advice);
  }
  SysResult mprotect(std::uintptr_t address, std::size_t length, int protection) override {
    return target_.mprotect(address, length, protection);
  }
  SysResult fallocate(const FallocateCall& call) override { return target_.fallocate(call); }
  SysResult ftruncate(int fd, std::int64_t length) override {
    return target_.ftruncate(fd, length);
  }
  SysResult pread(int fd, FileSpan span) override { return target_.pread(fd, span); }
  SysResult pwrite(int fd, FileSpan span) override { return target_.pwrite(fd, span); }
  SysResult file_size(int fd) override { return target_.file_size(fd); }
  SysResult uname(utsname& name) override { return target_.uname(name); }
  SysResult load(std::uintptr_t address, std::uint64_t& value) override {
    return target_.load(address, value);
  }
  SysResult store(std::uintptr_t address, std::uint64_t value) override {
    return target_.store(address, value);
  }

 private:
  Syscalls& target_;
};

/// Spoils the n-th ioctl with a given request number. Thread: compatible.
class FaultySyscalls : public ForwardingSyscalls {
 public:
  using ForwardingSyscalls::ForwardingSyscalls;

  /// The `nth` ioctl `request` from now (1 = the next) answers `result` without being made.
  void answer_ioctl(unsigned long request, SysResult result, unsigned nth = 1) {
    request_ = request, result_ = result, countdown_ = nth, blocks_ = false;
  }
  /// The `nth` ioctl `request` from now sleeps until a signal comes, then fails with EINTR.
  void block_ioctl(unsigned long request, unsigned nth = 1) {
    request_ = request, countdown_ = nth, blocks_ = true;
  }
  bool spoiled() const { return spoiled_; }

  SysResult ioctl(int fd, unsigned long request, std::uintptr_t argument) override {
    if (countdown_ == 0 || request != request_ || --countdown_ != 0) {
      return ForwardingSyscalls::ioctl(fd, request, argument);
    }
    spoiled_ = true;
    if (!blocks_) return result_;
    ::pause();
    return SysResult::failed(EINTR);
  }

 private:
  unsigned long request_ = 0;
  SysResult result_{};
  unsigned countdown_ = 0;
  bool blocks_ = false;
  bool spoiled_ = false;
};

}  // namespace sluice::kvm
