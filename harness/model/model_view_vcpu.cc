// The view of vCPUs and of the host region.
#include "model/host/ap_creation.h"
#include "model/model_view.h"

namespace sluice::model {
namespace {

VcpuView view_of(const Vcpu& vcpu) {
  return {.exists = vcpu.exists,
          .vm = vcpu.vm,
          .ran = vcpu.ran,
          .smm = vcpu.smm,
          .guest_mode = vcpu.guest_mode != GuestMode::kNone,
          .nested_paging = vcpu.guest_mode == GuestMode::kNested,
          .phys_addr_bits = vcpu.phys_addr_bits};
}

}  // namespace

void ModelView::note_vcpu(const Journal::Entry& entry, std::size_t i) const {
  const Vcpu& vcpu = k_->vcpus[i];
  VcpuView& before = vcpus_before_[i];
  if ((vcpus_touched_ >> i & 1) == 0) {
    vcpus_touched_ |= 1U << i;
    before = view_of(vcpu);
  }
  const void* const at = entry.address();
  const auto old = static_cast<std::uint8_t>(entry.old_value);
  if (at == &vcpu.exists) before.exists = old != 0;
  if (at == &vcpu.vm) before.vm = {old};
  if (at == &vcpu.ran) before.ran = old != 0;
  if (at == &vcpu.smm) before.smm = old != 0;
  if (at == &vcpu.guest_mode) {
    before.guest_mode = GuestMode{old} != GuestMode::kNone;
    before.nested_paging = GuestMode{old} == GuestMode::kNested;
  }
  if (at == &vcpu.phys_addr_bits) before.phys_addr_bits = old;
}

VcpuView ModelView::vcpu(VcpuIndex index) const { return view_of(k_->vcpu(index)); }

VcpuView ModelView::vcpu_before(VcpuIndex index) const {
  build();
  return (vcpus_touched_ >> index.value & 1) != 0 ? vcpus_before_[index.value] : vcpu(index);
}

VmsaView ModelView::vmsa(VcpuIndex index) const {
  const Vcpu& vcpu = k_->vcpu(index);
  if (!vcpu.exists) return {};
  return {.starts = vcpu.sev.ap.named != ApReset::kNone,
          .named = named_vmsa(vcpu),
          .held = held_vmsa(vcpu)};
}

std::optional<Pfn> ModelView::host_page(std::uint64_t page) const {
  if (page >= kHostRegionPages || !k_->host_pages[page].present()) return std::nullopt;
  return k_->host_pages[page].pfn();
}

}  // namespace sluice::model
