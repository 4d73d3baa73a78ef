#include "model/model_view.h"

#include <algorithm>
#include <cstring>

#include "model/host/attributes.h"
#include "model/host/guest_memfd.h"
#include "model/host/tdp_mmu.h"
#include "trace/kernel_behavior.h"

namespace sluice::model {

static_assert(View::kMaxRoots == kMaxRootsPerVm);

namespace {

constexpr unsigned kIndexBits = 27;  // of a stamp; a step has fewer journal entries than 2^27
static_assert(Journal::kCapacity <= std::size_t{1} << kIndexBits);

constexpr std::uint64_t stamp_of(std::uint64_t step, std::size_t index) {
  return step << kIndexBits | index;
}
constexpr bool is_of(std::uint64_t stamp, std::uint64_t step) {
  return stamp >> kIndexBits == step;
}
constexpr std::size_t index_of(std::uint64_t stamp) {
  return stamp & ((std::uint64_t{1} << kIndexBits) - 1);
}

GfnRange range_of(const GfnSpan& span) { return {.first = span.first, .last = span.end}; }

}  // namespace

Expected<ModelView::Tables> ModelView::Tables::open(std::size_t frames, std::size_t words) {
  // One error for all of them: a host refuses address space as a whole.
  auto frame_stamps = Stamps::open(frames), word_stamps = Stamps::open(words);
  auto occupied_stamps = Stamps::open(frames);
  auto frames_before = ReservedList<FrameBefore>::open(frames);
  auto words_before = ReservedList<WordBefore>::open(words);
  auto frame_changes = ReservedList<FrameChange>::open(frames);
  auto leaf_changes = ReservedList<LeafChange>::open(words);
  auto page_changes = ReservedList<GmemPageChange>::open(words);
  auto occupied = ReservedList<Pfn>::open(frames);
  constexpr std::size_t kSeptWrites = std::size_t{1} << 22;  // of a step: some 3 a page
  auto sept_before = ReservedList<SeptBefore>::open(kSeptWrites);
  auto sept_changes = ReservedList<SeptChange>::open(kSeptWrites);
  const bool all = frame_stamps && word_stamps && occupied_stamps && frames_before &&
                   words_before && frame_changes && leaf_changes && page_changes && occupied &&
                   sept_before && sept_changes;
  if (!all) return system_error("reserve address space for a view");
  return Tables{.frame_stamps = std::move(*frame_stamps),
                .word_stamps = std::move(*word_stamps),
                .occupied_stamps = std::move(*occupied_stamps),
                .frames_before = std::move(*frames_before),
                .words_before = std::move(*words_before),
                .frame_changes = std::move(*frame_changes),
                .leaf_changes = std::move(*leaf_changes),
                .page_changes = std::move(*page_changes),
                .occupied = std::move(*occupied),
                .sept = {.before = std::move(*sept_before), .changes = std::move(*sept_changes)}};
}

Expected<ModelView> ModelView::open(const Kernel& kernel, const StepRecord& record) {
  auto tables = Tables::open(kernel.machine.rmp.frame_count(), NodePool::kCapacity * 512);
  if (!tables) return std::unexpected(tables.error());
  return ModelView(kernel, record, std::move(*tables));
}

// ---- What the step touched ----

/// Reads the step's journal entries newest first, so that the oldest old value of a place is what
/// stays.
void ModelView::build_now() const {
  built_ = record_->number;
  tables_.frames_before.clear();
  tables_.words_before.clear();
  tables_.frame_changes.clear();
  tables_.leaf_changes.clear();
  tables_.page_changes.clear();
  tables_.sept.before.clear();
  tables_.sept.changes.clear();
  gmems_touched_ = vms_touched_ = slots_touched_ = vcpus_touched_ = tds_touched_ = 0;
  const auto entries = k_->machine.journal.since(record_->mark);
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) classify(*entry);
  for (const FrameBefore& before : tables_.frames_before) add_frame_change(before);
  for (const WordBefore& before : tables_.words_before) {
    const NodePlace& place = k_->nodes.place(before.node);
    if (place.kind == NodeKind::kPageTable) add_leaf_change(before, place);
    if (place.kind == NodeKind::kPageCache && place.level == 1) add_page_change(before, place);
  }
  if (tables_.sept.before.size() != 0) add_sept_changes();
}

