// Invariants I1-I7: the protocol between those who take mappings away and those who install them,
// and the memslot generation (invariants.md E; kvm.md 5).
#include <algorithm>
#include <array>
#include <bit>

#include "oracle/invariant_list.h"
#include "oracle/view_helpers.h"
#include "trace/kernel_behavior.h"

namespace sluice::oracle {
namespace {

/// Calls judge(VmIndex) for every VM whose own fields changed in the step.
template <class Judge>
std::optional<Violation> each_changed_vm(const View& view, Judge&& judge) {
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    if ((view.changed_vms() >> i & 1) == 0) continue;
    if (auto wrong = judge(VmIndex{i}); wrong.has_value()) return wrong;
  }
  return std::nullopt;
}

std::uint64_t ends_of(const View& view, VmIndex vm) {
  const auto is_end = [vm](const Event& e) {
    return e.kind == EventKind::kInvalidateEnd && e.vm == vm.value;
  };
  return static_cast<std::uint64_t>(std::ranges::count_if(view.events().events(), is_end));
}

/// What a fault must look at under mmu_lock, followed through the events of a step.
struct Protocol {
  std::uint64_t seq = 0;
  std::int64_t in_progress = 0;
  GfnSpan range{};

  void follow(const Event& event) {
    switch (event.kind) {
      case EventKind::kInvalidateBegin:
        if (in_progress == 0) range = {};
        ++in_progress;
        break;
      case EventKind::kInvalidateRange: {
        const GfnSpan more{{event.a}, {event.b}};
        range = range.empty()
                    ? more
                    : GfnSpan{std::min(range.first, more.first), std::max(range.end, more.end)};
        break;
      }
      case EventKind::kInvalidateEnd:
        ++seq;
        --in_progress;
        break;
      default:
        break;
    }
  }
  /// mmu_invalidate_retry_gfn(), said the other way round.
  bool allows(Gfn gfn, std::uint64_t snapshot) const {
    const bool held_off = in_progress > 0 && (range.empty() || range.contains(gfn));
    return !held_off && seq == snapshot;
  }
};

/// The file pages [first, end) that a punch has taken, if that is what the step did.
std::optional<FilePages> lone_punch(const View& view) {
  const bool done = view.outcome().ok() && view.outcome().progression == Progression::kDone;
  return done && view.ran_alone() ? hole_of(view.step().op) : std::nullopt;
}

/// An invalidation that had begun, and had no range when the next of its VM's events came: its
/// own range is to be set before mmu_lock is dropped.
std::optional<Violation> began_without_range(const View& view) {
  std::uint32_t waiting = 0;  // VMs, by bit
  for (const Event& event : view.events().events()) {
    const std::uint32_t vm = 1u << event.vm;
    if (event.kind == EventKind::kInvalidateRange) waiting &= ~vm;
    const bool begins = event.kind == EventKind::kInvalidateBegin;
    if (!begins && event.kind != EventKind::kInvalidateEnd) continue;
    if ((waiting & vm) != 0) return Violation{.subject = event.vm};
    if (begins) waiting |= vm;
  }
  return waiting == 0 ? std::nullopt
                      : std::optional(Violation{
                            .subject = static_cast<std::uint64_t>(std::countr_zero(waiting))});
}

/// Address spaces of a VM (kvm.md 0, MULTI_ADDRESS_SPACE).
unsigned address_spaces(const View& view, const VmView& vm) {
  return !has_private_memory(vm.type) && view.profile().smm_address_space ? 2 : 1;
}

std::optional<Violation> judge_balance(const View& view, VmIndex vm) {
  const std::int64_t in_progress = view.vm(vm).invalidate_in_progress;
  const bool wrong = in_progress < 0 || (in_progress != 0 && is_quiescent(view));
  return wrong ? std::optional(Violation{.subject = vm.value,
                                         .other = static_cast<std::uint64_t>(in_progress)})
               : std::nullopt;
}

std::optional<Violation> judge_generation(const View& view, VmIndex index) {
  const VmView& vm = view.vm(index);
  if (!vm.exists || !is_quiescent(view)) return std::nullopt;
  const unsigned count = address_spaces(view, vm);
  for (unsigned id = 0; id < count; ++id) {
    const bool updating = (vm.generation[id] & kGenerationUpdateInProgress) != 0;
    if (updating || vm.generation[id] % count != id)
      return Violation{.subject = index.value, .other = vm.generation[id]};
  }
  return std::nullopt;
}

/// A leaf or MMIO entry that was put into a root which is invalid. No step invalidates a root after
/// a fault and leaves it filled: what is in it goes in the same breath.
std::optional<Violation> installed_in_obsolete_root(const View& view) {
  VmIndex vm{};
  std::uint32_t root = View::kNoRoot;
  bool valid = true;
  for (const LeafChange& change : view.leaf_changes()) {
    if (change.root != root || change.vm != vm) {
      vm = change.vm, root = change.root;
      valid = view.root(vm, root).valid;
    }
    const bool is_there = change.now.present || change.now.mmio;
    if (!valid && is_there && change.is_remapped())
      return Violation{.subject = change.gfn.value, .other = root};
  }
  return std::nullopt;
}

/// A page that is added to a TD from 7.0 on is mapped as it is, without a look at the sequence
/// number: the file's invalidate lock and slots_lock keep off whoever would invalidate it
/// (kvm_tdp_mmu_map_private_pfn(); tdx.md 5). What else is in progress may be noted as one range
/// that has the page in it.
bool maps_under_locks(const View& view, const Event& map) {
  const auto adds = [&](VcpuIndex vcpu, const TdxInitMemRegion& region) {
    const std::uint64_t first = region.gpa.value >> kPageShift;
    return view.vm_of(vcpu).value == map.vm && map.a - first < region.page_count.value;
  };
  return behavior::tdx_populate(view.header().kernel, view.header().policy) ==
             TdxPopulate::kRecordedSource_7_0 &&
         any_vcpu_op<TdxInitMemRegion>(view, adds);
}

}  // namespace

