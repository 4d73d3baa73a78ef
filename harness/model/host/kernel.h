// The host kernel's state as far as conversion and pre-map can see it: VMs, vCPUs, guest_memfds,
// memslots, attributes, nested page tables, and the host region that user space maps (kvm.md 1-7).
//
// State is public: the files of this folder are one kernel. Every field that outlives an operation
// is at most 8 bytes, never moves, and changes only through `machine.journal.set(field, value)`.
#pragma once
#include <array>
#include <cstdint>
#include <memory>

#include "model/host/node_pool.h"
#include "model/host/psc_state.h"
#include "model/host/sev_state.h"
#include "model/host/td_state.h"
#include "model/machine/machine.h"
#include "model/planted.h"
#include "ops/fields.h"
#include "trace/capability.h"
#include "trace/outcome.h"
#include "trace/view.h"

namespace sluice::model {

class Scheduler;

// Limits. A sequence has at most kMaxOps (64) operations, so 64 slots and bindings cannot run out
// by set_memory_region alone; beyond a limit a step is skipped (skip.limit).
inline constexpr unsigned kMaxSlotsPerVm = 64;
inline constexpr unsigned kMaxRootsPerVm =
    12;  // kvm.md 7: 6 valid ones, and 2 invalid ones of each vCPU that has not loaded a valid one
inline constexpr unsigned kMaxBindings = 64;  // per guest_memfd
inline constexpr unsigned kAddressSpaces = 2;
inline constexpr unsigned kMaxDetachedFolios = 16;
inline constexpr unsigned kMaxHeldFrames = 16;  // an actor holds at most one
/// Pages that one operation may allocate or map: 1 GiB. More is skipped before it begins.
inline constexpr std::uint64_t kMaxPagesPerOp = kFramesPer1G;
inline constexpr std::uint64_t kHostRegionPages = kHostRegionBytes / kPageBytes;
/// Where the model's host maps its region; 1 GiB aligned, so that an offset has the region's
/// alignment. Only alignment and range checks can see it.
inline constexpr std::uint64_t kHostRegionAddress = 0x7f00'0000'0000;

// kvm.md 0: memslot flags, attributes, guest_memfd flags.
inline constexpr std::uint32_t kMemLogDirtyPages = 1;
inline constexpr std::uint32_t kMemReadonly = 2;
inline constexpr std::uint32_t kMemGuestMemfd = 4;
inline constexpr std::uint64_t kAttributePrivate = 8;
inline constexpr std::uint64_t kGmemFlagMmap = 1;
inline constexpr std::uint64_t kGmemFlagInitShared = 2;

/// An index into Vm::slots.
using SlotIndex = std::uint8_t;
inline constexpr SlotIndex kNoSlot = 0xff;

/// A memslot (struct kvm_memory_slot).
/// * unused: `used` false.
/// * active: vCPUs find it; they read it under SRCU, slots_lock protects changes.
/// * invalid: being deleted or moved; vCPUs find it and must retry. Set and left by
///   set_memory_region under slots_lock only.
struct Memslot {
  bool used = false;
  bool invalid = false;
  std::uint8_t address_space = 0;
  bool hva_raw = false;                // how the sequence named `hva`: for the view only
  std::uint8_t gmem = GmemRef::kNone;  // the bound guest_memfd; kNone for a slot without one, and
                                       // after its last close
  bool gmem_only = false;  // KVM_MEMSLOT_GMEM_ONLY: shared faults come from the guest_memfd, too
  std::uint16_t id = 0;
  std::uint32_t flags = 0;  // kMem*, as user space gave them
  Gfn base{};
  PageCount page_count{};
  std::uint64_t hva = 0;  // userspace_addr, resolved: an offset counts from kHostRegionAddress
  std::uint64_t gmem_page_offset = 0;

