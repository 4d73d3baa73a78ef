// How many random sequences it takes until a planted bug is found: the test of the search itself.
// With interleaving, and with the same search in which no operation stops on its way (the control).
// Planted build only; in the others there is nothing to find.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "model/planted.h"
#include "oracle/oracle.h"
#include "run/proofs.h"
#include "run/random_source.h"

namespace sluice::run {

/// The row of the bug that the file "BUG.ops" or "BUG.way_to_it.ops" is of; none if there is none.
std::optional<model::PlantedRow> planted_row_of(std::string_view file);

/// The sequence in which every operation runs to its end when it begins.
Sequence straightened(const Sequence& sequence);

/// A planted bug that its sequences show only while somebody stops inside an operation.
struct Race {
  model::PlantedRow row{};
  /// What exploration needs to find it again from the program alone (run/explore.h); none where
  /// its sequences have no program of two actors.
  std::optional<unsigned> preemptions{};
};
/// The races among the bugs that `planted` is of, each with all of its files. By running them, with
/// their stops and without. Cost: some milliseconds a race.
std::vector<Race> find_races(std::span<const NamedSequence> planted);

struct HuntOptions {
  model::Planted bug = model::Planted::kNone;
  std::uint64_t seed = 1;
  std::uint64_t limit = 10'000;  // sequences at most
  std::size_t length = kMaxOps;  // operations in one at most
  bool stops = true;             // false: the control
  RandomFocus focus = RandomFocus::kNone;
};

/// `runs` counts the sequence that found it, and is the limit where none did. `finding` is one that
/// the sequence does not lead to without the bug.
struct Hunt {
  std::uint64_t runs = 0;
  std::uint64_t steps = 0;
  std::uint64_t found_anyway = 0;  // sequences that find something without the bug, too: 0, or news
  std::optional<oracle::Finding> finding{};
  Sequence sequence{};
  Sequence anyway{};  // the first of `found_anyway`
};

/// Deterministic. It begins with nothing: no corpus, and of the bug only that it is on. Errors: the
/// model's.
Expected<Hunt> hunt(const HuntOptions& options);

}  // namespace sluice::run
