// What this host's KVM can do, asked of a VM's descriptor: the system descriptor answers for what
// is compiled in (capabilities 233 and 234 look present there on hosts whose VMs lack them).
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "kvm/guest.h"
#include "kvm/vm.h"
#include "trace/capability.h"
#include "trace/host_profile.h"

namespace sluice::kvm {

/// Whether a hypercall instruction of the guest ever completes.
enum class HypercallSupport : std::uint8_t {
  kWorks,
  kLoops,    // KVM_RUN does not return: seen where KVM emulates the guest and rewrites the
             // instruction for ever (kvm_pvm)
  kRefused,  // the guest could not be run at all
};

struct ProbeResult {
  KernelVersion version{};
  std::string release{};  // uname -r
  std::string module{};   // the vendor's: kvm_amd, kvm_intel, kvm_pvm, or "" where none is loaded
  std::uint32_t vm_types = 1;          // bit t: VM type t can be created (tried, not only claimed)
  std::uint32_t vm_types_claimed = 1;  // KVM_CAP_VM_TYPES
  // The capabilities' values on a DEFAULT VM, except where said.
  std::uint64_t guest_memfd = 0;   // of the VM with most: before 6.17 only VMs with private memory
  bool guest_memfd_files = false;  // a DEFAULT VM can create one, whether or not it may bind it
  std::uint64_t gmem_flags = 0;
  std::uint64_t user_memory2 = 0;
  std::uint64_t memory_fault_info = 0;
  std::uint64_t memory_attributes = 0;  // of the VM with most: SW_PROTECTED if there is one
  bool attributes_compiled_in = false;  // SET_MEMORY_ATTRIBUTES is not ENOTTY
  std::uint64_t pre_fault = 0;
  std::uint64_t exit_hypercall = 0;
  std::uint64_t quirks = 0;  // that can be turned off
  std::uint64_t address_spaces = 1;
  std::uint64_t memslots = 0;
  bool tdp = false;
  bool tdp_mmu = false;
  bool binary_stats = false;
  std::uint64_t max_gfn = 0;    // last GFN a memslot may hold, found by trying
  std::uint64_t max_hva = 0;    // where a memslot's user memory must end, found by trying
  unsigned phys_addr_bits = 0;  // MAXPHYADDR of the supported CPUID
  bool gmem_only_slots = true;  // a guest's shared fault in a slot over a mappable guest_memfd
                                // takes its page from there; false only if seen otherwise
  HypercallSupport hypercall = HypercallSupport::kRefused;
  bool reports_lost_memory = false;  // EFAULT where a slot's memory is unmapped; else KVM emulates
                                     // the access and takes it for MMIO
  bool ring3 = false;                // the payload ran a hypercall in ring 3

  bool has(Capability capability) const;
};

/// Asks the kernel behind `kvm`. Creates and closes a few VMs; the hypercall question costs a
/// `patience` where the answer is "loops". Fails only where no VM can be created.
Expected<ProbeResult> probe(const Kvm& kvm,
                            std::chrono::milliseconds patience = std::chrono::milliseconds(500));

/// The profile that makes the model behave like this host. Host frames stay the model's default.
HostProfile profile_of(const ProbeResult& probe);

}  // namespace sluice::kvm
