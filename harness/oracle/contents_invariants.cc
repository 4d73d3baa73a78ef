// Invariants C1-C6: what pages hold, and who may read it (invariants.md J; rmp.md 5, kvm.md 1.5).
#include <algorithm>

#include "oracle/contents.h"
#include "oracle/invariant_list.h"
#include "oracle/view_helpers.h"

namespace sluice::oracle {
namespace {

constexpr std::size_t kWalkLimit = 1 << 12;  // changed file pages that one look-up goes through

bool is_read(AccessKind kind) { return kind != AccessKind::kWrite; }

bool is_same_owner(const FrameView& one, const FrameView& other) {
  return one.use == other.use && one.gmem == other.gmem && one.index == other.index;
}

bool is_guests(const RmpView& entry) { return entry.assigned && entry.asid.value != 0; }

/// A slot shows this page of a file at a GFN that is private.
bool is_shown_as_private(const View& view, VmIndex vm, const FrameView& frame) {
  return any_slot_now_or_before(view, vm, [&](const SlotView& slot) {
    const auto gfn = gfn_of_page(slot, frame.gmem, frame.index);
    return gfn && view.is_private(vm, *gfn);
  });
}

/// The TD that had the frame before the step.
std::optional<VmIndex> td_of(const View& view, Pfn pfn) {
  bool came = false;
  for (const SeptChange& entry : view.sept_changes()) {
    if (!entry.before.is_free() && entry.before.pfn == pfn) return entry.vm;
    came = came || (!entry.now.is_free() && entry.now.pfn == pfn);
  }
  if (came) return std::nullopt;
  const auto now = view.sept_of(pfn);
  return now ? std::optional(now->vm) : std::nullopt;
}

/// The VM whose private memory the frame was before the step, and is still: by its entry, or, where
/// no RMP says so, as a page of a file of a VM with private memory.
std::optional<VmIndex> private_owner(const View& view, const FrameChange& change) {
  if (is_guests(change.rmp_before)) {
    if (!is_guests(change.rmp_now)) return std::nullopt;
    for (std::uint8_t i = 0; i < kMaxVms; ++i) {
      const VmView& vm = view.vm({i});
      if (vm.exists && vm.asid == change.rmp_before.asid) return VmIndex{i};
    }
    return std::nullopt;
  }
  if (change.now.use == FrameUse::kHostUser && is_pinned_backing(view))
    return td_of(view, change.pfn);
  // Raw host stores may write what only software protects.
  if (change.now.use != FrameUse::kGmem || view.header().scope == Scope::kMachine)
    return std::nullopt;
  const VmIndex vm = view.gmem(change.now.gmem).vm;
  const VmType type = view.vm(vm).type;
  const bool may_be_shared = view.header().policy.backing == Backing::kFdInPlace;
  // Where the same page was shared before, it is the TD's from the entry on, as with the RMP.
  if (may_be_shared && type == VmType::kTdx) return td_of(view, change.pfn);
  if (may_be_shared && !is_shown_as_private(view, vm, change.now)) return std::nullopt;
  return has_private_memory(type) && type != VmType::kSnp ? std::optional(vm) : std::nullopt;
}

/// A thread of the VMM deleted a slot in the step; another one may have made it anew since.
bool deletes_slot(const View& view, VmIndex vm) {
  for (std::uint8_t i = 0; i < kMaxVmmThreads; ++i) {
    const Op* const op = view.ran_op({.kind = ActorKind::kVmm, .index = i});
    const auto* const region = op == nullptr ? nullptr : std::get_if<SetMemoryRegion>(op);
    if (region != nullptr && region->vm == vm && region->size.value == 0) return true;
  }
  return false;
}

/// A slot of the VM went, moved, or is about to.
bool slot_goes(const View& view, VmIndex vm) {
  if (deletes_slot(view, vm)) return true;
  const auto slots = view.slots(vm);
  if (std::ranges::any_of(slots, &SlotView::invalid)) return true;
  return std::ranges::any_of(view.slots_before(vm), [&](const SlotView& old) {
    return old.invalid || std::ranges::none_of(slots, [&old](const SlotView& now) {
             return now.id == old.id && now.base == old.base;
           });
  });
}

/// Operations in which a TD may lose pages (tdx.md 3): what a page is to become shared by, where it
/// leaves its file or its slot, and the TD's end.
bool may_lose_td_pages(const View& view, VmIndex vm) {
  return conversion_ran(view) ||
         ran<GmemPunchHole, GmemAllocate, CloseGuestMemfd, DestroyVm, GmemMemoryFailure>(view) ||
         (ran<SetMemoryRegion>(view) && slot_goes(view, vm));
}

/// A change of a TD's entry that accounts for what became of its frame's contents: its page came by
/// PAGE.ADD or ACCEPT, or went where it may.
bool is_by_entry(const View& view, const FrameChange& change) {
  // It may have gone and come again in the step, as it was.
  const EventLog& log = view.events();
  const auto removes = [&](const Event& event) {
    return event.kind == EventKind::kSeptRemove && event.b == change.pfn.value &&
           may_lose_td_pages(view, {event.vm});
  };
  if (log.lacks(EventKind::kSeptRemove) || std::ranges::any_of(log.events(), removes)) return true;
  return std::ranges::any_of(view.sept_changes(), [&](const SeptChange& entry) {
    const bool had = !entry.before.is_free() && entry.before.pfn == change.pfn;
    const bool has = entry.now.state == SeptState::kMapped && entry.now.pfn == change.pfn;
    const bool went = had && !has;
    return went ? may_lose_td_pages(view, entry.vm)
                : has && entry.before.state != SeptState::kMapped;
  });
}

/// The page of a file holds something: it was in use before the step.
bool was_in_use(const View& view, const FrameView& frame) {
  if (frame.use != FrameUse::kGmem) return true;
  const auto changes = view.gmem_page_changes();
  if (changes.size() > kWalkLimit) return false;
  const auto change = std::ranges::find_if(changes, [&frame](const GmemPageChange& page) {
    return page.gmem == frame.gmem && page.index == frame.index;
  });
  return change != changes.end() ? change->before.uptodate
                                 : view.gmem_page(frame.gmem, frame.index).uptodate;
}

/// The write that a vCPU ran in the step, if it ran one.
const GuestAccess* write_of(const View& view, std::uint8_t vcpu) {
  if (!ran<GuestAccess>(view)) return nullptr;
  const Op* const op = view.ran_op({.kind = ActorKind::kVcpu, .index = vcpu});
  const auto* const access = op == nullptr ? nullptr : std::get_if<GuestAccess>(op);
  return access != nullptr && access->kind == AccessKind::kWrite ? access : nullptr;
}

/// Does a slot of the VM show this page of a file at the GFN, before the step or now?
bool is_shown_at(const View& view, VmIndex vm, const FrameView& frame, Gfn gfn) {
  return any_slot_now_or_before(view, vm, [&](const SlotView& slot) {
    return gfn_of_page(slot, frame.gmem, frame.index) == gfn;
  });
}

/// The vCPU still reaches the frame at the GFN by what it has cached. Whether it may, T1 and T4
/// say.
bool has_cached(const View& view, VcpuIndex vcpu, Gfn gfn, Pfn pfn) {
  return std::ranges::any_of(view.translations(), [&](const TranslationView& t) {
    const std::uint64_t offset = gfn.value - t.page;
    return t.use == TranslationUse::kGuest && t.vcpu == vcpu && offset < frames_in(t.level) &&
           t.pfn.value + offset == pfn.value;
  });
}

/// Did a vCPU of the VM write to this page in the step?
bool owner_wrote(const View& view, VmIndex vm, const FrameChange& change) {
  const RmpView& entry = change.rmp_now;
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    const GuestAccess* const write = write_of(view, i);
    if (write == nullptr || view.vm_of({i}) != vm) continue;
    const Gfn gfn{write->gfn.value & ~(kTdSharedBit >> kPageShift)};
    const bool reached = is_guests(entry) ? entry.gpa == address_of(write->gfn)
                                          : is_shown_at(view, vm, change.now, gfn) ||
                                                has_cached(view, {i}, gfn, change.pfn);
    if (reached) return true;
  }
  return false;
}

/// The kernel wrote what a slot shows as shared: a mappable file serves both halves of a TD, and a
/// page without an entry holds nothing of it yet. Or what a slot showed when it was found: the slot
/// may have gone since, while nothing shows the page as private.
bool kernel_wrote(const View& view, VmIndex vm, const FrameChange& change) {
  const bool is_td = view.vm(vm).type == VmType::kTdx;
  if (is_td && td_of(view, change.pfn)) return false;
  const bool stood_inside = !is_one_of<KernelWrite>(view.step().op);
  const bool hidden =
      is_guests(change.rmp_now) || (!is_td && is_shown_as_private(view, vm, change.now));
  return any_ran_op(view, [&](const Op& op) {
    const auto* const write = std::get_if<KernelWrite>(&op);
    if (write == nullptr || write->vm != vm || write->value.value != change.now.content)
      return false;
    const bool is_shown = is_shown_at(view, vm, change.now, write->gfn) &&
                          (is_td || !view.is_private(vm, write->gfn));
    return is_shown || (stood_inside && !hidden);
  });
}

bool is_being_launched(const View& view, VmIndex vm) {
  return ran<LaunchUpdate, LaunchFinish>(view) && !view.vm_before(vm).launched;
}

/// The step's read or fetch by a guest, if it is done and nobody else ran.
const GuestAccess* read_alone(const View& view) {
  const auto* const op = finished<GuestAccess>(view);
  const bool done = op != nullptr && view.outcome().ok() && is_read(op->kind);
  return done && view.ran_alone() ? op : nullptr;
}

/// The slot behind a shared GFN; null if there is none that user space can look into.
const SlotView* shared_slot(const View& view, VmIndex vm, std::uint32_t root, Gfn gfn) {
  if (root == View::kNoRoot || view.is_private(vm, gfn)) return nullptr;
  const std::uint8_t space = view.root(vm, root).address_space;
  const auto slots = view.slots(vm);
  const auto slot = std::ranges::find_if(slots, [&](const SlotView& s) {
    return s.address_space == space && span_of(s).contains(gfn);
  });
  const bool is_seen = slot != slots.end() && (slot->gmem_only || !slot->hva.raw);
  return is_seen ? &*slot : nullptr;
}

/// The frame that user space has at a page of the slot: in its region, or in the file where that
/// serves shared faults.
std::optional<Pfn> user_frame(const View& view, const SlotView& slot, std::uint64_t page) {
  if (!slot.gmem_only) return view.host_page((slot.hva.value >> kPageShift) + page);
  if (!slot.gmem.is_gmem()) return std::nullopt;
  const GmemPageView found = view.gmem_page({slot.gmem.value}, slot.gmem_page_offset + page);
  return found.present ? std::optional(found.pfn) : std::nullopt;
}

/// Where user space's access goes: a page of the host region, or of a file. None where nobody says.
std::optional<Pfn> frame_of_user_access(const View& view) {
  const Op& op = view.step().op;
  if (const auto* const host = std::get_if<HostAccess>(&op))
    return host->hva.raw ? std::nullopt : view.host_page(host->hva.value >> kPageShift);
  const auto* const file = std::get_if<GmemAccess>(&op);
  if (file == nullptr) return std::nullopt;
  const GmemPageView page = view.gmem_page(file->gmem, file->offset.value >> kPageShift);
  return page.present ? std::optional(page.pfn) : std::nullopt;
}

/// What user space has read or written is what memory has there.
std::optional<Violation> judge_user_access(const View& view) {
  const auto user = user_access_of(view.step().op);
  if (!user || !view.outcome().ok() || !view.ran_alone()) return std::nullopt;
  const auto frame = frame_of_user_access(view);
  const std::uint64_t content = frame ? view.frame(*frame).content : 0;
  const std::uint64_t seen = user->writes() ? user->token : view.outcome().value;
  return frame && content != seen ? std::optional(Violation{.subject = frame->value, .other = seen})
                                  : std::nullopt;
}

}  // namespace

