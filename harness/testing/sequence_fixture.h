// For tests: a model with one sequence under way, in the words of sequences.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "model/model_backend.h"
#include "ops/text.h"
#include "trace/outcome_text.h"

namespace sluice::testing {

class SequenceFixture : public ::testing::Test {
 protected:
  explicit SequenceFixture(KernelVersion kernel = kDefaultKernel)
      : model_(*model::ModelBackend::open(default_profile(kernel))) {}

  /// Runs a program from the start; what each step answered.
  std::vector<Outcome> run(const std::string& text) {
    model_.reset();
    std::vector<Outcome> answers;
    const auto sequence = parse_text(text, "test");
    EXPECT_TRUE(sequence.has_value()) << sequence.error().message();
    if (!sequence) return answers;
    model_.begin(sequence->header);
    for (const Step& step : sequence->steps) answers.push_back(model_.apply(step));
    return answers;
  }
  /// One step more, of either scope; its answer in words.
  std::string answer(const std::string& line) {
    const auto sequence = parse_text("# scope: machine\n" + line + "\n", "test");
    EXPECT_TRUE(sequence.has_value()) << sequence.error().message();
    return sequence ? describe(model_.apply(sequence->steps[0])) : std::string();
  }
  model::Kernel& k() { return model_.kernel(); }

  model::ModelBackend model_;
};

}  // namespace sluice::testing