void ModelView::classify(const Journal::Entry& entry) const {
  const Machine& machine = k_->machine;
  const void* const at = entry.address();
  // The kernel's own fields are in one object, and no table has entries smaller than a word.
  const auto in_kernel =
      reinterpret_cast<std::uintptr_t>(at) - reinterpret_cast<std::uintptr_t>(k_) < sizeof(Kernel);
  if (in_kernel || entry.size() != sizeof(std::uint64_t)) return note_kernel(entry);
  if (const std::uint64_t i = machine.rmp.frame_at(at); i < machine.rmp.frame_count()) {
    RmpEntry& before = frame_before(i).entry;
    const bool low = (reinterpret_cast<std::uintptr_t>(at) & sizeof(std::uint64_t)) == 0;
    (low ? before.low : before.high) = entry.old_value;
  } else if (const std::uint64_t w = machine.frames.frame_of_word(at);
             w < machine.frames.frame_count()) {
    frame_before(w).word = entry.old_value;
  } else if (const std::uint64_t c = machine.frames.frame_of_content(at);
             c < machine.frames.frame_count()) {
    frame_before(c).content = entry.old_value;
  } else if (const NodePool::At word = k_->nodes.find(at); word.node != kNoNode) {
    word_before(word).word = entry.old_value;
  } else {
    note_sept(entry);
  }
}

ModelView::FrameBefore& ModelView::frame_before(std::uint64_t index) const {
  std::uint64_t& stamp = tables_.frame_stamps[index];
  if (!is_of(stamp, built_)) {
    stamp = stamp_of(built_, tables_.frames_before.size());
    const Pfn pfn{index};
    tables_.frames_before.add({.pfn = pfn,
                               .entry = k_->machine.rmp.raw(pfn),
                               .word = k_->machine.frames.word(pfn),
                               .content = k_->machine.frames.content(pfn)});
  }
  return tables_.frames_before[index_of(stamp)];
}

ModelView::WordBefore& ModelView::word_before(NodePool::At at) const {
  std::uint64_t& stamp = tables_.word_stamps[std::size_t{at.node} * 512 + at.slot];
  if (!is_of(stamp, built_)) {
    stamp = stamp_of(built_, tables_.words_before.size());
    tables_.words_before.add(
        {.node = at.node, .slot = at.slot, .word = k_->nodes.word(at.node, at.slot)});
  }
  return tables_.words_before[index_of(stamp)];
}

void ModelView::note_kernel(const Journal::Entry& entry) const {
  const auto at = reinterpret_cast<std::uintptr_t>(entry.address());
  const auto gmems = reinterpret_cast<std::uintptr_t>(k_->gmems.data());
  const auto vms = reinterpret_cast<std::uintptr_t>(k_->vms.data());
  const auto vcpus = reinterpret_cast<std::uintptr_t>(k_->vcpus.data());
  if (at - gmems < sizeof(k_->gmems)) note_gmem(entry, at - gmems);
  if (at - vms < sizeof(k_->vms)) note_vm(entry, at - vms);
  if (at - vcpus < sizeof(k_->vcpus)) note_vcpu(entry, (at - vcpus) / sizeof(Vcpu));
  const auto tds = reinterpret_cast<std::uintptr_t>(k_->machine.sept.tds().data());
  if (at - tds < sizeof(k_->machine.sept.tds())) note_td(entry, at - tds);
}

void ModelView::note_gmem(const Journal::Entry& entry, std::uintptr_t offset) const {
  const std::size_t i = offset / sizeof(Gmem);
  if ((gmems_touched_ >> i & 1) == 0) {
    gmems_touched_ |= 1U << i;
    gmems_before_[i] = k_->gmems[i];
  }
  std::memcpy(reinterpret_cast<std::byte*>(&gmems_before_[i]) + offset % sizeof(Gmem),
              &entry.old_value, entry.size());
}

