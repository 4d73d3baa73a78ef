#include "run/verdict.h"

#include <fmt/format.h>

#include <array>

#include "ops/text.h"
#include "trace/outcome_text.h"

namespace sluice::run {
namespace {

/// "corpora/x.ops:7", or "step 3" where there is no text.
std::string place(const Verdict& verdict, std::size_t step, std::uint32_t line) {
  const std::string_view file = verdict.file.empty() ? "sequence" : std::string_view(verdict.file);
  if (line == 0) return fmt::format("{}: step {}", file, step);
  return fmt::format("{}:{}", file, line);
}

/// The step, and below it what was wanted and what came, aligned.
std::string mismatch_lines(const Verdict& verdict, const StepMismatch& wrong,
                           std::string_view wanted) {
  return fmt::format("{}: {}\n    {:<8} {}\n    {:<8} {}\n", place(verdict, wrong.step, wrong.line),
                     wrong.text, wanted, wrong.expected, "got", wrong.got);
}

std::string finding_line(const Verdict& verdict, const FoundAt& found) {
  const std::string where = verdict.finding_line == 0 && verdict.finding_text.empty()
                                ? place(verdict, found.step, 0) + " (end of the sequence)"
                                : place(verdict, found.step, verdict.finding_line);
  return fmt::format("{}: {}\n    {}\n", where, oracle::describe(found.finding),
                     verdict.finding_text);
}

std::string_view op_name(const Sequence& sequence, std::size_t step) {
  return step < sequence.steps.size() ? info_of(sequence.steps[step].op).name
                                      : std::string_view("the end");
}

}  // namespace

std::string key_of(const Verdict& verdict, const Sequence& sequence) {
  if (verdict.finding) {
    return fmt::format("finding {}: {}", verdict.finding->finding.name(),
                       op_name(sequence, verdict.finding->step));
  }
  if (!verdict.differences.empty()) return "difference " + verdict.differences[0].key;
  if (verdict.mismatches.empty()) return {};
  const StepMismatch& wrong = verdict.mismatches[0];
  return fmt::format("mismatch {}: {} / {}", op_name(sequence, wrong.step), wrong.expected,
                     wrong.got);
}

std::string StepSkip::text() const { return format_step(what); }

std::string StepSkip::reason() const {
  const std::string answer = describe(outcome);
  return words.empty() ? answer : answer + ": " + words;
}

std::string_view name_of(VerdictKind kind) {
  constexpr std::array<std::string_view, 8> kNames{
      "pass", "skipped", "known_upstream", "drift", "mismatch", "difference", "finding", "error"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string format_verdict(const Verdict& verdict) {
  const std::string_view name =
      verdict.file.empty() ? std::string_view(verdict.title) : std::string_view(verdict.file);
  std::string out = fmt::format("{} [{}] {}", name_of(verdict.kind), verdict.backend, name);
  if (!verdict.reason.empty()) out += ": " + verdict.reason;
  if (verdict.ahead_of_mainline) out += " (ahead of mainline)";
  out += '\n';
  for (const StepMismatch& wrong : verdict.mismatches) {
    out += mismatch_lines(verdict, wrong, "expected");
  }
  for (const StepMismatch& wrong : verdict.differences) {
    out += mismatch_lines(verdict, wrong, "model");
  }
  if (verdict.finding) out += finding_line(verdict, *verdict.finding);
  if (verdict.known_upstream && !verdict.finding) {
    out += finding_line(verdict, *verdict.known_upstream);
  }
  return out;
}

void Tally::add(const Verdict& verdict) {
  ++sequences;
  const std::array<std::uint64_t*, 8> by_kind{&passed,     &skipped,  &known_upstream, &drifted,
                                              &mismatched, &differed, &findings,       &errors};
  ++*by_kind[static_cast<std::size_t>(verdict.kind)];
  counts.steps += verdict.counts.steps;
  counts.acted += verdict.counts.acted;
  counts.compared += verdict.counts.compared;
  counts.uncompared += verdict.counts.uncompared;
}

std::string format_tally(const Tally& tally) {
  std::string out = fmt::format("{} sequences: {} passed", tally.sequences, tally.passed);
  const auto add = [&out](std::uint64_t count, std::string_view what) {
    if (count != 0) out += fmt::format(", {} {}", count, what);
  };
  add(tally.skipped, "skipped"), add(tally.known_upstream, "known upstream");
  add(tally.drifted, "drifted"), add(tally.mismatched, "mismatched");
  add(tally.differed, "different from the model"), add(tally.findings, "with findings");
  add(tally.errors, "in error");
  const StepCounts& counts = tally.counts;
  out += fmt::format("; {} steps, {} acted, {} of {} expectations compared", counts.steps,
                     counts.acted, counts.compared, counts.compared + counts.uncompared);
  return out;
}

}  // namespace sluice::run
