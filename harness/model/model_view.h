// The model's state as a checker sees it. What a step touched is read off the journal: its entries
// since the step's mark say where, and what was there before.
#pragma once
#include <array>
#include <bit>
#include <cstdint>

#include "base/reserved_list.h"
#include "model/host/kernel.h"
#include "model/schedule/scheduler.h"
#include "trace/view.h"

namespace sluice::model {

inline HostView host_view(const Kernel& k) {
  return {.direct_map_splits = k.snp.direct_map.split_count(),
          .leaked_pages = k.snp.leaked_page_count,
          .dead = k.snp.host_dead,
          .fatal_frame = k.snp.fatal_frame};
}

/// The step that a view is about.
struct StepRecord {
  std::uint64_t number = 1;  // rises for ever, over sequences too
  Step step{};
  Outcome outcome{};
  std::uint64_t ran_ops = 0;
  ActorMask ran = 0;  // through the scheduler; none if the step's own operation ran straight
  std::array<Step, kMaxActors> in_flight{};  // of busy actors, and of those who ran in the step
  ActorMask had_company = 0;  // of these: somebody else ran since the operation began
  HostView host_before{};
  Journal::Mark mark = 0;
};

/// Everything is computed at the first question after a step, so a step that nobody asks about
/// costs nothing. A change of a live 2 MiB RMP entry or huge leaf is named once, by its head, that
/// of a large folio by the head of each 512 pages. Thread: compatible. Cost: O(entries of the
/// step), no allocation: the same step takes the same path in a warm view and in a cold one.
class ModelView final : public View {
 public:
  static Expected<ModelView> open(const Kernel& kernel, const StepRecord& record);

  bool observes(ViewField) const override { return true; }
  const SequenceHeader& header() const override { return k_->machine.header; }
  const HostProfile& profile() const override { return k_->machine.profile; }
  const Op* ran_op(ActorId actor) const override;
  bool ran_alone() const override { return std::popcount(record_->ran) <= 1; }

  const GmemView& gmem_before(GmemIndex gmem) const override;
  const VmView& vm_before(VmIndex vm) const override;
  std::span<const SlotView> slots_before(VmIndex vm) const override;
  HostView host_before() const override { return record_->host_before; }
  HostView host() const override { return host_view(*k_); }
  VcpuView vcpu_before(VcpuIndex vcpu) const override;
  MapLevel direct_map_level(Pfn pfn) const override { return k_->snp.direct_map.level(pfn); }
  std::optional<Pfn> host_page(std::uint64_t page) const override;

  std::uint64_t frame_count() const override { return k_->machine.rmp.frame_count(); }
  RmpView rmp(Pfn pfn) const override;
  FrameView frame(Pfn pfn) const override;
  FrameAccounting frame_accounting() const override { return k_->machine.frames.accounting(); }
  const GmemView& gmem(GmemIndex gmem) const override;
  GmemPageView gmem_page(GmemIndex gmem, std::uint64_t index) const override;
  std::span<const BindingView> gmem_bindings(GmemIndex gmem) const override;
  const VmView& vm(VmIndex vm) const override;
  std::span<const SlotView> slots(VmIndex vm) const override;
  bool is_private(VmIndex vm, Gfn gfn) const override;
  AttributeView attribute(VmIndex vm, Gfn gfn) const override;
  GfnSpan next_private(VmIndex vm, const GfnSpan& within) const override;
  std::optional<Gfn> next_mixed(VmIndex vm, MapLevel level, const GfnSpan& within) const override;
  RootView root(VmIndex vm, std::uint32_t root) const override;
  LeafView leaf(VmIndex vm, std::uint32_t root, Gfn gfn) const override;
  std::optional<LeafAt> next_leaf(VmIndex vm, std::uint32_t root,
                                  const GfnSpan& within) const override;
  std::uint32_t current_root(VcpuIndex vcpu) const override;
  std::uint32_t previous_root(VcpuIndex vcpu) const override;
  VmIndex vm_of(VcpuIndex vcpu) const override { return k_->vcpu(vcpu).vm; }
  VcpuView vcpu(VcpuIndex vcpu) const override;
  VmsaView vmsa(VcpuIndex vcpu) const override;
  PscView psc(VcpuIndex vcpu) const override;
  std::span<const TranslationView> translations() const override;
  std::span<const Pfn> occupied_frames() const override;
  bool has_td() const override;
  TdView td(VmIndex vm) const override;
  TdView td_before(VmIndex vm) const override;
  std::uint32_t td_epoch_of(VcpuIndex vcpu) const override;
  SeptView sept(VmIndex vm, Gfn gfn) const override;
  std::optional<SeptAt> sept_of(Pfn pfn) const override;
  std::optional<SeptAt> next_sept(VmIndex vm, const GfnSpan& within) const override;

