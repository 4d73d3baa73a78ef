// What a backend is to the runner, whatever it runs on.
#pragma once
#include <concepts>
#include <string>
#include <string_view>

#include "base/system_error.h"
#include "model/model_backend.h"
#include "ops/sequence.h"
#include "trace/capability.h"
#include "trace/outcome.h"
#include "trace/view.h"

namespace sluice::run {

/// How to start and end a sequence on a backend; one specialization each.
template <class B>
struct BackendTraits;

/// A sequence runs as Traits::start(), apply() for each step, Traits::end(). After each of these
/// view() shows what happened. start() leaves nothing of the sequence before, however that ended;
/// it fails where the environment does. lacks() says why a sequence that requires a capability
/// cannot run, skip_words() why the last step was skipped where that is more than its check's name.
/// kHasAlternatives: it can be a kernel that mainline is not (policy axes of kind kKernel).
template <class B>
concept Backend = requires(B& backend, const Sequence& sequence, const Step& step, Capability cap) {
  { BackendTraits<B>::kName } -> std::convertible_to<std::string_view>;
  { BackendTraits<B>::kHasAlternatives } -> std::convertible_to<bool>;
  { BackendTraits<B>::start(backend, sequence) } -> std::same_as<Expected<void>>;
  { BackendTraits<B>::end(backend) } -> std::same_as<void>;
  { BackendTraits<B>::lacks(backend, cap) } -> std::same_as<bool>;
  { BackendTraits<B>::skip_words(backend) } -> std::same_as<std::string>;
  { backend.apply(step) } -> std::same_as<Outcome>;
  { backend.view() } -> std::convertible_to<const View&>;
};

template <>
struct BackendTraits<model::ModelBackend> {
  static constexpr std::string_view kName = "model";
  static constexpr bool kHasAlternatives = true;
  static Expected<void> start(model::ModelBackend& model, const Sequence& sequence) {
    model.reset();
    model.begin(sequence.header);
    return {};
  }
  static void end(model::ModelBackend& model) { model.finish(); }
  /// The model lacks what its profile says the host lacks.
  static bool lacks(const model::ModelBackend& model, Capability capability);
  static std::string skip_words(const model::ModelBackend&) { return {}; }
};
static_assert(Backend<model::ModelBackend>);

}  // namespace sluice::run
