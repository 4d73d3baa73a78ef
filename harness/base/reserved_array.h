// A flat array over reserved, lazily backed address space: a terabyte machine's tables cost only
// what is touched.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "base/system_error.h"

namespace sluice {

/// `size()` elements, all zero at first; untouched pages take no memory. Elements never move.
/// Thread: compatible. Cost: open() is one mmap; indexing is a plain load.
template <class T>
requires std::is_trivially_copyable_v<T>
class ReservedArray {
 public:
  static Expected<ReservedArray> open(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return system_error("reserve address space for a table");
    ::madvise(at, bytes, MADV_NOHUGEPAGE);  // a huge page would back 2 MiB for one touched entry
    return ReservedArray(static_cast<T*>(at), count);
  }

  ReservedArray(ReservedArray&& other) noexcept
      : begin_(std::exchange(other.begin_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  ReservedArray& operator=(ReservedArray&& other) noexcept {
    std::swap(begin_, other.begin_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~ReservedArray() {
    if (begin_ != nullptr) ::munmap(begin_, count_ * sizeof(T));
  }

  std::size_t size() const { return count_; }
  T& operator[](std::size_t i) {
    SLUICE_DCHECK(i < count_);
    return begin_[i];
  }
  const T& operator[](std::size_t i) const {
    SLUICE_DCHECK(i < count_);
    return begin_[i];
  }
  T* data() { return begin_; }
  const T* data() const { return begin_; }

 private:
  ReservedArray(T* begin, std::size_t count) : begin_(begin), count_(count) {}
  T* begin_;
  std::size_t count_;
};

}  // namespace sluice
