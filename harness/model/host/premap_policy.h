// KVM_PRE_FAULT_MEMORY otherwise than mainline has it (alternatives B): premap_mode says what
// becomes of a vCPU that is in SMM or in guest mode, premap_abi what is promised, and to whom.
#pragma once
#include "model/host/kernel.h"

namespace sluice::model {

/// False with premap_mode=unchecked: the vCPU's MMU is used whichever it is.
/// Deviation: under nested paging the address of L2 is then mapped as if it were L1's; Linux would
/// map what L1's tables make of it.
bool checks_mmu(const Kernel& k);

/// What is known before the first page.  Fails: pre_fault_memory.mode,
/// pre_fault_memory.only_confidential.
Check check_promise(const Kernel& k, const Vcpu& vcpu);

/// True where a page that cannot be had at once is left out, and counts as done.
bool is_advisory(const Kernel& k, const Vm& vm);

/// What a vCPU was before it got the base mode for one page.
struct Borrowed {
  bool changed = false;
  bool smm = false;
  GuestMode guest_mode = GuestMode::kNone;
  std::uint8_t root = kNoRootIndex;           // premap_mode=no_vcpu: what it keeps meanwhile
  std::uint8_t previous_root = kNoRootIndex;  // as `root`
};
/// Puts the vCPU into the base mode where premap_mode has it so, and back.
/// * switch_mmu, switch_state: its roots are forgotten both times (kvm_mmu_reset_context()).
/// * no_vcpu: its roots stay. The fault path has no root of its own here, so the vCPU's fields name
///   the base root for that long; nobody else uses them, under the vCPU's mutex.
// Deviation: page by page, where the thread's form does it once a call: a call that is stopped
// between two pages leaves the vCPU as it was.
// Deviation: switch_state goes through no ioctl of its own between the two, where signals could end
// it: the state's way out and in cannot fail.
Borrowed borrow_base_mode(Kernel& k, Vcpu& vcpu);
void give_mode_back(Kernel& k, Vcpu& vcpu, const Borrowed& mode);

}  // namespace sluice::model
