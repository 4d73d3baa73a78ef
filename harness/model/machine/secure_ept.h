// The TDX module's books: TDs, the leaf entries of their secure EPTs, and the owner of each host
// frame (tdx.md 2, 6). The module's calls, with their preconditions, are in seamcall.h.
//
// Deviation: entries are of 4 KiB only, which is all that KVM maps (tdx.md 1).
// Deviation: pages of the secure EPT itself cost no host frame, and SEPT.ADD, which KVM calls on
// the way to a new leaf, always succeeds; that such a page exists shows in PAGE_SIZE_MISMATCH. Left
// out: the states for migration and debugging, and pages that a TD consists of itself.
#pragma once
#include <array>
#include <cstdint>

#include "base/reserved_array.h"
#include "model/machine/encryption.h"
#include "model/machine/journal.h"
#include "ops/fields.h"
#include "trace/view.h"

namespace sluice::model {

/// The SHARED bit of a TD's addresses, as a bit of a GFN.
/// Deviation: every TD has addresses of 48 bits, so that the bit is bit 47.
inline constexpr std::uint64_t kTdSharedGfn = std::uint64_t{1} << 35;

/// A leaf entry as one word. `epoch` of a blocked one: the first epoch of the TD in which nobody
/// can have its translation cached any more.
struct SeptEntry {
  static constexpr unsigned kEpochShift = 3, kFrameShift = 24;
  static constexpr std::uint64_t kEpochMask = (std::uint64_t{1} << (kFrameShift - kEpochShift)) - 1;
  std::uint64_t word = 0;

  static constexpr SeptEntry of(SeptState state, Pfn pfn, std::uint32_t epoch = 0) {
    return {static_cast<std::uint64_t>(state) | (epoch & kEpochMask) << kEpochShift |
            pfn.value << kFrameShift};
  }
  constexpr SeptState state() const { return static_cast<SeptState>(word & 7); }
  constexpr bool is_free() const { return state() == SeptState::kFree; }
  constexpr bool is_mapped() const { return state() == SeptState::kMapped; }
  constexpr bool is_pending() const { return state() == SeptState::kPending; }
  constexpr bool is_blocked() const {
    return state() == SeptState::kBlocked || state() == SeptState::kPendingBlocked;
  }
  constexpr std::uint32_t epoch() const {
    return static_cast<std::uint32_t>(word >> kEpochShift & kEpochMask);
  }
  constexpr Pfn pfn() const { return {word >> kFrameShift}; }
};

/// A TD's control structure.
struct Td {
  bool exists = false;
  bool finalized = false;
  bool sept_ve_disable = false;
  std::uint32_t epoch = 0;  // 1 at first
  std::uint32_t key = 0;    // of its KeyID: another one for each TD there ever was
  std::uint32_t pages_added = 0;
  std::uint32_t pages_measured = 0;
};

/// Other processors in the module's way (SeamcallContention).
struct SeamContention {
  std::uint8_t left = 0;
  std::uint8_t wait = 0;
};

/// State is public to the module's calls only by its methods; each change is journaled. A table of
/// 512 entries is made at its first entry and stays until its TD goes. Thread: compatible.
/// Cost: a look-up is two loads.
class SecureEpt {
 public:
  static Expected<SecureEpt> open(std::uint64_t frame_count);

  // TDs.
  void create(Journal& journal, VmIndex vm, bool sept_ve_disable);
  /// The TD's KeyID goes, and with it whatever its pages hold; every entry becomes free.
  void destroy(Journal& journal, VmIndex vm);
  const Td& td(VmIndex vm) const { return tds_[vm.value]; }
  Td& td(VmIndex vm) { return tds_[vm.value]; }
  bool any_td() const { return tds_[0].exists || tds_[1].exists; }
  MemoryKey key(VmIndex vm) const {
    constexpr std::uint64_t kOfTd = std::uint64_t{1} << 63;
    return {td(vm).exists ? kOfTd | td(vm).key : 0};
  }

