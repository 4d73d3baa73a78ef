#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <thread>

#include "base/units.h"
#include "platform/counters.h"

namespace sluice::platform {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

/// Writes one byte to each page of fresh memory: one fault a page, as huge pages are kept out.
void touch_fresh_pages(std::size_t pages) {
  const std::size_t bytes = pages * kPageBytes;
  void* const at =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(at, MAP_FAILED);
  ASSERT_EQ(::madvise(at, bytes, MADV_NOHUGEPAGE), 0);
  auto* const byte = static_cast<volatile char*>(at);
  for (std::size_t i = 0; i < pages; ++i) byte[i * kPageBytes] = 1;
  ::munmap(at, bytes);
}

std::int64_t count_of(const Fact& fact) { return std::get<std::int64_t>(fact.value); }

/// Without libperf, or where perf events are forbidden, there is nothing to count with: the reason
/// is the test's skip. A counterd that dies is no such reason.
#define SKIP_IF_MISSING(fact)                                               \
  ASSERT_THAT((fact).reason, Not(HasSubstr("stopped before it answered"))); \
  if ((fact).missing()) GTEST_SKIP() << (fact).name << ": " << (fact).reason

TEST(Counters, PageFaultsOfTouching4096PagesAreExact) {
  Counters counters = Counters::open({"page_faults", "major_faults"});
  touch_fresh_pages(1);  // the code's own pages
  counters.start();
  counters.stop();
  counters.start();
  touch_fresh_pages(4096);
  const Facts counted = counters.stop();
  SKIP_IF_MISSING(counted[0]);
  EXPECT_EQ(counted[0].name, "page_faults");
  if (kSanitized) {
    EXPECT_GE(count_of(counted[0]), 4096);  // the sanitizer's shadow memory faults too
  } else {
    EXPECT_EQ(count_of(counted[0]), 4096);
  }
  EXPECT_EQ(count_of(counted[1]), 0);
}

TEST(Counters, ThreadsStartedLaterAreCounted) {
  Counters counters = Counters::open({"page_faults"});
  counters.start();
  std::thread([] { touch_fresh_pages(512); }).join();
  const Facts counted = counters.stop();
  SKIP_IF_MISSING(counted[0]);
  EXPECT_GE(count_of(counted[0]), 512);
}

TEST(Counters, HardwareEventsCountOrSayWhyNot) {
  Counters counters = Counters::open({"instructions", "cycles"});
  counters.start();
  touch_fresh_pages(16);
  for (const Fact& fact : counters.stop()) {
    if (fact.missing()) {
      EXPECT_FALSE(fact.reason.empty()) << fact.name;
    } else {
      EXPECT_GT(count_of(fact), 1000) << fact.name;
    }
  }
}

TEST(Counters, UnknownNamesAreMissingAndTheOthersStay) {
  Counters counters =
      Counters::open({"page_faults", "no_such_counter", "../../etc:passwd", "no:tracepoint"});
  counters.start();
  touch_fresh_pages(8);
  const Facts counted = counters.stop();
  ASSERT_EQ(counted.size(), 4U);
  SKIP_IF_MISSING(counted[0]);
  EXPECT_GE(count_of(counted[0]), 8);
  EXPECT_THAT(counted[1].reason, HasSubstr("no counter of this name"));
  EXPECT_THAT(counted[2].reason, HasSubstr("no counter of this name"));
  EXPECT_TRUE(counted[3].missing());
  EXPECT_FALSE(counted[3].reason.empty());
}

TEST(Counters, WithoutCounterdEveryCounterIsMissingWithThatReason) {
  Counters none = Counters::open({"page_faults"}, "/nowhere/sluice-counterd");
  none.start();
  EXPECT_THAT(none.stop()[0].reason, HasSubstr("/nowhere/sluice-counterd"));
  Counters silent = Counters::open({"page_faults", "cycles"}, "/bin/true");
  silent.start();
  for (const Fact& fact : silent.stop())
    EXPECT_THAT(fact.reason, HasSubstr("stopped before it answered"));
}

}  // namespace
}  // namespace sluice::platform
