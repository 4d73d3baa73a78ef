// What user space can observe of the real kernel after a step: the answer, and whether it came. All
// else is "not observable" (trace/view.h): an invariant that needs it is counted as such, never as
// passed.
#pragma once
#include "trace/view.h"

namespace sluice::kvm {

/// Written by the backend, read by the oracle. Thread: compatible.
class KvmView final : public View {
 public:
  KvmView() : View(kNumber) {}
  bool observes(ViewField field) const override {
    return field == ViewField::kOutcome || field == ViewField::kProgress;
  }
  const SequenceHeader& header() const override { return header_; }
  const HostProfile& profile() const override { return profile_; }
  const Op* ran_op(ActorId actor) const override {
    return outcome_.skipped() || actor != step_.actor ? nullptr : &step_.op;
  }
  bool ran_alone() const override { return true; }

  const GmemView& gmem_before(GmemIndex) const override { return gmem_; }
  const VmView& vm_before(VmIndex) const override { return vm_; }
  std::span<const SlotView> slots_before(VmIndex) const override { return {}; }
  HostView host_before() const override { return {}; }
  HostView host() const override { return {}; }
  VcpuView vcpu_before(VcpuIndex) const override { return {}; }
  MapLevel direct_map_level(Pfn) const override { return MapLevel::k4K; }
  std::optional<Pfn> host_page(std::uint64_t) const override { return {}; }
  std::uint64_t frame_count() const override { return 0; }
  RmpView rmp(Pfn) const override { return {}; }
  FrameView frame(Pfn) const override { return {}; }
  FrameAccounting frame_accounting() const override { return {}; }
  const GmemView& gmem(GmemIndex) const override { return gmem_; }
  GmemPageView gmem_page(GmemIndex, std::uint64_t) const override { return {}; }
  std::span<const BindingView> gmem_bindings(GmemIndex) const override { return {}; }
  const VmView& vm(VmIndex) const override { return vm_; }
  std::span<const SlotView> slots(VmIndex) const override { return {}; }
  bool is_private(VmIndex, Gfn) const override { return false; }
  AttributeView attribute(VmIndex, Gfn) const override { return {}; }
  GfnSpan next_private(VmIndex, const GfnSpan&) const override { return {}; }
  std::optional<Gfn> next_mixed(VmIndex, MapLevel, const GfnSpan&) const override { return {}; }
  RootView root(VmIndex, std::uint32_t) const override { return {}; }
  LeafView leaf(VmIndex, std::uint32_t, Gfn) const override { return {}; }
  std::optional<LeafAt> next_leaf(VmIndex, std::uint32_t, const GfnSpan&) const override {
    return {};
  }
  std::uint32_t current_root(VcpuIndex) const override { return kNoRoot; }
  std::uint32_t previous_root(VcpuIndex) const override { return kNoRoot; }
  VmIndex vm_of(VcpuIndex) const override { return {}; }
  VcpuView vcpu(VcpuIndex) const override { return {}; }
  VmsaView vmsa(VcpuIndex) const override { return {}; }
  PscView psc(VcpuIndex) const override { return {}; }
  std::span<const TranslationView> translations() const override { return {}; }
  bool has_td() const override { return false; }
  TdView td(VmIndex) const override { return {}; }
  TdView td_before(VmIndex) const override { return {}; }
  std::uint32_t td_epoch_of(VcpuIndex) const override { return 0; }
  SeptView sept(VmIndex, Gfn) const override { return {}; }
  std::optional<SeptAt> sept_of(Pfn) const override { return {}; }
  std::optional<SeptAt> next_sept(VmIndex, const GfnSpan&) const override { return {}; }
  std::span<const Pfn> occupied_frames() const override { return {}; }

  void set_profile(const HostProfile& profile) { profile_ = profile; }
  void start(const SequenceHeader& header) { header_ = header; }
  void answer(const Step& step, const Outcome& outcome, bool hung) {
    step_ = step, outcome_ = outcome, hung_ = hung;
  }

 private:
  static constexpr std::uint64_t kNumber = kNeverCollected;

  void collect(Facts& facts) const override {
    facts.step = &step_;
    facts.outcome = &outcome_;
    facts.ran_ops = outcome_.skipped() ? 0 : std::uint64_t{1} << step_.op.index();
    facts.events = &events_;
    facts.progress.livelock = hung_;
  }
  void collect(Changes&) const override {}

  SequenceHeader header_{};
  HostProfile profile_{};
  Step step_{};
  Outcome outcome_{};
  EventLog events_{};  // stays empty: user space sees none
  VmView vm_{};        // so do these
  GmemView gmem_{};
  bool hung_ = false;
};

}  // namespace sluice::kvm
