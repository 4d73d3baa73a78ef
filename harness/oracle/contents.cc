#include "oracle/contents.h"

#include <algorithm>
#include <span>

#include "oracle/view_helpers.h"

namespace sluice::oracle {
namespace {

/// Whether an access that ran in the step has happened; unknown where others ran beside it.
enum class Happened : std::uint8_t { kYes, kNo, kUnknown };

/// Calls visit(vcpu, access, happened) for every guest access that ran in the step.
template <class Visit>
void each_guest_access(const View& view, Visit&& visit) {
  if (!ran<GuestAccess>(view)) return;
  const auto* const own = finished<GuestAccess>(view);
  if (own != nullptr && view.ran_alone()) {  // nearly always
    visit(acting_vcpu(view), *own, view.outcome().ok() ? Happened::kYes : Happened::kNo);
    return;
  }
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    const Op* const op = view.ran_op({.kind = ActorKind::kVcpu, .index = i});
    const auto* const access = op == nullptr ? nullptr : std::get_if<GuestAccess>(op);
    if (access != nullptr) visit(VcpuIndex{i}, *access, Happened::kUnknown);
  }
}

/// Nobody but the guest can see what this access writes. Who converts at the same time may make it
/// shared before it is done.
bool is_private_write(const View& view, VcpuIndex vcpu, const GuestAccess& access) {
  const VmIndex vm = view.vm_of(vcpu);
  const VmView& seen = view.vm(vm);
  if (seen.type == VmType::kSnp) return seen.asid.value != 0 && access.c_bit;
  return has_private_memory(seen.type) && is_quiescent(view) && !conversion_ran(view) &&
         view.is_private(vm, access.gfn);
}

/// Did the entry come to be this guest page, validated, in the step?
bool became_valid(const FrameChange& change) {
  const bool was =
      change.rmp_before.validated && is_same_guest_page(change.rmp_before, change.rmp_now);
  return is_guest_page(change.rmp_now) && !was;
}

/// A TD's own key, as a number that no ASID has; of a software-protected VM, which has none, the
/// number stands for its private pages.
Asid key_of_td(VmIndex vm) { return {0x8000'0000U | vm.value}; }

/// What leaves the pages of a software-protected VM where they are, and what they hold (kvm.md 3).
constexpr std::uint64_t kKeepsSoftwarePages =
    kOpBit<GuestAccess> | kOpBit<SetMemoryAttributes> | kOpBit<PreFaultMemory> |
    kOpBit<HostAccess> | kOpBit<HostUnmap> | kOpBit<HostDontneed> | kOpBit<MapGpaRange> |
    kOpBit<CreateVcpu> | kOpBit<Resume> | kOpBit<SendSignal> | kOpBit<NumaBalancing> |
    kOpBit<DropCaches>;

}  // namespace

std::optional<Asid> key_of(const View& view, VcpuIndex vcpu, const GuestAccess& access) {
  const VmIndex index = view.vm_of(vcpu);
  const VmView& vm = view.vm(index);
  if (vm.type == VmType::kSwProtected && view.is_private(index, access.gfn))
    return key_of_td(index);
  if (!access.c_bit && access.kind != AccessKind::kFetch) return std::nullopt;
  if (vm.type == VmType::kTdx && access.c_bit) return key_of_td(index);
  return vm.type == VmType::kSnp && vm.asid.value != 0 ? std::optional(vm.asid) : std::nullopt;
}

std::optional<UserAccess> user_access_of(const Op& op) {
  if (const auto* const host = std::get_if<HostAccess>(&op))
    return UserAccess{.kind = host->kind, .token = host->value.value};
  if (const auto* const gmem = std::get_if<GmemAccess>(&op))
    return UserAccess{.kind = gmem->kind, .token = gmem->value.value};
  return std::nullopt;
}

void PrivateTokens::add(std::uint64_t token, bool in_public) {
  if (token == 0) return;  // what every fresh page holds
  for (Written& known : std::span(written_.data(), count_)) {
    if (known.token != token) continue;
    known.in_public |= in_public;
    return;
  }
  // Operations in flight may be noted in several steps, but each with its one token.
  if (count_ < kRoom) written_[count_++] = {.token = token, .in_public = in_public};
}

void PrivateTokens::note(const View& view) {
  if (!ran<GuestAccess, HostAccess, GmemAccess, HostStore, KernelWrite>(view)) return;
  each_guest_access(view, [&](VcpuIndex vcpu, const GuestAccess& access, Happened) {
    if (access.kind != AccessKind::kWrite) return;
    add(access.value.value, !is_private_write(view, vcpu, access));
  });
  if (const auto user = user_access_of(view.step().op); user && user->writes())
    add(user->token, true);
  if (const auto* const store = std::get_if<HostStore>(&view.step().op); store != nullptr)
    add(store->value.value, true);
  any_ran_op(view, [this](const Op& op) {
    if (const auto* const write = std::get_if<KernelWrite>(&op)) add(write->value.value, true);
    return false;
  });
}

bool PrivateTokens::is_private(std::uint64_t token) const {
  const std::span used(written_.data(), count_);
  const auto known = std::ranges::find(used, token, &Written::token);
  return known != used.end() && !known->in_public;
}

void WrittenPages::forget(const GuestPages& pages) {
  for (std::size_t i = count_; i > 0; --i) {
    const Page& page = pages_[i - 1];
    const bool inside =
        page.asid == pages.asid && page.gfn >= pages.first && page.gfn < pages.end();
    if (inside) pages_[i - 1] = pages_[--count_];
  }
}

/// ACCEPT clears the page (tdx.md 4).
void WrittenPages::note_accepted_by_td(const View& view) {
  if (!ran<TdAccept>(view)) return;
  for (std::uint8_t i = 0; i < kMaxVcpus; ++i) {
    const Op* const op = view.ran_op({.kind = ActorKind::kVcpu, .index = i});
    const auto* const accept = op == nullptr ? nullptr : std::get_if<TdAccept>(op);
    if (accept == nullptr) continue;
    const Asid key = key_of_td(view.vm_of({i}));
    forget({.asid = key, .first = accept->gfn, .count = frames_in(accept->page_size)});
    const bool done = view.outcome().ok() && view.ran_alone() && finished<TdAccept>(view);
    if (done && accept->page_size == PageSize::k4K && count_ < pages_.size())
      pages_[count_++] = {.asid = key, .gfn = accept->gfn, .token = 0};
  }
}

void WrittenPages::note(const View& view, bool rmp_changed) {
  if (count_ > 0 && rmp_changed) {
    for (const FrameChange& change : view.frame_changes()) {
      if (change.rmp_changed && became_valid(change)) forget(guest_pages_of(change.rmp_now));
    }
  }
  // A page that comes into a TD, perhaps another one of the same number, holds what it came with.
  for (const SeptChange& change : view.sept_changes()) {
    const bool came =
        change.now.state == SeptState::kMapped && change.before.state != SeptState::kMapped;
    if (came) forget({.asid = key_of_td(change.vm), .first = change.gfn, .count = 1});
  }
  note_accepted_by_td(view);
  const bool punches = reclaims_by_hole(view.header().policy) && ran_guest_request(view);
  const bool by_user = is_pinned_backing(view) && ran<HostAccess, HostUnmap, HostDontneed>(view);
  const bool may_lose = punches || by_user || (view.ran_ops() & ~kKeepsSoftwarePages) != 0;
  for (std::uint8_t i = 0; may_lose && i < kMaxVms && count_ > 0; ++i) {
    const bool is_soft = view.vm({i}).type == VmType::kSwProtected ||
                         view.vm_before({i}).type == VmType::kSwProtected;
    if (is_soft) forget({.asid = key_of_td({i}), .first = {0}, .count = ~std::uint64_t{0}});
  }
  each_guest_access(view, [&](VcpuIndex vcpu, const GuestAccess& access, Happened happened) {
    if (access.kind != AccessKind::kWrite || happened == Happened::kNo) return;
    const VmIndex vm = view.vm_of(vcpu);
    if (view.vm(vm).type == VmType::kSwProtected) {
      // It may have reached a shared page, or one of the file that serves shared faults, too.
      forget({.asid = key_of_td(vm), .first = access.gfn, .count = 1});
      if (!is_quiescent(view) || conversion_ran(view)) return;
    }
    const std::optional<Asid> asid = key_of(view, vcpu, access);
    if (!asid) return;
    forget({.asid = *asid, .first = access.gfn, .count = 1});
    if (happened == Happened::kYes && count_ < pages_.size())
      pages_[count_++] = {.asid = *asid, .gfn = access.gfn, .token = access.value.value};
  });
}

std::optional<std::uint64_t> WrittenPages::token_of(Asid asid, Gfn gfn) const {
  for (const Page& page : std::span(pages_.data(), count_)) {
    if (page.asid == asid && page.gfn == gfn) return page.token;
  }
  return std::nullopt;
}

void LostPages::note_loss(const View& view, const FrameChange& change) {
  const RmpView& before = change.rmp_before;
  GuestPages gone = guest_pages_of(before);
  // Of a 2 MiB entry that was split, only what is no longer there.
  for (std::uint64_t i = 0; gone.count > 0; ++i, --gone.count) {
    RmpView page = before;
    page.gpa = {before.gpa.value + i * kPageBytes};
    const RmpView now = i == 0 ? change.rmp_now : view.rmp(change.pfn + PageCount{i});
    if (now.validated && is_same_guest_page(page, now)) continue;
    if (ran_pvalidate(view, page, false)) continue;  // its own doing
    const GuestPages lost{.asid = before.asid, .first = gone.first + PageCount{i}, .count = 1};
    holds_ = holds_ && lost_.remove(lost) && lost_.add(lost);
  }
}

void LostPages::note(const View& view) {
  if (!holds_) return;
  for (const FrameChange& change : view.frame_changes()) {
    if (!change.rmp_changed) continue;
    const RmpView& before = change.rmp_before;
    const bool stays = change.rmp_now.validated && is_same_guest_page(before, change.rmp_now);
    const bool split = before.page_size != change.rmp_now.page_size;
    if (is_guest_page(before) && before.is_head && (!stays || split)) note_loss(view, change);
    if (is_guest_page(before) && !before.is_head && !stays) note_loss(view, change);
  }
  if (lost_.empty()) return;
  // What came first within a step, nobody can say: what was accepted in it is not lost.
  for (const FrameChange& change : view.frame_changes()) {
    if (change.rmp_changed && became_valid(change))
      holds_ = holds_ && lost_.remove(guest_pages_of(change.rmp_now));
  }
}

}  // namespace sluice::oracle
