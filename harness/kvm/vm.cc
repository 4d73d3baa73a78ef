#include "kvm/vm.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

#include <string>

namespace sluice::kvm {
namespace {

std::unexpected<SystemError> failed(SysResult result, std::string what) {
  return std::unexpected(SystemError{.number = result.error, .what = std::move(what)});
}

}  // namespace

Expected<Mapping> Mapping::open(Syscalls& sys, const MmapCall& call) {
  const SysResult result = sys.mmap(call);
  if (!result.ok()) return failed(result, "mmap of " + std::to_string(call.length) + " bytes");
  return Mapping(sys, static_cast<std::uintptr_t>(result.value), call.length);
}

Expected<Mapping> Mapping::anonymous(Syscalls& sys, ByteCount bytes) {
  return open(sys, {.length = bytes.value,
                    .protection = PROT_READ | PROT_WRITE,
                    .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE});
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    unmap();
    sys_ = other.sys_;
    address_ = std::exchange(other.address_, 0);
    length_ = other.length_;
  }
  return *this;
}

void Mapping::unmap() {
  if (address_ != 0) static_cast<void>(sys_->munmap(std::exchange(address_, 0), length_));
}

Expected<HostRegion> HostRegion::open(Syscalls& sys) {
  auto mapping = Mapping::anonymous(sys, {kMappingBytes});
  if (!mapping) return std::unexpected(mapping.error());
  const std::uintptr_t base = base_in(mapping->address());
  return HostRegion(sys, std::move(*mapping), base);
}

HostRegion::Span HostRegion::next(Span within, bool hole) const {
  const std::uint64_t end = (within.offset + within.length) >> kPageShift;
  std::uint64_t first = within.offset >> kPageShift;
  while (first < end && holes_[first] != hole) ++first;
  std::uint64_t last = first;
  while (last < end && holes_[last] == hole) ++last;
  return {.offset = first << kPageShift, .length = (last - first) << kPageShift};
}

/// The kernel would give a hole to whoever maps something next, a vCPU's kvm_run among them: KVM
/// then finds memory there, and renew() takes it away from its owner. Nothing can be touched in
/// what takes its place, as in a hole. Where even that cannot be mapped, the hole stays one.
void HostRegion::reserve(Span hole) {
  static_cast<void>(sys_->mmap({.address = base_ + hole.offset,
                                .length = hole.length,
                                .protection = PROT_NONE,
                                .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED}));
}

SysResult HostRegion::unmap(std::uint64_t offset, std::uint64_t length) {
  const SysResult result = sys_->munmap(base_ + offset, length);
  if (!result.ok()) return result;
  const Span hole{.offset = offset, .length = (length + kPageBytes - 1) & ~(kPageBytes - 1)};
  for (std::uint64_t at = 0; at < hole.length; at += kPageBytes)
    holes_.set((offset + at) >> kPageShift);
  reserve(hole);
  return result;
}

SysResult HostRegion::discard(std::uint64_t offset, std::uint64_t length) {
  const Span asked{.offset = offset, .length = (length + kPageBytes - 1) & ~(kPageBytes - 1)};
  if (offset % kPageBytes != 0 || next(asked, true).length == 0)
    return sys_->madvise(base_ + offset, length, MADV_DONTNEED);
  // The kernel is to see the holes as what they are.
  const auto each_hole = [&](auto&& visit) {
    for (Span left = asked; left.length > 0;) {
      const Span hole = next(left, true);
      if (hole.length > 0) visit(hole);
      const std::uint64_t end = hole.offset + hole.length;
      left = {.offset = end, .length = asked.offset + asked.length - end};
    }
  };
  each_hole([&](Span hole) { static_cast<void>(sys_->munmap(base_ + hole.offset, hole.length)); });
  const SysResult result = sys_->madvise(base_ + offset, length, MADV_DONTNEED);
  each_hole([&](Span hole) { reserve(hole); });
  return result;
}

