// The book of acceptance, which R8 needs: a guest that accepts an address twice, or an owner who
// lets it be launched twice (the launch measurement shows both pages), has given up that the
// address has one frame, and the condition of R8 with it (invariants.md R8; snp_host.md 7, 10).
#pragma once
#include <array>
#include <cstdint>

#include "trace/view.h"

namespace sluice::oracle {

/// `count` pages of one guest's memory from `first`.
struct GuestPages {
  Asid asid{};
  Gfn first{};
  std::uint64_t count = 0;
  Gfn end() const { return first + PageCount{count}; }
};

/// The pages of a guest that an entry stands for: 512 at the head of a 2 MiB entry.
GuestPages guest_pages_of(const RmpView& entry);
inline bool is_guest_page(const RmpView& entry) { return entry.validated && !entry.vmsa; }
inline bool is_same_guest_page(const RmpView& one, const RmpView& other) {
  return one.asid == other.asid && one.gpa == other.gpa;
}

/// A set of guest pages, as ranges that do not overlap. Fixed room. Cost: linear in the ranges.
class GuestPageSet {
 public:
  static constexpr std::size_t kRoom = 2 * kMaxOps;
  void clear() { count_ = 0; }
  bool empty() const { return count_ == 0; }
  bool overlaps(const GuestPages& pages) const;
  /// Pre: !overlaps(pages). False where there is no room.
  [[nodiscard]] bool add(const GuestPages& pages);
  /// Removes what of `pages` is in the set. False where there is no room for what is left.
  [[nodiscard]] bool remove(const GuestPages& pages);

 private:
  std::size_t count_ = 0;
  std::array<GuestPages, kRoom> ranges_{};
};

/// What guests have accepted, by PVALIDATE or by their launch, or take for accepted since a
/// conversion of theirs was done. Once an address of a guest was accepted twice, R8 does not
/// apply to that guest for the rest of the sequence; to none, once a set has no room. Thread:
/// compatible.
class AcceptanceBook {
 public:
  void clear();
  /// After every step. Cost: a walk over the changed frames of a step that accepted, or of any step
  /// while a launched page is in place.
  void note(const View& view);
  /// Is the book complete?
  bool has_room() const { return has_room_; }
  /// Was no address of this guest accepted twice?
  bool holds(Asid asid) const { return has_room_ && (twice_ >> bit_of(asid) & 1) == 0; }
  /// Has a guest accepted anything that it has not rescinded since?
  bool anything_accepted() const { return !accepted_.empty(); }
  /// Has this guest accepted the page, and not rescinded it since? Pre: holds(asid).
  bool is_accepted(Asid asid, Gfn gfn) const {
    return accepted_.overlaps({.asid = asid, .first = gfn, .count = 1});
  }

 private:
  void note_accepted(const View& view, const FrameChange& change);
  void note_gone(const View& view, const FrameChange& change);
  /// A guest whose conversion was done takes the whole range for accepted.
  void note_belief(const View& view);

  static constexpr unsigned bit_of(Asid asid) { return asid.value % 64; }
  void give_up(Asid asid) { twice_ |= std::uint64_t{1} << bit_of(asid); }

  bool has_room_ = true;
  std::uint64_t twice_ = 0;  // ASIDs whose R8 does not apply, by bit
  /// The guest's own knowledge: what it was launched with and what it has accepted, until it
  /// rescinds it. What the host does with the frames, the guest does not see.
  GuestPageSet accepted_;
  /// What a launch put in place, while the host still leaves it there. A launch of one of these is
  /// the owner's doing; a launch after the host took the page away must find the address free,
  /// whether or not the host took its frame back from the guest.
  GuestPageSet launched_;
};

}  // namespace sluice::oracle
