// Files, mappings and memory; the ioctls are in model_ioctls.cc, KVM_RUN in model_run.cc.
#include "run/model_syscalls.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "kvm/vm.h"
#include "model/host/guest_memfd.h"
#include "model/host/kernel.h"

namespace sluice::run {

using kvm::SysResult;

namespace {

// Far above what a process ever has open: an own number is never a real one.
constexpr int kFirstFd = 1 << 30;

/// What a touch answers: SIGBUS is EIO (kvm/syscalls.h).
SysResult touch_result(const Outcome& outcome) {
  constexpr unsigned kSigbus = 7;
  const bool bus = outcome.kind == StatusKind::kHostFault && outcome.number == kSigbus;
  return bus ? SysResult::failed(EIO) : syscall_result(outcome);
}

SysResult copy_name(char* to, std::size_t room, std::string_view text) {
  const std::size_t length = std::min(room - 1, text.size());
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
  return SysResult::of(0);
}

}  // namespace

SysResult syscall_result(const Outcome& outcome) {
  SLUICE_CHECK(outcome.progression == Progression::kDone);
  switch (outcome.kind) {
    case StatusKind::kOk:
      return SysResult::of(0);
    case StatusKind::kErrno:
      return SysResult::failed(outcome.number);
    case StatusKind::kSkipped:
      return SysResult::failed(outcome.check == Check::kSkipCapability ? ENOTTY : ENOMEM);
    default:
      break;
  }
  SLUICE_CHECK(outcome.kind == StatusKind::kHostFault);
  // Deviation: a store to a frame that a guest owns faults for ever; here it is refused.
  return SysResult::failed(EFAULT);
}

ModelSyscalls::ModelSyscalls(model::ModelBackend model, const HostProfile& profile)
    : model_(std::move(model)), profile_(profile) {
  begin();
}

Expected<std::unique_ptr<ModelSyscalls>> ModelSyscalls::open(const HostProfile& profile) {
  HostProfile amd = profile;
  amd.root_level_by_cpuid = false;
  auto model = model::ModelBackend::open(amd);
  if (!model) return std::unexpected(model.error());
  return std::unique_ptr<ModelSyscalls>(new ModelSyscalls(std::move(*model), amd));
}

void ModelSyscalls::begin() {
  model_.reset();
  // A hypercall that exits is left to user space, which is on the other side of the seam.
  SequenceHeader header{.kernel = profile_.version};
  header.policy.vmm = VmmPolicy::kIgnore;
  model_.begin(header);
}

Outcome ModelSyscalls::apply(ActorId actor, const Op& op) {
  return model_.apply({.actor = actor, .op = op});
}

bool ModelSyscalls::is_idle() const {
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    if (model_.view().vm({i}).exists) return false;
  }
  return true;
}

/// With no VM and no guest_memfd left, a new region is all that there was of the machine.
void ModelSyscalls::renew_region() { is_idle() ? begin() : model_.renew_host_region(); }

// ---- Descriptors ----

SysResult ModelSyscalls::add(File file) {
  auto at = std::ranges::find(files_, File::Kind::kClosed, &File::kind);
  if (at == files_.end()) at = files_.insert(at, File{});
  *at = std::move(file);
  return SysResult::of(kFirstFd + (at - files_.begin()));
}

ModelSyscalls::File* ModelSyscalls::find(int fd) {
  const auto at = static_cast<std::size_t>(fd - kFirstFd);
  const bool is_open =
      fd >= kFirstFd && at < files_.size() && files_[at].kind != File::Kind::kClosed;
  return is_open ? &files_[at] : nullptr;
}

std::size_t ModelSyscalls::open_files() const {
  return files_.size() -
         static_cast<std::size_t>(std::ranges::count(files_, File::Kind::kClosed, &File::kind));
}

