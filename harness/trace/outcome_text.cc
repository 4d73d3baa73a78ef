#include "trace/outcome_text.h"

#include <fmt/format.h>

#include <cstring>

#include "trace/capability.h"

namespace sluice {
namespace {

constexpr int kLastErrno = 133;  // EHWPOISON, the last one Linux has on x86

std::string exit_name(const ExitInfo& exit, bool with_values) {
  const auto words = [&](std::string_view name, std::string_view sort, const std::string& values) {
    const std::string_view comma = sort.empty() || !with_values ? "" : ", ";
    const std::string inside = fmt::format("{}{}{}", sort, comma, with_values ? values : "");
    return inside.empty() ? std::string(name) : fmt::format("{}({})", name, inside);
  };
  if (exit.reason == kExitMemoryFault) {
    return words("memory_fault", (exit.flags & kMemoryFaultPrivate) != 0 ? "private" : "shared",
                 fmt::format("gpa={:#x}", exit.gpa));
  }
  if (exit.reason == kExitMmio) return words("mmio", "", fmt::format("gpa={:#x}", exit.gpa));
  if (exit.reason == kExitHypercall) {
    return words("hypercall", "",
                 fmt::format("gpa={:#x}, pages={:#x}, attributes={:#x}", exit.gpa, exit.size,
                             exit.attributes));
  }
  return fmt::format("exit {}", exit.reason);
}

std::string skip_name(const Outcome& outcome) {
  if (outcome.check != Check::kSkipCapability) return std::string(row_of(outcome.check).name);
  return fmt::format("skip.capability (lacks {})",
                     name_of(static_cast<Capability>(outcome.capability)));
}

/// " [set_memory_region.overlap]", where the backend knows why it refused.
std::string reason_name(const Outcome& outcome) {
  if (!outcome.has_check || !is_refusal(outcome.check)) return {};
  return fmt::format(" [{}]", row_of(outcome.check).name);
}

std::string status_name(const Outcome& outcome, bool with_values) {
  switch (outcome.kind) {
    case StatusKind::kOk:
      return "ok";
    case StatusKind::kErrno:
      return errno_name(outcome.number);
    case StatusKind::kExit:
      return exit_name(outcome.exit, with_values);
    case StatusKind::kSkipped:
      return skip_name(outcome);
    default:
      return describe_answer(outcome.kind, outcome.number);
  }
}

}  // namespace

std::string errno_name(int number) {
  const char* const name = ::strerrorname_np(number);
  return name != nullptr ? name : fmt::format("errno {}", number);
}

std::optional<int> find_errno(std::string_view name) {
  for (int number = 1; number <= kLastErrno; ++number) {
    const char* const known = ::strerrorname_np(number);
    if (known != nullptr && name == known) return number;
  }
  return std::nullopt;
}

std::string describe_answer(StatusKind kind, unsigned number) {
  const StatusKindRow& row = kStatusKinds[static_cast<std::size_t>(kind)];
  return fmt::format(fmt::runtime(row.answer), number);
}

std::string describe_status(const Outcome& outcome) {
  return status_name(outcome, false) + reason_name(outcome);
}

std::string describe(const Outcome& outcome) {
  if (outcome.progression == Progression::kParked) return "parked";
  if (outcome.progression == Progression::kBlocked) {
    return fmt::format("blocked({})", kWaitNames[static_cast<std::size_t>(outcome.wait)]);
  }
  std::string text = status_name(outcome, true);
  std::string details;
  if (outcome.has_progress && outcome.kind == StatusKind::kOk) {
    details = fmt::format("gpa={:#x}, left={:#x}", outcome.progress.gpa, outcome.progress.left);
  }
  if (outcome.has_value && outcome.kind == StatusKind::kOk) {
    details += fmt::format("{}value={:#x}", details.empty() ? "" : ", ", outcome.value);
  }
  if (outcome.exit.reason == kExitMemoryFault && outcome.kind == StatusKind::kOk) {
    details += fmt::format("{}exit=memory_fault", details.empty() ? "" : ", ");
  }
  if (!details.empty()) text += "(" + details + ")";
  return text + reason_name(outcome);
}

}  // namespace sluice
