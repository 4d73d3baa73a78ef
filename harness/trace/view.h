// What a checker may see of a backend after a step: the state now, the before-image of what the
// step touched, and where it touched. The model answers all of it; the real kernel answers what
// user space can observe and says "not observable" for the rest, which makes an invariant's row
// "not observable", counted, never a pass.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "ops/sequence.h"
#include "trace/event.h"
#include "trace/host_profile.h"
#include "trace/outcome.h"

namespace sluice {

enum class ViewField : std::uint8_t {
  kOutcome,
  kRmp,
  kFrames,
  kContents,
  kGmem,
  kSlots,
  kVms,
  kLeaves,
  kAttributes,
  kEvents,
  kProgress,
  kPsc,
  kHost,
  kTranslations,
  kTd
};
inline constexpr std::size_t kViewFieldCount = 15;

/// A decoded RMP entry of one 4 KiB frame. Inside a live 2 MiB entry every frame reads as what the
/// head covers: gpa advanced, page_size 2M, is_head false.
struct RmpView {
  bool covered = false;
  bool assigned = false;
  bool validated = false;
  bool immutable = false;
  bool vmsa = false;
  bool in_use = false;
  bool is_head = true;
  PageSize page_size = PageSize::k4K;
  Asid asid{};
  Gpa gpa{};
  std::array<std::uint8_t, kVmplCount> vmpl_mask{};
  friend bool operator==(const RmpView&, const RmpView&) = default;
};

/// Who holds a host frame.
enum class FrameUse : std::uint8_t { kFree, kGmem, kHostUser, kFirmware, kVmsa, kLeaked };
struct FrameView {
  FrameUse use = FrameUse::kFree;
  bool leaked = false;        // never to be used again, once whoever has it lets go
  bool poisoned = false;      // the same for a frame that has failed
  GmemIndex gmem{};           // kGmem
  std::uint64_t index = 0;    // kGmem: page index in the file; kHostUser: page of the host region
  std::uint64_t content = 0;  // the start of the page as memory has it: as the host reads it
  friend bool operator==(const FrameView&, const FrameView&) = default;
};

/// One guest_memfd. After the last close it has pages only while these are being freed; `open` is
/// the descriptor.
struct GmemView {
  bool open = false;
  VmIndex vm{};
  std::uint64_t page_count = 0;
  std::uint64_t flags = 0;
  std::uint64_t resident_pages = 0;
  friend bool operator==(const GmemView&, const GmemView&) = default;
};
struct GmemPageView {
  bool present = false;
  bool uptodate = false;
  Pfn pfn{};
  std::uint32_t references = 0;   // 1 = page cache only
  bool user_mapped = false;       // user space has it mapped (from 6.17)
  bool poisoned = false;          // its frame has failed: nobody gets it any more
  std::uint64_t folio_pages = 1;  // of its folio, whose pages come into use together
  friend bool operator==(const GmemPageView&, const GmemPageView&) = default;
};

/// Pages [first, first + count) of a guest_memfd are bound to a slot of its VM.
struct BindingView {
  std::uint8_t address_space = 0;
  std::uint16_t slot = 0;  // id
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  friend bool operator==(const BindingView&, const BindingView&) = default;
};

/// The slot of KVM's own that has the APIC-access page (APIC_ACCESS_PAGE_PRIVATE_MEMSLOT), and
/// where.
inline constexpr std::uint16_t kApicAccessSlot = 32765;
inline constexpr Gfn kApicGfn{0xfee00};

struct SlotView {
  VmIndex vm{};
  std::uint8_t address_space = 0;
  std::uint16_t id = 0;
  std::uint32_t flags = 0;
  bool invalid = false;  // being deleted or moved
  Gfn base{};
  PageCount page_count{};
  HostVa hva{};
  GmemRef gmem{};  // kNone also where the file was closed under the slot
  std::uint64_t gmem_page_offset = 0;
  bool gmem_only = false;  // KVM_MEMSLOT_GMEM_ONLY: shared pages come from the file, too
};

/// GFNs [first, end).
struct GfnSpan {
  Gfn first{};
  Gfn end{};
  constexpr bool empty() const { return first >= end; }
  constexpr bool contains(Gfn gfn) const { return gfn >= first && gfn < end; }
  constexpr bool overlaps(const GfnSpan& other) const {
    return first < other.end && other.first < end;
  }
};
constexpr GfnSpan span_of(const SlotView& slot) {
  return {.first = slot.base, .end = slot.base + slot.page_count};
}

/// The slot of the address space that has the GFN; null if none has.
constexpr const SlotView* slot_at(std::span<const SlotView> slots, std::uint8_t address_space,
                                  Gfn gfn) {
  for (const SlotView& slot : slots) {
    if (slot.address_space == address_space && span_of(slot).contains(gfn)) return &slot;
  }
  return nullptr;
}

struct VmView {
  bool exists = false;  // the VM structure lives (the descriptor may be closed)
  bool open = false;
  bool dead = false;
  VmType type = VmType::kDefault;
  bool slot_zap_all = false;  // the quirk: deleting a slot zaps every leaf
  std::uint32_t life = 0;     // VMs of this index that were destroyed: another number, another VM
  std::uint32_t users = 0;    // reference count
  std::uint32_t vcpu_count = 0;
  Asid asid{};
  bool launching = false;  // the guest context exists: LAUNCH_START succeeded
  bool launched = false;   // LAUNCH_FINISH succeeded (pre_fault_allowed)
  std::uint64_t invalidate_seq = 0;
  std::int64_t invalidate_in_progress = 0;
  GfnSpan invalidate_range{};  // faults stay out of it while invalidate_in_progress; empty: unset
  std::array<std::uint64_t, 2> generation{};  // of the memslots, by address space
  std::uint32_t root_count = 0;               // valid ones
  bool apicv_active = false;  // processors virtualize the VM's APICs: its APIC-access page is used
};
inline constexpr std::uint64_t kGenerationUpdateInProgress = std::uint64_t{1} << 63;

/// What user space can tell of a vCPU's own state: its mode, and what its CPUID is fixed by.
struct VcpuView {
  bool exists = false;
  VmIndex vm{};
  bool ran = false;            // entered its guest once
  bool smm = false;            // in system management mode
  bool guest_mode = false;     // runs a guest of its guest (L2)
  bool nested_paging = false;  // L2 is paged by KVM's shadow of L1's nested page tables
  std::uint8_t phys_addr_bits = 0;
  friend bool operator==(const VcpuView&, const VcpuView&) = default;
};

/// The VMSAs of a vCPU of an SNP guest (snp_host.md 8).
struct VmsaView {
  bool starts = false;         // the last AP creation that KVM applied asked that it run
  std::optional<Pfn> named{};  // by its VMCB
  std::optional<Pfn> held{};   // by the processor, since it last entered its guest
};

/// What the attribute store holds for a GFN. Shared pages are to have no entry at all.
struct AttributeView {
  bool stored = false;
  std::uint64_t value = 0;
};

/// A root of nested page tables; vCPUs of equal role share one. An invalid one lives on until the
/// last vCPU lets go of it.
struct RootView {
  bool used = false;
  bool valid = false;
  std::uint8_t address_space = 0;
  bool mirror = false;      // KVM's copy of a TD's secure EPT: private GFNs only
  bool guest_mode = false;  // for L2, under page tables that L1 makes
};

/// A leaf of the nested page tables; absent leaves have present = false.
struct LeafView {
  bool present = false;
  bool mmio = false;
  bool writable = false;
  bool accessed = false;
  bool dirty = false;
  MapLevel level = MapLevel::k4K;
  Pfn pfn{};  // of this gfn, also inside a huge leaf
  friend bool operator==(const LeafView&, const LeafView&) = default;
};
/// A leaf and its first GFN inside what was asked for.
struct LeafAt {
  Gfn gfn{};
  LeafView leaf{};
};

// Changes of one step, each place named once, with its value before the step; of frames and leaves
// also the value now, which most invariants ask for. rmp_changed: rmp_before and rmp_now differ.
struct FrameChange {
  Pfn pfn{};
  bool rmp_changed = false;
  RmpView rmp_before{};
  RmpView rmp_now{};
  FrameView before{};
  FrameView now{};
};
struct GmemPageChange {
  GmemIndex gmem{};
  std::uint64_t index = 0;
  GmemPageView before{};
};
struct LeafChange {
  VmIndex vm{};
  std::uint32_t root = 0;
  std::uint8_t address_space = 0;  // of the root
  Gfn gfn{};
  const SlotView* slot = nullptr;  // that has the GFN now; null if none
  LeafView before{};
  LeafView now{};  // what translates the GFN now, at whatever level
  /// It came, went, or got another frame or level; else only its bits changed.
  bool is_remapped() const {
    return before.present != now.present || before.mmio != now.mmio || before.pfn != now.pfn ||
           before.level != now.level;
  }
};
struct AttributeChange {
  VmIndex vm{};
  Gfn first{};
  PageCount count{};
  bool was_private = false;
};

/// State of a leaf entry of a secure EPT (tdx.md 2).
/// * free: no page. Reached at first, and by PAGE.REMOVE.
/// * pending: a page that the guest has not accepted (PAGE.AUG).
/// * mapped: the guest's page (PAGE.ADD, ACCEPT).
/// * blocked, pending_blocked: of these two, those for which no translation is made any more.
enum class SeptState : std::uint8_t { kFree, kPending, kMapped, kBlocked, kPendingBlocked };
struct SeptView {
  SeptState state = SeptState::kFree;
  Pfn pfn{};                  // unless free
  std::uint64_t content = 0;  // of a page: what its guest would read there
  constexpr bool is_free() const { return state == SeptState::kFree; }
};
struct SeptAt {
  VmIndex vm{};
  Gfn gfn{};
  SeptView entry{};
};
/// An entry that the step changed. What a page held before is not told: `before.content` is 0.
struct SeptChange {
  VmIndex vm{};
  Gfn gfn{};
  SeptView before{};
  SeptView now{};
};
/// A TD, as the TDX module has it; `premapped` is KVM's count of pages mapped and not yet added.
struct TdView {
  bool exists = false;
  bool finalized = false;
  std::uint32_t epoch = 0;           // rises with every TRACK
  std::uint32_t pages_added = 0;     // by PAGE.ADD
  std::uint32_t pages_measured = 0;  // by MR.EXTEND, of a whole page
  std::uint32_t premapped = 0;
};

/// Frames by use; the sum of all but `total` is `total` when every frame has exactly one owner.
struct FrameAccounting {
  std::uint64_t total = 0;
  std::array<std::uint64_t, 6> by_use{};  // indexed by FrameUse
};

/// An exit of a page state change to user space, in pages of 4 KiB.
struct PscExit {
  Gfn first{};
  std::uint64_t count = 0;
  bool to_private = false;
  bool granted = false;  // user space answered hypercall.ret = 0
  friend bool operator==(const PscExit&, const PscExit&) = default;
};
/// A vCPU's page state change by its GHCB: the one under way, or else the last one.
struct PscView {
  bool started = false;            // there has been one that got as far as its buffer
  bool began_in_step = false;      // in the step just applied
  bool open = false;               // it is not over
  bool exit_pending = false;       // user space has an exit of it and has not answered
  bool written_by_others = false;  // somebody but the kernel wrote its buffer meanwhile
  bool begun_by_others = false;    // or before it began, since its guest filled it
  std::uint16_t batch_size = 0;    // entries that KVM counts as under way (psc_inflight)
  std::uint16_t touched = 0;       // highest index of an entry that KVM read or wrote, plus one
  GhcbVersion version{};
  GhcbScratch scratch{};        // where the buffer starts
  PscHeader header_at_start{};  // as the guest left it
  PscHeader header_before{};    // before the step, or as the guest left it where that is later
  PscHeader header{};
  std::span<const std::uint64_t> entries_at_start{};  // those not listed are 0
  std::span<const std::uint64_t> entries{};
  std::span<const PscExit> exits{};  // in order
};

/// A translation that a processor has cached.
enum class TranslationUse : std::uint8_t { kGuest, kUser, kDirectMap };
/// The pages of user space by number: the host region's first, then those of guest_memfds.
constexpr std::uint64_t user_page_of(GmemIndex gmem, std::uint64_t index) {
  constexpr std::uint64_t kPagesPerFile = std::uint64_t{1} << 52;
  return kPagesPerFile * (gmem.value + 1u) + index;
}
struct TranslationView {
  TranslationUse use = TranslationUse::kGuest;
  VcpuIndex vcpu{};        // kGuest
  std::uint64_t page = 0;  // kGuest: the first GFN; kUser: as numbered; kDirectMap: a frame
  Pfn pfn{};               // of that page
  MapLevel level = MapLevel::k4K;
  bool writable = false;   // a write passes without another look at page tables or RMP
  bool encrypted = false;  // kGuest: of accesses with the C bit
};

/// What the host kernel counts about SNP, and whether it lives.
struct HostView {
  std::uint64_t direct_map_splits = 0;  // pages of 1 GiB and 2 MiB split since the start
  std::uint64_t leaked_pages = 0;
  bool dead = false;  // took a fatal RMP fault
  Pfn fatal_frame{};  // of that fault
  friend bool operator==(const HostView&, const HostView&) = default;
};

/// Liveness, as the scheduler saw it.
struct ProgressView {
  bool deadlock = false;
  bool livelock = false;
  bool known_upstream = false;  // the modelled kernel version is known to do this
  std::uint32_t in_flight = 0;  // actors parked or blocked after this step
  bool had_company = false;     // somebody else ran since the operation that the step ran was begun
};

/// References and spans hold until the next step.
class View {
 public:
  virtual ~View() = default;
  virtual bool observes(ViewField field) const = 0;

