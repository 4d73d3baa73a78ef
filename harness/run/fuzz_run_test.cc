// The fuzzers' loop: nothing is found in an unmodified model, nothing is allocated once it is warm.
#include "run/fuzz_run.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "ops/codec.h"
#include "ops/random.h"
#include "ops/text.h"

namespace {

/// Allocations of this program, counted. Sanitizers bring their own operator new, and keep it.
std::uint64_t g_allocations = 0;
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLUICE_OWN_NEW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLUICE_OWN_NEW 1
#endif

}  // namespace

#ifndef SLUICE_OWN_NEW
void* operator new(std::size_t bytes) {
  ++g_allocations;
  void* const at = std::malloc(bytes);
  if (at == nullptr) std::abort();
  return at;
}
void operator delete(void* at) noexcept { std::free(at); }
// NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDelete): this is delete itself.
void operator delete(void* at, std::size_t) noexcept { std::free(at); }
#endif

namespace sluice::run {
namespace {

FuzzRun open_run(KernelVersion version = kDefaultKernel) {
  auto run = FuzzRun::open(default_profile(version));
  EXPECT_TRUE(run.has_value()) << run.error().message();
  return *std::move(run);
}

TEST(FuzzRun, FindsNothingInRandomSequences) {
  FuzzRun run = open_run();
  for (const bool implausible : {false, true}) {
    Rng rng(implausible ? 12 : 11);
    Sequence sequence;
    for (int i = 0; i < 4000; ++i) {
      random_sequence(rng, {.implausible = implausible}, sequence);
      const auto found = run.run(sequence);
      ASSERT_FALSE(found.has_value()) << describe_finding(sequence, *found);
    }
  }
  EXPECT_GT(run.acted(), 0u);
}

TEST(FuzzRun, BytesAndSequenceAreTheSameRun) {
  FuzzRun run = open_run();
  Rng rng(13);
  Sequence sequence;
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < 500; ++i) {
    random_sequence(rng, {}, sequence);
    encode_sequence(sequence, bytes);
    static_cast<void>(run.run(sequence));
    const std::uint64_t hash = run.model().state_hash();
    static_cast<void>(run.run_bytes(bytes));
    ASSERT_EQ(run.model().state_hash(), hash);
  }
}

TEST(FuzzRun, ABytesKernelIsMainlines) {
  // With direct_map=leave the host dies of the second page that it zeroes.
  const auto broken = parse_text(
      "# policy: direct_map=leave,vmm=kill\n"
      "create_vm type=snp\nsev_init2\nlaunch_start\ncreate_vcpu\nlaunch_finish\n"
      "create_guest_memfd size=64K\nset_memory_region flags=guest_memfd size=64K gmem=0\n"
      "set_memory_attributes size=64K attributes=private\n"
      "guest_access c_bit=1\nguest_access gfn=1 c_bit=1\n",
      "test");
  ASSERT_TRUE(broken.has_value()) << broken.error().message();
  FuzzRun run = open_run();
  EXPECT_TRUE(run.run(*broken));
  std::vector<std::uint8_t> bytes;
  encode_sequence(*broken, bytes);
  EXPECT_FALSE(run.run_bytes(bytes));
  EXPECT_EQ(run.sequence().header.policy.vmm, VmmPolicy::kKill);
}

TEST(FuzzRun, AllocatesNothingOnceWarm) {
#ifdef SLUICE_OWN_NEW
  GTEST_SKIP() << "the sanitizer's allocator is in the way";
#endif
  FuzzRun run = open_run();
  std::vector<std::vector<std::uint8_t>> inputs(300);
  Rng rng(14);
  Sequence sequence;
  for (auto& bytes : inputs) {
    random_sequence(rng, {}, sequence);
    encode_sequence(sequence, bytes);
  }
  for (const auto& bytes : inputs) static_cast<void>(run.run_bytes(bytes));
  const std::uint64_t before = g_allocations;
  for (const auto& bytes : inputs) static_cast<void>(run.run_bytes(bytes));
  EXPECT_EQ(g_allocations, before);
}

}  // namespace
}  // namespace sluice::run
