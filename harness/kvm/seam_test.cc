// What needs no kernel: the seam's fault injection, guarded touches, exits decoded from kvm_run.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <tuple>

#include "kvm/deadline.h"
#include "kvm/exit.h"
#include "kvm/faulty_syscalls.h"
#include "kvm/payload/payload.h"
#include "kvm/request.h"
#include "kvm/vm.h"

namespace sluice::kvm {
namespace {

TEST(GuardedAccess, ARefusedTouchIsAValue) {
  Syscalls& sys = kernel_syscalls();
  auto mapping = Mapping::anonymous(sys, {2 * kPageBytes});
  ASSERT_TRUE(mapping);
  EXPECT_TRUE(sys.store(mapping->address(), 42).ok());
  std::uint64_t value = 0;
  EXPECT_TRUE(sys.load(mapping->address(), value).ok());
  EXPECT_EQ(value, 42u);
  ASSERT_TRUE(sys.munmap(mapping->address() + kPageBytes, kPageBytes).ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(sys.load(mapping->address() + kPageBytes, value).error, EFAULT);
    EXPECT_EQ(sys.store(mapping->address() + kPageBytes, 1).error, EFAULT);
  }
  EXPECT_EQ(sys.load(std::uintptr_t{1} << 63, value).error, EFAULT) << "a non-canonical address";
}

TEST(HostRegion, RenewZeroesAndMapsHolesAgain) {
  auto region = HostRegion::open(kernel_syscalls());
  ASSERT_TRUE(region);
  EXPECT_EQ(region->base() % kBytesPer2M, 0u);
  std::uint64_t value = 0;
  ASSERT_TRUE(kernel_syscalls().store(region->at(0x1000), 5).ok());
  ASSERT_TRUE(region->renew());
  ASSERT_TRUE(kernel_syscalls().load(region->at(0x1000), value).ok());
  EXPECT_EQ(value, 0u);
  ASSERT_TRUE(region->unmap(0x1000, 0x1000).ok());
  EXPECT_EQ(kernel_syscalls().load(region->at(0x1000), value).error, EFAULT);
  ASSERT_TRUE(region->renew());
  EXPECT_TRUE(kernel_syscalls().load(region->at(0x1000), value).ok());
}

TEST(HostRegion, NothingElseIsMappedIntoAHole) {
  auto region = HostRegion::open(kernel_syscalls());
  ASSERT_TRUE(region);
  ASSERT_TRUE(region->unmap(0, HostRegion::kBytes).ok());
  EXPECT_TRUE(region->unmap(0x1000, 0x1000).ok()) << "a hole can be unmapped again";
  const std::uint64_t begin = region->base(), end = begin + HostRegion::kBytes;
  std::vector<Mapping> others;
  for (int i = 0; i < 64; ++i) {
    auto other = Mapping::anonymous(kernel_syscalls(), {kPageBytes});
    ASSERT_TRUE(other);
    EXPECT_TRUE(other->address() < begin || other->address() >= end);
    others.push_back(std::move(*other));
  }
}

TEST(FaultySyscalls, SpoilsTheChosenCallOnly) {
  FaultySyscalls sys(kernel_syscalls());
  sys.answer_ioctl(KVM_CREATE_VM, SysResult::failed(ENOMEM), 2);
  EXPECT_EQ(sys.ioctl(-1, KVM_CREATE_VM, 0).error, EBADF);
  EXPECT_EQ(sys.ioctl(-1, KVM_CREATE_VCPU, 0).error, EBADF);
  EXPECT_FALSE(sys.spoiled());
  EXPECT_EQ(sys.ioctl(-1, KVM_CREATE_VM, 0).error, ENOMEM);
  EXPECT_TRUE(sys.spoiled());
  EXPECT_EQ(sys.ioctl(-1, KVM_CREATE_VM, 0).error, EBADF);
}

TEST(Deadline, InterruptsACallThatSleeps) {
  FaultySyscalls sys(kernel_syscalls());
  Deadline deadline({.interrupt_after = std::chrono::milliseconds(20),
                     .stuck_after = std::chrono::minutes(10),
                     .poll = std::chrono::milliseconds(5)});
  sys.block_ioctl(KVM_RUN);
  DeadlineScope scope(deadline);
  EXPECT_EQ(sys.ioctl(-1, KVM_RUN, 0).error, EINTR);
  EXPECT_TRUE(scope.finish());
}

TEST(Deadline, ReportsAnOperationThatSignalsCannotEnd) {
  std::atomic<bool> reported{false};
  Deadline deadline({.interrupt_after = std::chrono::milliseconds(1),
                     .stuck_after = std::chrono::milliseconds(2),
                     .poll = std::chrono::milliseconds(1)},
                    [&] { reported.store(true, std::memory_order_release); });
  DeadlineScope scope(deadline);
  while (!reported.load(std::memory_order_acquire)) std::this_thread::yield();
  EXPECT_TRUE(scope.finish());
}

TEST(DecodeExit, NeedsErrnoAndReasonTogether) {
  kvm_run run{};
  const uapi::MemoryFaultExit fault{
      .flags = uapi::kMemoryExitFlagPrivate, .gpa = 0x5000, .size = kPageBytes};
  std::memcpy(reinterpret_cast<std::byte*>(&run) + uapi::kRunUnionOffset, &fault, sizeof fault);
  run.exit_reason = uapi::kExitMemoryFault;
  const GuestExit seen = decode_exit(SysResult::failed(EFAULT), run);
  EXPECT_EQ(seen.kind, ExitKind::kMemoryFault);
  EXPECT_EQ(seen.gpa, 0x5000u);
  EXPECT_EQ(seen.flags, uapi::kMemoryExitFlagPrivate);
  EXPECT_EQ(decode_exit(SysResult::failed(EINTR), run).kind, ExitKind::kInterrupted);
  run.exit_reason = KVM_EXIT_UNKNOWN;
  EXPECT_EQ(decode_exit(SysResult::failed(EFAULT), run).kind, ExitKind::kError)
      << "a stale or absent reason explains nothing";
  run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
  EXPECT_EQ(decode_exit(SysResult::of(0), run).kind, ExitKind::kInternalError);
  EXPECT_EQ(name_of(ExitKind::kOther), "other");
}

TEST(EncodeExit, IsUndoneByDecodeExit) {
  const std::array<GuestExit, 9> exits{{
      {.kind = ExitKind::kDone,
       .reason = KVM_EXIT_IO,
       .size = 1,
       .is_write = true,
       .nr = kDonePort},
      {.kind = ExitKind::kIo, .reason = KVM_EXIT_IO, .size = 4, .nr = 0x80},
      {.kind = ExitKind::kMmio,
       .reason = KVM_EXIT_MMIO,
       .gpa = 0x3000,
       .size = 8,
       .is_write = true},
      {.kind = ExitKind::kMemoryFault,
       .error = EFAULT,
       .reason = uapi::kExitMemoryFault,
       .gpa = 0x5000,
       .size = kPageBytes,
       .flags = uapi::kMemoryExitFlagPrivate},
      {.kind = ExitKind::kHypercall,
       .reason = KVM_EXIT_HYPERCALL,
       .flags = 1,
       .nr = 12,
       .args = {0x1000, 2, 0x10, 0, 0, 7}},
      {.kind = ExitKind::kShutdown, .reason = KVM_EXIT_SHUTDOWN},
      {.kind = ExitKind::kInternalError, .reason = KVM_EXIT_INTERNAL_ERROR, .nr = 1},
      {.kind = ExitKind::kInterrupted, .error = EINTR, .reason = KVM_EXIT_INTR},
      {.kind = ExitKind::kError, .error = EFAULT, .reason = KVM_EXIT_UNKNOWN},
  }};
  kvm_run run{};
  for (const GuestExit& exit : exits) {
    const GuestExit seen = decode_exit(encode_exit(exit, run), run);
    EXPECT_EQ(seen.kind, exit.kind);
    EXPECT_EQ(std::tie(seen.error, seen.reason, seen.gpa, seen.size, seen.flags),
              std::tie(exit.error, exit.reason, exit.gpa, exit.size, exit.flags))
        << name_of(exit.kind);
    EXPECT_EQ(std::tie(seen.is_write, seen.nr, seen.args),
              std::tie(exit.is_write, exit.nr, exit.args))
        << name_of(exit.kind);
  }
}

TEST(DecodeRequest, KnowsEveryRequestOfThisRoom) {
  const uapi::PreFaultMemory range{.gpa = 0x1000};
  const auto request = decode_request(uapi::kPreFaultMemory, argument_of(&range));
  ASSERT_TRUE(std::holds_alternative<PreFaultMemoryRequest>(request));
  EXPECT_EQ(std::get<PreFaultMemoryRequest>(request).range->gpa, 0x1000u);
  const kvm_userspace_memory_region old{
      .slot = 3, .flags = 1, .guest_phys_addr = 0, .memory_size = 0x2000, .userspace_addr = 0};
  const auto region = decode_request(uapi::kSetUserMemoryRegion, argument_of(&old));
  ASSERT_TRUE(std::holds_alternative<SetMemoryRegionRequest>(region));
  EXPECT_TRUE(std::get<SetMemoryRegionRequest>(region).legacy);
  EXPECT_EQ(std::get<SetMemoryRegionRequest>(region).region.memory_size, 0x2000u);
  EXPECT_TRUE(std::holds_alternative<RunRequest>(decode_request(KVM_RUN, 0)));
  EXPECT_TRUE(std::get<UnknownRequest>(decode_request(uapi::kPreFaultMemory, 0)).fault);
  EXPECT_FALSE(std::get<UnknownRequest>(decode_request(KVM_CREATE_IRQCHIP, 0)).fault);
}

}  // namespace
}  // namespace sluice::kvm
