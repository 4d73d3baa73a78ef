// What KVM keeps about SEV-SNP in a VM and in a vCPU (Linux struct kvm_sev_info, struct
// vcpu_sev_es_state), and what the host kernel keeps about it as a whole.
#pragma once
#include <array>
#include <cstdint>

#include "base/units.h"
#include "model/host/direct_map.h"
#include "model/machine/rmp_entry.h"

namespace sluice::model {

struct SevVm {
  bool active = false;    // KVM_SEV_INIT2 succeeded
  bool context = false;   // LAUNCH_START succeeded: the guest context exists and the ASID is bound
  bool launched = false;  // LAUNCH_FINISH succeeded
  Asid asid{};            // taken by KVM_SEV_INIT2; 0 = none
  Pfn context_page{};     // firmware's guest context, if `context`
  std::uint64_t policy = 0;
};

/// What the guest has asked of this vCPU by AP creation, and what came of it (snp_host.md 8). As
/// long as nothing was applied, the vCPU runs on KVM's own VMSA page.
struct ApReset {
  /// Of an address: there is none (Linux INVALID_PAGE).
  static constexpr Gpa kNone{~std::uint64_t{0}};

  bool waiting = false;    // snp_ap_waiting_for_reset: `pending` is staged
  bool requested = false;  // KVM_REQ_UPDATE_PROTECTED_GUEST_STATE
  bool halted = false;     // mp_state is KVM_MP_STATE_HALTED
  bool applied = false;    // once; what follows is what counts then
  bool has_vmsa = false;   // control.vmsa_pa is valid, and `vmsa`
  bool is_clean = false;   // the processor goes on with `held`, not with what the VMCB says
  Pfn vmsa{};
  Pfn held{};
  Gpa pending = kNone;  // snp_pending_vmsa_gpa
  Gpa named = kNone;    // what was applied last: a record for the view
};

struct SevVcpu {
  bool has_page = false;  // the frame below is this vCPU's, from its first LAUNCH_FINISH on
  bool has_vmsa = false;  // and firmware has made it the VMSA
  Pfn vmsa{};
  ApReset ap{};
};

/// The host's own SNP state.
struct SnpHost {
  DirectMap direct_map;
  std::uint64_t leaked_page_count = 0;  // snp_nr_leaked_pages
  std::uint32_t asids = 0;              // bit n: ASID n is taken (sev_asid_bitmap)
  std::uint32_t reclaimable_asids = 0;  // given back, to be flushed before reuse
  // Firmware's books at the start of the RMP: 4 KiB frames assigned to each ASID but 0 (rmp.md 3).
  std::array<std::uint32_t, kMaxAsid + 1> asid_pages{};
  // Keys that firmware has put in place for each ASID so far: every activation brings a fresh one.
  std::array<std::uint32_t, kMaxAsid + 1> asid_keys{};
  Pfn fatal_frame{};       // what it wrote to when it died
  bool host_dead = false;  // the kernel took a fatal RMP fault: nothing runs any more
};

}  // namespace sluice::model
