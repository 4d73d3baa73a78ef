// Building a TD: KVM_TDX_INIT_VM, INIT_VCPU, INIT_MEM_REGION and FINALIZE_VM (tdx.md 5; Linux
// tdx_td_init(), tdx_vcpu_init(), tdx_vcpu_init_mem_region(), tdx_gmem_post_populate(),
// tdx_td_finalize()).
//
// Left out: what INIT_VM sets up of CPUID and attributes beside SEPT_VE_DISABLE, and how the
// measurement is computed.
#pragma once
#include <optional>

#include "model/host/kernel.h"
#include "model/schedule/lock_plan.h"
#include "ops/tdx_ops.h"

namespace sluice::model {

/// Each: skip.no_vm or skip.no_vcpu and vm.dead, then the check group that carries its name.
Outcome apply(Kernel& k, ActorId actor, const TdxInitVm& op);
Outcome apply(Kernel& k, ActorId actor, const TdxInitVcpu& op);
/// progress = {GPA of the next page, bytes left}, also where it fails. Cost: a fault a page.
Outcome apply(Kernel& k, ActorId actor, const TdxInitMemRegion& op);
Task<Outcome> start(Kernel& k, ActorId actor, const TdxInitMemRegion& op);
Outcome apply(Kernel& k, ActorId actor, const TdxFinalize& op);

LockPlan locks_of(const Kernel& k, ActorId actor, const TdxInitVm& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const TdxInitVcpu& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const TdxInitMemRegion& op);
LockPlan locks_of(const Kernel& k, ActorId actor, const TdxFinalize& op);

/// Under its locks: a page of the region that an invalidation under way, of whatever other range,
/// keeps from being mapped. kvm_tdp_map_page(), up to 6.19, goes round until it has ended.
std::optional<Gfn> retried_page(const Kernel& k, ActorId actor, const TdxInitMemRegion& op);

}  // namespace sluice::model
