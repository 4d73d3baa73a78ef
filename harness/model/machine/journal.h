// The undo journal: every change of model state goes through it. One mechanism gives reset (roll
// everything back), before-images (the first old value of a slot since a mark) and the touched set
// (the slots since a mark).
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "base/check.h"
#include "base/reserved_array.h"

namespace sluice::model {

/// Rules: all state that outlives an operation lives in memory that never moves, in trivially
/// copyable fields of at most 8 bytes, and is written by set() only. Pre: user-space addresses fit
/// 48 bits (x86-64, checked). Cost: one 16-byte store an entry, into reserved address space, so
/// never an allocation. Thread: compatible.
class Journal {
 public:
  using Mark = std::size_t;
  static constexpr std::size_t kCapacity =
      std::size_t{1} << 27;  // 2 GiB of address space; entries never used cost nothing

  struct Entry {
    std::uint64_t place =
        0;  // address, the size in bytes in bits 56-62, bit 63: others derive from this slot
    std::uint64_t old_value = 0;
    void* address() const { return reinterpret_cast<void*>(place & kAddressMask); }
    std::size_t size() const { return place >> kSizeShift & 0x7f; }
  };

  static Expected<Journal> open() {
    auto entries = ReservedArray<Entry>::open(kCapacity);
    if (!entries) return std::unexpected(entries.error());
    return Journal(std::move(*entries));
  }

  /// Told of every undone slot that was written by set_with_derived(), before it gets its old value
  /// back.
  struct Derived {
    void* context = nullptr;
    void (*undo)(void* context, void* address, std::uint64_t old_value) = nullptr;
  };

  /// As set(), for a slot from which something cheaper to adjust than to journal is derived (a
  /// count of assigned frames). Pre: derive() was called, and the caller adjusts what is derived
  /// itself now.
  void set_with_derived(std::uint64_t& slot, std::uint64_t value) {
    entries_.data()[count_++] = {.place = reinterpret_cast<std::uintptr_t>(&slot) | kDerivedBit |
                                          (sizeof(std::uint64_t) << kSizeShift),
                                 .old_value = slot};
    slot = value;
  }
  void derive(Derived derived) { derived_ = derived; }

  template <class T>
  void set(T& slot, std::type_identity_t<T> value) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
    const auto address = reinterpret_cast<std::uintptr_t>(&slot);
    SLUICE_DCHECK((address & ~kAddressMask) == 0);
    SLUICE_DCHECK(count_ < kCapacity);
    std::uint64_t old_value = 0, new_value = 0;
    std::memcpy(&old_value, &slot, sizeof(T));
    std::memcpy(&new_value, &value, sizeof(T));
    if (old_value == new_value) return;  // one write in five: nothing to undo, nothing touched
    entries_.data()[count_++] = {.place = address | (std::uint64_t{sizeof(T)} << kSizeShift),
                                 .old_value = old_value};
    slot = value;
  }

  /// A counter that changes many times in one operation. Only its first change since the last mark
  /// is journaled, which is all that undoing and before-images need. `value` comes first, so that
  /// its address is the counter's.
  struct Counter {
    std::uint64_t value = 0;
    std::uint64_t epoch = 0;  // of its last entry here; no state
  };
  void add(Counter& counter, std::int64_t change) {
    if (change == 0) return;  // would leave no entry: not the first change of its epoch
    const std::uint64_t now = counter.value + static_cast<std::uint64_t>(change);
    if (counter.epoch == epoch_) {
      counter.value = now;
    } else {
      counter.epoch = epoch_;
      set(counter.value, now);
    }
  }
  void set(Counter& counter, std::uint64_t value) {
    add(counter, static_cast<std::int64_t>(value - counter.value));
  }

  /// Where the journal is; roll_back(mark()) later returns to the state of now. Starts a new epoch
  /// for counters.
  Mark mark() {
    ++epoch_;
    return count_;
  }
  /// Entries so far.
  std::size_t size() const { return count_; }
  /// Entries since `from`, oldest first: the before-image of a slot is its first entry here.
  std::span<const Entry> since(Mark from) const { return {entries_.data() + from, count_ - from}; }

  /// Undoes everything since `to`, newest first.
  void roll_back(Mark to) {
    SLUICE_CHECK(to <= count_);
    ++epoch_;
    // Positions are kept in registers: what is undone could, for all the compiler knows, be them.
    const Entry* const end = entries_.data() + to;
    const Entry* entry = entries_.data() + count_;
    count_ = to;
    while (entry != end) {
      --entry;
      const std::uint64_t tag = entry->place >> kSizeShift;
      if (tag == sizeof(std::uint64_t)) {  // by far the most
        std::memcpy(entry->address(), &entry->old_value, sizeof(std::uint64_t));
        continue;
      }
      if ((entry->place & kDerivedBit) != 0)
        derived_.undo(derived_.context, entry->address(), entry->old_value);
      restore(*entry);
    }
  }

  /// Forgets the past: what is now becomes what roll_back(0) returns to. For benchmarks that run
  /// longer than a sequence.
  void commit() {
    ++epoch_;
    count_ = 0;
  }

 private:
  explicit Journal(ReservedArray<Entry> entries) : entries_(std::move(entries)) {}
  /// By size, so that each copy is one store and no call.
  static void restore(const Entry& entry) {
    void* const at = entry.address();
    switch (entry.size()) {
      case 8:
        std::memcpy(at, &entry.old_value, 8);
        break;
      case 4:
        std::memcpy(at, &entry.old_value, 4);
        break;
      case 2:
        std::memcpy(at, &entry.old_value, 2);
        break;
      case 1:
        std::memcpy(at, &entry.old_value, 1);
        break;
      default:
        std::memcpy(at, &entry.old_value, entry.size());
    }
  }
  static constexpr unsigned kSizeShift = 56;
  static constexpr std::uint64_t kDerivedBit = std::uint64_t{1} << 63;
  static constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << 48) - 1;
  ReservedArray<Entry> entries_;
  std::size_t count_ = 0;
  std::uint64_t epoch_ = 1;
  Derived derived_{};
};

}  // namespace sluice::model
