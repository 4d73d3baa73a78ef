#include "benchmarks/kvm_guest_memory.h"

#include <sys/mman.h>

#include <cstring>

namespace sluice::bench {
namespace {

constexpr std::uint64_t kMappable =
    kvm::uapi::kGuestMemfdFlagMmap | kvm::uapi::kGuestMemfdFlagInitShared;

}  // namespace

OrRefusal<GuestMemory> GuestMemory::open(const kvm::Vm& vm, const GuestMemoryPlan& plan) {
  GuestMemory memory(vm.sys(), plan);
  if (Status has = require(vm, kvm::uapi::kCapUserMemory2, "KVM_CAP_USER_MEMORY2"); !has)
    return std::unexpected(has.error());
  const bool map_gmem = plan.gmem && !plan.is_private;
  if (plan.gmem) {
    if (Status has = require(vm, kvm::uapi::kCapGuestMemfd, "KVM_CAP_GUEST_MEMFD"); !has)
      return std::unexpected(has.error());
    if (map_gmem) {
      const Status has =
          require(vm, kvm::uapi::kCapGuestMemfdFlags, "KVM_CAP_GUEST_MEMFD_FLAGS", kMappable);
      if (!has) return std::unexpected(has.error());
    }
    Expected<kvm::Gmem> gmem = kvm::Gmem::create(vm, {memory.bytes()}, map_gmem ? kMappable : 0);
    if (!gmem) return fail(gmem.error());
    memory.gmem_ = std::move(*gmem);
  }
  Expected<kvm::Mapping> mapping =
      map_gmem ? kvm::Mapping::open(vm.sys(), {.length = memory.bytes(),
                                               .protection = PROT_READ | PROT_WRITE,
                                               .flags = MAP_SHARED,
                                               .fd = memory.gmem_.fd()})
               : kvm::Mapping::anonymous(vm.sys(), {memory.bytes() + kBytesPer2M});
  if (!mapping) return fail(mapping.error());
  memory.mapping_ = std::move(*mapping);
  memory.user_ = memory.mapping_.bytes();
  if (!map_gmem) {
    const std::uintptr_t aligned =
        (memory.mapping_.address() + kBytesPer2M - 1) & ~(kBytesPer2M - 1);
    memory.user_ += aligned - memory.mapping_.address();
    const int advice = plan.huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;
    const auto at = reinterpret_cast<std::uintptr_t>(memory.user_);
    if (Status ok = worked(vm.sys().madvise(at, memory.bytes(), advice), "madvise of guest memory");
        !ok) {
      return std::unexpected(ok.error());
    }
  }
  if (Status ok = worked(memory.add_slot(vm), "add the memslot"); !ok)
    return std::unexpected(ok.error());
  return memory;
}

kvm::SysResult GuestMemory::add_slot(const kvm::Vm& vm) const {
  return vm.set_memory_region(
      {.slot = kSlot,
       .flags = plan_.gmem ? kvm::uapi::kMemGuestMemfd : 0,
       .guest_phys_addr = 0,
       .memory_size = bytes(),
       .userspace_addr = reinterpret_cast<std::uintptr_t>(user_),
       .guest_memfd = plan_.gmem ? static_cast<std::uint32_t>(gmem_.fd()) : 0});
}

Status GuestMemory::make_absent() {
  if (plan_.gmem) return worked(gmem_.punch_hole(0, bytes()), "punch the guest_memfd");
  const auto at = reinterpret_cast<std::uintptr_t>(user_);
  return worked(sys_->madvise(at, bytes(), MADV_DONTNEED), "MADV_DONTNEED of guest memory");
}

Status GuestMemory::unmap_from_guest(const kvm::Vm& vm) const {
  if (Status ok = worked(vm.delete_slot(kSlot), "delete the memslot"); !ok) return ok;
  return worked(add_slot(vm), "add the memslot again");
}

Status GuestMemory::make_present() {
  if (plan_.is_private) return worked(gmem_.allocate(0, bytes()), "fallocate the guest_memfd");
  std::memset(user_, 0, bytes());
  return {};
}

std::uint64_t GuestMemory::word_at(Gpa gpa) const {
  std::uint64_t word = 0;
  std::memcpy(&word, user_ + gpa.value, sizeof word);
  return word;
}

}  // namespace sluice::bench