SysResult ModelSyscalls::open(const char* path, int) {
  const std::string_view name = path;
  const auto yes = [](bool answer) {
    return File{.kind = File::Kind::kText, .text = answer ? "Y\n" : "N\n"};
  };
  if (name == kvm::Kvm::kDefaultPath) return add({.kind = File::Kind::kKvm});
  if (name == "/sys/module/kvm_amd") return add({.kind = File::Kind::kDirectory});
  // Nested paging is the TDP MMU's: the only one that the model has.
  if (name == "/sys/module/kvm/parameters/tdp_mmu") return add(yes(profile_.tdp));
  if (name == "/sys/module/kvm_amd/parameters/npt") return add(yes(profile_.tdp));
  return SysResult::failed(ENOENT);
}

/// A descriptor of the VM is gone; with the last one the VM goes, and its vCPUs.
void ModelSyscalls::drop(VmIndex vm) {
  if (--vms_[vm.value].descriptors != 0) return;
  static_cast<void>(apply(DestroyVm{.vm = vm}));
  for (VcpuUse& vcpu : vcpus_) {
    if (vcpu.cpu && vcpu.vm == vm) vcpu = {};
  }
}

SysResult ModelSyscalls::close(int fd) {
  File* const file = find(fd);
  if (file == nullptr) return SysResult::failed(EBADF);
  const File closed = std::exchange(*file, File{});
  switch (closed.kind) {
    case File::Kind::kVm:
      drop(VmIndex{closed.index});
      break;
    case File::Kind::kVcpu:
      drop(vcpus_[closed.index].vm);
      break;
    case File::Kind::kGmem:
      return syscall_result(apply(CloseGuestMemfd{.gmem = {closed.index}}));
    default:
      break;
  }
  return SysResult::of(0);
}

SysResult ModelSyscalls::fallocate(const kvm::FallocateCall& call) {
  const File* const file = find(call.fd);
  if (file == nullptr) return SysResult::failed(EBADF);
  if (file->kind != File::Kind::kGmem) return SysResult::failed(ENODEV);
  return syscall_result(apply(GmemAllocate{.gmem = {file->index},
                                           .offset = {static_cast<std::uint64_t>(call.offset)},
                                           .size = {static_cast<std::uint64_t>(call.length)},
                                           .mode = {static_cast<std::uint32_t>(call.mode)}}));
}

SysResult ModelSyscalls::ftruncate(int fd, std::int64_t) {
  return SysResult::failed(find(fd) == nullptr ? EBADF : EINVAL);  // the size of a file is fixed
}

SysResult ModelSyscalls::pread(int fd, kvm::FileSpan span) {
  const File* const file = find(fd);
  if (file == nullptr) return SysResult::failed(EBADF);
  if (file->kind != File::Kind::kText || span.offset < 0) return SysResult::failed(EINVAL);
  const auto offset = std::min(static_cast<std::size_t>(span.offset), file->text.size());
  const std::size_t length = std::min(span.length, file->text.size() - offset);
  std::memcpy(span.at, file->text.data() + offset, length);
  return SysResult::of(static_cast<std::int64_t>(length));
}

SysResult ModelSyscalls::pwrite(int fd, kvm::FileSpan) {
  return SysResult::failed(find(fd) == nullptr ? EBADF : EINVAL);
}

SysResult ModelSyscalls::file_size(int fd) {
  const File* const file = find(fd);
  if (file == nullptr) return SysResult::failed(EBADF);
  if (file->kind != File::Kind::kGmem) return SysResult::of(0);
  const std::uint64_t pages = model_.view().gmem({file->index}).page_count;
  return SysResult::of(static_cast<std::int64_t>(pages << kPageShift));
}

SysResult ModelSyscalls::uname(utsname& name) {
  std::memset(&name, 0, sizeof name);
  static_cast<void>(copy_name(name.sysname, sizeof name.sysname, "Linux"));
  return copy_name(
      name.release, sizeof name.release,
      fmt::format("{}.{}.0-sluice-model", profile_.version.major, profile_.version.minor));
}

// ---- Memory of this process ----

