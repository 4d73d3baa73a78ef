// The seam: every system call of this room, and every touch of memory that the kernel may refuse,
// passes this interface. The kernel implements it (kernel_syscalls()), tests wrap it to inject
// errnos and hangs (testing: kvm/faulty_syscalls.h), and `run` implements it from the model.
#pragma once
#include <sys/types.h>
#include <sys/utsname.h>

#include <cstddef>
#include <cstdint>

namespace sluice::kvm {

/// What a system call answered: its value, or the errno. Nothing is retried, EINTR included: an
/// errno is data here.
struct [[nodiscard]] SysResult {
  std::int64_t value = -1;
  int error = 0;

  constexpr bool ok() const { return error == 0; }
  constexpr int fd() const { return static_cast<int>(value); }
  static constexpr SysResult of(std::int64_t value) { return {.value = value, .error = 0}; }
  static constexpr SysResult failed(int error) { return {.value = -1, .error = error}; }
  friend constexpr bool operator==(SysResult, SysResult) = default;
};

struct MmapCall {
  std::uintptr_t address = 0;
  std::size_t length = 0;
  int protection = 0;
  int flags = 0;
  int fd = -1;
  std::int64_t offset = 0;
};

struct FallocateCall {
  int fd = -1;
  int mode = 0;
  std::int64_t offset = 0;
  std::int64_t length = 0;
};

/// A buffer of a read or write at a file offset.
struct FileSpan {
  void* at = nullptr;
  std::size_t length = 0;
  std::int64_t offset = 0;
};

/// Thread: implementations are thread-safe as far as the calls themselves are.
class Syscalls {
 public:
  Syscalls() = default;
  Syscalls(const Syscalls&) = delete;
  Syscalls& operator=(const Syscalls&) = delete;
  virtual ~Syscalls() = default;

  virtual SysResult open(const char* path, int flags) = 0;
  virtual SysResult close(int fd) = 0;
  /// `argument` is the ioctl's third argument: a number, or an address in this process.
  virtual SysResult ioctl(int fd, unsigned long request, std::uintptr_t argument) = 0;
  virtual SysResult mmap(const MmapCall& call) = 0;
  virtual SysResult munmap(std::uintptr_t address, std::size_t length) = 0;
  virtual SysResult madvise(std::uintptr_t address, std::size_t length, int advice) = 0;
  virtual SysResult mprotect(std::uintptr_t address, std::size_t length, int protection) = 0;
  virtual SysResult fallocate(const FallocateCall& call) = 0;
  virtual SysResult ftruncate(int fd, std::int64_t length) = 0;
  virtual SysResult pread(int fd, FileSpan span) = 0;
  virtual SysResult pwrite(int fd, FileSpan span) = 0;
  /// st_size of a descriptor.
  virtual SysResult file_size(int fd) = 0;
  virtual SysResult uname(utsname& name) = 0;

  /// Reads 8 bytes of this process's memory. error is EFAULT for SIGSEGV, EIO for SIGBUS: a touch
  /// is no system call, but the kernel answers it, and may refuse.
  virtual SysResult load(std::uintptr_t address, std::uint64_t& value) = 0;
  /// Writes 8 bytes likewise.
  virtual SysResult store(std::uintptr_t address, std::uint64_t value) = 0;
};

/// The kernel itself. One object for the process. Cost: the system call plus one virtual call.
Syscalls& kernel_syscalls();

inline std::uintptr_t argument_of(const void* structure) {
  return reinterpret_cast<std::uintptr_t>(structure);
}

}  // namespace sluice::kvm
