// Which kernel's behaviour is modelled. What differs between versions is named in
// trace/kernel_behavior.h, never compared in place.
#pragma once
#include <array>
#include <compare>
#include <cstdint>

namespace sluice {

struct KernelVersion {
  std::uint16_t major = 6;
  std::uint16_t minor = 12;
  friend constexpr auto operator<=>(KernelVersion, KernelVersion) = default;
};
inline constexpr KernelVersion kDefaultKernel{.major = 6, .minor = 12};

/// The versions whose behavior differs in something we model; the default first, since the byte
/// form's zero means it. Append: an index is part of the byte form.
inline constexpr std::array<KernelVersion, 6> kModeledKernels{{
    {.major = 6, .minor = 12},
    {.major = 6, .minor = 14},
    {.major = 6, .minor = 16},
    {.major = 6, .minor = 17},
    {.major = 6, .minor = 18},
    {.major = 7, .minor = 0},
}};
/// The index of `version` in kModeledKernels; its size if the version is not modeled.
constexpr std::size_t modeled_kernel_index(KernelVersion version) {
  std::size_t index = 0;
  while (index < kModeledKernels.size() && kModeledKernels[index] != version) ++index;
  return index;
}

}  // namespace sluice
