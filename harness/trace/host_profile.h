// What a host is, as far as the model needs to behave like it: from kvm's probe, or the default of
// a kernel version.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/system_error.h"
#include "ops/fields.h"
#include "ops/kernel_version.h"

namespace sluice {

struct HostProfile {
  KernelVersion version = kDefaultKernel;
  bool tdp = true;  // nested paging; false: shadow paging
  bool snp = true;  // SEV-SNP enabled: an RMP is in force
  bool guest_memfd =
      true;  // the code is there; which VMs may bind one is a matter of version and VM type
  bool memory_attributes = true;  // compiled in
  bool exit_hypercall = true;
  bool slot_zap_all_quirk = true;  // it can be turned off
  // From 6.17: a slot over a mappable guest_memfd takes shared pages from it
  // (KVM_MEMSLOT_GMEM_ONLY). A KVM flavour whose fault path still goes through the slot's user
  // address has false.
  bool gmem_only_slots = true;
  // The depth of a vCPU's nested page tables follows its MAXPHYADDR, as EPT's does; with NPT it is
  // the host's own for all (Linux kvm_mmu_get_tdp_level(), kvm_configure_mmu()).
  bool root_level_by_cpuid = true;
  bool debug = false;             // booted to catch its own mistakes, whatever that costs
  bool smm_address_space = true;  // a VM without private memory has a second memslot address space
  std::uint32_t vm_types = 0x13;  // bit t: VM type t can be created (DEFAULT, SW_PROTECTED, SNP)
  std::uint64_t gmem_flags = 0;   // KVM_CREATE_GUEST_MEMFD flags the kernel knows
  std::uint64_t max_gfn =
      (std::uint64_t{1} << 36) - 1;        // last GFN a memslot may hold (48-bit MAXPHYADDR)
  std::uint64_t max_hva = 0x7ffffffff000;  // end of the user address range
  std::uint64_t frame_count = std::uint64_t{1} << 28;  // host frames; 2^28 = 1 TiB

  constexpr bool has_vm_type(VmType type) const {
    return (vm_types >> static_cast<unsigned>(type) & 1) != 0;
  }
  friend bool operator==(const HostProfile&, const HostProfile&) = default;
};

/// An SNP host with nested paging that runs `version`, and a TDX host, too, where the kernel knows
/// TDs.
/// Deviation: no processor offers SNP and TDX both; here one does, so that one run sees both.
HostProfile default_profile(KernelVersion version);

/// `key=value` lines, as `sluice doctor` writes them and `--profile FILE` reads them; unknown keys
/// and bad values are errors that name the line.
std::string format_profile(const HostProfile& profile);
Expected<HostProfile> parse_profile(std::string_view text, std::string_view file_name);

}  // namespace sluice
