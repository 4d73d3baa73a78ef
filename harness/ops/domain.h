// What values a field can hold, by its type: range, likely values, text. Everything that works on
// operations without knowing them (codec, text, mutation, minimizing, docs/ops.md) reads the same
// DomainSpec, so a field of a known type needs nothing written for it.
#pragma once
#include <array>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "base/rng.h"
#include "ops/fields.h"

namespace sluice {

/// Any field's value. `raw` matters to HostVa alone: an address passed through, not an offset.
struct FieldValue {
  std::uint64_t bits = 0;
  bool raw = false;
  friend constexpr bool operator==(FieldValue, FieldValue) = default;
};

struct NamedValue {
  std::string_view name;
  std::uint64_t value;
};

enum class TextKind : std::uint8_t {
  kNumber,   // 7; above 65535 0x...
  kAddress,  // 0x1000
  kSize,     // 4K, 2M, 0x1001
  kFlags,    // guest_memfd|0x8
  kChoice,   // a name, or a number up to max_number
  kHostVa,   // 0x1000 or raw:0x1000
  kPscEntry  // shared:0x200:2M+300
};

/// How many values of a domain have a one-byte form (hot: small, likely to exist or to be a
/// boundary).
inline constexpr unsigned kHotCount = 64;
using HotValues = std::array<std::uint64_t, kHotCount>;

struct DomainSpec {
  std::string_view name{};  // what a message calls it: "a guest-physical address"
  TextKind text = TextKind::kNumber;
  std::uint64_t max =
      ~std::uint64_t{0};      // bits are in [0, max]; max + 1 is a power of two or <= 16
  bool takes_numbers = true;  // kChoice: false where only names make sense
  std::uint64_t max_number = ~std::uint64_t{0};  // largest number that text takes
  std::span<const NamedValue> names{};           // values (kChoice) or single bits (kFlags)
  const HotValues* hot = nullptr;                // null: the domain is small, every value is hot

  constexpr bool is_small() const { return hot == nullptr; }
};

/// Domain<T>::kSpec, and T to and from FieldValue. Pre of from(): bits <= kSpec.max.
template <class T>
struct Domain;

/// The value as text, canonical: parse_value() of it gives the value back, and formatting that
/// gives the same text.
void format_value(const DomainSpec& spec, FieldValue value, std::string& out);

/// The value of `text`, or what is wrong with it and what would be right, as a clause that follows
/// the quoted text: "is not a number".
std::expected<FieldValue, std::string> parse_value(const DomainSpec& spec, std::string_view text);

/// A value that exists or is a boundary with high probability, else any value of the domain.
FieldValue pick_value(const DomainSpec& spec, Rng& rng);

/// A value near `value`: a page or a byte away, a bit flipped, doubled or halved.
FieldValue change_value(const DomainSpec& spec, FieldValue value, Rng& rng);

/// The hot values of a domain, smallest form first; a small domain's are 0..max.
std::uint64_t hot_value(const DomainSpec& spec, unsigned index);
constexpr unsigned hot_count(const DomainSpec& spec) {
  return spec.is_small() ? static_cast<unsigned>(spec.max) + 1 : kHotCount;
}

/// A number in decimal, or in hexadecimal after 0x; no sign, no suffix.
std::expected<std::uint64_t, std::string> parse_number(std::string_view text);

/// An actor as text names it: vmm0.., vcpu0.., kernel0..
std::string format_actor(ActorId actor);
std::expected<ActorId, std::string> parse_actor(std::string_view text);

}  // namespace sluice

#include "ops/domain_types.h"  // the specializations
