#include "run/alternatives.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "ops/files.h"
#include "ops/minimize.h"
#include "ops/text.h"
#include "run/fuzz_run.h"
#include "run/program_source.h"
#include "run/random_source.h"

namespace sluice::run {
namespace {

constexpr std::size_t kSearchLength = 24;
constexpr std::uint64_t kRunsOfAProgram = 300;

constexpr std::size_t kVmm = axis_of(&PolicySet::vmm);
constexpr std::size_t kMismatch = axis_of(&PolicySet::npf_mismatch);
constexpr std::size_t kPremapMode = axis_of(&PolicySet::premap_mode);
constexpr std::size_t kPremapAbi = axis_of(&PolicySet::premap_abi);
constexpr std::size_t kHostFault = axis_of(&PolicySet::host_fault);
constexpr std::size_t kSetLock = axis_of(&PolicySet::mapped_set_lock);
constexpr std::size_t kTdxPopulate = axis_of(&PolicySet::tdx_populate);

/// KVM's own axes, and of those around it the ones that were argued about.
bool is_alternative(std::size_t axis) {
  return kPolicyAxes[axis].kind == PolicyKind::kKernel || axis == kVmm ||
         axis == axis_of(&PolicySet::convert_reclaim) || axis == axis_of(&PolicySet::gmem_order);
}

constexpr std::string_view suffix(Flavor flavor) {
  return flavor == Flavor::kTdx ? ".tdx.ops" : ".ops";
}

bool exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

bool has_vm(const Sequence& sequence, VmType type) {
  return std::ranges::any_of(sequence.steps, [type](const Step& step) {
    const auto* const create = std::get_if<CreateVm>(&step.op);
    return create != nullptr && create->type == type;
  });
}

/// Whether the sequence is what the alternative is about, in that flavor: a TD, or none; an SNP
/// guest but where pre-mapping of any VM is in question.
bool is_about(const Sequence& sequence, const Alternative& one, Flavor flavor) {
  const bool has_td = has_vm(sequence, VmType::kTdx);
  if (flavor == Flavor::kTdx) return has_td;
  const bool any = one.axis == kPremapMode || one.axis == kPremapAbi;
  return !has_td && (any || has_vm(sequence, VmType::kSnp));
}

AlternativeShown stale(AlternativeShown shown, std::string reason) {
  shown.verdict = AlternativeVerdict::kStale;
  shown.reason = std::move(reason);
  return shown;
}

AlternativeShown broken(AlternativeShown shown, const oracle::Finding& finding,
                        const Sequence& sequence) {
  shown.verdict = AlternativeVerdict::kBroken;
  shown.invariant = fmt::format("{} {}", oracle::kInvariants[finding.invariant].id, finding.name());
  shown.operations = sequence.steps.size();
  shown.counterexample = sequence;
  return shown;
}

std::expected<AlternativeShown, std::string> run_counterexample(AlternativeShown shown,
                                                                const Alternative& one) {
  const auto sequence = read_sequence(shown.file);
  if (!sequence) return std::unexpected(sequence.error().message());
  if (policy_value(sequence->header.policy, one.axis) != one.value)
    return stale(std::move(shown), fmt::format("its policy is not {}={}: put that into its header",
                                               one.axis_name(), one.value_name()));
  auto model = FuzzRun::open(default_profile(kDefaultKernel));
  if (!model) return std::unexpected(model.error().message());
  const auto found = model->run(*sequence);
  if (!found) return stale(std::move(shown), "nothing is found any more: search anew");
  const std::string& wanted = sequence->notes.finds;
  if (!wanted.empty() && found->finding.name() != wanted)
    return stale(std::move(shown), fmt::format("it breaks {}, and says {}: search anew",
                                               found->finding.name(), wanted));
  return broken(std::move(shown), found->finding, *sequence);
}

std::expected<AlternativeShown, std::string> explore_tour(AlternativeShown shown,
                                                          const Alternative& one,
                                                          const ShowOptions& options) {
  auto sequence = read_sequence(shown.file);
  if (!sequence) return std::unexpected(sequence.error().message());
  sequence->header.policy = one.on(sequence->header.policy);
  if (policy_value(sequence->header.policy, one.axis) != one.value)
    return stale(std::move(shown), fmt::format("its other policies do not go with {}={}: change "
                                               "its header",
                                               one.axis_name(), one.value_name()));
  const auto program = program_of(*sequence, shown.file, std::nullopt);
  if (!program) return std::unexpected(program.error());
  auto model = open_model_for(*sequence);
  if (!model) return std::unexpected(model.error().message());
  const Exploration result =
      explore(*model, *program, {.preemptions = options.preemptions, .max_runs = options.max_runs});
  if (result.unlike != 0)
    return std::unexpected(fmt::format(
        "{}: {} schedules ended in another state when they were replayed: report this as a "
        "mistake in Sluice, with the file",
        shown.file, result.unlike));
  shown.interleavings = result.runs;
  shown.preemptions = options.preemptions;
  shown.complete = result.complete;
  for (const ExploreFinding& one_found : result.found) {
    if (one_found.finding.cls == oracle::FindingClass::kFinding)
      return broken(std::move(shown), one_found.finding, one_found.sequence);
  }
  shown.verdict = AlternativeVerdict::kNothingFound;
  return shown;
}

/// Random sequences, each run under the alternative.
class Search {
 public:
  static Expected<Search> open(const Alternative& one, Flavor flavor,
                               const SearchOptions& options) {
    auto run = FuzzRun::open(default_profile(kDefaultKernel));
    if (!run) return std::unexpected(run.error());
    return Search(*std::move(run), one, flavor, options);
  }

