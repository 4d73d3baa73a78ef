#include "ops/codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

#include "base/check.h"
#include "ops/domain.h"
#include "ops/reflect.h"

namespace sluice {
namespace {

constexpr unsigned kLikely = 8;         // values whose byte is one of 128
constexpr std::uint8_t kHotTag = 128;   // ..239: one of kHotCount values
constexpr std::uint8_t kWideTag = 240;  // ..255: (tag & 7) + 1 bytes follow
constexpr std::uint8_t kRawBit = 8;     // of a wide tag, for HostVa
constexpr unsigned kParkEscape = 15;    // high half of the actor byte: the park byte follows

/// No step reads more: operation, actor, park, and 9 bytes a field.
constexpr std::size_t kMaxStepBytes = 3 + 9 * 16;
static_assert([] {
  std::size_t most = 0;
  for_each_op_type([&]<class T>() { most = std::max(most, detail::visited_fields<T>()); });
  return most <= 16;
}());

/// Bytes from the front of a buffer with kMaxStepBytes zeros behind it: no check per byte.
struct Reader {
  const std::uint8_t* at;
  std::uint8_t byte() { return *at++; }
};
/// Into a buffer of kMaxEncodedBytes.
struct Writer {
  std::uint8_t* at;
  void byte(std::uint64_t value) { *at++ = static_cast<std::uint8_t>(value); }
};

/// From a hot value to its lowest place, by open addressing; filled at compile time.
struct HotIndex {
  static constexpr std::uint8_t kFree = 0xff;
  std::array<std::uint8_t, 256> slots{};
  static constexpr std::size_t first_slot(std::uint64_t value) {
    return static_cast<std::size_t>((value * 0x9e3779b97f4a7c15) >> 56);
  }
};
constexpr HotIndex make_hot_index(const HotValues& hot, std::uint64_t max) {
  HotIndex index;
  index.slots.fill(HotIndex::kFree);
  for (std::size_t i = 0; i < hot.size(); ++i) {
    std::size_t slot = HotIndex::first_slot(hot[i] & max);
    while (index.slots[slot] != HotIndex::kFree &&
           (hot[index.slots[slot]] & max) != (hot[i] & max)) {
      slot = (slot + 1) % index.slots.size();
    }
    if (index.slots[slot] == HotIndex::kFree) index.slots[slot] = static_cast<std::uint8_t>(i);
  }
  return index;
}
template <class Field>
constexpr HotIndex kHotIndex = make_hot_index(*Domain<Field>::kSpec.hot, Domain<Field>::kSpec.max);

template <class Field>
unsigned hot_place(std::uint64_t bits) {
  constexpr const DomainSpec& kSpec = Domain<Field>::kSpec;
  for (std::size_t slot = HotIndex::first_slot(bits);; slot = (slot + 1) % 256) {
    const unsigned place = kHotIndex<Field>.slots[slot];
    if (place == HotIndex::kFree || ((*kSpec.hot)[place] & kSpec.max) == bits) return place;
  }
}

template <class Field>
constexpr bool is_host_va = std::is_same_v<Field, HostVa>;

template <class Field>
FieldValue read_wide(Reader& in, std::uint8_t tag) {
  constexpr const DomainSpec& kSpec = Domain<Field>::kSpec;
  static_assert(std::endian::native == std::endian::little);
  const unsigned count = (tag & 7u) + 1;
  FieldValue value;
  std::memcpy(&value.bits, in.at, sizeof value.bits);
  in.at += count;
  value.bits &= kSpec.max & (~std::uint64_t{0} >> (64 - 8 * count));
  if constexpr (is_host_va<Field>) {
    value.raw = (tag & kRawBit) != 0;
    if (!value.raw) value.bits %= kHostRegionBytes;
  }
  return value;
}

template <class Field>
FieldValue read_field(Reader& in) {
  constexpr const DomainSpec& kSpec = Domain<Field>::kSpec;
  const std::uint8_t tag = in.byte();
  if constexpr (kSpec.is_small()) {
    return {.bits = tag % (kSpec.max + 1)};
  } else {
    static_assert((kSpec.max & (kSpec.max + 1)) == 0, "a large domain is a whole number of bits");
    if (tag >= kWideTag) return read_wide<Field>(in, tag);
    std::uint64_t bits = (*kSpec.hot)[tag < kHotTag ? tag % kLikely : tag % kHotCount] & kSpec.max;
    if constexpr (is_host_va<Field>) bits %= kHostRegionBytes;
    return {.bits = bits};
  }
}

template <class Field>
void write_field(FieldValue value, Writer& out) {
  if constexpr (Domain<Field>::kSpec.is_small()) {
    out.byte(value.bits);
  } else {
    const unsigned place = value.raw ? HotIndex::kFree : hot_place<Field>(value.bits);
    if (place != HotIndex::kFree) return out.byte(place < kLikely ? place : kHotTag + place);
    const auto width = static_cast<unsigned>(std::bit_width(value.bits | 1));
    const unsigned count = (width + 7) / 8;
    out.byte(kWideTag + (count - 1) + (value.raw ? kRawBit : 0));
    std::memcpy(out.at, &value.bits, sizeof value.bits);
    out.at += count;
  }
}

template <class T>
void read_op(Reader& in, Op& out) {
  T& op = out.emplace<T>();
  T::each(op, [&](std::string_view, auto& member) {
    using Field = std::remove_cvref_t<decltype(member)>;
    member = Domain<Field>::from(read_field<Field>(in));
  });
}

template <class T>
void write_op(const Op& op, Writer& out) {
  T::each(*std::get_if<T>(&op), [&](std::string_view, const auto& member) {
    using Field = std::remove_cvref_t<decltype(member)>;
    write_field<Field>(Domain<Field>::to(member), out);
  });
}

template <class... Ops>
constexpr auto reader_table(OpList<Ops...>) {
  return std::array<void (*)(Reader&, Op&), sizeof...(Ops)>{&read_op<Ops>...};
}
constexpr auto kReaders = reader_table(AllOps{});
template <class... Ops>
constexpr auto writer_table(OpList<Ops...>) {
  return std::array<void (*)(const Op&, Writer&), sizeof...(Ops)>{&write_op<Ops>...};
}
constexpr auto kWriters = writer_table(AllOps{});

/// What an operation byte means in a scope. The operation's own index always means it.
constexpr auto make_op_of_byte(Scope scope) {
  std::array<std::uint8_t, 256> table{};
  std::array<std::uint8_t, AllOps::kCount> legal{};
  std::size_t count = 0;
  for (std::size_t i = 0; i < AllOps::kCount; ++i) {
    if (scope == Scope::kMachine || !kOpInfo[i].machine_scope_only) {
      legal[count++] = static_cast<std::uint8_t>(i);
    }
  }
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    const std::size_t i = byte % AllOps::kCount;
    const bool is_legal = scope == Scope::kMachine || !kOpInfo[i].machine_scope_only;
    table[byte] = is_legal ? static_cast<std::uint8_t>(i) : legal[byte % count];
  }
  return table;
}
constexpr std::array<std::array<std::uint8_t, 256>, 2> kOpOfByte{make_op_of_byte(Scope::kHost),
                                                                 make_op_of_byte(Scope::kMachine)};
static_assert(AllOps::kCount <= 256, "an operation is one byte");

// Indices, not a range-for: g++-12 takes the iteration over kPolicyAxes for a modification of it.
constexpr auto kAxisValueCounts = [] {
  PolicyValues counts{};
  for (std::size_t i = 0; i < counts.size(); ++i)
    counts[i] = static_cast<std::uint8_t>(value_count(kPolicyAxes[i]));
  return counts;
}();

void read_header(Reader& in, SequenceHeader& header) {
  in.byte();  // the version: has_current_version() tells who cares
  const std::uint8_t modes = in.byte();
  header.scope = (modes & 1) != 0 ? Scope::kMachine : Scope::kHost;
  header.kernel = kModeledKernels[(modes >> 1) % kModeledKernels.size()];
  for (std::size_t axis = 0; axis < kPolicyAxes.size(); ++axis) {
    set_policy_value(header.policy, axis,
                     static_cast<std::uint8_t>(in.byte() % kAxisValueCounts[axis]));
  }
  header.policy = with_what_it_needs(header.policy);
}

void read_step(Reader& in, const std::array<std::uint8_t, 256>& op_of_byte, Step& step) {
  const std::size_t index = op_of_byte[in.byte()];
  const std::uint8_t mode = in.byte();
  const unsigned park = mode >> 4;
  step.park = park == kParkEscape ? in.byte() : static_cast<std::uint8_t>(park);
  step.actor = {.kind = kOpInfo[index].actor};
  if (takes_actor(index)) {
    step.actor.index = static_cast<std::uint8_t>((mode & 15u) % actors_of(step.actor.kind));
  }
  kReaders[index](in, step.op);
}

}  // namespace