SysResult HostRegion::protect_and_restore(std::uint64_t offset, std::uint64_t length) {
  const std::uint64_t end = offset + length;
  SysResult result = SysResult::of(0);
  for (Span part = next({.offset = offset, .length = length}, false);
       part.length > 0 && result.ok();) {
    result = sys_->mprotect(base_ + part.offset, part.length, PROT_NONE);
    if (result.ok())
      result = sys_->mprotect(base_ + part.offset, part.length, PROT_READ | PROT_WRITE);
    const std::uint64_t done = part.offset + part.length;
    part = next({.offset = done, .length = end - done}, false);
  }
  return result;
}

Expected<void> HostRegion::renew() {
  if (holes_.none()) {
    const SysResult result = sys_->madvise(base_, kBytes, MADV_DONTNEED);
    if (!result.ok()) return failed(result, "madvise of the host region");
    return {};
  }
  const SysResult result =
      sys_->mmap({.address = base_,
                  .length = kBytes,
                  .protection = PROT_READ | PROT_WRITE,
                  .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED});
  if (!result.ok()) return failed(result, "mmap of the host region anew");
  holes_.reset();
  return {};
}

Expected<Kvm> Kvm::open(Syscalls& sys, const char* path) {
  const SysResult opened = sys.open(path, O_RDWR | O_CLOEXEC);
  if (!opened.ok()) return failed(opened, std::string("open ") + path);
  Fd fd(sys, opened.fd());
  const SysResult version = sys.ioctl(fd.get(), KVM_GET_API_VERSION, 0);
  if (!version.ok()) return failed(version, std::string("KVM_GET_API_VERSION on ") + path);
  if (version.value != KVM_API_VERSION) {
    return input_error(std::string(path) + " speaks KVM API version " +
                       std::to_string(version.value) + ", wanted 12");
  }
  const SysResult run_bytes = sys.ioctl(fd.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  if (!run_bytes.ok()) return failed(run_bytes, "KVM_GET_VCPU_MMAP_SIZE");
  return Kvm(sys, std::move(fd), static_cast<std::size_t>(run_bytes.value));
}

Expected<Vm> Kvm::create_vm(unsigned long type) const {
  const SysResult created = create_vm_fd(type);
  if (!created.ok()) return failed(created, "KVM_CREATE_VM type " + std::to_string(type));
  return Vm(*sys_, Fd(*sys_, created.fd()));
}

Expected<Gmem> Gmem::create(const Vm& vm, ByteCount size, std::uint64_t flags) {
  const SysResult created = vm.create_guest_memfd(size, flags);
  if (!created.ok()) return failed(created, "KVM_CREATE_GUEST_MEMFD");
  return Gmem(vm.sys(), created.fd());
}

SysResult Gmem::allocate(std::uint64_t offset, std::uint64_t length) const {
  return fallocate(FALLOC_FL_KEEP_SIZE, offset, length);
}
SysResult Gmem::punch_hole(std::uint64_t offset, std::uint64_t length) const {
  return fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

Expected<Vcpu> Vcpu::create(const Kvm& kvm, const Vm& vm, unsigned long id) {
  const SysResult created = vm.create_vcpu_fd(id);
  if (!created.ok()) return failed(created, "KVM_CREATE_VCPU " + std::to_string(id));
  return adopt(kvm, created.fd());
}

Expected<Vcpu> Vcpu::adopt(const Kvm& kvm, int fd) {
  Fd owned(kvm.sys(), fd);
  auto run = Mapping::open(kvm.sys(), {.length = kvm.run_bytes(),
                                       .protection = PROT_READ | PROT_WRITE,
                                       .flags = MAP_SHARED,
                                       .fd = fd});
  if (!run) return std::unexpected(run.error());
  return Vcpu(kvm.sys(), std::move(owned), std::move(*run));
}

SysResult Vcpu::complete_exit() const {
  run_page().immediate_exit = 1;
  const SysResult result = sys_->ioctl(fd(), KVM_RUN, 0);
  run_page().immediate_exit = 0;
  return result;
}

}  // namespace sluice::kvm
