// Guest memory for benchmarks that fault, pre-fault or convert: one memslot at guest address 0
// whose mappings can be taken away.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/units.h"
#include "benchmarks/kvm_support.h"

namespace sluice::bench {

struct GuestMemoryPlan {
  std::uint64_t pages = 0;  // 4 KiB
  bool gmem = false;        // backed by guest_memfd: shared through a mapping of it, or private
  bool is_private = false;  // private memory of a protected VM: the guest_memfd is not mapped, user
                            // memory stands beside it
  bool huge = false;        // ask for transparent huge pages
};

/// The slot and what backs it. Thread: compatible.
class GuestMemory {
 public:
  static constexpr std::uint32_t kSlot = 0;
  static OrRefusal<GuestMemory> open(const kvm::Vm& vm, const GuestMemoryPlan& plan);

  /// Host memory back to untouched and unmapped everywhere: the next access pays for the page and
  /// for the guest's mapping.
  Status make_absent();
  /// Only the guest's mappings go (the slot is deleted and added again): the next access pays for
  /// the mapping alone.
  Status unmap_from_guest(const kvm::Vm& vm) const;
  /// Touches every page from the host's side, so that only mappings are missing. Private memory:
  /// allocates it.
  Status make_present();
  /// What the host sees at a guest address. Pre: not private, below the end.
  std::uint64_t word_at(Gpa gpa) const;
  std::byte* host_bytes() const { return user_; }

 private:
  GuestMemory(kvm::Syscalls& sys, const GuestMemoryPlan& plan) : sys_(&sys), plan_(plan) {}
  std::uint64_t bytes() const { return plan_.pages * kPageBytes; }
  kvm::SysResult add_slot(const kvm::Vm& vm) const;

  kvm::Syscalls* sys_;
  GuestMemoryPlan plan_;
  kvm::Gmem gmem_;
  kvm::Mapping mapping_;
  std::byte* user_ = nullptr;  // 2 MiB aligned, inside mapping_
};

}  // namespace sluice::bench