  constexpr bool has_gmem() const { return (flags & kMemGuestMemfd) != 0; }
  constexpr bool logs() const { return (flags & kMemLogDirtyPages) != 0; }
  constexpr Gfn end() const { return base + page_count; }
  constexpr bool contains(Gfn gfn) const { return gfn >= base && gfn < end(); }
};

/// A root of nested page tables (struct kvm_mmu_page of the TDP MMU), shared by the vCPUs whose
/// role it has. `valid` falls when everything is zapped; an invalid root lives on, empty, until the
/// last vCPU lets go of it.
struct Root {
  bool used = false;
  bool valid = false;
  std::uint8_t level = 4;   // 4 or 5
  bool smm = false;         // translates address space 1
  bool guest_mode = false;  // for L2, under page tables that L1 makes
  bool mirror = false;      // KVM's copy of a TD's secure EPT (td_mirror.h); never invalid
  std::uint8_t users = 0;   // vCPUs that have it loaded, or keep it as their previous one
  NodeId table = kNoNode;
};
inline constexpr std::uint8_t kNoRootIndex = 0xff;

/// Whether a vCPU runs L2, and by what that is paged.
/// * kShadow: L1's page tables translate to GFNs of the VM, KVM's root for guest mode from there.
/// * kNested: KVM shadows L1's nested page tables, which is not the TDP MMU (kvm.md 4 row 8).
enum class GuestMode : std::uint8_t { kNone, kShadow, kNested };

/// kvm.md 0, has_private_mem.
constexpr bool has_private_memory(VmType type) {
  return type == VmType::kSwProtected || type == VmType::kSnp || type == VmType::kTdx;
}

/// A VM (struct kvm) without its lists, so that a checker can have the whole of it as it was before
/// a step. `exists` from creation until the last of VM descriptor and guest_memfds is gone; `open`
/// while the VM descriptor is.
struct VmCore {
  bool exists = false;
  bool open = false;
  bool dead = false;  // KVM_BUG or user space said so: every ioctl answers EIO
  VmType type = VmType::kDefault;
  bool exit_hypercall = false;
  bool slot_zap_all = false;  // deleting a slot zaps the whole VM: a quirk of the default type
  bool pre_fault_allowed = false;
  bool had_slot = false;             // a memslot was created at some time
  bool irqchip = false;              // has an interrupt controller in the kernel
  bool apic_access_enabled = false;  // the APIC-access page has its slots (apic_page.h)
  std::uint8_t vcpu_count = 0;
  std::uint8_t vcpus_in_creation = 0;  // counted in Linux's created_vcpus, not in online_vcpus
  std::uint32_t life = 0;              // VMs of this index that have been destroyed
  std::uint32_t users = 0;             // VM descriptor + vCPU descriptors + open guest_memfds
  std::uint64_t invalidate_seq = 0;
  std::int64_t invalidate_in_progress = 0;
  Gfn invalidate_first{};  // union of the ranges under invalidation; first > last means unset
  Gfn invalidate_last{};   // exclusive
  // Memslot generations. One starts at its address space's number and rises by the number of
  // address spaces; kGenerationUpdateInProgress is set until nobody reads the old slots any more.
  std::array<std::uint64_t, kAddressSpaces> generation{};
  std::array<std::uint64_t, 2> attribute_top{};  // the attribute trees' top words, attributes.h
  Gfn mixed_end{};  // no block that begins at or above was ever marked mixed; a bound, no state
  std::uint64_t slot_high_water = 0;  // slots[i] is unused for every i at or above
  Pfn apic_frame{};                   // behind the APIC-access page; 0: there is none
  SevVm sev{};
  TdVm td{};

  bool has_private_memory() const { return model::has_private_memory(type); }
  bool has_protected_state() const {
    return type == VmType::kSevEs || type == VmType::kSnp || type == VmType::kTdx;
  }
};
struct Vm : VmCore {
  std::array<Memslot, kMaxSlotsPerVm> slots{};
  std::array<Root, kMaxRootsPerVm> roots{};
};

/// A vCPU (struct kvm_vcpu).
struct Vcpu {
  bool exists = false;
  VmIndex vm{};
  bool ran = false;                         // entered the guest once: CPUID is fixed
  bool smm = false;                         // in system management mode: uses address space 1
  bool block_irq = false;                   // KVM_GUESTDBG_BLOCKIRQ: keeps APICs from being virtual
  GuestMode guest_mode = GuestMode::kNone;  // never in SMM
  std::uint8_t phys_addr_bits = 48;
  std::uint8_t root = kNoRootIndex;  // index into Vm::roots
  // The one that it used before it entered or left guest mode, to come back to. Linux keeps three:
  // what changes a role but guest mode forgets them all, so that more than one is never used.
  std::uint8_t previous_root = kNoRootIndex;
  SevVcpu sev{};
  TdVcpu td{};
  PscState psc{};
};

/// The range [first, first + count) of a guest_memfd is bound to a slot (gmem->bindings).
struct Binding {
  bool used = false;
  SlotIndex slot = kNoSlot;
  // Of that slot, which is bound before it is in the table, and never moves.
  std::uint8_t address_space = 0;
  std::uint16_t id = 0;
  Gfn base{};
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

/// A guest_memfd: file and inode, which are one in 6.12. Gone when closed; folios that a fault
/// still holds then are in Kernel::detached.
struct Gmem {
  bool open = false;
  bool closing = false;  // the last descriptor is gone, the pages are being freed
  VmIndex vm{};
  std::uint64_t page_count = 0;
  std::uint64_t flags = 0;
  Journal::Counter resident_pages{};
  NodeId cache = kNoNode;         // top of the page cache's tree, guest_memfd.h
  std::uint8_t cache_levels = 1;  // depth of that tree, from the file's size
  std::array<Binding, kMaxBindings> bindings{};

