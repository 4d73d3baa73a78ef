// The runner: what is expected is held against what came, and whatever is wrong says where.
#include "run/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/text.h"
#include "run/run_template.h"
#include "run/scripted_backend.h"

namespace sluice::run {
namespace {

using testing::HasSubstr;

Sequence parsed(std::string_view text) {
  auto sequence = parse_text(text, "x.ops");
  EXPECT_TRUE(sequence.has_value()) << sequence.error().message();
  return sequence ? *std::move(sequence) : Sequence{};
}
Verdict run(ScriptedBackend& backend, std::string_view text) {
  return run_sequence(backend, parsed(text), {.file = "x.ops"});
}
Outcome errno_only(int number) {
  Outcome out{};
  out.kind = StatusKind::kErrno;
  out.number = static_cast<std::uint16_t>(number);
  out.has_check = false;
  return out;
}

TEST(Runner, WhatComesAsExpectedPasses) {
  ScriptedBackend backend;
  backend.answers = {Outcome{}, outcome_of(Check::kCreateVmType)};
  const Verdict verdict = run(backend, "create_vm vm=0 => ok\ncreate_vm vm=1 type=tdx => EINVAL\n");
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << format_verdict(verdict);
  EXPECT_EQ(verdict.counts.compared, 2u);
  EXPECT_EQ(verdict.counts.acted, 2u);
}

TEST(Runner, AWrongAnswerNamesFileLineStepExpectedAndGot) {
  ScriptedBackend backend;
  backend.answers = {Outcome{}, errno_only(EBADF)};
  const Verdict verdict =
      run(backend, "# title: t\ncreate_vm vm=0\ncreate_vm vm=1 type=snp => EINVAL  # why\n");
  ASSERT_EQ(verdict.kind, VerdictKind::kMismatch);
  const std::string text = format_verdict(verdict);
  EXPECT_THAT(text, HasSubstr("x.ops:3: create_vm vm=1 type=snp\n"));
  EXPECT_THAT(text, HasSubstr("expected EINVAL\n"));
  EXPECT_THAT(text, HasSubstr("got      EBADF\n"));
}

TEST(Runner, AnUnknownExpectationIsAnErrorWithItsLine) {
  ScriptedBackend backend;
  const Verdict verdict = run(backend, "create_vm vm=0\ncreate_vm vm=1 => splendid\n");
  EXPECT_EQ(verdict.kind, VerdictKind::kError);
  EXPECT_THAT(verdict.reason, HasSubstr("x.ops:2: 'splendid'"));
}

TEST(Runner, WhatIsRequiredAndLackingSkipsTheSequence) {
  ScriptedBackend backend;
  backend.missing = {Capability::kSnp};
  const Verdict verdict = run(backend, "# requires: cap=sev_snp\ncreate_vm vm=0 type=snp => ok\n");
  EXPECT_EQ(verdict.kind, VerdictKind::kSkipped);
  EXPECT_EQ(verdict.reason, "needs cap=sev_snp");
  EXPECT_EQ(verdict.counts.steps, 0u);
}

TEST(Runner, WhatIsRequiredToBeAbsentSkipsTheSequenceWhereItIsThere) {
  ScriptedBackend backend;
  const std::string_view text = "# requires: no=tdp\ncreate_vm vm=0 => ok\n";
  EXPECT_EQ(run(backend, text).kind, VerdictKind::kSkipped);
  backend.missing = {Capability::kTdp};
  EXPECT_EQ(run(backend, text).kind, VerdictKind::kPass);
  EXPECT_FALSE(profile_without(default_profile(kDefaultKernel), parsed(text)).tdp);
}

TEST(Runner, ASequenceForAKernelThatThisIsNotIsSkipped) {
  ScriptedBackend backend;
  const Verdict verdict = run(backend, "# policy: vmm=kill,direct_map=leave\ncreate_vm\n");
  EXPECT_EQ(verdict.kind, VerdictKind::kSkipped);
  EXPECT_EQ(verdict.reason, "needs a kernel with vmm=kill,direct_map=leave");
}

/// With direct_map=leave the host dies of the second page that it zeroes.
constexpr std::string_view kDies =
    "create_vm type=snp\nsev_init2\ncreate_vcpu\nlaunch_start\nlaunch_finish\n"
    "create_guest_memfd size=64K\nset_memory_region flags=guest_memfd size=64K gmem=0\n"
    "set_memory_attributes size=64K attributes=private\n"
    "guest_access c_bit=1\nguest_access gfn=1 c_bit=1\n";

TEST(Runner, ACounterexampleIsToFindWhatItSays) {
  const auto judge = [](std::string_view header) {
    const Sequence sequence = parsed(std::string(header) + std::string(kDies));
    auto model = open_model_for(sequence);
    EXPECT_TRUE(model.has_value());
    return run_sequence(*model, sequence, {.file = "x.ops"});
  };
  EXPECT_EQ(judge("# policy: direct_map=leave\n").kind, VerdictKind::kFinding);
  EXPECT_EQ(judge("# finds: host.lives\n# policy: direct_map=leave\n").kind, VerdictKind::kPass);
  const Verdict clean = judge("# finds: host.lives\n");
  EXPECT_EQ(clean.kind, VerdictKind::kMismatch);
  ASSERT_EQ(clean.mismatches.size(), 1u);
  EXPECT_EQ(clean.mismatches[0].got, "no finding");
  const Verdict other = judge("# finds: rmp.one_owner\n# policy: direct_map=leave\n");
  EXPECT_EQ(other.kind, VerdictKind::kFinding);
  const Verdict unknown = judge("# finds: host.dances\n");
  EXPECT_EQ(unknown.kind, VerdictKind::kError);
  EXPECT_THAT(unknown.reason, HasSubstr("'# finds: host.dances' names no invariant"));
}

TEST(Runner, AnUnknownRequirementIsAnError) {
  ScriptedBackend backend;
  const Sequence sequence =
      parsed("# title: t\n# requires: cap=sev_snp\n# requires: cap=telepathy\ncreate_vm vm=0\n");
  const Verdict verdict = run_sequence(backend, sequence, {.file = "x.ops"});
  EXPECT_EQ(verdict.kind, VerdictKind::kError);
  EXPECT_THAT(verdict.reason, HasSubstr("x.ops:3: 'cap=telepathy' is no requirement"));
}

TEST(Runner, AReasonIsComparedByErrnoWhereTheBackendKnowsNoReasons) {
  ScriptedBackend backend;
  backend.answers = {errno_only(EINVAL), errno_only(ENOTTY)};
  const Verdict verdict = run(backend,
                              "create_vm vm=0 type=tdx => create_vm.type_unsupported\n"
                              "create_vm vm=1 type=tdx => create_vm.type_unsupported\n");
  ASSERT_EQ(verdict.mismatches.size(), 1u);
  EXPECT_EQ(verdict.mismatches[0].line, 2u);
}

TEST(Runner, WhatABackendCannotDoExcusesWhatFollowsAndIsCounted) {
  ScriptedBackend backend;
  Outcome lacking = outcome_of(Check::kSkipCapability);
  lacking.capability = static_cast<std::uint8_t>(Capability::kMemoryAttributes);
  backend.words = "KVM_CAP_MEMORY_ATTRIBUTES is 0 on this VM";
  backend.answers = {Outcome{}, lacking, errno_only(EFAULT), Outcome{}};
  const Verdict verdict = run(backend,
                              "create_vm vm=0 => ok\nset_memory_attributes vm=0 => ok\n"
                              "@vcpu0 pre_fault_memory gpa=0x0 => ok\ncreate_vcpu vcpu=0 => ok\n");
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << format_verdict(verdict);
  EXPECT_EQ(verdict.counts.compared, 2u);
  EXPECT_EQ(verdict.counts.uncompared, 2u);
  ASSERT_EQ(verdict.skips.size(), 1u);
  EXPECT_EQ(verdict.skips[0].line, 2u);
  EXPECT_THAT(verdict.skips[0].reason(), HasSubstr("lacks memory_attributes"));
  EXPECT_THAT(verdict.skips[0].reason(), HasSubstr("is 0 on this VM"));
}

TEST(Runner, AnOrdinarySkipExcusesNothing) {
  ScriptedBackend backend;
  backend.answers = {outcome_of(Check::kSkipNoVm)};
  EXPECT_EQ(run(backend, "create_vcpu vm=0 => ok\n").kind, VerdictKind::kMismatch);
}

TEST(Runner, AStepThatNeverReturnsIsAFinding) {
  ScriptedBackend backend;
  backend.answers = {Outcome{}, Outcome{}};
  backend.hangs_at_last = true;
  const Verdict verdict = run(backend, "create_vm vm=0\ncreate_vm vm=1\ncreate_vcpu vcpu=1\n");
  ASSERT_EQ(verdict.kind, VerdictKind::kFinding);
  EXPECT_EQ(verdict.finding->step, 1u);
  EXPECT_THAT(format_verdict(verdict), HasSubstr("x.ops:2: FINDING"));
  EXPECT_EQ(verdict.counts.steps, 2u) << "a finding ends the run";
}

TEST(Tally, AddsUp) {
  Tally tally;
  Verdict pass{};
  pass.counts = {.steps = 3, .acted = 2, .compared = 1, .uncompared = 1};
  Verdict wrong{};
  wrong.kind = VerdictKind::kMismatch;
  tally.add(pass), tally.add(wrong), tally.add(pass);
  EXPECT_EQ(format_tally(tally),
            "3 sequences: 2 passed, 1 mismatched; 6 steps, 4 acted, 2 of 4 expectations compared");
}

}  // namespace
}  // namespace sluice::run
