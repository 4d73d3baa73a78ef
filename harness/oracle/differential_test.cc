// The differential tells equal from different in every field, and counts what it cannot compare.
#include "oracle/differential.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace sluice::oracle {
namespace {

using testing::HasSubstr;

Outcome ok() { return {}; }
Outcome failed(int number) {
  Outcome out{};
  out.kind = StatusKind::kErrno;
  out.number = static_cast<std::uint16_t>(number);
  out.has_check = false;
  return out;
}
Outcome progressed(std::uint64_t gpa, std::uint64_t left) {
  Outcome out{};
  out.has_progress = true;
  out.progress = {.gpa = gpa, .left = left};
  return out;
}
Outcome read(std::uint64_t value) {
  Outcome out{};
  out.has_value = true;
  out.value = value;
  return out;
}
Outcome faulted(std::uint64_t gpa, std::uint32_t flags) {
  Outcome out{};
  out.kind = StatusKind::kExit;
  out.number = kExitMemoryFault;
  out.exit = {.reason = kExitMemoryFault, .flags = flags, .gpa = gpa, .size = 4096};
  return out;
}

struct Pair {
  const char* what;
  Outcome left;
  Outcome right;
  std::optional<DifferentialField> differs;
};

TEST(Differential, NamesTheFirstFieldThatDiffers) {
  const Pair pairs[] = {
      {"both succeed", ok(), ok(), {}},
      {"same errno, reason known on one side",
       outcome_of(Check::kRegionOverlap),
       failed(EEXIST),
       {}},
      {"success against errno", ok(), failed(EINVAL), DifferentialField::kStatus},
      {"two errnos", failed(ENOENT), failed(EFAULT), DifferentialField::kStatus},
      {"same progress", progressed(0x1000, 0x2000), progressed(0x1000, 0x2000), {}},
      {"other progress", progressed(0x1000, 0x2000), progressed(0x2000, 0x1000),
       DifferentialField::kProgress},
      {"progress known on one side", progressed(0x1000, 0x2000), ok(), {}},
      {"same exit", faulted(0x1000, 8), faulted(0x1000, 8), {}},
      {"exit for another page", faulted(0x1000, 8), faulted(0x2000, 8), DifferentialField::kExit},
      {"exit of another kind of fault", faulted(0x1000, 8), faulted(0x1000, 0),
       DifferentialField::kExit},
      {"same contents", read(5), read(5), {}},
      {"other contents", read(5), read(6), DifferentialField::kContents},
      {"contents known on one side", read(5), ok(), {}},
  };
  for (const Pair& pair : pairs) {
    Differential differential;
    const auto mismatch = differential.compare(pair.left, pair.right);
    ASSERT_EQ(mismatch.has_value(), pair.differs.has_value()) << pair.what;
    if (mismatch) {
      EXPECT_EQ(mismatch->field, *pair.differs) << pair.what;
    }
    EXPECT_EQ(differential.mismatches(), pair.differs ? 1u : 0u) << pair.what;
    EXPECT_EQ(differential.steps(), 1u);
  }
}

TEST(Differential, CountsWhatItCannotCompare) {
  Differential differential;
  Outcome parked{};
  parked.progression = Progression::kParked;
  EXPECT_FALSE(differential.compare(ok(), outcome_of(Check::kSkipCapability)));
  EXPECT_FALSE(differential.compare(parked, ok()));
  differential.skip_step();
  EXPECT_FALSE(differential.compare(ok(), ok()));
  EXPECT_EQ(differential.steps(), 4u);
  EXPECT_EQ(differential.counts(DifferentialField::kStatus),
            (FieldCounts{.compared = 1, .mismatched = 0, .uncomparable = 3}));
  EXPECT_EQ(differential.counts(DifferentialField::kContents).uncomparable, 4u);
}

TEST(Differential, FailsBelowTheFloor) {
  Differential differential;
  EXPECT_TRUE(differential.below_floor({}).has_value()) << "nothing compared is not a pass";
  EXPECT_FALSE(differential.compare(ok(), ok()));
  EXPECT_FALSE(differential.below_floor({}).has_value());
  differential.skip_step();
  differential.skip_step();
  EXPECT_THAT(differential.below_floor({}).value(), HasSubstr("1 of 3 steps"));
  DifferentialFloor contents{.status_per_mille = 0};
  contents.compared_at_least[static_cast<std::size_t>(DifferentialField::kContents)] = 1;
  EXPECT_THAT(differential.below_floor(contents).value(), HasSubstr("contents compared on 0"));
}

TEST(Differential, TableShowsEveryField) {
  Differential differential;
  static_cast<void>(differential.compare(read(1), read(2)));
  const std::string table = differential.table();
  for (const char* const field : {"status", "progress", "exit", "contents"}) {
    EXPECT_THAT(table, HasSubstr(field));
  }
  EXPECT_THAT(table, HasSubstr("model / kvm: 1 steps"));
}

}  // namespace
}  // namespace sluice::oracle
