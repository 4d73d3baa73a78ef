// A stable 64-bit hash for canonical state and identities: no addresses, no platform dependence,
// not cryptographic.
#pragma once
#include <cstdint>
#include <string_view>

namespace sluice {

class Hash {
 public:
  constexpr void add(std::uint64_t word) {
    word *= 0x9ddfea08eb382d69;
    word ^= word >> 47;
    state_ = (state_ ^ word) * 0x9ddfea08eb382d69;
    state_ ^= state_ >> 44;
  }
  constexpr void add_text(std::string_view text) {
    for (const char c : text) add(static_cast<unsigned char>(c));
    add(text.size());
  }
  constexpr std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0x5bd1e9955bd1e995;
};

}  // namespace sluice
