// The view of a vCPU's page state change.
#include "model/model_view.h"

namespace sluice::model {

/// Asked of few steps and of few vCPUs, so what was before is looked up instead of kept.
PscView ModelView::psc(VcpuIndex vcpu) const {
  const PscState& psc = k_->vcpu(vcpu).psc;
  PscView out{.started = psc.requests != 0,
              .open = psc.open,
              .exit_pending = psc.exit_pending,
              .written_by_others = psc.written_by_others,
              .begun_by_others = psc.begun_by_others,
              .batch_size = psc.batch_size,
              .touched = psc.touched,
              .version = {psc.version},
              .scratch = {psc.scratch},
              .header_at_start = psc.at_start.header(),
              .header_before = psc.buffer.header(),
              .header = psc.buffer.header()};
  if (!out.started) return out;
  const auto entries = k_->machine.journal.since(record_->mark);
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (entry->address() == &psc.requests) out.began_in_step = true;
    if (entry->address() == psc.buffer.words.data()) out.header_before = {entry->old_value};
  }
  if (out.began_in_step) out.header_before = out.header_at_start;
  constexpr auto entries_in = [](const PscBuffer& buffer) {
    return std::span(buffer.words).subspan(1, buffer.used > 0 ? buffer.used - 1u : 0u);
  };
  out.entries_at_start = entries_in(psc.at_start);
  out.entries = entries_in(psc.buffer);
  out.exits = {psc.exits.data(), psc.exit_count};
  return out;
}

}  // namespace sluice::model