void ModelView::note_vm(const Journal::Entry& entry, std::uintptr_t offset) const {
  const std::size_t i = offset / sizeof(Vm);
  const auto at = reinterpret_cast<std::uintptr_t>(entry.address());
  const auto core = reinterpret_cast<std::uintptr_t>(static_cast<const VmCore*>(&k_->vms[i]));
  const auto slots = reinterpret_cast<std::uintptr_t>(k_->vms[i].slots.data());
  if (at - slots < sizeof(k_->vms[i].slots)) slots_touched_ |= 1U << i;
  if (at - core >= sizeof(VmCore)) return;
  if ((vms_touched_ >> i & 1) == 0) {
    vms_touched_ |= 1U << i;
    vms_before_[i] = k_->vms[i];
  }
  std::memcpy(reinterpret_cast<std::byte*>(&vms_before_[i]) + (at - core), &entry.old_value,
              entry.size());
}

const ModelView::FrameBefore* ModelView::find_frame(Pfn pfn) const {
  const std::uint64_t stamp = tables_.frame_stamps[pfn.value];
  return is_of(stamp, built_) ? &tables_.frames_before[index_of(stamp)] : nullptr;
}

std::uint64_t ModelView::word_then(NodeId node, unsigned slot) const {
  const std::uint64_t stamp = tables_.word_stamps[std::size_t{node} * 512 + slot];
  return is_of(stamp, built_) ? tables_.words_before[index_of(stamp)].word
                              : k_->nodes.word(node, slot);
}

void ModelView::add_frame_change(const FrameBefore& before) const {
  const Pfn head = before.pfn.align_down(kFramesPer2M);
  const FrameBefore* const head_before = find_frame(head);
  const RmpEntry head_entry =
      head_before != nullptr ? head_before->entry : k_->machine.rmp.raw(head);
  const RmpEntry now = k_->machine.rmp.raw(before.pfn), head_now = k_->machine.rmp.raw(head);
  const RmpView rmp_now = k_->machine.rmp.view_of(before.pfn, now, head_now);
  const bool same_words = now == before.entry && head_now == head_entry;
  const RmpView rmp_before =
      same_words ? rmp_now : k_->machine.rmp.view_of(before.pfn, before.entry, head_entry);
  tables_.frame_changes.add({.pfn = before.pfn,
                             .rmp_changed = !same_words && rmp_before != rmp_now,
                             .rmp_before = rmp_before,
                             .rmp_now = rmp_now,
                             .before = Frames::view_of(before.word, before.content),
                             .now = k_->machine.frames.view(before.pfn)});
}

void ModelView::add_leaf_change(const WordBefore& before, const NodePlace& place) const {
  const Spte then{before.word};
  const Spte now{k_->nodes.word(before.node, before.slot)};
  // Only leaves, MMIO entries among them: a table that comes or goes is named by what is in it.
  const bool was_leaf = then.is_leaf(place.level) || then.mmio();
  const bool is_leaf = now.is_leaf(place.level) || now.mmio();
  if ((!was_leaf && !is_leaf) || then.word == now.word) return;
  const Vm& vm = k_->vms[place.owner];
  const Gfn gfn{k_->nodes.first(before.node) + before.slot * pages_below_entry(place.level)};
  const Walk before_walk{.spte = was_leaf ? then : Spte{}, .level = place.level};
  const Root& root = vm.roots[place.root];
  // An entry that is one is linked to its root; else something larger or smaller may be there.
  const LeafView leaf_now = is_leaf ? leaf_of(vm, root, {.spte = now, .level = place.level}, gfn)
                                    : leaf({place.owner}, place.root, gfn);
  const auto address_space = static_cast<std::uint8_t>(root.smm ? 1 : 0);
  tables_.leaf_changes.add({.vm = {place.owner},
                            .root = place.root,
                            .address_space = address_space,
                            .gfn = gfn,
                            .slot = slot_at(slots({place.owner}), address_space, gfn),
                            .before = leaf_of(vm, root, before_walk, gfn),
                            .now = leaf_now});
}

