#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>
#include <thread>

#include "platform/build_info.h"
#include "platform/clock.h"
#include "platform/fingerprint.h"
#include "platform/topology.h"

namespace sluice::platform {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class T>
T value_of(const Facts& facts, const std::string& name) {
  const Fact* const fact = find_fact(facts, name);
  const T* const value = fact == nullptr ? nullptr : std::get_if<T>(&fact->value);
  EXPECT_NE(value, nullptr) << name << ": " << (fact == nullptr ? "no such fact" : fact->reason);
  return value == nullptr ? T{} : *value;
}

/// A made-up machine: files below a folder of its own.
class MadeUpMachine : public ::testing::Test {
 protected:
  MadeUpMachine()
      : root_(std::filesystem::path(::testing::TempDir()) /
              ("sluice_machine_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(root_);
    put("proc/sys/kernel/osrelease", "6.12.1-test\n");
    put("proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Test CPU\ncpu family\t: 25\nmodel\t\t: 17\nstepping\t: 1\n"
        "microcode\t: 0xa10113e\nflags\t\t: fpu hypervisor svm\n");
    put("proc/meminfo", "MemTotal:       1024 kB\nMemFree: 1 kB\n");
    put("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "12\n");
    put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    put("sys/devices/system/cpu/vulnerabilities/retbleed", "Mitigation: untrained return thunk\n");
    put("sys/module/kvm/parameters/tdp_mmu", "Y\n");
    put("sys/module/kvm_amd/parameters/npt", "1\n");
  }
  ~MadeUpMachine() override { std::filesystem::remove_all(root_); }
  void put(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  Fingerprint read(std::string hint = {}) {
    return read_fingerprint({.root = root_.string(), .kvm_flavour = std::move(hint)});
  }
  std::filesystem::path root_;
};

TEST_F(MadeUpMachine, FactsAreReadFromItsFiles) {
  const Facts facts = read().facts;
  EXPECT_EQ(value_of<std::string>(facts, "kernel"), "6.12.1-test");
  EXPECT_EQ(value_of<std::string>(facts, "cpu"), "Test CPU");
  EXPECT_EQ(value_of<std::string>(facts, "cpu_model"), "family 25 model 17 stepping 1");
  EXPECT_EQ(value_of<std::string>(facts, "microcode"), "0xa10113e");
  EXPECT_TRUE(value_of<bool>(facts, "virtual_machine"));
  EXPECT_EQ(value_of<std::int64_t>(facts, "memory_bytes"), 1024 * 1024);
  EXPECT_EQ(value_of<std::int64_t>(facts, "huge_pages.2M"), 12);
  EXPECT_EQ(value_of<std::string>(facts, "huge_pages.thp"), "madvise");
  EXPECT_EQ(value_of<std::string>(facts, "mitigations.retbleed"),
            "Mitigation: untrained return thunk");
  EXPECT_EQ(value_of<std::string>(facts, "kvm_flavour"),
            "nested paging (TDP MMU), kvm_amd, 6.12.1-test");
  EXPECT_EQ(value_of<std::string>(facts, "kvm_parameters.kvm_amd.npt"), "1");
}

TEST_F(MadeUpMachine, AModuleThatIsBuiltInIsNotTakenForTheProcessors) {
  put("sys/module/kvm_intel/parameters/ept", "Y\n");
  put("sys/module/kvm_amd/parameters/npt", "0\n");
  put("proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
  EXPECT_EQ(value_of<std::string>(read().facts, "kvm_flavour"),
            "shadow paging, kvm_amd, 6.12.1-test");
  put("proc/cpuinfo", "vendor_id\t: GenuineIntel\n");
  EXPECT_EQ(value_of<std::string>(read().facts, "kvm_flavour"),
            "nested paging (TDP MMU), kvm_intel, 6.12.1-test");
}

TEST_F(MadeUpMachine, AGuestOfTheLaneIsAHostOfItsOwn) {
  const std::string id = read().id;
  EXPECT_EQ(find_fact(read().facts, "lane"), nullptr);
  put("lane/machine", "cost, TCG\n");
  EXPECT_EQ(value_of<std::string>(read().facts, "lane"), "cost, TCG");
  EXPECT_NE(read().id, id);
}

TEST_F(MadeUpMachine, WhatItDoesNotTellIsMissingWithAReasonNeverZero) {
  const Facts facts = read().facts;
  for (const char* name : {"governor", "huge_pages.1G", "kvm_parameters.kvm_amd.sev_snp"}) {
    const Fact* const fact = find_fact(facts, name);
    ASSERT_NE(fact, nullptr) << name;
    EXPECT_TRUE(fact->missing()) << name;
    EXPECT_FALSE(fact->reason.empty()) << name;
  }
  std::filesystem::remove_all(root_ / "sys/module");
  EXPECT_TRUE(find_fact(read().facts, "kvm_flavour")->missing());
}

TEST_F(MadeUpMachine, TheIdChangesWithTheMachineAndNotWithTheMoment) {
  const std::string id = read().id;
  EXPECT_EQ(id.size(), 16U);
  EXPECT_EQ(read().id, id);
  put("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "13\n");
  EXPECT_EQ(read().id, id);
  EXPECT_EQ(read("shadow paging, as probed").id, id);
  EXPECT_EQ(value_of<std::string>(read("shadow paging, as probed").facts, "kvm_flavour"),
            "shadow paging, as probed");
  put("sys/devices/system/cpu/vulnerabilities/retbleed", "Vulnerable\n");
  EXPECT_NE(read().id, id);
}

TEST(Fingerprint, OfThisMachineNamesKernelAndCompiler) {
  const Facts facts = read_fingerprint().facts;
  EXPECT_FALSE(value_of<std::string>(facts, "kernel").empty());
  EXPECT_THAT(value_of<std::string>(facts, "compiler"),
              ::testing::ContainsRegex("(clang|gcc) [0-9]"));
  EXPECT_FALSE(value_of<bool>(facts, "synthetic_topology"));
  EXPECT_GE(value_of<std::int64_t>(facts, "cores"), 1);
}

TEST(BuildInfo, CommitIsFortyHexDigitsOrEmpty) {
  EXPECT_TRUE(std::regex_match(build_info().commit, std::regex("([0-9a-f]{40})?")))
      << build_info().commit;
}

TEST(Clock, TextsHaveTheirFormAndClocksMoveForward) {
  EXPECT_TRUE(std::regex_match(utc_now(), std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")))
      << utc_now();
  EXPECT_TRUE(
      std::regex_match(new_run_id(), std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ-[0-9a-f]{4})")));
  const std::uint64_t before = steady_ns();
  EXPECT_LE(before, steady_ns());
  const std::uint64_t ticked = ticked_ns();
  EXPECT_LE(ticked, steady_ns());
  while (ticked_ns() == ticked) {
  }
  EXPECT_GT(ticked_ns(), ticked);
  const std::uint64_t of_thread = thread_cpu_ns();
  EXPECT_LE(of_thread, process_cpu_ns());
}

TEST(Topology, ThisMachineHasNodesAndCoresAndPlacesThreadsAndMemory) {
  const Expected<Topology> topology = Topology::open();
  ASSERT_TRUE(topology.has_value()) << topology.error().message();
  ASSERT_TRUE(topology->is_this_system());
  ASSERT_GE(topology->nodes().size(), 1U);
  const unsigned last_core = topology->core_count() - 1;
  std::thread([&] {  // a thread of its own, so that the binding ends with it
    const Expected<void> bound = topology->bind_thread_to_core(last_core);
    ASSERT_TRUE(bound.has_value()) << bound.error().message();
    EXPECT_EQ(topology->core_of_thread().value_or(~0U), last_core);
    EXPECT_TRUE(topology->bind_thread_to_node(0).has_value());
    EXPECT_TRUE(topology->bind_thread_to_core_of_node(0, 7).has_value());
    EXPECT_TRUE(topology->unbind_thread().has_value());
    EXPECT_TRUE(topology->bind_thread_memory_to_node(0).has_value());
    EXPECT_TRUE(topology->unbind_thread_memory().has_value());
  })
      .join();
  const Expected<NodeMemory> memory = topology->allocate({1 << 20}, 0);
  ASSERT_TRUE(memory.has_value()) << memory.error().message();
  std::memset(memory->begin(), 1, memory->size().value);
  EXPECT_THAT(
      topology->nodes_of_memory(memory->begin(), memory->size()).value_or(std::vector<unsigned>{}),
      ElementsAre(0U));
}

TEST(Topology, WrongNodesAndCoresAreErrorsThatSayHowManyThereAre) {
  const Expected<Topology> topology = Topology::open();
  ASSERT_TRUE(topology.has_value());
  EXPECT_THAT(topology->bind_thread_to_node(999).error().message(),
              HasSubstr("node(s), counted from 0"));
  EXPECT_THAT(topology->bind_thread_to_core(99999).error().message(),
              HasSubstr("core(s), counted from 0"));
  EXPECT_FALSE(topology->allocate({4096}, 999).has_value());
}

TEST(Topology, ASyntheticOneIsMarkedAndRefusesPlacement) {
  const Expected<Topology> made_up = Topology::synthetic("pack:2 [numa] l3:4 core:4 pu:2");
  ASSERT_TRUE(made_up.has_value()) << made_up.error().message();
  EXPECT_FALSE(made_up->is_this_system());
  EXPECT_EQ(made_up->nodes().size(), 2U);
  EXPECT_EQ(made_up->core_count(), 32U);
  EXPECT_EQ(made_up->cpu_count(), 64U);
  EXPECT_EQ(made_up->nodes()[1].core_count, 16U);
  EXPECT_THAT(made_up->bind_thread_to_node(0).error().message(), HasSubstr("synthetic"));
  EXPECT_FALSE(made_up->bind_thread_memory_to_node(0).has_value());
  EXPECT_FALSE(made_up->allocate({4096}, 0).has_value());
  EXPECT_FALSE(made_up->core_of_thread().has_value());
  const Expected<std::string> text = made_up->description();
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(Topology::synthetic(*text)->cpu_count(), 64U);
  EXPECT_TRUE(
      value_of<bool>(read_fingerprint({.topology = &*made_up}).facts, "synthetic_topology"));
}

TEST(Topology, ADescriptionThatIsNoneIsAnErrorWithAnExample) {
  EXPECT_THAT(Topology::synthetic("three potatoes").error().message(),
              HasSubstr("pack:2 [numa] core:4 pu:1"));
}

}  // namespace
}  // namespace sluice::platform
