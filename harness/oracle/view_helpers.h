// Small questions that several invariants ask of a view.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <variant>

#include "trace/view.h"

namespace sluice::oracle {

/// The bit of View::ran_ops() that stands for an operation type.
template <class Op>
inline constexpr std::uint64_t kOpBit = std::uint64_t{1} << kOpIndex<Op>;

/// Did one of these operations run in the step (begun in it, or resumed)?
template <class... Ops>
bool ran(const View& view) {
  return (view.ran_ops() & (kOpBit<Ops> | ...)) != 0;
}

/// Does this operation, done by a guest of this policy, validate (or rescind) the page?
inline bool pvalidates(const Op& op, GuestPolicy policy, Gfn gfn, bool validate) {
  if (const auto* const own = std::get_if<Pvalidate>(&op)) {
    const std::uint64_t pages = own->page_size == PageSizeArg::k2M ? kFramesPer2M : 1;
    return own->validate == validate && gfn.align_down(pages) == own->gfn.align_down(pages);
  }
  if (const auto* const range = std::get_if<GuestConvert>(&op)) {
    return range->to_private == validate && gfn >= range->gfn &&
           gfn < range->gfn + PageCount{range->page_count.value};
  }
  const auto* const access = std::get_if<GuestAccess>(&op);
  return access != nullptr && policy == GuestPolicy::kAcceptsOnVc && validate && access->gfn == gfn;
}

/// Did a guest execute PVALIDATE in the step, perhaps?
inline bool ran_any_pvalidate(const View& view) {
  const bool on_vc = view.header().policy.guest == GuestPolicy::kAcceptsOnVc;
  return ran<Pvalidate, GuestConvert>(view) || (on_vc && ran<GuestAccess>(view));
}

/// Did a vCPU of the entry's owner run a PVALIDATE of this direction and of the entry's address in
/// the step?
inline bool ran_pvalidate(const View& view, const RmpView& entry, bool validate) {
  if (!ran_any_pvalidate(view)) return false;
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    const Op* const op = view.ran_op({.kind = ActorKind::kVcpu, .index = i});
    const Gfn gfn{entry.gpa.value >> kPageShift};
    const bool covers = op != nullptr && pvalidates(*op, view.header().policy.guest, gfn, validate);
    if (covers && view.vm(view.vm_of({i})).asid == entry.asid) return true;
  }
  return false;
}

/// Is `holds` true of an operation that ran in the step?
template <class Holds>
bool any_ran_op(const View& view, Holds&& holds) {
  const auto by = [&](ActorKind kind, unsigned count) {
    for (std::uint8_t i = 0; i < count; ++i) {
      const Op* const op = view.ran_op({.kind = kind, .index = i});
      if (op != nullptr && holds(*op)) return true;
    }
    return false;
  };
  return by(ActorKind::kVmm, kMaxVmmThreads) || by(ActorKind::kVcpu, kMaxVcpus) ||
         by(ActorKind::kKernel, kMaxKernelWorkers);
}

/// Is `holds(vcpu, op)` true of an operation of this type that a vCPU ran in the step?
template <class Ran, class Holds>
bool any_vcpu_op(const View& view, Holds&& holds) {
  if (!ran<Ran>(view)) return false;
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    const Op* const op = view.ran_op({.kind = ActorKind::kVcpu, .index = i});
    const auto* const own = op == nullptr ? nullptr : std::get_if<Ran>(op);
    if (own != nullptr && holds(VcpuIndex{i}, *own)) return true;
  }
  return false;
}

/// Do the `count` pages from `first` all lie in the `pages` from `from`?
constexpr bool lies_within(std::uint64_t first, std::uint64_t count, std::uint64_t from,
                           std::uint64_t pages) {
  return first - from < pages && count <= pages - (first - from);
}

/// Pages [first, end) of a file that an operation is to punch out of it, or to allocate.
struct FilePages {
  GmemIndex gmem{};
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  bool has(GmemIndex file, std::uint64_t index) const {
    return gmem == file && index >= first && index < end;
  }
  bool meets(const FilePages& other) const {
    return gmem == other.gmem && first < other.end && other.first < end;
  }
};
inline FilePages file_pages_of(GmemIndex gmem, RawOffset offset, RawSize size) {
  return {.gmem = gmem,
          .first = offset.value >> kPageShift,
          .end = (offset.value + size.value) >> kPageShift};
}
inline std::optional<FilePages> hole_of(const Op& op) {
  constexpr std::uint32_t kPunchHole = 3;  // falloc.h: PUNCH_HOLE | KEEP_SIZE, else it is refused
  if (const auto* const punch = std::get_if<GmemPunchHole>(&op))
    return file_pages_of(punch->gmem, punch->offset, punch->size);
  const auto* const allocate = std::get_if<GmemAllocate>(&op);
  return allocate != nullptr && allocate->mode.value == kPunchHole
             ? std::optional(file_pages_of(allocate->gmem, allocate->offset, allocate->size))
             : std::nullopt;
}

