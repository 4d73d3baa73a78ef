// A row as JSON, for the parts of this room that pick fields out of it. Internal: rows come from
// harness/record.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/system_error.h"

namespace sluice::reports {

using Json = nlohmann::ordered_json;  // keeps the order of keys in which a row wants to be shown

/// Parses one line. Pre: it is a row, or the error says that it is not.
/// Errors: what is wrong with it, in words that fit after "file:line: ".
Expected<Json> parse_row(std::string_view line);

/// The same with every rule of harness/record checked first: for lines that come from outside.
Expected<Json> parse_checked_row(std::string_view line);

/// identity_of() for a parsed row.
std::string row_identity(const Json& row);

/// Fields of any row, absent and null alike: empty text, nothing, false.
std::string text_of(const Json& object, const char* key);
std::optional<double> number_of(const Json& object, const char* key);
bool flag_of(const Json& object, const char* key);

/// The object under `key`, or an empty one where it is absent or null.
const Json& object_of(const Json& object, const char* key);

/// What a reader must be told beside the number: "smoke", "simulated", the row's own label.
Json labels_of(const Json& row);

/// The main figure of a benchmark row: CPU time, or wall time where the row has no CPU time. Null
/// where it has neither.
const Json& main_times(const Json& row);

/// JSON text that stands safely inside a script element: no "<" is left that could end it.
std::string script_safe(const Json& value);

/// The text without regard to the order of keys: equal for equal content.
std::string sorted_dump(const Json& value);

/// Any JSON as text. Bytes that are no UTF-8 become U+FFFD instead of an exception.
std::string dump(const Json& value, int indent = -1);

}  // namespace sluice::reports
