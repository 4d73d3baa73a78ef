// Expectations: every form is understood, every wrong one is refused with what would be right.
#include "run/expectation.h"

#include <gtest/gtest.h>

#include "trace/outcome_text.h"

namespace sluice::run {
namespace {

Outcome errno_outcome(int number) {
  Outcome out{};
  out.kind = StatusKind::kErrno;
  out.number = static_cast<std::uint16_t>(number);
  out.has_check = false;
  return out;
}
Outcome memory_fault(bool is_private, std::uint64_t gpa) {
  Outcome out = outcome_of(Check::kFaultMismatch);
  out.exit.flags = is_private ? kMemoryFaultPrivate : 0;
  out.exit.gpa = gpa;
  return out;
}
Outcome in_flight(Progression progression, WaitFor wait) {
  Outcome out{};
  out.progression = progression;
  out.wait = wait;
  return out;
}

bool meets_text(std::string_view text, const Outcome& outcome) {
  const auto expected = parse_expectation(text);
  EXPECT_TRUE(expected.has_value()) << text << ": " << expected.error();
  return expected && meets(*expected, outcome);
}

TEST(Expectation, Success) {
  Outcome out{};
  EXPECT_TRUE(meets_text("ok", out));
  EXPECT_TRUE(meets_text("", out));
  EXPECT_FALSE(meets_text("EINVAL", out));
  EXPECT_FALSE(meets_text("ok(gpa=0)", out)) << "nothing was handed back";
  out.has_progress = true;
  out.progress = {.gpa = 0x1000, .left = 0x1ff000};
  EXPECT_TRUE(meets_text("ok(gpa=0x1000, left=0x1ff000)", out));
  EXPECT_TRUE(meets_text("ok(left=2093056)", out));
  EXPECT_FALSE(meets_text("ok(gpa=0x2000)", out));
  EXPECT_FALSE(meets_text("ok(exit=memory_fault)", out));
  out.exit.reason = kExitMemoryFault;
  EXPECT_TRUE(meets_text("ok(gpa=0x1000, exit=memory_fault)", out));
  EXPECT_EQ(describe(out), "ok(gpa=0x1000, left=0x1ff000, exit=memory_fault)");
  EXPECT_FALSE(parse_expectation("ok(exit=memory)").has_value());
  out.has_value = true;
  out.value = 5;
  EXPECT_TRUE(meets_text("ok(value=5)", out));
  EXPECT_FALSE(meets_text("ok(value=6)", out));
}

TEST(Expectation, ErrnosAndReasons) {
  EXPECT_TRUE(meets_text("EEXIST", outcome_of(Check::kRegionOverlap)));
  EXPECT_TRUE(meets_text("set_memory_region.overlap", outcome_of(Check::kRegionOverlap)));
  EXPECT_FALSE(meets_text("set_memory_region.flags", outcome_of(Check::kRegionSlotId)))
      << "same errno, another reason";
  EXPECT_TRUE(meets_text("set_memory_region.flags", errno_outcome(EINVAL)))
      << "a backend that knows no reasons is compared by errno";
  EXPECT_FALSE(meets_text("set_memory_region.flags", errno_outcome(EBADF)));
  EXPECT_FALSE(meets_text("ok", errno_outcome(EBADF)));
}

TEST(Expectation, Exits) {
  EXPECT_TRUE(meets_text("memory_fault", memory_fault(true, 0x1000)));
  EXPECT_TRUE(meets_text("memory_fault(private, gpa=0x1000)", memory_fault(true, 0x1000)));
  EXPECT_FALSE(meets_text("memory_fault(shared)", memory_fault(true, 0x1000)));
  EXPECT_FALSE(meets_text("memory_fault(private, gpa=0x2000)", memory_fault(true, 0x1000)));
  EXPECT_TRUE(meets_text("fault.mismatch", memory_fault(true, 0x1000)));
  EXPECT_FALSE(meets_text("mmio", memory_fault(true, 0x1000)));
  EXPECT_TRUE(meets_text("mmio", outcome_of(Check::kFaultMmio)));
}

TEST(Expectation, APreFaultsExitStandsBesideItsErrno) {
  Outcome out = errno_outcome(EFAULT);
  EXPECT_FALSE(meets_text("fault.private_no_gmem", out));
  out.exit = {.reason = kExitMemoryFault, .flags = kMemoryFaultPrivate, .size = kPageBytes};
  EXPECT_TRUE(meets_text("fault.private_no_gmem", out));
  EXPECT_TRUE(meets_text("EFAULT", out));
  EXPECT_FALSE(meets_text("fault.mmio", out));
}

TEST(Expectation, InFlightAndSkipped) {
  EXPECT_TRUE(meets_text("parked", in_flight(Progression::kParked, WaitFor::kNothing)));
  EXPECT_TRUE(meets_text("blocked", in_flight(Progression::kBlocked, WaitFor::kSrcu)));
  EXPECT_TRUE(meets_text("blocked(srcu)", in_flight(Progression::kBlocked, WaitFor::kSrcu)));
  EXPECT_FALSE(meets_text("blocked(mmu_lock)", in_flight(Progression::kBlocked, WaitFor::kSrcu)));
  EXPECT_FALSE(meets_text("ok", in_flight(Progression::kParked, WaitFor::kNothing)));
  EXPECT_TRUE(meets_text("skipped", outcome_of(Check::kSkipNoVm)));
  EXPECT_TRUE(meets_text("skip.no_vm", outcome_of(Check::kSkipNoVm)));
  EXPECT_FALSE(meets_text("skip.no_vcpu", outcome_of(Check::kSkipNoVm)));
}

TEST(Expectation, WhatIsWrongIsSaid) {
  for (const char* text : {"fine", "EWHATEVER", "ok(", "ok(speed=1)", "ok(gpa)", "ok(gpa=x)",
                           "blocked(me)", "ok(private)", "memory_fault(left)"}) {
    const auto expected = parse_expectation(text);
    ASSERT_FALSE(expected.has_value()) << text;
    EXPECT_FALSE(expected.error().empty());
  }
  EXPECT_NE(parse_expectation("fine").error().find("'fine'"), std::string::npos);
}

TEST(OutcomeText, IsWhatAnExpectationWouldSay) {
  EXPECT_EQ(describe(outcome_of(Check::kRegionOverlap)), "EEXIST [set_memory_region.overlap]");
  EXPECT_EQ(describe(errno_outcome(EAGAIN)), "EAGAIN");
  EXPECT_EQ(describe(in_flight(Progression::kBlocked, WaitFor::kSrcu)), "blocked(srcu)");
  EXPECT_EQ(describe(outcome_of(Check::kSkipNoVm)), "skip.no_vm");
  Outcome read = outcome_of(Check::kOk);
  read.has_value = true;
  read.value = 0x2a;
  EXPECT_EQ(describe(read), "ok(value=0x2a)");
  EXPECT_EQ(describe(memory_fault(true, 0x1000)),
            "memory_fault(private, gpa=0x1000) [fault.mismatch]");
  EXPECT_EQ(find_errno("EAGAIN"), EAGAIN);
  EXPECT_FALSE(find_errno("EFINE").has_value());
}

}  // namespace
}  // namespace sluice::run