/// Did somebody write this word to memory in the step, as it is?
inline bool wrote_token(const View& view, std::uint64_t token) {
  return any_ran_op(view, [token](const Op& op) {
    return std::visit(
        [token]<class T>(const T& ran) {
          if constexpr (std::is_same_v<T, GuestAccess> || std::is_same_v<T, HostAccess> ||
                        std::is_same_v<T, GmemAccess>)
            return ran.kind == AccessKind::kWrite && ran.value.value == token;
          else if constexpr (std::is_same_v<T, HostStore> || std::is_same_v<T, KernelWrite>)
            return ran.value.value == token;
          else
            return false;
        },
        op);
  });
}

/// Did a vCPU of the entry's owner run RMPADJUST of the entry's address in the step?
inline bool ran_rmpadjust(const View& view, const RmpView& entry) {
  const Gfn gfn{entry.gpa.value >> kPageShift};
  return any_vcpu_op<RmpAdjust>(view, [&](VcpuIndex vcpu, const RmpAdjust& adjust) {
    const std::uint64_t pages = adjust.page_size == PageSizeArg::k2M ? kFramesPer2M : 1;
    return view.vm(view.vm_of(vcpu)).asid == entry.asid &&
           gfn.align_down(pages) == adjust.gfn.align_down(pages);
  });
}

/// Is the entry of a page that the step's LAUNCH_UPDATE was asked for, or LAUNCH_FINISH's VMSA?
inline bool is_launched(const View& view, const RmpView& entry) {
  if (!entry.assigned || !ran<LaunchUpdate, LaunchFinish>(view)) return false;
  return any_ran_op(view, [&](const Op& op) {
    if (const auto* const finish = std::get_if<LaunchFinish>(&op))
      return entry.vmsa && view.vm(finish->vm).asid == entry.asid;
    const auto* const update = std::get_if<LaunchUpdate>(&op);
    return update != nullptr && view.vm(update->vm).asid == entry.asid &&
           entry.gpa.value - address_of(update->gfn).value < update->size.value;
  });
}

/// Who acted: the step's actor, or whom it resumed.
inline ActorId acting(const View& view) {
  const auto* const resumed = std::get_if<Resume>(&view.step().op);
  return resumed != nullptr ? resumed->target : view.step().actor;
}
/// The vCPU that acted, if one did.
inline VcpuIndex acting_vcpu(const View& view) { return {acting(view).index}; }

/// The SHARED bit of a TD's addresses, 48 bits wide (tdx.md 1).
inline constexpr std::uint64_t kTdSharedBit = std::uint64_t{1} << 47;

/// The operation of who acted, if it is an `Ended` and came to its end here; the step's outcome is
/// its outcome. It may have been begun in an earlier step: what changed since then, others may have
/// changed (was_undisturbed()), and only what changed in this step are the step's changes.
template <class Ended>
const Ended* finished(const View& view) {
  if (view.outcome().progression != Progression::kDone) return nullptr;
  if (const auto* const own = std::get_if<Ended>(&view.step().op)) return own;
  const auto* const resumed = std::get_if<Resume>(&view.step().op);
  const Op* const op = resumed != nullptr ? view.ran_op(resumed->target) : nullptr;
  return op != nullptr ? std::get_if<Ended>(op) : nullptr;
}
/// The same, where it was begun in this step.
template <class Ended>
const Ended* began_and_finished(const View& view) {
  return is_one_of<Resume>(view.step().op) ? nullptr : finished<Ended>(view);
}

/// Nobody else ran since the operation of who acted was begun.
inline bool was_undisturbed(const View& view) { return !view.progress().had_company; }

/// The operations by which a guest asks user space for a conversion. What of: requests.h.
inline constexpr std::uint64_t kGuestRequests =
    kOpBit<MapGpaRange> | kOpBit<PscMsr> | kOpBit<Psc> | kOpBit<GuestConvert> | kOpBit<TdMapGpa>;
inline bool is_guest_request(const Op& op) { return (kGuestRequests >> op.index() & 1) != 0; }
/// Did a guest ask so in the step, in whatever way?
inline bool ran_guest_request(const View& view) { return (view.ran_ops() & kGuestRequests) != 0; }

/// Firmware may change immutable entries and validate pages inside these: the launch, and whatever
/// can be the end of a VM.
inline bool firmware_ran(const View& view) {
  const bool kills = view.header().policy.vmm == VmmPolicy::kKill && ran_guest_request(view);
  return kills || ran<LaunchStart, LaunchUpdate, LaunchFinish, DestroyVm, CloseGuestMemfd>(view);
}

/// Attributes may change inside these.
inline bool conversion_ran(const View& view) {
  return ran<SetMemoryAttributes>(view) || ran_guest_request(view);
}

