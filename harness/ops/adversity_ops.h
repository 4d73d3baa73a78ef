// Operations: what goes wrong around the system under test without anybody's mistake. Each arms an
// obstacle that later operations meet; none changes memory by itself.
#pragma once
#include "ops/op_info.h"

namespace sluice {

/// Other processors execute RMP instructions on what the host is about to change: after `after`
/// more that go well, its next `count` RMPUPDATEs (and, for `in_use`, PSMASHes) are refused with
/// that code. It replaces what is left of an earlier one.
struct RmpContention {
  RmpBusy code = RmpBusy::kInUse;
  ShortCount count{};
  ShortCount after{.value = 0};
  static constexpr OpInfo kInfo{
      .name = "rmp_contention",
      .actor = ActorKind::kKernel,
      .weight = 3,
      .source = "rmp.md 4.1, FAIL_INUSE and FAIL_OVERLAP; snp_host.md 1, rmpupdate row 3",
      .summary = "Other processors are in the way of the host's next RMPUPDATEs and PSMASHes."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("code", op.code), visit("count", op.count), visit("after", op.after);
  }
};
SLUICE_OPERATION(RmpContention);

/// A signal on its way to the thread of `target`: a VMM thread, or the one that runs a vCPU. It is
/// there when that thread looks for one, after `after` looks that find none, and gone once a system
/// call has returned for it. It replaces one still on its way.
struct SendSignal {
  ActorId target{};
  ShortCount after{.value = 0};
  static constexpr OpInfo kInfo{
      .name = "send_signal",
      .actor = ActorKind::kKernel,
      .weight = 3,
      .source = "signal_pending(); kvm.md 1.3, 1.6 row 4, 4 rows 4 and 9",
      .summary = "A signal comes to a thread of the VMM, inside or before its next system call."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("target", op.target), visit("after", op.after);
  }
};
SLUICE_OPERATION(SendSignal);

/// Memory runs short for the thread of `target`: its next allocation that may fail does so, after
/// `after` that do not. It replaces one still to come.
struct FailAllocation {
  ActorId target{};
  ShortCount after{.value = 0};
  static constexpr OpInfo kInfo{
      .name = "fail_allocation",
      .actor = ActorKind::kKernel,
      .weight = 3,
      .source = "Linux fault injection (failslab, fail_page_alloc); kvm.md, rows with ENOMEM",
      .summary = "An allocation of the kernel for a thread of the VMM fails."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("target", op.target), visit("after", op.after);
  }
};
SLUICE_OPERATION(FailAllocation);

}  // namespace sluice