bool ModelSyscalls::meets_region(std::uintptr_t address, std::uint64_t length) const {
  if (region_ == 0 || length == 0) return false;
  const std::uint64_t last = length - 1 > ~address ? ~std::uint64_t{0} : address + (length - 1);
  return address < region_ + kHostRegionBytes && last >= region_;
}

bool ModelSyscalls::inside_region(std::uintptr_t address, std::uint64_t length) const {
  return region_ != 0 && address >= region_ && address - region_ < kHostRegionBytes &&
         length <= kHostRegionBytes - (address - region_);
}

/// A range that meets the host region keeps its place relative to it. Another one is raw; where the
/// model happens to have its region there, it is moved out of the way, alignment kept.
HostVa ModelSyscalls::host_address(std::uint64_t address, std::uint64_t length) const {
  if (meets_region(address, std::max<std::uint64_t>(length, 1))) {
    return {.value = address - region_};
  }
  const std::uint64_t from = model::kHostRegionAddress;
  const bool in_the_way =
      address < from + kHostRegionBytes && (address >= from || length > from - address);
  return {.value = in_the_way ? address + (std::uint64_t{1} << 40) : address, .raw = true};
}

SysResult ModelSyscalls::mmap(const kvm::MmapCall& call) {
  if (call.fd >= 0) {
    const File* const file = find(call.fd);
    if (file == nullptr) return SysResult::failed(EBADF);
    if (file->kind == File::Kind::kGmem) return mmap_file(*file, call);
    if (file->kind != File::Kind::kVcpu) return SysResult::failed(ENODEV);
    if (call.length > kvm::EmulatedVcpu::kRunBytes) return SysResult::failed(EINVAL);
    run_pages_.push_back(vcpus_[file->index].cpu);
    return SysResult::of(static_cast<std::int64_t>(run_pages_.back()->run_address()));
  }
  const bool fixed = (call.flags & MAP_FIXED) != 0;
  const bool renews = fixed && call.address == region_ && call.length == kHostRegionBytes;
  // HostRegion reserves what it has unmapped: for the model a hole either way.
  const bool reserves = call.protection == PROT_NONE && inside_region(call.address, call.length);
  if (fixed && !renews && !reserves && meets_region(call.address, call.length)) {
    return SysResult::failed(EOPNOTSUPP);
  }
  const SysResult made = kvm::kernel_syscalls().mmap(call);
  if (!made.ok()) return made;
  const auto address = static_cast<std::uintptr_t>(made.value);
  if (region_ == 0 && call.length == kvm::HostRegion::kMappingBytes) {
    mapping_ = address;
    region_ = kvm::HostRegion::base_in(address);
    renew_region();
  } else if (renews) {
    renew_region();
  }
  return made;
}

/// The model's operation is mmap and touch in one: what mmap alone refuses is asked for here.
SysResult ModelSyscalls::mmap_file(const File& file, const kvm::MmapCall& call) {
  if (call.length != kPageBytes) return SysResult::failed(EINVAL);
  const model::Kernel& kernel = model_.kernel();
  const RawOffset offset{static_cast<std::uint64_t>(call.offset)};
  const Check check = model::check_gmem_mmap(kernel, kernel.gmem({file.index}), offset);
  if (check != Check::kOk) return SysResult::failed(row_of(check).number);
  const SysResult made = kvm::kernel_syscalls().mmap(
      {.length = kPageBytes, .protection = PROT_NONE, .flags = MAP_PRIVATE | MAP_ANONYMOUS});
  if (!made.ok()) return made;
  FilePage* place = file_page(0);
  if (place == nullptr) place = &file_pages_.emplace_back();
  *place = {.address = static_cast<std::uintptr_t>(made.value),
            .gmem = {file.index},
            .offset = offset.value};
  return made;
}

ModelSyscalls::FilePage* ModelSyscalls::file_page(std::uintptr_t address) {
  const auto at = std::ranges::find(file_pages_, address, &FilePage::address);
  return at == file_pages_.end() ? nullptr : &*at;
}

