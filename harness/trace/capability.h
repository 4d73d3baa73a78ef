// What a backend may lack, by name: text (`# requires: cap=guest_memfd`), doctor and every skip use
// these. A host that lacks one skips what its row says, and `sluice doctor` says so.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

// clang-format off
/// ROW(enumerator, name, what it is, what is skipped on the real kernel without it). An X-macro, as
/// in check_list.h: one line yields the enumerator and everything that is said of it.
#define SLUICE_CAPABILITIES(ROW) \
  ROW(kNone,                 "none",                  "", "") \
  ROW(kKvm,                  "kvm",                   "/dev/kvm can be opened", "everything on the real kernel") \
  ROW(kGuestMemfd,           "guest_memfd",           "KVM_CREATE_GUEST_MEMFD works; before 6.17 only VMs with private memory may bind one", "guest_memfd operations on the real kernel") \
  ROW(kUserMemory2,          "user_memory2",          "KVM_CAP_USER_MEMORY2 (231)", "slots with guest_memfd on the real kernel") \
  ROW(kMemoryAttributes,     "memory_attributes",     "KVM_CAP_MEMORY_ATTRIBUTES (233) on the VM", "conversion on the real kernel") \
  ROW(kPreFault,             "pre_fault_memory",      "KVM_CAP_PRE_FAULT_MEMORY (236), needs TDP", "successful pre-faults on the real kernel (arguments are still checked)") \
  ROW(kMemoryFaultInfo,      "memory_fault_info",     "KVM_CAP_MEMORY_FAULT_INFO (232)", "details of memory-fault exits") \
  ROW(kHypercallExit,        "exit_hypercall",        "KVM_CAP_EXIT_HYPERCALL (201) with MAP_GPA_RANGE", "map_gpa_range on the real kernel") \
  ROW(kSlotZapAllQuirk,      "slot_zap_all_quirk",    "KVM_CAP_DISABLE_QUIRKS2 (213) with SLOT_ZAP_ALL (from 6.12)", "nothing: VMs of the default type go on with the quirk") \
  ROW(kSwProtectedVm,        "sw_protected_vm",       "VM type KVM_X86_SW_PROTECTED_VM", "sw_protected VMs on the real kernel") \
  ROW(kSnp,                  "sev_snp",               "VM type KVM_X86_SNP_VM: SEV-SNP hardware and firmware", "SNP VMs on the real kernel: those run on the model") \
  ROW(kTdx,                  "tdx",                   "VM type KVM_X86_TDX_VM: a TDX module", "TDs on the real kernel: those run on the model") \
  ROW(kTdp,                  "tdp",                   "two-dimensional paging (NPT or EPT)", "mapping levels and pre-fault on the real kernel") \
  ROW(kSmmAddressSpace,      "smm_address_space",     "a second memslot address space, and system management mode", "memslots of the second address space, and SMM, on the real kernel") \
  ROW(kRmpInstructions,      "rmp_instructions",      "raw RMP instructions: only in the model", "raw RMP instructions on the real kernel: no kernel offers them") \
  ROW(kAdversity,            "adversity",             "obstacles made on purpose (contention, a signal between two looks for one, failing allocations, failing memory, running shrinkers): only in the model", "obstacles on the real kernel: no system call makes or times them, or it would harm the whole machine") \
  ROW(kGuestMode,            "guest_mode",            "a guest can run a guest of its own: only in the model", "guest mode on the real kernel: the guest program is no hypervisor") \
  ROW(kIrqchip,              "irqchip",               "an interrupt controller in the kernel, and with it the APIC-access page: only in the model", "the APIC-access page on the real kernel: the guest program has no interrupts to wake up by") \
  ROW(kParking,              "parking",               "stopping inside an operation: only in the model", "park= and resume on the real kernel: no kernel offers them") \
  ROW(kRing3Payload,         "ring3_payload",         "the guest payload can run in ring 3", "hypercalls from ring 3 on the real kernel") \
  ROW(kHypercallInstruction, "hypercall_instruction", "a guest's hypercall instruction completes (some KVM flavours emulate it for ever)", "map_gpa_range on the real kernel") \
  ROW(kLostMemoryReport,     "lost_memory_report",    "KVM_RUN answers EFAULT where a slot's memory is unmapped (some KVM flavours answer MMIO)", "guest accesses to unmapped host memory on the real kernel")
// clang-format on

enum class Capability : std::uint8_t {
#define SLUICE_ROW(enumerator, name, meaning, skipped) enumerator,
  SLUICE_CAPABILITIES(SLUICE_ROW)
#undef SLUICE_ROW
};

struct CapabilityRow {
  Capability capability;
  std::string_view name;
  std::string_view meaning;
  std::string_view skipped_without;
};
inline constexpr CapabilityRow kCapabilities[] = {
#define SLUICE_ROW(enumerator, name, meaning, skipped) \
  {Capability::enumerator, name, meaning, skipped},
    SLUICE_CAPABILITIES(SLUICE_ROW)
#undef SLUICE_ROW
};
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
