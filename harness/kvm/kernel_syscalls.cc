// The kernel's side of the seam: each method is the system call of its name and nothing else.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "kvm/guarded_access.h"
#include "kvm/syscalls.h"

namespace sluice::kvm {
namespace {

SysResult answer(std::int64_t value) {
  return value < 0 ? SysResult::failed(errno) : SysResult::of(value);
}
SysResult touched(int signal) {
  if (signal == 0) return SysResult::of(0);
  return SysResult::failed(signal == SIGBUS ? EIO : EFAULT);
}

class KernelSyscalls final : public Syscalls {
 public:
  SysResult open(const char* path, int flags) override { return answer(::open(path, flags)); }
  SysResult close(int fd) override { return answer(::close(fd)); }
  SysResult ioctl(int fd, unsigned long request, std::uintptr_t argument) override {
    return answer(::ioctl(fd, request, argument));
  }
  SysResult mmap(const MmapCall& call) override {
    void* const at = ::mmap(reinterpret_cast<void*>(call.address), call.length, call.protection,
                            call.flags, call.fd, call.offset);
    if (at == MAP_FAILED) return SysResult::failed(errno);
    return SysResult::of(static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(at)));
  }
  SysResult munmap(std::uintptr_t address, std::size_t length) override {
    return answer(::munmap(reinterpret_cast<void*>(address), length));
  }
  SysResult madvise(std::uintptr_t address, std::size_t length, int advice) override {
    return answer(::madvise(reinterpret_cast<void*>(address), length, advice));
  }
  SysResult mprotect(std::uintptr_t address, std::size_t length, int protection) override {
    return answer(::mprotect(reinterpret_cast<void*>(address), length, protection));
  }
  SysResult fallocate(const FallocateCall& call) override {
    return answer(::fallocate(call.fd, call.mode, call.offset, call.length));
  }
  SysResult ftruncate(int fd, std::int64_t length) override {
    return answer(::ftruncate(fd, length));
  }
  SysResult pread(int fd, FileSpan span) override {
    return answer(::pread(fd, span.at, span.length, span.offset));
  }
  SysResult pwrite(int fd, FileSpan span) override {
    return answer(::pwrite(fd, span.at, span.length, span.offset));
  }
  SysResult file_size(int fd) override {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return SysResult::failed(errno);
    return SysResult::of(status.st_size);
  }
  SysResult uname(utsname& name) override { return answer(::uname(&name)); }
  SysResult load(std::uintptr_t address, std::uint64_t& value) override {
    return touched(guarded_load(address, value));
  }
  SysResult store(std::uintptr_t address, std::uint64_t value) override {
    return touched(guarded_store(address, value));
  }
};

}  // namespace

Syscalls& kernel_syscalls() {
  static KernelSyscalls kernel;
  return kernel;
}

}  // namespace sluice::kvm
