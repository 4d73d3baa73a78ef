// Operations: guest_memfd, memslots, attributes, pre-fault, and accesses of host user space and of
// the guest. Errno order: kvm.md 1-5, 8.
#pragma once
#include "ops/op_info.h"

namespace sluice {

/// KVM_CREATE_GUEST_MEMFD.  Refused: group create_guest_memfd.
struct CreateGuestMemfd {
  VmIndex vm{};
  GmemIndex gmem{};
  RawSize size{.value = kBytesPer2M};
  RawFlags flags{};
  static constexpr OpInfo kInfo{.name = "create_guest_memfd",
                                .weight = 4,
                                .source = "kvm_gmem_create()",
                                .summary = "Creates a guest_memfd of a VM."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm), visit("gmem", op.gmem), visit("size", op.size), visit("flags", op.flags);
  }
};
SLUICE_OPERATION(CreateGuestMemfd);

/// Closes the last descriptor of a guest_memfd.  Refused: group close_guest_memfd.
struct CloseGuestMemfd {
  GmemIndex gmem{};
  static constexpr OpInfo kInfo{
      .name = "close_guest_memfd",
      .weight = 2,
      .source = "kvm_gmem_release()",
      .summary = "Closes a guest_memfd: bound slots lose it, its pages are freed."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gmem", op.gmem);
  }
};
SLUICE_OPERATION(CloseGuestMemfd);

/// fallocate(2) on a guest_memfd; the default mode allocates.  Refused: group fallocate.
struct GmemAllocate {
  GmemIndex gmem{};
  RawOffset offset{};
  RawSize size{.value = kPageBytes};
  RawFallocateMode mode{.value = 0x01};  // FALLOC_FL_KEEP_SIZE
  static constexpr OpInfo kInfo{
      .name = "gmem_allocate",
      .weight = 4,
      .source = "vfs_fallocate(), kvm_gmem_allocate()",
      .summary = "Allocates pages of a guest_memfd; mode can be any fallocate mode."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gmem", op.gmem), visit("offset", op.offset), visit("size", op.size),
        visit("mode", op.mode);
  }
};
SLUICE_OPERATION(GmemAllocate);

/// fallocate(2) with PUNCH_HOLE | KEEP_SIZE on a guest_memfd.  Refused: group fallocate.
struct GmemPunchHole {
  GmemIndex gmem{};
  RawOffset offset{};
  RawSize size{.value = kPageBytes};
  static constexpr OpInfo kInfo{.name = "gmem_punch_hole",
                                .weight = 5,
                                .source = "kvm_gmem_punch_hole()",
                                .summary = "Unmaps and frees pages of a guest_memfd."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gmem", op.gmem), visit("offset", op.offset), visit("size", op.size);
  }
};
SLUICE_OPERATION(GmemPunchHole);

/// KVM_SET_USER_MEMORY_REGION2 (or, if `legacy`, KVM_SET_USER_MEMORY_REGION); size 0 deletes.
/// Refused: group set_memory_region.
struct SetMemoryRegion {
  VmIndex vm{};
  RawSlot slot{};
  RawSlotFlags flags{};
  RawGpa gpa{};
  RawSize size{};
  HostVa hva{};
  GmemRef gmem{};
  RawOffset gmem_offset{};
  bool legacy = false;
  static constexpr OpInfo kInfo{
      .name = "set_memory_region",
      .weight = 8,
      .source = "kvm_vm_ioctl_set_memory_region(), kvm_set_memslot()",
      .summary = "Creates, moves, re-flags or (size=0) deletes a memslot."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm), visit("slot", op.slot), visit("flags", op.flags), visit("gpa", op.gpa),
        visit("size", op.size);
    visit("hva", op.hva), visit("gmem", op.gmem), visit("gmem_offset", op.gmem_offset),
        visit("legacy", op.legacy);
  }
};
SLUICE_OPERATION(SetMemoryRegion);

/// KVM_SET_MEMORY_ATTRIBUTES: conversion of a range.  Refused: group set_memory_attributes.
struct SetMemoryAttributes {
  VmIndex vm{};
  RawGpa address{};
  RawSize size{.value = kPageBytes};
  RawAttributes attributes{};
  RawFlags flags{};
  static constexpr OpInfo kInfo{.name = "set_memory_attributes",
                                .weight = 8,
                                .source = "kvm_vm_ioctl_set_mem_attributes()",
                                .summary = "Makes a range of GFNs private or shared."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("vm", op.vm), visit("address", op.address), visit("size", op.size);
    visit("attributes", op.attributes), visit("flags", op.flags);
  }
};
SLUICE_OPERATION(SetMemoryAttributes);

