#include "kvm/probe.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "kvm/deadline.h"
#include "kvm/payload/payload.h"

namespace sluice::kvm {
namespace {

std::uint64_t capability_of(const Vm& vm, unsigned capability) {
  const SysResult result = vm.check_extension(capability);
  return result.ok() ? static_cast<std::uint64_t>(result.value) : 0;
}

/// A module parameter in sysfs: "Y" or "1".
bool file_says_yes(Syscalls& sys, const char* path) {
  const SysResult opened = sys.open(path, O_RDONLY | O_CLOEXEC);
  if (!opened.ok()) return false;
  const Fd file(sys, opened.fd());
  char first = 'N';
  const SysResult read = sys.pread(file.get(), {.at = &first, .length = sizeof first});
  return read.ok() && (first == 'Y' || first == '1');
}

bool is_directory(Syscalls& sys, const std::string& path) {
  const SysResult opened = sys.open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened.ok()) static_cast<void>(sys.close(opened.fd()));
  return opened.ok();
}

void ask_system(Syscalls& sys, ProbeResult& result) {
  utsname name{};
  static_cast<void>(sys.uname(name));
  result.release = name.release;
  const char* at = name.release;
  const char* const end = at + result.release.size();
  at = std::from_chars(at, end, result.version.major).ptr;
  if (at != end && *at == '.') std::from_chars(at + 1, end, result.version.minor);
  result.tdp_mmu = file_says_yes(sys, "/sys/module/kvm/parameters/tdp_mmu");
}

/// The vendor's name as CPUID leaf 0 has it: "AuthenticAMD".
std::string vendor_of(const kvm_cpuid_entry2& entry) {
  std::string name(12, '\0');
  std::memcpy(name.data(), &entry.ebx, 4);
  std::memcpy(name.data() + 4, &entry.edx, 4);
  std::memcpy(name.data() + 8, &entry.ecx, 4);
  return name;
}

/// Asks for the supported CPUID: the vendor, for the module (one that is built in has its folder in
/// sysfs whether or not the processor is its own), and MAXPHYADDR.
void ask_processor(const Kvm& kvm, ProbeResult& result) {
  const auto table = std::make_unique<uapi::CpuidTable>();
  std::string vendor;
  if (kvm.sys().ioctl(kvm.fd(), uapi::kGetSupportedCpuid, argument_of(table.get())).ok()) {
    for (std::uint32_t i = 0; i < table->header.entry_count; ++i) {
      const kvm_cpuid_entry2& entry = table->entries[i];
      if (entry.function == 0) vendor = vendor_of(entry);
      if (entry.function == 0x80000008) result.phys_addr_bits = entry.eax & 0xff;
    }
  }
  const auto present = [&](const char* module) {
    return is_directory(kvm.sys(), "/sys/module/" + std::string(module));
  };
  const bool amd = vendor == "AuthenticAMD" || vendor == "HygonGenuine";
  const bool both = present("kvm_amd") && present("kvm_intel");
  if (present("kvm_amd") && (amd || !both)) result.module = "kvm_amd";
  if (present("kvm_intel") && !(amd && both)) result.module = "kvm_intel";
  if (present("kvm_pvm")) result.module = "kvm_pvm";
}

void ask_types(const Kvm& kvm, const Vm& vm, ProbeResult& result) {
  result.vm_types_claimed = static_cast<std::uint32_t>(capability_of(vm, uapi::kCapVmTypes)) | 1;
  for (unsigned long type = uapi::kVmTypeSwProtected; type <= uapi::kVmTypeTdx; ++type) {
    auto other = kvm.create_vm(type);
    if (!other) continue;
    result.vm_types |= 1u << type;
    result.memory_attributes |= capability_of(*other, uapi::kCapMemoryAttributes);
    result.guest_memfd |= capability_of(*other, uapi::kCapGuestMemfd);
  }
}

void ask_capabilities(const Vm& vm, ProbeResult& result) {
  result.guest_memfd = capability_of(vm, uapi::kCapGuestMemfd);
  result.gmem_flags = capability_of(vm, uapi::kCapGuestMemfdFlags);
  result.user_memory2 = capability_of(vm, uapi::kCapUserMemory2);
  result.memory_fault_info = capability_of(vm, uapi::kCapMemoryFaultInfo);
  result.memory_attributes |= capability_of(vm, uapi::kCapMemoryAttributes);
  result.pre_fault = capability_of(vm, uapi::kCapPreFaultMemory);
  result.exit_hypercall = capability_of(vm, uapi::kCapExitHypercall);
  result.quirks = capability_of(vm, uapi::kCapDisableQuirks2);
  result.address_spaces =
      std::max<std::uint64_t>(1, capability_of(vm, uapi::kCapMultiAddressSpace));
  result.memslots = capability_of(vm, uapi::kCapNrMemslots);
  result.binary_stats = capability_of(vm, uapi::kCapBinaryStatsFd) != 0;
  // A request that is refused for its flags where the ioctl exists.
  const SysResult attributes = vm.set_memory_attributes({.flags = 1});
  result.attributes_compiled_in = attributes.error != ENOTTY;
  const SysResult file = vm.create_guest_memfd({kPageBytes});
  result.guest_memfd_files = file.ok();
  if (file.ok()) static_cast<void>(vm.sys().close(file.fd()));
  // Before 6.11 no capability tells; the module's own parameter does.
  const char* const parameter = result.module == "kvm_amd" ? "/npt" : "/ept";
  result.tdp =
      result.pre_fault != 0 ||
      file_says_yes(vm.sys(), ("/sys/module/" + result.module + "/parameters" + parameter).c_str());
}

/// The last GFN of the widest guest-physical space in which a memslot is taken (kvm.md 2 row 19).
void find_max_gfn(const Vm& vm, ProbeResult& result) {
  auto page = Mapping::anonymous(vm.sys(), {kPageBytes});
  if (!page) return;
  for (unsigned bits = 52; bits >= 32; --bits) {
    const std::uint64_t gpa = (std::uint64_t{1} << bits) - kPageBytes;
    const SysResult created = vm.set_memory_region_legacy({.slot = 0,
                                                           .flags = 0,
                                                           .guest_phys_addr = gpa,
                                                           .memory_size = kPageBytes,
                                                           .userspace_addr = page->address()});
    if (!created.ok()) continue;
    static_cast<void>(vm.set_memory_region_legacy(
        {.slot = 0, .flags = 0, .guest_phys_addr = 0, .memory_size = 0, .userspace_addr = 0}));
    result.max_gfn = gpa >> kPageShift;
    return;
  }
}

/// The end of user addresses as KVM checks it (kvm.md 2 row 7): 47 or 56 bits, less a page or not.
/// Nothing is behind these addresses, and nothing touches them. Cost: two ioctls a bit.
void find_max_hva(const Vm& vm, ProbeResult& result) {
  const auto taken = [&vm](std::uint64_t end_frame) {
    kvm_userspace_memory_region slot{.slot = 0,
                                     .flags = 0,
                                     .guest_phys_addr = 0,
                                     .memory_size = kPageBytes,
                                     .userspace_addr = (end_frame - 1) << kPageShift};
    if (!vm.set_memory_region_legacy(slot).ok()) return false;
    slot.memory_size = 0;
    return vm.set_memory_region_legacy(slot).ok();
  };
  std::uint64_t good = 0, bad = std::uint64_t{1} << (64 - kPageShift);
  while (bad - good > 1) {
    const std::uint64_t middle = good + (bad - good) / 2;
    (taken(middle) ? good : bad) = middle;
  }
  result.max_hva = good << kPageShift;
}

/// Does the guest's touch of a slot whose memory is unmapped come back as an error?
bool ask_lost_memory(const Vm& vm, Guest& guest) {
  auto page = Mapping::open(vm.sys(), {.length = kPageBytes,
                                       .protection = PROT_NONE,
                                       .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE});
  if (!page) return false;
  const kvm_userspace_memory_region slot{.slot = 0,
                                         .flags = 0,
                                         .guest_phys_addr = 0,
                                         .memory_size = kPageBytes,
                                         .userspace_addr = page->address()};
  return vm.set_memory_region_legacy(slot).ok() && guest.read(Gpa{0}).exit.error == EFAULT;
}

/// Where does a guest's page come from if its slot has both a mappable guest_memfd and a user
/// address with other contents?
bool ask_gmem_only(const Vm& vm, Guest& guest, std::uint64_t gmem_flags) {
  constexpr std::uint64_t kMapAndShare = 3;  // MMAP, INIT_SHARED
  constexpr std::uint64_t kMark = 0x600d;
  if ((gmem_flags & kMapAndShare) != kMapAndShare) return true;
  const auto gmem = Gmem::create(vm, ByteCount{kPageBytes}, kMapAndShare);
  const auto region = HostRegion::open(vm.sys());
  if (!gmem || !region || !vm.sys().store(region->base(), kMark).ok()) return true;
  uapi::UserspaceMemoryRegion2 slot{};
  slot.slot = 1;
  slot.flags = uapi::kMemGuestMemfd;
  slot.guest_phys_addr = kPageBytes;
  slot.memory_size = kPageBytes;
  slot.userspace_addr = region->base();
  slot.guest_memfd = static_cast<std::uint32_t>(gmem->fd());
  if (!vm.set_memory_region(slot).ok()) return true;
  const CommandResult read = guest.read(Gpa{kPageBytes});
  slot.memory_size = 0;
  static_cast<void>(vm.set_memory_region(slot));
  return !(read.exit.kind == ExitKind::kDone && read.value == kMark);
}

/// Runs guest code on a VM of its own, last a hypercall in each ring: where that loops, only this
/// VM is lost.
void try_guest(const Kvm& kvm, std::chrono::milliseconds patience, ProbeResult& result) {
  auto vm = kvm.create_vm();
  auto payload = PayloadMemory::open(kvm.sys());
  if (!vm || !payload || !payload->install(*vm).ok()) return;
  auto vcpu = Vcpu::create(kvm, *vm, 0);
  if (!vcpu) return;
  static_cast<void>(set_supported_cpuid(kvm, *vcpu));
  Guest guest(*vcpu, 0);
  if (!guest.start()) return;
  Deadline deadline({.interrupt_after = patience,
                     .stuck_after = patience + std::chrono::seconds(60),
                     .poll = std::chrono::milliseconds(20)});
  const auto ask = [&](unsigned cpl) {
    DeadlineScope scope(deadline);
    return guest.hypercall({}, cpl);
  };
  {
    DeadlineScope scope(deadline);
    result.gmem_only_slots = ask_gmem_only(*vm, guest, result.gmem_flags);
    result.reports_lost_memory = ask_lost_memory(*vm, guest);
  }
  const CommandResult ring0 = ask(0);
  if (ring0.exit.kind == ExitKind::kInterrupted) result.hypercall = HypercallSupport::kLoops;
  if (ring0.exit.kind != ExitKind::kDone) return;
  result.hypercall = HypercallSupport::kWorks;
  const CommandResult ring3 = ask(3);
  result.ring3 =
      ring3.exit.kind == ExitKind::kDone && ring3.value == static_cast<std::uint64_t>(-EPERM);
}

}  // namespace

