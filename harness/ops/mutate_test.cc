// Mutation reaches what it should, keeps sequences well formed, and repeats itself for the same
// seed.
#include "ops/mutate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "ops/codec.h"
#include "ops/context.h"
#include "ops/random.h"
#include "ops/text.h"

namespace sluice {
namespace {

Sequence parsed(std::string_view text) {
  auto sequence = parse_text(text, "test.ops");
  EXPECT_TRUE(sequence) << sequence.error().message();
  return sequence ? *sequence : Sequence{};
}

struct Reach {
  std::string_view name;
  std::string_view start;
  std::string_view target;
};

// One call of mutate() leads from start to target for some seed below kTries.
constexpr Reach kReach[] = {
    {"a field takes a likely value", "create_vm\n", "create_vm type=snp\n"},
    {"an operation is added", "create_vm\n", "create_vm\ncreate_vcpu\n"},
    {"an operation goes", "create_vm\ncreate_vcpu\n", "create_vm\n"},
    {"an operation is replaced", "create_vm\ncreate_vcpu\n", "create_vm\ncreate_guest_memfd\n"},
    {"an operation comes twice", "create_vm\nset_memory_attributes attributes=private\n",
     "create_vm\nset_memory_attributes attributes=private\nset_memory_attributes "
     "attributes=private\n"},
    {"two operations change places", "create_vm\ncreate_vcpu\ncreate_guest_memfd\n",
     "create_vm\ncreate_guest_memfd\ncreate_vcpu\n"},
    {"a value is copied from another operation",
     "create_vm\nset_memory_region gpa=0x123456000 size=2M\nset_memory_attributes\n",
     "create_vm\nset_memory_region gpa=0x123456000 size=2M\n"
     "set_memory_attributes address=0x123456000\n"},
    {"a page further", "create_vm\nset_memory_region gpa=0x123456000 size=2M\n",
     "create_vm\nset_memory_region gpa=0x123457000 size=2M\n"},
    {"an operation is parked", "create_vm\ncreate_vcpu\npre_fault_memory size=2M\n",
     "create_vm\ncreate_vcpu\npre_fault_memory size=2M park=1\n"},
    {"a later park point", "create_vm\ncreate_vcpu\npre_fault_memory size=2M park=4\n",
     "create_vm\ncreate_vcpu\npre_fault_memory size=2M park=5\n"},
    {"a parked actor is resumed", "create_vm\ncreate_vcpu\npre_fault_memory size=2M park=1\n",
     "create_vm\ncreate_vcpu\npre_fault_memory size=2M park=1\nresume vcpu0\n"},
    {"another thread does it", "create_vm\nset_memory_region size=2M\n",
     "create_vm\n@vmm1 set_memory_region size=2M\n"},
    {"threads are swapped", "create_vm\n@vmm1 create_guest_memfd\nset_memory_region size=2M\n",
     "create_vm\ncreate_guest_memfd\n@vmm1 set_memory_region size=2M\n"},
    {"a race is made", "create_vm\ncreate_vcpu\npre_fault_memory size=2M\n",
     "create_vm\ncreate_vcpu\npre_fault_memory size=2M park=1\nsev_init2\nresume vcpu0\n"},
    {"the kernel changes", "create_vm\n", "# kernel: 6.18\ncreate_vm\n"},
    {"the policy changes", "create_vm\n", "# policy: gmem_order=2M\ncreate_vm\n"},
    {"raw instructions become legal", "create_vm\n", "# scope: machine\ncreate_vm\n"},
    {"a raw instruction is written", "# scope: machine\ncreate_vm\n",
     "# scope: machine\ncreate_vm\npsmash spa=0x200000\n"},
};

TEST(Mutate, ReachesTheTargetFromTheStart) {
  constexpr std::uint64_t kTries = 400000;
  for (const Reach& reach : kReach) {
    const Sequence start = parsed(reach.start);
    Mutator mutator(1);
    bool reached = false;
    Sequence sequence;
    for (std::uint64_t seed = 0; seed < kTries && !reached; ++seed) {
      sequence = start;
      mutator.mutate(sequence, seed);
      // Comparing text is slow; most candidates differ in length already.
      if (sequence.steps.size() > start.steps.size() + 2) continue;
      reached = format_text(sequence) == reach.target;
    }
    EXPECT_TRUE(reached) << reach.name;
  }
}

TEST(Mutate, BuildsAVmFromNothing) {
  Mutator mutator(3);
  Sequence sequence;
  mutator.mutate(sequence, 1);
  EXPECT_TRUE(is_one_of<CreateVm>(sequence.steps.at(0).op)) << format_text(sequence);
}

/// Every invariant of a sequence that encode and text rely on.
void expect_well_formed(const Sequence& sequence) {
  ASSERT_LE(sequence.steps.size(), kMaxOps);
  std::vector<std::uint8_t> bytes;
  encode_sequence(sequence, bytes);
  Sequence again;
  decode_sequence(bytes, again);
  ASSERT_EQ(format_text(again), format_text(sequence));
  for (const Step& step : sequence.steps) {
    const bool is_raw = info_of(step.op).machine_scope_only;
    ASSERT_TRUE(sequence.header.scope == Scope::kMachine || !is_raw) << format_text(sequence);
  }
}

TEST(Mutate, KeepsSequencesWellFormed) {
  Mutator mutator(5);
  Rng rng(6);
  Sequence a;
  Sequence b;
  Sequence mixed;
  for (int run = 0; run < 300; ++run) {
    random_sequence(rng, {.min_ops = 0, .max_ops = kMaxOps, .implausible = run % 2 == 0}, a);
    random_sequence(rng, {.min_ops = 0, .max_ops = kMaxOps}, b);
    for (int i = 0; i < 20; ++i) {
      mutator.mutate(a, rng.next());
      expect_well_formed(a);
      mutator.cross_over(a, b, mixed, rng.next());
      expect_well_formed(mixed);
    }
  }
}

TEST(Mutate, TheKernelStaysAsMainlineHasIt) {
  Mutator mutator(1);
  Sequence sequence;
  bool changed = false;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    mutator.mutate(sequence, seed);
    EXPECT_TRUE(has_mainline_kernel(sequence.header.policy)) << seed;
    changed = changed || sequence.header.policy != PolicySet{};
  }
  EXPECT_TRUE(changed);
}

TEST(Mutate, LongSequencesShrinkAndShortOnesGrow) {
  Mutator mutator(9);
  Rng rng(10);
  Sequence sequence;
  for (const std::size_t start : {std::size_t{0}, kMaxOps}) {
    std::size_t sum = 0;
    std::size_t longest = 0;
    constexpr std::size_t kRuns = 200;
    for (std::size_t run = 0; run < kRuns; ++run) {
      random_sequence(rng, {.min_ops = start, .max_ops = start}, sequence);
      for (int i = 0; i < 100; ++i) mutator.mutate(sequence, rng.next());
      sum += sequence.steps.size();
      longest = std::max(longest, sequence.steps.size());
    }
    EXPECT_GE(sum, kRuns * Mutator::kUsualOps / 2) << "from " << start;
    EXPECT_LE(sum, kRuns * Mutator::kUsualOps * 2) << "from " << start;
    EXPECT_GT(longest, Mutator::kUsualOps) << "a long one must stay possible, from " << start;
  }
}

TEST(Mutate, FoliosOf1GBecomeRare) {
  constexpr std::uint64_t kRuns = 20 * Mutator::kGiantsKept;
  Mutator mutator(5);
  std::uint64_t mutated = 0, crossed = 0;
  for (std::uint64_t seed = 0; seed < kRuns; ++seed) {
    Rng rng(seed);
    Sequence a, b;
    append_setup(rng, a);
    a.header.policy.gmem_order = GmemOrder::k1G;
    mutator.cross_over(a, a, b, seed);
    crossed += b.header.policy.gmem_order == GmemOrder::k1G ? 1 : 0;
    mutator.mutate(a, seed);
    mutated += a.header.policy.gmem_order == GmemOrder::k1G ? 1 : 0;
  }
  for (const std::uint64_t kept : {mutated, crossed}) {
    EXPECT_GE(kept, 5U) << "rare, but not gone";
    EXPECT_LE(kept, 40U);
  }
}

TEST(Mutate, SameSeedsSameSequences) {
  Mutator one(7);
  Mutator two(7);
  Sequence a;
  Sequence b;
  for (std::uint64_t seed = 0; seed < std::uint64_t{3} * Mutator::kSwarmPeriod; ++seed) {
    one.mutate(a, seed);
    two.mutate(b, seed);
    ASSERT_EQ(format_text(a), format_text(b));
  }
}

TEST(Mutate, EveryKindChangesSomethingForSomeSeed) {
  const Sequence start = parsed(
      "create_vm\ncreate_vcpu\n@vmm1 create_guest_memfd\npre_fault_memory park=2\n"
      "@vmm1 set_memory_region gpa=0x1000\nset_memory_attributes address=0x2000\n");
  for (const MutationKind& kind : mutation_kinds()) {
    const Mutator mutator(1);
    Rng rng(1);
    bool changed = false;
    for (int run = 0; run < 200 && !changed; ++run) {
      Sequence sequence = start;
      kind.apply(mutator, sequence, rng);
      changed = format_text(sequence) != format_text(start);
    }
    EXPECT_TRUE(changed) << kind.name;
  }
}

TEST(Mutate, NoKindMindsAnEmptyOrAFullSequence) {
  Rng rng(2);
  Sequence full;
  random_sequence(rng, {.min_ops = kMaxOps, .max_ops = kMaxOps}, full);
  ASSERT_EQ(full.steps.size(), kMaxOps);
  const Mutator mutator(1);
  for (const MutationKind& kind : mutation_kinds()) {
    for (int run = 0; run < 50; ++run) {
      Sequence empty;
      kind.apply(mutator, empty, rng);
      Sequence sequence = full;
      kind.apply(mutator, sequence, rng);
      ASSERT_LE(sequence.steps.size(), kMaxOps) << kind.name;
    }
  }
}

TEST(Mutate, OperationsNameWhatExists) {
  // The static half of target F3 (the other half is measured on the model).
  Mutator mutator(11);
  Rng rng(12);
  Sequence sequence;
  std::size_t attached = 0;
  std::size_t all = 0;
  for (int run = 0; run < 3000; ++run) {
    if (run % 30 == 0) random_sequence(rng, {.min_ops = 16, .max_ops = 16}, sequence);
    mutator.mutate(sequence, rng.next());
    Context context;
    for (const Step& step : sequence.steps) {
      Step probe = step;
      const bool exists = attach(probe, context, rng) && format_step(probe) == format_step(step);
      attached += exists ? 1 : 0;
      ++all;
      context.observe(step);
    }
  }
  EXPECT_GT(attached * 100, all * 95) << attached << " of " << all;
}

TEST(Mutate, CrossOverTakesFromBoth) {
  const Sequence a = parsed("create_vm\ncreate_vcpu\npre_fault_memory gpa=0xaa000\n");
  const Sequence b = parsed("create_vm\ncreate_vcpu\npre_fault_memory gpa=0xbb000\n");
  Mutator mutator(1);
  Sequence mixed;
  bool has_both = false;
  for (std::uint64_t seed = 0; seed < 200 && !has_both; ++seed) {
    mutator.cross_over(a, b, mixed, seed);
    const std::string text = format_text(mixed);
    has_both =
        text.find("0xaa000") != std::string::npos && text.find("0xbb000") != std::string::npos;
  }
  EXPECT_TRUE(has_both);
}

TEST(Repair, ResumesAParkedActorBeforeItActsAgain) {
  Rng rng(1);
  Sequence sequence = parsed(
      "create_vm\ncreate_vcpu\npre_fault_memory park=1\nguest_access\n@vcpu3 guest_access\n"
      "create_vm\nresume vmm1\nclose_guest_memfd\n");
  repair(sequence, rng);
  EXPECT_EQ(format_text(sequence),
            "create_vm\ncreate_vcpu\npre_fault_memory park=1\nresume vcpu0\nguest_access\n"
            "guest_access\ncreate_vm vm=1\n");
}

}  // namespace
}  // namespace sluice
