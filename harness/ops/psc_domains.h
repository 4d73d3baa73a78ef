// Domain<T> for the fields of page state changes; domain_types.h includes this file at its end.
#pragma once
#include "ops/domain.h"  // circular only in name: domain.h includes domain_types.h at its end

namespace sluice {
namespace domains {

/// What guests ask for: pages that set-ups have, whole blocks, blocks that are partly done together
/// with what follows them, and entries that are refused or mean nothing.
inline constexpr HotValues kHotPscEntries = [] {
  constexpr std::uint8_t kPrivate = PscOperation::kPrivate, kShared = PscOperation::kShared;
  HotValues hot{};
  std::size_t at = 0;
  const auto add = [&](PscEntry entry) { hot[at++] = entry.value; };
  add(psc_entry(kShared, {1})), add(psc_entry(kPrivate, {1}));
  add(psc_entry(kShared, {2})), add(psc_entry(kPrivate, {2}));
  add(psc_entry(kShared, {0}, true)), add(psc_entry(kPrivate, {0}, true));
  add(psc_entry(kShared, {0})), add(psc_entry(kPrivate, {0}));
  for (const std::uint8_t operation : {kShared, kPrivate}) {
    for (const unsigned gfn : {3u, 4u, 5u, 15u, 0x100u, 0x1ffu, 0x200u, 0x201u, 0x3ffu, 0x2d4u})
      add(psc_entry(operation, {gfn}));
    for (const unsigned gfn : {0x200u, 0x400u, 0x1000u}) add(psc_entry(operation, {gfn}, true));
    for (const unsigned done : {1u, 256u, 300u, 511u, 512u, 513u, 0xfffu})
      add(psc_entry(operation, {done == 300 ? 0x200u : 0u}, true, done));
    add(psc_entry(operation, {1}, false, 1)), add(psc_entry(operation, {1}, false, 2));
    add(psc_entry(operation, {1}, true));
    add(psc_entry(operation, {PscEntry::kGfnMask}));
  }
  for (const unsigned operation : {0u, 3u, 4u, 15u}) {
    add(psc_entry(static_cast<std::uint8_t>(operation), {0}));
    if (operation == 3) add(psc_entry(3, {0x200}, true));
  }
  while (at < hot.size()) add(PscEntry{kAll >> at % 64});
  return hot;
}();

/// Mostly the start of the buffer; then the places that decide: its ends, and outside of it.
inline constexpr HotValues kHotScratches = [] {
  HotValues hot =
      starting_with({0x800, 0x800, 0x800, 0x800, 0x800, 0xfd8, 0xfe0, 0xfe8}, kHotAddresses);
  constexpr std::array<std::uint64_t, 13> kEdges{0x0,
                                                 0x7f8,
                                                 0x7ff,
                                                 0xfd0,
                                                 0xfe9,
                                                 0xff0,
                                                 0xff8,
                                                 0xfff,
                                                 0x808,
                                                 0x1000,
                                                 0x1800,
                                                 kAll - 2,
                                                 kAll - kGhcbAddress + 1};
  for (std::size_t i = 0; i < kEdges.size(); ++i) hot[8 + i] = kEdges[i];
  return hot;
}();

inline constexpr HotValues kHotPscIndices = starting_with({0, 1, 2, 3, 0, 0, 1, 252}, kHotNumbers);
inline constexpr HotValues kHotGuestPages = starting_with({1, 1, 1, 2, 3, 5, 16, 65}, kHotNumbers);
inline constexpr HotValues kHotPscOperations = starting_with({1, 2, 1, 2, 1, 2, 3, 0}, kHotNumbers);
/// A GHCB that is not usable ends the request before it begins: one in four.
inline constexpr HotValues kHotGhcbStates = [] {
  HotValues hot{};
  for (std::size_t i = 0; i < hot.size(); i += 4) hot[i] = 1 + i / 4 % 3;
  return hot;
}();

inline constexpr std::array<NamedValue, 4> kPscOperationNames{
    {{"private", 1}, {"shared", 2}, {"smash", 3}, {"unsmash", 4}}};
inline constexpr std::array<NamedValue, 4> kGhcbStateNames{
    {{"usable", 0}, {"unregistered", 1}, {"bad_usage", 2}, {"no_scratch", 3}}};
inline constexpr std::array<NamedValue, 2> kGhcbVersionNames{{{"2", 0}, {"1", 1}}};

}  // namespace domains

template <>
struct Domain<PscOperation> : domains::OneMember<PscOperation> {
  static constexpr DomainSpec kSpec{.name = "a page state change",
                                    .text = TextKind::kChoice,
                                    .max = 15,
                                    .max_number = 15,
                                    .names = domains::kPscOperationNames,
                                    .hot = &domains::kHotPscOperations};
};
template <>
struct Domain<PscIndex> : domains::OneMember<PscIndex> {
  static constexpr DomainSpec kSpec =
      domains::number(0xffff, "the index of a PSC entry", domains::kHotPscIndices);
};
template <>
struct Domain<GuestPageCount> : domains::OneMember<GuestPageCount> {
  static constexpr DomainSpec kSpec =
      domains::number(0x3ff, "a number of pages", domains::kHotGuestPages);
};
template <>
struct Domain<PscReserved> : domains::OneMember<PscReserved> {
  static constexpr DomainSpec kSpec =
      domains::number(0xffffffff, "the reserved half of a PSC header");
};
template <>
struct Domain<PscEntry> : domains::OneMember<PscEntry> {
  static constexpr DomainSpec kSpec{.name = "an entry of a PSC buffer",
                                    .text = TextKind::kPscEntry,
                                    .names = domains::kPscOperationNames,
                                    .hot = &domains::kHotPscEntries};
};
template <>
struct Domain<GhcbState> : domains::Enumeration<GhcbState> {
  static constexpr DomainSpec kSpec{.name = "what KVM finds of a GHCB",
                                    .text = TextKind::kChoice,
                                    .max = 3,
                                    .takes_numbers = false,
                                    .names = domains::kGhcbStateNames,
                                    .hot = &domains::kHotGhcbStates};
};
template <>
struct Domain<GhcbVersion> {
  static constexpr DomainSpec kSpec =
      domains::choice(domains::kGhcbVersionNames, "a version of the GHCB protocol");
  static constexpr FieldValue to(GhcbVersion field) { return {.bits = field.value == 1 ? 1u : 0u}; }
  static constexpr GhcbVersion from(FieldValue value) {
    return {.value = static_cast<std::uint8_t>(value.bits == 1 ? 1 : 2)};
  }
};
template <>
struct Domain<GhcbScratch> : domains::OneMember<GhcbScratch> {
  static constexpr DomainSpec kSpec{.name = "an offset in the GHCB's page",
                                    .text = TextKind::kAddress,
                                    .hot = &domains::kHotScratches};
};

}  // namespace sluice
