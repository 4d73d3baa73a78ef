#include "run/expectation.h"

#include <fmt/format.h>

#include <charconv>

#include "trace/outcome_text.h"

namespace sluice::run {
namespace {

using Kind = Expectation::Kind;
using Result = std::expected<Expectation, std::string>;

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) {
    return std::nullopt;
  }
  return value;
}

std::optional<WaitFor> find_wait(std::string_view name) {
  for (std::size_t i = 1; i < kWaitNames.size(); ++i) {
    if (name == kWaitNames[i]) return static_cast<WaitFor>(i);
  }
  return std::nullopt;
}

std::optional<std::uint16_t> find_exit(std::string_view name) {
  if (name == "memory_fault") return kExitMemoryFault;
  if (name == "mmio") return kExitMmio;
  if (name == "hypercall") return kExitHypercall;
  return std::nullopt;
}

/// The word before the brackets.
Result parse_word(std::string_view word) {
  Expectation out{};
  if (word == "ok") {
    out.kind = Kind::kOk;
  } else if (word == "parked") {
    out.kind = Kind::kParked;
  } else if (word == "blocked") {
    out.kind = Kind::kBlocked;
  } else if (word == "skipped") {
    out.kind = Kind::kSkipped;
  } else if (const auto reason = find_exit(word)) {
    out.kind = Kind::kExit;
    out.number = *reason;
  } else if (const auto check = find_check(word)) {
    out.kind = Kind::kCheck;
    out.check = *check;
  } else if (const auto number = find_errno(word)) {
    out.kind = Kind::kErrno;
    out.number = static_cast<std::uint16_t>(*number);
  } else {
    return std::unexpected(fmt::format(
        "'{}' is no outcome; write ok, an errno (EINVAL), a reason ('sluice list checks'), "
        "memory_fault(private), mmio, hypercall, parked, blocked(srcu) or skipped",
        word));
  }
  return out;
}

/// One argument in the brackets.
std::optional<std::string> take_argument(std::string_view argument, Expectation& out) {
  if (out.kind == Kind::kBlocked) {
    out.wait = find_wait(argument);
    if (out.wait) return std::nullopt;
    return fmt::format("'{}' is nothing to wait for; one of srcu, slots_lock, mmu_lock, ...",
                       argument);
  }
  if (argument == "private" || argument == "shared") {
    if (out.kind != Kind::kExit || out.number != kExitMemoryFault) {
      return fmt::format("'{}' belongs to memory_fault only", argument);
    }
    out.is_private = argument == "private";
    return std::nullopt;
  }
  const std::size_t equals = argument.find('=');
  const std::string_view key = argument.substr(0, equals);
  if (key == "exit" && equals != std::string_view::npos) {
    out.left_exit = find_exit(argument.substr(equals + 1));
    if (out.left_exit) return std::nullopt;
    return fmt::format("'{}' is no exit; write exit=memory_fault", argument);
  }
  const auto number =
      equals == std::string_view::npos ? std::nullopt : parse_number(argument.substr(equals + 1));
  std::optional<std::uint64_t>* const field = key == "gpa"     ? &out.gpa
                                              : key == "left"  ? &out.left
                                              : key == "value" ? &out.value
                                                               : nullptr;
  if (field == nullptr || !number) {
    return fmt::format(
        "'{}' is no value an operation hands back; write gpa=, left= or value= "
        "and a number, or exit=memory_fault",
        argument);
  }
  *field = number;
  return std::nullopt;
}

bool same_check(Check expected, const Outcome& outcome) {
  if (outcome.has_check) return outcome.check == expected;
  const CheckRow& row = row_of(expected);
  // A pre-fault reports by errno what a guest's access reports by exit, and leaves the exit behind.
  if (row.kind == StatusKind::kExit && outcome.kind == StatusKind::kErrno) {
    return outcome.exit.reason == row.number;
  }
  return outcome.kind == row.kind && outcome.number == row.number;
}

bool same_kind(const Expectation& expected, const Outcome& outcome) {
  const bool done = outcome.progression == Progression::kDone;
  switch (expected.kind) {
    case Kind::kNone:
      return true;
    case Kind::kOk:
      return outcome.ok();
    case Kind::kErrno:
      return done && outcome.kind == StatusKind::kErrno && outcome.number == expected.number;
    case Kind::kCheck:
      return done && same_check(expected.check, outcome);
    case Kind::kExit:
      return done && outcome.kind == StatusKind::kExit && outcome.exit.reason == expected.number;
    case Kind::kParked:
      return outcome.progression == Progression::kParked;
    case Kind::kBlocked:
      return outcome.progression == Progression::kBlocked;
    case Kind::kSkipped:
      break;
  }
  return done && outcome.skipped();
}

}  // namespace

Result parse_expectation(std::string_view text) {
  text = trim(text);
  if (text.empty()) return Expectation{};
  const std::size_t open = text.find('(');
  if (open != std::string_view::npos && text.back() != ')') {
    return std::unexpected(fmt::format("'{}' lacks its closing bracket", text));
  }
  Result out = parse_word(trim(text.substr(0, open)));
  if (!out || open == std::string_view::npos) return out;
  std::string_view rest = text.substr(open + 1, text.size() - open - 2);
  while (!trim(rest).empty()) {
    const std::size_t comma = rest.find(',');
    if (auto wrong = take_argument(trim(rest.substr(0, comma)), *out)) {
      return std::unexpected(*std::move(wrong));
    }
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  }
  return out;
}

bool meets(const Expectation& expected, const Outcome& outcome) {
  if (!same_kind(expected, outcome)) return false;
  if (expected.wait && *expected.wait != outcome.wait) return false;
  if (expected.is_private &&
      *expected.is_private != ((outcome.exit.flags & kMemoryFaultPrivate) != 0)) {
    return false;
  }
  if (expected.left_exit && *expected.left_exit != outcome.exit.reason) return false;
  const bool is_exit = expected.kind == Kind::kExit;
  const std::uint64_t gpa = is_exit ? outcome.exit.gpa : outcome.progress.gpa;
  if (expected.gpa && (*expected.gpa != gpa || (!is_exit && !outcome.has_progress))) return false;
  if (expected.left && (*expected.left != outcome.progress.left || !outcome.has_progress)) {
    return false;
  }
  return !expected.value || (outcome.has_value && *expected.value == outcome.value);
}

}  // namespace sluice::run
