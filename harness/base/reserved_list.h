// A list over reserved address space: as a vector whose capacity was reserved for the worst case,
// but lazily backed, so that adding never allocates, moves or takes another path than before.
#pragma once
#include <cstddef>
#include <span>
#include <utility>

#include "base/reserved_array.h"

namespace sluice {

/// At most `capacity` elements. Memory once touched stays. A warm and a cold list run the same
/// instructions.
/// Thread: compatible. Cost: add() is one store.
template <class T>
class ReservedList {
 public:
  static Expected<ReservedList> open(std::size_t capacity) {
    auto elements = ReservedArray<T>::open(capacity);
    if (!elements) return std::unexpected(elements.error());
    return ReservedList(std::move(*elements));
  }

  /// Pre: fewer elements than the capacity.
  void add(const T& element) { elements_[count_++] = element; }
  void clear() { count_ = 0; }
  std::size_t size() const { return count_; }
  /// Pre: i < size().
  T& operator[](std::size_t i) { return elements_[i]; }
  const T& operator[](std::size_t i) const { return elements_[i]; }
  T* begin() { return elements_.data(); }
  T* end() { return elements_.data() + count_; }
  const T* begin() const { return elements_.data(); }
  const T* end() const { return elements_.data() + count_; }

 private:
  explicit ReservedList(ReservedArray<T> elements) : elements_(std::move(elements)) {}
  ReservedArray<T> elements_;
  std::size_t count_ = 0;
};

}  // namespace sluice