namespace check {

Result invalidation_is_balanced(const View& view) {
  return each_changed_vm(view, [&view](VmIndex vm) { return judge_balance(view, vm); });
}

Result invalidation_has_a_range(const View& view) {
  if (view.events().has(EventKind::kInvalidateBegin)) {
    if (auto wrong = began_without_range(view); wrong) return wrong;
  }
  return each_changed_vm(view, [&view](VmIndex index) -> Result {
    const VmView& vm = view.vm(index);
    return vm.invalidate_in_progress > 0 && vm.invalidate_range.empty()
               ? Violation{.subject = index.value}
               : Result{};
  });
}

Result seq_counts_ends(const View& view) {
  return each_changed_vm(view, [&view](VmIndex vm) -> Result {
    const VmView &before = view.vm_before(vm), &now = view.vm(vm);
    const bool same = before.exists && now.exists && before.life == now.life;
    if (!same) return std::nullopt;  // born or gone in this step
    const bool counts = now.invalidate_seq - before.invalidate_seq == ends_of(view, vm);
    return counts ? Result{} : Violation{.subject = vm.value, .other = now.invalidate_seq};
  });
}

Result install_is_fresh(const View& view) {
  std::array<std::optional<Protocol>, kMaxVms> protocols{};
  for (const Event& event : view.events().events()) {
    const bool installs = event.kind == EventKind::kMap;
    const bool moves = event.kind == EventKind::kInvalidateBegin ||
                       event.kind == EventKind::kInvalidateRange ||
                       event.kind == EventKind::kInvalidateEnd;
    if (!installs && !moves) continue;
    // Of a VM that went in the step, and perhaps one that came in its place, only a part is known.
    if (view.vm_before({event.vm}).life != view.vm({event.vm}).life) continue;
    std::optional<Protocol>& protocol = protocols[event.vm];
    if (!protocol) {
      const VmView& before = view.vm_before({event.vm});
      protocol = Protocol{.seq = before.invalidate_seq,
                          .in_progress = before.invalidate_in_progress,
                          .range = before.invalidate_range};
    }
    if (installs && !protocol->allows({event.a}, event.b) && !maps_under_locks(view, event))
      return Violation{.subject = event.a, .other = event.b};
    protocol->follow(event);
  }
  return installed_in_obsolete_root(view);
}

Result slots_are_stable(const View& view) {
  for (const Event& event : view.events().events()) {
    if (event.kind == EventKind::kInvalidateSlots && event.a != event.b)
      return Violation{.subject = event.a, .other = event.b};
  }
  return std::nullopt;
}

Result unbound_hole_is_silent(const View& view) {
  const auto punched = lone_punch(view);
  if (!punched) return std::nullopt;
  const auto overlaps = [&punched](const BindingView& binding) {
    return binding.first < punched->end && punched->first < binding.first + binding.count;
  };
  if (std::ranges::any_of(view.gmem_bindings(punched->gmem), overlaps)) return std::nullopt;
  const VmIndex index = view.gmem(punched->gmem).vm;
  const VmView &before = view.vm_before(index), &now = view.vm(index);
  const bool silent = before.invalidate_seq == now.invalidate_seq &&
                      before.invalidate_in_progress == now.invalidate_in_progress;
  return silent ? Result{} : Violation{.subject = punched->first, .other = now.invalidate_seq};
}

Result generation_parity(const View& view) {
  return each_changed_vm(view, [&view](VmIndex vm) { return judge_generation(view, vm); });
}

Result audit_invalidation(const View& view, AuditScratch&) {
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    if (auto wrong = judge_balance(view, {i}); wrong.has_value()) return wrong;
  }
  return std::nullopt;
}

Result audit_generation(const View& view, AuditScratch&) {
  for (std::uint8_t i = 0; i < kMaxVms; ++i) {
    if (auto wrong = judge_generation(view, {i}); wrong.has_value()) return wrong;
  }
  return std::nullopt;
}

}  // namespace check
}  // namespace sluice::oracle
