// A view built by hand: tests of invariants say what the state is, without a backend behind it.
// Everything not set is healthy and empty: free frames, no VM, no file.
#pragma once
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "trace/view.h"

namespace sluice::testing {

class FakeView : public View {
 public:
  static constexpr std::uint64_t kFrames = 4 * kFramesPer2M;

  SequenceHeader header_value{};
  HostProfile profile_value{};
  Step step_value{};
  Outcome outcome_value{};
  std::uint64_t ran_value = 0;
  EventLog events_value{};
  ProgressView progress_value{};
  std::vector<FrameChange> frame_changes_value{};
  std::vector<GmemPageChange> gmem_page_changes_value{};
  std::vector<LeafChange> leaf_changes_value{};
  std::vector<AttributeChange> attribute_changes_value{};
  std::map<Pfn, RmpView> rmp_value{};
  std::map<Pfn, FrameView> frames_value{};
  HostView host_value{};
  HostView host_before_value{};
  std::array<VcpuView, kMaxVcpus> vcpus{};
  std::array<VmsaView, kMaxVcpus> vmsas{};
  std::map<VcpuIndex, VcpuView> vcpus_before{};  // of vCPUs that changed; the others are as now
  std::map<std::uint64_t, Pfn> host_pages{};
  std::map<Pfn, MapLevel> direct_map{};  // 4K where it says nothing
  FrameAccounting books{.total = kFrames, .by_use = {kFrames, 0, 0, 0, 0, 0}};
  std::array<GmemView, kMaxGmems> gmems{};
  std::array<GmemView, kMaxGmems> gmems_before{};
  std::map<std::pair<GmemIndex, std::uint64_t>, GmemPageView> gmem_pages{};
  std::array<std::vector<BindingView>, kMaxGmems> bindings{};
  std::array<VmView, kMaxVms> vms{};
  std::map<VmIndex, VmView> vms_before{};  // of VMs that changed; the others are as they were
  std::vector<SlotView> slots_value{};
  std::optional<std::vector<SlotView>> slots_before_value{};  // none: as now
  std::vector<GfnSpan> private_spans{};                       // rising
  std::vector<std::pair<MapLevel, Gfn>> mixed{};              // rising
  std::map<Gfn, AttributeView> odd_attributes{};  // where the store holds something else
  std::uint32_t previous_root_value = kNoRoot;
  std::array<RootView, 2> roots{RootView{.used = true, .valid = true}, RootView{}};
  std::map<Gfn, LeafView> leaves{};  // of root 0
  std::map<Gfn, LeafView> leaves_of_root1{};
  std::map<unsigned, Op> also_ran{};  // by actor_slot(): what others ran in the step
  std::array<VmIndex, kMaxVcpus> vm_of_vcpu{};
  std::array<PscView, kMaxVcpus> pscs{};
  std::vector<TranslationView> translations_value{};
  std::map<std::pair<VmIndex, Gfn>, SeptView> septs{};
  std::vector<SeptChange> sept_changes_value{};
  std::array<TdView, kMaxVms> tds{};
  std::map<VmIndex, TdView> tds_before{};  // of TDs that changed; the others are as now
  std::array<std::uint32_t, kMaxVcpus> td_epochs{};
  bool blind = false;  // observes nothing but outcomes

  FakeView() : View(kNumber) {}

  /// The step is this operation, done, and nothing else ran.
  template <class Op>
  void ran(const Op& op, std::uint64_t bit, const Outcome& outcome = {}) {
    step_value = {.actor = default_actor(as_variant(op)), .park = 0, .op = op};
    ran_value = bit;
    outcome_value = outcome;
  }
  /// A frame that had `before` and has `now`.
  void change(Pfn pfn, const RmpView& before, const RmpView& now) {
    if (before.assigned || now.assigned)
      frames_value.try_emplace(pfn, FrameView{.use = FrameUse::kFirmware});
    frame_changes_value.push_back({.pfn = pfn, .rmp_before = before, .before = frame(pfn)});
    rmp_value[pfn] = now;
  }