namespace check {

Result private_page_is_its_owners(const View& view) {
  for (const FrameChange& change : view.frame_changes()) {
    const bool same = change.before.content == change.now.content;
    if (same || !is_same_owner(change.before, change.now)) continue;
    const auto owner = private_owner(view, change);
    if (!owner || !was_in_use(view, change.now)) continue;
    const bool allowed = owner_wrote(view, *owner, change) || kernel_wrote(view, *owner, change) ||
                         is_being_launched(view, *owner);
    if (!allowed && !was_freed(view, change.pfn) && !is_by_entry(view, change))
      return Violation{.subject = change.pfn.value, .other = change.now.content};
  }
  return std::nullopt;
}

Result next_owner_finds_zeros(const View& view) {
  if (view.host().dead) return std::nullopt;  // died where it would have zeroed
  for (const FrameChange& change : view.frame_changes()) {
    const bool is_new =
        change.now.use == FrameUse::kHostUser && !is_same_owner(change.before, change.now);
    if (!is_new) continue;
    const bool remains = change.now.content != 0 && change.now.content == change.before.content;
    if (remains && !wrote_token(view, change.now.content))
      return Violation{.subject = change.pfn.value, .other = change.now.content};
  }
  return std::nullopt;
}

Result host_reads_no_private_token(const View& view, const ContentBooks& books) {
  const auto user = user_access_of(view.step().op);
  const Outcome& out = view.outcome();
  if (!user || user->writes() || !out.ok() || !out.has_value) return std::nullopt;
  return books.tokens.is_private(out.value) ? Violation{.subject = out.value} : Result{};
}

Result loss_is_loud(const View& view, const ContentBooks& books) {
  const GuestAccess* const op = books.lost.empty() ? nullptr : read_alone(view);
  if (op == nullptr) return std::nullopt;
  const auto asid = key_of(view, acting_vcpu(view), *op);
  return asid && books.lost.is_lost(*asid, op->gfn) ? Violation{.subject = op->gfn.value}
                                                    : Result{};
}

Result guest_reads_what_it_wrote(const View& view, const ContentBooks& books) {
  const GuestAccess* const op = books.written.empty() ? nullptr : read_alone(view);
  if (op == nullptr || !view.outcome().has_value) return std::nullopt;
  const auto asid = key_of(view, acting_vcpu(view), *op);
  const auto token = asid ? books.written.token_of(*asid, op->gfn) : std::nullopt;
  return token && *token != view.outcome().value
             ? Violation{.subject = op->gfn.value, .other = view.outcome().value}
             : Result{};
}

Result shared_page_is_one(const View& view) {
  if (auto wrong = judge_user_access(view)) return wrong;
  const auto* const op = finished<GuestAccess>(view);
  // Whom it held up may have converted the page as soon as it was over.
  if (op == nullptr || !view.outcome().ok() || !is_quiescent(view) || !view.ran_alone())
    return std::nullopt;
  const VcpuIndex vcpu = acting_vcpu(view);
  const VmIndex vm = view.vm_of(vcpu);
  const std::uint32_t root = view.current_root(vcpu);
  const SlotView* const slot = shared_slot(view, vm, root, op->gfn);
  if (slot == nullptr || key_of(view, vcpu, *op).has_value()) return std::nullopt;
  const std::optional<Pfn> frame = user_frame(view, *slot, (op->gfn - slot->base).value);
  const std::uint64_t guests = is_read(op->kind) ? view.outcome().value : op->value.value;
  if (frame && view.frame(*frame).content == guests) return std::nullopt;
  // docs/findings.md 5: a TD's shared half goes on mapping what has left its file.
  const bool is_left = !frame || view.leaf(vm, root, op->gfn).pfn != *frame;
  const bool known = view.vm(vm).type == VmType::kTdx && slot->gmem_only && is_left;
  return Violation{
      .subject = op->gfn.value, .other = guests, .known_upstream = known, .spoils_the_rest = known};
}

}  // namespace check
}  // namespace sluice::oracle
