// Trace: rows are consistent, names are unique, profiles survive a round trip and bad ones are
// refused with file and line.
#include <gtest/gtest.h>

#include <set>

#include "trace/capability.h"
#include "trace/event.h"
#include "trace/host_profile.h"
#include "trace/kernel_behavior.h"
#include "trace/outcome_text.h"
#include "trace/view.h"

namespace sluice {
namespace {

TEST(CheckList, RowsStandAtTheirEnumerator) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kCheckCount; ++i) {
    const CheckRow& row = kChecks[i];
    EXPECT_EQ(static_cast<std::size_t>(row.check), i);
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(find_check(row.name), row.check);
    EXPECT_TRUE(row.check == Check::kOk || !row.source.empty()) << row.name;
    EXPECT_TRUE(row.kind != StatusKind::kErrno || row.number != 0) << row.name;
  }
  EXPECT_FALSE(find_check("no.such_check").has_value());
}

TEST(StatusKind, RowsStandAtTheirEnumerator) {
  for (std::size_t i = 0; i < kStatusKinds.size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(kStatusKinds[i].kind), i);
    EXPECT_FALSE(kStatusKinds[i].answer.empty()) << kStatusKinds[i].name;
  }
}

TEST(StatusKind, AnswersCarryTheirNumber) {
  EXPECT_EQ(describe_answer(StatusKind::kErrno, 22), "errno 22");
  EXPECT_EQ(describe_answer(StatusKind::kCarry, 0), "EAX = 0, CF = 1");
  EXPECT_EQ(describe(outcome_of(Check::kPvalidateNoUpdate)),
            "EAX = 0, CF = 1 [pvalidate.no_update]");
  EXPECT_EQ(describe(outcome_of(Check::kPvalidateSizeMismatch)),
            "code 6 [pvalidate.size_mismatch]");
}

TEST(Outcome, ItsStatusCarriesNoValue) {
  Outcome fault = outcome_of(Check::kFaultMismatch);
  fault.exit.flags = kMemoryFaultPrivate;
  fault.exit.gpa = 0x7000;
  EXPECT_EQ(describe(fault), "memory_fault(private, gpa=0x7000) [fault.mismatch]");
  EXPECT_EQ(describe_status(fault), "memory_fault(private) [fault.mismatch]");
  Outcome done{};
  done.has_value = done.has_progress = true;
  EXPECT_EQ(describe(done), "ok(gpa=0x0, left=0x0, value=0x0)");
  EXPECT_EQ(describe_status(done), "ok");
  EXPECT_EQ(describe_status(outcome_of(Check::kFaultMmio)), "mmio [fault.mmio]");
}

TEST(Outcome, FollowsItsRow) {
  const Outcome out = outcome_of(Check::kPvalidateSizeMismatch);
  EXPECT_EQ(out.kind, StatusKind::kCode);
  EXPECT_EQ(out.number, 6);
  EXPECT_EQ(outcome_of(Check::kFaultMismatch).exit.reason, kExitMemoryFault);
  EXPECT_FALSE(is_refusal(Check::kSkipNoVm));
  EXPECT_TRUE(is_refusal(Check::kRegionOverlap));
}

TEST(Capability, NamesAreFound) {
  for (std::size_t i = 0; i < std::size(kCapabilities); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(kCapabilities[i].capability), i);
    EXPECT_EQ(find_capability(kCapabilities[i].name), kCapabilities[i].capability);
  }
}

TEST(Capability, EachSaysWhatItIsAndWhatIsSkippedWithoutIt) {
  for (const CapabilityRow& row : kCapabilities) {
    if (row.capability == Capability::kNone) continue;
    EXPECT_FALSE(row.meaning.empty()) << row.name;
    EXPECT_FALSE(row.skipped_without.empty()) << row.name;
  }
}

TEST(HostProfile, SurvivesARoundTrip) {
  HostProfile profile = default_profile({6, 18});
  EXPECT_EQ(profile.gmem_flags, 3u);
  profile.tdp = false;
  profile.vm_types = 1;
  const auto back = parse_profile(format_profile(profile), "p");
  ASSERT_TRUE(back.has_value()) << back.error().message();
  EXPECT_EQ(*back, profile);
}

TEST(HostProfile, BadInputNamesFileAndLine) {
  EXPECT_EQ(parse_profile("tdp=1\nspeed=9\n", "host.profile").error().what.substr(0, 15),
            "host.profile:2:");
  EXPECT_NE(parse_profile("tdp=2\n", "p").error().what.find("out of range"), std::string::npos);
  EXPECT_FALSE(parse_profile("tdp\n", "p").has_value());
  for (const char* const empty : {"", "\n", "# of which host?\n"}) {
    const auto profile = parse_profile(empty, "host.profile");
    ASSERT_FALSE(profile.has_value()) << '"' << empty << '"';
    EXPECT_EQ(profile.error().what.substr(0, 14), "host.profile: ");
  }
}

TEST(EventLog, SaysWhatItCouldNotKeep) {
  static EventLog log;
  constexpr std::size_t kRoom = EventLog::kCapacity - EventLog::kRoomOfRefusals;
  for (std::size_t i = 0; i < kRoom + 3; ++i) log.add({.kind = EventKind::kZap, .a = i});
  EXPECT_EQ(log.events().size(), kRoom);
  EXPECT_FALSE(log.is_complete());
  EXPECT_TRUE(log.lacks(EventKind::kZap));
  EXPECT_FALSE(log.lacks(EventKind::kMap));
  log.clear();
  EXPECT_TRUE(log.events().empty());
  EXPECT_FALSE(log.lacks(EventKind::kZap));
}

TEST(EventLog, KeepsRefusalsLonger) {
  static EventLog log;
  for (std::size_t i = 0; i < EventLog::kCapacity; ++i) log.add({.kind = EventKind::kFrameFreed});
  for (const EventKind kind :
       {EventKind::kRmpUpdateRefused, EventKind::kRmpUpdateOverlap, EventKind::kPsmashRefused}) {
    log.add({.kind = kind, .a = 7});
    EXPECT_EQ(log.events().back().kind, kind);
    EXPECT_FALSE(log.lacks(kind));
  }
  for (std::size_t i = 0; i < EventLog::kRoomOfRefusals; ++i)
    log.add({.kind = EventKind::kPsmashRefused});
  EXPECT_TRUE(log.lacks(EventKind::kPsmashRefused));
  EXPECT_EQ(log.events().size(), EventLog::kCapacity);
}

}  // namespace
}  // namespace sluice
