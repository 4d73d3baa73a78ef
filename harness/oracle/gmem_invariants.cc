// Invariants G1-G11: what a guest_memfd, its pages and its bindings must look like (invariants.md
// F; kvm.md 1).
#include <algorithm>
#include <array>
#include <bit>

#include "oracle/invariant_list.h"
#include "oracle/requests.h"
#include "oracle/view_helpers.h"

namespace sluice::oracle {
namespace {

constexpr std::uint64_t kWalkLimit =
    1 << 14;  // pages an after-step check walks at most; audits walk all that is resident

std::uint64_t gmem_frames(const View& view) {
  return view.frame_accounting().by_use[static_cast<std::size_t>(FrameUse::kGmem)];
}

/// How often each frame was invalidated in one step. Open addressing over twice the room that the
/// events need, so never full; a step with few events clears few places.
class InvalidationCounts {
 public:
  explicit InvalidationCounts(std::size_t events) : mask_(std::bit_ceil(2 * events) - 1) {
    SLUICE_CHECK(mask_ < places_.size());
    std::fill_n(places_.begin(), mask_ + 1, Place{});
  }
  void add(std::uint64_t pfn) { ++place_of(pfn).count; }
  std::uint64_t of(std::uint64_t pfn) { return place_of(pfn).count; }

