#include "oracle/docs.h"

#include <fmt/format.h>

#include <iterator>

#include "oracle/invariant_list.h"
#include "trace/check_list.h"

namespace sluice::oracle {
namespace {

constexpr std::array<const char*, kViewFieldCount> kFieldNames{
    "outcome", "rmp",    "frames",     "contents", "gmem",    "slots",
    "vms",     "leaves", "attributes", "events",   "progress"};

std::string answer_of(const CheckRow& row) {
  switch (row.kind) {
    case StatusKind::kOk:
      return "success";
    case StatusKind::kErrno:
      return fmt::format("errno {}", row.number);
    case StatusKind::kCode:
      return fmt::format("code {}", row.number);
    case StatusKind::kCarry:
      return "EAX = 0, CF = 1";
    case StatusKind::kException:
      return fmt::format("exception {}", row.number);
    case StatusKind::kExit:
      return fmt::format("exit {}", row.number);
    case StatusKind::kRax:
      return fmt::format("RAX = -{}", row.number);
    case StatusKind::kHostFault:
      return fmt::format("host fault {}", row.number);
    case StatusKind::kLoop:
      return "the guest loops";
    case StatusKind::kSkipped:
      break;
  }
  return "skipped";
}

std::string needs_of(const InvariantRow& row) {
  std::string out;
  for (std::size_t i = 0; i < row.needs.size(); ++i) {
    if (i > 0 && row.needs[i] == ViewField::kOutcome) continue;  // the default of an unused place
    out += fmt::format("{}{}", out.empty() ? "" : ", ",
                       kFieldNames[static_cast<std::size_t>(row.needs[i])]);
  }
  return out;
}

}  // namespace

std::string checks_document() {
  std::string out =
      "# Checks\n\nWhy an operation may be refused or skipped. Generated from "
      "`harness/trace/check_list.h`; do not edit.\n"
      "`=> NAME` in a sequence expects this reason; on a backend that cannot know reasons, the "
      "answer is compared.\n\n"
      "| name | answer | source |\n|---|---|---|\n";
  for (const CheckRow& row : kChecks)
    fmt::format_to(std::back_inserter(out), "| `{}` | {} | {} |\n", row.name, answer_of(row),
                   row.source);
  return out;
}

std::string invariants_document() {
  std::string out =
      "# Invariants\n\nWhat the oracle holds after every operation. Generated from "
      "`harness/oracle/invariant_list.cc`; do not edit.\n"
      "hard: a violation is a bug; conditional: holds under the condition its source names; "
      "quiescent: judged when nothing is in\n"
      "flight. Scope `host`: not judged where a sequence issues raw RMP instructions. A row whose "
      "needs a backend cannot observe is\n"
      "counted as not observable, never as passed.\n\n"
      "| id | name | statement | strength | scope | needs | source "
      "|\n|---|---|---|---|---|---|---|\n";
  for (const InvariantRow& row : kInvariants) {
    const char* const strength = row.strength == Strength::kHard          ? "hard"
                                 : row.strength == Strength::kConditional ? "conditional"
                                                                          : "quiescent";
    fmt::format_to(std::back_inserter(out), "| {} | `{}` | {} | {} | {} | {} | {} |\n", row.id,
                   row.name, row.statement, strength, row.host_scope_only ? "host" : "both",
                   needs_of(row), row.source);
  }
  return out;
}

}  // namespace sluice::oracle
