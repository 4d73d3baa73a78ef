#include "ops/domain.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <vector>

#include "ops/nearest.h"

namespace sluice {
namespace {

using Parsed = std::expected<FieldValue, std::string>;

std::unexpected<std::string> wrong(std::string what) { return std::unexpected(std::move(what)); }

std::vector<std::string_view> names_of(const DomainSpec& spec) {
  std::vector<std::string_view> names;
  for (const NamedValue& named : spec.names) names.push_back(named.name);
  return names;
}

const NamedValue* find_name(const DomainSpec& spec, std::string_view name) {
  for (const NamedValue& named : spec.names) {
    if (named.name == name) return &named;
  }
  return nullptr;
}

bool starts_like_number(std::string_view text) {
  return !text.empty() && text[0] >= '0' && text[0] <= '9';
}

Parsed in_range(const DomainSpec& spec, std::uint64_t number) {
  if (number <= spec.max_number) return FieldValue{.bits = number};
  return wrong(fmt::format("is out of range; the largest {} is {:#x}", spec.name, spec.max_number));
}

Parsed parse_plain(const DomainSpec& spec, std::string_view text) {
  const auto number = parse_number(text);
  if (!number) return wrong(number.error());
  return in_range(spec, *number);
}

/// A number with an optional K, M or G.
Parsed parse_scaled(const DomainSpec& spec, std::string_view text) {
  unsigned shift = 0;
  const bool is_hex = text.starts_with("0x") || text.starts_with("0X");
  if (!text.empty() && !is_hex) {
    const char last = text.back();
    shift = last == 'K' ? 10 : last == 'M' ? 20 : last == 'G' ? 30 : 0;
    if (shift != 0) text.remove_suffix(1);
  }
  const auto number = parse_number(text);
  if (!number) return wrong(number.error() + " (K, M and G are understood: 4K, 2M, 1G)");
  if (shift != 0 && *number > (~std::uint64_t{0} >> shift)) {
    return wrong("is out of range; it does not fit in 64 bits");
  }
  return in_range(spec, *number << shift);
}

Parsed parse_choice(const DomainSpec& spec, std::string_view text) {
  if (const NamedValue* named = find_name(spec, text)) return FieldValue{.bits = named->value};
  if (spec.takes_numbers && starts_like_number(text)) return parse_plain(spec, text);
  return wrong(fmt::format("is not {}{}", spec.name, suggestion(text, names_of(spec))));
}

Parsed parse_flags(const DomainSpec& spec, std::string_view text) {
  FieldValue all;
  while (true) {
    const std::size_t bar = text.find('|');
    const std::string_view part = text.substr(0, bar);
    if (const NamedValue* named = find_name(spec, part)) {
      all.bits |= named->value;
    } else if (starts_like_number(part)) {
      const Parsed number = parse_plain(spec, part);
      if (!number) return wrong(number.error());
      all.bits |= number->bits;
    } else if (spec.names.empty()) {
      return wrong("is not a number; these flags have no names, write them as 0x...");
    } else {
      return wrong(fmt::format("is not {}{} (joined by |, numbers are allowed)", spec.name,
                               suggestion(part, names_of(spec))));
    }
    if (bar == std::string_view::npos) return all;
    text.remove_prefix(bar + 1);
  }
}

Parsed parse_host_va(const DomainSpec& spec, std::string_view text) {
  if (text.starts_with("raw:")) {
    const Parsed raw = parse_scaled(spec, text.substr(4));
    if (!raw) return raw;
    return FieldValue{.bits = raw->bits, .raw = true};
  }
  const Parsed offset = parse_scaled(spec, text);
  if (offset && offset->bits >= kHostRegionBytes) {
    return wrong(fmt::format(
        "is out of range; the host region ends at {:#x} (write raw:{:#x} for an absolute address)",
        kHostRegionBytes, offset->bits));
  }
  return offset;
}

/// What stands before the next of `ends` (or all of it); `text` keeps what begins with that.
std::string_view take_until(std::string_view& text, std::string_view ends) {
  const std::size_t end = std::min(text.find_first_of(ends), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end);
  return part;
}

/// `number` after `mark`, if that comes next; 0 if not.
Parsed take_marked(std::string_view& text, char mark, std::uint64_t max) {
  if (!text.starts_with(mark)) return FieldValue{};
  text.remove_prefix(1);
  const auto number = parse_number(take_until(text, "+!"));
  if (!number) return wrong("has a part that " + number.error());
  if (*number > max) return wrong(fmt::format("has a part that is larger than {:#x}", max));
  return FieldValue{.bits = *number};
}

/// operation:gfn, then :2M, +pages done, !reserved bits, as far as there are any.
Parsed parse_psc_entry(const DomainSpec& spec, std::string_view text) {
  const std::string_view first = take_until(text, ":");
  const NamedValue* const named = find_name(spec, first);
  const auto operation = named != nullptr ? std::expected<std::uint64_t, std::string>(named->value)
                                          : parse_number(first);
  if (!operation || *operation > 15)
    return wrong("is no PSC entry; write shared:0x200, private:0x200:2M or shared:0x200:2M+300");
  if (text.empty()) return wrong("lacks the frame; write shared:0x200");
  text.remove_prefix(1);
  const auto gfn = parse_number(take_until(text, ":+!"));
  if (!gfn) return wrong("has a frame that " + gfn.error());
  if (*gfn > PscEntry::kGfnMask) return wrong("has a frame of more than 40 bits");
  const bool is_2m = text.starts_with(":2M");
  if (is_2m) text.remove_prefix(3);
  const Parsed done = take_marked(text, '+', 0xfff);
  if (!done) return done;
  const Parsed reserved = take_marked(text, '!', 0x7f);
  if (!reserved) return reserved;
  if (!text.empty()) return wrong(fmt::format("has '{}' at its end, which means nothing", text));
  const PscEntry entry = psc_entry(static_cast<std::uint8_t>(*operation), {*gfn}, is_2m,
                                   static_cast<unsigned>(done->bits));
  return FieldValue{.bits = entry.value | reserved->bits << 57};
}

void append_hex(std::string& out, std::uint64_t number) {
  fmt::format_to(std::back_inserter(out), "{:#x}", number);
}
void append_decimal(std::string& out, std::uint64_t number) {
  fmt::format_to(std::back_inserter(out), "{}", number);
}

void format_size(std::string& out, std::uint64_t bytes) {
  struct Unit {
    unsigned shift;
    char letter;
  };
  for (const Unit unit : {Unit{30, 'G'}, Unit{20, 'M'}, Unit{10, 'K'}}) {
    const std::uint64_t count = bytes >> unit.shift;
    if (count != 0 && count < 1024 && count << unit.shift == bytes) {
      append_decimal(out, count);
      out += unit.letter;
      return;
    }
  }
  bytes < 1024 ? append_decimal(out, bytes) : append_hex(out, bytes);
}

void format_flags(const DomainSpec& spec, std::uint64_t bits, std::string& out) {
  bool first = true;
  for (const NamedValue& named : spec.names) {
    if ((bits & named.value) == 0) continue;
    if (!first) out += '|';
    out += named.name;
    bits &= ~named.value;
    first = false;
  }
  if (bits == 0 && !first) return;
  if (!first) out += '|';
  bits == 0 ? append_decimal(out, 0) : append_hex(out, bits);
}

void format_psc_entry(const DomainSpec& spec, PscEntry entry, std::string& out) {
  const auto named =
      std::ranges::find(spec.names, std::uint64_t{entry.operation()}, &NamedValue::value);
  if (named != spec.names.end()) {
    out += named->name;
  } else {
    append_decimal(out, entry.operation());
  }
  out += ':';
  append_hex(out, entry.gfn().value);
  if (entry.is_2m()) out += ":2M";
  if (entry.cur_page() != 0) append_decimal(out += '+', entry.cur_page());
  if (entry.reserved() != 0) append_hex(out += '!', entry.reserved());
}

FieldValue clamped(const DomainSpec& spec, FieldValue value) {
  if (spec.max != ~std::uint64_t{0}) value.bits %= spec.max + 1;
  if (spec.text == TextKind::kHostVa && !value.raw) value.bits %= kHostRegionBytes;
  return value;
}

}  // namespace

std::expected<std::uint64_t, std::string> parse_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number, base);
  if (error == std::errc::result_out_of_range) {
    return wrong("is out of range; it does not fit in 64 bits");
  }
  if (error != std::errc{} || at != end) return wrong("is not a number; write 12 or 0xc");
  return number;
}

