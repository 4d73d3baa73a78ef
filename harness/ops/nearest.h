// "Did you mean": the known name nearest to a mistyped one.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace sluice {

/// Insertions, removals, replacements and swaps of neighbours that turn `a` into `b`.
unsigned edit_distance(std::string_view a, std::string_view b);

/// The nearest of `names` if it is near enough to be what was meant, else "".
std::string_view nearest_name(std::string_view typed, std::span<const std::string_view> names);

/// "; did you mean 'x'?" where a name is near, else "; known are: a, b, c".
std::string suggestion(std::string_view typed, std::span<const std::string_view> names);

}  // namespace sluice
