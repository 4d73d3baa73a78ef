// Domain<T> for the fields of what a guest asks for by its GHCB; domain_types.h includes this file
// at its end.
#pragma once
#include "ops/domain.h"  // circular only in name: domain.h includes domain_types.h at its end

namespace sluice {
namespace domains {

inline constexpr HotValues kHotApRequests = starting_with({1, 1, 1, 2, 1, 0, 2, 3}, kHotNumbers);
inline constexpr HotValues kHotSevFeatures =
    starting_with({1, 1, 1, 1, 0x21, 0, 0x9, 0x11}, kHotFlags);

inline constexpr HotValues kHotGhcbLengths =
    starting_with({4, 8, 1, 2, 0, 9, 16, 0x7f0}, kHotSizes);

inline constexpr std::array<NamedValue, 3> kApRequestNames{
    {{"create_on_init", 0}, {"create", 1}, {"destroy", 2}}};
inline constexpr std::array<NamedValue, 4> kSevFeatureNames{
    {{"snp", 1}, {"restricted_injection", 8}, {"alternate_injection", 0x10}, {"debug_swap", 0x20}}};

}  // namespace domains

template <>
struct Domain<ApRequest> : domains::OneMember<ApRequest> {
  static constexpr DomainSpec kSpec{.name = "a request of the AP creation event",
                                    .text = TextKind::kChoice,
                                    .max = 15,
                                    .max_number = 15,
                                    .names = domains::kApRequestNames,
                                    .hot = &domains::kHotApRequests};
};
template <>
struct Domain<SevFeatures> : domains::OneMember<SevFeatures> {
  static constexpr DomainSpec kSpec = domains::flags(
      0xffffffff, domains::kSevFeatureNames, domains::kHotSevFeatures, "SEV features of a VMSA");
};

template <>
struct Domain<GhcbLength> : domains::OneMember<GhcbLength> {
  static constexpr DomainSpec kSpec =
      domains::number(domains::kAll, "a length, or a count", domains::kHotGhcbLengths);
};
template <>
struct Domain<IoSize> : domains::OneMember<IoSize> {
  static constexpr DomainSpec kSpec = domains::index_below(8, "the operand size of port I/O");
};

}  // namespace sluice
