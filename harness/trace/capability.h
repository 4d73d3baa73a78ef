// What a backend may lack, by name: text (`# requires: cap=guest_memfd`), doctor and every skip use
// these.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

enum class Capability : std::uint8_t {
  kNone,
  kKvm,
  kGuestMemfd,
  kUserMemory2,
  kMemoryAttributes,
  kPreFault,
  kMemoryFaultInfo,
  kHypercallExit,
  kSwProtectedVm,
  kSnp,
  kTdp,
  kSmmAddressSpace,
  kRmpInstructions,
  kParking,
  kRing3Payload,
  kHypercallInstruction,
  kLostMemoryReport
};

struct CapabilityRow {
  Capability capability;
  std::string_view name;
  std::string_view meaning;
};
inline constexpr std::array<CapabilityRow, 17> kCapabilities{{
    {Capability::kNone, "none", ""},
    {Capability::kKvm, "kvm", "/dev/kvm can be opened"},
    {Capability::kGuestMemfd, "guest_memfd", "KVM_CAP_GUEST_MEMFD (234) on the VM"},
    {Capability::kUserMemory2, "user_memory2", "KVM_CAP_USER_MEMORY2 (231)"},
    {Capability::kMemoryAttributes, "memory_attributes",
     "KVM_CAP_MEMORY_ATTRIBUTES (233) on the VM"},
    {Capability::kPreFault, "pre_fault_memory", "KVM_CAP_PRE_FAULT_MEMORY (236), needs TDP"},
    {Capability::kMemoryFaultInfo, "memory_fault_info", "KVM_CAP_MEMORY_FAULT_INFO (232)"},
    {Capability::kHypercallExit, "exit_hypercall",
     "KVM_CAP_EXIT_HYPERCALL (201) with MAP_GPA_RANGE"},
    {Capability::kSwProtectedVm, "sw_protected_vm", "VM type KVM_X86_SW_PROTECTED_VM"},
    {Capability::kSnp, "sev_snp", "VM type KVM_X86_SNP_VM: SEV-SNP hardware and firmware"},
    {Capability::kTdp, "tdp", "two-dimensional paging (NPT or EPT)"},
    {Capability::kSmmAddressSpace, "smm_address_space", "a second memslot address space"},
    {Capability::kRmpInstructions, "rmp_instructions", "raw RMP instructions: only in the model"},
    {Capability::kParking, "parking", "stopping inside an operation: only in the model"},
    {Capability::kRing3Payload, "ring3_payload", "the guest payload can run in ring 3"},
    {Capability::kHypercallInstruction, "hypercall_instruction",
     "a guest's hypercall instruction completes (some KVM flavours emulate it for ever)"},
    {Capability::kLostMemoryReport, "lost_memory_report",
     "KVM_RUN answers EFAULT where a slot's memory is unmapped (some KVM flavours answer MMIO)"},
}};
constexpr std::string_view name_of(Capability capability) {
  return kCapabilities[static_cast<std::size_t>(capability)].name;
}
constexpr std::optional<Capability> find_capability(std::string_view name) {
  for (const CapabilityRow& row : kCapabilities) {
    if (row.name == name) return row.capability;
  }
  return std::nullopt;
}

}  // namespace sluice
