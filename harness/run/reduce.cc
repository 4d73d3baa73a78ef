#include "run/reduce.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "ops/files.h"
#include "ops/text.h"
#include "run/expectation.h"
#include "run/kvm_run.h"
#include "run/runner.h"

namespace sluice::run {
namespace {

constexpr std::string_view kHang = "progress.no_livelock";

/// Replays sequences on backends of their own and knows what is looked for.
class Replayer {
 public:
  Replayer(const KernelOpener& opener, std::string key) : opener_(opener), key_(std::move(key)) {}

  /// True if the key shows again, on `sequence`, after `history` ran on the same backend.
  bool shows(std::span<const Sequence> history, const Sequence& sequence) {
    if (error_) return false;
    ++tries_;
    auto kvm = opener_(!history.empty());
    if (!kvm) return fail(kvm.error());
    if (!twin_ || twin_->view().profile() != (*kvm)->profile()) {
      auto model = model::ModelBackend::open((*kvm)->profile());
      if (!model) return fail(model.error());
      twin_.emplace(*std::move(model));
    }
    for (const Sequence& before : history) {
      static_cast<void>(run_differential(**kvm, *twin_, before, differential_, {}));
    }
    Verdict verdict = run_differential(**kvm, *twin_, sequence, differential_, {});
    if (key_of(verdict, sequence) != key_) return false;
    verdict_ = std::move(verdict);
    return true;
  }
  std::size_t tries() const { return tries_; }
  const std::optional<SystemError>& error() const { return error_; }
  Verdict take_verdict() { return std::move(verdict_); }