  bool has_descriptor() const { return open && !closing; }
};

/// A frame whose page left the page cache while someone held a reference to it (kvm.md 1.3,
/// "drop"): already invalidated for the guest, freed with the last reference.
struct DetachedFolio {
  std::uint32_t references = 0;  // 0: the place is free
  Pfn pfn{};
};

/// A frame that the kernel itself is at work on (kernel_write.h).
struct HeldFrame {
  Pfn pfn{};
  std::uint8_t holders = 0;  // who have found it and not let go
  std::uint8_t mapped = 0;   // of those, who have it mapped
};

/// A page of the host region. Untouched until its first access, and again after host_dontneed;
/// unmapped for good by host_unmap; poisoned, without a frame, by host_memory_failure.
struct HostPage {
  static constexpr std::uint64_t kPresent = 1;
  static constexpr std::uint64_t kUnmapped = 2;
  static constexpr std::uint64_t kLarge = 4;     // one of the 512 of a huge page
  static constexpr std::uint64_t kPoisoned = 8;  // a hardware poison entry (make_hwpoison_entry())
  std::uint64_t word = 0;                        // flags, and the frame from bit 12
  bool present() const { return (word & kPresent) != 0; }
  bool unmapped() const { return (word & kUnmapped) != 0; }
  bool large() const { return (word & kLarge) != 0; }
  bool poisoned() const { return (word & kPoisoned) != 0; }
  bool has_no_frame() const { return (word & (kUnmapped | kPoisoned)) != 0; }
  Pfn pfn() const { return {word >> 12}; }
};

/// Mixed bits (bit 31 of disallow_lpage, kvm.md 3) of the blocks of one level, one per GFN block
/// up to that of max_gfn(), of a VM with private memory. A block that does not lie fully inside
/// one slot reads 0.
using MixedBits = ReservedArray<std::uint64_t>;

/// The attribute changes of one step, for the view: maximal ranges that had the other value before.
/// Fixed room, like the event log.
struct AttributeLog {
  static constexpr std::size_t kCapacity = 1024;
  std::size_t count = 0;
  std::uint64_t dropped = 0;
  std::array<AttributeChange, kCapacity> changes;

