// The design alternatives: every value of every axis of KVM's own (and of what user space decides
// with it), what shows it, what was found, what it costs. Nothing here knows what to expect: a
// verdict is what running the axis's files on the model shows.
#pragma once
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "run/explore.h"
#include "run/path_cost.h"

namespace sluice::run {

/// Of which guests it is shown: any but TDs, or TDs.
enum class Flavor : std::uint8_t { kPlain, kTdx };

/// One value of one axis.
struct Alternative {
  std::size_t axis = 0;  // of kPolicyAxes
  std::uint8_t value = 0;

  std::string_view axis_name() const { return kPolicyAxes[axis].name; }
  std::string_view value_name() const { return kPolicyAxes[axis].values[value]; }
  bool is_default() const { return value == policy_value(PolicySet{}, axis); }
  /// Everything else as in `base`, but for what the value needs beside it.
  PolicySet on(PolicySet base = {}) const {
    set_policy_value(base, axis, value);
    return with_what_it_needs(base);
  }
  Workload workload() const;
  /// The same for what it costs, where the axis is about something that is not there by default.
  PolicySet on_its_own() const;
  /// Some axes are about TDs alone, some mean nothing on one.
  bool is_of(Flavor flavor) const;
};

/// All of them, axis by axis; the guest's own ways and the host's page size are no alternatives.
std::vector<Alternative> all_alternatives();

/// Where it is shown: a counterexample is AXIS/VALUE.ops of one folder, the tour of the machinery
/// of the whole axis is AXIS.ops of the other; with `.tdx` before `.ops` on a TD.
struct AlternativeFolders {
  std::string counterexamples{};
  std::string tours{};  // "": none
};
std::string counterexample_path(const std::string& folder, const Alternative& one, Flavor flavor);
/// Nothing where there is none.
std::optional<std::string> find_tour(const std::string& folder, const Alternative& one,
                                     Flavor flavor);

enum class AlternativeVerdict : std::uint8_t {
  kNotShown,      // there is no file for it
  kBroken,        // an invariant does not hold: `finding`
  kNothingFound,  // within `interleavings` of the tour
  kStale          // a counterexample that shows nothing any more, or a tour that cannot be run
};
std::string_view name_of(AlternativeVerdict verdict);

struct AlternativeShown {
  AlternativeVerdict verdict = AlternativeVerdict::kNotShown;
  std::string file{};
  std::string invariant{};     // id and name of what does not hold
  std::size_t operations = 0;  // of the counterexample
  std::uint64_t interleavings = 0;
  unsigned preemptions = 0;                  // at most, of the interleavings
  bool complete = false;                     // all that there are within that bound
  std::string reason{};                      // of kStale
  std::optional<Sequence> counterexample{};  // of kBroken: what shows it
};

struct ShowOptions {
  unsigned preemptions = 2;
  std::uint64_t max_runs = 5000;
};
/// Runs what there is: a counterexample once, or else a tour in its interleavings. Error: a file
/// that cannot be read or is no sequence.
std::expected<AlternativeShown, std::string> show_alternative(const AlternativeFolders& folders,
                                                              const Alternative& one, Flavor flavor,
                                                              const ShowOptions& options);

inline constexpr std::uint64_t kSequencesPerProgram = 100;  // one explored costs as much
struct SearchOptions {
  std::uint64_t seed = 1;
  // Random ones, as many that end in a race, then a hundredth as many explored programs.
  std::uint64_t sequences = 200000;
  std::string tours{};  // their folder: they come last; "": none
};
/// Looks for a counterexample from nothing: random sequences under the value, then ones that end in
/// a race, then the interleavings of small random programs, then those of the axis's tour.
/// Minimized. Pre: none. Deterministic by seed. Cost: some 20 us a sequence.
Expected<std::optional<Sequence>> find_counterexample(const Alternative& one, Flavor flavor,
                                                      const SearchOptions& options);

}  // namespace sluice::run
