// The bodies of runner.h's templates; included by the files that instantiate them, one per backend.
#pragma once
#include <fmt/format.h>

#include <algorithm>

#include "ops/text.h"
#include "oracle/invariant_list.h"
#include "run/runner.h"

namespace sluice::run {

template <Backend B>
std::expected<std::string, std::string> missing_requirement(const B& backend,
                                                            const Sequence& sequence,
                                                            std::string_view file) {
  const SequenceNotes& notes = sequence.notes;
  for (std::size_t i = 0; i < notes.requirements.size(); ++i) {
    const std::string& text = notes.requirements[i];
    const auto wanted = parse_requirement(text);
    if (!wanted) {
      const std::uint32_t line =
          i < notes.requirement_lines.size() ? notes.requirement_lines[i] : 0;
      return std::unexpected(fmt::format("{}:{}: {}", file, line, wanted.error()));
    }
    const bool present = !BackendTraits<B>::lacks(backend, wanted->capability);
    if (present != wanted->present) return fmt::format("needs {}", text);
  }
  return std::string{};
}

/// Resolves what the author wrote and starts the sequence; nothing if the verdict already stands.
template <Backend B>
std::optional<std::vector<Expectation>> prepare(B& backend, const Sequence& sequence,
                                                Verdict& verdict) {
  const auto stop = [&verdict](VerdictKind kind, std::string reason) {
    verdict.kind = kind;
    verdict.reason = std::move(reason);
    return std::nullopt;
  };
  const std::string& finds = sequence.notes.finds;
  const bool is_known = std::ranges::any_of(
      oracle::kInvariants, [&](const oracle::InvariantRow& row) { return row.name == finds; });
  if (!finds.empty() && !is_known)
    return stop(VerdictKind::kError,
                fmt::format("{}: '# finds: {}' names no invariant (sluice list invariants)",
                            verdict.file, finds));
  auto expectations = resolve_expectations(sequence, verdict.file);
  if (!expectations) return stop(VerdictKind::kError, expectations.error());
  const auto missing = missing_requirement(backend, sequence, verdict.file);
  if (!missing) return stop(VerdictKind::kError, missing.error());
  if (!missing->empty()) return stop(VerdictKind::kSkipped, *missing);
  const PolicySet& policy = sequence.header.policy;
  if (!BackendTraits<B>::kHasAlternatives && needs_other_kernel(policy))
    return stop(VerdictKind::kSkipped, "needs a kernel with " + format_policy(policy));
  const auto started = BackendTraits<B>::start(backend, sequence);
  if (!started) return stop(VerdictKind::kError, started.error().message());
  return *std::move(expectations);
}

template <Backend B>
Verdict run_sequence(B& backend, oracle::Oracle& oracle, const Sequence& sequence,
                     const RunOptions& options) {
  Verdict verdict{};
  verdict.file = options.file;
  verdict.title = sequence.notes.title;
  verdict.backend = BackendTraits<B>::kName;
  verdict.ahead_of_mainline = is_ahead_of_mainline(sequence.header.policy);
  const auto expectations = prepare(backend, sequence, verdict);
  if (!expectations) return verdict;
  Collector collector(sequence, *expectations, verdict);
  const auto on_step = [&](std::size_t i, const Outcome& outcome) {
    if (options.answers != nullptr) options.answers->push_back(outcome);
    collector.take(i, outcome, BackendTraits<B>::skip_words(backend));
  };
  Findings found = run_steps(backend, oracle, sequence, options.audit_every_step, on_step);
  // What another backend shows of its state may not be enough to find it.
  if (BackendTraits<B>::kHasAlternatives) compare_finding(verdict, sequence, found);
  conclude(verdict, sequence, found);
  return verdict;
}

}  // namespace sluice::run
