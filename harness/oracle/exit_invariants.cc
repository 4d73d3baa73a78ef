// Invariants X5-X7: KVM_EXIT_MEMORY_FAULT (invariants.md H; kvm.md 5).
#include <algorithm>
#include <array>
#include <cerrno>

#include "oracle/conditions.h"
#include "oracle/invariant_list.h"
#include "oracle/view_helpers.h"
#include "trace/npf.h"

namespace sluice::oracle::check {

Result memory_fault_format(const View& view) {
  const Outcome& out = view.outcome();
  if (out.exit.reason != kExitMemoryFault) return std::nullopt;
  // The last four are what looking the page up may answer.
  constexpr std::array kErrnos{EFAULT, EHWPOISON, ENOMEM, EIO, EINVAL, ENOENT};
  // A pre-fault that did some pages succeeds beside what the next one left (kvm.md 4).
  // An exit names a TD's page without its SHARED bit (tdx.md 1).
  const bool is_td = view.vm(view.vm_of(acting_vcpu(view))).type == VmType::kTdx;
  const std::uint64_t left_at = out.progress.gpa & (is_td ? ~kTdSharedBit : ~std::uint64_t{0});
  const bool beside_success =
      out.ok() && out.has_progress && out.progress.left > 0 && out.exit.gpa == left_at;
  const bool right_answer =
      out.kind == StatusKind::kExit || beside_success ||
      (out.kind == StatusKind::kErrno && std::ranges::find(kErrnos, out.number) != kErrnos.end());
  const bool right_fields = out.exit.gpa % kPageBytes == 0 && out.exit.size == kPageBytes &&
                            (out.exit.flags & ~kMemoryFaultPrivate) == 0;
  return right_answer && right_fields ? Result{}
                                      : Violation{.subject = out.exit.gpa, .other = out.exit.size};
}

Result mismatch_says_access(const View& view) {
  // The attribute is the one that the fault saw if all of it happened here.
  const bool here = view.ran_alone() && !is_one_of<Resume>(view.step().op);
  if (!is_mismatch(view) || !here || conversion_ran(view)) return std::nullopt;
  const ExitInfo& exit = view.outcome().exit;
  const bool wants_private = (exit.flags & kMemoryFaultPrivate) != 0;
  const bool is_private =
      view.is_private(view.vm_of(acting_vcpu(view)), Gpa{exit.gpa}.containing_frame());
  return wants_private != is_private ? Result{}
                                     : Violation{.subject = exit.gpa, .other = exit.flags};
}

Result conversion_helps(const View& view) {
  if (!is_mismatch(view)) return std::nullopt;
  // docs/findings.md 1: where an MMIO entry was left behind, the access is taken for a shared one.
  const ExitInfo& exit = view.outcome().exit;
  const Event* const fault = last_fault(view, view.vm_of(acting_vcpu(view)));
  const bool is_known = (exit.flags & kMemoryFaultPrivate) == 0 && fault != nullptr &&
                        (fault->b & npf::kReserved) != 0;
  return Violation{.subject = exit.gpa, .known_upstream = is_known};
}

}  // namespace sluice::oracle::check
