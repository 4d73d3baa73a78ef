// The books of contents, which C2, C3 and C6 need: what guests wrote to their private memory, and
// which of their pages were taken from them (invariants.md J). Written from what ran and what was
// answered; what memory holds meanwhile, no book knows.
#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "oracle/acceptance.h"
#include "oracle/conditions.h"
#include "trace/view.h"

namespace sluice::oracle {

/// Whose key applies to an access: the guest's own, where that is an SNP guest and the access has
/// the C bit or is a fetch, or a TD, and the access is private.
std::optional<Asid> key_of(const View& view, VcpuIndex vcpu, const GuestAccess& access);

/// What user space itself does to memory in an operation.
struct UserAccess {
  AccessKind kind = AccessKind::kRead;
  std::uint64_t token = 0;  // of a write
  constexpr bool writes() const { return kind == AccessKind::kWrite; }
};
std::optional<UserAccess> user_access_of(const Op& op);

/// The tokens that were written to private memory, and nowhere else (C2). Thread: compatible.
class PrivateTokens {
 public:
  void clear() { count_ = 0; }
  /// After every step. Cost: a mask; a search where a guest or the host wrote.
  void note(const View& view);
  /// Nobody but a guest, to its private memory, has written this token.
  bool is_private(std::uint64_t token) const;

 private:
  struct Written {
    std::uint64_t token = 0;
    bool in_public = false;
  };
  void add(std::uint64_t token, bool in_public);

  static constexpr std::size_t kRoom = kMaxOps;  // an operation writes one token at most
  std::size_t count_ = 0;
  std::array<Written, kRoom> written_{};
};

/// What each SNP guest or TD wrote last to its pages, since it accepted them (C3). Thread:
/// compatible.
class WrittenPages {
 public:
  void clear() { count_ = 0; }
  /// After every step. Cost: a mask; a walk over changed entries where something is known.
  void note(const View& view, bool rmp_changed);
  bool empty() const { return count_ == 0; }
  /// The token that the page must have; none where nobody knows.
  std::optional<std::uint64_t> token_of(Asid asid, Gfn gfn) const;

 private:
  struct Page {
    Asid asid{};
    Gfn gfn{};
    std::uint64_t token = 0;
  };
  void forget(const GuestPages& pages);
  void note_accepted_by_td(const View& view);

  std::size_t count_ = 0;
  std::array<Page, kMaxOps> pages_{};  // a write knows one page
};

/// Pages that a guest had accepted and that the host took away, contents and all, until they are
/// accepted anew (C6). Thread: compatible.
class LostPages {
 public:
  void clear() { holds_ = true, lost_.clear(); }
  /// After every step that changed entries. Cost: a walk over them.
  void note(const View& view);
  bool empty() const { return lost_.empty(); }
  bool is_lost(Asid asid, Gfn gfn) const {
    return holds_ && lost_.overlaps({.asid = asid, .first = gfn, .count = 1});
  }

 private:
  void note_loss(const View& view, const FrameChange& change);

  bool holds_ = true;  // false: there was no room
  GuestPageSet lost_;
};

struct ContentBooks {
  BindingBook bindings;
  PrivateTokens tokens;
  WrittenPages written;
  LostPages lost;

  void clear() { bindings.clear(), tokens.clear(), written.clear(), lost.clear(); }
  void note(const View& view, bool rmp_changed) {
    tokens.note(view);
    written.note(view, rmp_changed);
    if (rmp_changed) lost.note(view);
  }
};

}  // namespace sluice::oracle
