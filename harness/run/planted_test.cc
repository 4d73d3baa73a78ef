// The test of the testers (decision 26), in the planted build: a refusal reason that is switched
// off makes its regression fail; a planted bug makes the oracle report its invariant, and one that
// is forced to pass is missed.
#include "model/planted.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/text.h"
#include "run/alternatives.h"
#include "run/explore.h"
#include "run/fuzz_run.h"
#include "run/hunt.h"
#include "run/proofs.h"
#include "run/runner.h"
#ifdef SLUICE_PLANTED
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace sluice::run {
namespace {

std::string corpora() { return std::string(SLUICE_SOURCE_DIR) + "/corpora"; }

TEST(PlantedList, RowsStandAtTheirEnumeratorAndNameAnInvariant) {
  for (std::size_t i = 0; i < model::kPlanted.size(); ++i) {
    const model::PlantedRow& row = model::kPlanted[i];
    EXPECT_EQ(static_cast<std::size_t>(row.bug), i) << row.name;
    if (row.bug == model::Planted::kNone) continue;
    EXPECT_TRUE(oracle::find_invariant(row.invariant).has_value())
        << row.name << " names '" << row.invariant << "'";
    EXPECT_FALSE(row.meaning.empty()) << row.name;
  }
}

TEST(PlantedList, EveryBugHasItsSequence) {
  const auto planted = read_corpus(corpora(), "planted");
  ASSERT_TRUE(planted.has_value()) << planted.error().message();
  if (planted->empty()) GTEST_SKIP() << "corpora/planted is empty";
  for (const model::PlantedRow& row : model::kPlanted) {
    if (row.bug == model::Planted::kNone) continue;
    const std::string name = "planted/" + std::string(row.name) + ".ops";
    EXPECT_TRUE(std::ranges::any_of(*planted, [&](const auto& p) { return p.name == name; }))
        << name;
  }
}

#ifdef SLUICE_PLANTED

std::vector<NamedSequence> corpus(std::string_view part) {
  auto read = read_corpus(corpora(), part);
  EXPECT_TRUE(read.has_value()) << read.error().message();
  return read ? *std::move(read) : std::vector<NamedSequence>{};
}
model::ModelBackend open_model(const Sequence& sequence) {
  auto model = open_model_for(sequence);
  EXPECT_TRUE(model.has_value()) << model.error().message();
  return *std::move(model);
}
const NamedSequence* find(const std::vector<NamedSequence>& all, std::string_view name) {
  const auto at = std::ranges::find(all, name, &NamedSequence::name);
  return at == all.end() ? nullptr : &*at;
}

/// True if `question` is true or dies, in a process of its own: a model without one of its checks
/// may run into what the check was there to prevent.
template <class Question>
bool true_or_dies(Question&& question) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (std::freopen("/dev/null", "w", stderr) == nullptr) ::_exit(0);
    ::_exit(question() ? 1 : 0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

TEST(Planted, EveryRefusalSwitchedOffFailsItsRegression) {
  const std::vector<NamedSequence> regressions = corpus("regressions");
  const auto proofs = collect_proofs(regressions);
  ASSERT_TRUE(proofs.has_value()) << proofs.error().message();
  for (const CheckRow& row : kChecks) {
    const std::string& name = proofs->regression[static_cast<std::size_t>(row.check)];
    if (!is_refusal(row.check) || name.empty()) continue;
    const NamedSequence* const named = find(regressions, name);
    ASSERT_NE(named, nullptr) << name;
    EXPECT_TRUE(true_or_dies([&] {
      model::ModelBackend model = open_model(named->sequence);
      model::planted_switches().disabled_check = row.check;
      return run_sequence(model, named->sequence, {.file = named->name}).bad();
    })) << row.name
        << " switched off changes nothing that " << name << " can see";
  }
}

/// The first finding of a sequence with one bug on and, if given, one invariant forced to pass.
std::optional<std::string_view> found(model::ModelBackend& model, const Sequence& sequence,
                                      model::Planted bug, std::optional<std::size_t> forced,
                                      bool audit_every_step = true) {
  model::planted_switches() = {.bug = bug};
  oracle::Oracle oracle;
  oracle.force_pass(forced);
  using Traits = BackendTraits<model::ModelBackend>;
  EXPECT_TRUE(Traits::start(model, sequence).has_value());
  const Findings findings =
      run_steps(model, oracle, sequence, audit_every_step, [](std::size_t, const Outcome&) {});
  model::planted_switches() = {};
  // What is known upstream without a bug, too, does not tell of one.
  const bool any = bug == model::Planted::kNone && !findings.finding;
  const auto& first = any ? findings.known_upstream : findings.finding;
  return first ? std::optional(first->finding.name()) : std::nullopt;
}

TEST(Planted, EveryBugTripsItsInvariantAndOnlyWhileThatIsJudged) {
  const std::vector<NamedSequence> planted = corpus("planted");
  if (planted.empty()) GTEST_SKIP() << "corpora/planted is empty";
  for (const NamedSequence& named : planted) {
    const auto row = planted_row_of(named.name);
    ASSERT_TRUE(row.has_value()) << named.name << " names no bug";
    model::ModelBackend model = open_model(named.sequence);
    EXPECT_EQ(found(model, named.sequence, model::Planted::kNone, std::nullopt), std::nullopt)
        << named.name << " finds something without its bug";
    EXPECT_EQ(found(model, named.sequence, row->bug, std::nullopt), row->invariant) << named.name;
    EXPECT_NE(found(model, named.sequence, row->bug, oracle::find_invariant(row->invariant)),
              row->invariant)
        << named.name;
  }
}

/// Some invariants are judged of operations only that began and ended in one step: turn by turn
/// none does that stops.
TEST(Planted, ExplorationJudgesOperationsInOnePiece) {
  const Sequence sequence = parse_text(
                                "create_vm type=sw_protected\n"
                                "set_memory_region size=4K\n"
                                "set_memory_attributes\n"
                                "@vmm1 create_guest_memfd\n",
                                "program")
                                .value();
  const auto program = program_of(sequence, "program", 3);
  ASSERT_TRUE(program.has_value());
  model::ModelBackend model = open_model(sequence);
  model::planted_switches() = {.bug = model::Planted::kAttributesAlwaysInvalidate};
  const Exploration result = explore(model, *program, {});
  model::planted_switches() = {};
  ASSERT_TRUE(result.has_finding());
  EXPECT_EQ(result.found[0].finding.name(), "attributes.repeat_counts_nothing");
}

/// Where a planted sequence stops inside operations, its program alone is enough: exploration finds
/// the schedule again, and without the bug none.
TEST(Planted, ExplorationFindsTheSchedulesOfRaces) {
  unsigned races = 0;
  for (const NamedSequence& named : corpus("planted")) {
    const auto row = planted_row_of(named.name);
    const auto program = program_of(named.sequence, named.name, {});
    if (!row || !program) continue;  // no race of two actors
    ++races;
    model::ModelBackend model = open_model(named.sequence);
    const ExploreOptions options{.preemptions = 2, .max_runs = 2000, .stop_at_finding = false};
    EXPECT_FALSE(explore(model, *program, options).has_finding()) << named.name;
    model::planted_switches() = {.bug = row->bug};
    const Exploration result = explore(model, *program, options);
    model::planted_switches() = {};
    for (const ExploreFinding& one : result.found) {
      if (one.finding.cls != oracle::FindingClass::kFinding) continue;
      EXPECT_TRUE(found(model, one.sequence, row->bug, std::nullopt, false)) << named.name;
    }
    // Perhaps by another invariant, which looks at each turn.
    EXPECT_TRUE(result.has_finding()) << named.name << " in " << result.runs << " runs";
  }
  EXPECT_GT(races, 15u);
}

/// That a tour of an axis finds nothing says something only where it finds what is wrong there.
TEST(Planted, ToursOfAlternativesFindABugOfTheirAxis) {
  struct Case {
    std::string_view axis, value;
    model::Planted bug;
    Flavor flavor = Flavor::kPlain;
  };
  constexpr std::array<Case, 13> kCases{
      {{"vmm", "convert", model::Planted::kReclaimPunchesNeighbor},
       {"vmm", "convert", model::Planted::kReclaimPunchesNeighbor, Flavor::kTdx},
       {"convert_reclaim", "punch_hole", model::Planted::kReclaimPunchesNeighbor},
       {"convert_reclaim", "punch_hole", model::Planted::kReclaimPunchesNeighbor, Flavor::kTdx},
       {"gmem_order", "2M", model::Planted::kRmpLevelIgnored},
       {"npf_mismatch", "exit", model::Planted::kMismatchSaysAttribute},
       {"npf_mismatch", "exit", model::Planted::kMismatchSaysAttribute, Flavor::kTdx},
       {"direct_map", "split", model::Planted::kAssignSkipsSplit},
       {"premap_mode", "linux_6_12", model::Planted::kPreFaultForgetsSmm},
       {"premap_abi", "guaranteed", model::Planted::kPreFaultOvercounts},
       {"backing", "fd", model::Planted::kAttributesSkipZap},
       {"backing", "fd", model::Planted::kAttributesSkipZap, Flavor::kTdx},
       {"tdx_populate", "mainline", model::Planted::kTdAddsFirstSource, Flavor::kTdx}}};
  for (const Alternative& one : all_alternatives()) {
    // These two have values of their own that their tours find (run/alternatives_test.cc).
    if (one.axis_name() == "host_fault" || one.axis_name() == "mapped_set_lock") continue;
    for (const Flavor flavor : {Flavor::kPlain, Flavor::kTdx}) {
      const auto is_of = [&](const Case& c) {
        return c.axis == one.axis_name() && c.flavor == flavor;
      };
      EXPECT_EQ(std::ranges::any_of(kCases, is_of), one.is_of(flavor)) << one.axis_name();
      for (const Case& at : kCases) {
        if (!is_of(at) || at.value != one.value_name()) continue;
        const auto verdict = [&] {
          const auto shown = show_alternative({.tours = corpora() + "/tours"}, one, flavor,
                                              {.preemptions = 2, .max_runs = 500});
          EXPECT_TRUE(shown.has_value()) << shown.error();
          return shown.has_value() ? shown->verdict : AlternativeVerdict::kStale;
        };
        EXPECT_EQ(verdict(), AlternativeVerdict::kNothingFound)
            << at.axis << (flavor == Flavor::kTdx ? " on a TD" : "");
        model::planted_switches() = {.bug = at.bug};
        EXPECT_EQ(verdict(), AlternativeVerdict::kBroken)
            << at.axis << (flavor == Flavor::kTdx ? " on a TD" : "");
        model::planted_switches() = {};
      }
    }
  }
}

TEST(Planted, AFindingIsMinimizedToItself) {
  const std::vector<NamedSequence> planted = corpus("planted");
  const NamedSequence* const named = find(planted, "planted/smash_keeps_gpa.ops");
  ASSERT_NE(named, nullptr);
  auto model = FuzzRun::open(default_profile(kDefaultKernel));
  ASSERT_TRUE(model.has_value()) << model.error().message();
  Sequence padded = named->sequence;
  padded.steps.insert(padded.steps.begin(), padded.steps.front());  // skipped: it says so itself
  model::planted_switches() = {.bug = model::Planted::kSmashKeepsGpa};
  const auto found = model->run(padded);
  ASSERT_TRUE(found.has_value());
  const MinimizeResult least = minimize_finding(*model, padded, found->finding);
  const auto again = model->run(least.sequence);
  model::planted_switches() = {};
  EXPECT_TRUE(least.is_minimal);
  EXPECT_LT(least.sequence.steps.size(), padded.steps.size());
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->finding.name(), found->finding.name());
}

TEST(Planted, EveryInvariantHasABug) {
  for (const oracle::InvariantRow& row : oracle::kInvariants) {
    EXPECT_TRUE(std::ranges::any_of(
        model::kPlanted, [&](const model::PlantedRow& bug) { return bug.invariant == row.name; }))
        << row.id << " " << row.name << " is tripped by no planted bug";
  }
}

#endif

}  // namespace
}  // namespace sluice::run
