// What a program that follows the rules of the kernel's selftests says of itself: by its exit
// status and by its output. Source: Linux Documentation/dev-tools/kselftest.rst (exit status 4 is a
// skip), tools/testing/selftests/kvm/lib/assert.c (254 after a failed assertion).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/system_error.h"
#include "record/row.h"

namespace sluice::tool {

/// One line of a plan: "LIMIT PROGRAM [ARGUMENT...]", where LIMIT is in seconds.
struct PlannedTest {
  unsigned limit_seconds = 0;
  std::vector<std::string> command{};
  std::string name{};  // program and arguments: "private_mem_conversions_test -n 2"
};
/// Text behind a # and empty lines are left out. Errors: the line and what is wrong with it; a plan
/// without a test; a test that is there twice.
Expected<std::vector<PlannedTest>> parse_plan(std::string_view text);

struct TestAnswer {
  record::TestVerdict verdict = record::TestVerdict::kFailed;
  std::string reason{};  // empty where it passed
};
/// `status` as Finished has it: 128 + n after signal n.
TestAnswer judge_test(int status, std::string_view output);

/// The line of the output that says most of why a test failed; empty if there is none.
std::string telling_line(std::string_view output);

}  // namespace sluice::tool
