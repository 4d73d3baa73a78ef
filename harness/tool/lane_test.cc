// What became of a lane's guest, read from transcripts; and the command line's refusals, which need
// no emulator.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tool/command.h"
#include "tool/lane_guest.h"
#include "tool/programs.h"

namespace sluice::tool {
namespace {

constexpr std::string_view kBegin = "SLUICE-LANE t0 begin 6.12.1\r\n";

LaneReading read(std::string_view after_begin, std::string_view console = {},
                 EmulatorEnd emulator = EmulatorEnd::kLeft) {
  const std::string lines = std::string(kBegin) + std::string(after_begin);
  return read_transcript({.lines = lines, .console = console, .token = "t0", .emulator = emulator});
}

TEST(LaneTranscript, TheClosingLineHasTheStatus) {
  const LaneReading reading = read("output\n\nSLUICE-LANE t0 end status 2\n");
  EXPECT_EQ(reading.end, LaneEnd::kStatus);
  EXPECT_EQ(reading.command_status, 2);
  EXPECT_EQ(reading.release, "6.12.1");
  EXPECT_EQ(status_of(reading), kInconclusive);
}

TEST(LaneTranscript, StatusesAboveThreeAreFindingsAndAMissingCommandIsUsage) {
  EXPECT_EQ(status_of(read("SLUICE-LANE t0 end status 139\n")), kFinding);
  EXPECT_EQ(status_of(read("SLUICE-LANE t0 end status 127\n")), kUsage);
}

TEST(LaneTranscript, OutputCannotPretendToBeTheClosingLine) {
  EXPECT_EQ(read("SLUICE-LANE t1 end status 0\nSLUICE-LANE t00 end status 0\n").end,
            LaneEnd::kDied);
}

TEST(LaneTranscript, AGuestWithoutClosingLineHasDiedOrHangs) {
  EXPECT_EQ(read("half a li").end, LaneEnd::kDied);
  EXPECT_EQ(status_of(read("half a li")), kFinding);
  const LaneReading hung = read("", "", EmulatorEnd::kStopped);
  EXPECT_EQ(hung.end, LaneEnd::kHung);
  EXPECT_EQ(status_of(hung), kFinding);
}

TEST(LaneTranscript, APanicIsNamedBeforeAndAfterTheCommandBegan) {
  constexpr std::string_view kPanic = "[    1.0] Kernel panic - not syncing: Fatal exception\r\n";
  const LaneReading reading = read("", kPanic);
  EXPECT_EQ(reading.end, LaneEnd::kPanicked);
  EXPECT_EQ(reading.reason, "Kernel panic - not syncing: Fatal exception");
  const LaneReading early = read_transcript({.console = kPanic, .token = "t0"});
  EXPECT_EQ(early.end, LaneEnd::kPanicked);
  EXPECT_EQ(status_of(early), kFinding);
}

TEST(LaneTranscript, AWarningOfTheKernelIsAFindingOnlyAfterTheBegin) {
  constexpr std::string_view kEnd = "SLUICE-LANE t0 end status 0\n";
  constexpr std::string_view kWarning = "[    1.5] WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2\n";
  constexpr std::string_view kMark = "[    1.0] sluice-lane: begin 6.12.1\n";
  EXPECT_EQ(status_of(read(kEnd, std::string(kWarning) + std::string(kMark))), kFine);
  const LaneReading late = read(kEnd, std::string(kMark) + std::string(kWarning));
  ASSERT_EQ(late.alarms.size(), 1u);
  EXPECT_EQ(status_of(late), kFinding);
}

TEST(LaneTranscript, ACommandOutOfTimeIsInconclusive) {
  EXPECT_EQ(status_of(read("SLUICE-LANE t0 end outlived\n")), kInconclusive);
}

TEST(LaneTranscript, NoLineOfOursIsASetUpError) {
  const LaneReading reading = read_transcript({.token = "t0", .emulator = EmulatorEnd::kStopped});
  EXPECT_EQ(reading.end, LaneEnd::kNeverBegan);
  EXPECT_EQ(status_of(reading), kUsage);
  EXPECT_EQ(read_transcript({.token = "t0", .emulator = EmulatorEnd::kFailed}).end,
            LaneEnd::kNoEmulator);
  const LaneReading unfit = read("SLUICE-LANE t0 end setup no-9p\n");
  EXPECT_EQ(unfit.reason, "no-9p");
  EXPECT_EQ(status_of(unfit), kUsage);
}

TEST(LaneTranscript, UsersSeeWholeLinesWithoutOurs) {
  std::string rest;
  EXPECT_EQ(visible_output("SLUICE-LANE t0 begin 6\nabc", "t0", rest), "");
  EXPECT_EQ(visible_output("d\nSLUICE-LANE t0 end status 0\n", "t0", rest), "abcd\n");
}

TEST(LaneGuest, TwoNodesShareTheMemory) {
  GuestOptions options{.out = "/o"};
  EXPECT_EQ(fmt::format("{}", fmt::join(qemu_command(options), " ")).find("-numa"),
            std::string::npos);
  options.numa = true;
  const std::string words = fmt::format("{}", fmt::join(qemu_command(options), " "));
  EXPECT_NE(words.find("node,nodeid=1,cpus=1,memdev=m1"), std::string::npos) << words;
}

TEST(LaneGuest, AClockOfInstructionsIsTheEmulatorsOwn) {
  GuestOptions options{.out = "/o", .append = "mine"};
  const auto words = [&options] {
    return fmt::format("{}", fmt::join(qemu_command(options), " "));
  };
  EXPECT_EQ(words().find("-icount"), std::string::npos);
  options.icount = true;
  EXPECT_NE(words().find("-accel tcg,thread=single"), std::string::npos) << words();
  EXPECT_NE(words().find("-icount shift=0,sleep=off -rtc clock=vm"), std::string::npos);
  EXPECT_NE(words().find("clocksource=tsc tsc=reliable nokaslr mine"), std::string::npos);
}

TEST(LaneCommand, RefusesWhatItCannotBoot) {
  const auto status = [](std::vector<std::string> words) {
    words.insert(words.begin(), {SLUICE_PROGRAM, "lane"});
    const auto finished = run_program(words, {.output_file = "/dev/null"});
    return finished ? finished->status : -1;
  };
  EXPECT_EQ(status({}), kUsage);
  EXPECT_EQ(status({"--flavour", "other", "--", "true"}), kUsage);
  EXPECT_EQ(status({"--kernel", "/nonexistent/bzImage", "--", "true"}), kUsage);
  EXPECT_EQ(status({"--accel", "magic", "--", "true"}), kUsage);
  EXPECT_EQ(status({"--limit", "0", "--", "true"}), kUsage);
  EXPECT_EQ(status({"--icount", "--numa", "--", "true"}), kUsage);
  EXPECT_EQ(status({"--help"}), kFine);
}

TEST(LaneCommand, CountingWantsAClockThatCounts) {
  const auto finished = run_program({SLUICE_PROGRAM, "bench", "--backend", "kvm", "--count"},
                                    {.output_file = "/dev/null"});
  ASSERT_TRUE(finished);
  EXPECT_EQ(finished->status, kUsage) << "times are no instructions";
}

}  // namespace
}  // namespace sluice::tool
