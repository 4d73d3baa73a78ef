// Field types of what a guest asks for by its GHCB (snp_host.md 5.2, 8), page state changes
// (psc_fields.h) apart: as fields.h, which includes this file.
#pragma once
#include <compare>
#include <cstdint>

namespace sluice {

/// What the AP creation event asks for, in the low half of SW_EXITINFO1; text knows create_on_init,
/// create and destroy.
struct ApRequest {
  static constexpr std::uint8_t kCreateOnInit = 0, kCreate = 1, kDestroy = 2;
  std::uint8_t value = kCreate;
  friend constexpr auto operator<=>(ApRequest, ApRequest) = default;
};

/// SEV_FEATURES of a VMSA, as RAX hands them to the hypervisor.
struct SevFeatures {
  static constexpr std::uint32_t kSnp = 1 << 0;
  static constexpr std::uint32_t kRestrictedInjection = 1 << 3;
  static constexpr std::uint32_t kAlternateInjection = 1 << 4;
  std::uint32_t value = kSnp;
  friend constexpr auto operator<=>(SevFeatures, SevFeatures) = default;
};

/// A length in bytes, or a number of elements, as a guest leaves it in SW_EXITINFO2.
struct GhcbLength {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(GhcbLength, GhcbLength) = default;
};

/// The operand size that SW_EXITINFO1 gives of port I/O: 1, 2 or 4, or what else three bits can
/// say.
struct IoSize {
  std::uint8_t value = 0;
  friend constexpr auto operator<=>(IoSize, IoSize) = default;
};

}  // namespace sluice
