// Which kernel's behaviour is modelled. What differs between versions is named in
// trace/kernel_behavior.h, never compared in place.
#pragma once
#include <compare>
#include <cstdint>

namespace sluice {

struct KernelVersion {
  std::uint16_t major = 6;
  std::uint16_t minor = 12;
  friend constexpr auto operator<=>(KernelVersion, KernelVersion) = default;
};
inline constexpr KernelVersion kDefaultKernel{.major = 6, .minor = 12};

}  // namespace sluice
