#include "reports/columns.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace sluice::reports {
namespace {

std::string vlq(std::int64_t value) {
  std::string text;
  append_vlq(text, value);
  return text;
}

// Known answers from the source map format, which uses the same digits.
TEST(Columns, VlqKnownAnswers) {
  EXPECT_EQ(vlq(0), "A");
  EXPECT_EQ(vlq(1), "C");
  EXPECT_EQ(vlq(-1), "D");
  EXPECT_EQ(vlq(15), "e");
  EXPECT_EQ(vlq(16), "gB");
  EXPECT_EQ(vlq(-16), "hB");
  EXPECT_EQ(vlq(1000), "w+B");
}

std::int64_t digit_of(char c) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return static_cast<std::int64_t>(digits.find(c));
}

// An independent reading of the format: what decode.js does, in C++.
Column decode(const Json& encoded) {
  Column column;
  std::int64_t sum = 0;
  std::int64_t value = 0;
  int shift = 0;
  for (const char c : encoded.at("v").get<std::string>()) {
    if (c == '.') {
      column.push_back(std::nullopt);
      continue;
    }
    value |= (digit_of(c) & 31) << shift;
    shift += 5;
    if ((digit_of(c) & 32) != 0) continue;
    sum += (value & 1) != 0 ? -(value >> 1) : value >> 1;
    column.push_back(static_cast<double>(sum) * std::pow(10.0, encoded.at("e").get<int>()));
    value = 0;
    shift = 0;
  }
  return column;
}

TEST(Columns, FourDigitsOfEveryValueSurvive) {
  const Column column{1.8342, 1.79, std::nullopt, 2.5, 1e6, 0.0, 3412.0};
  const Column back = decode(encode_column(column, 4, Precision::kSmallest));
  ASSERT_EQ(back.size(), column.size());
  for (std::size_t i = 0; i < column.size(); ++i) {
    ASSERT_EQ(back[i].has_value(), column[i].has_value()) << i;
    if (column[i]) {
      EXPECT_NEAR(*back[i], *column[i], std::max(*column[i], 1.79) * 0.0005) << i;
    }
  }
}

TEST(Columns, SpreadsKeepTwoDigitsOfTheMedianOne) {
  const Column back = decode(encode_column({{0.00001, 0.023, 0.024, 0.9}}, 2, Precision::kMedian));
  EXPECT_NEAR(back[0].value(), 0, 0.0006);
  EXPECT_NEAR(back[1].value(), 0.023, 0.0006);
  EXPECT_NEAR(back[3].value(), 0.9, 0.0006);
}

TEST(Columns, NothingMeasuredIsNullNotZero) {
  EXPECT_TRUE(encode_column({}, 4, Precision::kSmallest).is_null());
  EXPECT_TRUE(encode_column({std::nullopt, std::nullopt}, 4, Precision::kSmallest).is_null());
}

TEST(Columns, ExtremesDoNotOverflow) {
  const Column column{1e-12, 1e12, std::numeric_limits<double>::infinity(), -1e12};
  const Column back = decode(encode_column(column, 4, Precision::kSmallest));
  ASSERT_EQ(back.size(), 4u);
  EXPECT_FALSE(back[2]);
  EXPECT_NEAR(back[0].value(), 1e-12, 1e-15);
  EXPECT_LT(back[3].value(), 0);
}

TEST(Columns, ZeroOnlyIsZero) {
  const Column back = decode(encode_column({{0.0, 0.0}}, 2, Precision::kMedian));
  EXPECT_EQ(back[0], 0.0);
  EXPECT_EQ(back[1], 0.0);
}

TEST(Columns, IndicesAreDifferences) { EXPECT_EQ(encode_indices({0, 1, 2, 20}), "ACCkB"); }

}  // namespace
}  // namespace sluice::reports
