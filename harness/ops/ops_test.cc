// The registry itself: every operation is listed once, under a distinct name, and says where it
// comes from.
#include <gtest/gtest.h>

#include <set>
#include <string_view>

#include "ops/sequence.h"

namespace sluice {
namespace {

TEST(OpList, NamesAreDistinctAndSourced) {
  std::set<std::string_view> names;
  for (const OpInfo& info : kOpInfo) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_FALSE(info.source.empty()) << info.name;
    EXPECT_FALSE(info.summary.empty()) << info.name;
    EXPECT_GT(info.weight, 0) << info.name;
  }
}

struct Forgetful {
  Gfn gfn{};
  bool write = false;
  static constexpr OpInfo kInfo{.name = "forgetful"};
  template <class Self, class Visit>
  static constexpr void each(Self& op, Visit&& visit) {
    visit("gfn", op.gfn);
  }
};

static_assert(Operation<Forgetful>, "only its each() is wrong");

TEST(OpList, AForgottenFieldIsSeenByTheArityCheck) {
  EXPECT_EQ(detail::field_count<Forgetful>(), 2u);
  EXPECT_EQ(detail::visited_fields<Forgetful>(), 1u);
}

TEST(OpList, AStepIsSmall) { EXPECT_LE(sizeof(Step), 96u); }

}  // namespace
}  // namespace sluice