  void add(const AttributeChange& change) {
    if (count < kCapacity) {
      changes[count++] = change;
    } else {
      ++dropped;
    }
  }
};

/// kvm_mmu_max_gfn(): the last GFN that a slot may hold on such a host (kvm.md 2 row 19).
constexpr Gfn max_gfn(const HostProfile& profile) {
  constexpr unsigned kGfnBitsWithoutTdp = 52 - kPageShift;
  if (profile.tdp) return {profile.max_gfn};
  return {(std::uint64_t{1} << kGfnBitsWithoutTdp) - 1};
}

/// What waits for an actor: it comes when the actor asks, after `left` questions in vain.
struct Countdowns {
  std::uint16_t armed = 0;  // bit = actor_slot()
  std::array<std::uint8_t, kMaxActors> left{};
};

/// Work that no state tells of, for who adds up what a path costs: since open(), or since somebody
/// set it to zero. No state of the kernel's: neither journaled nor hashed.
struct PathCounters {
  std::uint64_t entries = 0;             // leaves zapped or write-protected
  std::uint64_t walks = 0;               // of a nested page table
  std::uint64_t page_stores = 0;         // pages of 4 KiB that the kernel copied or wrote
  std::uint64_t bytes_zeroed = 0;        // by the kernel
  std::uint64_t direct_map_flushes = 0;  // of the kernel's own translations
  std::uint64_t set_updates = 0;         // of the set of mapped pages (host_fault=mapped_set)
  std::uint64_t set_locks = 0;           // how often its lock was taken
  std::uint64_t frame_references = 0;    // that who writes a page took or dropped
};

/// Thread: compatible; never moves. Cost of open(): some mmaps.
struct Kernel {
  Machine& machine;
  Scheduler& scheduler;
  NodePool nodes;
  SnpHost snp;
  ReservedArray<HostPage> host_pages;
  std::array<std::array<MixedBits, 2>, kMaxVms> mixed;  // [vm][0: 2M, 1: 1G]
  std::array<Vm, kMaxVms> vms{};
  std::array<Vcpu, kMaxVcpus> vcpus{};
  std::array<Gmem, kMaxGmems> gmems{};
  std::array<DetachedFolio, kMaxDetachedFolios> detached{};
  std::array<HeldFrame, kMaxHeldFrames> held{};
  std::uint8_t mapped_set_locked = 0;  // by so many conversions (mapped_set_lock=sleep)
  Countdowns signals{};                // adversity.h
  Countdowns failures{};               // of allocations, adversity.h
  AttributeLog attribute_log{};        // of the running step; not journaled
  mutable PathCounters path{};
  ActorId straight_actor{};  // whose operation runs where nobody is scheduled; not journaled

  static Expected<std::unique_ptr<Kernel>> open(Machine& machine, Scheduler& scheduler);

  Kernel(Machine& on, Scheduler& by, NodePool pool, DirectMap map, ReservedArray<HostPage> pages,
         std::array<std::array<MixedBits, 2>, kMaxVms> bits)
      : machine(on),
        scheduler(by),
        nodes(std::move(pool)),
        snp{.direct_map = std::move(map)},
        host_pages(std::move(pages)),
        mixed(std::move(bits)) {}
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  Vm& vm(VmIndex i) { return vms[i.value]; }
  const Vm& vm(VmIndex i) const { return vms[i.value]; }
  Vcpu& vcpu(VcpuIndex i) { return vcpus[i.value]; }
  const Vcpu& vcpu(VcpuIndex i) const { return vcpus[i.value]; }
  Gmem& gmem(GmemIndex i) { return gmems[i.value]; }
  const Gmem& gmem(GmemIndex i) const { return gmems[i.value]; }
  VmIndex index_of(const Vm& vm) const { return {static_cast<std::uint8_t>(&vm - vms.data())}; }
  GmemIndex index_of(const Gmem& gmem) const {
    return {static_cast<std::uint8_t>(&gmem - gmems.data())};
  }

  /// Changes a field and remembers its old value.
  template <class T>
  void set(T& field, std::type_identity_t<T> value) {
    machine.journal.set(field, value);
  }
  void event(EventKind kind, const Vm& vm, std::uint64_t a = 0, std::uint64_t b = 0) {
    machine.events.add({.kind = kind, .vm = index_of(vm).value, .a = a, .b = b});
  }
  KernelVersion version() const { return machine.version(); }
  /// The backend calls this before each step.
  void begin_step() {
    nodes.begin_step();
    attribute_log.count = 0;
    attribute_log.dropped = 0;
  }
};

/// How a coroutine finds the scheduler, and with it the arena of its frame (schedule/task.h).
inline Scheduler& scheduler_of(Kernel& kernel) { return kernel.scheduler; }

/// The answer of an operation that is refused for this reason (model/planted.h can switch it off).
inline Outcome refuse(Check check) { return outcome_of(fail(check)); }
/// The answer of a step that did not act.
inline Outcome skip(Check check) { return outcome_of(check); }
/// Whichever of the two the row says.
inline Outcome answer(Check check) {
  return row_of(check).kind == StatusKind::kSkipped ? skip(check) : refuse(check);
}
/// The same, for want of something the host does not have.
inline Outcome skip_without(Capability capability) {
  Outcome out = outcome_of(Check::kSkipCapability);
  out.capability = static_cast<std::uint8_t>(capability);
  return out;
}

}  // namespace sluice::model
