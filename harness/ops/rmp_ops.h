// Operations: the RMP instructions of host and guest, and raw host stores. Check order and codes:
// rmp.md 4 and 5.
#pragma once
#include "ops/op_info.h"

namespace sluice {

/// RMPUPDATE: the host writes one entry.  Refused: check_list.h, group rmpupdate.
struct RmpUpdate {
  RawHpa spa{};
  RawGpa gpa{};
  PageSize page_size = PageSize::k4K;
  bool assigned = false;
  bool immutable = false;
  RawAsid asid{};
  static constexpr OpInfo kInfo{.name = "rmpupdate",
                                .actor = ActorKind::kKernel,
                                .weight = 12,
                                .source = "APM vol. 3, RMPUPDATE",
                                .machine_scope_only = true,
                                .summary = "The host writes one RMP entry."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("spa", op.spa), visit("gpa", op.gpa), visit("page_size", op.page_size);
    visit("assigned", op.assigned), visit("immutable", op.immutable), visit("asid", op.asid);
  }
};
SLUICE_OPERATION(RmpUpdate);

/// PSMASH: the host splits a 2 MiB entry into 512 4 KiB ones.  Refused: group psmash.
struct Psmash {
  RawHpa spa{};
  static constexpr OpInfo kInfo{.name = "psmash",
                                .actor = ActorKind::kKernel,
                                .weight = 6,
                                .source = "APM vol. 3, PSMASH",
                                .machine_scope_only = true,
                                .summary = "The host splits a 2 MiB RMP entry into 512 of 4 KiB."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("spa", op.spa);
  }
};
SLUICE_OPERATION(Psmash);

/// RMPREAD: the host reads one entry.  Refused: group rmpread.
struct RmpRead {
  RawHpa spa{};
  static constexpr OpInfo kInfo{.name = "rmpread",
                                .actor = ActorKind::kKernel,
                                .weight = 1,
                                .source = "APM vol. 3, RMPREAD",
                                .machine_scope_only = true,
                                .summary = "The host reads one RMP entry."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("spa", op.spa);
  }
};
SLUICE_OPERATION(RmpRead);

/// A raw host store of a token through a host mapping of the given level.  Refused: group
/// host_store.
struct HostStore {
  RawHpa spa{};
  MapLevelArg level = MapLevel::k4K;
  Token value{};
  static constexpr OpInfo kInfo{
      .name = "host_store",
      .actor = ActorKind::kKernel,
      .weight = 4,
      .source = "rmp.md 5, host data write",
      .machine_scope_only = true,
      .summary = "The host kernel stores to a frame through a mapping of the given level."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("spa", op.spa), visit("level", op.level), visit("value", op.value);
  }
};
SLUICE_OPERATION(HostStore);

/// PVALIDATE: a vCPU accepts (or rescinds) one page of its own memory.  Refused: group pvalidate.
struct Pvalidate {
  Gfn gfn{};
  PageSizeArg page_size = PageSizeArg::k4K;
  bool validate = true;
  RawVmpl vmpl{};
  Cpl cpl{};
  static constexpr OpInfo kInfo{
      .name = "pvalidate",
      .actor = ActorKind::kVcpu,
      .weight = 8,
      .source = "APM vol. 3, PVALIDATE",
      .summary = "A guest accepts or rescinds one page of its own memory."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gfn", op.gfn), visit("page_size", op.page_size), visit("validate", op.validate);
    visit("vmpl", op.vmpl), visit("cpl", op.cpl);
  }
};
SLUICE_OPERATION(Pvalidate);

/// RMPADJUST: a vCPU sets another VMPL's permissions on one of its pages.  Refused: group
/// rmpadjust.
struct RmpAdjust {
  Gfn gfn{};
  PageSizeArg page_size = PageSizeArg::k4K;
  RawVmpl target_vmpl{.value = 1};
  VmplMask mask{};
  bool vmsa = false;
  RawVmpl vmpl{};
  Cpl cpl{};
  static constexpr OpInfo kInfo{
      .name = "rmpadjust",
      .actor = ActorKind::kVcpu,
      .weight = 3,
      .source = "APM vol. 3, RMPADJUST",
      .summary = "A guest sets a less privileged VMPL's permissions on one page."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gfn", op.gfn), visit("page_size", op.page_size), visit("target_vmpl", op.target_vmpl);
    visit("mask", op.mask), visit("vmsa", op.vmsa), visit("vmpl", op.vmpl), visit("cpl", op.cpl);
  }
};
SLUICE_OPERATION(RmpAdjust);

/// RMPQUERY: a vCPU asks for a VMPL's permissions on one of its pages.  Refused: group rmpquery.
struct RmpQuery {
  Gfn gfn{};
  RawVmpl target_vmpl{.value = 1};
  RawVmpl vmpl{};
  static constexpr OpInfo kInfo{.name = "rmpquery",
                                .actor = ActorKind::kVcpu,
                                .weight = 1,
                                .source = "APM vol. 3, RMPQUERY",
                                .summary = "A guest reads the permissions of a VMPL on one page."};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gfn", op.gfn), visit("target_vmpl", op.target_vmpl), visit("vmpl", op.vmpl);
  }
};
SLUICE_OPERATION(RmpQuery);

}  // namespace sluice
