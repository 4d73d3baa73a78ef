// What the two ways of `sluice explore` share: one file's program, or many of its own making.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "run/explore.h"

namespace sluice::tool {

struct ExploreCommand {
  std::vector<std::string> in{};
  std::string out{}, policy{};
  std::optional<std::uint32_t> from{};
  std::optional<unsigned> preemptions{};
  std::uint64_t runs = 0;    // of a program; 0: as many as there are, with `random` a few hundred
  std::uint64_t random = 0;  // programs; 0: the one of the file
  std::uint64_t seed = 1;
  bool keep_going = false, json = false;
};

/// The first schedule of each finding becomes the smallest sequence that still shows it, on the
/// host that `on` wants. Error: one that does not show it again.
Expected<void> minimize_found(run::Exploration& result, const Sequence& on);

constexpr std::string_view class_of(const oracle::Finding& finding) {
  return finding.cls == oracle::FindingClass::kFinding ? "finding" : "known_upstream";
}

/// Each returns the exit status.
int explore_file(const ExploreCommand& command);
int explore_random(const ExploreCommand& command);

}  // namespace sluice::tool
