// Invariants T1-T4: what processors may still have cached of page tables that have changed
// (invariants.md K; kvm.md 7, rmp.md 4.2 row 10). T1 is about nested page tables; user space's own
// are judged by T4 alone, since no view shows them. What the processor keeps of a VMCB counts, too.
#include <algorithm>

#include "oracle/invariant_list.h"
#include "oracle/view_helpers.h"

namespace sluice::oracle {
namespace {

bool is_guest(const TranslationView& t) { return t.use == TranslationUse::kGuest; }

bool covers(const TranslationView& t, Pfn pfn) {
  return pfn.value - t.pfn.value < frames_in(t.level);
}

/// Is there a frame that the translation leads to and whose entry the change is about, and which
/// `is_wrong`? The head of a 2 MiB entry stands for all of it, also where the step has split it:
/// then each frame has an entry of its own.
template <class IsWrong>
bool any_shared_frame(const View& view, const TranslationView& t, const FrameChange& change,
                      IsWrong&& is_wrong) {
  const bool is_large = change.rmp_now.page_size == PageSize::k2M;
  const bool was_large = change.rmp_before.page_size == PageSize::k2M;
  const bool is_block = change.pfn.is_aligned(kFramesPer2M) && (was_large || is_large);
  const Pfn first = std::max(t.pfn, change.pfn);
  const Pfn end = std::min(t.pfn + PageCount{frames_in(t.level)},
                           change.pfn + PageCount{is_block ? kFramesPer2M : 1});
  for (Pfn pfn = first; pfn < end; pfn = pfn + PageCount{1}) {
    if (is_wrong(pfn, pfn == change.pfn ? change.rmp_now : view.rmp(pfn))) return true;
    if (is_large) return false;  // one entry for all
  }
  return false;
}

/// The first cached translation for which `is_wrong` holds.
template <class IsWrong>
std::optional<Violation> any_translation(const View& view, IsWrong&& is_wrong) {
  for (const TranslationView& t : view.translations()) {
    if (is_wrong(t)) return Violation{.subject = t.page, .other = t.pfn.value};
  }
  return std::nullopt;
}

/// No zap of the VM and no write protection waits for its flush: nothing is in flight, or the
/// step's last flush came after the last of them.
bool is_flushed(const View& view, VmIndex vm) {
  if (is_quiescent(view)) return true;
  bool flushed = false;
  for (const Event& event : view.events().events()) {
    if (event.vm != vm.value) continue;
    if (event.kind == EventKind::kZap || event.kind == EventKind::kWriteProtect) flushed = false;
    if (event.kind == EventKind::kTlbFlush) flushed = true;
  }
  return flushed;
}

/// The root that a translation of the vCPU came from: of a private one of a TD, the mirror.
std::uint32_t root_of(const View& view, const TranslationView& t) {
  const VmIndex vm = view.vm_of(t.vcpu);
  const std::uint32_t mirror = t.encrypted ? mirror_of(view, vm) : View::kNoRoot;
  return mirror != View::kNoRoot ? mirror : view.current_root(t.vcpu);
}

/// The vCPU's page tables still say what it has cached.
bool agrees(const View& view, VmIndex vm, std::uint32_t root, const TranslationView& t) {
  const std::uint64_t frames = frames_in(t.level);
  for (std::uint64_t i = 0; i < frames;) {
    const LeafView leaf = view.leaf(vm, root, Gfn{t.page + i});
    const bool same = leaf.present && leaf.pfn.value == t.pfn.value + i;
    if (!same || (t.writable && !leaf.writable)) return false;
    i += frames_in(leaf.level);
  }
  return true;
}

/// The first page of a translation that no leaf maps now.
std::optional<Gfn> first_lost_page(const View& view, VmIndex vm, std::uint32_t root,
                                   const TranslationView& t) {
  const std::uint64_t frames = frames_in(t.level);
  for (std::uint64_t i = 0; i < frames;) {
    const LeafView leaf = view.leaf(vm, root, Gfn{t.page + i});
    if (!leaf.present) return Gfn{t.page + i};
    i += frames_in(leaf.level);
  }
  return std::nullopt;
}

/// Did a leaf go without a zap while a vCPU has it cached? A fault that saw no slot writes an MMIO
/// entry over what another vCPU has mapped in the slot that appeared meanwhile, before this step or
/// in it. KVM does not flush then, and no later zap finds the leaf (docs/findings.md 3).
bool was_overwritten(const View& view, VmIndex vm, std::uint32_t root, const TranslationView& t) {
  const auto lost = first_lost_page(view, vm, root, t);
  if (!lost) return false;
  bool unzapped = std::ranges::any_of(view.leaf_changes(), [&](const LeafChange& change) {
    const bool had_it = lost->value - change.gfn.value < frames_in(change.before.level);
    return change.vm == vm && change.root == root && change.before.present && had_it;
  });
  for (const Event& event : view.events().events()) {
    if (event.vm != vm.value) continue;
    if (is_zap_of(event, vm, Gfn{t.page}, frames_in(t.level))) unzapped = false;
    const bool is_here = event.a - t.page < frames_in(t.level);
    if (event.kind == EventKind::kMap && is_here) unzapped = true;
    if (event.kind == EventKind::kMapMmio && is_here && unzapped) return true;
  }
  return false;
}

/// RMP refuses a write that goes through this translation and is checked now.
bool is_refused(const View& view, const TranslationView& t, Pfn pfn, const RmpView& entry) {
  if (!t.encrypted) return entry.assigned;
  const Gpa gpa = address_of(Gfn{t.page + (pfn.value - t.pfn.value)});
  return !entry.assigned || entry.asid != view.vm(view.vm_of(t.vcpu)).asid || entry.gpa != gpa;
}

/// Who had the frame has it no more.
bool changed_hands(const FrameChange& change) {
  const FrameView &before = change.before, &now = change.now;
  return before.use != FrameUse::kFree &&
         (before.use != now.use || before.gmem != now.gmem || before.index != now.index);
}

/// What a slot of the VM has behind the GFN is what the frame is now.
bool leads_to(const View& view, VmIndex vm, Gfn gfn, const FrameView& now) {
  return std::ranges::any_of(view.slots(vm), [&](const SlotView& slot) {
    if (now.use == FrameUse::kGmem) return gfn_of_page(slot, now.gmem, now.index) == gfn;
    return now.use == FrameUse::kHostUser && !slot.hva.raw && span_of(slot).contains(gfn) &&
           now.index == (slot.hva.value >> kPageShift) + (gfn - slot.base).value;
  });
}

/// A translation that was made after its frame had changed hands: it says what is now.
bool is_fresh(const View& view, const TranslationView& t, const FrameChange& change) {
  const FrameView& now = change.now;
  const std::uint64_t page = t.page + (change.pfn.value - t.pfn.value);
  if (t.use == TranslationUse::kUser) {
    return page == (now.use == FrameUse::kHostUser ? now.index : user_page_of(now.gmem, now.index));
  }
  const VmIndex vm = view.vm_of(t.vcpu);
  const std::uint32_t root = root_of(view, t);
  if (root != View::kNoRoot && agrees(view, vm, root, t)) return true;
  // Zapped again in the step, by somebody who is still to flush.
  return !is_flushed(view, vm) && leads_to(view, vm, Gfn{page}, now);
}

/// docs/findings.md 5: the shared half of a TD goes on mapping a page that has left its file. In
/// host scope N15 says so.
bool td_keeps_file_page(const View& view, const TranslationView& t, const FrameChange& change) {
  if (!is_guest(t) || t.encrypted || change.before.use != FrameUse::kGmem) return false;
  const VmIndex vm = view.vm_of(t.vcpu);
  const std::uint32_t root = root_of(view, t);
  return view.vm(vm).type == VmType::kTdx && root != View::kNoRoot && agrees(view, vm, root, t);
}

/// A frame that was freed between a zap of what mapped it and the flush for that zap. Within one
/// step only the order of events can tell.
std::optional<Violation> freed_before_flush(const View& view) {
  std::array<bool, kMaxVms> owed{};
  const auto was_mapped = [&](Pfn pfn) {
    return std::ranges::any_of(view.leaf_changes(), [&](const LeafChange& change) {
      const bool led_there = pfn.value - change.before.pfn.value < frames_in(change.before.level);
      return owed[change.vm.value] && change.before.present && led_there;
    });
  };
  for (const Event& event : view.events().events()) {
    if (event.kind == EventKind::kZap) owed[event.vm] = true;
    if (event.kind == EventKind::kTlbFlush) owed[event.vm] = false;
    const bool early =
        event.kind == EventKind::kFrameFreed && std::ranges::find(owed, true) != owed.end();
    if (early && was_mapped(Pfn{event.a})) return Violation{.subject = event.a};
  }
  return std::nullopt;
}

}  // namespace

namespace check {

Result flushed_after_zap(const View& view) {
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    const VmsaView vmsa = view.vmsa({i});
    if (vmsa.held && vmsa.held != vmsa.named)
      return Violation{.subject = i, .other = vmsa.held->value};
  }
  for (const TranslationView& t : view.translations()) {
    if (!is_guest(t)) continue;
    const VmIndex vm = view.vm_of(t.vcpu);
    const std::uint32_t root = root_of(view, t);
    // Without a valid root the vCPU must load one first, and starts with nothing cached.
    if (root == View::kNoRoot || !view.root(vm, root).valid) continue;
    const bool overwritten = was_overwritten(view, vm, root, t);
    if (!overwritten && (!is_flushed(view, vm) || agrees(view, vm, root, t))) continue;
    return Violation{.subject = t.page,
                     .other = t.pfn.value,
                     .known_upstream = overwritten,
                     .spoils_the_rest = overwritten};
  }
  return std::nullopt;
}

Result assignment_ends_guest_writes(const View& view) {
  if (view.translations().empty()) return std::nullopt;
  for (const FrameChange& change : view.frame_changes()) {
    if (!change.rmp_changed) continue;
    const auto is_wrong = [&](const TranslationView& t) {
      if (!is_guest(t) || !t.writable) return false;
      return any_shared_frame(view, t, change, [&](Pfn pfn, const RmpView& entry) {
        return is_refused(view, t, pfn, entry);
      });
    };
    if (auto wrong = any_translation(view, is_wrong); wrong) return wrong;
  }
  return std::nullopt;
}

Result assignment_ends_host_writes(const View& view) {
  if (view.translations().empty()) return std::nullopt;
  for (const FrameChange& change : view.frame_changes()) {
    if (!change.rmp_changed || !change.rmp_now.assigned) continue;
    const auto is_wrong = [&](const TranslationView& t) {
      if (is_guest(t) || !t.writable) return false;
      return any_shared_frame(view, t, change,
                              [](Pfn, const RmpView& entry) { return entry.assigned; });
    };
    if (auto wrong = any_translation(view, is_wrong); wrong) return wrong;
  }
  return std::nullopt;
}

/// The direct map maps every frame, free ones too.
Result flushed_before_frame_is_free(const View& view) {
  bool any = false;
  for (const FrameChange& change : view.frame_changes()) {
    if (!changed_hands(change)) continue;
    any = true;
    for (const TranslationView& t : view.translations()) {
      if (t.use == TranslationUse::kDirectMap || !covers(t, change.pfn)) continue;
      if (change.now.use != FrameUse::kFree && is_fresh(view, t, change)) continue;
      const bool known = td_keeps_file_page(view, t, change);
      return Violation{.subject = t.page,
                       .other = t.pfn.value,
                       .known_upstream = known,
                       .spoils_the_rest = known};
    }
  }
  return any ? freed_before_flush(view) : std::nullopt;
}

}  // namespace check
}  // namespace sluice::oracle
