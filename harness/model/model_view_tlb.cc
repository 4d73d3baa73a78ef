// The view of cached translations.
#include "model/model_view.h"

namespace sluice::model {
namespace {

TranslationView view_of(TranslationUse use, std::uint8_t vcpu, const Tlb::Entry& entry) {
  return {.use = use,
          .vcpu = {vcpu},
          .page = entry.page,
          .pfn = entry.pfn,
          .level = entry.level,
          .writable = entry.writable,
          .encrypted = entry.encrypted};
}

}  // namespace

std::span<const TranslationView> ModelView::translations() const {
  TranslationList& list = translations_;
  if (list.step != record_->number) {
    list.step = record_->number;
    list.count = 0;
    const auto add = [&list](const Tlb& tlb, TranslationUse use, std::uint8_t vcpu) {
      tlb.each(
          [&](const Tlb::Entry& entry) { list.entries[list.count++] = view_of(use, vcpu, entry); });
    };
    const Translations& all = k_->machine.tlbs;
    for (std::uint8_t i = 0; i < kMaxVcpus; ++i) add(all.guests[i], TranslationUse::kGuest, i);
    add(all.user, TranslationUse::kUser, 0);
    add(all.direct_map, TranslationUse::kDirectMap, 0);
  }
  return {list.entries.data(), list.count};
}

}  // namespace sluice::model
