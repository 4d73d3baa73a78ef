#include "tool/alternatives_rows.h"

#include <utility>

#include "ops/files.h"
#include "ops/text.h"
#include "oracle/invariant_list.h"
#include "run/narrate.h"

namespace sluice::tool {
namespace {

using run::AlternativeShown;
using run::Flavor;

record::AlternativeVerdict verdict_of(run::AlternativeVerdict verdict) {
  switch (verdict) {
    case run::AlternativeVerdict::kBroken:
      return record::AlternativeVerdict::kBroken;
    case run::AlternativeVerdict::kNothingFound:
      return record::AlternativeVerdict::kNothingFound;
    case run::AlternativeVerdict::kStale:
      return record::AlternativeVerdict::kStale;
    case run::AlternativeVerdict::kNotShown:
      break;
  }
  return record::AlternativeVerdict::kNotShown;
}

record::AlternativeCost cost_of(const AlternativeLine& line, const AlternativeRowNotes& notes) {
  record::AlternativeCost cost{.workload = std::string(name_of(line.one.workload())),
                               .pages = line.cost.pages,
                               .arrived = line.cost.done};
  if (line.converts()) {
    cost.frames_when_shared = line.cost.frames_when_shared;
    cost.frames_when_private = line.cost.frames_when_private;
  }
  for (const run::CostItemRow& row : run::kCostItemRows)
    cost.counts.push_back({.name = std::string(row.name), .count = line.cost.counts[row.item]});
  if (line.arrives()) {
    cost.nanoseconds_a_page = line.nanoseconds;
  } else if (line.cost.tried != 0) {
    cost.nanoseconds_a_try = line.nanoseconds;
  }
  if (line.of_default != 0) cost.of_default = line.of_default;
  if (!notes.prices.empty()) cost.prices = notes.prices;
  return cost;
}

Expected<record::Counterexample> counterexample_of(const Sequence& sequence) {
  const auto told = run::narrate(sequence);
  if (!told) return std::unexpected(told.error());
  record::Counterexample shown{.text = format_text(sequence), .at_end = told->at_end()};
  for (const run::ToldStep& step : told->steps)
    shown.steps.push_back({.operation = step.operation, .answer = step.answer});
  if (told->found) {
    const oracle::Finding& finding = told->found->finding;
    shown.statement = oracle::kInvariants[finding.invariant].statement;
    shown.finding = oracle::describe(finding);
  }
  return shown;
}

Expected<record::Explored> explored_of(const AlternativeLine& line, const AlternativeShown& shown,
                                       const run::ShowOptions& bounds) {
  const auto tour = read_sequence(shown.file);
  if (!tour) return std::unexpected(tour.error());
  return record::Explored{.policy = format_policy(line.one.on(tour->header.policy)),
                          .interleavings = shown.interleavings,
                          .complete = shown.complete,
                          .preemptions_max = bounds.preemptions,
                          .interleavings_max = bounds.max_runs};
}

Expected<record::AlternativeRow> row_of(const AlternativeLine& line, Flavor flavor,
                                        const AlternativeRowNotes& notes) {
  const AlternativeShown& shown = flavor == Flavor::kTdx ? line.tdx : line.plain;
  record::AlternativeRow row{.axis = std::string(line.one.axis_name()),
                             .summary = std::string(kPolicyAxes[line.one.axis].source),
                             .value = std::string(line.one.value_name()),
                             .is_default = line.one.is_default(),
                             .flavor = flavor == Flavor::kTdx ? "tdx" : "plain",
                             .policy = format_policy(line.one.on_its_own()),
                             .verdict = verdict_of(shown.verdict),
                             .reason = shown.reason,
                             .file = shown.file,
                             .invariant = shown.invariant};
  if (shown.interleavings != 0) {
    auto explored = explored_of(line, shown, notes.bounds);
    if (!explored) return std::unexpected(explored.error());
    row.explored = *std::move(explored);
  }
  if (shown.counterexample) {
    auto counterexample = counterexample_of(*shown.counterexample);
    if (!counterexample) return std::unexpected(counterexample.error());
    row.counterexample = *std::move(counterexample);
  }
  return row;
}

}  // namespace

Expected<std::vector<record::AlternativeRow>> rows_of(const AlternativeLine& line,
                                                      const AlternativeRowNotes& notes) {
  std::vector<record::AlternativeRow> rows;
  for (const Flavor flavor : {Flavor::kPlain, Flavor::kTdx}) {
    const bool is_first = rows.empty();  // it has the cost, and says so where nothing is shown
    const bool is_shown = line.tdx.verdict != run::AlternativeVerdict::kNotShown;
    if (!line.one.is_of(flavor) || (!is_first && !is_shown)) continue;
    auto row = row_of(line, flavor, notes);
    if (!row) return std::unexpected(row.error());
    if (is_first) row->cost = cost_of(line, notes);
    rows.push_back(*std::move(row));
  }
  return rows;
}

Expected<void> append_rows(const RowTarget& target, const std::vector<AlternativeLine>& lines,
                           const AlternativeRowNotes& notes) {
  if (target.file.empty()) return {};
  auto writer = RowWriter::open(target);
  if (!writer) return std::unexpected(writer.error());
  for (const AlternativeLine& line : lines) {
    auto rows = rows_of(line, notes);
    if (!rows) return std::unexpected(rows.error());
    for (record::AlternativeRow& row : *rows) {
      if (auto written = writer->append(std::move(row)); !written) return written;
    }
  }
  return {};
}

}  // namespace sluice::tool