void ModelView::add_page_change(const WordBefore& before, const NodePlace& place) const {
  const unsigned head_slot = 0;  // 512 pages of a large folio fill a node of level 1
  const std::uint64_t head = word_then(before.node, head_slot);
  tables_.page_changes.add({.gmem = {place.owner},
                            .index = k_->nodes.first(before.node) + before.slot,
                            .before = view_page_word(before.word, head)});
}

void ModelView::collect(Facts& facts) const {
  facts = {.number = record_->number,
           .step = &record_->step,
           .outcome = &record_->outcome,
           .ran_ops = record_->ran_ops,
           .events = &k_->machine.events,
           .progress = progress_now()};
}

void ModelView::collect(Changes& changes) const {
  build();
  changes = {.number = record_->number,
             .frames = tables_.frame_changes,
             .gmem_pages = tables_.page_changes,
             .leaves = tables_.leaf_changes,
             .attributes = {k_->attribute_log.changes.data(), k_->attribute_log.count},
             .septs = tables_.sept.changes,
             .gmems = gmems_touched_,
             .vms = vms_touched_ | slots_touched_};
}

const Op* ModelView::ran_op(ActorId actor) const {
  const unsigned slot = actor_slot(actor);
  if ((record_->ran >> slot & 1) != 0) return &record_->in_flight[slot].op;
  const bool straight = record_->ran == 0 && record_->ran_ops != 0;
  return straight && actor == record_->step.actor ? &record_->step.op : nullptr;
}

// ---- State now ----

ProgressView ModelView::progress_now() const {
  const Scheduler& scheduler = k_->scheduler;
  const Liveness liveness = scheduler.liveness();
  ProgressView view{};
  if (record_->ran != 0) {
    const auto* const resumed = std::get_if<Resume>(&record_->step.op);
    const ActorId actor = resumed != nullptr ? resumed->target : record_->step.actor;
    view.had_company = (record_->had_company >> actor_slot(actor) & 1) != 0;
  }
  if (scheduler.quiet() && !liveness.deadlock && !liveness.livelock) return view;
  view.deadlock = liveness.deadlock;
  view.livelock = liveness.livelock;
  // bugs.md 1: the pre-fault that keeps retrying an INVALID slot holds the SRCU read side that the
  // slot's deletion waits for.
  const bool prefault = liveness.livelock_reason == RetryReason::kSlotInvalid &&
                        !behavior::prefault_eagain_on_invalid_slot(k_->version());
  // The same of a TD's fault (bugs.md 2), which ends from the same kernel on.
  static_assert(behavior::td_leaves_fault_on_invalid_slot({6, 18}) &&
                behavior::prefault_eagain_on_invalid_slot({6, 18}));
  // A pre-fault of a vCPU whose root a slot's deletion made obsolete, or does while the fault loop
  // runs, which renews no root in any version (kvm.md 4 rows 7 and 9).
  const bool root = liveness.livelock_reason == RetryReason::kRootWentMeanwhile ||
                    (liveness.livelock_reason == RetryReason::kRootObsolete &&
                     !behavior::prefault_renews_obsolete_root(k_->version()));
  // snp_host.md 1: the loop around RMPUPDATE has no bound in any version.
  const bool overlap = liveness.livelock_reason == RetryReason::kRmpOverlap;
  view.known_upstream = liveness.livelock && !liveness.deadlock && (prefault || root || overlap);
  view.in_flight = scheduler.in_flight();
  return view;
}

RmpView ModelView::rmp(Pfn pfn) const {
  return k_->machine.rmp.covers(pfn) ? k_->machine.rmp.view(pfn) : RmpView{};
}

FrameView ModelView::frame(Pfn pfn) const {
  return k_->machine.rmp.covers(pfn) ? k_->machine.frames.view(pfn) : FrameView{};
}

GmemPageView ModelView::gmem_page(GmemIndex gmem, std::uint64_t index) const {
  return view_page(*k_, k_->gmem(gmem), index);
}

