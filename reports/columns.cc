#include "reports/columns.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace sluice::reports {
namespace {

constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr double kLargest = 9e15;  // JavaScript counts exactly to 2^53

double reference(const Column& column, Precision precision) {
  std::vector<double> sizes;
  for (const auto& value : column) {
    if (value && *value != 0 && std::isfinite(*value)) sizes.push_back(std::abs(*value));
  }
  if (sizes.empty()) return 1;
  if (precision == Precision::kSmallest) return *std::min_element(sizes.begin(), sizes.end());
  const auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
  std::nth_element(sizes.begin(), middle, sizes.end());
  return *middle;
}

}  // namespace

void append_vlq(std::string& text, std::int64_t value) {
  const bool negative = value < 0;
  std::uint64_t rest =
      (static_cast<std::uint64_t>(negative ? -value : value) << 1) | (negative ? 1u : 0u);
  do {
    const std::uint64_t digit = rest & 31;
    rest >>= 5;
    text += kDigits[digit | (rest != 0 ? 32u : 0u)];
  } while (rest != 0);
}

Json encode_column(const Column& column, int digits, Precision precision) {
  const auto has_value = [](const auto& value) { return value && std::isfinite(*value); };
  if (std::none_of(column.begin(), column.end(), has_value)) return nullptr;
  const int exponent =
      static_cast<int>(std::floor(std::log10(reference(column, precision)))) - (digits - 1);
  std::string text;
  std::int64_t before = 0;
  for (const auto& value : column) {
    if (!has_value(value)) {
      text += '.';
      continue;
    }
    const double scaled = std::clamp(*value / std::pow(10.0, exponent), -kLargest, kLargest);
    const auto now = static_cast<std::int64_t>(std::llround(scaled));
    append_vlq(text, now - before);
    before = now;
  }
  return Json{{"e", exponent}, {"v", std::move(text)}};
}

std::string encode_indices(const std::vector<std::size_t>& indices) {
  std::string text;
  std::int64_t before = 0;
  for (const std::size_t index : indices) {
    append_vlq(text, static_cast<std::int64_t>(index) - before);
    before = static_cast<std::int64_t>(index);
  }
  return text;
}

}  // namespace sluice::reports