 private:
  /// A frame of the step: its RMP slot, its owner word and its content before it.
  struct FrameBefore {
    Pfn pfn{};
    RmpEntry entry{};
    std::uint64_t word = 0;
    std::uint64_t content = 0;
  };
  /// A word of a node of the step, before it.
  struct WordBefore {
    NodeId node = kNoNode;
    unsigned slot = 0;
    std::uint64_t word = 0;
  };
  /// An entry of a secure EPT that the step wrote, before that write; the later of two has the
  /// lower `order`.
  struct SeptBefore {
    VmIndex vm{};
    Gfn gfn{};
    std::uint64_t word = 0;
    std::uint32_t order = 0;
  };
  struct SeptTables {
    ReservedList<SeptBefore> before;
    ReservedList<SeptChange> changes;
  };
  /// Which entry of a list a place has in this step: step number and index in one word.
  using Stamps = ReservedArray<std::uint64_t>;

  /// What grows with what a step touched, sized for a step that touches everything.
  struct Tables {
    Stamps frame_stamps;
    Stamps word_stamps;
    Stamps occupied_stamps;  // number of the last list that looked at the frame
    ReservedList<FrameBefore> frames_before;
    ReservedList<WordBefore> words_before;
    ReservedList<FrameChange> frame_changes;
    ReservedList<LeafChange> leaf_changes;
    ReservedList<GmemPageChange> page_changes;
    ReservedList<Pfn> occupied;
    SeptTables sept;
    static Expected<Tables> open(std::size_t frames, std::size_t words);
  };

  ModelView(const Kernel& kernel, const StepRecord& record, Tables tables)
      : View(record.number), k_(&kernel), record_(&record), tables_(std::move(tables)) {}

  void collect(Facts& facts) const override;
  void collect(Changes& changes) const override;
  ProgressView progress_now() const;

  void build() const {
    if (built_ != record_->number) build_now();
  }
  void build_now() const;
  void classify(const Journal::Entry& entry) const;
  FrameBefore& frame_before(std::uint64_t index) const;
  WordBefore& word_before(NodePool::At at) const;
  void note_kernel(const Journal::Entry& entry) const;
  void note_gmem(const Journal::Entry& entry, std::uintptr_t offset) const;
  void note_vm(const Journal::Entry& entry, std::uintptr_t offset) const;
  void note_sept(const Journal::Entry& entry) const;
  void note_td(const Journal::Entry& entry, std::uintptr_t offset) const;
  void add_sept_changes() const;
  void note_vcpu(const Journal::Entry& entry, std::size_t index) const;
  std::uint64_t undo_slots(VmIndex vm, std::array<Memslot, kMaxSlotsPerVm>& slots) const;
  const FrameBefore* find_frame(Pfn pfn) const;
  std::uint64_t word_then(NodeId node, unsigned slot) const;
  void add_frame_change(const FrameBefore& before) const;
  void add_leaf_change(const WordBefore& before, const NodePlace& place) const;
  void add_page_change(const WordBefore& before, const NodePlace& place) const;
  void add_occupied(std::uint64_t index) const;
  void add_if_occupied(std::uint64_t index) const;

  const Kernel* k_;
  const StepRecord* record_;
  // Caches of the step `built_`.
  mutable std::uint64_t built_ = 0;
  mutable Tables tables_;
  mutable std::array<Gmem, kMaxGmems> gmems_before_{};
  mutable std::uint32_t gmems_touched_ = 0;  // bit = file whose own fields changed
  mutable std::array<VmCore, kMaxVms> vms_before_{};
  mutable std::array<VcpuView, kMaxVcpus> vcpus_before_{};
  mutable std::uint32_t vcpus_touched_ = 0;  // bit = vCPU of which a word changed
  mutable std::uint32_t vms_touched_ = 0;    // bit = VM whose own fields changed
  mutable std::uint32_t slots_touched_ = 0;  // bit = VM whose slots changed
  mutable std::array<Td, kMaxVms> tds_before_{};
  mutable std::uint32_t tds_touched_ = 0;  // bit = VM of whose TD a word changed
  /// A view, and the step that it is of.
  template <class T>
  struct Cached {
    std::uint64_t step = 0;
    T view{};
  };
  mutable std::array<Cached<VmView>, kMaxVms> vm_views_{};
  mutable std::array<Cached<VmView>, kMaxVms> vm_views_before_{};
  mutable std::array<Cached<GmemView>, kMaxGmems> gmem_views_{};
  mutable std::array<Cached<GmemView>, kMaxGmems> gmem_views_before_{};
  struct SlotList {
    std::uint64_t step = 0;
    std::size_t count = 0;
    std::array<SlotView, kMaxSlotsPerVm> slots{};
  };
  mutable std::array<SlotList, kMaxVms> slots_{};
  mutable std::array<SlotList, kMaxVms> slots_before_{};
  struct BindingList {
    std::uint64_t step = 0;
    std::size_t count = 0;
    std::array<BindingView, kMaxBindings> bindings{};
  };
  mutable std::array<BindingList, kMaxGmems> bindings_{};
  mutable std::uint64_t occupied_built_ = 0;
  struct TranslationList {
    std::uint64_t step = 0;
    std::size_t count = 0;
    std::array<TranslationView, (kMaxVcpus + 2) * Tlb::kEntries> entries{};
  };
  mutable TranslationList translations_{};
};

}  // namespace sluice::model
