// A backend for tests of the runner: answers what it was told to, shows nothing but its answers.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "kvm/kvm_view.h"
#include "run/backend.h"

namespace sluice::run {

/// Answers `answers` in turn, then success. Thread: compatible.
class ScriptedBackend {
 public:
  std::vector<Outcome> answers{};
  std::vector<Capability> missing{};
  std::string words{};
  bool hangs_at_last = false;

  Outcome apply(const Step& step) {
    const Outcome out = next_ < answers.size() ? answers[next_] : Outcome{};
    ++next_;
    view_.answer(step, out, hangs_at_last && next_ == answers.size());
    return out;
  }
  const View& view() const { return view_; }
  void restart(const SequenceHeader& header) {
    next_ = 0;
    view_ = {};
    view_.start(header);
  }

 private:
  std::size_t next_ = 0;
  kvm::KvmView view_{};
};

template <>
struct BackendTraits<ScriptedBackend> {
  static constexpr std::string_view kName = "scripted";
  static constexpr bool kHasAlternatives = false;
  static Expected<void> start(ScriptedBackend& backend, const Sequence& sequence) {
    backend.restart(sequence.header);
    return {};
  }
  static void end(ScriptedBackend&) {}
  static bool lacks(const ScriptedBackend& backend, Capability capability) {
    for (const Capability lacking : backend.missing) {
      if (lacking == capability) return true;
    }
    return false;
  }
  static std::string skip_words(const ScriptedBackend& backend) { return backend.words; }
};

}  // namespace sluice::run
