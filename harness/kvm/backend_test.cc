// The kernel backend on this machine's /dev/kvm: operations answered, sequences kept apart, wrong
// answers and hangs noticed. Sequences are written as text with what the kernel must answer;
// skipped where /dev/kvm is missing, lines that need a capability only where it is there.
#include "kvm/kvm_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "kvm/faulty_syscalls.h"
#include "ops/random.h"
#include "ops/text.h"
#include "trace/outcome_text.h"

namespace sluice::kvm {
namespace {

using testing::HasSubstr;

Sequence sequence_of(std::string_view text) {
  auto parsed = parse_text(text, "test");
  EXPECT_TRUE(parsed) << parsed.error().message();
  return parsed ? *parsed : Sequence{};
}

class BackendTest : public testing::Test {
 protected:
  void SetUp() override {
    auto kvm = Kvm::open();
    if (!kvm) GTEST_SKIP() << kvm.error().message();
    static const auto known = probe(*kvm);  // half a second where hypercalls loop
    ASSERT_TRUE(known) << known.error().message();
    known_ = *known;
    backend_ = open({});
    ASSERT_TRUE(backend_);
  }
  std::unique_ptr<KvmBackend> open(KvmBackend::Options options) {
    options.known = known_;
    auto opened = KvmBackend::open(options);
    EXPECT_TRUE(opened) << opened.error().message();
    return opened ? std::move(*opened) : nullptr;
  }
  /// Runs `text` and compares every answer with what stands behind `=>`.
  void expect(std::string_view text) { expect(*backend_, text); }
  static void expect(KvmBackend& backend, std::string_view text) {
    const Sequence sequence = sequence_of(text);
    ASSERT_TRUE(backend.reset(sequence.header, sequence.steps));
    for (std::size_t i = 0; i < sequence.steps.size(); ++i) {
      const Outcome outcome = backend.apply(sequence.steps[i]);
      ASSERT_LT(i, sequence.expectations.size());
      const std::string& wanted = sequence.expectations[i];
      EXPECT_EQ(describe(outcome), wanted.empty() ? "ok" : wanted)
          << format_step(sequence.steps[i]) << "  " << backend.skip_reason();
    }
  }
  ProbeResult known_;
  std::unique_ptr<KvmBackend> backend_;
};

TEST_F(BackendTest, MemslotsAnswerInTheKernelsOrder) {
  expect(R"(
set_memory_region vm=0 slot=0 size=2M => skip.no_vm
create_vm vm=0
create_vm vm=0 => skip.vm_exists
set_memory_region vm=0 slot=0 gpa=0x0 size=2M hva=0x0 => ok
set_memory_region vm=0 slot=0 gpa=0x0 size=2M hva=0x0 => ok
set_memory_region vm=0 slot=1 gpa=0x1000 size=2M hva=0x0 => EEXIST
set_memory_region vm=0 slot=1 gpa=0x200000 size=0x800 hva=0x0 => EINVAL
set_memory_region vm=0 slot=1 gpa=0x200800 size=4K hva=0x0 => EINVAL
set_memory_region vm=0 slot=2 size=0 => EINVAL
set_memory_region vm=0 slot=0 gpa=0x0 size=4K hva=0x0 => EINVAL
set_memory_region vm=0 slot=0 gpa=0x400000 size=2M hva=0x0 => ok
set_memory_region vm=0 slot=0 size=0 => ok
set_memory_region vm=0 slot=0 size=0 => EINVAL
set_memory_region vm=0 slot=3 gpa=0x0 size=0x20000000000 hva=0x0 => skip.limit
destroy_vm vm=0 => ok
destroy_vm vm=0 => skip.no_vm
)");
}

TEST_F(BackendTest, GuestMemfdRowsAreTheKernels) {
  if (!known_.has(Capability::kGuestMemfd)) GTEST_SKIP() << "needs guest_memfd";
  expect(R"(
create_vm vm=0
gmem_allocate gmem=0 => skip.no_gmem
create_guest_memfd vm=0 gmem=0 size=0x1001 => EINVAL
create_guest_memfd vm=0 gmem=0 size=2M flags=0x8000000000000000 => EINVAL
create_guest_memfd vm=0 gmem=0 size=2M => ok
create_guest_memfd vm=0 gmem=0 size=2M => skip.gmem_exists
gmem_allocate gmem=0 offset=0x0 size=64K => ok
gmem_allocate gmem=0 offset=0x1f0000 size=128K => EINVAL
gmem_allocate gmem=0 offset=0x0 size=0x0 => EINVAL
gmem_allocate gmem=0 offset=0x800 size=4K => EINVAL
gmem_allocate gmem=0 offset=0x0 size=4K mode=0x0 => EOPNOTSUPP
gmem_punch_hole gmem=0 offset=0x0 size=2M => ok
gmem_punch_hole gmem=0 offset=0x400000 size=2M => ok
set_memory_region vm=0 slot=0 flags=guest_memfd gpa=0x0 size=2M hva=0x0 gmem=none => EBADF
set_memory_region vm=0 slot=0 flags=guest_memfd gpa=0x0 size=2M hva=0x0 gmem=other => EINVAL
set_memory_region vm=0 slot=0 flags=guest_memfd gpa=0x0 size=2M hva=0x0 gmem=0 => ok
set_memory_region vm=0 slot=1 flags=guest_memfd gpa=0x200000 size=2M hva=0x0 gmem=0 => EINVAL
close_guest_memfd gmem=0 => ok
close_guest_memfd gmem=0 => skip.no_gmem
)");
}

TEST_F(BackendTest, GuestAndHostSeeEachOthersTokens) {
  expect(R"(
create_vm vm=0
create_vcpu vm=0 vcpu=0
set_memory_region vm=0 slot=0 gpa=0x0 size=2M hva=0x200000 => ok
@vcpu1 guest_access gfn=0x3 => skip.no_vcpu
@vcpu0 guest_access gfn=0x3 => ok(value=0x0)
@vcpu0 guest_access gfn=0x3 kind=write value=0x77 => ok
host_access hva=0x203000 => ok(value=0x77)
host_access hva=0x204000 kind=write value=0x88 => ok
@vcpu0 guest_access gfn=0x4 => ok(value=0x88)
@vcpu0 guest_access gfn=0x5 kind=fetch => ok
@vcpu0 guest_access gfn=0x1000 => mmio(gpa=0x1000000)
set_memory_region vm=0 slot=0 size=0 => ok
@vcpu0 guest_access gfn=0x3 => mmio(gpa=0x3000)
host_access hva=0x203000 => ok(value=0x77)
host_unmap hva=0x203000 size=4K => ok
host_access hva=0x203000 => host fault 11
host_access hva=raw:0x1000 => skip.outside_host_region
host_unmap hva=0x3fff000 size=8K => skip.outside_host_region
host_unmap hva=0x800 size=4K => EINVAL
)");
  expect("host_access hva=0x203000 => ok(value=0x0)\n");
}

TEST_F(BackendTest, WhatOnlyTheModelCanDoIsSkippedByName) {
  expect(R"(
# scope: machine
create_vm vm=0
create_vcpu vm=0 vcpu=0
rmpupdate spa=0x1000 => skip.capability (lacks rmp_instructions)
@vcpu0 pvalidate gfn=0x0 => skip.capability (lacks sev_snp)
sev_init2 vm=0 => skip.capability (lacks sev_snp)
@vcpu0 pre_fault_memory gpa=0x0 size=4K park=1 => skip.capability (lacks parking)
resume vcpu0 => skip.capability (lacks parking)
)");
  // Text refuses these two; bytes do not.
  Step raw{.op = RmpUpdate{}};
  raw.actor = default_actor(raw.op);
  ASSERT_TRUE(backend_->reset({}, {}));
  EXPECT_EQ(backend_->apply(raw).check, Check::kSkipScope);
  Step misplaced{.actor = {.kind = ActorKind::kVcpu}, .op = SetMemoryRegion{}};
  EXPECT_EQ(backend_->apply(misplaced).check, Check::kSkipWrongActor);
}

TEST_F(BackendTest, PreFaultValidatesBeforeItRefuses) {
  const Sequence sequence = sequence_of(R"(
create_vm vm=0
create_vcpu vm=0 vcpu=0
pre_fault_memory gpa=0x0 size=4K flags=0x1
pre_fault_memory gpa=0x800 size=4K
pre_fault_memory gpa=0x0 size=4K
set_memory_region vm=0 slot=0 gpa=0x0 size=2M hva=0x0
pre_fault_memory gpa=0x0 size=4K
)");
  ASSERT_TRUE(backend_->reset(sequence.header, sequence.steps));
  std::vector<Outcome> outcomes;
  outcomes.reserve(sequence.steps.size());
  for (const Step& step : sequence.steps) outcomes.push_back(backend_->apply(step));
  if (outcomes[2].skipped()) GTEST_SKIP() << backend_->skip_reason();
  EXPECT_EQ(outcomes[2].number, EINVAL);
  EXPECT_EQ(outcomes[3].number, EINVAL);
  EXPECT_EQ(outcomes[4].number, known_.tdp ? ENOENT : ENOSPC);
  if (known_.tdp) {
    EXPECT_TRUE(outcomes[6].ok());
  } else {
    EXPECT_EQ(outcomes[6].number, EOPNOTSUPP);
    EXPECT_EQ(outcomes[6].progress, (RangeProgress{.gpa = 0, .left = kPageBytes}));
  }
}

TEST_F(BackendTest, TheGuestProgramGivesWayToTheSequence) {
  expect(R"(
create_vm vm=0
create_vcpu vm=0 vcpu=0
set_memory_region vm=0 slot=5 gpa=0xfc0000000 size=4K hva=0x0 => ok
@vcpu0 guest_access gfn=0x3 => skip.limit
)");
  EXPECT_THAT(backend_->skip_reason(), HasSubstr("guest program"));
  expect(R"(
create_vm vm=0
create_vcpu vm=0 vcpu=0
@vcpu0 guest_access gfn=0x3 => mmio(gpa=0x3000)
)");
}

bool same(const Outcome& a, const Outcome& b) {
  return a.kind == b.kind && a.number == b.number && a.progression == b.progression &&
         a.capability == b.capability && a.progress == b.progress && a.exit == b.exit &&
         a.value == b.value;
}

// The test of reset(): a backend that keeps its VMs answers what one that never does answers.
TEST_F(BackendTest, RecycledVmsAnswerLikeNewOnes) {
  const auto fresh = open({.reuse_vms = false});
  ASSERT_TRUE(fresh);
  const HostProfile& profile = backend_->profile();
  Rng rng(20261121);
  Sequence sequence;
  unsigned acted = 0, entered_guest = 0;
  for (int i = 0; i < 300; ++i) {
    random_sequence(rng, {.implausible = i % 3 == 0}, sequence);
    for (Step& step : sequence.steps) {  // a VM type that this host lacks leaves nothing to do
      auto* const create = std::get_if<CreateVm>(&step.op);
      if (create != nullptr && !profile.has_vm_type(create->type)) create->type = VmType::kDefault;
    }
    ASSERT_TRUE(backend_->reset(sequence.header, sequence.steps));
    ASSERT_TRUE(fresh->reset(sequence.header, sequence.steps));
    for (const Step& step : sequence.steps) {
      const Outcome kept = backend_->apply(step);
      const Outcome anew = fresh->apply(step);
      ASSERT_TRUE(same(kept, anew))
          << "sequence " << i << ": " << format_step(step) << "\n  kept: " << describe(kept)
          << "\n  anew: " << describe(anew) << "\n"
          << format_text(sequence);
      if (!kept.skipped()) ++acted;
      if (!kept.skipped() && is_one_of<GuestAccess>(step.op)) ++entered_guest;
      ASSERT_FALSE(backend_->hung() || fresh->hung()) << format_step(step);
    }
  }
  EXPECT_GT(acted, 1000u);
  EXPECT_GT(entered_guest, 50u);
}

TEST_F(BackendTest, AWrongErrnoAtTheSeamComesThrough) {
  FaultySyscalls sys(kernel_syscalls());
  const auto backend = open({.sys = &sys});
  ASSERT_TRUE(backend);
  sys.answer_ioctl(uapi::kSetUserMemoryRegion2, SysResult::failed(ENOMEM), 2);
  expect(*backend, R"(
create_vm vm=0
set_memory_region vm=0 slot=0 gpa=0x0 size=2M hva=0x0 => ok
set_memory_region vm=0 slot=1 gpa=0x200000 size=2M hva=0x0 => ENOMEM
set_memory_region vm=0 slot=1 gpa=0x200000 size=2M hva=0x0 => ok
)");
  EXPECT_TRUE(sys.spoiled());
}

TEST_F(BackendTest, AnIoctlThatDoesNotReturnIsAFindingNotAHang) {
  FaultySyscalls sys(kernel_syscalls());
  const auto backend = open({.sys = &sys,
                             .limits = {.interrupt_after = std::chrono::milliseconds(30),
                                        .stuck_after = std::chrono::minutes(10),
                                        .poll = std::chrono::milliseconds(5)}});
  ASSERT_TRUE(backend);
  const Sequence sequence =
      sequence_of("create_vm vm=0\nset_memory_region vm=0 slot=0 gpa=0x0 size=2M hva=0x0\n");
  ASSERT_TRUE(backend->reset(sequence.header, sequence.steps));
  EXPECT_TRUE(backend->apply(sequence.steps[0]).ok());
  EXPECT_FALSE(backend->hung());
  sys.block_ioctl(uapi::kSetUserMemoryRegion2);
  const Outcome outcome = backend->apply(sequence.steps[1]);
  EXPECT_TRUE(backend->hung());
  EXPECT_EQ(outcome.number, EINTR);
  EXPECT_TRUE(backend->view().progress().livelock) << "the oracle's W2 fires on it";
  ASSERT_TRUE(backend->reset(sequence.header, sequence.steps));
  for (const Step& step : sequence.steps) EXPECT_TRUE(backend->apply(step).ok());
}

TEST_F(BackendTest, TheViewClaimsOnlyWhatUserSpaceSees) {
  const View& view = backend_->view();
  EXPECT_TRUE(view.observes(ViewField::kOutcome));
  for (const ViewField field : {ViewField::kRmp, ViewField::kFrames, ViewField::kLeaves,
                                ViewField::kGmem, ViewField::kAttributes, ViewField::kEvents}) {
    EXPECT_FALSE(view.observes(field));
  }
  expect("create_vm vm=0 => ok\n");
  EXPECT_EQ(std::get_if<CreateVm>(&view.step().op) != nullptr, true);
  EXPECT_TRUE(view.outcome().ok());
}

}  // namespace
}  // namespace sluice::kvm