  Expected<std::optional<Sequence>> among_sequences(RandomFocus focus) {
    auto source = RandomSource::open(default_profile(kDefaultKernel), Repertoire{}, options_.seed,
                                     kSearchLength, focus);
    if (!source) return std::unexpected(source.error());
    for (std::uint64_t i = 0; i < options_.sequences; ++i) {
      Sequence sequence = source->next();
      sequence.header.policy = one_.on(sequence.header.policy);
      if (!is_about(sequence, one_, flavor_)) continue;
      if (auto found = take(sequence)) return found;
    }
    return std::nullopt;
  }

  Expected<std::optional<Sequence>> among_programs() {
    auto source = ProgramSource::open({}, options_.seed);
    if (!source) return std::unexpected(source.error());
    for (std::uint64_t i = 0; i < options_.sequences / kSequencesPerProgram; ++i) {
      Program program = source->next();
      program.setup.header.policy = one_.on(program.setup.header.policy);
      if (!is_about(program.setup, one_, flavor_)) continue;
      if (auto found = explored(program, kRunsOfAProgram)) return found;
    }
    return std::nullopt;
  }

  Expected<std::optional<Sequence>> in_tour() {
    const auto path = find_tour(options_.tours, one_, flavor_);
    if (!path) return std::nullopt;
    auto sequence = read_sequence(*path);
    if (!sequence) return std::unexpected(sequence.error());
    sequence->header.policy = one_.on(sequence->header.policy);
    const auto program = program_of(*sequence, *path, std::nullopt);
    if (!program) return input_error(program.error());
    return explored(*program, ShowOptions{}.max_runs);
  }

 private:
  std::optional<Sequence> explored(const Program& program, std::uint64_t max_runs) {
    const Exploration result =
        explore(run_.model(), program, {.preemptions = 2, .max_runs = max_runs});
    for (const ExploreFinding& found : result.found) {
      if (found.finding.cls != oracle::FindingClass::kFinding) continue;
      if (auto sequence = take(found.sequence)) return sequence;
    }
    return std::nullopt;
  }

  Search(FuzzRun run, const Alternative& one, Flavor flavor, const SearchOptions& options)
      : run_(std::move(run)), one_(one), flavor_(flavor), options_(options) {}

  /// Minimized within its flavor, if it shows something that needs the alternative.
  std::optional<Sequence> take(const Sequence& sequence) {
    const auto found = run_.run(sequence);
    if (!found) return std::nullopt;
    const auto still_shows = [&](const Sequence& candidate) {
      if (!is_about(candidate, one_, flavor_)) return false;
      const auto again = run_.run(candidate);
      return again && again->finding.invariant == found->finding.invariant;
    };
    Sequence small = minimize(sequence, still_shows).sequence;
    if (policy_value(small.header.policy, one_.axis) != one_.value) return std::nullopt;
    const oracle::InvariantRow& row = oracle::kInvariants[found->finding.invariant];
    small.notes = {.title = fmt::format("{}={} breaks {}: {}", one_.axis_name(), one_.value_name(),
                                        row.id, row.statement),
                   .source = fmt::format("sluice alternatives --search, seed {}", options_.seed),
                   .finds = std::string(row.name)};
    return small;
  }

