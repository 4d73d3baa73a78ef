// What came of one sequence on one backend, as data and as text.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/sequence.h"
#include "oracle/oracle.h"
#include "trace/outcome.h"

namespace sluice::run {

/// From best to worst; a sequence gets the worst that applies.
enum class VerdictKind : std::uint8_t {
  kPass,
  kSkipped,        // the backend lacks what the sequence requires: nothing ran
  kKnownUpstream,  // only true defects of the modelled kernel version were found
  kDrift,          // differs from the model, on a kernel newer than any that is modelled
  kMismatch,       // a step answered something else than its author expects
  kDifference,     // a step answered something else than the model, which says it knows this kernel
  kFinding,        // an invariant does not hold
  kError,          // the sequence or the environment is at fault; nothing can be said
};
std::string_view name_of(VerdictKind kind);

/// A step that answered something else than expected.
struct StepMismatch {
  std::size_t step = 0;
  std::uint32_t line = 0;  // of the text; 0 where the sequence is not from text
  std::string text{};      // the step as one line
  std::string expected{};
  std::string got{};
  std::string key{};  // of a difference: operation, field and status, without addresses
};

/// A step that did not act.
struct StepSkip {
  std::size_t step = 0;
  std::uint32_t line = 0;
  Step what{};
  Outcome outcome{};
  std::string words{};  // the backend's own, where it has any

  std::string text() const;    // the step as one line
  std::string reason() const;  // skip.no_vm, skip.capability (lacks sev_snp), ...
};

struct StepCounts {
  std::uint64_t steps = 0;
  std::uint64_t acted = 0;       // not skipped
  std::uint64_t compared = 0;    // expectations that were compared
  std::uint64_t uncompared = 0;  // expectations that a skip on this backend made meaningless
};

/// A finding and where it was made: the index of the step; steps.size() for the end of the
/// sequence.
struct FoundAt {
  oracle::Finding finding{};
  std::size_t step = 0;
};

struct Verdict {
  VerdictKind kind = VerdictKind::kPass;
  std::string file{};     // as the user named it; "" where the sequence is not from a file
  std::string title{};    // the sequence's own
  std::string backend{};  // "model", "kvm"
  std::string reason{};   // kSkipped and kError: what is missing, what is wrong
  std::optional<FoundAt> finding{};
  std::optional<FoundAt> known_upstream{};
  std::string finding_text{};  // of the step of `finding`, or of `known_upstream`
  std::uint32_t finding_line = 0;
  std::vector<StepMismatch> mismatches{};
  std::vector<StepMismatch> differences{};  // lockstep: `expected` is what the model answered
  std::vector<StepSkip> skips{};
  StepCounts counts{};
  bool ahead_of_mainline = false;  // the policy is one that mainline does not have

  bool bad() const { return kind >= VerdictKind::kMismatch; }
};

/// What was found, without what differs from one sequence to the next (addresses, the step's
/// place): two verdicts with the same key show the same thing. "difference set_memory_region
/// status: EEXIST [set_memory_region.overlap] / ok", "finding rmp.one_owner: psmash"; "" where
/// nothing is wrong. Pre: of this sequence.
std::string key_of(const Verdict& verdict, const Sequence& sequence);

/// Lines for people: one for a pass, more for anything else. Ends in a newline.
std::string format_verdict(const Verdict& verdict);

/// Sums over many sequences.
struct Tally {
  std::uint64_t sequences = 0;
  std::uint64_t passed = 0;
  std::uint64_t skipped = 0;
  std::uint64_t known_upstream = 0;
  std::uint64_t drifted = 0;
  std::uint64_t mismatched = 0;
  std::uint64_t differed = 0;
  std::uint64_t findings = 0;
  std::uint64_t errors = 0;
  StepCounts counts{};

  void add(const Verdict& verdict);
};
/// "12 sequences: 10 passed, 2 skipped; 96 steps, 90 acted, 80 of 84 expectations compared"
std::string format_tally(const Tally& tally);

}  // namespace sluice::run
