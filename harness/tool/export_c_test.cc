// Exported programs: what has no system call is refused by name and line, what is exported compiles
// without a warning, and on this machine's kernel it finds what `sluice run --backend kvm` finds.
// What it hands to a kernel is seen by a stand-in for /dev/kvm, linked in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tool/command.h"
#include "tool/test_folder.h"

namespace sluice::tool {
namespace {

using ::testing::HasSubstr;

const std::string kCorpus = std::string(SLUICE_SOURCE_DIR) + "/corpora/regressions/";

class ExportC : public ::testing::Test {
 protected:
  Answer run(const std::vector<std::string>& command) { return folder_.run(command); }
  std::string file(const std::string& name, std::string_view contents) {
    return folder_.file(name, contents);
  }
  /// Exports, compiles, with `beside` linked in if it is a file; the path of the program.
  std::string compiled(const std::string& sequence, const std::vector<std::string>& more = {},
                       const std::string& beside = {}) {
    const std::string source = root_ + "/exported.c", program = root_ + "/exported";
    std::vector<std::string> command{SLUICE_PROGRAM, "export-c", sequence, "--out", source};
    command.insert(command.end(), more.begin(), more.end());
    const Answer exported = run(command);
    EXPECT_EQ(exported.status, kFine) << exported.text;
    std::vector<std::string> compile{"cc",      "-O2", "-Wall", "-Wextra",
                                     "-Werror", "-o",  program, source};
    if (!beside.empty()) compile.push_back(beside);
    const Answer built = run(compile);
    EXPECT_EQ(built.status, 0) << built.text;
    return program;
  }
  const TestFolder folder_{::testing::TempDir() + "sluice_export_test_" +
                           ::testing::UnitTest::GetInstance()->current_test_info()->name()};
  const std::string& root_ = folder_.path();
};

TEST_F(ExportC, WhatHasNoSystemCallIsRefused) {
  const auto refused = [this](std::string_view contents, const std::string& why) {
    const Answer answer = run({SLUICE_PROGRAM, "export-c", file("x.ops", contents)});
    EXPECT_EQ(answer.status, kUsage);
    EXPECT_THAT(answer.text, HasSubstr(why));
  };
  refused("create_vm\ncreate_vcpu\n\npre_fault_memory gpa=0x0 park=1\n",
          "x.ops:4: pre_fault_memory park=1: stopping inside an operation");
  refused("create_vm\nresume vcpu0\n", "x.ops:2: resume vcpu0: stopping inside an operation");
  refused("# scope: machine\nrmpupdate spa=0x1000\n",
          "x.ops:2: rmpupdate spa=0x1000: no system call executes it");
  refused("create_vm type=snp\nsev_init2\n", "x.ops:2: sev_init2: it needs SEV-SNP");
  refused("create_vm type=tdx\ntdx_init_vm\n", "x.ops:2: tdx_init_vm: it needs TDX");
  refused("create_vm\nseamcall_contention\n",
          "x.ops:2: seamcall_contention: no system call executes it");
}

TEST_F(ExportC, WhatTheHarnessLeavesOutIsSaid) {
  const Answer answer = run({SLUICE_PROGRAM, "export-c",
                             file("x.ops",
                                  "# title: two */ things\n"
                                  "create_vm\n"
                                  "create_vcpu vm=1\n"
                                  "set_memory_region slot=0 size=32G\n"
                                  "set_memory_region slot=0 size=4K hva=0x1000 => ok\n")});
  EXPECT_EQ(answer.status, kFine) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("/* two * / things"));
  EXPECT_THAT(answer.text, HasSubstr("line 3: create_vcpu vm=1: left out: skip.no_vm"));
  EXPECT_THAT(answer.text, HasSubstr("left out: skip.limit: a slot of more than 16 GiB"));
  EXPECT_THAT(answer.text, HasSubstr("The author expects: ok"));
  EXPECT_THAT(answer.text, HasSubstr(".userspace_addr = host(0x1000ull)"));
}

/// Sequences whose steps all have a system call, from every group of operations.
const std::vector<std::string> kExportable{"attributes_errno_order",
                                           "create_guest_memfd_errno_order",
                                           "create_vm_refuses_unknown_type",
                                           "fallocate_errno_order",
                                           "gmem_only_slot_serves_shared_faults",
                                           "guest_access_without_slot",
                                           "guest_fetch_without_memory",
                                           "map_gpa_range_ignored",
                                           "map_gpa_range_killed",
                                           "map_gpa_range_refusals",
                                           "page_survives_conversion_there_and_back",
                                           "pre_fault_errno_order",
                                           "pre_fault_without_nested_paging",
                                           "region_binds_guest_memfd",
                                           "region_errno_order",
                                           "region_outlives_its_file",
                                           "set_cpuid_is_fixed_once_the_vcpu_ran"};

TEST_F(ExportC, ProgramsCompileWithoutAWarning) {
  for (const std::string& name : kExportable) {
    SCOPED_TRACE(name);
    compiled(kCorpus + name + ".ops");
    EXPECT_FALSE(HasFailure());
  }
}

TEST_F(ExportC, ProgramsFindOnThisKernelWhatRunFinds) {
  const Answer doctor = run({SLUICE_PROGRAM, "doctor", "--profile", root_ + "/profile"});
  if (::access("/dev/kvm", R_OK | W_OK) != 0) GTEST_SKIP() << "/dev/kvm cannot be opened";
  ASSERT_EQ(doctor.status, kFine) << doctor.text;
  std::size_t steps = 0;
  for (const std::string& name : kExportable) {
    SCOPED_TRACE(name);
    const std::string sequence = kCorpus + name + ".ops";
    const std::string program = compiled(sequence, {"--profile", root_ + "/profile"});
    if (HasFailure()) return;
    const Answer exported = run({program});
    const auto ran = run_program({SLUICE_PROGRAM, "run", "--backend", "kvm", "--json", sequence},
                                 {.capture = true});
    ASSERT_TRUE(ran.has_value()) << ran.error().message();
    const auto report = nlohmann::json::parse(ran->out, nullptr, false);
    ASSERT_TRUE(report.is_object()) << ran->out;
    const auto& verdict = report["verdicts"][0];
    if (verdict["verdict"] == "skipped") continue;
    EXPECT_EQ(exported.status, verdict.contains("differences") ? 1 : 0) << exported.text;
    const auto& status = report["differential"]["status"];
    for (std::size_t at = 0; (at = exported.text.find("    kernel ", at)) != std::string::npos;)
      ++at, ++steps;
    EXPECT_THAT(exported.text, HasSubstr(std::to_string(status["compared"].get<int>()) + " steps"));
  }
  EXPECT_GT(steps, 40u);
}

TEST_F(ExportC, ADifferenceIsStatusOne) {
  if (::access("/dev/kvm", R_OK | W_OK) != 0) GTEST_SKIP() << "/dev/kvm cannot be opened";
  const std::string sequence = file("x.ops", "create_vm\ncreate_vcpu\ncreate_vcpu\n");
  const std::string source = root_ + "/spoiled.c", program = root_ + "/spoiled";
  const Answer exported = run({SLUICE_PROGRAM, "export-c", sequence});
  ASSERT_EQ(exported.status, kFine) << exported.text;
  std::string text = exported.text;
  const std::string right = ".kind = ERRNO, .number = 17";
  const std::size_t at = text.find(right);
  ASSERT_NE(at, std::string::npos) << text;
  text.replace(at, right.size(), ".kind = ERRNO, .number = 16");
  ASSERT_TRUE(write_file(source, text));
  ASSERT_EQ(run({"cc", "-Wall", "-Wextra", "-Werror", "-o", program, source}).status, 0);
  const Answer ran = run({program});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.text, HasSubstr("DIFFERENT line 3: create_vcpu"));
  EXPECT_THAT(ran.text, HasSubstr("3 steps, 1 different"));
}

/// As SetSmm of kvm/guest_test.cc: a pending exception that is put back would be an injected one.
TEST_F(ExportC, AChangeOfSmmLeavesNoExceptionBehind) {
  const std::string program =
      compiled(file("x.ops", "create_vm\ncreate_vcpu\nenter_smm\nleave_smm\n"), {},
               std::string(SLUICE_SOURCE_DIR) + "/harness/kvm/export/pending_exception.c");
  if (HasFailure()) return;
  const Answer ran = run({program});
  EXPECT_EQ(ran.status, 0) << ran.text;
  const std::string set =
      "set injected=0 pending=0 nr=0 has_error_code=0 error_code=0, masked=1, valid_smm=1 ";
  EXPECT_THAT(ran.text, HasSubstr(set + "smm=1\n"));
  EXPECT_THAT(ran.text, HasSubstr(set + "smm=0\n"));
  EXPECT_THAT(ran.text, HasSubstr("4 steps, 0 different"));
}

}  // namespace
}  // namespace sluice::tool
