// What happened inside an operation, in order. Events say where to look; the oracle judges by
// state.
#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "base/units.h"

namespace sluice {

enum class EventKind : std::uint8_t {
  kRmpUpdate,         // a = pfn, b = frames
  kRmpUpdateRefused,  // a = pfn, b = frames: of the host's own helpers
  kRmpUpdateOverlap,  // a = pfn, b = frames: that was for FAIL_OVERLAP
  kPsmash,            // a = pfn of the head
  kPsmashRefused,     // a = pfn of the head: of the host's own helper
  kFrameAllocated,    // a = pfn, b = frames
  kFrameFreed,        // a = pfn, b = frames
  kFrameLeaked,       // a = pfn
  kArchInvalidate,    // a = pfn: gmem_invalidate reset this frame to the hypervisor
  kCacheFlush,        // a = pfn, b = frames
  kInvalidateBegin,   // vm: mmu_invalidate_in_progress was raised
  kInvalidateRange,   // a = first gfn, b = last gfn + 1, vm: added to what faults stay out of
  kInvalidateSlots,   // a = slots found at the begin, b = at the end, a bit each, vm
  kInvalidateEnd,     // a = new sequence number, vm
  kZap,               // a = first gfn, b = frames, vm
  kTlbFlush,          // vm
  kMap,               // a = gfn, b = sequence number that the fault had read, vm
  kMapMmio,           // a = gfn, vm: an MMIO entry was written
  kNpf,               // a = gfn, b = EXITINFO1, vm
  kExitToUser,        // a = reason, vm
  kRetry,             // a = gfn, vm: the fault path started over
  kDirectMapSplit,    // a = first pfn of the 2 MiB block
  kSeptBlock,         // a = gfn, b = pfn, vm: TDH.MEM.RANGE.BLOCK
  kSeptTrack,         // a = the TD's new epoch, vm: TDH.MEM.TRACK
  kSeptRemove,        // a = gfn, b = pfn, vm: TDH.MEM.PAGE.REMOVE
  kTdFinalized,       // vm: TDH.MR.FINALIZE
  kWriteProtect,      // vm: leaves of a slot, for its dirty log
};

struct Event {
  EventKind kind{};
  std::uint8_t vm = 0;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
};

/// The events of one step. Fixed room; a longer operation notes the kinds that it could not keep,
/// so that nobody mistakes the list for complete: rows that read events do not judge such a step.
/// What is refused has room of its own, since few of these explain much of what follows. Cost: a
/// store. Thread: compatible.
class EventLog {
 public:
  static constexpr std::size_t kCapacity =
      8192;  // a conversion of 2 MiB in 4 KiB pages makes some 3,200
  void add(Event event) {
    kinds_ |= bit(event.kind);
    if (count_ < kCommonRoom || (count_ < kCapacity && is_refusal(event.kind))) {
      events_[count_++] = event;
    } else {
      dropped_kinds_ |= bit(event.kind);
    }
  }
  void clear() { count_ = 0, kinds_ = 0, dropped_kinds_ = 0; }
  /// Whether there was one of this kind.
  bool has(EventKind kind) const { return (kinds_ & bit(kind)) != 0; }
  std::span<const Event> events() const { return {events_.data(), count_}; }
  /// Whether all were kept.
  bool is_complete() const { return dropped_kinds_ == 0; }
  /// Whether some of this kind were not kept.
  bool lacks(EventKind kind) const { return (dropped_kinds_ & bit(kind)) != 0; }

  static constexpr std::size_t kRoomOfRefusals = 256;

 private:
  static constexpr std::size_t kCommonRoom = kCapacity - kRoomOfRefusals;
  static constexpr bool is_refusal(EventKind kind) {
    return kind == EventKind::kRmpUpdateRefused || kind == EventKind::kRmpUpdateOverlap ||
           kind == EventKind::kPsmashRefused;
  }
  static constexpr std::uint64_t bit(EventKind kind) {
    return std::uint64_t{1} << static_cast<unsigned>(kind);
  }

  std::size_t count_ = 0;
  std::uint64_t kinds_ = 0;
  std::uint64_t dropped_kinds_ = 0;
  std::array<Event, kCapacity> events_;
};

}  // namespace sluice