  // What ran.
  virtual const SequenceHeader& header() const = 0;
  virtual const HostProfile& profile() const = 0;
  const Step& step() const { return *facts().step; }           // the step just applied
  const Outcome& outcome() const { return *facts().outcome; }  // its answer
  /// Bit i: an operation of type i ran in this step (resume and draining run others).
  std::uint64_t ran_ops() const { return facts().ran_ops; }
  /// The operation that this actor ran in the step, begun in it or resumed; null if it ran none.
  virtual const Op* ran_op(ActorId actor) const = 0;
  /// Exactly one actor ran: what changed in the step is its doing.
  virtual bool ran_alone() const = 0;
  const EventLog& events() const { return *facts().events; }
  const ProgressView& progress() const { return facts().progress; }

  // Changes of the step.
  std::span<const FrameChange> frame_changes() const { return changes().frames; }
  std::span<const GmemPageChange> gmem_page_changes() const { return changes().gmem_pages; }
  std::span<const LeafChange> leaf_changes() const { return changes().leaves; }
  std::span<const AttributeChange> attribute_changes() const { return changes().attributes; }
  std::span<const SeptChange> sept_changes() const { return changes().septs; }
  /// Guest_memfds (bit = index) whose own fields changed in the step.
  std::uint32_t changed_gmems() const { return changes().gmems; }
  virtual const GmemView& gmem_before(GmemIndex gmem) const = 0;
  /// VMs (bit = index) whose own fields or slots changed in the step.
  std::uint32_t changed_vms() const { return changes().vms; }
  virtual const VmView& vm_before(
      VmIndex vm) const = 0;  // root_count and apicv_active are those of now
  virtual std::span<const SlotView> slots_before(VmIndex vm) const = 0;
  virtual HostView host_before() const = 0;
  virtual VcpuView vcpu_before(VcpuIndex vcpu) const = 0;

