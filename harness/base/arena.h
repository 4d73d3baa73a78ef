// Memory for coroutine frames: size classes over one block, so that a warm machine allocates
// nothing.
#pragma once
#include <array>
#include <cstddef>
#include <memory>

#include "base/check.h"

namespace sluice {

/// Freed blocks go on a list of their size class and are handed out again, last freed first. Frames
/// of one operation nest, operations of different actors interleave, so a bump pointer alone would
/// not do. Under ASan a freed block is poisoned. Thread: compatible. Cost: two pointer moves.
/// Exhaustion is a harness bug (limits are fixed, see the constants).
class Arena {
 public:
  static constexpr std::size_t kBytes = std::size_t{1} << 20;
  static constexpr std::size_t kClassBytes = 64;
  static constexpr std::size_t kClassCount = 128;  // largest block: 8 KiB

  Arena() : block_(std::make_unique<Block>()) {}

  void* take(std::size_t bytes);
  void give(void* at, std::size_t bytes);
  /// Blocks taken and not given back; 0 when nothing is in flight.
  std::size_t live() const { return live_; }

 private:
  struct Block {
    alignas(64) std::array<std::byte, kBytes> bytes;
  };
  static std::size_t class_of(std::size_t bytes) {
    const std::size_t cls = (bytes + kClassBytes - 1) / kClassBytes;
    SLUICE_CHECK(cls < kClassCount);
    return cls;
  }

  std::unique_ptr<Block> block_;
  std::size_t used_ = 0;
  std::size_t live_ = 0;
  std::array<void*, kClassCount> free_{};
};

}  // namespace sluice
