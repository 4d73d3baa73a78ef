// THE list of operations. Adding one: write its struct, add a line here, write apply() where the
// compiler asks, add a regression per new refusal reason. The order is part of the byte form
// (codec.h): append, and raise kCodecVersion when you must reorder.
#pragma once
#include <algorithm>
#include <array>
#include <type_traits>

#include "ops/adversity_ops.h"
#include "ops/apic_ops.h"
#include "ops/ghcb_ops.h"
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
           EnterSmm, LeaveSmm, EnterGuestMode, LeaveGuestMode, TdMapGpa,                         //
           HostDontneed, NumaBalancing, HostMemoryFailure, GmemMemoryFailure, DropCaches,        //
           CreateIrqchip, SetGuestDebug, ApCreation, GhcbMmio, GhcbPortIo, GhcbWriteScratch,
           KernelWrite>;
using Op = AllOps::Variant;

/// The place of an operation type in the list.
template <class T>
inline constexpr std::size_t kOpIndex = []<class... Ops>(OpList<Ops...>) {
  constexpr std::array<bool, sizeof...(Ops)> kSame{std::is_same_v<T, Ops>...};
  return static_cast<std::size_t>(std::ranges::find(kSame, true) - kSame.begin());
}(AllOps{});

/// Is the operation one of these types? Cost: a compare each, where std::holds_alternative() of
/// libstdc++ 12 goes through the list of types each time that it is asked.
template <class... Ops>
constexpr bool is_one_of(const Op& op) {
  return ((op.index() == kOpIndex<Ops>) || ...);
}

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
