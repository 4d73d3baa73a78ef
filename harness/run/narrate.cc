#include "run/narrate.h"

#include "ops/text.h"
#include "trace/outcome_text.h"

namespace sluice::run {

Expected<Narrative> narrate(const Sequence& sequence) {
  auto model = open_model_for(sequence);
  if (!model) return std::unexpected(model.error());
  using Traits = BackendTraits<model::ModelBackend>;
  if (const auto started = Traits::start(*model, sequence); !started)
    return std::unexpected(started.error());
  Narrative told;
  oracle::Oracle oracle;
  told.found =
      run_steps(*model, oracle, sequence, false, [&](std::size_t step, const Outcome& outcome) {
        told.steps.push_back(
            {.operation = format_step(sequence.steps[step]), .answer = describe(outcome)});
      }).finding;
  return told;
}

}  // namespace sluice::run
