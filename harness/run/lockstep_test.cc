// Lockstep: two backends that agree pass, one that lies is caught at the step where it does.
#include "run/lockstep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/text.h"
#include "run/kvm_run.h"
#include "run/scripted_backend.h"

namespace sluice::run {

/// The model with another errno at one step: what a wrong kernel would look like.
struct LyingBackend {
  model::ModelBackend model;
  std::size_t lie_at = ~std::size_t{0};
  std::size_t next = 0;

  Outcome apply(const Step& step) {
    Outcome out = model.apply(step);
    out.has_check = out.kind == StatusKind::kOk;  // user space learns no reasons
    if (next++ == lie_at) out.kind = StatusKind::kErrno, out.number = ENODEV;
    return out;
  }
  const View& view() const { return model.view(); }
};
template <>
struct BackendTraits<LyingBackend> {
  static constexpr std::string_view kName = "liar";
  static constexpr bool kHasAlternatives = true;
  static Expected<void> start(LyingBackend& liar, const Sequence& sequence) {
    liar.next = 0;
    return BackendTraits<model::ModelBackend>::start(liar.model, sequence);
  }
  static void end(LyingBackend& liar) { liar.model.finish(); }
  static bool lacks(const LyingBackend& liar, Capability capability) {
    return BackendTraits<model::ModelBackend>::lacks(liar.model, capability);
  }
  static std::string skip_words(const LyingBackend&) { return {}; }
};

namespace {

using testing::HasSubstr;

constexpr std::string_view kText =
    "create_vm vm=0 => ok\n"
    "create_guest_memfd vm=0 gmem=0 size=0x1 => EINVAL\n"
    "set_memory_region vm=0 slot=0 gpa=0x0 size=2M hva=0x0 => ok\n"
    "set_memory_region vm=0 slot=1 gpa=0x1000 size=4K hva=0x0 => EEXIST\n"
    "create_vcpu vm=0 vcpu=0 => ok\n";

Sequence parsed(std::string_view text) {
  auto sequence = parse_text(text, "x.ops");
  EXPECT_TRUE(sequence.has_value()) << sequence.error().message();
  return sequence ? *std::move(sequence) : Sequence{};
}
model::ModelBackend open_model(KernelVersion version = kDefaultKernel) {
  auto model = model::ModelBackend::open(default_profile(version));
  EXPECT_TRUE(model.has_value()) << model.error().message();
  return *std::move(model);
}
Verdict against_itself(std::string_view text, std::size_t lie_at, KernelVersion version,
                       oracle::Differential& differential) {
  LyingBackend liar{.model = open_model(version), .lie_at = lie_at};
  model::ModelBackend model = open_model(version);
  return run_lockstep(liar, model, parsed(text), differential, {.file = "x.ops"});
}

TEST(Lockstep, TwoThatAgreePass) {
  oracle::Differential differential;
  const Verdict verdict = against_itself(kText, ~std::size_t{0}, kDefaultKernel, differential);
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << format_verdict(verdict);
  EXPECT_EQ(differential.counts(oracle::DifferentialField::kStatus).compared, 5u);
  EXPECT_EQ(differential.mismatches(), 0u);
}

TEST(Lockstep, AWrongErrnoIsCaughtWhereverItIs) {
  for (std::size_t lie_at = 0; lie_at < 5; ++lie_at) {
    oracle::Differential differential;
    const Verdict verdict = against_itself(kText, lie_at, kDefaultKernel, differential);
    ASSERT_EQ(verdict.kind, VerdictKind::kDifference) << format_verdict(verdict);
    ASSERT_EQ(verdict.differences.size(), 1u);
    EXPECT_EQ(verdict.differences[0].line, lie_at + 1);
    EXPECT_THAT(format_verdict(verdict), HasSubstr("ENODEV"));
    EXPECT_EQ(differential.mismatches(), 1u);
    EXPECT_EQ(differential.counts(oracle::DifferentialField::kStatus).uncomparable, 4 - lie_at)
        << "what follows a difference is not compared";
  }
}

TEST(Lockstep, AnExpectationForAnotherVersionIsNotHeldAgainstTheSubject) {
  // guest_memfd flags are a matter of version: kvm.md 1.1.
  const std::string_view text =
      "# kernel: 6.12\ncreate_vm vm=0\ncreate_guest_memfd vm=0 gmem=0 flags=0x1 => EINVAL\n";
  oracle::Differential differential;
  const Verdict newer =
      against_itself(text, ~std::size_t{0}, {.major = 6, .minor = 18}, differential);
  EXPECT_EQ(newer.kind, VerdictKind::kPass) << format_verdict(newer);
  EXPECT_EQ(newer.counts.uncompared, 1u);
  const Verdict same = against_itself(text, ~std::size_t{0}, kDefaultKernel, differential);
  EXPECT_EQ(same.counts.compared, 1u);
}

TEST(Lockstep, WhatTheSubjectSkipsTheModelDoesNotRun) {
  ScriptedBackend subject;
  subject.answers = {Outcome{}, outcome_of(Check::kSkipLimit)};
  model::ModelBackend model = open_model();
  oracle::Differential differential;
  const Verdict verdict = run_lockstep(subject, model, parsed("create_vm vm=0\ncreate_vm vm=1\n"),
                                       differential, {.file = "x"});
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << format_verdict(verdict);
  EXPECT_TRUE(model.view().vm({0}).exists);
  EXPECT_FALSE(model.view().vm({1}).exists);
}

TEST(Lockstep, ASkipForALimitIsNoMismatchAndExcusesTheRest) {
  ScriptedBackend subject;
  subject.answers = {Outcome{}, outcome_of(Check::kSkipLimit), Outcome{}};
  model::ModelBackend model = open_model();
  oracle::Differential differential;
  const std::string_view text =
      "create_vm vm=0 => ok\n"
      "set_memory_attributes vm=0 size=4K => ok\n"
      "create_vm vm=1 => EINVAL\n";
  const Verdict verdict = run_lockstep(subject, model, parsed(text), differential, {.file = "x"});
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << format_verdict(verdict);
  EXPECT_EQ(verdict.counts.compared, 1u);
  EXPECT_EQ(verdict.counts.uncompared, 2u);
}

TEST(Lockstep, ASkipThatTheSequenceDoesNotExplainIsADifference) {
  ScriptedBackend subject;
  subject.answers = {Outcome{}, outcome_of(Check::kSkipNoVm), outcome_of(Check::kSkipNoVcpu)};
  model::ModelBackend model = open_model();
  oracle::Differential differential;
  const std::string_view text =
      "create_vm vm=0\n"
      "create_vcpu vm=1 vcpu=1\n"
      "set_memory_attributes vm=0 size=4K\n";
  const Verdict verdict = run_lockstep(subject, model, parsed(text), differential, {.file = "x"});
  EXPECT_EQ(verdict.kind, VerdictKind::kDifference) << format_verdict(verdict);
  ASSERT_EQ(verdict.differences.size(), 1u);
  EXPECT_EQ(verdict.differences[0].line, 3u) << "vm 1 is missing on both, vm 0 is not";
}

TEST(Lockstep, TheKernelOfThisHostAgreesWithTheModel) {
  auto kvm = kvm::KvmBackend::open();
  if (!kvm) GTEST_SKIP() << kvm.error().message();
  auto model = model::ModelBackend::open((*kvm)->profile());
  ASSERT_TRUE(model.has_value()) << model.error().message();
  oracle::Differential differential;
  const Verdict verdict =
      run_differential(**kvm, *model, parsed(kText), differential, {.file = "x.ops"});
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << format_verdict(verdict);
  EXPECT_GT(differential.counts(oracle::DifferentialField::kStatus).compared, 0u);
}

}  // namespace
}  // namespace sluice::run