  bool observes(ViewField field) const override { return !blind || field == ViewField::kOutcome; }
  const SequenceHeader& header() const override { return header_value; }
  const HostProfile& profile() const override { return profile_value; }
  const Op* ran_op(ActorId actor) const override {
    const auto also = also_ran.find(actor_slot(actor));
    if (also != also_ran.end()) return &also->second;
    const bool acted = ran_value != 0 && !is_one_of<Resume>(step_value.op);
    return acted && actor == step_value.actor ? &step_value.op : nullptr;
  }
  bool ran_alone() const override { return also_ran.empty(); }
  const GmemView& gmem_before(GmemIndex gmem) const override { return gmems_before[gmem.value]; }
  const VmView& vm_before(VmIndex vm) const override {
    const auto changed = vms_before.find(vm);
    return changed == vms_before.end() ? vms[vm.value] : changed->second;
  }
  std::span<const SlotView> slots_before(VmIndex vm) const override {
    return vm.value == 0 && slots_before_value ? *slots_before_value : slots(vm);
  }
  HostView host_before() const override { return host_before_value; }
  HostView host() const override { return host_value; }
  VcpuView vcpu(VcpuIndex vcpu) const override { return vcpus[vcpu.value]; }
  VcpuView vcpu_before(VcpuIndex vcpu) const override {
    return find_or(vcpus_before, vcpu, vcpus[vcpu.value]);
  }
  std::optional<Pfn> host_page(std::uint64_t page) const override {
    const auto found = host_pages.find(page);
    return found == host_pages.end() ? std::nullopt : std::optional(found->second);
  }
  MapLevel direct_map_level(Pfn pfn) const override {
    return find_or(direct_map, pfn, MapLevel::k4K);
  }
  std::uint64_t frame_count() const override { return kFrames; }
  RmpView rmp(Pfn pfn) const override { return find_or(rmp_value, pfn, RmpView{.covered = true}); }
  /// One that is assigned, and that nobody has described, is firmware's.
  FrameView frame(Pfn pfn) const override {
    const RmpView head = rmp(pfn.align_down(kFramesPer2M));
    const bool in_large = head.assigned && head.page_size == PageSize::k2M;
    const FrameUse use = in_large || rmp(pfn).assigned ? FrameUse::kFirmware : FrameUse::kFree;
    return find_or(frames_value, pfn, FrameView{.use = use});
  }
  FrameAccounting frame_accounting() const override { return books; }
  const GmemView& gmem(GmemIndex gmem) const override { return gmems[gmem.value]; }
  GmemPageView gmem_page(GmemIndex gmem, std::uint64_t index) const override {
    return find_or(gmem_pages, std::pair{gmem, index}, GmemPageView{});
  }
  std::span<const BindingView> gmem_bindings(GmemIndex gmem) const override {
    return bindings[gmem.value];
  }
  const VmView& vm(VmIndex vm) const override { return vms[vm.value]; }
  std::span<const SlotView> slots(VmIndex vm) const override {
    return vm.value == 0 ? std::span<const SlotView>(slots_value) : std::span<const SlotView>();
  }
  bool is_private(VmIndex, Gfn gfn) const override {
    return std::ranges::any_of(private_spans,
                               [gfn](const GfnSpan& span) { return span.contains(gfn); });
  }
  AttributeView attribute(VmIndex vm, Gfn gfn) const override {
    constexpr std::uint64_t kPrivate = 8;
    const bool stored = is_private(vm, gfn);
    return find_or(odd_attributes, gfn,
                   AttributeView{.stored = stored, .value = stored ? kPrivate : 0});
  }
  GfnSpan next_private(VmIndex, const GfnSpan& within) const override {
    for (const GfnSpan& span : private_spans) {
      const GfnSpan part{std::max(span.first, within.first), std::min(span.end, within.end)};
      if (!part.empty()) return part;
    }
    return {within.end, within.end};
  }
  std::optional<Gfn> next_mixed(VmIndex, MapLevel level, const GfnSpan& within) const override {
    for (const auto& [at, gfn] : mixed) {
      if (at == level && within.contains(gfn)) return gfn;
    }
    return std::nullopt;
  }
  RootView root(VmIndex vm, std::uint32_t root) const override {
    return vm.value == 0 && root < roots.size() ? roots[root] : RootView{};
  }
  LeafView leaf(VmIndex, std::uint32_t root, Gfn gfn) const override {
    return covering(root == 0 ? leaves : leaves_of_root1, gfn);
  }
  std::optional<LeafAt> next_leaf(VmIndex vm, std::uint32_t root,
                                  const GfnSpan& within) const override {
    if (vm.value != 0) return std::nullopt;
    const std::map<Gfn, LeafView>& all = root == 0 ? leaves : leaves_of_root1;
    const LeafView first = covering(all, within.first);
    if (first.present) return LeafAt{.gfn = within.first, .leaf = first};
    const auto at = all.lower_bound(within.first);
    if (at == all.end() || !within.contains(at->first)) return std::nullopt;
    return LeafAt{.gfn = at->first, .leaf = at->second};
  }
  std::uint32_t current_root(VcpuIndex) const override { return 0; }
  std::uint32_t previous_root(VcpuIndex) const override { return previous_root_value; }
  VmIndex vm_of(VcpuIndex vcpu) const override { return vm_of_vcpu[vcpu.value]; }
  VmsaView vmsa(VcpuIndex vcpu) const override { return vmsas[vcpu.value]; }
  PscView psc(VcpuIndex vcpu) const override { return pscs[vcpu.value]; }
  std::span<const TranslationView> translations() const override { return translations_value; }
  bool has_td() const override { return std::ranges::any_of(tds, &TdView::exists); }
  TdView td(VmIndex vm) const override { return tds[vm.value]; }
  TdView td_before(VmIndex vm) const override { return find_or(tds_before, vm, td(vm)); }
  std::uint32_t td_epoch_of(VcpuIndex vcpu) const override { return td_epochs[vcpu.value]; }
  SeptView sept(VmIndex vm, Gfn gfn) const override {
    return find_or(septs, std::pair{vm, gfn}, SeptView{});
  }
  std::optional<SeptAt> sept_of(Pfn pfn) const override {
    for (const auto& [at, entry] : septs) {
      if (!entry.is_free() && entry.pfn == pfn)
        return SeptAt{.vm = at.first, .gfn = at.second, .entry = entry};
    }
    return std::nullopt;
  }
  std::optional<SeptAt> next_sept(VmIndex vm, const GfnSpan& within) const override {
    for (const auto& [at, entry] : septs) {
      if (at.first == vm && within.contains(at.second) && !entry.is_free())
        return SeptAt{.vm = vm, .gfn = at.second, .entry = entry};
    }
    return std::nullopt;
  }
  std::span<const Pfn> occupied_frames() const override {
    occupied_.clear();
    for (const auto& [pfn, entry] : rmp_value) occupied_.push_back(pfn);
    for (const auto& [pfn, frame] : frames_value) {
      if (!rmp_value.contains(pfn)) occupied_.push_back(pfn);
    }
    std::ranges::sort(occupied_);
    return occupied_;
  }

