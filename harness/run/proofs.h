// Which regression holds each refusal reason, which planted bug each invariant (decision 26): the
// table docs/proofs.md. The normal build writes and compares it; the planted build proves it, row
// by row, by switching the reason off or the bug on.
#pragma once
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/model_backend.h"
#include "model/planted.h"
#include "oracle/invariant_list.h"
#include "run/verdict.h"
#include "trace/check_list.h"

namespace sluice::run {

/// One .ops file, read once.
struct NamedSequence {
  std::string name{};  // path below corpora/: "regressions/slots.ops"
  Sequence sequence{};
};
/// The .ops files below `directory`/`part`, sorted by name. Empty where there is no such folder.
/// Error: a file that cannot be read or parsed.
Expected<std::vector<NamedSequence>> read_corpus(const std::string& directory,
                                                 std::string_view part);

/// A reason that no sequence can reach today: why, and the unit test that sees it instead. Kept
/// short; each entry is a debt of the vocabulary, not of the tests. A reason that a regression does
/// see may not stand here.
struct OutOfReach {
  Check check;
  std::string_view why;
  std::string_view test;  // "none" only where the model's own state makes the condition impossible
};
inline constexpr std::array kOutOfReach = std::to_array<OutOfReach>({
    {Check::kFaultPrepareLookup, "the reverse map covers every frame of the model's machine",
     "none"},
});

struct Proofs {
  /// By Check: the first regression that expects a step to be refused for this reason and sees it;
  /// "" if none does.
  std::array<std::string, kCheckCount> regression{};
  /// By invariant: the planted bugs that must trip it, by name.
  std::vector<std::vector<std::string_view>> planted{};
};
/// Runs the regressions, each on a model of a host that it wants. Cost: below a millisecond a file.
Expected<Proofs> collect_proofs(std::span<const NamedSequence> regressions);

/// docs/proofs.md.
std::string proofs_document(const Proofs& proofs);

}  // namespace sluice::run
