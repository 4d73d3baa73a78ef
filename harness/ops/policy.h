// Policy axes: names and values of the design alternatives. Text needs the names; what each value
// does is in the model, where the decision is taken. Only axes whose values are implemented are
// listed; the first value of each is what mainline 6.12 does.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

namespace sluice {

/// How user space answers an exit that wants a conversion (alternatives E).
enum class VmmPolicy : std::uint8_t { kConvert, kKill, kIgnore, kRefuse };
/// What user space does with the unreachable copy after a conversion (alternatives C).
enum class ConvertReclaim : std::uint8_t {
  kPunchHole,        // to shared: a hole in the guest_memfd
  kKeep,             // nothing
  kPunchSharedOnly,  // to private: the shared page is discarded (MADV_DONTNEED)
  kUnsupported,      // as kPunchHole, and the file has no holes
  kRandomHoles       // as kPunchHole, and another hole somewhere, after each conversion
};
/// What a guest does about the rules for page state changes (snp_host.md 10): it keeps them all, or
/// breaks one.
enum class GuestPolicy : std::uint8_t {
  kEnlightened,
  kKeepsValidated,  // to shared: no PVALIDATE first, nor later
  kRescindsLate,    // to shared: PVALIDATE after the change
  kValidatesEarly,  // to private: PVALIDATE before the change
  kNeverValidates,  // to private: no PVALIDATE
  kTrustsTheHost,   // looks at no answer: neither PVALIDATE's nor the hypervisor's
  kAcceptsOnVc      // an access to a page that is not validated validates it
};
/// Largest guest_memfd folio (alternatives C): 4K is mainline, 2M and 1G are ahead of mainline and
/// labelled so.
enum class GmemOrder : std::uint8_t { k4K, k2M, k1G };
/// Pages behind the host region where its alignment allows them: 2M is what transparent huge pages
/// give.
enum class HostOrder : std::uint8_t { k4K, k2M };

/// What the host does about a guest's access that does not fit the page's attribute (alternatives
/// E).
enum class NpfMismatch : std::uint8_t { kExit, kAutoConvert, kInject, kKill, kRequirePsc };
/// What becomes of the host's direct map when a 4 KiB frame is assigned (alternatives D).
enum class DirectMapPolicy : std::uint8_t {
  kSplit,
  kLeave,
  kUnmap,
  kUnmapNoFlush,
  kLeaveKmap,
  kUnmapDebug  // as kUnmap where the host is debugged (HostProfile::debug), else as kLeaveKmap
};
/// KVM_PRE_FAULT_MEMORY on a vCPU that is in SMM or in guest mode (alternatives B).
enum class PremapMode : std::uint8_t {
  kLinux_6_12,   // by the MMU that the vCPU has, if that is the TDP MMU
  kSwitchMmu,    // by the base mode's, which the vCPU gets for that long
  kSwitchState,  // in the base mode, into which the vCPU goes for that long
  kNoVcpu,       // into the base mode's tables, whatever the vCPU has
  kReject,       // EOPNOTSUPP
  kUnchecked,    // by the MMU that the vCPU has, whichever that is
  kMmuProperty   // by the MMU that the vCPU has, if it is the TDP MMU with a direct root
};
/// What KVM_PRE_FAULT_MEMORY promises, and to whom (alternatives B).
enum class PremapAbi : std::uint8_t { kGuaranteed, kAdvisory, kByVmType, kOnlyConfidential };
/// How the first pages of a TD get there (alternatives B).
enum class TdxPopulate : std::uint8_t {
  kMainline,           // as the kernel version has it: one of the last two
  kOneLoop,            // maps and adds page by page, with the source's address in the VM
  kOneIoctlTwoLoops,   // one call: maps all pages, then adds all
  kTwoPass,            // user space pre-faults the pages, then has them added
  kHybrid_6_16,        // maps by the pre-fault's way and adds, page by page; counts what is between
  kRecordedSource_7_0  // maps and adds at once, with the source's address in the call
};

/// Where private memory lives (alternatives C).
enum class Backing : std::uint8_t {
  kFd,         // in a guest_memfd of its own, beside the shared memory of user space
  kFdInPlace,  // in the guest_memfd that shared memory lives in, too: conversion in place
  kVmaGup      // in user space's own mapping, as shared memory does: pinned, conversion in place
};
/// What keeps the kernel's own accesses to a shared page and its conversion apart (alternatives A).
enum class HostFault : std::uint8_t {
  kUpm,            // that private memory is another page
  kNone,           // nothing: an RMP violation of the kernel's is fatal
  kConvertBack,    // the fault handler makes the page shared again
  kMappedSet,      // a page that is mapped cannot become private
  kMappedSetGup,   // the same, counted from the moment that it is found
  kFolioRef,       // a page to which somebody holds a reference cannot become private
  kUpmNoDirectMap  // as kUpm, and the private page leaves the direct map: direct_map=unmap
};
/// Private memory is another page than the shared one of its GFN.
constexpr bool keeps_two_pages(HostFault host_fault) {
  return host_fault == HostFault::kUpm || host_fault == HostFault::kUpmNoDirectMap;
}
/// What guards the set of mapped pages.
enum class MappedSetLock : std::uint8_t { kSpin, kSleep, kUnlocked };

/// One field an axis, in the order of kPolicyAxes.
struct PolicySet {
  VmmPolicy vmm = VmmPolicy::kConvert;
  ConvertReclaim convert_reclaim = ConvertReclaim::kPunchHole;
  GmemOrder gmem_order = GmemOrder::k4K;
  GuestPolicy guest = GuestPolicy::kEnlightened;
  HostOrder host_order = HostOrder::k4K;
  NpfMismatch npf_mismatch = NpfMismatch::kExit;
  DirectMapPolicy direct_map = DirectMapPolicy::kSplit;
  PremapMode premap_mode = PremapMode::kLinux_6_12;
  PremapAbi premap_abi = PremapAbi::kGuaranteed;
  Backing backing = Backing::kFd;
  HostFault host_fault = HostFault::kUpm;
  MappedSetLock mapped_set_lock = MappedSetLock::kSpin;
  TdxPopulate tdx_populate = TdxPopulate::kMainline;
  friend constexpr bool operator==(const PolicySet&, const PolicySet&) = default;
};

/// Whose decision an axis is.
/// * kAround: of user space, of the guest, of the machine's memory. KVM is as mainline has it, so
///   that a finding is one of KVM's: mutation and fuzz targets draw these values.
/// * kKernel: of KVM itself. Some values are unsound by design; they are run where somebody asks
///   for them.
enum class PolicyKind : std::uint8_t { kAround, kKernel };

struct PolicyAxis {
  std::string_view name;
  std::array<std::string_view, 8> values;  // unused ones are empty
  std::string_view source;
  PolicyKind kind = PolicyKind::kAround;
};
inline constexpr std::array<PolicyAxis, 13> kPolicyAxes{{
    {"vmm",
     {"convert", "kill", "ignore", "refuse"},
     "how user space answers KVM_EXIT_HYPERCALL and KVM_EXIT_MEMORY_FAULT"},
    {"convert_reclaim",
     {"punch_hole", "keep", "punch_shared_only", "unsupported", "random_holes"},
     "what user space does with the copy that a conversion leaves unreachable"},
    {"gmem_order",
     {"4K", "2M", "1G"},
     "largest guest_memfd folio; 2M and 1G are ahead of mainline"},
    {"guest",
     {"enlightened", "keeps_validated", "rescinds_late", "validates_early", "never_validates",
      "trusts_the_host", "accepts_on_vc"},
     "which rule for page state changes an SNP guest breaks, if any"},
    {"host_order", {"4K", "2M"}, "largest page behind the host region"},
    {"npf_mismatch",
     {"exit", "auto_convert", "inject", "kill", "require_psc"},
     "what KVM does about a guest's access that does not fit the page's attribute",
     PolicyKind::kKernel},
    {"direct_map",
     {"split", "leave", "unmap", "unmap_noflush", "leave_kmap", "unmap_debug"},
     "what becomes of the direct map when a frame is assigned",
     PolicyKind::kKernel},
    {"premap_mode",
     {"linux_6_12", "switch_mmu", "switch_state", "no_vcpu", "reject", "unchecked", "mmu_property"},
     "KVM_PRE_FAULT_MEMORY on a vCPU in SMM or guest mode",
     PolicyKind::kKernel},
    {"premap_abi",
     {"guaranteed", "advisory", "by_vm_type", "only_confidential"},
     "what KVM_PRE_FAULT_MEMORY promises, and to which VMs",
     PolicyKind::kKernel},
    {"backing",
     {"fd", "fd_in_place", "vma_gup"},
     "where private memory lives",
     PolicyKind::kKernel},
    {"host_fault",
     {"upm", "none", "convert_back", "mapped_set", "mapped_set_gup", "folio_ref",
      "upm_no_direct_map"},
     "what keeps the kernel's own writes and a conversion to private apart",
     PolicyKind::kKernel},
    {"mapped_set_lock",
     {"spin", "sleep", "unlocked"},
     "what guards the set of mapped pages",
     PolicyKind::kKernel},
    {"tdx_populate",
     {"mainline", "one_loop", "one_ioctl_two_loops", "two_pass", "hybrid_6_16",
      "recorded_source_7_0"},
     "how KVM_TDX_INIT_MEM_REGION maps and adds the first pages of a TD",
     PolicyKind::kKernel},
}};
static_assert(sizeof(PolicySet) == kPolicyAxes.size(), "one byte an axis");
/// Those of kind kAround come first.
inline constexpr auto kAroundAxisCount = static_cast<std::size_t>(
    std::ranges::count(kPolicyAxes, PolicyKind::kAround, &PolicyAxis::kind));
static_assert(std::ranges::is_partitioned(kPolicyAxes, [](const PolicyAxis& axis) {
  return axis.kind == PolicyKind::kAround;
}));

/// The values of a set, by axis.
using PolicyValues = std::array<std::uint8_t, kPolicyAxes.size()>;

/// The value of axis `axis` (an index into kPolicyAxes) as an index into its values. Pre: axis in
/// range.
constexpr std::uint8_t policy_value(const PolicySet& set, std::size_t axis) {
  return std::bit_cast<PolicyValues>(set)[axis];
}
/// Pre: the axis has that value.
constexpr void set_policy_value(PolicySet& set, std::size_t axis, std::uint8_t value) {
  auto values = std::bit_cast<PolicyValues>(set);
  values[axis] = value;
  set = std::bit_cast<PolicySet>(values);
}
/// The axis of a field: axis_of(&PolicySet::vmm).
template <class Value>
consteval std::size_t axis_of(Value PolicySet::*field) {
  PolicySet set{};
  set.*field = static_cast<Value>(1);
  std::size_t axis = 0;
  while (policy_value(set, axis) == policy_value(PolicySet{}, axis)) ++axis;
  return axis;
}
constexpr std::size_t value_count(const PolicyAxis& axis) {
  std::size_t count = 0;
  while (count < axis.values.size() && !axis.values[count].empty()) ++count;
  return count;
}
/// The set with KVM as mainline has it, and everything around it as it is.
constexpr PolicySet with_mainline_kernel(const PolicySet& set) {
  PolicySet out = set;
  for (std::size_t axis = kAroundAxisCount; axis < kPolicyAxes.size(); ++axis) {
    set_policy_value(out, axis, policy_value(PolicySet{}, axis));
  }
  return out;
}
constexpr bool has_mainline_kernel(const PolicySet& set) {
  return set == with_mainline_kernel(set);
}
/// Why these values do not go together, and what to do; "" if they do.
constexpr std::string_view why_invalid(const PolicySet& set) {
  const bool in_place = set.backing != Backing::kFd;
  if (!keeps_two_pages(set.host_fault) && !in_place) {
    return "with backing=fd a page that the kernel writes never becomes private: host_fault wants "
           "backing=fd_in_place or vma_gup, too";
  }
  if (keeps_two_pages(set.host_fault) && in_place) {
    return "with backing=fd_in_place or vma_gup a page that the kernel writes can become private: "
           "say by host_fault what is done about it (none, convert_back, mapped_set, ...)";
  }
  if (set.host_fault == HostFault::kUpmNoDirectMap && set.direct_map != DirectMapPolicy::kUnmap)
    return "host_fault=upm_no_direct_map takes private pages out of the direct map: put "
           "direct_map=unmap beside it";
  const bool counts =
      set.host_fault == HostFault::kMappedSet || set.host_fault == HostFault::kMappedSetGup;
  if (set.mapped_set_lock != MappedSetLock::kSpin && !counts) {
    return "mapped_set_lock is of host_fault=mapped_set or mapped_set_gup: choose one of them, or "
           "leave it at spin";
  }
  return {};
}
/// The nearest set that goes together: what a value needs beside it is put there.
constexpr PolicySet with_what_it_needs(PolicySet set) {
  if (set.mapped_set_lock != MappedSetLock::kSpin && set.host_fault != HostFault::kMappedSetGup)
    set.host_fault = HostFault::kMappedSet;
  if (set.backing != Backing::kFd && keeps_two_pages(set.host_fault))
    set.host_fault = HostFault::kFolioRef;
  if (!keeps_two_pages(set.host_fault) && set.backing == Backing::kFd)
    set.backing = Backing::kFdInPlace;
  if (set.host_fault == HostFault::kUpmNoDirectMap) set.direct_map = DirectMapPolicy::kUnmap;
  return set;
}
/// Whether a conversion to shared leaves a copy in the file behind, for which user space asks for a
/// hole: in place there is none.
constexpr bool reclaims_by_hole(const PolicySet& set) {
  const bool keeps = set.convert_reclaim == ConvertReclaim::kKeep ||
                     set.convert_reclaim == ConvertReclaim::kPunchSharedOnly;
  return !keeps && set.backing == Backing::kFd;
}
/// Whether a conversion to private leaves a page of user space's behind, which it discards.
constexpr bool discards_shared(const PolicySet& set) {
  return set.convert_reclaim == ConvertReclaim::kPunchSharedOnly && set.backing == Backing::kFd;
}
/// Whether user space punches holes wherever it likes.
constexpr bool punches_anywhere(const PolicySet& set) {
  return set.convert_reclaim == ConvertReclaim::kRandomHoles && set.backing == Backing::kFd;
}
/// What user space frees after a conversion, a call each.
struct ReclaimSteps {
  bool copy = false;       // the private pages: a hole
  bool shared = false;     // the shared ones: discarded
  bool elsewhere = false;  // page_punched_anywhere(): a hole
  constexpr unsigned count() const { return 0u + copy + shared + elsewhere; }
};
constexpr ReclaimSteps reclaim_after(const PolicySet& set, bool to_private) {
  return {.copy = reclaims_by_hole(set) && !to_private,
          .shared = discards_shared(set) && to_private,
          .elsewhere = punches_anywhere(set)};
}
/// Page of a file in which such a hole is, after the conversion of pages from `first` on: one of
/// the first few, the same for every backend.
inline constexpr std::uint64_t kPagesPunchedAnywhere = 16;
constexpr std::uint64_t page_punched_anywhere(std::uint64_t first) {
  return (first * 7 + 5) % kPagesPunchedAnywhere;
}
/// True for what no kernel does: only the model runs it.
constexpr bool needs_other_kernel(const PolicySet& set) {
  return !has_mainline_kernel(set) || set.convert_reclaim == ConvertReclaim::kUnsupported;
}
/// True where folios are larger than mainline's (up to 7.0): rows, tables and verdicts carry the
/// label. What else KVM does otherwise, the policy in the header says.
constexpr bool is_ahead_of_mainline(const PolicySet& set) {
  return set.gmem_order != GmemOrder::k4K;
}

}  // namespace sluice
