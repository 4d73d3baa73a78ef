// A named value that may be missing, with the reason why: what fingerprints, benchmark arguments
// and counters are lists of. A missing value is never 0: it is "no value" and a sentence.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {

struct Fact {
  using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

  std::string name{};    // one dot groups: "huge_pages.2M"
  Value value{};         // std::monostate: missing
  std::string reason{};  // why it is missing; empty where there is a value

  bool missing() const { return std::holds_alternative<std::monostate>(value); }
  friend bool operator==(const Fact&, const Fact&) = default;
};
using Facts = std::vector<Fact>;  // in the order in which they are shown; names are unique

inline Fact missing_fact(std::string name, std::string reason) {
  return Fact{.name = std::move(name), .value = {}, .reason = std::move(reason)};
}

/// The fact of that name, or null. Cost: linear; lists are short.
inline const Fact* find_fact(const Facts& facts, std::string_view name) {
  for (const Fact& fact : facts) {
    if (fact.name == name) return &fact;
  }
  return nullptr;
}

}  // namespace sluice
