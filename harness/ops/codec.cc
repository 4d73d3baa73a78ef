#include "ops/codec.h"

#include <array>
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

/// Bytes from the front; zeros when they have run out.
struct Reader {
  const std::uint8_t* at;
  const std::uint8_t* end;
  std::uint8_t byte() { return at != end ? *at++ : std::uint8_t{0}; }
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
  FieldValue value;
  for (unsigned i = 0; i <= (tag & 7u); ++i) {
    value.bits |= std::uint64_t{in.byte()} << (8 * i);
  }
  value.bits &= kSpec.max;
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
void write_field(FieldValue value, std::vector<std::uint8_t>& out) {
  if constexpr (Domain<Field>::kSpec.is_small()) {
    out.push_back(static_cast<std::uint8_t>(value.bits));
  } else {
    const unsigned place = value.raw ? HotIndex::kFree : hot_place<Field>(value.bits);
    if (place != HotIndex::kFree) {
      out.push_back(static_cast<std::uint8_t>(place < kLikely ? place : kHotTag + place));
      return;
    }
    unsigned extra = 0;
    while (extra < 7 && value.bits >> (8 * (extra + 1)) != 0) ++extra;
    out.push_back(static_cast<std::uint8_t>(kWideTag + extra + (value.raw ? kRawBit : 0)));
    for (unsigned i = 0; i <= extra; ++i) {
      out.push_back(static_cast<std::uint8_t>(value.bits >> (8 * i)));
    }
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

template <class... Ops>
constexpr auto reader_table(OpList<Ops...>) {
  return std::array<void (*)(Reader&, Op&), sizeof...(Ops)>{&read_op<Ops>...};
}
constexpr auto kReaders = reader_table(AllOps{});

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

constexpr auto kAxisValueCounts = [] {
  std::array<std::uint8_t, kPolicyAxes.size()> counts{};
  for (std::size_t axis = 0; axis < counts.size(); ++axis) {
    for (const std::string_view value : kPolicyAxes[axis].values) {
      if (!value.empty()) ++counts[axis];
    }
  }
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
  Reader in{.at = bytes.data(), .end = bytes.data() + bytes.size()};
  read_header(in, out.header);
  const auto& op_of_byte = kOpOfByte[out.header.scope == Scope::kMachine ? 1 : 0];
  while (in.at != in.end && out.steps.size() < kMaxOps) {
    read_step(in, op_of_byte, out.steps.emplace_back());
  }
}

void encode_sequence(const Sequence& sequence, std::vector<std::uint8_t>& out) {
  SLUICE_CHECK(sequence.steps.size() <= kMaxOps);
  const std::size_t kernel = modeled_kernel_index(sequence.header.kernel);
  SLUICE_CHECK(kernel < kModeledKernels.size());
  out.clear();
  out.push_back(kCodecVersion);
  const unsigned scope = sequence.header.scope == Scope::kMachine ? 1 : 0;
  out.push_back(static_cast<std::uint8_t>(kernel << 1 | scope));
  for (std::size_t axis = 0; axis < kPolicyAxes.size(); ++axis) {
    out.push_back(policy_value(sequence.header.policy, axis));
  }
  for (const Step& step : sequence.steps) {
    out.push_back(static_cast<std::uint8_t>(step.op.index()));
    const unsigned park = step.park < kParkEscape ? step.park : kParkEscape;
    const unsigned actor = takes_actor(step.op.index()) ? step.actor.index : 0;
    out.push_back(static_cast<std::uint8_t>(park << 4 | actor));
    if (park == kParkEscape) out.push_back(step.park);
    std::visit(
        [&](const auto& op) {
          std::remove_cvref_t<decltype(op)>::each(op, [&](std::string_view, const auto& member) {
            using Field = std::remove_cvref_t<decltype(member)>;
            write_field<Field>(Domain<Field>::to(member), out);
          });
        },
        step.op);
  }
}

}  // namespace sluice