void format_value(const DomainSpec& spec, FieldValue value, std::string& out) {
  switch (spec.text) {
    case TextKind::kNumber:
      value.bits <= 0xffff ? append_decimal(out, value.bits) : append_hex(out, value.bits);
      return;
    case TextKind::kAddress:
      return append_hex(out, value.bits);
    case TextKind::kSize:
      return format_size(out, value.bits);
    case TextKind::kFlags:
      return format_flags(spec, value.bits, out);
    case TextKind::kChoice:
      for (const NamedValue& named : spec.names) {
        if (named.value == value.bits) {
          out += named.name;
          return;
        }
      }
      return append_decimal(out, value.bits);
    case TextKind::kHostVa:
      if (value.raw) out += "raw:";
      return append_hex(out, value.bits);
    case TextKind::kPscEntry:
      return format_psc_entry(spec, {value.bits}, out);
  }
}

std::expected<FieldValue, std::string> parse_value(const DomainSpec& spec, std::string_view text) {
  if (text.empty()) return wrong(fmt::format("is empty; write {}", spec.name));
  switch (spec.text) {
    case TextKind::kNumber:
      return parse_plain(spec, text);
    case TextKind::kAddress:
    case TextKind::kSize:
      return parse_scaled(spec, text);
    case TextKind::kFlags:
      return parse_flags(spec, text);
    case TextKind::kChoice:
      return parse_choice(spec, text);
    case TextKind::kHostVa:
      return parse_host_va(spec, text);
    case TextKind::kPscEntry:
      return parse_psc_entry(spec, text);
  }
  return wrong("has a kind of value that text does not know");
}

