// sluice minimize: the smallest sequence that still shows the same finding.
#include <fmt/core.h>

#include "ops/files.h"
#include "ops/text.h"
#include "run/fuzz_run.h"
#include "tool/command.h"

namespace sluice::tool {
namespace {

int minimize_file(const std::string& in, const std::string& out) {
  const auto sequence = read_sequence(in);
  if (!sequence) return complain(sequence.error());
  auto model = run::FuzzRun::open(default_profile(kDefaultKernel));
  if (!model) return complain(model.error());
  const auto found = model->run(*sequence);
  if (!found)
    return complain(in +
                    ": no finding on the model, so there is nothing to keep while it shrinks; "
                    "'sluice run' shows what it does");
  const MinimizeResult result = run::minimize_finding(*model, *sequence, found->finding);
  const auto written = write_file(out, format_text(result.sequence));
  if (!written) return complain(written.error());
  fmt::print("{}: {} of {} operations still show {} ({} tries{})\n", out,
             result.sequence.steps.size(), sequence->steps.size(), found->finding.name(),
             result.tries,
             result.is_minimal ? "" : "; the budget ran out before nothing more could go");
  return kFine;
}

}  // namespace

void add_minimize(CLI::App& app, int& status) {
  Command command(app, "minimize", "The smallest sequence with the same finding");
  static std::string in, out;
  command.option("FILE", in, "A sequence with a finding on the model").required();
  command.option("--out", out, "The file to write").required();
  command.on_run([&status] { status = minimize_file(in, out); });
}

}  // namespace sluice::tool
