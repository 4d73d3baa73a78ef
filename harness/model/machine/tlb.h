// Cached translations: what a processor may go on using after the tables it came from have changed,
// until it is told to forget it or forgets it itself. The worst that is allowed is modeled: what is
// cached is used, and only flushes and RMPUPDATE (rmp.md 4.2 row 10) take it away. Left out:
// capacity, but that a page can push out one whose number is equal modulo 8; caches of inner page
// table entries, which KVM's flushes cover as well; global and ASID-tagged entries, since each vCPU
// and each kind of host mapping has a set of its own.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <optional>

#include "model/machine/journal.h"
#include "ops/fields.h"

namespace sluice::model {

/// Translations of one address space on one processor. Thread: compatible. Cost: a look-up is three
/// compares; a change is journaled once a step.
class Tlb {
 public:
  static constexpr unsigned kEntries = 8;
  /// `page` is a GFN, or the number of a host page; `page` and `pfn` are the first of the entry's
  /// block. A write was checked, paging and ownership both, and passes unchecked from then on only
  /// where `writable`.
  struct Entry {
    std::uint64_t page = 0;
    Pfn pfn{};
    MapLevel level = MapLevel::k4K;
    bool writable = false;
    bool encrypted = false;  // the guest's C bit

    bool translates(std::uint64_t wanted) const { return wanted - page < frames_in(level); }
    bool covers(Pfn first, std::uint64_t frames) const {
      return first.value < pfn.value + frames_in(level) && pfn.value < first.value + frames;
    }
    /// The frame behind a page that it translates.
    Pfn frame_of(std::uint64_t wanted) const { return pfn + PageCount{wanted - page}; }
  };

  bool empty() const { return live_.value == 0; }
  std::optional<Entry> find(std::uint64_t page, bool encrypted = false) const {
    if (empty()) return std::nullopt;
    for (const MapLevel level : {MapLevel::k4K, MapLevel::k2M, MapLevel::k1G}) {
      const unsigned place = place_of(page, level);
      if (!holds(place, page, level)) continue;
      const Entry entry = entry_at(place);
      if (entry.encrypted == encrypted) return entry;
    }
    return std::nullopt;
  }
  /// Is the page translated by an entry of this level?  Cost: one compare.
  bool holds(std::uint64_t page, MapLevel level) const {
    return holds(place_of(page, level), page, level);
  }
  /// Remembers the translation of the whole block around the page of `entry`.
  void fill(Journal& journal, const Entry& entry);
  void flush(Journal& journal) { journal.set(live_, 0); }
  /// Forgets the guest's private translations, or all others.
  void drop_encrypted(Journal& journal, bool encrypted = true);
  /// Forgets what translates the page.
  void drop(Journal& journal, std::uint64_t page);
  /// Forgets what leads to one of these frames.
  void drop_frames(Journal& journal, Pfn first, std::uint64_t frames);
  /// Forgets what translates the page by an entry of this level.
  void drop_at(Journal& journal, std::uint64_t page, MapLevel level) {
    if (holds(page, level)) forget(journal, place_of(page, level));
  }

  /// visit(const Entry&) for what is cached, in the order of places.
  template <class Visit>
  void each(Visit&& visit) const {
    for (std::uint64_t left = live_.value; left != 0; left &= left - 1) {
      visit(entry_at(static_cast<unsigned>(std::countr_zero(left))));
    }
  }

 private:
  static constexpr std::uint64_t kWritable = 4, kEncrypted = 8, kLevelMask = 3;
  static constexpr unsigned kNumberShift = 4;

  static unsigned place_of(std::uint64_t page, MapLevel level) {
    return static_cast<unsigned>(page / frames_in(level)) % kEntries;
  }
  bool holds(unsigned place, std::uint64_t page, MapLevel level) const {
    const std::uint64_t block = page & ~(frames_in(level) - 1);
    const std::uint64_t word = block << kNumberShift | static_cast<std::uint64_t>(level);
    return is_live(place) && (pages_[place].value & ~(kWritable | kEncrypted)) == word;
  }
  bool is_live(unsigned place) const { return (live_.value >> place & 1) != 0; }
  Entry entry_at(unsigned place) const {
    const std::uint64_t word = pages_[place].value;
    return {.page = word >> kNumberShift,
            .pfn = {frames_[place].value},
            .level = static_cast<MapLevel>(word & kLevelMask),
            .writable = (word & kWritable) != 0,
            .encrypted = (word & kEncrypted) != 0};
  }
  void forget(Journal& journal, unsigned place) {
    journal.set(live_, live_.value & ~(std::uint64_t{1} << place));
  }

  Journal::Counter live_{};                         // bit = place that is in use
  std::array<Journal::Counter, kEntries> pages_{};  // bits 0-1 level, 2-3 flags, from 4 the page
  std::array<Journal::Counter, kEntries> frames_{};
};

/// Every set of the machine. Guests' are changed through fill_guest() and flush_guest(), so that
/// what happens a million times, RMPUPDATE of a frame that nobody has cached, costs three compares.
// Assumption: all threads of user space run on one processor, and so does the kernel, so that one
// set stands for each of the two kinds of host mapping; a flush reaches every processor anyway.
struct Translations {
  std::array<Tlb, kMaxVcpus> guests{};  // GFN to frame, of each vCPU
  Tlb user{};                           // user space: its pages to frames
  Tlb direct_map{};                     // the kernel's: frame to itself
  Journal::Counter filled{};            // bit = vCPU with something cached since its last flush

  void fill_guest(Journal& journal, VcpuIndex vcpu, const Tlb::Entry& entry) {
    guests[vcpu.value].fill(journal, entry);
    journal.set(filled, filled.value | std::uint64_t{1} << vcpu.value);
  }
  void flush_guest(Journal& journal, VcpuIndex vcpu) {
    guests[vcpu.value].flush(journal);
    journal.set(filled, filled.value & ~(std::uint64_t{1} << vcpu.value));
  }
  bool is_filled(VcpuIndex vcpu) const { return (filled.value >> vcpu.value & 1) != 0; }

  /// What RMPUPDATE does on every processor (rmp.md 4.2 row 10); the direct map has the first frame
  /// at this level.
  void forget_frames(Journal& journal, Pfn first, std::uint64_t frames, MapLevel level) {
    const bool mapped = frames > 1 || direct_map.holds(first.value, level);
    if (filled.value != 0 || !user.empty() || mapped) forget(journal, first, frames, level);
  }

 private:
  void forget(Journal& journal, Pfn first, std::uint64_t frames, MapLevel level);
};

}  // namespace sluice::model
