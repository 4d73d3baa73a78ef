// The corpus: every regression passes on the model with the whole state judged after each step, and
// between them they see every refusal reason.
#include <gtest/gtest.h>

#include <algorithm>

#include "run/proofs.h"
#include "run/runner.h"
#include "testing/documents.h"

namespace sluice::run {
namespace {

std::string corpora() { return std::string(SLUICE_SOURCE_DIR) + "/corpora"; }

std::vector<NamedSequence> corpus(std::string_view part) {
  auto read = read_corpus(corpora(), part);
  EXPECT_TRUE(read.has_value()) << read.error().message();
  return read ? *std::move(read) : std::vector<NamedSequence>{};
}
Proofs proofs_of(const std::vector<NamedSequence>& regressions) {
  auto proofs = collect_proofs(regressions);
  EXPECT_TRUE(proofs.has_value()) << proofs.error().message();
  return proofs ? *std::move(proofs) : Proofs{};
}
model::ModelBackend open_model(const Sequence& sequence) {
  auto model = open_model_for(sequence);
  EXPECT_TRUE(model.has_value()) << model.error().message();
  return *std::move(model);
}

TEST(Regressions, PassOnTheModel) {
  Tally tally;
  const std::vector<NamedSequence> regressions = corpus("regressions");
  if (regressions.empty()) GTEST_SKIP() << "corpora/regressions is empty";
  for (const NamedSequence& named : regressions) {
    model::ModelBackend model = open_model(named.sequence);
    const Verdict verdict =
        run_sequence(model, named.sequence, {.file = named.name, .audit_every_step = true});
    tally.add(verdict);
    EXPECT_FALSE(verdict.bad()) << format_verdict(verdict);
    EXPECT_NE(verdict.kind, VerdictKind::kSkipped) << format_verdict(verdict);
    EXPECT_EQ(verdict.counts.uncompared, 0u) << named.name << ": an expectation was not compared";
  }
  EXPECT_GT(tally.counts.compared, 0u);
}

TEST(Regressions, SayWhereTheyComeFrom) {
  for (const NamedSequence& named : corpus("regressions")) {
    EXPECT_FALSE(named.sequence.notes.title.empty()) << named.name;
    EXPECT_FALSE(named.sequence.notes.source.empty()) << named.name;
  }
}

TEST(Regressions, SeeEveryRefusalReason) {
  const std::vector<NamedSequence> regressions = corpus("regressions");
  if (regressions.empty()) GTEST_SKIP() << "corpora/regressions is empty";
  const Proofs proofs = proofs_of(regressions);
  for (const CheckRow& row : kChecks) {
    if (!is_refusal(row.check)) continue;
    const bool seen = !proofs.regression[static_cast<std::size_t>(row.check)].empty();
    const bool out_of_reach =
        std::ranges::find(kOutOfReach, row.check, &OutOfReach::check) != kOutOfReach.end();
    EXPECT_NE(seen, out_of_reach) << row.name << " (" << row.source << ") is "
                                  << (seen ? "seen by a regression: take it off kOutOfReach"
                                           : "expected by no file of corpora/regressions");
  }
}

TEST(Proofs, DocumentIsUpToDate) {
  const std::vector<NamedSequence> regressions = corpus("regressions");
  if (regressions.empty()) GTEST_SKIP() << "corpora/regressions is empty";
  sluice::testing::expect_document(SLUICE_SOURCE_DIR "/docs/proofs.md",
                                   proofs_document(proofs_of(regressions)));
}

}  // namespace
}  // namespace sluice::run