SysResult ModelSyscalls::munmap(std::uintptr_t address, std::size_t length) {
  if (FilePage* const mapped = file_page(address); mapped != nullptr && address != 0) *mapped = {};
  const auto page =
      std::ranges::find(run_pages_, address, [](const auto& cpu) { return cpu->run_address(); });
  if (page != run_pages_.end()) {
    run_pages_.erase(page);
    return SysResult::of(0);
  }
  const bool whole = address == mapping_ && length == kvm::HostRegion::kMappingBytes;
  if (meets_region(address, length) || inside_region(address, length)) {
    const bool refused = address % kPageBytes != 0 || length == 0;  // before the range is looked at
    if (!whole && !refused && !inside_region(address, length)) return SysResult::failed(EOPNOTSUPP);
    const HostUnmap unmap = whole
                                ? HostUnmap{.hva = {.value = 0}, .size = {kHostRegionBytes}}
                                : HostUnmap{.hva = {.value = address - region_}, .size = {length}};
    const SysResult answer = syscall_result(apply(unmap));
    if (!answer.ok()) return answer;
  }
  if (whole) mapping_ = region_ = 0;
  return kvm::kernel_syscalls().munmap(address, length);
}

SysResult ModelSyscalls::madvise(std::uintptr_t address, std::size_t length, int advice) {
  if (meets_region(address, length)) {
    const bool whole = address == region_ && length == kHostRegionBytes;
    const bool inside = whole || inside_region(address, length);
    if (!inside || advice != MADV_DONTNEED) return SysResult::failed(EOPNOTSUPP);
    const SysResult answer =
        syscall_result(apply(HostDontneed{.hva = {.value = address - region_}, .size = {length}}));
    if (whole && answer.ok() && is_idle()) begin();
    return answer;
  }
  return kvm::kernel_syscalls().madvise(address, length, advice);
}

/// Of the region only what takes access away is put to the model, as what NUMA balancing does: the
/// next touch finds its page as it was either way.
SysResult ModelSyscalls::mprotect(std::uintptr_t address, std::size_t length, int protection) {
  if (!meets_region(address, length)) {
    return kvm::kernel_syscalls().mprotect(address, length, protection);
  }
  if (!inside_region(address, length)) return SysResult::failed(EOPNOTSUPP);
  if (protection != PROT_NONE) return SysResult::of(0);
  return syscall_result(
      apply({.kind = ActorKind::kKernel},
            NumaBalancing{.hva = {.value = address - region_}, .size = {length}}));
}

SysResult ModelSyscalls::load(std::uintptr_t address, std::uint64_t& value) {
  if (const FilePage* const mapped = file_page(address); mapped != nullptr) {
    const Outcome out = apply(GmemAccess{.gmem = mapped->gmem, .offset = {mapped->offset}});
    value = out.value;
    return touch_result(out);
  }
  if (!inside_region(address, sizeof value)) return kvm::kernel_syscalls().load(address, value);
  if (address % kPageBytes != 0) return SysResult::failed(EOPNOTSUPP);
  const Outcome out =
      apply(HostAccess{.hva = {.value = address - region_}, .kind = AccessKind::kRead});
  value = out.value;
  return syscall_result(out);
}

SysResult ModelSyscalls::store(std::uintptr_t address, std::uint64_t value) {
  if (const FilePage* const mapped = file_page(address); mapped != nullptr) {
    return touch_result(apply(GmemAccess{.gmem = mapped->gmem,
                                         .offset = {mapped->offset},
                                         .kind = AccessKind::kWrite,
                                         .value = {value}}));
  }
  if (!inside_region(address, sizeof value)) return kvm::kernel_syscalls().store(address, value);
  if (address % kPageBytes != 0) return SysResult::failed(EOPNOTSUPP);
  return syscall_result(apply(HostAccess{
      .hva = {.value = address - region_}, .kind = AccessKind::kWrite, .value = {value}}));
}

}  // namespace sluice::run
