// The KVM backend over the model's side of the seam: every corpus sequence in lockstep with the
// model, for each modelled kernel. So what the KVM backend does with attributes, pre-faults,
// hypercalls and sw_protected VMs is tested where no kernel has them, and where there is no
// /dev/kvm at all.
#include "run/model_syscalls.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>

#include "kvm/deadline.h"
#include "kvm/faulty_syscalls.h"
#include "kvm/payload/payload.h"
#include "kvm/probe.h"
#include "ops/random.h"
#include "ops/text.h"
#include "run/kvm_run.h"
#include "run/lockstep.h"
#include "run/proofs.h"

namespace sluice::run {

/// The KVM backend, with what it did counted: decision 30's floor by operation.
struct CountingKvm {
  std::unique_ptr<kvm::KvmBackend> kvm;
  std::uint64_t converted = 0;       // set_memory_attributes that succeeded
  std::uint64_t pre_faulted = 0;     // pre-faults that mapped something
  std::uint64_t memory_faults = 0;   // exits of guest_access and pre_fault_memory
  std::uint64_t hypercalls = 0;      // map_gpa_range that exited and was converted
  std::uint64_t vms = 0;             // that the sequences created
  std::uint64_t sw_protected = 0;    // VMs of that type
  std::uint64_t guest_contents = 0;  // values that a guest read

  Outcome apply(const Step& step) {
    const Outcome out = kvm->apply(step);
    const bool done = out.ok();
    converted += done && is_one_of<SetMemoryAttributes>(step.op);
    const auto* const range = std::get_if<PreFaultMemory>(&step.op);
    pre_faulted += done && range != nullptr && out.progress.left < range->size.value;
    memory_faults += out.exit.reason == kExitMemoryFault;
    hypercalls += done && out.exit.reason == kExitHypercall;
    const auto* const vm = std::get_if<CreateVm>(&step.op);
    vms += done && vm != nullptr;
    sw_protected += done && vm != nullptr && vm->type == VmType::kSwProtected;
    guest_contents += done && out.has_value && is_one_of<GuestAccess>(step.op);
    return out;
  }
  const View& view() const { return kvm->view(); }
};
template <>
struct BackendTraits<CountingKvm> {
  using Real = BackendTraits<kvm::KvmBackend>;
  static constexpr std::string_view kName = "kvm over the model";
  static constexpr bool kHasAlternatives = Real::kHasAlternatives;
  static Expected<void> start(CountingKvm& counting, const Sequence& sequence) {
    return Real::start(*counting.kvm, sequence);
  }
  static void end(CountingKvm& counting) { Real::end(*counting.kvm); }
  static bool lacks(const CountingKvm& counting, Capability capability) {
    return Real::lacks(*counting.kvm, capability);
  }
  static std::string skip_words(const CountingKvm& counting) {
    return Real::skip_words(*counting.kvm);
  }
};

namespace {

constexpr KernelVersion k612{6, 12}, k618{6, 18}, k70{7, 0};

/// What the adapter makes of a profile.
HostProfile on_amd(HostProfile profile) {
  profile.root_level_by_cpuid = false;
  return profile;
}

std::unique_ptr<ModelSyscalls> open_adapter(const HostProfile& profile) {
  auto adapter = ModelSyscalls::open(profile);
  EXPECT_TRUE(adapter) << adapter.error().message();
  return adapter ? std::move(*adapter) : nullptr;
}
model::ModelBackend open_twin(const HostProfile& profile) {
  auto model = model::ModelBackend::open(profile);
  EXPECT_TRUE(model.has_value()) << model.error().message();
  return *std::move(model);
}
std::unique_ptr<kvm::KvmBackend> open_kvm(kvm::Syscalls& sys, bool reuse_vms = false) {
  auto kvm = kvm::KvmBackend::open({.sys = &sys, .reuse_vms = reuse_vms});
  EXPECT_TRUE(kvm) << kvm.error().message();
  return kvm ? std::move(*kvm) : nullptr;
}
std::vector<NamedSequence> corpus() {
  const std::string corpora = std::string(SLUICE_SOURCE_DIR) + "/corpora";
  std::vector<NamedSequence> out;
  for (const std::string_view part : {"regressions", "seeds"}) {
    auto read = read_corpus(corpora, part);
    EXPECT_TRUE(read.has_value()) << read.error().message();
    if (read) std::ranges::move(*read, std::back_inserter(out));
  }
  return out;
}

class EachKernel : public testing::TestWithParam<HostProfile> {};

TEST_P(EachKernel, TheProbeSaysWhatTheProfileSays) {
  const auto adapter = open_adapter(GetParam());
  ASSERT_TRUE(adapter);
  {
    const auto kvm = kvm::Kvm::open(*adapter);
    ASSERT_TRUE(kvm) << kvm.error().message();
    const auto probed = kvm::probe(*kvm);
    ASSERT_TRUE(probed) << probed.error().message();
    EXPECT_EQ(format_profile(kvm::profile_of(*probed)), format_profile(on_amd(GetParam())));
    EXPECT_EQ(probed->hypercall, kvm::HypercallSupport::kWorks);
    EXPECT_TRUE(probed->ring3);
    EXPECT_TRUE(probed->reports_lost_memory);
    EXPECT_EQ(probed->module, "kvm_amd");
  }
  EXPECT_EQ(adapter->open_files(), 0u) << "the probe closes what it opens";
}

/// Counts the VMs that are really made.
class CountingSyscalls : public kvm::ForwardingSyscalls {
 public:
  using ForwardingSyscalls::ForwardingSyscalls;
  std::uint64_t vms_made = 0;
  kvm::SysResult ioctl(int fd, unsigned long request, std::uintptr_t argument) override {
    const kvm::SysResult result = ForwardingSyscalls::ioctl(fd, request, argument);
    const bool makes =
        std::holds_alternative<kvm::CreateVmRequest>(kvm::decode_request(request, argument));
    vms_made += makes && result.ok();
    return result;
  }
};

/// Everything that a lockstep run needs.
struct Lockstep {
  std::unique_ptr<ModelSyscalls> adapter;
  CountingSyscalls sys;
  CountingKvm kvm;
  model::ModelBackend twin;
  oracle::Differential differential{};
  Tally tally{};