  // State now.
  virtual std::uint64_t frame_count() const = 0;
  virtual RmpView rmp(Pfn pfn) const = 0;
  virtual FrameView frame(Pfn pfn) const = 0;
  virtual FrameAccounting frame_accounting() const = 0;
  virtual HostView host() const = 0;
  virtual MapLevel direct_map_level(Pfn pfn) const = 0;
  /// The frame behind a page of the host region; none where nobody has touched it, or it is
  /// unmapped.
  virtual std::optional<Pfn> host_page(std::uint64_t page) const = 0;
  virtual const GmemView& gmem(GmemIndex gmem) const = 0;
  virtual GmemPageView gmem_page(GmemIndex gmem, std::uint64_t index) const = 0;
  virtual std::span<const BindingView> gmem_bindings(GmemIndex gmem) const = 0;  // in any order
  virtual const VmView& vm(VmIndex vm) const = 0;
  virtual std::span<const SlotView> slots(VmIndex vm) const = 0;
  virtual bool is_private(VmIndex vm, Gfn gfn) const = 0;
  virtual AttributeView attribute(VmIndex vm, Gfn gfn) const = 0;
  /// The first private GFNs inside `within`, cut to it; empty if there are none.
  virtual GfnSpan next_private(VmIndex vm, const GfnSpan& within) const = 0;
  /// The first GFN of the first block of this level that begins in `within` and is marked mixed
  /// (bit 31 of disallow_lpage; its low bits follow from the slot alone, so no view shows them).
  virtual std::optional<Gfn> next_mixed(VmIndex vm, MapLevel level,
                                        const GfnSpan& within) const = 0;
  /// `root` is below kMaxRoots.
  virtual RootView root(VmIndex vm, std::uint32_t root) const = 0;
  virtual LeafView leaf(VmIndex vm, std::uint32_t root, Gfn gfn) const = 0;
  /// The first present leaf or current MMIO entry that overlaps `within`.
  virtual std::optional<LeafAt> next_leaf(VmIndex vm, std::uint32_t root,
                                          const GfnSpan& within) const = 0;
  virtual std::uint32_t current_root(
      VcpuIndex vcpu) const = 0;  // root of the vCPU's MMU, kNoRoot if none is loaded
  virtual std::uint32_t previous_root(
      VcpuIndex vcpu) const = 0;  // that it keeps to come back to, or kNoRoot
  virtual VmIndex vm_of(VcpuIndex vcpu) const = 0;
  virtual VcpuView vcpu(VcpuIndex vcpu) const = 0;
  virtual VmsaView vmsa(VcpuIndex vcpu) const = 0;
  virtual PscView psc(VcpuIndex vcpu) const = 0;
  /// What all processors have cached. Cost: of the entries.
  virtual std::span<const TranslationView> translations() const = 0;