Expected<ProbeResult> probe(const Kvm& kvm, std::chrono::milliseconds patience) {
  auto vm = kvm.create_vm();
  if (!vm) return std::unexpected(vm.error());
  ProbeResult result;
  ask_system(kvm.sys(), result);
  ask_processor(kvm, result);
  ask_capabilities(*vm, result);
  ask_types(kvm, *vm, result);
  find_max_gfn(*vm, result);
  find_max_hva(*vm, result);
  try_guest(kvm, patience, result);
  return result;
}

bool ProbeResult::has(Capability capability) const {
  switch (capability) {
    case Capability::kNone:
    case Capability::kKvm:
      return true;
    case Capability::kGuestMemfd:
      return guest_memfd_files;
    case Capability::kUserMemory2:
      return user_memory2 != 0;
    case Capability::kMemoryAttributes:
      return memory_attributes != 0;
    case Capability::kPreFault:
      return pre_fault != 0;
    case Capability::kMemoryFaultInfo:
      return memory_fault_info != 0;
    case Capability::kHypercallExit:
      return (exit_hypercall >> uapi::kHypercallMapGpaRange & 1) != 0;
    case Capability::kSlotZapAllQuirk:
      return (quirks & uapi::kQuirkSlotZapAll) != 0;
    case Capability::kSwProtectedVm:
      return (vm_types >> uapi::kVmTypeSwProtected & 1) != 0;
    case Capability::kSnp:
      return (vm_types >> uapi::kVmTypeSnp & 1) != 0;
    case Capability::kTdx:
      return (vm_types >> uapi::kVmTypeTdx & 1) != 0;
    case Capability::kTdp:
      return tdp;
    case Capability::kSmmAddressSpace:
      return address_spaces > 1;
    case Capability::kHypercallInstruction:
      return hypercall == HypercallSupport::kWorks;
    case Capability::kRing3Payload:
      return ring3;
    case Capability::kLostMemoryReport:
      return reports_lost_memory;
    case Capability::kRmpInstructions:
    case Capability::kAdversity:
    case Capability::kGuestMode:
    case Capability::kIrqchip:
    case Capability::kParking:
      return false;  // a kernel runs its operations to the end, and its RMP instructions itself
  }
  return false;
}

HostProfile profile_of(const ProbeResult& probe) {
  HostProfile profile = default_profile(probe.version);
  profile.tdp = probe.tdp;
  profile.snp = probe.has(Capability::kSnp);
  profile.guest_memfd = probe.guest_memfd_files;
  profile.memory_attributes = probe.attributes_compiled_in;
  profile.exit_hypercall = probe.has(Capability::kHypercallExit);
  profile.slot_zap_all_quirk = probe.has(Capability::kSlotZapAllQuirk);
  profile.gmem_only_slots = probe.gmem_only_slots;
  profile.root_level_by_cpuid = probe.module != "kvm_amd";
  profile.smm_address_space = probe.address_spaces > 1;
  profile.vm_types = probe.vm_types;
  profile.gmem_flags = probe.gmem_flags;
  profile.max_gfn = probe.max_gfn;
  profile.max_hva = probe.max_hva;
  return profile;
}

}  // namespace sluice::kvm
