// Rows as JSON lines: writing one, reading one back.
#pragma once
#include <string>
#include <string_view>

#include "base/system_error.h"
#include "record/row.h"

namespace sluice::record {

/// One line of JSON without its newline. Bytes that are not UTF-8 become U+FFFD; NaN and infinities
/// become null. Thread: safe. Cost: allocates.
std::string to_json(const Row& row);

/// The row that a line holds. Unknown keys are ignored, unknown kinds and newer schemas are errors.
/// Errors: bad input (number == 0): what is wrong with which key, and what to do.
Expected<Row> from_json(std::string_view line);

/// True if the line is the beginning of a row whose writing was cut off: JSON that ends too early.
bool is_torn(std::string_view line);

}  // namespace sluice::record
