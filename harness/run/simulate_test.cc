// The simulation: what must be so of any such queue, and of what the model says goes into it.
#include "run/simulate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::run {
namespace {

using ::testing::HasSubstr;

model::ModelBackend open_model() {
  return *model::ModelBackend::open(default_profile(kDefaultKernel));
}

class Simulate : public ::testing::Test {
 protected:
  SimulateResult run(const SimulateOptions& options) {
    const auto result = simulate(model_, options);
    EXPECT_TRUE(result.has_value()) << result.error();
    return result.value_or(SimulateResult{});
  }
  model::ModelBackend model_ = open_model();
};

SimulateOptions options_for(std::size_t workload, unsigned vcpus) {
  return {.workload = static_cast<SimulatedWorkload>(workload), .vcpus = vcpus, .pages = 32};
}

const LockTime* find_lock(const SimulateResult& result, std::string_view name) {
  for (const LockTime& lock : result.locks) {
    if (lock.name == name) return &lock;
  }
  return nullptr;
}

TEST_F(Simulate, EveryPageArrivesInEveryWorkload) {
  for (std::size_t workload = 0; workload < kSimulatedWorkloads.size(); ++workload) {
    for (const unsigned vcpus : {1u, 5u, 64u}) {
      const SimulateResult result = run(options_for(workload, vcpus));
      EXPECT_EQ(result.pages, vcpus * 32u) << kSimulatedWorkloads[workload];
      EXPECT_EQ(result.refused, 0u) << kSimulatedWorkloads[workload] << " with " << vcpus;
      EXPECT_GT(result.virtual_ns, 0) << kSimulatedWorkloads[workload];
      EXPECT_EQ(model_.live_frames(), 0u);
    }
  }
}

TEST_F(Simulate, TheSameArgumentsGiveTheSameNumbers) {
  for (std::size_t workload = 0; workload < kSimulatedWorkloads.size(); ++workload) {
    SimulateOptions options = options_for(workload, 24);
    options.topology.nodes = 3;
    const SimulateResult one = run(options), other = run(options);
    EXPECT_EQ(one.virtual_ns, other.virtual_ns) << kSimulatedWorkloads[workload];
    EXPECT_EQ(one.latency_ns, other.latency_ns);
    EXPECT_EQ(one.events, other.events);
  }
}

TEST_F(Simulate, TheSeedIsTheOrderOfLazyAcceptance) {
  SimulateOptions options = options_for(1, 24);
  // Which pages are remote, and so who meets whom, is a matter of the order.
  options.topology.nodes = 2;
  options.placement = Placement::kInterleaved;
  const SimulateResult one = run(options);
  options.seed = 2;
  const SimulateResult other = run(options);
  EXPECT_EQ(one.pages, other.pages);
  const LockTime *const before = find_lock(one, "rmp_region"), *const now =
                                                                   find_lock(other, "rmp_region");
  ASSERT_TRUE(before != nullptr && now != nullptr);
  EXPECT_NE(before->waited_ns, now->waited_ns);
}

TEST_F(Simulate, OneVcpuWaitsForNobody) {
  for (std::size_t workload = 0; workload < 5; ++workload) {
    const SimulateResult result = run(options_for(workload, 1));
    for (const LockTime& lock : result.locks) {
      EXPECT_EQ(lock.contended, 0u) << kSimulatedWorkloads[workload] << ' ' << lock.name;
      EXPECT_EQ(lock.waited_ns, 0) << kSimulatedWorkloads[workload] << ' ' << lock.name;
    }
  }
}

TEST_F(Simulate, NobodyIsFasterThanAlone) {
  for (std::size_t workload = 0; workload < 5; ++workload) {
    const SimulateResult alone = run(options_for(workload, 1));
    for (const unsigned vcpus : {2u, 16u, 128u}) {
      const SimulateResult many = run(options_for(workload, vcpus));
      EXPECT_GE(many.virtual_ns, alone.virtual_ns * 0.999) << kSimulatedWorkloads[workload];
      EXPECT_LE(many.pages_per_second(), alone.pages_per_second() * vcpus * 1.001)
          << kSimulatedWorkloads[workload] << " with " << vcpus;
    }
  }
}

TEST_F(Simulate, TimeHeldForWritingFitsIntoTheRun) {
  const SimulateResult result = run(options_for(3, 32));
  // A lock of which there is one is not held longer than the run takes.
  for (const char* const name : {"slots_lock", "mmu_lock"}) {
    const LockTime* const lock = find_lock(result, name);
    ASSERT_NE(lock, nullptr) << name;
    EXPECT_GT(lock->held_ns, 0) << name;
    EXPECT_LE(lock->held_ns, result.virtual_ns) << name;
  }
}

TEST_F(Simulate, ConversionsMeetAtTheLockThatTheyTake) {
  const SimulateResult result = run(options_for(3, 64));
  const LockTime* const slots = find_lock(result, "slots_lock");
  ASSERT_NE(slots, nullptr);
  EXPECT_EQ(slots->taken, 2u * 64 * 32) << "each page there and back";
}

TEST_F(Simulate, FreeLocksAndFreeWorkScaleWithoutEnd) {
  SimulateOptions options = options_for(0, 1);
  options.costs.nanoseconds.fill(0);
  options.costs.nanoseconds[static_cast<std::size_t>(CostItem::kPvalidate)] = 100;
  const SimulateResult alone = run(options);
  EXPECT_DOUBLE_EQ(alone.virtual_ns, 32 * 100);
  options.vcpus = 200;
  EXPECT_DOUBLE_EQ(run(options).virtual_ns, 32 * 100) << "PVALIDATE takes no lock";
}

TEST_F(Simulate, WhatIsDoneUnderOneLockDoesNotScale) {
  SimulateOptions options = options_for(0, 1);
  options.costs.nanoseconds.fill(0);
  options.costs.nanoseconds[static_cast<std::size_t>(CostItem::kRmpUpdate)] = 100;
  // 32 pages of one region: a queue.
  EXPECT_DOUBLE_EQ(run(options).virtual_ns, 32 * 100);
  options.vcpus = 8;
  const SimulateResult many = run(options);
  EXPECT_DOUBLE_EQ(many.virtual_ns, 8 * 32 * 100);
  const LockTime* const region = find_lock(many, "rmp_region");
  ASSERT_NE(region, nullptr);
  EXPECT_EQ(region->taken, 8u * 32);
  EXPECT_DOUBLE_EQ(region->held_ns, 8 * 32 * 100);
}

TEST_F(Simulate, MemoryOfAnotherNodeTakesLonger) {
  SimulateOptions options = options_for(0, 8);
  options.costs.nanoseconds.fill(0);
  options.costs.nanoseconds[static_cast<std::size_t>(CostItem::kByteZeroed)] = 100.0 / kPageBytes;
  options.topology.nodes = 2;
  const double local = run(options).virtual_ns;
  options.placement = Placement::kFirst;
  const double first = run(options).virtual_ns;
  options.placement = Placement::kInterleaved;
  const double interleaved = run(options).virtual_ns;
  EXPECT_DOUBLE_EQ(local, 32 * 100);
  EXPECT_DOUBLE_EQ(first, 32 * 100 * kRemoteFactor) << "half of the vCPUs are on the other node";
  EXPECT_DOUBLE_EQ(interleaved, (16 + 16 * kRemoteFactor) * 100);
}

TEST_F(Simulate, MemoryTakesAsMuchLongerAsItsNodeIsFar) {
  SimulateOptions options = options_for(0, 4);
  options.costs.nanoseconds.fill(0);
  options.costs.nanoseconds[static_cast<std::size_t>(CostItem::kByteZeroed)] = 100.0 / kPageBytes;
  options.placement = Placement::kFirst;
  options.topology = {.nodes = 3, .processors = {2, 1, 1}};
  options.topology.factor[0] = {1, 5, 6};  // nobody goes that way
  options.topology.factor[1][0] = 1.25;
  options.topology.factor[2][0] = 2.5;
  const SimulateResult result = run(options);
  EXPECT_DOUBLE_EQ(result.latency_ns[0], 100) << "of half of the vCPUs it is their own";
  EXPECT_DOUBLE_EQ(result.virtual_ns, 32 * 250) << "as long as it takes the farthest";
  options.vcpus = 2;
  EXPECT_DOUBLE_EQ(run(options).virtual_ns, 32 * 125) << "on the first processor and the third";
}

TEST_F(Simulate, EqualNodesAreWhatTheirCountIs) {
  for (std::size_t workload = 0; workload < kSimulatedWorkloads.size(); ++workload) {
    SimulateOptions options = options_for(workload, 12);
    options.placement = Placement::kInterleaved;
    options.topology = {.nodes = 4};
    const SimulateResult counted = run(options);
    options.topology.processors = equal_processors(3);
    const SimulateResult same = run(options);
    EXPECT_EQ(counted.virtual_ns, same.virtual_ns) << kSimulatedWorkloads[workload];
    EXPECT_EQ(counted.latency_ns, same.latency_ns) << kSimulatedWorkloads[workload];
  }
}

TEST_F(Simulate, EveryWorkloadTakesLongerTheFartherItsMemoryIs) {
  for (std::size_t workload = 0; workload < kSimulatedWorkloads.size(); ++workload) {
    // Alone: among many, who meets whom changes too, and can make up for it.
    SimulateOptions options = options_for(workload, 1);
    options.placement = Placement::kFirst;
    options.topology = {.nodes = 2, .processors = {0, 1}};
    double nearer = 0;
    for (const double factor : {1.0, 1.2, 2.1, 3.2}) {
      options.topology.factor = equal_factors(factor);
      const double now = run(options).virtual_ns;
      EXPECT_GT(now, nearer) << kSimulatedWorkloads[workload] << " at " << factor;
      nearer = now;
    }
    options.placement = Placement::kLocal;
    const double own = run(options).virtual_ns;
    options.topology.factor = equal_factors(1);
    EXPECT_EQ(run(options).virtual_ns, own) << "how far others are does not matter";
  }
}

TEST_F(Simulate, AShootDownTakesLongerTheMoreProcessorsThereAre) {
  SimulateOptions options = options_for(3, 1);
  options.costs.nanoseconds.fill(0);
  options.costs.nanoseconds[static_cast<std::size_t>(CostItem::kShotProcessor)] = 50;
  EXPECT_DOUBLE_EQ(run(options).virtual_ns, 0);
  options.vcpus = 2;
  const double two = run(options).virtual_ns;
  EXPECT_GT(two, 0);
  options.vcpus = 3;
  EXPECT_GT(run(options).virtual_ns, two);
}

TEST_F(Simulate, LatenciesRiseWithTheShare) {
  const SimulateResult result = run(options_for(4, 128));
  for (std::size_t i = 1; i < result.latency_ns.size(); ++i)
    EXPECT_GE(result.latency_ns[i], result.latency_ns[i - 1]);
  EXPECT_GT(result.latency_ns[0], 0);
  EXPECT_LE(result.latency_ns.back(), result.virtual_ns);
}

TEST_F(Simulate, APolicyThatDoesNotLetItWorkIsSaid) {
  SimulateOptions options = options_for(3, 2);
  options.policy.vmm = VmmPolicy::kRefuse;
  const SimulateResult result = run(options);
  EXPECT_GT(result.refused, 0u);
  EXPECT_EQ(result.pages, 0u) << "what is refused does not arrive";
}

TEST_F(Simulate, WhatIsOutOfRangeIsRefused) {
  const auto error = [this](const SimulateOptions& options) {
    const auto result = simulate(model_, options);
    return result ? std::string() : result.error();
  };
  EXPECT_THAT(error({.vcpus = 0}), HasSubstr("vcpus is 0, and must be 1 to 256"));
  EXPECT_THAT(error({.vcpus = 257}), HasSubstr("vcpus is 257"));
  EXPECT_THAT(error({.topology = {.nodes = 9}}), HasSubstr("nodes is 9, and must be 1 to 8"));
  EXPECT_THAT(error({.vcpus = 3, .topology = {.nodes = 2, .processors = {1, 1}}}),
              HasSubstr("3 vCPUs, and the topology has 2 processors"));
  EXPECT_THAT(error({.pages = 15}), HasSubstr("pages is 15, and must be 16 to 512"));
  EXPECT_THAT(error({.vcpus = 256, .pages = 65}), HasSubstr("take fewer pages"));
  SimulateOptions options;
  options.policy.host_fault = HostFault::kNone;
  EXPECT_THAT(error(options), HasSubstr("backing=fd_in_place"));
}

}  // namespace
}  // namespace sluice::run