  // TDs. An entry's state now is asked for by GFN, by frame, or in turn.
  virtual bool has_td() const = 0;  // some VM is a TD; if none is, there is nothing to ask for
  virtual TdView td(VmIndex vm) const = 0;
  virtual TdView td_before(VmIndex vm) const = 0;
  /// The epoch in which a vCPU was last inside its TD; 0 if it never was.
  virtual std::uint32_t td_epoch_of(VcpuIndex vcpu) const = 0;
  virtual SeptView sept(VmIndex vm, Gfn gfn) const = 0;
  /// The entry for which the TDX module has the frame on its books; none if it has it for none.
  virtual std::optional<SeptAt> sept_of(Pfn pfn) const = 0;
  /// The first entry inside `within` that is not free.
  virtual std::optional<SeptAt> next_sept(VmIndex vm, const GfnSpan& within) const = 0;

  // Whole state, for audits: frames that are assigned, in use or owned, in rising order; every
  // other frame is free and hypervisor-owned.
  virtual std::span<const Pfn> occupied_frames() const = 0;

  static constexpr std::uint32_t kNoRoot = 0xffffffff;
  static constexpr std::uint32_t kMaxRoots = 12;  // of a VM, invalid ones included

 protected:
  // What nearly every row asks is collected once a step. `number` is the step that it is of.
  struct Facts {
    std::uint64_t number = 0;
    const Step* step = nullptr;
    const Outcome* outcome = nullptr;
    std::uint64_t ran_ops = 0;
    const EventLog* events = nullptr;
    ProgressView progress{};
  };
  struct Changes {
    std::uint64_t number = 0;
    std::span<const FrameChange> frames{};
    std::span<const GmemPageChange> gmem_pages{};
    std::span<const LeafChange> leaves{};
    std::span<const AttributeChange> attributes{};
    std::span<const SeptChange> septs{};
    std::uint32_t gmems = 0;
    std::uint32_t vms = 0;
  };
  static constexpr std::uint64_t kNeverCollected = ~std::uint64_t{0};

  /// `number` tells steps apart and outlives the view. What was collected under another number is
  /// collected anew; of kNeverCollected, at each question.
  explicit View(const std::uint64_t& number) : number_(&number) {}
  virtual void collect(Facts& facts) const = 0;
  virtual void collect(Changes& changes) const = 0;

 private:
  const Facts& facts() const {
    if (facts_.number != *number_) collect(facts_);
    return facts_;
  }
  const Changes& changes() const {
    if (changes_.number != *number_) collect(changes_);
    return changes_;
  }

  const std::uint64_t* number_;
  mutable Facts facts_{};
  mutable Changes changes_{};
};

}  // namespace sluice