std::uint64_t hot_value(const DomainSpec& spec, unsigned index) {
  return spec.is_small() ? index : (*spec.hot)[index];
}

FieldValue pick_value(const DomainSpec& spec, Rng& rng) {
  const std::uint64_t dice = rng.below(32);
  if (spec.is_small()) return {.bits = rng.below(spec.max + 1)};
  FieldValue value;
  value.raw = spec.text == TextKind::kHostVa && rng.one_in(8);
  if (dice < 20) {
    value.bits = (*spec.hot)[rng.below(8)];
  } else if (dice < 31) {
    value.bits = (*spec.hot)[rng.below(kHotCount)];
  } else {
    value.bits = rng.next() >> rng.below(64);
  }
  return clamped(spec, value);
}

FieldValue change_value(const DomainSpec& spec, FieldValue value, Rng& rng) {
  if (spec.is_small()) {
    value.bits = (value.bits + 1 + rng.below(spec.max)) % (spec.max + 1);
    return value;
  }
  if (spec.text == TextKind::kFlags) {
    value.bits ^= std::uint64_t{1} << (rng.one_in(4) ? rng.below(64) : rng.below(8));
    return clamped(spec, value);
  }
  const bool counts_pages = spec.hot == &domains::kHotFrames || spec.text == TextKind::kNumber ||
                            spec.text == TextKind::kChoice;
  const std::uint64_t page = counts_pages ? 1 : kPageBytes;
  switch (rng.below(8)) {
    case 0:
      value.bits += 1;
      break;
    case 1:
      value.bits -= 1;
      break;
    case 2:
    case 3:
      value.bits += page;
      break;
    case 4:
      value.bits -= page;
      break;
    case 5:
      value.bits *= 2;
      break;
    case 6:
      value.bits ^= page * kFramesPer2M;
      break;
    default:
      value.bits ^= std::uint64_t{1} << rng.below(64);
      break;
  }
  if (spec.text == TextKind::kHostVa && rng.one_in(16)) value.raw = !value.raw;
  return clamped(spec, value);
}

std::string format_actor(ActorId actor) {
  std::string out;
  format_value(Domain<ActorId>::kSpec, Domain<ActorId>::to(actor), out);
  return out;
}

std::expected<ActorId, std::string> parse_actor(std::string_view text) {
  const auto value = parse_value(Domain<ActorId>::kSpec, text);
  if (!value) return std::unexpected(value.error());
  return Domain<ActorId>::from(*value);
}

}  // namespace sluice