  FuzzRun run_;
  Alternative one_;
  Flavor flavor_;
  SearchOptions options_;
};

}  // namespace

bool Alternative::is_of(Flavor flavor) const {
  // A TD has neither SMM nor an RMP, and its pages are small.
  constexpr std::array<std::size_t, 7> kOfTds{kVmm,
                                              axis_of(&PolicySet::convert_reclaim),
                                              kMismatch,
                                              axis_of(&PolicySet::backing),
                                              axis_of(&PolicySet::host_fault),
                                              axis_of(&PolicySet::mapped_set_lock),
                                              kTdxPopulate};
  return flavor == Flavor::kPlain ? axis != kTdxPopulate
                                  : std::ranges::find(kOfTds, axis) != kOfTds.end();
}

PolicySet Alternative::on_its_own() const {
  PolicySet base{};
  if (axis == axis_of(&PolicySet::mapped_set_lock)) base.host_fault = HostFault::kMappedSet;
  return on(base);
}

Workload Alternative::workload() const {
  if (axis == kTdxPopulate) return Workload::kPopulate;
  if (axis == kMismatch || axis == kVmm) return Workload::kTouch;
  if (axis == kPremapMode) return Workload::kPremapInSmm;
  if (axis == kHostFault || axis == kSetLock) return Workload::kConvertWritten;
  return axis == kPremapAbi ? Workload::kPremap : Workload::kConvert;
}

std::vector<Alternative> all_alternatives() {
  std::vector<Alternative> all;
  for (std::size_t axis = 0; axis < kPolicyAxes.size(); ++axis) {
    if (!is_alternative(axis)) continue;
    for (std::uint8_t value = 0; value < value_count(kPolicyAxes[axis]); ++value)
      all.push_back({.axis = axis, .value = value});
  }
  return all;
}

std::string counterexample_path(const std::string& folder, const Alternative& one, Flavor flavor) {
  return fmt::format("{}/{}/{}{}", folder, one.axis_name(), one.value_name(), suffix(flavor));
}
std::optional<std::string> find_tour(const std::string& folder, const Alternative& one,
                                     Flavor flavor) {
  if (folder.empty()) return std::nullopt;
  std::string path = fmt::format("{}/{}{}", folder, one.axis_name(), suffix(flavor));
  return exists(path) ? std::optional(std::move(path)) : std::nullopt;
}

std::string_view name_of(AlternativeVerdict verdict) {
  switch (verdict) {
    case AlternativeVerdict::kNotShown:
      return "not shown";
    case AlternativeVerdict::kBroken:
      return "broken";
    case AlternativeVerdict::kNothingFound:
      return "nothing found";
    case AlternativeVerdict::kStale:
      return "stale";
  }
  return "?";
}

std::expected<AlternativeShown, std::string> show_alternative(const AlternativeFolders& folders,
                                                              const Alternative& one, Flavor flavor,
                                                              const ShowOptions& options) {
  AlternativeShown shown{.file = counterexample_path(folders.counterexamples, one, flavor)};
  if (exists(shown.file)) return run_counterexample(std::move(shown), one);
  shown.file = find_tour(folders.tours, one, flavor).value_or("");
  return shown.file.empty() ? shown : explore_tour(std::move(shown), one, options);
}

Expected<std::optional<Sequence>> find_counterexample(const Alternative& one, Flavor flavor,
                                                      const SearchOptions& options) {
  auto search = Search::open(one, flavor, options);
  if (!search) return std::unexpected(search.error());
  for (const RandomFocus focus : {RandomFocus::kNone, RandomFocus::kRaces}) {
    auto found = search->among_sequences(focus);
    if (!found || *found) return found;
  }
  auto found = search->among_programs();
  if (!found || *found) return found;
  return search->in_tour();
}

}  // namespace sluice::run
