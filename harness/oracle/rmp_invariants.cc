// Invariants R1-R11: what the reverse map must look like, whoever wrote it (invariants.md A; rmp.md
// 3, 4).
#include <algorithm>
#include <tuple>
#include <type_traits>

#include "oracle/acceptance.h"
#include "oracle/invariant_list.h"
#include "oracle/view_helpers.h"

namespace sluice::oracle {
namespace {

constexpr std::uint8_t kAllRights = 0x1f;

/// Calls judge(before, now) or judge(before, now, pfn) for every frame whose RMP entry the step
/// changed, until one is wrong: what it did not change was judged when it was.
template <class Judge>
std::optional<Violation> each_change(const View& view, Judge&& judge) {
  for (const FrameChange& change : view.frame_changes()) {
    if (!change.rmp_changed) continue;
    bool holds = false;
    if constexpr (std::is_invocable_v<Judge, const RmpView&, const RmpView&, Pfn>) {
      holds = judge(change.rmp_before, change.rmp_now, change.pfn);
    } else {
      holds = judge(change.rmp_before, change.rmp_now);
    }
    if (!holds) return Violation{.subject = change.pfn.value};
  }
  return std::nullopt;
}

bool is_large(const RmpView& entry) { return entry.assigned && entry.page_size == PageSize::k2M; }
bool was_smashed(const RmpView& before, const RmpView& now) {
  return is_large(before) && !is_large(now);
}
bool owner_changed(const RmpView& before, const RmpView& now) {
  return before.assigned != now.assigned || before.asid != now.asid || before.gpa != now.gpa ||
         (!is_large(before) && is_large(now));
}

/// Another VMPL than 0 has got rights that no RMPADJUST for it gave, or more than its caller had.
bool gains_rights_unasked(const View& view, const RmpView& before, const RmpView& now) {
  const Gfn gfn{now.gpa.value >> kPageShift};
  for (std::uint8_t vmpl = 1; vmpl < kVmplCount; ++vmpl) {
    const unsigned gained = now.vmpl_mask[vmpl] & ~unsigned{before.vmpl_mask[vmpl]};
    const auto gives = [&](VcpuIndex vcpu, const RmpAdjust& adjust) {
      const std::uint64_t pages = adjust.page_size == PageSizeArg::k2M ? kFramesPer2M : 1;
      const bool is_its_page = view.vm(view.vm_of(vcpu)).asid == now.asid &&
                               gfn.align_down(pages) == adjust.gfn.align_down(pages);
      if (!is_its_page || adjust.target_vmpl.value != vmpl ||
          (gained & ~unsigned{adjust.mask.value}) != 0)
        return false;
      const bool has_them = adjust.vmpl.value < kVmplCount &&
                            (gained & ~unsigned{before.vmpl_mask[adjust.vmpl.value]}) == 0;
      return has_them || !view.ran_alone();  // the caller may have got them in the step
    };
    if (gained != 0 && !any_vcpu_op<RmpAdjust>(view, gives)) return true;
  }
  return false;
}

}  // namespace

namespace check {

Result nothing_to_see(const View&) { return std::nullopt; }

Result validated_implies_assigned(const View& view) {
  return each_change(view, [](const RmpView&, const RmpView& now) {
    return !now.validated || (now.assigned && now.asid.value != 0);
  });
}

Result unassigned_is_blank(const View& view) {
  return each_change(view, [](const RmpView& before, const RmpView& now) {
    const bool fixed =
        before.immutable && !before.assigned;  // HV-Fixed pages stay so until shutdown
    return now.assigned ||
           (!now.validated && !now.vmsa && now.asid.value == 0 && (!now.immutable || fixed));
  });
}

Result immutable_unchanged(const View& view) {
  const bool firmware = firmware_ran(view);
  return each_change(view, [&view, firmware](const RmpView& before, RmpView now, Pfn pfn) {
    now.in_use = before.in_use;  // a mark of the processor, no part of the entry
    if (!before.immutable || before == now) return true;
    // Firmware lets go of such a page, which stays where it is until RMPUPDATE takes it back; in
    // the same step somebody else may get it.
    const bool same_place = before.asid == now.asid && before.gpa == now.gpa;
    return firmware &&
           (!now.assigned || same_place || any_event_covers(view, EventKind::kFrameAllocated, pfn));
  });
}

Result validated_by_guest_or_firmware(const View& view) {
  return each_change(view, [&view](const RmpView& before, const RmpView& now) {
    return before.validated || !now.validated || ran_pvalidate(view, now, true) ||
           is_launched(view, now);
  });
}

Result change_clears_validated(const View& view) {
  // An entry of 2 MiB becomes small by PSMASH, or by RMPUPDATE, which is a change of size.
  const auto was_shrunk = [&view](const RmpView& before, const RmpView& now, Pfn pfn) {
    const Pfn head = pfn.align_down(kFramesPer2M);
    const EventLog& log = view.events();
    return was_smashed(before, now) && !log.lacks(EventKind::kPsmash) &&
           any_event_covers(view, EventKind::kRmpUpdate, pfn) && !ran<Psmash>(view) &&
           std::ranges::none_of(log.events(), [head](const Event& e) {
             return e.kind == EventKind::kPsmash && e.a == head.value;
           });
  };
  return each_change(view, [&](const RmpView& before, const RmpView& now, Pfn pfn) {
    if (!owner_changed(before, now) && !was_shrunk(before, now, pfn)) return true;
    const bool masks_empty =
        now.vmpl_mask[1] == 0 && now.vmpl_mask[2] == 0 && now.vmpl_mask[3] == 0;
    return ((!now.validated || ran_pvalidate(view, now, true)) &&
            (masks_empty || ran_rmpadjust(view, now))) ||
           is_launched(view, now);
  });
}

Result large_entry_is_whole(const View& view) {
  Pfn last_head{~std::uint64_t{0}};
  RmpView large{};
  for (const FrameChange& change : view.frame_changes()) {
    const Pfn head = change.pfn.align_down(kFramesPer2M);
    const bool is_head = change.pfn == head;
    const bool heads = is_large(change.rmp_now) && change.rmp_now.is_head;
    if (heads && !is_head) return Violation{.subject = change.pfn.value};
    if (head != last_head) large = view.rmp(head);  // changes of one block mostly come in a row
    last_head = head;
    if (!is_large(large)) continue;
    if (large.gpa.value % kBytesPer2M != 0) return Violation{.subject = head.value};
    for (std::uint64_t i = 1; is_head && i < kFramesPer2M; ++i) {
      const RmpView inner = view.rmp(head + PageCount{i});
      if (!inner.assigned || inner.is_head) return Violation{.subject = head.value, .other = i};
    }
    if (!is_head && change.rmp_now.is_head) return Violation{.subject = change.pfn.value};
  }
  return std::nullopt;
}

Result smash_preserves(const View& view) {
  // A step that several actors share may split an entry and then assign its parts anew.
  const auto was_updated = [&view](Pfn pfn) {
    return any_event_covers(view, EventKind::kRmpUpdate, pfn);
  };
  return each_change(view, [&](const RmpView& before, const RmpView& now, Pfn pfn) {
    if (!was_smashed(before, now)) return true;
    const bool same_owner = now.assigned && before.asid == now.asid && before.gpa == now.gpa &&
                            before.immutable == now.immutable;
    const bool same_rights = before.vmpl_mask == now.vmpl_mask && before.vmsa == now.vmsa;
    // Most entries that are smashed are so for an instruction of the guest's, on one of the pieces.
    const bool preserved =
        same_owner &&
        (before.validated == now.validated || ran_pvalidate(view, now, now.validated)) &&
        (same_rights || ran_rmpadjust(view, now));
    return preserved || was_updated(pfn);
  });
}

Result one_owner(const View& view) {
  const FrameAccounting books = view.frame_accounting();
  std::uint64_t sum = 0;
  for (const std::uint64_t n : books.by_use) sum += n;
  return sum == books.total ? Result{} : Violation{.subject = sum, .other = books.total};
}

Result masks_follow_caller(const View& view) {
  const auto* const adjust = finished<RmpAdjust>(view);
  const bool set_mask = adjust != nullptr && view.outcome().ok() && view.ran_alone() &&
                        adjust->target_vmpl.value < kVmplCount && adjust->vmpl.value < kVmplCount;
  return each_change(view, [&](const RmpView& before, const RmpView& now) {
    if (!now.assigned) return true;
    const bool same_page = before.assigned && before.asid == now.asid && before.gpa == now.gpa;
    if (same_page && gains_rights_unasked(view, before, now)) return false;
    if (set_mask &&
        (now.vmpl_mask[adjust->target_vmpl.value] & ~before.vmpl_mask[adjust->vmpl.value]) != 0) {
      return now.vmpl_mask == before.vmpl_mask;  // a frame beside the adjusted one
    }
    return now.vmpl_mask[0] == kAllRights || !now.is_head || now.asid.value == 0;
  });
}

Result in_use_not_aligned(const View& view) {
  // docs/findings.md 4: of a VMSA that the guest has made, KVM looks at the GPA only.
  const auto judge = [](Pfn pfn, FrameUse use, const RmpView& entry) -> Result {
    if (!pfn.is_aligned(kFramesPer2M) || (use != FrameUse::kVmsa && !entry.in_use)) return {};
    const bool known = use != FrameUse::kVmsa && entry.gpa.value % kBytesPer2M != 0;
    return Violation{.subject = pfn.value, .known_upstream = known};
  };
  for (const FrameChange& change : view.frame_changes()) {
    if (auto wrong = judge(change.pfn, change.now.use, change.rmp_now)) return wrong;
  }
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    const auto held = view.vmsa({i}).held;
    if (!held) continue;
    if (auto wrong = judge(*held, view.frame(*held).use, view.rmp(*held))) return wrong;
  }
  return std::nullopt;
}

Result audit_rmp(const View& view, AuditScratch&) {
  for (const Pfn pfn : view.occupied_frames()) {
    const RmpView now = view.rmp(pfn);
    const bool blank = !now.validated && !now.vmsa && now.asid.value == 0;
    const bool ok = now.assigned ? (!now.validated || now.asid.value != 0) : blank;
    if (!ok) return Violation{.subject = pfn.value};
  }
  return std::nullopt;
}

Result audit_validated_gpa_is_unique(const View& view, AuditScratch& scratch) {
  auto& pages = scratch.validated;
  pages.clear();
  for (const Pfn pfn : view.occupied_frames()) {
    const RmpView entry = view.rmp(pfn);
    if (!entry.validated || entry.vmsa || !entry.is_head) continue;
    if (scratch.acceptance != nullptr && !scratch.acceptance->holds(entry.asid)) continue;
    const Gpa end{entry.gpa.value + frames_in(entry.page_size) * kPageBytes};
    pages.push_back({.asid = entry.asid, .first = entry.gpa, .end = end, .pfn = pfn});
  }
  std::ranges::sort(pages, [](const auto& a, const auto& b) {
    return std::tuple(a.asid.value, a.first.value, a.pfn.value) <
           std::tuple(b.asid.value, b.first.value, b.pfn.value);
  });
  // In this order, if any two overlap then some two neighbors do.
  const auto clash = std::ranges::adjacent_find(pages, [](const auto& one, const auto& next) {
    return one.asid == next.asid && next.first < one.end;
  });
  if (clash == pages.end()) return std::nullopt;
  return Violation{.subject = clash->pfn.value, .other = (clash + 1)->pfn.value};
}

Result audit_owners(const View& view, AuditScratch&) {
  if (const Result sum = one_owner(view); sum.has_value()) return sum;
  std::array<std::uint64_t, 6> counted{};
  for (const Pfn pfn : view.occupied_frames())
    ++counted[static_cast<std::size_t>(view.frame(pfn).use)];
  const FrameAccounting books = view.frame_accounting();
  for (std::size_t use = static_cast<std::size_t>(FrameUse::kFree) + 1; use < counted.size();
       ++use) {
    if (counted[use] != books.by_use[use]) return Violation{.subject = use, .other = counted[use]};
  }
  return std::nullopt;
}

}  // namespace check

}  // namespace sluice::oracle
