// Invariants L1-L5: launch, and the life and death of a VM (invariants.md I; snp_host.md 7).
#include <algorithm>
#include <cerrno>

#include "oracle/invariant_list.h"
#include "oracle/view_helpers.h"

namespace sluice::oracle {
namespace {

constexpr std::uint64_t kWalkLimit = 1 << 12;  // launched pages that one check looks up at most

const LaunchUpdate* lone_launch_update(const View& view) {
  const auto* const op = finished<LaunchUpdate>(view);
  return op != nullptr && view.ran_alone() && !view.outcome().skipped() ? op : nullptr;
}

/// The VM whose ASID this is and whose launch has begun and not ended.
std::optional<VmIndex> vm_in_launch(const View& view, Asid asid) {
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    const VmView& vm = view.vm({i});
    if (vm.exists && vm.asid == asid && vm.launching && !vm.launched) return VmIndex{i};
  }
  return std::nullopt;
}

bool has_vm(const View& view, Asid asid) {
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    const VmView& vm = view.vm({i});
    if (vm.exists && vm.asid == asid) return true;
  }
  return false;
}

/// A firmware page that no guest context accounts for: each VM has one context page, from its
/// LAUNCH_START to its end. Pages that a guest has made are not firmware's.
std::optional<Violation> judge_context_pages(const View& view) {
  if (!is_quiescent(view)) return std::nullopt;
  std::uint64_t contexts = 0, pages = 0;
  for (std::uint8_t i = 0; i < kMaxVms; ++i)
    contexts += view.vm({i}).exists && view.vm({i}).launching ? 1U : 0U;
  for (const Pfn pfn : view.occupied_frames()) {
    const RmpView entry = view.rmp(pfn);
    if (!entry.assigned || entry.asid.value != 0 || view.frame(pfn).leaked) continue;
    if (++pages > contexts) return Violation{.subject = pfn.value};
  }
  return std::nullopt;
}

/// Pages that the step's LAUNCH_UPDATE has done.
std::uint64_t pages_done(const View& view, const LaunchUpdate& op) {
  const Outcome& out = view.outcome();
  if (!out.ok() || !out.has_progress) return 0;
  return (out.progress.gpa >> kPageShift) - op.gfn.value;
}

/// The page of the file behind a GFN of the VM.
GmemPageView file_page(const View& view, VmIndex vm, Gfn gfn) {
  for (const SlotView& slot : view.slots(vm)) {
    if (slot.address_space != 0 || !span_of(slot).contains(gfn) || !slot.gmem.is_gmem()) continue;
    return view.gmem_page({slot.gmem.value}, slot.gmem_page_offset + (gfn - slot.base).value);
  }
  return {};
}

/// The VM whose ioctl (or whose vCPU's) the step's operation is. Descriptors are closed, files
/// punched and host pages touched whatever became of the VM.
std::optional<VmIndex> vm_of_ioctl(const View& view) {
  const Step& step = view.step();
  return std::visit(
      [&](const auto& op) -> std::optional<VmIndex> {
        using T = std::decay_t<decltype(op)>;
        if constexpr (std::is_same_v<T, CreateVm> || std::is_same_v<T, DestroyVm> ||
                      std::is_same_v<T, Resume>) {
          return std::nullopt;
        } else if constexpr (requires { op.vm; }) {
          return VmIndex{op.vm};
        } else {
          const bool by_vcpu = T::kInfo.actor == ActorKind::kVcpu;
          return by_vcpu ? std::optional(view.vm_of({step.actor.index})) : std::nullopt;
        }
      },
      step.op);
}

/// Anything of the VM has changed, or any page: nobody else ran.
bool changed_vm(const View& view, VmIndex vm) {
  const auto of_vm = [vm](const auto& change) { return change.vm == vm; };
  return std::ranges::any_of(view.leaf_changes(), of_vm) ||
         std::ranges::any_of(view.attribute_changes(), of_vm) ||
         (view.changed_vms() >> vm.value & 1) != 0 || !view.frame_changes().empty() ||
         !view.gmem_page_changes().empty();
}

}  // namespace

