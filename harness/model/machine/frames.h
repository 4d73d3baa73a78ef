// Host frames: who uses each, what is at its start, and the allocator that hands them out. The
// allocator is deterministic: the frame freed last is handed out first, fresh memory comes in
// rising order; fresh blocks of 1 GiB come from the other end.
#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "base/reserved_array.h"
#include "model/machine/journal.h"
#include "trace/view.h"

namespace sluice::model {

/// Thread: compatible. Cost: O(1) each, journaled.
class Frames {
 public:
  /// The first frames belong to the host itself and are never handed out, so that frame 0 cannot be
  /// mistaken for "none".
  static constexpr std::uint64_t kFirstUsable = kFramesPer2M;

  static Expected<Frames> open(std::uint64_t frame_count);

  struct Owner {
    FrameUse use = FrameUse::kFree;
    GmemIndex gmem{};         // kGmem
    std::uint64_t index = 0;  // page of the file or of the host region
  };

  /// A free 4 KiB frame; nothing if the machine is full. The caller zeroes: contents and RMP state
  /// are as the last user left them.
  std::optional<Pfn> allocate(Journal& journal, const Owner& owner);
  /// As allocate(), but never a frame that begins a 2 MiB block (Linux snp_safe_alloc_page_node()).
  /// Cost: O(such frames released last).
  std::optional<Pfn> allocate_unaligned(Journal& journal, const Owner& owner);
  /// As many consecutive fresh frames as a page of this level has, aligned to their number; frame i
  /// gets owner.index + i. Cost: O(frames).
  std::optional<Pfn> allocate_block(Journal& journal, const Owner& owner, MapLevel level);
  /// Pre: in use.  Post: free, and the next one allocate() returns; a leaked or poisoned one is out
  /// of use instead.
  void release(Journal& journal, Pfn pfn);
  /// Takes a frame out of use for good (snp_leak_pages): at once, or, where it is a page of a file,
  /// when that lets go of it.
  void leak(Journal& journal, Pfn pfn);

  /// SetPageHWPoison(): the frame has failed, and is out of use once whoever has it lets go.
  void poison(Journal& journal, Pfn pfn) {
    journal.set(words_[pfn.value], words_[pfn.value] | kPoisoned);
  }

  Owner owner(Pfn pfn) const;
  std::uint64_t content(Pfn pfn) const { return contents_[pfn.value]; }
  void set_content(Journal& journal, Pfn pfn, std::uint64_t token) {
    if (contents_[pfn.value] != token) journal.set(contents_[pfn.value], token);
  }
  FrameView view(Pfn pfn) const { return view_of(words_[pfn.value], contents_[pfn.value]); }
  static FrameView view_of(std::uint64_t word, std::uint64_t content) {
    return {.use = static_cast<FrameUse>(word & kUseMask),
            .leaked = (word & kLeaked) != 0,
            .poisoned = (word & kPoisoned) != 0,
            .gmem = {static_cast<std::uint8_t>(word >> kGmemShift & kGmemMask)},
            .index = word >> kIndexShift,
            .content = content};
  }
  FrameAccounting accounting() const;
  std::uint64_t frame_count() const { return words_.size(); }

  // For the touched set: the frame whose word (or content) lies at `address`; frame_count() if
  // none.
  std::uint64_t frame_of_word(const void* address) const { return index_in(words_, address); }
  std::uint64_t frame_of_content(const void* address) const { return index_in(contents_, address); }
  std::uint64_t word(Pfn pfn) const { return words_[pfn.value]; }

 private:
  static constexpr std::uint64_t kUseMask = 0x7;
  static constexpr std::uint64_t kLeaked = 0x8;
  static constexpr unsigned kGmemShift = 4;
  static constexpr std::uint64_t kGmemMask = 0x3f;
  static_assert(kMaxGmems <= kGmemMask);
  static constexpr std::uint64_t kPoisoned = 0x800;
  static constexpr unsigned kIndexShift = 12;

  Frames(ReservedArray<std::uint64_t> words, ReservedArray<std::uint64_t> contents,
         ReservedArray<std::uint64_t> free_stack);

  static std::uint64_t pack(const Owner& owner);
  static std::uint64_t index_in(const ReservedArray<std::uint64_t>& array, const void* address) {
    const std::uintptr_t offset =
        reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(array.data());
    return offset < array.size() * sizeof(std::uint64_t) ? offset / sizeof(std::uint64_t)
                                                         : array.size();
  }
  std::optional<Pfn> next_fresh(Journal& journal);
  std::optional<Pfn> fresh_block(Journal& journal, MapLevel level);
  void push_free(Journal& journal, Pfn pfn);
  void take(Journal& journal, Pfn pfn, const Owner& owner);
  void count(Journal& journal, FrameUse from, FrameUse to);

  ReservedArray<std::uint64_t>
      words_;  // bits 0-2 use, 3 leaked, 4-9 gmem, 11 poisoned, 12-63 index
  ReservedArray<std::uint64_t> contents_;    // bytes at the start of the page, encryption.h
  ReservedArray<std::uint64_t> free_stack_;  // frames released
  Journal::Counter free_top_{};
  Journal::Counter next_in_block_{.value = kFirstUsable};  // next fresh 4 KiB frame
  std::uint64_t block_end_ = kFirstUsable;                 // end of the block it lies in
  std::uint64_t next_block_ = kFirstUsable;                // next fresh 2 MiB block
  std::uint64_t fresh_end_ = 0;  // end of the fresh blocks; those of 1 GiB are taken from there
  std::array<Journal::Counter, 6> by_use_{};
};

}  // namespace sluice::model
