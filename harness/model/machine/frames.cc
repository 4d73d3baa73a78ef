#include "model/machine/frames.h"

#include "model/planted.h"

namespace sluice::model {

std::uint64_t Frames::pack(const Owner& owner) {
  return static_cast<std::uint64_t>(owner.use) | std::uint64_t{owner.gmem.value} << kGmemShift |
         owner.index << kIndexShift;
}

Frames::Frames(ReservedArray<std::uint64_t> words, ReservedArray<std::uint64_t> contents,
               ReservedArray<std::uint64_t> free_stack)
    : words_(std::move(words)), contents_(std::move(contents)), free_stack_(std::move(free_stack)) {
  by_use_[static_cast<std::size_t>(FrameUse::kFree)].value = words_.size();
  fresh_end_ = words_.size();
}

Expected<Frames> Frames::open(std::uint64_t frame_count) {
  auto words = ReservedArray<std::uint64_t>::open(frame_count);
  if (!words) return std::unexpected(words.error());
  auto contents = ReservedArray<std::uint64_t>::open(frame_count);
  if (!contents) return std::unexpected(contents.error());
  auto free_stack = ReservedArray<std::uint64_t>::open(frame_count);
  if (!free_stack) return std::unexpected(free_stack.error());
  return Frames(std::move(*words), std::move(*contents), std::move(*free_stack));
}

Frames::Owner Frames::owner(Pfn pfn) const {
  const FrameView view = view_of(words_[pfn.value], 0);
  return {.use = view.use, .gmem = view.gmem, .index = view.index};
}

void Frames::count(Journal& journal, FrameUse from, FrameUse to) {
  journal.add(by_use_[static_cast<std::size_t>(from)], -1);
  journal.add(by_use_[static_cast<std::size_t>(to)], 1);
}

void Frames::take(Journal& journal, Pfn pfn, const Owner& owner) {
  SLUICE_DCHECK(words_[pfn.value] == 0);
  journal.set(words_[pfn.value], pack(owner));
  count(journal, FrameUse::kFree, owner.use);
}

/// The next frame that was never handed out, in rising order.
std::optional<Pfn> Frames::next_fresh(Journal& journal) {
  if (next_in_block_.value == block_end_) {
    const auto block = fresh_block(journal, MapLevel::k2M);
    if (!block) return std::nullopt;
    journal.set(next_in_block_, block->value);
    journal.set(block_end_, next_block_);
  }
  const Pfn pfn{next_in_block_.value};
  journal.add(next_in_block_, 1);
  return pfn;
}

void Frames::push_free(Journal& journal, Pfn pfn) {
  journal.set(free_stack_[free_top_.value], pfn.value);
  journal.add(free_top_, 1);
}

std::optional<Pfn> Frames::allocate(Journal& journal, const Owner& owner) {
  SLUICE_DCHECK(owner.use != FrameUse::kFree);
  std::optional<Pfn> pfn;
  if (free_top_.value > 0) {
    journal.add(free_top_, -1);
    pfn = Pfn{free_stack_[free_top_.value]};
  } else {
    pfn = next_fresh(journal);
  }
  if (pfn) take(journal, *pfn, owner);
  return pfn;
}

std::optional<Pfn> Frames::allocate_unaligned(Journal& journal, const Owner& owner) {
  for (std::uint64_t at = free_top_.value; at > 0; --at) {
    const std::uint64_t found = free_stack_[at - 1];
    if (Pfn{found}.is_aligned(kFramesPer2M)) continue;
    const std::uint64_t top = free_top_.value - 1;
    journal.set(free_stack_[at - 1], free_stack_[top]);
    journal.set(free_stack_[top], found);
    return allocate(journal, owner);
  }
  std::optional<Pfn> fresh = next_fresh(journal);
  if (fresh && fresh->is_aligned(kFramesPer2M)) {
    push_free(journal, *fresh);
    fresh = next_fresh(journal);  // the same block has more
  }
  if (fresh) take(journal, *fresh, owner);
  return fresh;
}

/// The next block that was never handed out: from the front, or from the back where it is 1 GiB.
/// What lies behind the last whole GiB is given up with the first of those.
std::optional<Pfn> Frames::fresh_block(Journal& journal, MapLevel level) {
  if (level == MapLevel::k1G) {
    const std::uint64_t end = fresh_end_ & ~(kFramesPer1G - 1);
    if (end < next_block_ + kFramesPer1G) return std::nullopt;
    journal.set(fresh_end_, end - kFramesPer1G);
    return Pfn{fresh_end_};
  }
  if (next_block_ == fresh_end_) return std::nullopt;
  const Pfn head{next_block_};
  journal.set(next_block_, next_block_ + kFramesPer2M);
  return head;
}

std::optional<Pfn> Frames::allocate_block(Journal& journal, const Owner& owner, MapLevel level) {
  const auto head = fresh_block(journal, level);
  if (!head) return std::nullopt;
  Owner each = owner;
  for (std::uint64_t i = 0; i < frames_in(level); ++i, ++each.index)
    take(journal, *head + PageCount{i}, each);
  return head;
}

void Frames::release(Journal& journal, Pfn pfn) {
  const FrameUse use = owner(pfn).use;
  SLUICE_CHECK(use != FrameUse::kFree);
  if (const std::uint64_t bad = words_[pfn.value] & (kLeaked | kPoisoned); bad != 0) {
    journal.set(words_[pfn.value], pack({.use = FrameUse::kLeaked}) | bad);
    return count(journal, use, FrameUse::kLeaked);
  }
  journal.set(words_[pfn.value], 0);
  count(journal, use, planted(Planted::kReleaseMiscounts) ? use : FrameUse::kFree);
  push_free(journal, pfn);
}

void Frames::leak(Journal& journal, Pfn pfn) {
  const FrameUse use = owner(pfn).use;
  SLUICE_CHECK(use != FrameUse::kFree);
  journal.set(words_[pfn.value], words_[pfn.value] | kLeaked);
  if (use != FrameUse::kGmem) release(journal, pfn);
}

FrameAccounting Frames::accounting() const {
  FrameAccounting books{.total = words_.size(), .by_use = {}};
  for (std::size_t use = 0; use < by_use_.size(); ++use) books.by_use[use] = by_use_[use].value;
  return books;
}

}  // namespace sluice::model
