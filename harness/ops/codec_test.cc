// Bytes to sequence and back: total, deterministic, canonical; and random sequences are what they
// say.
#include "ops/codec.h"

#include <gtest/gtest.h>

#include "ops/context.h"
#include "ops/random.h"
#include "ops/reflect.h"
#include "ops/text.h"

namespace sluice {
namespace {

std::vector<std::uint8_t> random_bytes(Rng& rng, std::size_t limit) {
  std::vector<std::uint8_t> bytes(rng.below(limit));
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(rng.next());
  return bytes;
}

TEST(Codec, PoliciesThatDoNotGoTogetherAreCompleted) {
  unsigned valid = 0;
  for (unsigned i = 0; i < 2 * 3 * 7 * 3; ++i) {
    const PolicySet set{
        .direct_map = i % 2 == 0 ? DirectMapPolicy::kSplit : DirectMapPolicy::kUnmap,
        .backing = static_cast<Backing>(i / 2 % 3),
        .host_fault = static_cast<HostFault>(i / 6 % 7),
        .mapped_set_lock = static_cast<MappedSetLock>(i / 42)};
    const PolicySet made = with_what_it_needs(set);
    EXPECT_EQ(why_invalid(made), "") << format_policy(set);
    if (!why_invalid(set).empty()) continue;
    ++valid;
    EXPECT_EQ(made, set) << "what goes together stays: " << format_policy(set);
  }
  // upm on both direct maps, upm_no_direct_map on one; the five others with each of two backings on
  // both, and two of them with two more locks.
  EXPECT_EQ(valid, 2u + 1u + 2u * 2u * (5u + 2u * 2u));
}

TEST(Codec, EveryByteStringIsASequenceWithOneCanonicalForm) {
  Rng rng(1);
  Sequence sequence;
  Sequence again;
  std::vector<std::uint8_t> canonical;
  std::vector<std::uint8_t> canonical_again;
  for (int run = 0; run < 20000; ++run) {
    const auto bytes = random_bytes(rng, 400);
    decode_sequence(bytes, sequence);
    ASSERT_LE(sequence.steps.size(), kMaxOps);
    encode_sequence(sequence, canonical);
    ASSERT_LE(canonical.size(), kMaxEncodedBytes);
    decode_sequence(canonical, again);
    encode_sequence(again, canonical_again);
    ASSERT_EQ(canonical, canonical_again);
    ASSERT_EQ(format_text(sequence), format_text(again));
  }
}

TEST(Codec, WhatItDecodesHasATextForm) {
  Rng rng(2);
  Sequence sequence;
  std::vector<std::uint8_t> canonical;
  std::vector<std::uint8_t> from_text;
  for (int run = 0; run < 2000; ++run) {
    decode_sequence(random_bytes(rng, 300), sequence);
    encode_sequence(sequence, canonical);
    const auto parsed = parse_text(format_text(sequence), "decoded.ops");
    ASSERT_TRUE(parsed) << parsed.error().message() << '\n' << format_text(sequence);
    encode_sequence(*parsed, from_text);
    ASSERT_EQ(canonical, from_text) << format_text(sequence);
  }
}

TEST(Codec, NothingIsTheEmptySequence) {
  Sequence sequence;
  sequence.notes.title = "old";
  sequence.steps.resize(3);
  decode_sequence({}, sequence);
  EXPECT_TRUE(sequence.steps.empty());
  EXPECT_EQ(format_text(sequence), "");
  EXPECT_FALSE(has_current_version({}));
  std::vector<std::uint8_t> bytes;
  encode_sequence(sequence, bytes);
  EXPECT_TRUE(has_current_version(bytes));
}

TEST(Codec, EveryValueOfEveryFieldSurvives) {
  Rng rng(3);
  Sequence sequence;
  Sequence again;
  std::vector<std::uint8_t> bytes;
  sequence.header.scope = Scope::kMachine;
  for (std::size_t index = 0; index < AllOps::kCount; ++index) {
    for (std::size_t field = 0; field < fields_of(index).size(); ++field) {
      const DomainSpec& domain = *fields_of(index)[field].domain;
      for (unsigned i = 0; i < hot_count(domain) + 200; ++i) {
        FieldValue value = pick_value(domain, rng);
        if (i < hot_count(domain)) value = {.bits = hot_value(domain, i)};
        if (value.bits > domain.max) continue;  // shared by narrower domains
        if (domain.text == TextKind::kHostVa && !value.raw) value.bits %= kHostRegionBytes;
        Op op = make_op(index);
        set_field(op, field, value);
        sequence.steps.assign(1, {.actor = default_actor(op), .op = op});
        encode_sequence(sequence, bytes);
        decode_sequence(bytes, again);
        ASSERT_EQ(again.steps.size(), 1u);
        ASSERT_TRUE(same_op(again.steps[0].op, op)) << format_op(op);
      }
    }
  }
}

TEST(Codec, HeaderActorAndParkSurvive) {
  Rng rng(4);
  Sequence sequence;
  Sequence again;
  std::vector<std::uint8_t> bytes;
  for (const KernelVersion kernel : kModeledKernels) {
    for (unsigned park = 0; park < 256; ++park) {
      for (std::uint8_t index = 0; index < kMaxVcpus; ++index) {
        sequence.clear();
        sequence.header.kernel = kernel;
        sequence.header.policy.vmm = VmmPolicy::kIgnore;
        sequence.header.policy.gmem_order = static_cast<GmemOrder>(rng.below(3));
        sequence.steps.push_back({.actor = {.kind = ActorKind::kVcpu, .index = index},
                                  .park = static_cast<std::uint8_t>(park),
                                  .op = PreFaultMemory{.gpa = {rng.next()}}});
        encode_sequence(sequence, bytes);
        decode_sequence(bytes, again);
        ASSERT_EQ(format_text(again), format_text(sequence));
      }
    }
  }
}

TEST(Codec, HostScopeHoldsNoRawHostInstruction) {
  Rng rng(5);
  Sequence sequence;
  for (int run = 0; run < 2000; ++run) {
    decode_sequence(random_bytes(rng, 200), sequence);
    if (sequence.header.scope == Scope::kMachine) continue;
    for (const Step& step : sequence.steps) EXPECT_FALSE(info_of(step.op).machine_scope_only);
  }
}

TEST(Codec, DecodingKeepsTheMemory) {
  Rng rng(6);
  Sequence sequence;
  decode_sequence(random_bytes(rng, 400), sequence);
  const Step* const at = sequence.steps.data();
  const std::size_t capacity = sequence.steps.capacity();
  for (int run = 0; run < 1000; ++run) {
    decode_sequence(random_bytes(rng, 2000), sequence);
    ASSERT_EQ(sequence.steps.data(), at);
    ASSERT_EQ(sequence.steps.capacity(), capacity);
  }
}

TEST(Random, SameSeedSameSequence) {
  Rng one(9);
  Rng two(9);
  Sequence a;
  Sequence b;
  for (int run = 0; run < 200; ++run) {
    const RandomShape shape{.implausible = run % 2 == 0};
    random_sequence(one, shape, a);
    random_sequence(two, shape, b);
    ASSERT_EQ(format_text(a), format_text(b));
    EXPECT_GE(a.steps.size(), shape.min_ops);
    EXPECT_LE(a.steps.size(), shape.max_ops);
  }
}

TEST(Random, PlausibleSequencesNameWhatExists) {
  Rng rng(10);
  Sequence sequence;
  for (int run = 0; run < 500; ++run) {
    random_sequence(rng, {.min_ops = 16, .max_ops = kMaxOps}, sequence);
    Context context;
    for (const Step& step : sequence.steps) {
      Step attached = step;
      ASSERT_TRUE(attach(attached, context, rng)) << format_text(sequence);
      EXPECT_EQ(format_step(attached), format_step(step)) << format_text(sequence);
      context.observe(step);
    }
  }
}

TEST(Random, ReachesEveryOperation) {
  Rng rng(12);
  Sequence sequence;
  std::array<bool, AllOps::kCount> seen{};
  for (int run = 0; run < 2000; ++run) {
    random_sequence(rng, {}, sequence);
    for (const Step& step : sequence.steps) seen[step.op.index()] = true;
  }
  for (std::size_t i = 0; i < AllOps::kCount; ++i) EXPECT_TRUE(seen[i]) << kOpInfo[i].name;
}

}  // namespace
}  // namespace sluice
