#include "ops/minimize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "ops/random.h"
#include "ops/text.h"

namespace sluice {
namespace {

bool has_text(const Sequence& sequence, std::string_view part) {
  return format_text(sequence).find(part) != std::string::npos;
}

TEST(Minimize, LeavesOnlyWhatMatters) {
  const auto start = parse_text(
      "# title: kept\n# kernel: 6.18\n# policy: vmm=kill,gmem_order=2M\n"
      "create_vm type=snp => ok\n"
      "create_guest_memfd size=4M\n"
      "set_memory_region flags=guest_memfd size=4M gmem=0\n"
      "create_vcpu vcpu=1\n"
      "@vcpu1 pre_fault_memory gpa=0x1f3000 size=2M park=3 => ok\n"
      "@vmm2 set_memory_attributes address=0x1000 size=8K attributes=private\n"
      "resume vcpu1\n",
      "start.ops");
  ASSERT_TRUE(start) << start.error().message();
  const auto shows = [](const Sequence& candidate) {
    return has_text(candidate, "type=snp") && has_text(candidate, "gmem_order=2M") &&
           std::ranges::any_of(candidate.steps, [](const Step& step) {
             const auto* op = std::get_if<PreFaultMemory>(&step.op);
             return op != nullptr && (op->gpa.value & 0x3000) == 0x3000 && step.park >= 2;
           });
  };
  const MinimizeResult result = minimize(*start, shows);
  EXPECT_TRUE(result.is_minimal);
  EXPECT_EQ(format_text(result.sequence),
            "# title: kept\n# policy: gmem_order=2M\n"
            "create_vm type=snp => ok\n"
            "pre_fault_memory gpa=0x3000 park=2 => ok\n");
}

TEST(Minimize, NeverReturnsWhatDoesNotShowAndRepeatsItself) {
  Rng rng(4);
  Sequence start;
  for (int run = 0; run < 40; ++run) {
    random_sequence(rng, {.min_ops = 20, .max_ops = kMaxOps}, start);
    // An arbitrary property that single steps cannot have alone.
    const std::size_t wanted = format_text(start).size() / 3;
    const auto shows = [&](const Sequence& candidate) {
      return format_text(candidate).size() >= wanted &&
             candidate.steps.size() % 2 == start.steps.size() % 2;
    };
    const MinimizeResult one = minimize(start, shows);
    const MinimizeResult two = minimize(start, shows);
    EXPECT_TRUE(shows(one.sequence));
    EXPECT_LT(one.sequence.steps.size(), start.steps.size());
    EXPECT_EQ(format_text(one.sequence), format_text(two.sequence));
    EXPECT_EQ(one.tries, two.tries);
  }
}

TEST(Minimize, StopsWhenTheBudgetIsUsedUp) {
  Rng rng(5);
  Sequence start;
  random_sequence(rng, {.min_ops = 40, .max_ops = 40}, start);
  std::size_t asked = 0;
  const auto shows = [&](const Sequence& candidate) {
    ++asked;
    return candidate.steps.size() >= 3;
  };
  const MinimizeResult result = minimize(start, shows, 5);
  EXPECT_FALSE(result.is_minimal);
  EXPECT_EQ(result.tries, 5u);
  EXPECT_EQ(asked, 6u);  // the start itself is asked about too
  EXPECT_GE(result.sequence.steps.size(), 3u);
}

TEST(Minimize, EmptiesWhatAlwaysShows) {
  Rng rng(6);
  Sequence start;
  random_sequence(rng, {.min_ops = 10, .max_ops = 10}, start);
  EXPECT_TRUE(minimize(start, [](const Sequence&) { return true; }).sequence.steps.empty());
}

}  // namespace
}  // namespace sluice
