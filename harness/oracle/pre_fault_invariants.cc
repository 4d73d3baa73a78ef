// Invariants P1-P9, W4 and W5: what KVM_PRE_FAULT_MEMORY promises (invariants.md G, L; kvm.md 4).
#include <algorithm>

#include "oracle/invariant_list.h"
#include "oracle/view_helpers.h"
#include "trace/kernel_behavior.h"

namespace sluice::oracle {
namespace {

constexpr std::uint64_t kWalkLimit = 1 << 12;  // pages whose leaves one check looks up at most

/// The pre-fault that answered in the step, if nobody else ran in it.
const PreFaultMemory* lone_pre_fault(const View& view) {
  const auto* const op = finished<PreFaultMemory>(view);
  const bool alone = op != nullptr && view.ran_alone() && !view.outcome().skipped();
  return alone ? op : nullptr;
}
/// The same, if nobody has run beside it since it began: nobody took away what it mapped.
const PreFaultMemory* undisturbed_pre_fault(const View& view) {
  return was_undisturbed(view) ? lone_pre_fault(view) : nullptr;
}

VmIndex vm_of_actor(const View& view) { return view.vm_of(acting_vcpu(view)); }

/// The step split a huge leaf that mapped the page to the same frame.
bool was_part_of_huge(const View& view, const LeafChange& change) {
  return std::ranges::any_of(view.leaf_changes(), [&change](const LeafChange& other) {
    const std::uint64_t offset = change.gfn.value - other.gfn.value;
    return other.vm == change.vm && other.root == change.root && other.before.present &&
           other.before.level > change.now.level && offset < frames_in(other.before.level) &&
           other.before.pfn.value + offset == change.now.pfn.value;
  });
}

/// Before 6.17 an address with a TD's SHARED bit is taken, and an alias mapped (bugs.md 3).
bool takes_alias(const View& view, VmIndex vm, const PreFaultMemory& op) {
  return view.vm(vm).type == VmType::kTdx && (op.gpa.value & kTdSharedBit) != 0 &&
         !behavior::prefault_refuses_alias(view.header().kernel);
}

/// The first page of the call's first `count` that the acting vCPU's root does not map.
std::optional<Violation> first_unmapped(const View& view, const PreFaultMemory& op,
                                        std::uint64_t count) {
  const Gfn first = Gpa{op.gpa.value}.containing_frame();
  const std::uint32_t root = view.current_root(acting_vcpu(view));
  for (std::uint64_t i = 0; i < std::min(count, kWalkLimit); ++i) {
    const Gfn gfn = first + PageCount{i};
    if (root != View::kNoRoot && is_mapped_for(view, acting_vcpu(view), gfn)) continue;
    return Violation{.subject = gfn.value,
                     .other = root,
                     .known_upstream = takes_alias(view, vm_of_actor(view), op)};
  }
  return std::nullopt;
}

/// The step mapped the page anew.
bool was_mapped_here(const View& view, Gfn gfn) {
  return std::ranges::any_of(view.leaf_changes(), [&](const LeafChange& change) {
    const std::uint64_t frames = frames_in(change.now.level);
    const bool is_here = gfn.align_down(frames) == change.gfn.align_down(frames);
    const bool comes = change.now.present && !change.now.mmio && change.is_remapped();
    return is_here && comes && !was_part_of_huge(view, change);  // that one looks at all changes
  });
}

/// A page that the call counts as done although it was told, in this step, to try again, and did
/// not map it then. Others may have been there before, and can have taken the page away; in this
/// step nobody was.
std::optional<Violation> first_given_up(const View& view) {
  const auto* const op = finished<PreFaultMemory>(view);
  const bool tells = op != nullptr && view.outcome().ok() && view.events().has(EventKind::kRetry);
  if (!tells || !view.ran_alone()) return std::nullopt;
  const VcpuIndex vcpu = acting_vcpu(view);
  const std::uint32_t root = view.current_root(vcpu);
  const Gfn first = Gpa{op->gpa.value}.containing_frame();
  const Gfn end = Gpa{view.outcome().progress.gpa}.containing_frame();
  for (const Event& event : view.events().events()) {
    const Gfn gfn{event.a};
    if (event.kind != EventKind::kRetry || gfn < first || gfn >= end) continue;
    const bool mapped = root != View::kNoRoot && is_mapped_for(view, vcpu, gfn);
    if (!mapped) return Violation{.subject = gfn.value, .other = root};
  }
  return std::nullopt;
}

/// The step began inside a pre-fault that may give the vCPU the base mode for each of its pages
/// (policy premap_mode): what it is then nobody sees, since whoever asks waits for its mutex.
bool was_lent_base_mode(const View& view) {
  const PremapMode mode = view.header().policy.premap_mode;
  const bool lends = mode == PremapMode::kSwitchMmu || mode == PremapMode::kSwitchState ||
                     mode == PremapMode::kNoVcpu;
  return lends && is_one_of<Resume>(view.step().op);
}

}  // namespace

namespace check {

Result maps_what_was_asked(const View& view) {
  if (const auto wrong = first_given_up(view)) return wrong;
  const auto* const op = undisturbed_pre_fault(view);
  if (op == nullptr || !view.outcome().ok() || !is_quiescent(view)) return std::nullopt;
  const VcpuIndex vcpu = acting_vcpu(view);
  const VmIndex vm = view.vm_of(vcpu);
  const std::uint32_t root = view.current_root(vcpu);
  const Gfn asked = Gpa{op->gpa.value}.containing_frame();
  const VcpuView mode = view.vcpu(vcpu);
  // L2's addresses under nested paging are not what the caller names.
  if (root == View::kNoRoot || mode.nested_paging)
    return Violation{.subject = asked.value, .other = root};
  const RootView used = view.root(vm, root);
  const bool right_one = used.address_space == (mode.smm ? 1 : 0) &&
                         used.guest_mode == mode.guest_mode && !(mode.smm && mode.guest_mode);
  const bool mapped = right_one && is_mapped_for(view, vcpu, asked);
  return mapped ? Result{}
                : Violation{.subject = asked.value,
                            .other = root,
                            .known_upstream = takes_alias(view, vm, *op)};
}

Result leaves_vcpu(const View& view) {
  if (lone_pre_fault(view) == nullptr || was_lent_base_mode(view)) return std::nullopt;
  const VcpuIndex vcpu = acting_vcpu(view);
  return view.vcpu(vcpu) == view.vcpu_before(vcpu) ? Result{} : Violation{.subject = vcpu.value};
}

Result progress_adds_up(const View& view) {
  const auto* const op = finished<PreFaultMemory>(view);
  if (op == nullptr || !view.outcome().has_progress) return std::nullopt;
  const RangeProgress& at = view.outcome().progress;
  const bool refused_early =
      !view.outcome().ok() && at.gpa == op->gpa.value && at.left == op->size.value;
  if (refused_early) return std::nullopt;  // arguments come back as they were, aligned or not
  const bool adds_up = at.gpa + at.left == op->gpa.value + op->size.value &&
                       at.gpa >= op->gpa.value && at.left <= op->size.value;
  const bool aligned = at.gpa % kPageBytes == 0 && at.left % kPageBytes == 0;
  return adds_up && aligned ? Result{} : Violation{.subject = at.gpa, .other = at.left};
}

Result success_means_progress(const View& view) {
  const auto* const op = finished<PreFaultMemory>(view);
  if (op == nullptr || !view.outcome().has_progress || view.outcome().skipped())
    return std::nullopt;
  const RangeProgress& at = view.outcome().progress;
  const bool right = view.outcome().ok() ? at.gpa >= op->gpa.value + kPageBytes
                                         : at.gpa == op->gpa.value && at.left == op->size.value;
  return right ? Result{} : Violation{.subject = at.gpa, .other = at.left};
}

Result everything_mapped(const View& view) {
  const auto* const op = undisturbed_pre_fault(view);
  if (op == nullptr || !view.outcome().ok() || view.outcome().progress.left != 0 ||
      !is_quiescent(view))
    return std::nullopt;
  return first_unmapped(view, *op, op->size.value >> kPageShift);
}

Result prefix_is_mapped(const View& view) {
  const auto* const op = undisturbed_pre_fault(view);
  if (op == nullptr || !view.outcome().has_progress || !is_quiescent(view)) return std::nullopt;
  const RangeProgress& at = view.outcome().progress;
  const std::uint64_t done = at.gpa - op->gpa.value;
  if (auto wrong = first_unmapped(view, *op, done >> kPageShift); wrong) return wrong;
  // Where it stopped, it failed, or had not begun.
  const Gfn next = Gpa{at.gpa}.containing_frame();
  const bool counted_short = at.left != 0 && was_mapped_here(view, next);
  return counted_short ? Violation{.subject = next.value, .other = at.left} : Result{};
}

Result stays_in_slot(const View& view) {
  const auto* const op = lone_pre_fault(view);
  if (op == nullptr) return std::nullopt;
  const Gfn first = Gpa{op->gpa.value}.containing_frame();
  const Gfn end = first + PageCount{op->size.value >> kPageShift};
  for (const LeafChange& change : view.leaf_changes()) {
    const LeafView& now = change.now;
    if (!now.present || now.mmio) continue;
    const std::uint64_t block = frames_in(now.level);
    const bool asked_for = change.gfn >= first.align_down(block) &&
                           change.gfn < (end + PageCount{block - 1}).align_down(block);
    const bool is_its_own = change.root == view.current_root(acting_vcpu(view)) ||
                            change.root == mirror_of(view, change.vm);
    const bool fits = asked_for && change.slot != nullptr && is_its_own;
    if (!fits && !was_part_of_huge(view, change))
      return Violation{.subject = change.gfn.value,
                       .known_upstream = takes_alias(view, change.vm, *op)};
  }
  return std::nullopt;
}

Result changes_only_mappings(const View& view) {
  if (lone_pre_fault(view) == nullptr) return std::nullopt;
  if (!view.attribute_changes().empty())
    return Violation{.subject = view.attribute_changes().front().first.value};
  for (const FrameChange& change : view.frame_changes()) {
    if (change.rmp_before.validated != change.rmp_now.validated)
      return Violation{.subject = change.pfn.value};
  }
  return std::nullopt;
}

Result not_before_allowed(const View& view) {
  if (lone_pre_fault(view) == nullptr || view.vm(vm_of_actor(view)).launched) return std::nullopt;
  // A TD's pages may be mapped before they are added (alternatives B): FINALIZE asks for them.
  const bool two_pass = view.header().policy.tdx_populate == TdxPopulate::kTwoPass;
  if (two_pass && view.vm(vm_of_actor(view)).type == VmType::kTdx) return std::nullopt;
  const bool touched = !view.leaf_changes().empty() || !view.gmem_page_changes().empty() ||
                       !view.frame_changes().empty();
  return touched || view.outcome().ok() ? Violation{.subject = vm_of_actor(view).value} : Result{};
}

Result idempotent(const View& view) {
  if (lone_pre_fault(view) == nullptr) return std::nullopt;
  const bool remaps = !behavior::prefault_present_leaf_is_spurious(view.header().kernel);
  for (const LeafChange& change : view.leaf_changes()) {
    if (!change.before.present || change.before.mmio) continue;
    LeafView now = change.now;
    now.accessed =
        change.before.accessed;  // before 6.14 a pre-fault may take the accessed bit away
    // Recovering a huge page replaces small leaves by one that maps the same frames.
    now.level = change.before.level;
    // Before 6.14 it may also map anew, writable and dirty, what dirty logging write-protected.
    if (remaps && now.writable && !change.before.writable) {
      now.writable = false;
      now.dirty = change.before.dirty;
    }
    if (now != change.before) return Violation{.subject = change.gfn.value};
  }
  return std::nullopt;
}

Result ends_when_slot_goes(const View& view) {
  // A loop whose cause is known to be another is W2's.
  const ProgressView progress = view.progress();
  const bool looping = progress.livelock && !progress.known_upstream && ran<PreFaultMemory>(view);
  const bool must_end = behavior::prefault_eagain_on_invalid_slot(view.header().kernel);
  return looping && must_end ? Violation{.subject = acting_vcpu(view).value} : Result{};
}

}  // namespace check
}  // namespace sluice::oracle
