// Switchable known bugs: the test of the testers. In the planted build one bug of this list, or one
// refusal reason, or neither, is on; in every other build the switches are constant and cost
// nothing. Names and documentation are always listed. Adding a bug: one row in planted_list.h, `if
// (planted(Planted::kX))` at the place, corpora/planted/<id>.ops, and the invariant it must trip.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "model/planted_list.h"
#include "trace/check_list.h"

namespace sluice::model {

enum class Planted : std::uint8_t {
  kNone,
#define SLUICE_ROW(enumerator, name, invariant, meaning) enumerator,
  SLUICE_PLANTED_BUGS(SLUICE_ROW)
#undef SLUICE_ROW
};

struct PlantedRow {
  Planted bug;
  std::string_view name;
  std::string_view invariant;  // what the oracle must report, by name (oracle/invariant_list.h)
  std::string_view meaning;
};
// clang-format off
inline constexpr std::array kPlanted = std::to_array<PlantedRow>({
    {Planted::kNone, "none", "", ""},
#define SLUICE_ROW(enumerator, name, invariant, meaning) \
    {Planted::enumerator, name, invariant, meaning},
    SLUICE_PLANTED_BUGS(SLUICE_ROW)
#undef SLUICE_ROW
});
// clang-format on

#ifdef SLUICE_PLANTED
/// Process-wide because a bug is frozen for a whole sequence and set by tests only. Thread: set
/// before running.
struct PlantedSwitches {
  Planted bug = Planted::kNone;
  Check disabled_check = Check::kOk;
};
PlantedSwitches& planted_switches();
inline bool planted(Planted bug) { return planted_switches().bug == bug; }
/// A refusal with this reason; success instead where the planted build has switched the reason off.
inline Check fail(Check check) {
  return planted_switches().disabled_check == check ? Check::kOk : check;
}
inline constexpr bool kPlantedBuild = true;
#else
constexpr bool planted(Planted) { return false; }
constexpr Check fail(Check check) { return check; }
inline constexpr bool kPlantedBuild = false;
#endif

}  // namespace sluice::model
