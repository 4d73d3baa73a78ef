// What is left of a random sequence is what its runner can do, and nothing else is taken away.
#include "ops/repertoire.h"

#include <gtest/gtest.h>

#include "ops/random.h"
#include "ops/text.h"

namespace sluice {
namespace {

constexpr KernelVersion k618{.major = 6, .minor = 18};
constexpr Repertoire kKernel{.kernel = k618, .vm_types = 0b11, .snp = false, .only_kernel = true};

Sequence parsed(std::string_view text) {
  auto sequence = parse_text(text, "test.ops");
  EXPECT_TRUE(sequence) << sequence.error().message();
  return sequence ? *sequence : Sequence{};
}

TEST(Repertoire, AKernelKeepsWhatItHasACallFor) {
  Sequence sequence = parsed(
      "# scope: machine\n"
      "# policy: vmm=kill,gmem_order=2M\n"
      "create_vm type=sw_protected\n"
      "sev_init2\n"
      "create_vcpu\n"
      "pre_fault_memory gpa=0x1000 park=2\n"
      "rmpupdate spa=0x1000\n"
      "resume vcpu0\n"
      "pvalidate gfn=0x1\n"
      "guest_access gfn=0x1\n");
  Rng rng(1);
  fit(sequence, kKernel, rng);
  sequence.notes = {};
  sequence.expectations.clear();
  EXPECT_EQ(format_text(sequence),
            "# kernel: 6.18\n"
            "# policy: vmm=kill\n"
            "create_vm type=sw_protected\n"
            "create_vcpu\n"
            "pre_fault_memory gpa=0x1000\n"
            "guest_access gfn=0x1\n");
}

TEST(Repertoire, ImpossibleTypesStayRare) {
  Rng rng(2);
  std::size_t refused = 0;
  constexpr std::size_t kTries = 1000;
  for (std::size_t i = 0; i < kTries; ++i) {
    Sequence sequence = parsed("create_vm type=snp\n");
    fit(sequence, kKernel, rng);
    const VmType type = std::get<CreateVm>(sequence.steps[0].op).type;
    EXPECT_TRUE(type == VmType::kSnp || type == VmType::kSwProtected || type == VmType::kDefault);
    refused += type == VmType::kSnp;
  }
  EXPECT_GT(refused, kTries / 32);
  EXPECT_LT(refused, kTries / 8);
}

TEST(Repertoire, LongRangesStayRareOnAKernel) {
  Rng rng(4);
  std::size_t huge = 0;
  constexpr std::size_t kTries = 1000;
  for (std::size_t i = 0; i < kTries; ++i) {
    Sequence sequence = parsed(
        "set_memory_attributes size=1G attributes=private\n"
        "gmem_allocate size=0x3f001\n"
        "map_gpa_range page_count=0x40000\n"
        "host_access hva=0x1000 kind=fetch\n");
    fit(sequence, kKernel, rng);
    huge += std::get<SetMemoryAttributes>(sequence.steps[0].op).size.value > (8u << 20);
    EXPECT_EQ(std::get<GmemAllocate>(sequence.steps[1].op).size.value, 0x3f001u) << "not long";
    EXPECT_NE(std::get<MapGpaRange>(sequence.steps[2].op).page_count.value, 0u);
    EXPECT_EQ(std::get<HostAccess>(sequence.steps[3].op).kind, AccessKind::kRead);
  }
  EXPECT_GT(huge, kTries / 64);
  EXPECT_LT(huge, kTries / 16);
}

TEST(Repertoire, TheModelCanDoEverything) {
  Rng rng(3);
  Sequence sequence;
  for (int i = 0; i < 200; ++i) {
    random_sequence(rng, {.implausible = i % 2 == 0}, sequence);
    const std::string before = format_text(sequence);
    fit(sequence, Repertoire{}, rng);
    ASSERT_EQ(format_text(sequence), before);
  }
}

}  // namespace
}  // namespace sluice
