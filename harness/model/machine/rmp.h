// The Reverse Map table and the instructions of the host that change it (rmp.md 2-4; APM vol.
// 2 15.36, vol. 3). Left out: the segmented layout (same semantics), the lock bit 63 and the
// sub-page count of bits 3-11, which only firmware and other processors' timing could show; that
// the RMP's own memory cannot be written, since no sequence has its address; of the pages in use
// (rmp.md 6) all but VMSAs: VMCBs, VM_HSAVE_PA, AVIC's.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "base/reserved_array.h"
#include "model/machine/journal.h"
#include "model/machine/rmp_entry.h"
#include "model/planted.h"
#include "ops/fields.h"
#include "trace/view.h"

namespace sluice::model {

/// RMPUPDATE's 16-byte record (rmp.md 2; Linux struct rmp_state), as the host asks for it.
struct RmpRecord {
  std::uint64_t gpa = 0;
  PageSize page_size = PageSize::k4K;
  bool assigned = false;
  bool immutable = false;
  std::uint32_t asid = 0;
};

/// What firmware (the AMD-SP) answers; values of the SEV-SNP firmware ABI.
enum class FirmwareStatus : std::uint8_t {
  kSuccess = 0,
  kInvalidPageSize = 0x19,
  kInvalidPageState = 0x1a,
  kInvalidPageOwner = 0x1c
};

/// A flat array of entries, one per host frame. A live 2 MiB entry is its head; the 511 slots
/// behind it are stored as hypervisor entries and read as assigned to ASID 0 (RU9). Pre for all:
/// none beyond what the refusals check. Thread: compatible.
class Rmp {
 public:
  /// Pre: frame_count is a multiple of 512. The journal must be the one of every later call: its
  /// undo keeps the block counters.
  static Expected<Rmp> open(std::uint64_t frame_count, Journal& journal);

  // Instructions; each returns kOk or the reason of its refusal, and changes nothing when it
  // refuses.

  /// RMPUPDATE.  Post: rmp.md 4.2 row 9 with RU4.  Fails: rmpupdate.*  Cost: O(1).
  Check update(Journal& journal, std::uint64_t spa, const RmpRecord& record);
  /// PSMASH.  Post: 512 entries of 4 KiB, gpa spread, everything else copied (RU6).  Fails:
  /// psmash.*  Cost: 512 writes.
  Check smash(Journal& journal, std::uint64_t spa);
  /// RMPREAD.  Fails: rmpread.*  On success `out` is the frame's own slot; bit 1 of its size is not
  /// modelled.
  Check read(std::uint64_t spa, RmpRecord& out) const;

  // Firmware: the only one that changes immutable entries (RU1).

  /// SNP_LAUNCH_UPDATE on one page: Pre-Guest becomes Guest-Valid.  Source: rmp.md 3;
  /// snp_host.md 7.
  FirmwareStatus firmware_launch_update(Journal& journal, Pfn pfn, bool vmsa);
  /// SNP_PAGE_RECLAIM: clears Immutable; Firmware, Context and Metadata become Reclaim.  Success
  /// without change if not immutable.
  FirmwareStatus firmware_reclaim(Journal& journal, Pfn pfn);
  /// SNP_GCTX_CREATE / SNP_DECOMMISSION: Firmware page to Context and back.
  FirmwareStatus firmware_create_context(Journal& journal, Pfn pfn);
  FirmwareStatus firmware_decommission(Journal& journal, Pfn pfn);
  /// SNP_INIT_EX's HV_FIXED list: a hypervisor page that nobody may assign until shutdown.  Pre:
  /// covered and unassigned.
  void firmware_fix(Journal& journal, Pfn pfn);

  // The processor's own marks: VMSA pages of a running vCPU (rmp.md 6).

  /// Pre: fewer than kMaxInUse marks.
  void mark_in_use(Journal& journal, Pfn pfn);
  void clear_in_use(Journal& journal, Pfn pfn);
  bool is_in_use(Pfn pfn) const;
  /// Some frame of the entry that covers this one is.  Pre: covered.
  bool covering_in_use(Pfn pfn) const;

  // Look-ups.

