// THE list of operations. Adding one: write its struct, add a line here, write apply() where the
// compiler asks, add a regression per new refusal reason. The order is part of the byte form
// (codec.h): append, and raise kCodecVersion when you must reorder.
#pragma once
#include <array>

#include "ops/adversity_ops.h"
#include "ops/memory_ops.h"
#include "ops/mode_ops.h"
#include "ops/psc_ops.h"
#include "ops/rmp_ops.h"
#include "ops/tdx_ops.h"
#include "ops/vm_ops.h"

namespace sluice {

using AllOps =
    OpList<CreateVm, DestroyVm, CreateVcpu, SetCpuid,                                            //
           CreateGuestMemfd, CloseGuestMemfd, GmemAllocate, GmemPunchHole,                       //
           SetMemoryRegion, SetMemoryAttributes, PreFaultMemory, HostAccess, HostUnmap,          //
           GuestAccess, MapGpaRange,                                                             //
           RmpUpdate, Psmash, RmpRead, HostStore, Pvalidate, RmpAdjust, RmpQuery,                //
           SevInit2, LaunchStart, LaunchUpdate, LaunchFinish,                                    //
           Resume,                                                                               //
           PscMsr, Psc, GhcbWriteHeader, GhcbWriteEntry, GuestConvert,                           //
           RmpContention,                                                                        //
           GmemAccess,                                                                           //
           SendSignal, FailAllocation,                                                           //
           TdxInitVm, TdxInitVcpu, TdxInitMemRegion, TdxFinalize, TdAccept, SeamcallContention,  //
           EnterSmm, LeaveSmm, EnterGuestMode, LeaveGuestMode, TdMapGpa>;
using Op = AllOps::Variant;

/// Calls visit.template operator()<Op>() for every operation type, in list order.
template <class Visit, class... Ops>
constexpr void for_each_op_type_in(OpList<Ops...>, Visit&& visit) {
  (visit.template operator()<Ops>(), ...);
}
template <class Visit>
constexpr void for_each_op_type(Visit&& visit) {
  for_each_op_type_in(AllOps{}, visit);
}

/// What the declaration of each operation says, in list order.
inline constexpr auto kOpInfo = []<class... Ops>(OpList<Ops...>) {
  return std::array<OpInfo, sizeof...(Ops)>{Ops::kInfo...};
}(AllOps{});

constexpr const OpInfo& info_of(const Op& op) { return kOpInfo[op.index()]; }

}  // namespace sluice