  explicit Lockstep(const HostProfile& profile, bool reuse_vms = false)
      : adapter(open_adapter(profile)),
        sys(*adapter),
        kvm{.kvm = open_kvm(sys, reuse_vms)},
        twin(open_twin(kvm.kvm->profile())) {}
  void run(const Sequence& sequence, const std::string& name) {
    const Verdict verdict = run_lockstep(kvm, twin, sequence, differential, {.file = name});
    EXPECT_FALSE(verdict.bad()) << format_verdict(verdict) << format_text(sequence);
    tally.add(verdict);
  }
};

TEST_P(EachKernel, TheCorpusRunsInLockstep) {
  Lockstep lockstep(GetParam());
  for (const NamedSequence& named : corpus()) lockstep.run(named.sequence, named.name);
  const oracle::Differential& differential = lockstep.differential;
  EXPECT_EQ(differential.mismatches(), 0u) << differential.table();
  EXPECT_GT(lockstep.tally.passed, 40u) << format_tally(lockstep.tally);
  const auto thin =
      differential.below_floor({.status_per_mille = 500, .compared_at_least = {450, 30, 15, 15}});
  EXPECT_FALSE(thin) << *thin << "\n" << differential.table();
  const CountingKvm& kvm = lockstep.kvm;
  EXPECT_GT(kvm.converted, 30u);
  EXPECT_GT(kvm.pre_faulted, 10u);
  EXPECT_GT(kvm.memory_faults, 3u);
  EXPECT_GT(kvm.hypercalls, 3u);
  EXPECT_GT(kvm.sw_protected, 5u);
  EXPECT_GT(kvm.guest_contents, 5u);
}

TEST_P(EachKernel, RandomSequencesRunInLockstep) {
  Lockstep lockstep(GetParam());
  Rng rng(20261121);
  Sequence sequence;
  for (int i = 0; i < 2000; ++i) {
    random_sequence(rng, {.implausible = i % 4 == 0}, sequence);
    lockstep.run(sequence, "random " + std::to_string(i));
  }
  const oracle::Differential& differential = lockstep.differential;
  EXPECT_EQ(differential.mismatches(), 0u) << differential.table();
  // A part of what is drawn is for guests that only the model has: SNP's and TDX's.
  const auto thin =
      differential.below_floor({.status_per_mille = 350, .compared_at_least = {2000, 100, 40, 40}});
  EXPECT_FALSE(thin) << *thin << "\n" << differential.table();
  const CountingKvm& kvm = lockstep.kvm;
  EXPECT_GT(kvm.converted, 200u);
  EXPECT_GT(kvm.pre_faulted, 40u);
  EXPECT_GT(kvm.memory_faults, 4u);
  EXPECT_GT(kvm.hypercalls, 10u);
  EXPECT_GT(kvm.sw_protected, 80u);
  EXPECT_GT(kvm.guest_contents, 20u);
}

/// The KVM backend's reset(): VMs that are kept answer like new ones, conversions taken back.
TEST_P(EachKernel, RecycledVmsRunInLockstep) {
  Lockstep lockstep(GetParam(), true);
  const std::uint64_t before = lockstep.sys.vms_made;
  for (const NamedSequence& named : corpus()) lockstep.run(named.sequence, named.name);
  Rng rng(20261122);
  Sequence sequence;
  for (int i = 0; i < 400; ++i) {
    random_sequence(rng, {.implausible = i % 4 == 0}, sequence);
    // The adapter's machine has four vCPUs, and a VM that is kept keeps its own: two for each.
    for (Step& step : sequence.steps) {
      if (auto* const create = std::get_if<CreateVcpu>(&step.op)) create->vcpu.value %= 2;
      if (step.actor.kind == ActorKind::kVcpu) step.actor.index %= 2;
    }
    lockstep.run(sequence, "random " + std::to_string(i));
  }
  EXPECT_EQ(lockstep.differential.mismatches(), 0u) << lockstep.differential.table();
  const std::uint64_t made = lockstep.sys.vms_made - before;
  EXPECT_LT(made * 10, lockstep.kvm.vms * 9) << "some VMs are used again";
  EXPECT_GT(lockstep.kvm.converted, 200u);
  EXPECT_GT(lockstep.kvm.pre_faulted, 40u);
}

/// Runs the two in turn, three times over. Returns how many VMs that took.
std::uint64_t vms_for(Lockstep& lockstep, const std::array<std::string_view, 2>& texts) {
  const std::uint64_t before = lockstep.sys.vms_made;
  for (int round = 0; round < 3; ++round) {
    for (const std::string_view text : texts) {
      const auto sequence = parse_text(text, "x.ops");
      EXPECT_TRUE(sequence) << sequence.error().message();
      if (sequence) lockstep.run(*sequence, "x.ops");
    }
  }
  return lockstep.sys.vms_made - before;
}

TEST_P(EachKernel, ARecycledVmHasForgottenItsConversions) {
  Lockstep lockstep(GetParam(), true);
  constexpr std::string_view kConverts =
      "create_vm type=sw_protected => ok\ncreate_guest_memfd size=2M => ok\n"
      "set_memory_region flags=guest_memfd size=2M gmem=0 => ok\ncreate_vcpu => ok\n"
      "set_memory_attributes size=2M attributes=private => ok\npre_fault_memory size=2M => ok\n"
      "guest_access gfn=0x1 kind=write value=7 => ok\n";
  constexpr std::string_view kReads =
      "create_vm type=sw_protected => ok\nset_memory_region size=2M => ok\ncreate_vcpu => ok\n"
      "pre_fault_memory size=4K => ok\nguest_access gfn=0x1 => ok(value=0)\n";
  EXPECT_EQ(vms_for(lockstep, {kConverts, kReads}), 1u);
}

/// The entry that a pre-fault leaves behind the slot's end would make the private page there a
/// shared fault. `sluice run --random`, seed 107, number 2608, met it on 6.12.
TEST_P(EachKernel, AVmWithAnMmioEntryIsNotRecycled) {
  Lockstep lockstep(GetParam(), true);
  constexpr std::string_view kLeavesEntry =
      "create_vm type=sw_protected => ok\nset_memory_region size=64K => ok\ncreate_vcpu => ok\n"
      "guest_access gfn=0x1 => ok(value=0)\n"
      "pre_fault_memory size=2M => ok(gpa=0x10000, left=0x1f0000)\n";
  constexpr std::string_view kMeetsIt =
      "create_vm type=sw_protected => ok\ncreate_guest_memfd size=2M => ok\n"
      "set_memory_region flags=guest_memfd size=2M gmem=0 => ok\ncreate_vcpu => ok\n"
      "set_memory_attributes size=2M attributes=private => ok\n"
      "guest_access gfn=0x10 => ok(value=0)\n";
  EXPECT_EQ(vms_for(lockstep, {kLeavesEntry, kMeetsIt}), 4u)
      << "the second one's VM serves the first";
}

/// A root loaded without any slot becomes obsolete with the first one that goes (lane, seed 1302).
TEST_P(EachKernel, ARecycledVcpuHasNoRoot) {
  Lockstep lockstep(GetParam(), true);
  constexpr std::string_view kLoadsRoot =
      "create_vm => ok\ncreate_vcpu => ok\npre_fault_memory size=4K => ENOENT\n";
  constexpr std::string_view kDeletes =
      "create_vm => ok\nset_memory_region size=2M => ok\ncreate_vcpu => ok\n"
      "set_memory_region => ok\npre_fault_memory size=4K => ENOENT\n";
  EXPECT_EQ(vms_for(lockstep, {kLoadsRoot, kDeletes}), 1u);
}

INSTANTIATE_TEST_SUITE_P(Profiles, EachKernel,
                         testing::Values(default_profile(k612), default_profile(k618),
                                         default_profile(k70)),
                         [](const auto& tested) {
                           const KernelVersion version = tested.param.version;
                           return "v" + std::to_string(version.major) + "_" +
                                  std::to_string(version.minor);
                         });

/// What the lockstep run says if the first `request` is answered with this errno.
Verdict with_wrong_errno(unsigned long request, int error, std::string_view text) {
  const auto adapter = open_adapter(default_profile(k612));
  kvm::FaultySyscalls sys(*adapter);
  const auto kvm = open_kvm(sys);
  model::ModelBackend twin = open_twin(kvm->profile());
  oracle::Differential differential;
  const auto sequence = parse_text(text, "x.ops");
  EXPECT_TRUE(sequence) << sequence.error().message();
  sys.answer_ioctl(request, kvm::SysResult::failed(error));
  Verdict verdict = run_differential(*kvm, twin, *sequence, differential, {.file = "x.ops"});
  EXPECT_TRUE(sys.spoiled());
  EXPECT_GE(differential.mismatches(), 1u);  // a wrong errno may move progress, too
  return verdict;
}

TEST(ModelSyscalls, AWrongErrnoAtTheSeamIsADifference) {
  constexpr std::string_view kText =
      "create_vm vm=0 type=sw_protected\n"
      "set_memory_region vm=0 slot=0 size=2M\n"
      "create_vcpu vm=0 vcpu=0\n"
      "pre_fault_memory gpa=0x0 size=4K\n"
      "set_memory_attributes vm=0 size=4K attributes=private\n"
      "guest_access gfn=0x0\n"
      "map_gpa_range gpa=0x0 page_count=1\n";
  struct Case {
    unsigned long request;
    int error;
    std::uint32_t line;
  };
  for (const Case& wrong : {Case{kvm::uapi::kPreFaultMemory, EAGAIN, 4},
                            Case{kvm::uapi::kSetMemoryAttributes, EINVAL, 5}}) {
    const Verdict verdict = with_wrong_errno(wrong.request, wrong.error, kText);
    EXPECT_EQ(verdict.kind, VerdictKind::kDifference) << format_verdict(verdict);
    ASSERT_EQ(verdict.differences.size(), 1u);
    EXPECT_EQ(verdict.differences[0].line, wrong.line) << format_verdict(verdict);
  }
}

/// A pre-fault that hangs, over a model of `version`.
Verdict with_hanging_pre_fault(KernelVersion version) {
  const auto adapter = open_adapter(default_profile(version));
  kvm::FaultySyscalls sys(*adapter);
  auto kvm = kvm::KvmBackend::open({.sys = &sys,
                                    .limits = {.interrupt_after = std::chrono::milliseconds(20),
                                               .stuck_after = std::chrono::milliseconds(5000),
                                               .poll = std::chrono::milliseconds(5)},
                                    .reuse_vms = false});
  EXPECT_TRUE(kvm) << kvm.error().message();
  model::ModelBackend twin = open_twin((*kvm)->profile());
  oracle::Differential differential;
  const auto sequence = parse_text(
      "create_vm\n"
      "set_memory_region size=2M\n"
      "create_vcpu\n"
      "pre_fault_memory size=4K\n"
      "set_memory_region\n"
      "set_memory_region size=2M\n"
      "pre_fault_memory size=4K\n"
      "pre_fault_memory size=4K\n",
      "x.ops");
  EXPECT_TRUE(sequence) << sequence.error().message();
  sys.block_ioctl(kvm::uapi::kPreFaultMemory, 2);
  Verdict verdict = run_differential(**kvm, twin, *sequence, differential, {.file = "x.ops"});
  EXPECT_TRUE(sys.spoiled());
  return verdict;
}

TEST(ModelSyscalls, AHangIsKnownUpstreamOnlyWhereTheModelHangsToo) {
  const Verdict known = with_hanging_pre_fault(k612);
  EXPECT_EQ(known.kind, VerdictKind::kKnownUpstream) << format_verdict(known);
  EXPECT_EQ(known.finding_line, 7u);
  EXPECT_EQ(known.counts.steps, 7u) << "a hang ends the run";
  const Verdict found = with_hanging_pre_fault(k618);
  EXPECT_EQ(found.kind, VerdictKind::kFinding) << format_verdict(found);
}

TEST(ModelSyscalls, TheProbeFindsWhatAHostLacks) {
  HostProfile profile = default_profile(k612);
  profile.tdp = false;
  profile.max_gfn = (std::uint64_t{1} << 40) - 1;  // the shadow MMU takes any GFN
  profile.snp = profile.guest_memfd = profile.memory_attributes = false;
  profile.exit_hypercall = profile.slot_zap_all_quirk = profile.smm_address_space = false;
  profile.vm_types = 1;
  HostProfile mixed = default_profile(k618);
  mixed.gmem_only_slots = false;
  mixed.max_gfn = (std::uint64_t{1} << 28) - 1;
  mixed.max_hva = (std::uint64_t{1} << 56) - kPageBytes;  // user addresses of 5-level paging
  for (const HostProfile& wanted : {profile, mixed}) {
    const auto adapter = open_adapter(wanted);
    const auto kvm = kvm::Kvm::open(*adapter);
    ASSERT_TRUE(kvm) << kvm.error().message();
    const auto probed = kvm::probe(*kvm);
    ASSERT_TRUE(probed) << probed.error().message();
    EXPECT_EQ(format_profile(kvm::profile_of(*probed)), format_profile(on_amd(wanted)));
  }
}

TEST(ModelSyscalls, AHostThatLacksThingsRunsInLockstep) {
  HostProfile bare = default_profile(k612);
  bare.tdp = bare.snp = bare.guest_memfd = bare.memory_attributes = false;
  bare.exit_hypercall = bare.slot_zap_all_quirk = false;
  bare.max_gfn = (std::uint64_t{1} << 40) - 1;
  bare.vm_types = 1;
  Lockstep lockstep(bare);
  for (const NamedSequence& named : corpus()) lockstep.run(named.sequence, named.name);
  EXPECT_EQ(lockstep.kvm.converted + lockstep.kvm.pre_faulted + lockstep.kvm.sw_protected, 0u);
  EXPECT_GT(lockstep.differential.counts(oracle::DifferentialField::kStatus).compared, 100u);
}

TEST(ModelSyscalls, DescriptorsAreItsOwn) {
  const auto sys = open_adapter(default_profile(k612));
  EXPECT_EQ(sys->open("/etc/passwd", 0).error, ENOENT);
  EXPECT_EQ(sys->ioctl(0, kvm::uapi::kSetMemoryAttributes, 0).error, EBADF);
  const kvm::SysResult system = sys->open("/dev/kvm", 0);
  ASSERT_TRUE(system.ok());
  EXPECT_GE(system.value, 1 << 30);
  EXPECT_EQ(sys->ioctl(system.fd(), 0xdead, 0).error, ENOTTY);
  EXPECT_EQ(sys->ioctl(system.fd(), kvm::uapi::kSetMemoryAttributes, 0).error, EFAULT);
  const kvm::uapi::MemoryAttributes attributes{};
  EXPECT_EQ(
      sys->ioctl(system.fd(), kvm::uapi::kSetMemoryAttributes, kvm::argument_of(&attributes)).error,
      ENOTTY)
      << "a request of another kind of descriptor";
  EXPECT_EQ(sys->mmap({.length = kPageBytes, .fd = system.fd()}).error, ENODEV);
  EXPECT_EQ(sys->fallocate({.fd = system.fd()}).error, ENODEV);
  EXPECT_TRUE(sys->close(system.fd()).ok());
  EXPECT_EQ(sys->close(system.fd()).error, EBADF);
  EXPECT_EQ(sys->open_files(), 0u);
}

TEST(ModelSyscalls, AVmLivesAsLongAsADescriptorOfIt) {
  const auto sys = open_adapter(default_profile(k612));
  const auto kvm = kvm::Kvm::open(*sys);
  ASSERT_TRUE(kvm);
  auto vm = kvm->create_vm(kvm::uapi::kVmTypeSwProtected);
  ASSERT_TRUE(vm);
  auto vcpu = kvm::Vcpu::create(*kvm, *vm, 7);
  ASSERT_TRUE(vcpu);
  EXPECT_EQ(vm->create_vcpu_fd(7).error, EEXIST);
  auto gmem = kvm::Gmem::create(*vm, ByteCount{kBytesPer2M});
  ASSERT_TRUE(gmem);
  EXPECT_TRUE(vm->close().ok());
  EXPECT_TRUE(sys->model().view().vm({0}).open) << "its vCPU holds it";
  vcpu->run_page().immediate_exit = 1;
  EXPECT_EQ(vcpu->run().error, EINTR);
  { const kvm::Vcpu last = std::move(*vcpu); }
  EXPECT_FALSE(sys->model().view().vm({0}).open);
  EXPECT_TRUE(sys->model().view().vm({0}).exists) << "its file holds its memory";
  EXPECT_TRUE(gmem->allocate(0, kPageBytes).ok());
  EXPECT_TRUE(gmem->close().ok());
  EXPECT_FALSE(sys->model().view().vm({0}).exists);
}

TEST(ModelSyscalls, WithoutItsProgramTheGuestGetsNowhere) {
  const auto sys = open_adapter(default_profile(k612));
  const auto kvm = kvm::Kvm::open(*sys);
  ASSERT_TRUE(kvm);
  auto vm = kvm->create_vm();
  ASSERT_TRUE(vm);
  auto vcpu = kvm::Vcpu::create(*kvm, *vm, 0);
  ASSERT_TRUE(vcpu);
  ASSERT_TRUE(kvm::set_supported_cpuid(*kvm, *vcpu).ok());
  kvm::Guest guest(*vcpu, 0);
  ASSERT_TRUE(guest.start());
  EXPECT_EQ(guest.read(Gpa{0}).exit.kind, kvm::ExitKind::kInternalError);
  const auto payload = kvm::PayloadMemory::open(*sys);
  ASSERT_TRUE(payload);
  ASSERT_TRUE(payload->install(*vm).ok());
  EXPECT_EQ(guest.read(Gpa{0}).exit.kind, kvm::ExitKind::kMmio);
  EXPECT_EQ(guest.start_exits().exit.kind, kvm::ExitKind::kDone);
  EXPECT_EQ(guest.next_exit().kind, kvm::ExitKind::kDone);
  const auto region = kvm::HostRegion::open(*sys);
  ASSERT_TRUE(region);
  ASSERT_TRUE(vm->set_memory_region_legacy({.slot = 0,
                                            .flags = 0,
                                            .guest_phys_addr = 0,
                                            .memory_size = kBytesPer2M,
                                            .userspace_addr = region->base()})
                  .ok());
  EXPECT_EQ(guest.touch(Gpa{0}, kPageBytes, 512).exit.kind, kvm::ExitKind::kDone);
  EXPECT_EQ(guest.read(Gpa{0x1ff000}).value, 0x1ff000u);
  std::uint64_t seen = 0;
  EXPECT_TRUE(sys->load(region->at(0x1ff000), seen).ok());
  EXPECT_EQ(seen, 0x1ff000u);
  EXPECT_EQ(sys->load(region->at(8), seen).error, EOPNOTSUPP) << "the model has a token a page";
  // A guest that never leaves is ended by a signal, as a real one.
  kvm::Deadline deadline({.interrupt_after = std::chrono::milliseconds(20),
                          .stuck_after = std::chrono::minutes(10),
                          .poll = std::chrono::milliseconds(5)});
  kvm::DeadlineScope scope(deadline);
  EXPECT_EQ(guest.spin().exit.kind, kvm::ExitKind::kInterrupted);
  EXPECT_TRUE(scope.finish());
}

TEST(ModelSyscalls, ARenewedRegionReadsZeroUnderALiveVm) {
  const auto sys = open_adapter(default_profile(k612));
  const auto kvm = kvm::Kvm::open(*sys);
  ASSERT_TRUE(kvm);
  auto vm = kvm->create_vm();
  auto region = kvm::HostRegion::open(*sys);
  ASSERT_TRUE(vm && region);
  std::uint64_t seen = 1;
  ASSERT_TRUE(sys->store(region->at(0x1000), 5).ok());
  ASSERT_TRUE(region->renew());
  ASSERT_TRUE(sys->load(region->at(0x1000), seen).ok());
  EXPECT_EQ(seen, 0u);
  ASSERT_TRUE(region->unmap(0x1000, kPageBytes).ok());
  EXPECT_EQ(sys->load(region->at(0x1000), seen).error, EFAULT);
  ASSERT_TRUE(region->renew());
  EXPECT_TRUE(sys->load(region->at(0x1000), seen).ok());
}

}  // namespace
}  // namespace sluice::run