void decode_sequence(std::span<const std::uint8_t> bytes, Sequence& out) {
  out.clear();
  out.steps.reserve(kMaxOps);
  std::array<std::uint8_t, kMaxEncodedBytes + kMaxStepBytes> padded;
  const std::size_t size = std::min(bytes.size(), kMaxEncodedBytes);
  if (size > 0) std::memcpy(padded.data(), bytes.data(), size);
  std::memset(padded.data() + size, 0, kMaxStepBytes);
  Reader in{.at = padded.data()};
  const std::uint8_t* const end = padded.data() + size;
  read_header(in, out.header);
  const auto& op_of_byte = kOpOfByte[out.header.scope == Scope::kMachine ? 1 : 0];
  while (in.at < end && out.steps.size() < kMaxOps) {
    read_step(in, op_of_byte, out.steps.emplace_back());
  }
}

void encode_sequence(const Sequence& sequence, std::vector<std::uint8_t>& out) {
  SLUICE_CHECK(sequence.steps.size() <= kMaxOps);
  const std::size_t kernel = modeled_kernel_index(sequence.header.kernel);
  SLUICE_CHECK(kernel < kModeledKernels.size());
  // Left as it is: every byte that is kept is written below.
  std::array<std::uint8_t, kMaxEncodedBytes + kMaxStepBytes> buffer;
  Writer writer{.at = buffer.data()};
  writer.byte(kCodecVersion);
  writer.byte(kernel << 1 | (sequence.header.scope == Scope::kMachine ? 1u : 0u));
  for (std::size_t axis = 0; axis < kPolicyAxes.size(); ++axis) {
    writer.byte(policy_value(sequence.header.policy, axis));
  }
  for (const Step& step : sequence.steps) {
    const std::size_t index = step.op.index();
    writer.byte(index);
    const unsigned park = std::min<unsigned>(step.park, kParkEscape);
    writer.byte(park << 4 | (takes_actor(index) ? step.actor.index : 0u));
    if (park == kParkEscape) writer.byte(step.park);
    kWriters[index](step.op, writer);
  }
  out.clear();  // assign() alone branches on what was there before: unstable under AFL++
  out.insert(out.end(), buffer.data(), writer.at);
}

}  // namespace sluice