 private:
  struct Place {
    std::uint64_t key;  // frame + 1; 0 = free
    std::uint64_t count;
  };
  Place& place_of(std::uint64_t pfn) {
    std::size_t i = pfn & mask_;
    while (places_[i].key != 0 && places_[i].key != pfn + 1) i = (i + 1) & mask_;
    places_[i].key = pfn + 1;
    return places_[i];
  }
  std::size_t mask_;
  std::array<Place, 2 * EventLog::kCapacity> places_;
};

/// Calls judge(GmemIndex) for every guest_memfd until it returns a violation.
template <class Judge>
std::optional<Violation> each_gmem(Judge&& judge) {
  for (std::uint8_t i = 0; i < kMaxGmems; ++i) {
    if (auto wrong = judge(GmemIndex{i}); wrong.has_value()) return wrong;
  }
  return std::nullopt;
}

/// The same for those whose own fields changed in the step.
template <class Judge>
std::optional<Violation> each_changed_gmem(const View& view, Judge&& judge) {
  for (std::uint32_t left = view.changed_gmems(); left != 0; left &= left - 1) {
    const auto index = static_cast<std::uint8_t>(std::countr_zero(left));
    if (auto wrong = judge(GmemIndex{index}); wrong.has_value()) return wrong;
  }
  return std::nullopt;
}

bool is_binding_of(const BindingView& binding, const SlotView& slot) {
  return binding.slot == slot.id && binding.address_space == slot.address_space;
}

/// The slot's own range of its file is bound to it, in one piece as the slot is.
std::optional<Violation> judge_slot(const View& view, const SlotView& slot) {
  if (!slot.gmem.is_gmem() || slot.invalid) return std::nullopt;
  const auto bindings = view.gmem_bindings({slot.gmem.value});
  const bool bound = std::ranges::any_of(bindings, [&slot](const BindingView& binding) {
    return is_binding_of(binding, slot) && binding.first == slot.gmem_page_offset &&
           binding.count == slot.page_count.value;
  });
  return bound ? std::nullopt
               : std::optional(Violation{.subject = slot.gmem_page_offset, .other = slot.id});
}

/// The bindings of an open file: each belongs to a slot that has all its pages, and no page is
/// bound twice.
std::optional<Violation> judge_bindings(const View& view, GmemIndex gmem) {
  const GmemView& file = view.gmem(gmem);
  if (!file.open) return std::nullopt;
  const auto bindings = view.gmem_bindings(gmem);
  const auto slots = view.slots(file.vm);
  for (std::size_t i = 0; i < bindings.size(); ++i) {
    const BindingView& one = bindings[i];
    const auto holds = [&](const SlotView& slot) {
      return is_binding_of(one, slot) && slot.gmem.value == gmem.value &&
             one.first >= slot.gmem_page_offset &&
             one.first + one.count <= slot.gmem_page_offset + slot.page_count.value;
    };
    const auto overlaps = [&one](const BindingView& other) {
      return one.first < other.first + other.count && other.first < one.first + one.count;
    };
    if (std::ranges::none_of(slots, holds) ||
        std::ranges::any_of(bindings.subspan(i + 1), overlaps)) {
      return Violation{.subject = one.first, .other = one.slot};
    }
  }
  return std::nullopt;
}

/// The pages of the folio, as the view says it is now.
FilePages folio_of(const View& view, GmemIndex gmem, std::uint64_t index) {
  const std::uint64_t pages = view.gmem_page(gmem, index).folio_pages;
  const std::uint64_t head = index & ~(pages - 1);
  return {.gmem = gmem, .first = head, .end = head + pages};
}

/// Was somebody to punch the page out of its file in the step?
bool is_in_hole(const View& view, GmemIndex gmem, std::uint64_t index) {
  const auto has_page = [&](const Op& op) {
    const auto hole = hole_of(op);
    return hole && hole->has(gmem, index);
  };
  return has_page(view.step().op) ||
         (ran<GmemPunchHole, GmemAllocate>(view) && any_ran_op(view, has_page));
}

/// What a guest asks to be shared, user space may give away, by its policy: that page. A request
/// that was begun in an earlier step may have found the page by a slot that is gone since.
bool may_be_given_away(const View& view, GmemIndex gmem, std::uint64_t index) {
  if (!ran_guest_request(view) || !reclaims_by_hole(view.header().policy)) return false;
  if (!is_guest_request(view.step().op)) return true;
  if (punches_anywhere(view.header().policy) && index < kPagesPunchedAnywhere) return true;
  const VmIndex vm = view.gmem(gmem).vm;
  return any_slot_now_or_before(view, vm, [&](const SlotView& slot) {
    const std::optional<Gfn> gfn = gfn_of_page(slot, gmem, index);
    return gfn && was_asked_to_convert(view, vm, *gfn, 1);
  });
}

constexpr std::uint64_t kMaxFileBytes = 0x7fff'ffff'ffff'ffff;
constexpr bool is_page_multiple(std::uint64_t bytes) { return bytes % kPageBytes == 0; }

/// G6 of one fallocate(2): nothing is allocated beyond the file, and a hole there is a success and
/// does nothing.
template <class Fallocate>
bool keeps_to_size(const View& view, const Fallocate& op) {
  const Outcome& out = view.outcome();
  const GmemView& file = view.gmem_before(op.gmem);
  const bool sane = op.size.value != 0 && op.size.value <= kMaxFileBytes &&
                    op.offset.value <= kMaxFileBytes - op.size.value &&
                    is_page_multiple(op.offset.value) && is_page_multiple(op.size.value);
  if (out.skipped() || !file.open || !view.ran_alone() || !sane) return true;
  const FilePages pages = file_pages_of(op.gmem, op.offset, op.size);
  const bool changes_nothing = view.gmem_page_changes().empty() && view.leaf_changes().empty();
  const bool has_holes = view.header().policy.convert_reclaim != ConvertReclaim::kUnsupported;
  if (hole_of(op) && !has_holes) return !out.ok() && changes_nothing;
  if (hole_of(op)) return pages.first < file.page_count || (out.ok() && changes_nothing);
  return pages.end <= file.page_count || (!out.ok() && changes_nothing);
}

/// The first page that is still there after its hole was punched, with nobody else about.
std::optional<std::uint64_t> first_left_in_hole(const View& view) {
  const Op* const op =
      view.ran_alone() && view.outcome().ok() ? view.ran_op(acting(view)) : nullptr;
  const auto hole = op == nullptr ? std::nullopt : hole_of(*op);
  if (!hole || !was_undisturbed(view)) return std::nullopt;
  const std::uint64_t end = std::min(hole->end, view.gmem(hole->gmem).page_count);
  for (std::uint64_t i = hole->first; i < end && i - hole->first < kWalkLimit; ++i) {
    if (view.gmem_page(hole->gmem, i).present) return i;
  }
  return std::nullopt;
}

/// Operations that bring no page into a file.
constexpr std::uint64_t kBringsNoPage =
    kOpBit<SetMemoryAttributes> | kOpBit<SetMemoryRegion> | kOpBit<GmemPunchHole> |
    kOpBit<CloseGuestMemfd> | kOpBit<CreateGuestMemfd> | kOpBit<CreateVm> | kOpBit<DestroyVm> |
    kOpBit<CreateVcpu> | kOpBit<LaunchStart> | kOpBit<LaunchFinish> | kOpBit<HostUnmap> |
    kOpBit<HostDontneed> | kOpBit<HostAccess> | kOpBit<DropCaches> | kOpBit<NumaBalancing>;

/// The guest pages for which this operation, of this VM, may bring pages of files; none where
/// nobody says.
std::optional<GfnSpan> may_bring(const Op& op) {
  return std::visit(
      []<class T>(const T& own) -> std::optional<GfnSpan> {
        const auto span = [](std::uint64_t first, std::uint64_t count) {
          const std::uint64_t bare = first & ~(kTdSharedBit >> kPageShift);
          return GfnSpan{{bare}, {bare + count}};
        };
        if constexpr (std::is_same_v<T, GuestAccess> || std::is_same_v<T, RmpQuery>)
          return span(own.gfn.value, 1);
        else if constexpr (std::is_same_v<T, Pvalidate> || std::is_same_v<T, RmpAdjust>)
          return span(own.gfn.value, own.page_size == PageSizeArg::k2M ? kFramesPer2M : 1);
        else if constexpr (std::is_same_v<T, TdAccept>)
          return span(own.gfn.value, frames_in(own.page_size));
        else if constexpr (std::is_same_v<T, LaunchUpdate>)
          return span(own.gfn.value, own.size.value >> kPageShift);
        else if constexpr (std::is_same_v<T, PreFaultMemory>)
          return span(own.gpa.value >> kPageShift, own.size.value >> kPageShift);
        else if constexpr (std::is_same_v<T, TdxInitMemRegion>)
          return span(own.gpa.value >> kPageShift, own.page_count.value);
        else
          return std::nullopt;
      },
      op);
}

/// The pages that can have come with this one as a folio, which the step may have split since.
FilePages largest_folio_of(const View& view, GmemIndex gmem, std::uint64_t index) {
  const GmemOrder order = view.header().policy.gmem_order;
  const MapLevel level = order == GmemOrder::k4K   ? MapLevel::k4K
                         : order == GmemOrder::k2M ? MapLevel::k2M
                                                   : MapLevel::k1G;
  const std::uint64_t head = index & ~(frames_in(level) - 1);
  return {.gmem = gmem, .first = head, .end = head + frames_in(level)};
}

/// Before whatever a vCPU does, it takes the VMSA that an AP creation has named (snp_host.md 8).
bool is_of_vmsa(const View& view, const FilePages& folio) {
  if (acting(view).kind != ActorKind::kVcpu) return false;
  const VmsaView vmsa = view.vmsa(acting_vcpu(view));
  if (!vmsa.named) return vmsa.starts;  // it failed behind the look-up
  const FrameView frame = view.frame(*vmsa.named);
  return frame.use == FrameUse::kGmem && folio.has(frame.gmem, frame.index);
}

/// A page, or the folio that it came with, that the one operation of the step did not ask for.
std::optional<Violation> brought_unasked(const View& view) {
  if (!view.ran_alone() || is_one_of<Resume>(view.step().op)) return std::nullopt;
  const Op& op = view.step().op;
  const auto* const update = std::get_if<LaunchUpdate>(&op);
  const auto asked = may_bring(op);
  const bool brings_none = view.ran_ops() != 0 && (view.ran_ops() & ~kBringsNoPage) == 0;
  if (!asked && !brings_none) return std::nullopt;
  for (const GmemPageChange& change : view.gmem_page_changes()) {
    if (change.before.present || !view.gmem_page(change.gmem, change.index).present) continue;
    const FilePages folio = largest_folio_of(view, change.gmem, change.index);
    if (!brings_none && is_of_vmsa(view, folio)) continue;
    const VmIndex vm = view.gmem(change.gmem).vm;
    const VmIndex of_op = update != nullptr ? update->vm : view.vm_of(acting_vcpu(view));
    const auto shows_it = [&](const SlotView& slot) {
      const std::uint64_t first = std::max(folio.first, slot.gmem_page_offset);
      const std::uint64_t end = std::min(folio.end, slot.gmem_page_offset + slot.page_count.value);
      const Gfn base = slot.base - PageCount{slot.gmem_page_offset};
      return slot.gmem.is_gmem() && slot.gmem.value == change.gmem.value && first < end &&
             asked->overlaps({base + PageCount{first}, base + PageCount{end}});
    };
    if (brings_none || vm != of_op || std::ranges::none_of(view.slots(vm), shows_it))
      return Violation{.subject = change.index, .other = change.gmem.value};
  }
  return std::nullopt;
}

/// Can the page that came into use in the step hold what somebody wrote in it? Of what is encrypted
/// only the place can be told.
bool may_be_written(const View& view, Pfn pfn) {
  const RmpView entry = view.rmp(pfn);
  if (entry.assigned && entry.asid.value != 0) {
    const bool by_guest = any_ran_op(view, [&entry](const Op& op) {
      const auto* const access = std::get_if<GuestAccess>(&op);
      return access != nullptr && access->kind == AccessKind::kWrite &&
             address_of(access->gfn) == entry.gpa;
    });
    if (by_guest) return true;
  }
  if (const auto td = view.sept_of(pfn); td && td->entry.state == SeptState::kMapped) return true;
  return wrote_token(view, view.frame(pfn).content) || is_launched(view, entry) ||
         was_some_guests_meanwhile(view, pfn);
}

}  // namespace

namespace check {

Result binding_matches_slot(const View& view) {
  if (!is_quiescent(view)) return std::nullopt;
  for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) {
    for (const SlotView& slot : view.slots({vm})) {
      if (auto wrong = judge_slot(view, slot); wrong.has_value()) return wrong;
    }
  }
  return each_gmem([&view](GmemIndex gmem) { return judge_bindings(view, gmem); });
}

Result resident_pages_add_up(const View& view) {
  // An allocation brings what it was asked for, and the rest of a large folio.
  if (const auto* const op = std::get_if<GmemAllocate>(&view.step().op); op && view.ran_alone()) {
    const FilePages asked = file_pages_of(op->gmem, op->offset, op->size);
    for (const GmemPageChange& change : view.gmem_page_changes()) {
      const GmemPageView page = view.gmem_page(change.gmem, change.index);
      const FilePages folio = folio_of(view, change.gmem, change.index);
      const bool is_asked_for =
          change.gmem == op->gmem && folio.first < asked.end && asked.first < folio.end;
      if (!change.before.present && page.present && !is_asked_for)
        return Violation{.subject = change.index, .other = change.gmem.value};
    }
  }
  if (auto wrong = brought_unasked(view)) return wrong;
  if (!is_quiescent(view))
    return std::nullopt;  // a folio dropped from the cache may still be held by a fault
  std::uint64_t resident = 0;
  for (std::uint8_t i = 0; i < kMaxGmems; ++i) resident += view.gmem({i}).resident_pages;
  return resident == gmem_frames(view) ? Result{}
                                       : Violation{.subject = resident, .other = gmem_frames(view)};
}

Result page_cache_reference_only(const View& view) {
  if (!is_quiescent(view)) return std::nullopt;
  for (const GmemPageChange& change : view.gmem_page_changes()) {
    const GmemPageView page = view.gmem_page(change.gmem, change.index);
    if (page.present && page.references != 1)
      return Violation{.subject = change.index, .other = page.references};
  }
  return std::nullopt;
}

Result vm_users_add_up(const View& view) {
  // A destroy_vm in flight has closed the descriptor and waits for calls that still hold the VM.
  if (!is_quiescent(view)) return std::nullopt;
  for (std::uint8_t vm = 0; vm < kMaxVms; ++vm) {
    const VmView& seen = view.vm({vm});
    std::uint32_t users = seen.vcpu_count + (seen.open ? 1 : 0);
    for (std::uint8_t i = 0; i < kMaxGmems; ++i) {
      const GmemView& file = view.gmem({i});
      users += file.open && file.vm.value == vm ? 1 : 0;
    }
    if (seen.users != users || seen.exists != (users > 0))
      return Violation{.subject = vm, .other = seen.users};
  }
  return std::nullopt;
}

Result frame_has_one_index(const View& view) {
  for (const GmemPageChange& change : view.gmem_page_changes()) {
    const GmemPageView page = view.gmem_page(change.gmem, change.index);
    if (!page.present) continue;
    const FrameView frame = view.frame(page.pfn);
    if (frame.use != FrameUse::kGmem || frame.gmem != change.gmem || frame.index != change.index)
      return Violation{.subject = page.pfn.value, .other = change.index};
  }
  if (!is_quiescent(view)) return std::nullopt;
  for (const FrameChange& change : view.frame_changes()) {
    if (change.now.use != FrameUse::kGmem) continue;
    const GmemPageView page = view.gmem_page(change.now.gmem, change.now.index);
    if (!page.present || page.pfn != change.pfn)
      return Violation{.subject = change.pfn.value, .other = change.now.index};
  }
  return std::nullopt;
}

Result size_is_fixed(const View& view) {
  const auto* const create = finished<CreateGuestMemfd>(view);
  for (const GmemPageChange& change : view.gmem_page_changes()) {
    const GmemPageView page = view.gmem_page(change.gmem, change.index);
    if (page.present && change.index >= view.gmem(change.gmem).page_count)
      return Violation{.subject = change.index};
  }
  if (const auto* const op = finished<GmemAllocate>(view); op && !keeps_to_size(view, *op))
    return Violation{.subject = op->offset.value, .other = op->size.value};
  if (const auto* const op = finished<GmemPunchHole>(view); op && !keeps_to_size(view, *op))
    return Violation{.subject = op->offset.value, .other = op->size.value};
  return each_changed_gmem(view, [&](GmemIndex gmem) -> Result {
    const GmemView &before = view.gmem_before(gmem), &now = view.gmem(gmem);
    const bool created_here = create != nullptr && create->gmem == gmem;
    const bool changed = before.open && now.open &&
                         (before.page_count != now.page_count || before.flags != now.flags);
    return changed && !created_here ? Violation{.subject = gmem.value, .other = now.page_count}
                                    : Result{};
  });
}

Result fresh_page_is_zero(const View& view) {
  if (view.host().dead) return std::nullopt;  // perhaps of zeroing it
  if (auto left = first_left_in_hole(view)) return Violation{.subject = *left};
  for (const GmemPageChange& change : view.gmem_page_changes()) {
    const GmemPageView page = view.gmem_page(change.gmem, change.index);
    const bool was_in_use =
        change.before.present && change.before.uptodate && change.before.pfn == page.pfn;
    const bool fresh = page.present && !was_in_use && page.uptodate;
    if (!fresh) continue;
    // A large folio that comes into use after it came is named by the head of each 512 pages alone.
    const bool is_head = page.folio_pages > 1 && change.index % kFramesPer2M == 0;
    const std::uint64_t frames = change.before.present && is_head ? kFramesPer2M : 1;
    for (std::uint64_t i = 0; i < frames; ++i) {
      const Pfn pfn = page.pfn + PageCount{i};
      const std::uint64_t content = view.frame(pfn).content;
      if (content != 0 && !may_be_written(view, pfn))
        return Violation{.subject = change.index + i, .other = content};
    }
  }
  return std::nullopt;
}

Result allocation_is_whole_or_prefix(const View& view) {
  const auto* const op = finished<GmemAllocate>(view);
  if (op == nullptr || view.outcome().skipped()) return std::nullopt;
  constexpr std::uint32_t kAllocateMode = 1;
  if (op->mode.value != kAllocateMode) return std::nullopt;
  const std::uint64_t first = op->offset.value >> kPageShift, count = op->size.value >> kPageShift;
  if (!was_undisturbed(view)) return std::nullopt;  // a hole may be punched into it meanwhile
  if (view.outcome().ok()) {
    if (!is_quiescent(view)) return std::nullopt;
    for (std::uint64_t i = 0; i < std::min(count, kWalkLimit); ++i) {
      if (!view.gmem_page(op->gmem, first + i).present) return Violation{.subject = first + i};
    }
    return std::nullopt;
  }
  if (!view.ran_alone() || is_one_of<Resume>(view.step().op)) return std::nullopt;
  // The folio that has the first page came whole.
  std::uint64_t prefix = 0;
  while (prefix < std::min(count, kWalkLimit) && view.gmem_page(op->gmem, first + prefix).present)
    ++prefix;
  const FilePages kept{.gmem = op->gmem, .first = first, .end = first + prefix};
  for (const GmemPageChange& change : view.gmem_page_changes()) {
    if (change.before.present) continue;
    if (prefix == 0 || !folio_of(view, change.gmem, change.index).meets(kept))
      return Violation{.subject = change.index};
  }
  return std::nullopt;
}

Result pages_outlive_slots(const View& view) {
  for (const GmemPageChange& change : view.gmem_page_changes()) {
    if (!change.before.present || !view.gmem(change.gmem).open ||
        view.gmem_page(change.gmem, change.index).present)
      continue;
    if (!is_in_hole(view, change.gmem, change.index) &&
        !may_be_given_away(view, change.gmem, change.index))
      return Violation{.subject = change.index, .other = change.gmem.value};
  }
  return each_gmem([&](GmemIndex gmem) -> Result {
    const GmemView& file = view.gmem(gmem);
    return !file.open && file.resident_pages != 0 && is_quiescent(view)
               ? Violation{.subject = gmem.value, .other = file.resident_pages}
               : Result{};
  });
}

Result freed_once_invalidated(const View& view) {
  const auto events = view.events().events();
  const auto is_freed = [](const Event& e) { return e.kind == EventKind::kFrameFreed; };
  const bool any =
      view.events().has(EventKind::kFrameFreed) || view.events().has(EventKind::kArchInvalidate);
  if (!any) return std::nullopt;
  InvalidationCounts counts(events.size());
  InvalidationCounts frees(events.size());  // the end of a sequence may free one frame twice
  for (const Event& e : events) {
    if (e.kind == EventKind::kArchInvalidate) counts.add(e.a);
    if (is_freed(e)) frees.add(e.a);
  }
  // Other frames, which no file had, are freed without it.
  const auto was_in_page_cache = [&view](std::uint64_t pfn) {
    return std::ranges::any_of(view.gmem_page_changes(), [pfn](const GmemPageChange& change) {
      return change.before.present && change.before.pfn.value == pfn;
    });
  };
  for (const Event& e : events) {
    if (!is_freed(e) && e.kind != EventKind::kArchInvalidate) continue;
    const std::uint64_t count = counts.of(e.a), freed = frees.of(e.a);
    if (count == 1 && freed == 1) continue;
    const bool never = count == 0 && was_in_page_cache(e.a);
    if (count > freed || never) return Violation{.subject = e.a, .other = count};
  }
  return std::nullopt;
}

Result conversion_keeps_contents(const View& view) {
  if (view.ran_ops() != kOpBit<SetMemoryAttributes>) return std::nullopt;
  // A TD loses what its zapped pages held (tdx.md 3).
  const auto is_of_td = [&view](GmemIndex gmem) {
    return view.vm(view.gmem(gmem).vm).type == VmType::kTdx;
  };
  const bool in_place = view.header().policy.backing == Backing::kFdInPlace;
  for (const FrameChange& change : view.frame_changes()) {
    if (in_place && change.now.leaked) continue;  // it could not be taken back from the guest
    if (change.before.use == FrameUse::kGmem && change.before != change.now &&
        !is_of_td(change.before.gmem))
      return Violation{.subject = change.pfn.value};
  }
  for (const GmemPageChange& change : view.gmem_page_changes()) {
    GmemPageView before = change.before;
    const GmemPageView now = view.gmem_page(change.gmem, change.index);
    if (in_place) before.user_mapped = now.user_mapped;  // what becomes private is unmapped
    if (before != now) return Violation{.subject = change.index};
  }
  return std::nullopt;
}

Result audit_gmem_pages(const View& view, AuditScratch&) {
  if (!is_quiescent(view)) return std::nullopt;
  if (const Result sum = resident_pages_add_up(view); sum.has_value()) return sum;
  for (const Pfn pfn : view.occupied_frames()) {
    const FrameView frame = view.frame(pfn);
    if (frame.use != FrameUse::kGmem) continue;
    const GmemPageView page = view.gmem_page(frame.gmem, frame.index);
    if (!page.present || page.pfn != pfn || page.references != 1)
      return Violation{.subject = pfn.value, .other = frame.index};
  }
  return std::nullopt;
}

}  // namespace check
}  // namespace sluice::oracle