  std::uint64_t frame_count() const { return count_; }
  bool covers(Pfn pfn) const { return pfn.value < count_; }
  /// The frame's own slot as hardware reads it: inside a live 2 MiB entry {Assigned, ASID 0}.  Pre:
  /// covered.
  RmpEntry own(Pfn pfn) const;
  /// The entry that governs the frame: a live 2 MiB head, else its own slot.  Pre: covered.
  RmpEntry covering(Pfn pfn) const;
  /// Frame of the entry covering() returns.
  Pfn covering_frame(Pfn pfn) const;
  /// Hypervisor-owned in the sense of rmp.md 5 for an access through a mapping of this level: a 2
  /// MiB or 1 GiB mapping is checked as the 2 MiB piece that is touched.
  bool is_hypervisor_owned(Pfn pfn, MapLevel level) const;
  /// Frames of this frame's 2 MiB block whose slot reads Assigned.  Cost: O(1).
  std::uint64_t assigned_in_block(Pfn pfn) const;
  RmpView view(Pfn pfn) const;
  /// What view() would have said had these been the frame's own slot and its block's head.
  RmpView view_of(Pfn pfn, const RmpEntry& own_slot, const RmpEntry& head) const;

  /// Replaces the entry that governs a guest's page: the write half of PVALIDATE and RMPADJUST.
  /// Pre: entry came from covering().
  void write_covering(Journal& journal, Pfn pfn, const RmpEntry& entry);
  /// Index of the frame whose raw slot lies at `address`, for the touched set;
  /// frame_count() if none.
  std::uint64_t frame_at(const void* address) const {
    const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(address) -
                                  reinterpret_cast<std::uintptr_t>(tables_->slots.data());
    return offset < count_ * sizeof(RmpEntry) ? offset / sizeof(RmpEntry) : count_;
  }
  RmpEntry raw(Pfn pfn) const { return tables_->slots[pfn.value]; }

  // Other processors at work on the same entries (rmp.md 4.1): an obstacle, not a state of memory.

  /// After `wait` more, `left` RMPUPDATEs are refused with this code; PSMASH answers FAIL_INUSE
  /// only.
  struct Contention {
    RmpBusy code = RmpBusy::kInUse;
    std::uint8_t left = 0;
    std::uint8_t wait = 0;
  };
  void contend(Journal& journal, const Contention& contention);
  const Contention& contention() const { return contention_; }
  /// The next RMPUPDATE would be refused because somebody is at work in its 2 MiB (FAIL_OVERLAP).
  bool is_contended() const {
    return contention_.left != 0 && contention_.wait == 0 && contention_.code == RmpBusy::kOverlap;
  }
  /// That refusal, without the rest of the instruction. Pre: is_contended().
  void pass_contention(Journal& journal);

  static constexpr std::size_t kMaxInUse = 16;

 private:
  /// The two tables, apart so that the journal's undo can find them wherever the Rmp itself is
  /// moved.
  struct Tables {
    ReservedArray<RmpEntry> slots;
    ReservedArray<std::uint16_t>
        blocks;  // raw slots with Assigned set, per 2 MiB block: derived from `slots`
  };
  explicit Rmp(std::unique_ptr<Tables> tables)
      : count_(tables->slots.size()), tables_(std::move(tables)) {}
  static void undo(void* context, void* address, std::uint64_t old_low);

  bool block_in_use(Pfn head) const;
  bool has_fixed_sub_frame(Pfn head) const;
  bool meets(Journal& journal, RmpBusy code);
  Check refuse_obstacle(Journal& journal, Pfn pfn, PageSize page_size);
  Check refuse_4k(Pfn pfn) const;
  Check refuse_2m(Pfn head) const;
  void write(Journal& journal, Pfn pfn, const RmpEntry& entry);

  std::uint64_t count_;
  std::unique_ptr<Tables> tables_;
  std::array<std::uint64_t, kMaxInUse> in_use_{};  // frame + 1; 0 = free place
  std::uint64_t in_use_count_ = 0;
  Contention contention_{};
  /// in_use_count_ and what is left of the contention together: one question on the hot path.
  std::uint64_t obstacles_ = 0;
  std::uint64_t fixed_count_ = 0;
};

}  // namespace sluice::model