/// KVM_PRE_FAULT_MEMORY on the acting vCPU.  Refused: group pre_fault_memory.
struct PreFaultMemory {
  RawGpa gpa{};
  RawSize size{.value = kPageBytes};
  RawFlags flags{};
  static constexpr OpInfo kInfo{.name = "pre_fault_memory",
                                .actor = ActorKind::kVcpu,
                                .weight = 8,
                                .source = "kvm_vcpu_pre_fault_memory()",
                                .summary = "Maps a range before the guest touches it."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gpa", op.gpa), visit("size", op.size), visit("flags", op.flags);
  }
};
SLUICE_OPERATION(PreFaultMemory);

/// Host user space reads or writes the first bytes of a page of the host region.  Refused: group
/// host_access.
struct HostAccess {
  HostVa hva{};
  AccessKind kind = AccessKind::kRead;
  Token value{};
  static constexpr OpInfo kInfo{
      .name = "host_access",
      .weight = 3,
      .source = "rmp.md 5, host data access",
      .summary = "Host user space reads or writes a page of the host region."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("hva", op.hva), visit("kind", op.kind), visit("value", op.value);
  }
};
SLUICE_OPERATION(HostAccess);

/// munmap(2) of part of the host region: shared mappings of it are zapped by the MMU notifier.
/// Refused: group host_unmap.
struct HostUnmap {
  HostVa hva{};
  RawSize size{.value = kPageBytes};
  static constexpr OpInfo kInfo{.name = "host_unmap",
                                .weight = 1,
                                .source = "kvm_mmu_notifier_invalidate_range_start()",
                                .summary = "Unmaps part of the host region."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("hva", op.hva), visit("size", op.size);
  }
};
SLUICE_OPERATION(HostUnmap);

/// madvise(2) with MADV_DONTNEED on part of the host region: its pages are freed, the notifier zaps
/// shared mappings of them, and the next touch finds a page of zeros.  Refused: group
/// host_dontneed; where part of the range is unmapped, the rest has gone all the same.
struct HostDontneed {
  HostVa hva{};
  RawSize size{.value = kPageBytes};
  static constexpr OpInfo kInfo{
      .name = "host_dontneed",
      .weight = 2,
      .source = "madvise_dontneed_single_vma(), kvm_mmu_notifier_invalidate_range_start()",
      .summary = "Frees pages of the host region, which stays mapped (MADV_DONTNEED)."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("hva", op.hva), visit("size", op.size);
  }
};
SLUICE_OPERATION(HostDontneed);

/// User space maps the page of a guest_memfd (MAP_SHARED) and reads or writes its first bytes. What
/// it has mapped stays mapped until the page or the file goes.  Refused: group gmem_access.
struct GmemAccess {
  GmemIndex gmem{};
  RawOffset offset{};
  AccessKind kind = AccessKind::kRead;
  Token value{};
  static constexpr OpInfo kInfo{
      .name = "gmem_access",
      .weight = 3,
      .source = "kvm_gmem_mmap(), kvm_gmem_fault_user_mapping()",
      .summary = "User space maps a page of a guest_memfd and touches it."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gmem", op.gmem), visit("offset", op.offset), visit("kind", op.kind),
        visit("value", op.value);
  }
};
SLUICE_OPERATION(GmemAccess);

/// The guest reads, writes or fetches the first bytes of a page; runs the vCPU until the access is
/// done or exits to user space.
struct GuestAccess {
  Gfn gfn{};
  AccessKind kind = AccessKind::kRead;
  bool c_bit = false;  // SNP and TDX: the guest's own view of the page; other VM types ignore it
  Token value{};
  RawVmpl vmpl{};
  static constexpr OpInfo kInfo{.name = "guest_access",
                                .actor = ActorKind::kVcpu,
                                .weight = 10,
                                .source = "kvm_mmu_do_page_fault(), npf_interception()",
                                .summary = "The guest touches a page."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gfn", op.gfn), visit("kind", op.kind), visit("c_bit", op.c_bit),
        visit("value", op.value), visit("vmpl", op.vmpl);
  }
};
SLUICE_OPERATION(GuestAccess);

/// The guest's KVM_HC_MAP_GPA_RANGE hypercall; user space answers as the policy axis `vmm` says.
/// Refused: group map_gpa_range.
struct MapGpaRange {
  RawGpa gpa{};
  RawSize page_count{.value = 1};
  RawFlags attributes{};  // bits 0-3 page size, bit 4 encrypted
  Cpl cpl{};
  static constexpr OpInfo kInfo{.name = "map_gpa_range",
                                .actor = ActorKind::kVcpu,
                                .weight = 6,
                                .source = "__kvm_emulate_hypercall(), KVM_HC_MAP_GPA_RANGE",
                                .summary = "The guest asks for a page state change by hypercall."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gpa", op.gpa), visit("page_count", op.page_count), visit("attributes", op.attributes),
        visit("cpl", op.cpl);
  }
};
SLUICE_OPERATION(MapGpaRange);

}  // namespace sluice
