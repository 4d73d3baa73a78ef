// EXITINFO1 of a nested page fault: what the model answers, and the oracle reads in events of kind
// kNpf.
#pragma once
#include <cstdint>

namespace sluice::npf {

// Source: rmp.md 5; Linux PFERR_*.
inline constexpr std::uint64_t kPresent = std::uint64_t{1} << 0;
inline constexpr std::uint64_t kWrite = std::uint64_t{1} << 1;
inline constexpr std::uint64_t kUser = std::uint64_t{1} << 2;
inline constexpr std::uint64_t kReserved = std::uint64_t{1} << 3;
inline constexpr std::uint64_t kFetch = std::uint64_t{1} << 4;
inline constexpr std::uint64_t kRmp = std::uint64_t{1} << 31;
inline constexpr std::uint64_t kFinal = std::uint64_t{1} << 32;
inline constexpr std::uint64_t kPage = std::uint64_t{1} << 33;
inline constexpr std::uint64_t kEncrypted = std::uint64_t{1} << 34;
inline constexpr std::uint64_t kSizeMismatch = std::uint64_t{1} << 35;
inline constexpr std::uint64_t kVmpl = std::uint64_t{1} << 36;

}  // namespace sluice::npf