  // Which TD each vCPU was last inside, as if it still were, and in which epoch; 0 if never.
  std::uint32_t epoch_of(VcpuIndex vcpu) const { return vcpus_[vcpu.value].epoch; }
  VmIndex td_of(VcpuIndex vcpu) const { return vcpus_[vcpu.value].vm; }
  void set_epoch(Journal& journal, VcpuIndex vcpu, VmIndex vm, std::uint32_t epoch) {
    journal.set(vcpus_[vcpu.value].vm, vm);
    journal.set(vcpus_[vcpu.value].epoch, epoch);
  }

  // Entries. A GFN beyond the private half has none: reads as free.
  SeptEntry entry(VmIndex vm, Gfn gfn) const {
    const std::uint32_t table = table_of(vm, gfn);
    return table == 0 ? SeptEntry{} : SeptEntry{entries_[place_of(table, gfn)]};
  }
  /// Pre: gfn is in the private half.  Keeps the owners of frames: PAMT.
  void set_entry(Journal& journal, VmIndex vm, Gfn gfn, SeptEntry entry);
  /// Some GFN of the 2 MiB around this one has had an entry: the walk ends at 4 KiB.
  bool has_table(VmIndex vm, Gfn gfn) const { return table_of(vm, gfn) != 0; }

  /// Whose frame it is, as the module has it on its books.
  struct Owner {
    bool owned = false;
    VmIndex vm{};
    Gfn gfn{};
  };
  Owner owner(Pfn pfn) const;

  /// The first GFN of [first, end) with an entry that is not free; `end` if there is none.
  Gfn next(VmIndex vm, Gfn first, Gfn end) const;

  const SeamContention& contention() const { return contention_; }
  void contend(Journal& journal, const SeamContention& contention);

  /// For the touched set: which entry lies at `address`, and what it was.
  struct At {
    bool found = false;
    VmIndex vm{};
    Gfn gfn{};
  };
  At find(const void* address) const;
  /// For the view: where the TDs are, in memory.
  const std::array<Td, kMaxVms>& tds() const { return tds_; }

 private:
  static constexpr std::size_t kMaxTables = std::size_t{1} << 16;  // beyond what a sequence maps
  static constexpr std::uint64_t kBlocks = kTdSharedGfn / kFramesPer2M;
  static constexpr std::uint64_t kOwned = 1;
  static constexpr unsigned kOwnerVmShift = 1, kOwnerGfnShift = 8;

  SecureEpt(ReservedArray<std::uint32_t> directory, ReservedArray<std::uint64_t> places,
            ReservedArray<std::uint64_t> entries, ReservedArray<std::uint64_t> owners)
      : directory_(std::move(directory)),
        places_(std::move(places)),
        entries_(std::move(entries)),
        owners_(std::move(owners)) {}

  static std::size_t block_of(VmIndex vm, Gfn gfn) {
    return vm.value * kBlocks + gfn.value / kFramesPer2M;
  }
  static std::size_t place_of(std::uint32_t table, Gfn gfn) {
    return std::size_t{table} * kFramesPer2M + gfn.value % kFramesPer2M;
  }
  std::uint32_t table_of(VmIndex vm, Gfn gfn) const {
    return gfn.value < kTdSharedGfn ? directory_[block_of(vm, gfn)] : 0;
  }
  void disown(Journal& journal, VmIndex vm, Gfn gfn, Pfn pfn);

  ReservedArray<std::uint32_t> directory_;  // [vm][2 MiB block]: table, 0 = none
  ReservedArray<std::uint64_t> places_;     // [table]: VM and first GFN, as an owner
  ReservedArray<std::uint64_t> entries_;    // [table][512]
  ReservedArray<std::uint64_t> owners_;     // [frame]: the PAMT
  std::uint32_t next_table_ = 1;
  std::uint32_t next_key_ = 1;
  std::array<Td, kMaxVms> tds_{};
  struct Inside {
    VmIndex vm{};
    std::uint32_t epoch = 0;
  };
  std::array<Inside, kMaxVcpus> vcpus_{};
  SeamContention contention_{};
};

}  // namespace sluice::model