namespace check {

Result only_launched_pages(const View& view) {
  const auto* const op = lone_launch_update(view);
  const std::uint64_t done = op == nullptr ? 0 : pages_done(view, *op);
  for (const FrameChange& change : view.frame_changes()) {
    const RmpView& now = change.rmp_now;
    if (!change.rmp_changed || !now.assigned || now.asid.value == 0 || change.now.leaked ||
        !vm_in_launch(view, now.asid))
      continue;
    const bool is_new = !change.rmp_before.assigned || change.rmp_before.asid != now.asid;
    // The page after those that are done is the one that failed, if any did: L2's.
    const bool is_asked_for =
        op == nullptr || (view.vm(op->vm).asid == now.asid &&
                          Gfn{now.gpa.value >> kPageShift} - op->gfn <= PageCount{done});
    // Firmware clears Immutable with the page's acceptance (rmp.md 4, LAUNCH_UPDATE).
    const bool is_done = (now.validated || now.vmsa) && !now.immutable;
    if (!is_done || (is_new && !(is_launched(view, now) && is_asked_for)))
      return Violation{.subject = change.pfn.value, .other = now.gpa.value};
  }
  for (std::uint64_t i = 0; i < std::min(done, kWalkLimit); ++i) {
    const Gfn gfn = op->gfn + PageCount{i};
    const GmemPageView page = file_page(view, op->vm, gfn);
    const RmpView entry = view.rmp(page.pfn);
    if (!page.present || !entry.assigned || entry.gpa != address_of(gfn))
      return Violation{.subject = gfn.value, .other = page.pfn.value};
  }
  return std::nullopt;
}

Result failed_page_goes_back(const View& view) {
  const auto* const op = lone_launch_update(view);
  if (op == nullptr) return std::nullopt;
  const Gpa failed = address_of(op->gfn + PageCount{pages_done(view, *op)});
  for (const FrameChange& change : view.frame_changes()) {
    const bool is_new = !change.rmp_before.assigned && change.rmp_now.assigned;
    const bool is_leaked = change.now.leaked && view.vm(op->vm).dead;
    const bool is_done = change.rmp_now.validated && change.rmp_now.gpa != failed;
    if (is_new && !is_done && !is_leaked) return Violation{.subject = change.pfn.value};
  }
  return std::nullopt;
}

Result page_is_launched_once(const View& view) {
  const auto* const op = lone_launch_update(view);
  if (op == nullptr) return std::nullopt;
  const std::uint64_t done = pages_done(view, *op);
  std::uint64_t came_new = 0;
  for (const FrameChange& change : view.frame_changes()) {
    const bool was_guests = change.rmp_before.assigned && change.rmp_before.asid.value != 0;
    if (was_guests && (change.rmp_changed || change.before.content != change.now.content))
      return Violation{.subject = change.pfn.value};
    const Gfn gfn{change.rmp_now.gpa.value >> kPageShift};
    const bool is_new = !change.rmp_before.assigned && change.rmp_now.assigned;
    came_new += is_new && gfn - op->gfn < PageCount{done} ? 1U : 0U;
  }
  // What it did before it was parked, the step does not tell. L1 sees that each page that is done
  // is in place.
  if (is_one_of<Resume>(view.step().op) || came_new == done) return std::nullopt;
  return Violation{.subject = op->gfn.value, .other = came_new};
}

Result nothing_stays_assigned(const View& view) {
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    if ((view.changed_vms() >> i & 1) == 0) continue;
    const VmView& before = view.vm_before({i});
    const VmView& now = view.vm({i});
    const bool gone = !now.exists || now.life != before.life;
    const bool ended = before.exists && gone && before.asid.value != 0;
    if (!ended) continue;
    for (const Pfn pfn : view.occupied_frames()) {
      const RmpView entry = view.rmp(pfn);
      if (entry.assigned && entry.asid == before.asid && !view.frame(pfn).leaked)
        return Violation{.subject = pfn.value, .other = before.asid.value};
    }
    if (auto wrong = judge_context_pages(view)) return wrong;
  }
  return std::nullopt;
}

Result audit_nothing_stays_assigned(const View& view, AuditScratch&) {
  for (const Pfn pfn : view.occupied_frames()) {
    const RmpView entry = view.rmp(pfn);
    if (!entry.assigned || entry.asid.value == 0 || view.frame(pfn).leaked) continue;
    if (!has_vm(view, entry.asid))
      return Violation{.subject = pfn.value, .other = entry.asid.value};
  }
  return judge_context_pages(view);
}

Result dead_vm_is_frozen(const View& view) {
  // Who was inside KVM_RUN when the VM died enters the guest no more.
  if (finished<GuestAccess>(view) != nullptr && view.outcome().ok()) {
    const VmIndex vm = view.vm_of(acting_vcpu(view));
    if (view.vm_before(vm).dead) return Violation{.subject = vm.value};
  }
  const auto vm = vm_of_ioctl(view);
  const Outcome& out = view.outcome();
  if (!vm || out.skipped() || out.progression != Progression::kDone || !view.ran_alone())
    return std::nullopt;
  if (!view.vm_before(*vm).dead) return std::nullopt;
  const bool refused = out.kind == StatusKind::kErrno && out.number == EIO;
  return refused && !changed_vm(view, *vm) ? Result{} : Violation{.subject = vm->value};
}

}  // namespace check
}  // namespace sluice::oracle
