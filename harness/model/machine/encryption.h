// Memory encryption as far as contents are concerned (rmp.md 5, AC6; APM vol. 2 15.34, 15.36): what
// lies in memory is what was written, run through the key of whoever wrote it. So all that can be
// read later - one's own token, ciphertext, garbage under another key, the remains of an old owner
// - follows from who reads, and is decided nowhere else.
//
// Left out: caches, so that a line written under one key is never seen stale under another, and
// integrity of a single access, which SNP leaves to the RMP.
#pragma once
#include <cstdint>

#include "base/units.h"

namespace sluice::model {

/// What encrypts an access: a guest's key, which firmware makes for it, or none (host, and a
/// guest's accesses without the C bit).
struct MemoryKey {
  std::uint64_t value = 0;  // 0: none
  constexpr bool encrypts() const { return value != 0; }
};

namespace detail {
// Odd, so that multiplying has an inverse, which is the second of each pair.
inline constexpr std::uint64_t kSpread = 0x9ddfea08eb382d69, kSpreadInverse = 0xdc56e6f5090b32d9;
static_assert(kSpread * kSpreadInverse == 1);

constexpr std::uint64_t fold(std::uint64_t word) { return word ^ word >> 32; }  // its own inverse
constexpr std::uint64_t mix(std::uint64_t word) { return fold(fold(word * kSpread) * kSpread); }
/// The tweak: the same bytes read differently at every address.
constexpr std::uint64_t pad(MemoryKey key, Pfn pfn) { return mix(key.value + mix(pfn.value + 1)); }
}  // namespace detail

/// What memory holds at the start of a frame after this was written. One-to-one for each key and
/// frame.  Cost: five multiplications under a key.
constexpr std::uint64_t encrypt(std::uint64_t token, MemoryKey key, Pfn pfn) {
  if (!key.encrypts()) return token;
  const std::uint64_t pad = detail::pad(key, pfn);
  return detail::mix(token ^ pad) ^ pad;
}
/// What a reader gets: the token under the key it was written with, else bytes that are no token.
constexpr std::uint64_t decrypt(std::uint64_t bytes, MemoryKey key, Pfn pfn) {
  if (!key.encrypts()) return bytes;
  const std::uint64_t pad = detail::pad(key, pfn);
  const std::uint64_t once = detail::fold(bytes ^ pad) * detail::kSpreadInverse;
  return detail::fold(once) * detail::kSpreadInverse ^ pad;
}

}  // namespace sluice::model
