// Columns of numbers as short text: what keeps 200 lines of 1,000 points on a page of 2 MB. A
// column is scaled to integers, and their differences are written as base64 VLQ (the digits of
// JavaScript source maps); "." is no value. The page's decode.js is the other half.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "reports/json_row.h"

namespace sluice::reports {

using Column = std::vector<std::optional<double>>;

/// Which value of a column keeps `digits` significant digits.
enum class Precision : unsigned char {
  kSmallest,  // the smallest, so every value has at least that many
  kMedian,    // the median one: for spreads, whose small values carry no information
};

/// Appends one signed number: 6 bits a character, the lowest bit is the sign. Pre: |value| < 2^62.
void append_vlq(std::string& text, std::int64_t value);

/// {"e":exponent,"v":text}: value = integer * 10^e. Null where the column holds no value at all.
Json encode_column(const Column& column, int digits, Precision precision);

/// A growing list of small numbers, as VLQ differences.
std::string encode_indices(const std::vector<std::size_t>& indices);

}  // namespace sluice::reports