bool ModelView::is_private(VmIndex vm, Gfn gfn) const {
  return sluice::model::is_private(*k_, k_->vm(vm), gfn);
}

AttributeView ModelView::attribute(VmIndex vm, Gfn gfn) const {
  return stored_attribute(*k_, k_->vm(vm), gfn);
}

GfnSpan ModelView::next_private(VmIndex vm, const GfnSpan& within) const {
  if (within.empty()) return {within.end, within.end};
  const GfnRange found = next_private_range(*k_, k_->vm(vm), range_of(within));
  return {.first = found.first, .end = found.last};
}

std::optional<Gfn> ModelView::next_mixed(VmIndex vm, MapLevel level, const GfnSpan& within) const {
  return sluice::model::next_mixed(*k_, k_->vm(vm), level, range_of(within));
}

RootView ModelView::root(VmIndex vm, std::uint32_t index) const {
  const Root& root = k_->vm(vm).roots[index];
  return {.used = root.used,
          .valid = root.valid,
          .address_space = static_cast<std::uint8_t>(root.smm ? 1 : 0),
          .mirror = root.mirror,
          .guest_mode = root.guest_mode};
}

std::optional<LeafAt> ModelView::next_leaf(VmIndex vm, std::uint32_t root,
                                           const GfnSpan& within) const {
  return first_leaf(*k_, k_->vm(vm), static_cast<std::uint8_t>(root), range_of(within));
}

LeafView ModelView::leaf(VmIndex vm, std::uint32_t root, Gfn gfn) const {
  if (root >= kMaxRootsPerVm || !k_->vm(vm).roots[root].used) return {};
  return lookup_leaf(*k_, k_->vm(vm), static_cast<std::uint8_t>(root), gfn);
}

std::uint32_t ModelView::current_root(VcpuIndex vcpu) const {
  const std::uint8_t root = k_->vcpu(vcpu).root;
  return root == kNoRootIndex ? kNoRoot : root;
}

std::uint32_t ModelView::previous_root(VcpuIndex vcpu) const {
  const std::uint8_t root = k_->vcpu(vcpu).previous_root;
  return root == kNoRootIndex ? kNoRoot : root;
}

void ModelView::add_occupied(std::uint64_t index) const {
  if (tables_.occupied_stamps[index] == occupied_built_) return;
  tables_.occupied_stamps[index] = occupied_built_;
  tables_.occupied.add({index});
}

void ModelView::add_if_occupied(std::uint64_t index) const {
  if (tables_.occupied_stamps[index] == occupied_built_) return;
  const Pfn pfn{index};
  const Rmp& rmp = k_->machine.rmp;
  if (pfn.is_aligned(kFramesPer2M) && rmp.raw(pfn).is_live_2m()) {
    for (std::uint64_t i = 0; i < kFramesPer2M; ++i) add_occupied(index + i);
    return;
  }
  const bool free = FrameUse::kFree == k_->machine.frames.view(pfn).use;
  if (!free || rmp.own(pfn).assigned() || rmp.is_in_use(pfn)) add_occupied(index);
}

/// Every frame that is not as it was at the start is in the journal. Made once a step.
std::span<const Pfn> ModelView::occupied_frames() const {
  if (occupied_built_ == record_->number) return tables_.occupied;
  occupied_built_ = record_->number;
  tables_.occupied.clear();
  const Machine& machine = k_->machine;
  for (const Journal::Entry& entry : machine.journal.since(0)) {
    const void* const at = entry.address();
    std::uint64_t index = machine.rmp.frame_at(at);
    if (index == machine.rmp.frame_count()) index = machine.frames.frame_of_word(at);
    if (index < machine.rmp.frame_count()) add_if_occupied(index);
  }
  // Fresh memory comes in rising order, so that the list often is in order as it is.
  if (!std::ranges::is_sorted(tables_.occupied)) std::ranges::sort(tables_.occupied);
  return tables_.occupied;
}

}  // namespace sluice::model
