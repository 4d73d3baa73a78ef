// What two conditional rows must remember of earlier steps: where pages of files were shown (N11),
// and which access of a vCPU met a page of the other kind (X7). R8's book is in acceptance.h.
#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "trace/view.h"

namespace sluice::oracle {

/// At which GFNs user space has shown each page that a file has, since the page came. A page that
/// it has shown at two may still have a frame that carries the first address, which nobody checks
/// (snp_host.md 3 row 3), and N11 does not apply to it until it comes anew. Thread: compatible.
class BindingBook {
 public:
  void clear() { count_ = 0, has_room_ = true; }
  /// After every step. Cost: a walk over bindings after a change of slots, and over pages that came
  /// where a file was bound twice.
  void note(const View& view);
  /// Was the page behind the slot's GFN never shown at another one?
  bool is_at_one_gfn(const SlotView& slot, Gfn gfn) const;

 private:
  struct Bound {
    GmemIndex gmem{};
    std::uint64_t first = 0;
    std::uint64_t end = 0;
    std::uint64_t gfn_minus_index = 0;  // modulo 2^64

    bool has(GmemIndex file, std::uint64_t index) const {
      return gmem == file && index >= first && index < end;
    }
  };
  static Bound bound_of(const SlotView& slot);
  void forget(GmemIndex gmem);
  void note_binding(const Bound& bound);
  void note_came(const View& view, GmemIndex gmem, std::uint64_t index);
  bool add(const Bound& bound);

  static constexpr std::size_t kRoom = 2 * kMaxOps;
  std::array<Bound, kRoom> bound_{};
  std::size_t count_ = 0;
  bool has_room_ = true;  // false: the book is no longer complete
};

/// The last access of each vCPU that ended in KVM_EXIT_MEMORY_FAULT because the page was of the
/// other kind. Thread: compatible.
class MismatchBook {
 public:
  void clear() { last_ = {}; }
  /// After every step, and after its rows were judged.
  void note(const View& view);
  /// The step repeats such an access, and user space has made the page what the exit asked for.
  bool was_helped(const View& view) const;

 private:
  struct Mismatch {
    VmIndex vm{};
    Gfn gfn{};   // of the access
    Gfn page{};  // that the exit named: without the SHARED bit that the access may have
    bool c_bit = false;
    bool fetches = false;  // as if with the C bit
    bool wants_private = false;
  };
  std::array<std::optional<Mismatch>, kMaxVcpus> last_{};
};

/// The step ended in KVM_EXIT_MEMORY_FAULT because access and page are of different kinds.
bool is_mismatch(const View& view);

}  // namespace sluice::oracle
