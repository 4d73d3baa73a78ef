#include "model/machine/tlb.h"

#include "model/planted.h"

namespace sluice::model {

void Tlb::fill(Journal& journal, const Entry& entry) {
  const std::uint64_t offset = entry.page & (frames_in(entry.level) - 1);
  const unsigned place = place_of(entry.page, entry.level);
  const std::uint64_t word = (entry.page - offset) << kNumberShift |
                             static_cast<std::uint64_t>(entry.level) |
                             (entry.writable ? kWritable : 0) | (entry.encrypted ? kEncrypted : 0);
  journal.set(pages_[place], word);
  journal.set(frames_[place], entry.pfn.value - offset);
  journal.set(live_, live_.value | std::uint64_t{1} << place);
}

void Tlb::drop(Journal& journal, std::uint64_t page) {
  for (const MapLevel level : {MapLevel::k4K, MapLevel::k2M, MapLevel::k1G}) {
    drop_at(journal, page, level);
  }
}

void Tlb::drop_encrypted(Journal& journal, bool encrypted) {
  for (std::uint64_t left = live_.value; left != 0; left &= left - 1) {
    const auto place = static_cast<unsigned>(std::countr_zero(left));
    if (entry_at(place).encrypted == encrypted) forget(journal, place);
  }
}

void Tlb::drop_frames(Journal& journal, Pfn first, std::uint64_t frames) {
  for (std::uint64_t left = live_.value; left != 0; left &= left - 1) {
    const auto place = static_cast<unsigned>(std::countr_zero(left));
    if (entry_at(place).covers(first, frames)) forget(journal, place);
  }
}

void Translations::forget(Journal& journal, Pfn first, std::uint64_t frames, MapLevel level) {
  std::uint64_t left = planted(Planted::kRmpUpdateKeepsGuestTranslations) ? 0 : filled.value;
  for (; left != 0; left &= left - 1) {
    guests[static_cast<std::size_t>(std::countr_zero(left))].drop_frames(journal, first, frames);
  }
  if (planted(Planted::kRmpUpdateKeepsHostTranslations)) return;
  if (!user.empty()) user.drop_frames(journal, first, frames);
  if (frames == 1) {
    direct_map.drop_at(journal, first.value, level);
  } else {
    direct_map.drop_frames(journal, first, frames);
  }
}

}  // namespace sluice::model
