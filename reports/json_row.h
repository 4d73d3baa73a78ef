// A row as JSON, for the parts of this room that pick fields out of it. Internal: rows come from
// harness/record.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/system_error.h"

namespace sluice::reports {

/// The newest row format this program reads.
inline constexpr int kRowSchema = 1;

/// Parses one line and checks what every row must have: schema, kind, run, time, host.
/// Errors: what is wrong with it, in words that fit after "file:line: ".
Expected<nlohmann::json> parse_row(std::string_view line);

/// Whether the line starts as a row does and then breaks off, as an interrupted writer leaves it.
bool cut_off(std::string_view line);

/// identity_of() for a parsed row.
std::string row_identity(const nlohmann::json& row);

/// Fields of any row, absent and null alike: empty text, nothing, false.
std::string text_of(const nlohmann::json& object, const char* key);
std::optional<double> number_of(const nlohmann::json& object, const char* key);
bool flag_of(const nlohmann::json& object, const char* key);

/// The object under `key`, or an empty one where it is absent or null.
const nlohmann::json& object_of(const nlohmann::json& object, const char* key);

/// What a reader must be told beside the number: "smoke", "simulated", the row's own label.
nlohmann::json labels_of(const nlohmann::json& row);

/// The main figure of a benchmark row: CPU time, or wall time where the row has no CPU time. Null
/// where it has neither.
const nlohmann::json& main_times(const nlohmann::json& row);

/// JSON text that stands safely inside a script element: no "<" is left that could end it.
std::string script_safe(const nlohmann::json& value);

/// Any JSON as text. Bytes that are no UTF-8 become U+FFFD instead of an exception.
std::string dump(const nlohmann::json& value, int indent = -1);

}  // namespace sluice::reports
