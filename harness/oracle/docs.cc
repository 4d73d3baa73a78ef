#include "oracle/docs.h"

#include <fmt/format.h>

#include <iterator>

#include "oracle/invariant_list.h"
#include "trace/outcome_text.h"

namespace sluice::oracle {
namespace {

constexpr std::array kFieldNames = std::to_array<const char*>(
    {"outcome", "rmp", "frames", "contents", "gmem", "slots", "vms", "leaves", "attributes",
     "events", "progress", "psc", "host", "translations", "td"});
static_assert(kFieldNames.size() == kViewFieldCount, "each field has a name");

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
    fmt::format_to(std::back_inserter(out), "| `{}` | {} | {} |\n", row.name,
                   describe_answer(row.kind, row.number), row.source);
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
    fmt::format_to(std::back_inserter(out), "| {} | `{}` | {} | {} | {} | {} | {} |\n", row.id,
                   row.name, row.statement, name_of(row.strength),
                   row.host_scope_only ? "host" : "both", needs_of(row), row.source);
  }
  return out;
}

}  // namespace sluice::oracle
