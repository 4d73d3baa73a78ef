// guest_memfd, memslots, attributes and host memory on the real kernel. Source: kvm.md 1-3.
#include <linux/falloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "kvm/kvm_backend.h"
#include "kvm/outcomes.h"

namespace sluice::kvm {
namespace {

constexpr std::uint64_t kMaxSlotPages = (std::uint64_t{1} << 31) - 1;

bool is_page_aligned(std::uint64_t value) { return value % kPageBytes == 0; }

/// True if the kernel would come as far as allocating metadata for a slot of this size.
bool is_giant(const SetMemoryRegion& op) {
  return op.size.value > kMaxSlotBytes && is_page_aligned(op.size.value) &&
         op.size.value / kPageBytes <= kMaxSlotPages;
}

}  // namespace

Outcome KvmBackend::run(const Step&, const CreateGuestMemfd& op) {
  LiveVm* const vm = vm_of(op.vm);
  if (vm == nullptr) return skip(Check::kSkipNoVm, "vm is not open");
  Gmem& gmem = gmems_[op.gmem.value];
  if (gmem.is_open()) return skip(Check::kSkipGmemExists, "the guest_memfd is open already");
  const SysResult created = vm->vm.create_guest_memfd({op.size.value}, op.flags.value);
  if (created.error == ENOTTY) return skip(Capability::kGuestMemfd);
  if (created.ok()) {
    gmem = Gmem(kvm_.sys(), created.fd());
    gmem_vm_[op.gmem.value] = op.vm;
  }
  return of_result(created);
}

Outcome KvmBackend::run(const Step&, const CloseGuestMemfd& op) {
  Gmem& gmem = gmems_[op.gmem.value];
  if (!gmem.is_open()) return skip(Check::kSkipNoGmem, "the guest_memfd is not open");
  for (std::optional<LiveVm>& vm : vms_) {
    if (!vm) continue;
    for (LiveSlot& slot : vm->slots) {
      if (slot.gmem.value == op.gmem.value) slot.gmem = {};  // the slot stays, without its file
    }
  }
  return of_result(gmem.close());
}

Outcome KvmBackend::run(const Step&, const GmemAllocate& op) {
  const Gmem& gmem = gmems_[op.gmem.value];
  if (!gmem.is_open()) return skip(Check::kSkipNoGmem, "the guest_memfd is not open");
  if (op.size.value > kMaxOperationBytes && op.mode.value == FALLOC_FL_KEEP_SIZE) {
    // A range that ends beyond the file is refused before a page is taken, so that much is safe.
    const SysResult bytes = kvm_.sys().file_size(gmem.fd());
    const auto file = bytes.ok() ? static_cast<std::uint64_t>(bytes.value) : 0;
    if (op.size.value <= file && op.offset.value <= file - op.size.value) {
      return skip(Check::kSkipLimit, "would allocate more than 1 GiB");
    }
  }
  return of_result(gmem.fallocate(static_cast<int>(op.mode.value), op.offset.value, op.size.value));
}

Outcome KvmBackend::run(const Step&, const GmemPunchHole& op) {
  const Gmem& gmem = gmems_[op.gmem.value];
  if (!gmem.is_open()) return skip(Check::kSkipNoGmem, "the guest_memfd is not open");
  return of_result(gmem.punch_hole(op.offset.value, op.size.value));
}

Outcome KvmBackend::run(const Step&, const GmemAccess& op) {
  const Gmem& gmem = gmems_[op.gmem.value];
  if (!gmem.is_open()) return skip(Check::kSkipNoGmem, "the guest_memfd is not open");
  if (op.kind == AccessKind::kFetch) {
    return skip(Check::kSkipLimit, "the harness does not execute its own data");
  }
  // Mapped for the touch only: what the operation leaves mapped, no system call can tell.
  const std::uint64_t page = op.offset.value & ~(kPageBytes - 1);
  const SysResult mapped = kvm_.sys().mmap({.length = kPageBytes,
                                            .protection = PROT_READ | PROT_WRITE,
                                            .flags = MAP_SHARED,
                                            .fd = gmem.fd(),
                                            .offset = static_cast<std::int64_t>(page)});
  if (!mapped.ok()) return of_result(mapped);
  const Outcome out = touch(static_cast<std::uintptr_t>(mapped.value), op.kind, op.value.value);
  const SysResult unmapped =
      kvm_.sys().munmap(static_cast<std::uintptr_t>(mapped.value), kPageBytes);
  return unmapped.ok() ? out : of_result(unmapped);
}

Outcome KvmBackend::run(const Step&, const SetMemoryRegion& op) {
  LiveVm* const vm = vm_of(op.vm);
  if (vm == nullptr) return skip(Check::kSkipNoVm, "vm is not open");
  if (is_giant(op)) return skip(Check::kSkipLimit, "a slot of more than 16 GiB: real metadata");
  const std::uint64_t address = resolve(op.hva);
  SysResult result;
  if (op.legacy) {
    result = vm->vm.set_memory_region_legacy({.slot = op.slot.value,
                                              .flags = op.flags.value,
                                              .guest_phys_addr = op.gpa.value,
                                              .memory_size = op.size.value,
                                              .userspace_addr = address});
  } else {
    if (!probe_.has(Capability::kUserMemory2)) return skip(Capability::kUserMemory2);
    int fd = -1;
    if (op.gmem.is_gmem() && gmems_[op.gmem.value].is_open()) fd = gmems_[op.gmem.value].fd();
    if (op.gmem.value == GmemRef::kOther) fd = kvm_.fd();
    result = vm->vm.set_memory_region({.slot = op.slot.value,
                                       .flags = op.flags.value,
                                       .guest_phys_addr = op.gpa.value,
                                       .memory_size = op.size.value,
                                       .userspace_addr = address,
                                       .guest_memfd_offset = op.gmem_offset.value,
                                       .guest_memfd = static_cast<std::uint32_t>(fd)});
  }
  if (result.ok()) note_region(*vm, op, address);
  return of_result(result);
}

void KvmBackend::note_region(LiveVm& vm, const SetMemoryRegion& op, std::uint64_t address) {
  const auto at = std::ranges::find(vm.slots, op.slot.value, &LiveSlot::slot);
  if (op.size.value == 0) {
    if (at != vm.slots.end()) vm.slots.erase(at);
    return;
  }
  vm.had_slot = vm.had_sequence_slot = true;
  LiveSlot& slot = at != vm.slots.end() ? *at : vm.slots.emplace_back();
  const bool has_gmem = !op.legacy && (op.flags.value & uapi::kMemGuestMemfd) != 0;
  slot = {.slot = op.slot.value,
          .gpa = op.gpa.value,
          .size = op.size.value,
          .address = address,
          .gmem = has_gmem ? op.gmem : GmemRef{},
          .gmem_offset = op.gmem_offset.value};
}

Outcome KvmBackend::run(const Step&, const SetMemoryAttributes& op) {
  LiveVm* const vm = vm_of(op.vm);
  if (vm == nullptr) return skip(Check::kSkipNoVm, "vm is not open");
  if (probe_.memory_attributes != 0 && op.size.value > kMaxOperationBytes) {
    // Refused before a page is looked at, or else one entry per page is stored.
    const bool refused = op.flags.value != 0 || !is_page_aligned(op.size.value) ||
                         !is_page_aligned(op.address.value) ||
                         op.address.value + op.size.value < op.address.value;
    if (!refused) return skip(Check::kSkipLimit, "would convert more than 1 GiB");
  }
  const SysResult result = vm->vm.set_memory_attributes({.address = op.address.value,
                                                         .size = op.size.value,
                                                         .attributes = op.attributes.value,
                                                         .flags = op.flags.value});
  if (result.ok()) vm->converted.push_back({.gpa = op.address.value, .size = op.size.value});
  return of_result(result);
}

Outcome KvmBackend::run(const Step&, const HostAccess& op) {
  if (op.hva.raw || op.hva.value >= HostRegion::kBytes) {
    return skip(Check::kSkipOutsideHostRegion, "not an offset into the host region");
  }
  if (op.kind == AccessKind::kFetch) {
    return skip(Check::kSkipLimit, "the harness does not execute its own data");
  }
  const std::uintptr_t page = region_.at(op.hva.value & ~(kPageBytes - 1));
  return touch(page, op.kind, op.value.value);
}

/// A load or store of this process, which the kernel may answer with a signal.
Outcome KvmBackend::touch(std::uintptr_t page, AccessKind kind, std::uint64_t token) {
  std::uint64_t value = 0;
  const SysResult touched =
      kind == AccessKind::kRead ? kvm_.sys().load(page, value) : kvm_.sys().store(page, token);
  if (!touched.ok()) {
    constexpr unsigned kSigbus = 7, kSigsegv = 11;
    return kernel_outcome(StatusKind::kHostFault, touched.error == EIO ? kSigbus : kSigsegv);
  }
  Outcome out = of_result(touched);
  out.has_value = kind == AccessKind::kRead;
  out.value = value;
  return out;
}

Outcome KvmBackend::run(const Step&, const HostUnmap& op) {
  const bool outside = op.hva.raw || op.hva.value >= HostRegion::kBytes;
  const bool refused = !is_page_aligned(op.hva.value) || op.size.value == 0;  // without effect
  if (outside || (!refused && op.size.value > HostRegion::kBytes - op.hva.value)) {
    return skip(Check::kSkipOutsideHostRegion, "would unmap the harness's own memory");
  }
  return of_result(region_.unmap(op.hva.value, op.size.value));
}

Outcome KvmBackend::run(const Step&, const HostDontneed& op) {
  const bool outside = op.hva.raw || op.hva.value >= HostRegion::kBytes;
  const bool refused = !is_page_aligned(op.hva.value);  // without effect
  if (outside || (!refused && op.size.value > HostRegion::kBytes - op.hva.value)) {
    return skip(Check::kSkipOutsideHostRegion, "would discard the harness's own memory");
  }
  if (refused) return of_result(kvm_.sys().madvise(region_.at(op.hva.value), 1, MADV_DONTNEED));
  return of_result(region_.discard(op.hva.value, op.size.value));
}

/// NUMA balancing comes when it comes, if at all; a change of protection tells the notifier the
/// same.
Outcome KvmBackend::run(const Step&, const NumaBalancing& op) {
  if (op.hva.raw || op.hva.value >= HostRegion::kBytes ||
      op.size.value > HostRegion::kBytes - op.hva.value) {
    return skip(Check::kSkipOutsideHostRegion, "not in the host region");
  }
  const std::uint64_t first = op.hva.value & ~(kPageBytes - 1);
  const std::uint64_t end = (op.hva.value + op.size.value + kPageBytes - 1) & ~(kPageBytes - 1);
  return of_result(region_.protect_and_restore(first, end - first));
}

}  // namespace sluice::kvm