inline bool covers(const Event& event, Pfn pfn) { return pfn.value - event.a < event.b; }
/// Did an event of this kind, which names a range of frames, cover this one in the step? Where the
/// log lacks some of the kind: perhaps.
inline bool any_event_covers(const View& view, EventKind kind, Pfn pfn) {
  if (!view.events().has(kind)) return false;
  if (view.events().lacks(kind)) return true;
  return std::ranges::any_of(view.events().events(), [kind, pfn](const Event& event) {
    return event.kind == kind && covers(event, pfn);
  });
}
/// The frame was a guest's for part of the step: somebody had it assigned, and somebody took it
/// back.
inline bool was_some_guests_meanwhile(const View& view, Pfn pfn) {
  return !view.ran_alone() && !view.rmp(pfn).assigned &&
         any_event_covers(view, EventKind::kRmpUpdate, pfn);
}
/// Was the frame freed in the step? It may have an owner again. Where the log lacks some: perhaps.
inline bool was_freed(const View& view, Pfn pfn) {
  return any_event_covers(view, EventKind::kFrameFreed, pfn);
}
/// The last fault that the VM's guest took in the step.
inline const Event* last_fault(const View& view, VmIndex vm) {
  const auto events = view.events().events();
  for (std::size_t i = events.size(); i-- > 0;) {
    if (events[i].kind == EventKind::kNpf && events[i].vm == vm.value) return &events[i];
  }
  return nullptr;
}

/// Did the host try to change this frame's entry in the step, and was refused?
inline bool was_refused(const View& view, Pfn pfn) {
  return any_event_covers(view, EventKind::kRmpUpdateRefused, pfn);
}

/// Did the step run into RMPUPDATE's FAIL_OVERLAP at this frame, although the host had not tried to
/// split the entry in the way? It always is to (rmp.md 4.2, row 8), and may be refused (bugs.md
/// 63).
inline bool overlaps_for_no_reason(const View& view, const Event& overlap) {
  if (view.events().lacks(EventKind::kPsmashRefused)) return false;
  return std::ranges::none_of(view.events().events(), [&overlap](const Event& event) {
    return event.kind == EventKind::kPsmashRefused && overlap.a - event.a < kFramesPer2M;
  });
}
/// Did it so anywhere? Where raw host instructions are legal, what is in the way may be theirs.
inline bool overlaps_for_no_reason(const View& view) {
  if (!view.events().has(EventKind::kRmpUpdateOverlap) || view.header().scope == Scope::kMachine)
    return false;
  return std::ranges::any_of(view.events().events(), [&view](const Event& event) {
    return event.kind == EventKind::kRmpUpdateOverlap && overlaps_for_no_reason(view, event);
  });
}

/// Is the event a zap of some of these GFNs? It names what was asked for, and a large leaf goes
/// with any part of it.
inline bool is_zap_of(const Event& e, VmIndex vm, Gfn first, std::uint64_t count) {
  const bool overlaps = first.value - e.a < e.b || e.a - first.value < count;
  return e.kind == EventKind::kZap && e.vm == vm.value && overlaps;
}
/// Was what the leaf translated zapped in the step? For rows that read events.
inline bool was_zapped(const View& view, const LeafChange& change) {
  return std::ranges::any_of(view.events().events(), [&change](const Event& e) {
    return is_zap_of(e, change.vm, change.gfn, frames_in(change.before.level));
  });
}

/// kvm.md 0, has_private_mem.
constexpr bool has_private_memory(VmType type) {
  return type == VmType::kSwProtected || type == VmType::kSnp || type == VmType::kTdx;
}

/// The root that mirrors a TD's secure EPT; kNoRoot of another VM, and before there is one.
inline std::uint32_t mirror_of(const View& view, VmIndex vm) {
  if (view.vm(vm).type != VmType::kTdx) return View::kNoRoot;
  for (std::uint32_t i = 0; i < View::kMaxRoots; ++i) {
    const RootView root = view.root(vm, i);
    if (root.used && root.mirror) return i;
  }
  return View::kNoRoot;
}

/// Does the vCPU's MMU map the GFN, in whichever half of its address space? A private GFN of a TD
/// is in the mirror, all else in the vCPU's own root.
inline bool is_mapped_for(const View& view, VcpuIndex vcpu, Gfn gfn) {
  const VmIndex vm = view.vm_of(vcpu);
  const std::uint32_t root = view.current_root(vcpu);
  if (root != View::kNoRoot && view.leaf(vm, root, gfn).present) return true;
  const std::uint32_t mirror = mirror_of(view, vm);
  return mirror != View::kNoRoot && view.leaf(vm, mirror, gfn).present;
}

/// The GFN at which the slot shows this page of a file; none if it does not.
inline std::optional<Gfn> gfn_of_page(const SlotView& slot, GmemIndex gmem, std::uint64_t index) {
  const std::uint64_t page = index - slot.gmem_page_offset;
  if (slot.gmem.value != gmem.value || page >= slot.page_count.value) return std::nullopt;
  return slot.base + PageCount{page};
}
/// Does `holds` of a slot that the VM has, or had before the step?
template <class Holds>
bool any_slot_now_or_before(const View& view, VmIndex vm, Holds&& holds) {
  return std::ranges::any_of(view.slots(vm), holds) ||
         std::ranges::any_of(view.slots_before(vm), holds);
}

/// Private memory is in user space's own mapping (alternatives C, backing=vma_gup).
inline bool is_pinned_backing(const View& view) {
  return view.header().policy.backing == Backing::kVmaGup;
}
inline bool is_quiescent(const View& view) { return view.progress().in_flight == 0; }

}  // namespace sluice::oracle
