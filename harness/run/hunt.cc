#include "run/hunt.h"

#include <algorithm>

#include "run/explore.h"
#include "run/runner.h"

namespace sluice::run {
namespace {

/// One bug, on as long as this stands.
class Switched {
 public:
  explicit Switched([[maybe_unused]] model::Planted bug) {
#ifdef SLUICE_PLANTED
    before_ = model::planted_switches();
    model::planted_switches() = {.bug = bug};
#endif
  }
  ~Switched() {
#ifdef SLUICE_PLANTED
    model::planted_switches() = before_;
#endif
  }
  Switched(const Switched&) = delete;
  Switched& operator=(const Switched&) = delete;

#ifdef SLUICE_PLANTED
 private:
  model::PlantedSwitches before_{};
#endif
};

bool shows(const Sequence& sequence, model::Planted bug) {
  auto model = open_model_for(sequence);
  if (!model) return false;
  const Switched on(bug);
  using Traits = BackendTraits<model::ModelBackend>;
  if (!Traits::start(*model, sequence)) return false;
  oracle::Oracle oracle;
  return run_steps(*model, oracle, sequence, true, [](std::size_t, const Outcome&) {})
      .finding.has_value();
}

/// The fewest with which exploration finds the bug by the program that `named` ends in.
std::optional<unsigned> preemptions_to(const NamedSequence& named, model::Planted bug) {
  constexpr unsigned kMost = 3;
  constexpr std::uint64_t kRuns = 20'000;
  const auto program = program_of(named.sequence, named.name, {});
  if (!program) return std::nullopt;
  auto model = open_model_for(named.sequence);
  if (!model) return std::nullopt;
  const Switched on(bug);
  for (unsigned bound = 0; bound <= kMost; ++bound) {
    if (explore(*model, *program, {.preemptions = bound, .max_runs = kRuns}).has_finding())
      return bound;
  }
  return std::nullopt;
}

/// A source of sequences and the model that they run on.
class Search {
 public:
  static Expected<Search> open(const HuntOptions& options) {
    const HostProfile profile = default_profile(kDefaultKernel);
    auto model = model::ModelBackend::open(profile);
    if (!model) return std::unexpected(model.error());
    auto source = RandomSource::open(profile, {.stops = options.stops}, options.seed,
                                     options.length, options.focus);
    if (!source) return std::unexpected(source.error());
    return Search(*std::move(model), *std::move(source));
  }

  /// The next sequence: what is found with the bug on.
  std::optional<FoundAt> step(model::Planted bug) {
    sequence_ = &source_.propose();
    const Switched on(bug);
    answers_.clear();
    auto found = run(*sequence_);
    if (!found) source_.learn(answers_);
    return found;
  }
  /// The last sequence once more, as the model is.
  bool finds_without() {
    std::vector<Outcome> kept;
    std::swap(kept, answers_);
    const bool found = run(*sequence_).has_value();
    std::swap(kept, answers_);
    return found;
  }
  void learn(model::Planted bug) {
    const Switched on(bug);
    source_.learn(answers_);
  }
  const Sequence& sequence() const { return *sequence_; }
  std::uint64_t steps() const { return steps_; }

 private:
  Search(model::ModelBackend model, RandomSource source)
      : model_(std::move(model)), source_(std::move(source)) {}

  std::optional<FoundAt> run(const Sequence& sequence) {
    using Traits = BackendTraits<model::ModelBackend>;
    if (!Traits::start(model_, sequence)) return std::nullopt;  // never: the model always starts
    return run_steps(model_, oracle_, sequence, false,
                     [this](std::size_t, const Outcome& outcome) {
                       answers_.push_back(outcome);
                       ++steps_;
                     })
        .finding;
  }

  model::ModelBackend model_;
  oracle::Oracle oracle_{};
  RandomSource source_;
  const Sequence* sequence_ = nullptr;
  std::vector<Outcome> answers_{};
  std::uint64_t steps_ = 0;
};

}  // namespace

std::optional<model::PlantedRow> planted_row_of(std::string_view file) {
  const std::string_view base = file.substr(file.rfind('/') + 1);
  const auto row =
      std::ranges::find(model::kPlanted, base.substr(0, base.find('.')), &model::PlantedRow::name);
  if (row == model::kPlanted.end() || row->bug == model::Planted::kNone) return std::nullopt;
  return *row;
}

Sequence straightened(const Sequence& sequence) {
  Sequence out = sequence;
  std::erase_if(out.steps, [](const Step& step) { return is_one_of<Resume>(step.op); });
  for (Step& step : out.steps) step.park = 0;
  out.expectations.clear();
  out.lines.clear();
  return out;
}

std::vector<Race> find_races(std::span<const NamedSequence> planted) {
  std::vector<Race> races;
  for (const model::PlantedRow& row : model::kPlanted) {
    Race race{.row = row};
    bool is_shown = false, needs_stops = true;
    for (const NamedSequence& named : planted) {
      const auto of = planted_row_of(named.name);
      if (!of || of->bug != row.bug) continue;
      is_shown = is_shown || shows(named.sequence, row.bug);
      needs_stops = needs_stops && !shows(straightened(named.sequence), row.bug);
      const auto needed = preemptions_to(named, row.bug);
      if (needed) race.preemptions = std::min(race.preemptions.value_or(*needed), *needed);
    }
    if (is_shown && needs_stops) races.push_back(race);
  }
  return races;
}

Expected<Hunt> hunt(const HuntOptions& options) {
  auto search = Search::open(options);
  if (!search) return std::unexpected(search.error());
  Hunt result;
  while (result.runs < options.limit) {
    ++result.runs;
    const auto found = search->step(options.bug);
    if (!found) continue;
    if (search->finds_without()) {
      if (result.found_anyway++ == 0) result.anyway = search->sequence();
      search->learn(options.bug);
      continue;
    }
    result.finding = found->finding;
    result.sequence = search->sequence();
    break;
  }
  result.steps = search->steps();
  return result;
}

}  // namespace sluice::run