 private:
  bool fail(SystemError error) {
    error_ = std::move(error);
    return false;
  }
  const KernelOpener& opener_;
  std::string key_;
  std::optional<model::ModelBackend> twin_{};
  oracle::Differential differential_{};  // its counts are nobody's
  Verdict verdict_{};
  std::size_t tries_ = 0;
  std::optional<SystemError> error_{};
};

/// The shortest end of `history`, in powers of two, behind which it shows; nothing if not even all
/// of it does.
std::optional<std::size_t> needed_tail(Replayer& replayer, const Sequence& found,
                                       std::span<const Sequence> history) {
  for (std::size_t length = 1;; length *= 2) {
    length = std::min(length, history.size());
    if (replayer.shows(history.last(length), found)) return length;
    if (length == history.size()) return std::nullopt;
  }
}

/// Leaves out sequences of the history, from halves down to single ones. True if nothing more can
/// go.
bool shrink_history(Replayer& replayer, Reduced& reduced, std::size_t max_tries) {
  std::vector<Sequence>& history = reduced.history;
  bool spent = false;
  for (std::size_t width = std::max<std::size_t>(history.size() / 2, 1); width > 0; width /= 2) {
    for (std::size_t at = 0; at < history.size() && !spent;) {
      spent = replayer.tries() >= max_tries;
      const std::size_t count = std::min(width, history.size() - at);
      std::vector<Sequence> candidate = history;
      const auto begin = candidate.begin() + static_cast<std::ptrdiff_t>(at);
      candidate.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
      if (!candidate.empty() && replayer.shows(candidate, reduced.sequence)) {
        history = std::move(candidate);
      } else {
        at += count;
      }
    }
  }
  return !spent;
}

Sequence headed(const Sequence& sequence, const std::string& title, const std::string& source) {
  Sequence out = sequence;
  out.notes.title = title;
  out.notes.source = source;
  out.lines.clear();
  return out;
}

/// The model's answer stands behind the step that differs, so that the file says what is wrong.
void expect_the_model(Sequence& sequence, const Verdict& verdict) {
  if (verdict.differences.empty()) return;
  const StepMismatch& wrong = verdict.differences[0];
  if (wrong.step >= sequence.steps.size()) return;
  // What follows the answer is its reason, and what an expectation has no words for.
  std::string answer = wrong.expected;
  for (const std::string_view more : {" [", " exit(", " left("}) {
    answer.resize(std::min(answer.size(), answer.find(more)));
  }
  if (!parse_expectation(answer)) return;
  sequence.expectations.assign(sequence.steps.size(), "");
  sequence.expectations[wrong.step] = std::move(answer);
}

}  // namespace

std::string_view name_of(Replay replay) {
  constexpr std::array<std::string_view, 3> kNames{"alone", "after its history", "never again"};
  return kNames[static_cast<std::size_t>(replay)];
}

Expected<Reduced> reduce_on_kernel(const KernelOpener& opener, const Sequence& found,
                                   std::span<const Sequence> history, const Verdict& first,
                                   const ReduceBudget& budget) {
  const bool hangs = first.finding && first.finding->finding.name() == kHang;
  const std::size_t max_tries = hangs ? budget.tries_of_a_hang : budget.tries;
  Reduced out{.sequence = found, .verdict = first};
  Replayer replayer(opener, key_of(first, found));
  if (replayer.shows({}, found)) {
    out.replay = Replay::kAlone;
    const StillShows again = [&](const Sequence& candidate) {
      return replayer.shows({}, candidate);
    };
    MinimizeResult smallest = minimize(found, again, max_tries);
    out.sequence = std::move(smallest.sequence);
    out.is_minimal = smallest.is_minimal;
  } else if (const auto tail =
                 history.empty() ? std::nullopt : needed_tail(replayer, found, history)) {
    out.replay = Replay::kWithHistory;
    const auto end = history.last(*tail);
    out.history.assign(end.begin(), end.end());
    out.is_minimal = shrink_history(replayer, out, max_tries);
  }
  if (replayer.error()) return std::unexpected(*replayer.error());
  if (out.replay != Replay::kNever) {
    // The minimizer's last try need not be one that showed it.
    if (replayer.shows(out.history, out.sequence)) out.verdict = replayer.take_verdict();
  }
  out.tries = replayer.tries();
  return out;
}

Reduced reduce_on_model(model::ModelBackend& model, const Sequence& found, const Verdict& first,
                        const ReduceBudget& budget) {
  const std::string key = key_of(first, found);
  const auto shows = [&](const Sequence& candidate) {
    return key_of(run_sequence(model, candidate, {}), candidate) == key;
  };
  if (!shows(found)) return {.sequence = found, .verdict = first};
  MinimizeResult smallest = minimize(found, shows, budget.tries);
  Verdict verdict = run_sequence(model, smallest.sequence, {});
  return {.replay = Replay::kAlone,
          .sequence = std::move(smallest.sequence),
          .verdict = std::move(verdict),
          .tries = smallest.tries,
          .is_minimal = smallest.is_minimal};
}

Expected<std::string> write_reduced(const Reduced& reduced, const std::string& folder,
                                    const std::string& name, const std::string& source) {
  namespace fs = std::filesystem;
  const bool alone = reduced.history.empty();
  const std::string path = folder + "/" + name + (alone ? ".ops" : "");
  std::error_code error;
  fs::create_directories(alone ? folder : path, error);
  if (error) {
    return input_error(fmt::format("{}: cannot be made: {}", folder, error.message()));
  }
  const std::string title = key_of(reduced.verdict, reduced.sequence);
  Sequence last = headed(reduced.sequence, title, source);
  expect_the_model(last, reduced.verdict);
  const auto written = write_file(
      alone ? path : fmt::format("{}/{:04}.ops", path, reduced.history.size()), format_text(last));
  if (!written) return std::unexpected(written.error());
  for (std::size_t i = 0; i < reduced.history.size(); ++i) {
    const Sequence before = headed(reduced.history[i], "ran before: " + title, source);
    const auto put = write_file(fmt::format("{}/{:04}.ops", path, i), format_text(before));
    if (!put) return std::unexpected(put.error());
  }
  return path;
}

}  // namespace sluice::run
