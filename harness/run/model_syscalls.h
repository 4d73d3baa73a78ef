// The second implementation of the seam kvm/syscalls.h: system calls answered by the model, with
// the structures and errnos of the kernel that its profile describes. So kvm's backend and probe,
// written for a kernel, run on any machine, and what this machine's KVM lacks is tested too.
//
// Each call is the operation it stands for, put to the model, and its Outcome translated. Answered
// without the model:
//  * what the model does not know: registers, CPUID other than MAXPHYADDR, kvm_run, capabilities
//    (from the profile), uname and sysfs. Kept, and given back as they were set.
//  * the guest program's own memory. Its memslot is an ordinary one to the model, with a raw
//    address; but that the guest fetches its code there and walks its page tables is not put to the
//    model: KVM_RUN reads the command off the registers (kvm/emulated_vcpu.h).
//  * anonymous mappings: the real kernel makes them. The one that is a HostRegion is the model's
//    host region as well: addresses in it become offsets, and load, store, munmap and renewal act
//    on the model's pages. Other addresses are raw, nothing is behind them for the model.
// An unknown request is ENOTTY, an argument that is null EFAULT.
//
// What it cannot answer: more than kMaxVms VMs, kMaxVcpus vCPUs, kMaxGmems files at a time, and
// operations beyond the model's limits (ENOMEM); loads and stores of the host region elsewhere than
// at the start of a page, where the model has its token, and a renewal of part of the region
// (EOPNOTSUPP); an mmap of more than a page of a guest_memfd (EINVAL); binary statistics (ENOTTY);
// SEV commands (ENOTTY); time, races and whatever else needs two threads.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "kvm/emulated_vcpu.h"
#include "kvm/request.h"
#include "kvm/syscalls.h"
#include "model/model_backend.h"

namespace sluice::run {

/// Thread: one thread. A KVM_RUN whose guest never leaves (spin, or a fault that repeats for ever)
/// sleeps until a signal comes, as a real one would run.
class ModelSyscalls final : public kvm::Syscalls {
 public:
  /// A machine of this profile, with the paging of its processor, an AMD one (kvm_amd). Fails where
  /// the model cannot be opened. The profile's frame_count cannot be asked of a kernel: a probe
  /// finds the default.
  static Expected<std::unique_ptr<ModelSyscalls>> open(const HostProfile& profile);

  kvm::SysResult open(const char* path, int flags) override;
  kvm::SysResult close(int fd) override;
  kvm::SysResult ioctl(int fd, unsigned long request, std::uintptr_t argument) override;
  kvm::SysResult mmap(const kvm::MmapCall& call) override;
  kvm::SysResult munmap(std::uintptr_t address, std::size_t length) override;
  kvm::SysResult madvise(std::uintptr_t address, std::size_t length, int advice) override;
  kvm::SysResult mprotect(std::uintptr_t address, std::size_t length, int protection) override;
  kvm::SysResult fallocate(const kvm::FallocateCall& call) override;
  kvm::SysResult ftruncate(int fd, std::int64_t length) override;
  kvm::SysResult pread(int fd, kvm::FileSpan span) override;
  kvm::SysResult pwrite(int fd, kvm::FileSpan span) override;
  kvm::SysResult file_size(int fd) override;
  kvm::SysResult uname(utsname& name) override;
  kvm::SysResult load(std::uintptr_t address, std::uint64_t& value) override;
  kvm::SysResult store(std::uintptr_t address, std::uint64_t value) override;

  /// The model behind it, to look at.
  const model::ModelBackend& model() const { return model_; }
  /// Descriptors it has open: 0 after all were closed.
  std::size_t open_files() const;

 private:
  /// What a descriptor stands for; `index` counts VMs, vCPUs or guest_memfds of the model.
  struct File {
    enum class Kind : std::uint8_t { kClosed, kKvm, kVm, kVcpu, kGmem, kDirectory, kText };
    Kind kind = Kind::kClosed;
    std::uint8_t index = 0;
    std::string text{};  // kText
  };
  /// The descriptors that keep a VM: its own, and its vCPUs'.
  struct VmUse {
    unsigned descriptors = 0;
    VmType type = VmType::kDefault;
  };
  struct VcpuUse {
    std::shared_ptr<kvm::EmulatedVcpu> cpu{};  // null where the model's vCPU is free
    VmIndex vm{};
    unsigned long id = 0;  // KVM_CREATE_VCPU's argument
  };

