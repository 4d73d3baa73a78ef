// The undo journal: every change of model state goes through it. One mechanism gives reset (roll
// everything back), before-images (the first old value of a slot since a mark) and the touched set
// (the slots since a mark).
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "base/check.h"

namespace sluice::model {

/// Rules: all state that outlives an operation lives in memory that never moves, in trivially
/// copyable fields of at most 8 bytes, and is written by set() only. Pre: user-space addresses fit
/// 48 bits (x86-64, checked). Cost: one 16-byte store an entry, no allocation once the journal has
/// grown to the longest sequence. Thread: compatible.
class Journal {
 public:
  using Mark = std::size_t;

  struct Entry {
    std::uint64_t place = 0;  // address, and the size in bytes in bits 56-63
    std::uint64_t old_value = 0;
    void* address() const { return reinterpret_cast<void*>(place & kAddressMask); }
    std::size_t size() const { return place >> kSizeShift; }
  };

  template <class T>
  void set(T& slot, std::type_identity_t<T> value) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
    Entry entry{};
    const auto address = reinterpret_cast<std::uintptr_t>(&slot);
    SLUICE_DCHECK((address & ~kAddressMask) == 0);
    entry.place = address | (std::uint64_t{sizeof(T)} << kSizeShift);
    std::memcpy(&entry.old_value, &slot, sizeof(T));
    entries_.push_back(entry);
    slot = value;
  }

  Mark mark() const { return entries_.size(); }
  /// Entries since `from`, oldest first: the before-image of a slot is its first entry here.
  std::span<const Entry> since(Mark from) const { return std::span(entries_).subspan(from); }

  /// Undoes everything since `to`, newest first.
  void roll_back(Mark to) {
    SLUICE_CHECK(to <= entries_.size());
    while (entries_.size() > to) {
      const Entry& entry = entries_.back();
      std::memcpy(entry.address(), &entry.old_value, entry.size());
      entries_.pop_back();
    }
  }

  void reserve(std::size_t entries) { entries_.reserve(entries); }

 private:
  static constexpr unsigned kSizeShift = 56;
  static constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << 48) - 1;
  std::vector<Entry> entries_;
};

}  // namespace sluice::model