 private:
  static constexpr std::uint64_t kNumber = kNeverCollected;

  void collect(Facts& facts) const override {
    facts.step = &step_value;
    facts.outcome = &outcome_value;
    facts.ran_ops = ran_value;
    facts.events = &events_value;
    facts.progress = progress_value;
  }
  /// What a change has now is what the maps say when it is asked for.
  void collect(Changes& changes) const override {
    frame_changes_now_ = frame_changes_value;
    for (FrameChange& change : frame_changes_now_) {
      change.rmp_now = rmp(change.pfn);
      change.rmp_changed = change.rmp_before != change.rmp_now;
      change.now = frame(change.pfn);
    }
    leaf_changes_now_ = leaf_changes_value;
    for (LeafChange& change : leaf_changes_now_) {
      change.now = leaf(change.vm, change.root, change.gfn);
      change.address_space = root(change.vm, change.root).address_space;
      change.slot = slot_at(slots(change.vm), change.address_space, change.gfn);
    }
    changes.frames = frame_changes_now_;
    changes.gmem_pages = gmem_page_changes_value;
    changes.leaves = leaf_changes_now_;
    changes.attributes = attribute_changes_value;
    changes.septs = sept_changes_value;
    changes.gmems = 0;
    for (unsigned i = 0; i < kMaxGmems; ++i) {
      changes.gmems |= gmems[i] != gmems_before[i] ? 1U << i : 0;
    }
    changes.vms = slots_before_value ? 1 : 0;
    for (const auto& [vm, before] : vms_before) changes.vms |= 1U << vm.value;
  }

  template <class Op>
  static sluice::Op as_variant(const Op& op) {
    return op;
  }
  /// A leaf is kept at its first GFN.
  static LeafView covering(const std::map<Gfn, LeafView>& all, Gfn gfn) {
    const auto next = all.upper_bound(gfn);
    if (next == all.begin()) return {};
    const auto& [first, leaf] = *std::prev(next);
    const std::uint64_t offset = (gfn - first).value;
    if (offset >= frames_in(leaf.level)) return {};
    LeafView found = leaf;
    found.pfn = leaf.pfn + PageCount{offset};
    return found;
  }
  template <class Map, class Key, class Value>
  static Value find_or(const Map& map, const Key& key, Value otherwise) {
    const auto found = map.find(key);
    return found == map.end() ? otherwise : static_cast<Value>(found->second);
  }
  mutable std::vector<Pfn> occupied_;
  mutable std::vector<FrameChange> frame_changes_now_;
  mutable std::vector<LeafChange> leaf_changes_now_;
};

}  // namespace sluice::testing
