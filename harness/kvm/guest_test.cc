// What the guest's driver hands to KVM, seen at the seam. Needs no kernel.
#include "kvm/guest.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>
#include <optional>

#include "kvm/faulty_syscalls.h"

namespace sluice::kvm {
namespace {

/// A KVM whose vCPU has a page fault pending, as an access that was broken off leaves it: shown as
/// injected (kvm_vcpu_ioctl_x86_get_vcpu_events()). Keeps what it is told to set.
class PendingException : public ForwardingSyscalls {
 public:
  PendingException() : ForwardingSyscalls(kernel_syscalls()) {
    events.exception.injected = 1;
    events.exception.nr = kPageFault;
    events.exception.has_error_code = 1;
    events.exception.error_code = 2;
    events.nmi.masked = 1;
    events.sipi_vector = 5;
    events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
  }
  SysResult open(const char*, int) override { return SysResult::of(kDescriptor); }
  SysResult close(int) override { return SysResult::of(0); }
  SysResult mmap(const MmapCall& call) override {
    MmapCall memory = call;
    memory.flags = MAP_PRIVATE | MAP_ANONYMOUS;
    memory.fd = -1;
    return ForwardingSyscalls::mmap(memory);
  }
  SysResult ioctl(int, unsigned long request, std::uintptr_t argument) override {
    switch (request) {
      case KVM_GET_API_VERSION:
        return SysResult::of(KVM_API_VERSION);
      case KVM_GET_VCPU_MMAP_SIZE:
        return SysResult::of(kPageBytes);
      case KVM_GET_VCPU_EVENTS:
        *reinterpret_cast<kvm_vcpu_events*>(argument) = events;
        return get_answer;
      case KVM_SET_VCPU_EVENTS:
        set = *reinterpret_cast<const kvm_vcpu_events*>(argument);
        return SysResult::of(0);
      default:
        return SysResult::failed(ENOTTY);
    }
  }

  static constexpr int kDescriptor = 1000;  // of nothing: no call on it goes any further
  static constexpr std::uint8_t kPageFault = 14;
  kvm_vcpu_events events{};
  SysResult get_answer = SysResult::of(0);
  std::optional<kvm_vcpu_events> set{};
};

class SetSmm : public testing::Test {
 protected:
  void SetUp() override {
    auto kvm = Kvm::open(sys_);
    ASSERT_TRUE(kvm) << kvm.error().message();
    kvm_.emplace(std::move(*kvm));
    auto vcpu = Vcpu::adopt(*kvm_, PendingException::kDescriptor);
    ASSERT_TRUE(vcpu) << vcpu.error().message();
    vcpu_.emplace(std::move(*vcpu));
  }
  PendingException sys_;
  std::optional<Kvm> kvm_;
  std::optional<Vcpu> vcpu_;
};

TEST_F(SetSmm, LeavesNoExceptionBehind) {
  for (const bool smm : {true, false}) {
    sys_.events.smi.smm = smm ? 0 : 1;
    sys_.set.reset();
    EXPECT_EQ(set_smm(*vcpu_, smm), SysResult::of(0));
    ASSERT_TRUE(sys_.set);
    const kvm_vcpu_events& set = *sys_.set;
    EXPECT_EQ(set.exception.injected, 0);
    EXPECT_EQ(set.exception.pending, 0);
    EXPECT_EQ(set.exception.nr, 0);
    EXPECT_EQ(set.exception.has_error_code, 0);
    EXPECT_EQ(set.exception.error_code, 0u);
    EXPECT_NE(set.flags & KVM_VCPUEVENT_VALID_SMM, 0u);
    EXPECT_EQ(set.smi.smm, smm ? 1 : 0);
  }
}

TEST_F(SetSmm, KeepsTheOtherEvents) {
  ASSERT_EQ(set_smm(*vcpu_, true), SysResult::of(0));
  ASSERT_TRUE(sys_.set);
  EXPECT_EQ(sys_.set->flags, sys_.events.flags | KVM_VCPUEVENT_VALID_SMM);
  EXPECT_EQ(sys_.set->nmi.masked, 1);
  EXPECT_EQ(sys_.set->sipi_vector, 5u);
}

TEST_F(SetSmm, SetsNothingWhereTheEventsCannotBeHad) {
  sys_.get_answer = SysResult::failed(EINVAL);
  EXPECT_EQ(set_smm(*vcpu_, true), SysResult::failed(EINVAL));
  EXPECT_FALSE(sys_.set);
}

}  // namespace
}  // namespace sluice::kvm
