// The real /dev/kvm of this machine: objects, argument errors, guest code. Skipped where it is
// missing.
#include <gtest/gtest.h>

#include <cerrno>

#include "kvm/deadline.h"
#include "kvm/guest.h"
#include "kvm/payload/payload.h"
#include "kvm/probe.h"
#include "kvm/stats.h"
#include "kvm/vm.h"

namespace sluice::kvm {
namespace {

class RealKvm : public testing::Test {
 protected:
  void SetUp() override {
    auto kvm = Kvm::open();
    if (!kvm) GTEST_SKIP() << kvm.error().message();
    kvm_.emplace(std::move(*kvm));
    auto vm = kvm_->create_vm();
    ASSERT_TRUE(vm) << vm.error().message();
    vm_ = std::move(*vm);
  }
  std::optional<Kvm> kvm_;
  Vm vm_;
};

class RealGuest : public RealKvm {
 protected:
  void SetUp() override {
    RealKvm::SetUp();
    if (!kvm_) return;
    auto region = HostRegion::open(kvm_->sys());
    ASSERT_TRUE(region);
    region_.emplace(std::move(*region));
    auto payload = PayloadMemory::open(kvm_->sys());
    ASSERT_TRUE(payload);
    payload_.emplace(std::move(*payload));
    ASSERT_EQ(payload_->install(vm_), SysResult::of(0));
    auto vcpu = Vcpu::create(*kvm_, vm_, 0);
    ASSERT_TRUE(vcpu) << vcpu.error().message();
    vcpu_.emplace(std::move(*vcpu));
    ASSERT_EQ(set_supported_cpuid(*kvm_, *vcpu_), SysResult::of(0));
    guest_.emplace(*vcpu_, 0u);
    ASSERT_TRUE(guest_->start());
  }
  uapi::UserspaceMemoryRegion2 low_memory(std::uint32_t flags = 0) const {
    return {.slot = 0,
            .flags = flags,
            .guest_phys_addr = 0,
            .memory_size = kBytesPer2M,
            .userspace_addr = region_->at(0)};
  }
  std::optional<HostRegion> region_;
  std::optional<PayloadMemory> payload_;
  std::optional<Vcpu> vcpu_;
  std::optional<Guest> guest_;
};

TEST_F(RealGuest, WritesAndReadsSharedMemory) {
  ASSERT_EQ(vm_.set_memory_region_legacy({.slot = 0,
                                          .flags = 0,
                                          .guest_phys_addr = 0,
                                          .memory_size = kBytesPer2M,
                                          .userspace_addr = region_->at(0)}),
            SysResult::of(0));
  const CommandResult wrote = guest_->write(Gpa{0x3000}, 0x1122334455667788);
  ASSERT_EQ(wrote.exit.kind, ExitKind::kDone)
      << name_of(wrote.exit.kind) << " " << wrote.exit.error;
  std::uint64_t seen = 0;
  ASSERT_TRUE(kvm_->sys().load(region_->at(0x3000), seen).ok());
  EXPECT_EQ(seen, 0x1122334455667788u);
  ASSERT_TRUE(kvm_->sys().store(region_->at(0x5000), 77).ok());
  const CommandResult read = guest_->read(Gpa{0x5000});
  ASSERT_EQ(read.exit.kind, ExitKind::kDone);
  EXPECT_EQ(read.value, 77u);
  EXPECT_EQ(guest_->read(Gpa{0x3000}).value, 0x1122334455667788u);
  EXPECT_EQ(guest_->fetch(Gpa{0x3000}).exit.kind, ExitKind::kDone);
  EXPECT_EQ(guest_->touch(Gpa{0}, kPageBytes, 512).exit.kind, ExitKind::kDone);
  EXPECT_EQ(guest_->read(Gpa{0x1ff000}).value, 0x1ff000u);
}

TEST_F(RealGuest, ExitsForWhatIsNoMemory) {
  const CommandResult read = guest_->read(Gpa{0x3000});
  EXPECT_EQ(read.exit.kind, ExitKind::kMmio);
  EXPECT_EQ(read.exit.gpa, 0x3000u);
  EXPECT_FALSE(read.exit.is_write);
  const CommandResult wrote = guest_->write(Gpa{std::uint64_t{1} << 38}, 5);
  EXPECT_EQ(wrote.exit.kind, ExitKind::kMmio) << name_of(wrote.exit.kind);
  EXPECT_TRUE(wrote.exit.is_write);
  EXPECT_EQ(wrote.exit.gpa, std::uint64_t{1} << 38);
  ASSERT_EQ(vm_.set_memory_region(low_memory(uapi::kMemReadonly)), SysResult::of(0));
  EXPECT_EQ(guest_->write(Gpa{0x3000}, 5).exit.kind, ExitKind::kMmio);
  EXPECT_EQ(guest_->read(Gpa{0x3000}).value, 0u);
  std::uint64_t seen = 1;
  ASSERT_TRUE(kvm_->sys().load(region_->at(0x3000), seen).ok());
  EXPECT_EQ(seen, 0u);
}

TEST_F(RealGuest, HypercallsFromBothRings) {
  const auto known = probe(*kvm_);
  ASSERT_TRUE(known);
  if (known->hypercall != HypercallSupport::kWorks) {
    GTEST_SKIP() << "this KVM never completes a hypercall instruction";
  }
  const HypercallArguments convert{.a0 = 0x1000, .a1 = 2, .a2 = 0x10};
  const CommandResult disabled = guest_->hypercall(convert);
  ASSERT_EQ(disabled.exit.kind, ExitKind::kDone) << name_of(disabled.exit.kind);
  EXPECT_EQ(static_cast<std::int64_t>(disabled.value), -1000);
  ASSERT_TRUE(vm_.enable_capability(uapi::kCapExitHypercall, 1u << 12).ok());
  const CommandResult asked = guest_->hypercall(convert);
  ASSERT_EQ(asked.exit.kind, ExitKind::kHypercall) << name_of(asked.exit.kind);
  EXPECT_EQ(asked.exit.nr, 12u);
  EXPECT_EQ(asked.exit.args[0], 0x1000u);
  EXPECT_EQ(asked.exit.args[1], 2u);
  EXPECT_EQ(asked.exit.args[2], 0x10u);
  EXPECT_EQ(guest_->finish_hypercall(42).value, 42u);
  const CommandResult ring3 = guest_->hypercall(convert, 3);
  ASSERT_EQ(ring3.exit.kind, ExitKind::kDone) << name_of(ring3.exit.kind);
  EXPECT_EQ(static_cast<std::int64_t>(ring3.value), -1);
}

TEST_F(RealGuest, ADeadlineEndsAGuestThatNeverExits) {
  Deadline deadline({.interrupt_after = std::chrono::milliseconds(30),
                     .stuck_after = std::chrono::minutes(10),
                     .poll = std::chrono::milliseconds(5)});
  for (int i = 0; i < 3; ++i) {
    DeadlineScope scope(deadline);
    EXPECT_EQ(guest_->spin().exit.kind, ExitKind::kInterrupted);
    EXPECT_TRUE(scope.finish());
  }
  DeadlineScope scope(deadline);
  EXPECT_EQ(guest_->start_exits().exit.kind, ExitKind::kDone);
  EXPECT_EQ(guest_->next_exit().kind, ExitKind::kDone);
  EXPECT_FALSE(scope.finish());
}

TEST_F(RealGuest, StatisticsCountExits) {
  auto stats = Stats::open(kvm_->sys(), vcpu_->fd());
  ASSERT_TRUE(stats) << stats.error().message();
  const auto exits = stats->value("exits");
  ASSERT_TRUE(exits.has_value());
  static_cast<void>(guest_->start_exits());
  for (int i = 0; i < 10; ++i) ASSERT_EQ(guest_->next_exit().kind, ExitKind::kDone);
  ASSERT_TRUE(stats->refresh());
  EXPECT_GE(*stats->value("exits"), *exits + 10);
  EXPECT_FALSE(stats->value("no_such_statistic").has_value());
}

TEST_F(RealKvm, ProbeAgreesWithWhatTheVmAnswers) {
  const auto known = probe(*kvm_);
  ASSERT_TRUE(known) << known.error().message();
  EXPECT_GE(known->version.major, 4);
  EXPECT_NE(known->vm_types & 1, 0u);
  EXPECT_GE(known->max_gfn, (std::uint64_t{1} << (32 - 12)) - 1);
  EXPECT_EQ(static_cast<std::int64_t>(known->memslots),
            vm_.check_extension(uapi::kCapNrMemslots).value);
  const SysResult gmem = vm_.create_guest_memfd({kPageBytes});
  if (known->has(Capability::kGuestMemfd)) {
    EXPECT_TRUE(gmem.ok());
  }
  const Fd owned(kvm_->sys(), gmem.fd());
  EXPECT_EQ(vm_.set_memory_attributes({.flags = 1}).error,
            known->attributes_compiled_in ? EINVAL : ENOTTY);
  const HostProfile profile = profile_of(*known);
  EXPECT_EQ(profile.max_gfn, known->max_gfn);
  EXPECT_EQ(profile.version, known->version);
}

}  // namespace
}  // namespace sluice::kvm
