// What the kernel backend keeps of a sequence: its VMs with their vCPUs, slots and conversions.
// Only as much as applying and resetting need; the kernel's own state is never mirrored for
// checking.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "kvm/guest.h"
#include "kvm/vm.h"
#include "ops/fields.h"

namespace sluice::kvm {

/// A memslot that the kernel accepted.
struct LiveSlot {
  std::uint32_t slot = 0;  // address space and id, as in the ioctl
  std::uint64_t gpa = 0;
  std::uint64_t size = 0;
  std::uint64_t address = 0;  // userspace_addr
  GmemRef gmem{};
  std::uint64_t gmem_offset = 0;
  bool contains(std::uint64_t at) const { return at >= gpa && at - gpa < size; }
};

struct GpaRange {
  std::uint64_t gpa = 0;
  std::uint64_t size = 0;
};

/// A vCPU and the guest code on it. Never moves: Guest points at the vCPU.
struct LiveVcpu {
  LiveVcpu(Vcpu own, unsigned id) : vcpu(std::move(own)), guest(vcpu, id) {}
  LiveVcpu(const LiveVcpu&) = delete;
  LiveVcpu& operator=(const LiveVcpu&) = delete;
  Vcpu vcpu;
  Guest guest;
  bool bound = false;      // the sequence has created it; a recycled one waits for that
  bool has_cpuid = false;  // by set_cpuid, or by the first entry of the guest
  bool in_long_mode = false;
  bool smm = false;           // by the sequence: reset takes it back
  bool chosen_cpuid = false;  // by the sequence: the next one must not get this vCPU
  std::uint8_t phys_addr_bits = PhysAddrBits{}.value;
};

struct LiveVm {
  Vm vm;
  VmType type = VmType::kDefault;
  bool exit_hypercall = false;
  bool had_slot = false;           // a memslot was accepted at some time, the payload's included
  bool had_sequence_slot = false;  // by this sequence
  bool payload_installed = false;
  bool reusable = true;
  std::array<std::unique_ptr<LiveVcpu>, kMaxVcpus> vcpus{};
  std::vector<LiveSlot> slots{};
  std::vector<GpaRange> converted{};  // ranges whose attributes were set; reset clears them

  const LiveSlot* slot_at(std::uint64_t gpa) const {
    for (const LiveSlot& slot : slots) {
      if (slot.slot < (1u << 16) && slot.contains(gpa)) return &slot;
    }
    return nullptr;
  }
};

}  // namespace sluice::kvm
