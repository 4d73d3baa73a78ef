// From a sequence that showed something among many to one that shows it alone: replays it on a new
// backend, with what ran before where that matters, and minimizes it.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kvm/kvm_backend.h"
#include "model/model_backend.h"
#include "ops/minimize.h"
#include "run/verdict.h"

namespace sluice::run {

/// A new backend on the subject of a differential, with VMs kept from one sequence to the next or
/// not.
using KernelOpener = std::function<Expected<std::unique_ptr<kvm::KvmBackend>>(bool reuse_vms)>;

enum class Replay : std::uint8_t {
  kAlone,        // on a new backend
  kWithHistory,  // only after the sequences that ran before it: something of them was left
  kNever,        // not again: the subject did not answer the same twice
};
std::string_view name_of(Replay replay);

/// `sequence` shows it, behind `history` where there is one. Minimal: no operation can be left out
/// (Replay::kAlone), or no sequence of the history (kWithHistory).
struct Reduced {
  Replay replay = Replay::kNever;
  Sequence sequence{};
  std::vector<Sequence> history{};
  Verdict verdict{};  // of the last replay that showed it; of the first run where none did
  std::size_t tries = 0;
  bool is_minimal = false;
};

struct ReduceBudget {
  std::size_t tries = 2000;
  /// A replay that hangs takes its whole deadline.
  std::size_t tries_of_a_hang = 24;
};

/// Looks for `key_of(first)` again. `history` is all that ran on the backend before `found`, in
/// order. Each replay is on a backend of its own, so what is written replays in a new process. Pre:
/// `first` is bad. Cost: the budget's replays, each opening a backend and running one sequence; a
/// history of n sequences is run some 2 log2(n) times, and once per sequence that stays. Errors:
/// the opener's.
Expected<Reduced> reduce_on_kernel(const KernelOpener& opener, const Sequence& found,
                                   std::span<const Sequence> history, const Verdict& first,
                                   const ReduceBudget& budget);

/// The same for a verdict of the model alone, which has no history.
Reduced reduce_on_model(model::ModelBackend& model, const Sequence& found, const Verdict& first,
                        const ReduceBudget& budget);

/// Writes `reduced` for people and for `sluice run`: FOLDER/NAME.ops, or FOLDER/NAME/ with the
/// history as 0000.ops, 0001.ops, ... and the sequence last, which `sluice run --backend kvm
/// FOLDER/NAME` replays in that order. `source` goes into the heads. The path written.
Expected<std::string> write_reduced(const Reduced& reduced, const std::string& folder,
                                    const std::string& name, const std::string& source);

}  // namespace sluice::run
