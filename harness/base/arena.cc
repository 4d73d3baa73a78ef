#include "base/arena.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_ASAN 1
#endif
#endif
#ifdef SLUICE_ASAN
#include <sanitizer/asan_interface.h>
#define SLUICE_POISON(at, bytes) __asan_poison_memory_region(at, bytes)
#define SLUICE_UNPOISON(at, bytes) __asan_unpoison_memory_region(at, bytes)
#else
#define SLUICE_POISON(at, bytes) static_cast<void>(at)
#define SLUICE_UNPOISON(at, bytes) static_cast<void>(at)
#endif

namespace sluice {

void* Arena::take(std::size_t bytes) {
  const std::size_t cls = class_of(bytes);
  ++live_;
  if (void* const at = free_[cls]; at != nullptr) {
    SLUICE_UNPOISON(at, cls * kClassBytes);
    free_[cls] = *static_cast<void**>(at);
    return at;
  }
  SLUICE_CHECK(used_ + cls * kClassBytes <= kBytes);
  void* const at = &block_->bytes[used_];
  used_ += cls * kClassBytes;
  return at;
}

void Arena::give(void* at, std::size_t bytes) {
  const std::size_t cls = class_of(bytes);
  SLUICE_CHECK(live_ > 0);
  --live_;
  *static_cast<void**>(at) = free_[cls];
  free_[cls] = at;
  SLUICE_POISON(at, cls * kClassBytes);
}

}  // namespace sluice