  explicit ModelSyscalls(model::ModelBackend model, const HostProfile& profile);

  // One per request that the kind of descriptor knows; any other is ENOTTY.
  template <class Target>
  kvm::SysResult dispatch(Target target, unsigned long request, std::uintptr_t argument);
  struct System {};
  kvm::SysResult answer(System, const kvm::GetApiVersionRequest& request);
  kvm::SysResult answer(System, const kvm::GetRunBytesRequest& request);
  kvm::SysResult answer(System, const kvm::CreateVmRequest& request);
  kvm::SysResult answer(System, const kvm::CheckExtensionRequest& request);
  kvm::SysResult answer(System, const kvm::GetSupportedCpuidRequest& request);
  kvm::SysResult answer(VmIndex vm, const kvm::CheckExtensionRequest& request);
  kvm::SysResult answer(VmIndex vm, const kvm::EnableCapRequest& request);
  kvm::SysResult answer(VmIndex vm, const kvm::SetMemoryRegionRequest& request);
  kvm::SysResult answer(VmIndex vm, const kvm::SetMemoryAttributesRequest& request);
  kvm::SysResult answer(VmIndex vm, const kvm::CreateGuestMemfdRequest& request);
  kvm::SysResult answer(VmIndex vm, const kvm::CreateVcpuRequest& request);
  kvm::SysResult answer(VcpuIndex vcpu, const kvm::RunRequest& request);
  kvm::SysResult answer(VcpuIndex vcpu, const kvm::RegistersRequest& request);
  kvm::SysResult answer(VcpuIndex vcpu, const kvm::SetCpuidRequest& request);
  kvm::SysResult answer(VcpuIndex vcpu, const kvm::VcpuEventsRequest& request);
  kvm::SysResult answer(VcpuIndex vcpu, const kvm::PreFaultMemoryRequest& request);

  // KVM_RUN (model_run.cc).
  std::optional<kvm::GuestExit> missing_program(VcpuIndex vcpu);
  std::optional<kvm::GuestExit> access(VcpuIndex vcpu, const kvm::GuestCommand& command);
  std::optional<kvm::GuestExit> hypercall(VcpuIndex vcpu, const kvm::GuestCommand& command);
  std::optional<kvm::GuestExit> guest_met(VcpuIndex vcpu, const Outcome& outcome,
                                          const kvm::GuestCommand& command);

  Outcome apply(const Op& op) { return apply({}, op); }
  Outcome apply(ActorId actor, const Op& op);
  /// A page of a guest_memfd that user space has mapped; address 0: a free place.
  struct FilePage {
    std::uintptr_t address = 0;
    GmemIndex gmem{};
    std::uint64_t offset = 0;
  };
  kvm::SysResult mmap_file(const File& file, const kvm::MmapCall& call);
  FilePage* file_page(std::uintptr_t address);
  void begin();  // a model in which nothing has happened
  bool is_idle() const;
  void renew_region();

  kvm::SysResult add(File file);
  File* find(int fd);
  void drop(VmIndex vm);
  GmemRef gmem_of(int fd);
  std::uint64_t capability(unsigned number, const VmUse* vm) const;
  unsigned phys_addr_bits() const;
  bool meets_region(std::uintptr_t address, std::uint64_t length) const;
  bool inside_region(std::uintptr_t address, std::uint64_t length) const;
  HostVa host_address(std::uint64_t address, std::uint64_t length) const;

  model::ModelBackend model_;
  HostProfile profile_;
  std::vector<File> files_{};
  std::array<VmUse, kMaxVms> vms_{};
  std::array<VcpuUse, kMaxVcpus> vcpus_{};
  std::vector<std::shared_ptr<kvm::EmulatedVcpu>> run_pages_{};  // one per mapping
  std::vector<FilePage> file_pages_{};
  std::uintptr_t mapping_ = 0;  // of the host region; 0: none
  std::uintptr_t region_ = 0;
};

/// What an ioctl answers that ended with this outcome. A step that the model skipped is ENOTTY for
/// what its host lacks and ENOMEM beyond its limits. Pre: not an outcome of a guest.
kvm::SysResult syscall_result(const Outcome& outcome);

}  // namespace sluice::run
