// Text to sequence. Every error says where (file:line:column) and what would be right.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "ops/nearest.h"
#include "ops/reflect.h"
#include "ops/text.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 7> kHeaderKeys{"title",  "source", "requires", "finds",
                                                      "kernel", "scope",  "policy"};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/// What a message quotes: enough of the token to find it, nothing a terminal would act on.
std::string quoted(std::string_view token) {
  constexpr std::size_t kLongest = 48;
  std::string out = "'";
  for (const char c : token.substr(0, kLongest)) out += c >= ' ' && c != 0x7f ? c : '?';
  if (token.size() > kLongest) out += "...";
  return out + "'";
}

/// The length of the UTF-8 character at the start of `text`, 0 if there is none (RFC 3629).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return continues(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) >= 0xa0)) return 0;
    return continues(1) && continues(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if ((lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) >= 0x90)) return 0;
    return continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

class Parser {
 public:
  Parser(std::string_view text, std::string_view file_name) : text_(text), file_name_(file_name) {}

  Expected<Sequence> run() {
    if (!check_bytes()) return failure();
    std::string_view rest = text_;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      line_ = rest.substr(0, end);
      ++line_number_;
      if (!parse_line()) return failure();
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + 1);
    }
    if (!check_scope()) return failure();
    if (!any_expectation_) sequence_.expectations.clear();
    return std::move(sequence_);
  }

 private:
  std::unexpected<SystemError> failure() const { return input_error(error_); }

  bool fail_at(std::size_t line, std::size_t column, const std::string& what) {
    error_ = fmt::format("{}:{}:{}: {}", file_name_, line, column, what);
    return false;
  }
  /// `at` must be a part of line_.
  bool fail(std::string_view at, const std::string& what) {
    return fail_at(line_number_, static_cast<std::size_t>(at.data() - line_.data()) + 1, what);
  }

  /// Refuses what is no text at all before anything else looks at it.
  bool check_bytes() {
    if (text_.size() > kMaxTextBytes) {
      return fail_at(1, 1,
                     fmt::format("the file has {} bytes, a sequence at most {}; split it",
                                 text_.size(), kMaxTextBytes));
    }
    std::size_t line = 1;
    std::size_t start = 0;
    for (std::size_t i = 0; i < text_.size();) {
      const std::size_t length = utf8_length(text_.substr(i));
      const auto byte = static_cast<unsigned char>(text_[i]);
      const bool is_control =
          (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7f;
      if (length == 0 || is_control) {
        return fail_at(line, i - start + 1,
                       fmt::format("byte {:#04x} is not text; if this is the byte form of a "
                                   "sequence, convert it with 'sluice decode'",
                                   byte));
      }
      i += length;
      if (byte == '\n') ++line, start = i;
      if (i - start > kMaxLineBytes) {
        return fail_at(line, kMaxLineBytes + 1,
                       fmt::format("the line is longer than {} bytes; shorten it", kMaxLineBytes));
      }
    }
    return true;
  }

  bool parse_line() {
    const std::string_view line = trimmed(line_);
    if (line.empty()) return true;
    if (line.front() == '#') return parse_comment(line);
    return parse_step(line);
  }

  bool parse_comment(std::string_view line) {
    const std::string_view body = trimmed(line.substr(1));
    const std::size_t colon = body.find(':');
    if (colon == std::string_view::npos) return true;
    const std::string_view key = body.substr(0, colon);
    const bool is_word = std::ranges::all_of(key, [](char c) { return c >= 'a' && c <= 'z'; });
    if (!is_word || key.empty()) return true;
    const auto found = std::ranges::find(kHeaderKeys, key);
    if (found == kHeaderKeys.end()) {
      const std::string_view near = nearest_name(key, kHeaderKeys);
      if (near.empty()) return true;
      return fail(key,
                  fmt::format("unknown header {}; did you mean '{}'? (a plain comment must not "
                              "look like a header)",
                              quoted(key), near));
    }
    if (!sequence_.steps.empty()) {
      return fail(key, fmt::format("header '{}' after the first operation; move it up", key));
    }
    const auto index = static_cast<std::size_t>(found - kHeaderKeys.begin());
    if (seen_header_[index] && key != "requires") {
      return fail(key, fmt::format("header '{}' is given twice; keep one", key));
    }
    seen_header_[index] = true;
    return parse_header(key, trimmed(body.substr(colon + 1)));
  }

  bool parse_header(std::string_view key, std::string_view value) {
    // An empty value has no place in the line of its own: point at the key.
    const std::string_view at = value.empty() ? key : value;
    if (key == "title") return sequence_.notes.title = value, true;
    if (key == "source") return sequence_.notes.source = value, true;
    if (key == "requires") return parse_requirements(at, value);
    if (key == "finds") return sequence_.notes.finds = value, true;
    if (key == "kernel") {
      const auto kernel = parse_kernel(value);
      if (!kernel) return fail(at, quoted(value) + " " + kernel.error());
      return sequence_.header.kernel = *kernel, true;
    }
    if (key == "scope") {
      if (value != "host" && value != "machine") {
        return fail(at, "unknown scope " + quoted(value) + "; known are: host, machine");
      }
      return sequence_.header.scope = value == "host" ? Scope::kHost : Scope::kMachine, true;
    }
    const auto policy = parse_policy(value);
    if (!policy) return fail(at, policy.error());
    return sequence_.header.policy = *policy, true;
  }

  bool parse_requirements(std::string_view at, std::string_view value) {
    while (true) {
      const std::size_t comma = value.find(',');
      const std::string_view one = trimmed(value.substr(0, comma));
      const std::size_t equals = one.find('=');
      const bool is_plain = std::ranges::all_of(one, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '=' || c == '.';
      });
      if (equals == 0 || equals == std::string_view::npos || equals + 1 == one.size() ||
          !is_plain) {
        return fail(one.empty() ? at : one,
                    "a requirement is written name=value, for example "
                    "cap=guest_memfd; this is " +
                        quoted(one));
      }
      sequence_.notes.requirements.emplace_back(one);
      sequence_.notes.requirement_lines.push_back(static_cast<std::uint32_t>(line_number_));
      if (comma == std::string_view::npos) return true;
      value.remove_prefix(comma + 1);
    }
  }

  bool parse_step(std::string_view line) {
    if (sequence_.steps.size() == kMaxOps) {
      return fail(line, fmt::format("more than {} operations; split the sequence", kMaxOps));
    }
    line = trimmed(line.substr(0, line.find('#')));
    std::string_view expectation;
    if (const std::size_t arrow = line.find("=>"); arrow != std::string_view::npos) {
      expectation = trimmed(line.substr(arrow + 2));
      if (expectation.empty()) {
        return fail(line.substr(arrow), "nothing after '=>'; write what is expected, as '=> ok'");
      }
      line = trimmed(line.substr(0, arrow));
    }
    Step step;
    if (!parse_call(line, step)) return false;
    sequence_.steps.push_back(step);
    sequence_.lines.push_back(static_cast<std::uint32_t>(line_number_));
    sequence_.expectations.emplace_back(expectation);
    any_expectation_ = any_expectation_ || !expectation.empty();
    return true;
  }

  static std::string_view next_token(std::string_view& rest) {
    rest = trimmed(rest);
    std::size_t end = 0;
    while (end < rest.size() && !is_space(rest[end])) ++end;
    const std::string_view token = rest.substr(0, end);
    rest.remove_prefix(end);
    return token;
  }

  bool parse_call(std::string_view rest, Step& step) {
    std::string_view token = next_token(rest);
    std::string_view actor;
    if (token.starts_with('@')) {
      actor = token;
      token = next_token(rest);
    }
    if (token.empty()) return fail(actor.empty() ? line_ : actor, "an operation is missing here");
    const std::size_t index = find_op(token);
    if (index == AllOps::kCount) return fail(token, unknown_operation(token));
    step.op = make_op(index);
    step.actor = default_actor(step.op);
    if (!actor.empty() && !parse_step_actor(actor, step)) return false;
    return parse_fields(token, rest, step);
  }

  static std::string unknown_operation(std::string_view token) {
    std::array<std::string_view, kOpInfo.size()> names;
    std::ranges::transform(kOpInfo, names.begin(), &OpInfo::name);
    return "unknown operation " + quoted(token) + suggestion(token, names);
  }

  bool parse_step_actor(std::string_view token, Step& step) {
    const auto actor = parse_actor(token.substr(1));
    if (!actor) return fail(token, quoted(token.substr(1)) + " " + actor.error());
    const OpInfo& info = info_of(step.op);
    if (!takes_actor(step.op.index())) {
      return fail(token, fmt::format("'{}' has no acting thread; leave {} out", info.name, token));
    }
    if (actor->kind != info.actor) {
      const std::string right = format_actor({.kind = info.actor, .index = actor->index});
      return fail(token, fmt::format("'{}' is not done by {}; write an actor like @{}", info.name,
                                     token.substr(1), right));
    }
    step.actor = *actor;
    return true;
  }

  bool parse_fields(std::string_view name, std::string_view rest, Step& step) {
    const auto fields = fields_of(step.op.index());
    std::array<bool, 32> seen{};
    bool seen_park = false;
    bool is_positional = info_of(step.op).positional;
    for (std::string_view token = next_token(rest); !token.empty(); token = next_token(rest)) {
      const std::size_t equals = token.find('=');
      if (is_positional && !seen[0] && equals == std::string_view::npos) {
        seen[0] = true;
        if (!set_parsed(step.op, 0, token)) return false;
        continue;
      }
      if (equals == std::string_view::npos) {
        return fail(token, "expected name=value, found " + quoted(token) + fields_hint(step.op));
      }
      const std::string_view key = token.substr(0, equals);
      const std::string_view value = token.substr(equals + 1);
      if (key == "park") {
        if (seen_park) return fail(token, "'park' is given twice; keep one");
        seen_park = true;
        if (!parse_park(token, value, step)) return false;
        continue;
      }
      const auto found = std::ranges::find(fields, key, &FieldInfo::name);
      if (found == fields.end()) {
        return fail(token, fmt::format("'{}' has no field {}{}", name, quoted(key),
                                       suggestion(key, field_names(step.op))));
      }
      const auto field = static_cast<std::size_t>(found - fields.begin());
      if (seen[field]) return fail(token, fmt::format("field '{}' is given twice; keep one", key));
      seen[field] = true;
      if (!set_parsed(step.op, field, value.empty() ? token : value, value)) return false;
    }
    if (is_positional && !seen[0]) {
      return fail(name, fmt::format("'{}' wants {} after it, as '{} vcpu0'", name,
                                    fields[0].domain->name, name));
    }
    return true;
  }

  static std::vector<std::string_view> field_names(const Op& op) {
    std::vector<std::string_view> names;
    for (const FieldInfo& field : fields_of(op.index())) names.push_back(field.name);
    names.emplace_back("park");
    return names;
  }
  static std::string fields_hint(const Op& op) {
    std::string out = "; fields are:";
    for (const std::string_view name : field_names(op)) out.append(" ").append(name);
    return out;
  }

  bool parse_park(std::string_view at, std::string_view value, Step& step) {
    const auto park = parse_number(value);
    if (!park || *park > kMaxPark) {
      return fail(at, fmt::format("park={} is not the number of an interleaving point, 1 to {}",
                                  value, kMaxPark));
    }
    step.park = static_cast<std::uint8_t>(*park);
    return true;
  }

  bool set_parsed(Op& op, std::size_t field, std::string_view at) {
    return set_parsed(op, field, at, at);
  }
  bool set_parsed(Op& op, std::size_t field, std::string_view at, std::string_view value) {
    const FieldInfo& info = fields_of(op.index())[field];
    const auto parsed = parse_value(*info.domain, value);
    if (!parsed)
      return fail(at, fmt::format("{}: {} {}", info.name, quoted(value), parsed.error()));
    set_field(op, field, *parsed);
    return true;
  }

  bool check_scope() {
    if (sequence_.header.scope == Scope::kMachine) return true;
    for (std::size_t i = 0; i < sequence_.steps.size(); ++i) {
      const OpInfo& info = info_of(sequence_.steps[i].op);
      if (!info.machine_scope_only) continue;
      return fail_at(
          sequence_.lines[i], 1,
          fmt::format("'{}' is a raw host instruction, which only the host kernel issues "
                      "in host scope; add the header '# scope: machine'",
                      info.name));
    }
    return true;
  }

  std::string_view text_;
  std::string_view file_name_;
  std::string_view line_{};
  std::size_t line_number_ = 0;
  Sequence sequence_{};
  std::array<bool, kHeaderKeys.size()> seen_header_{};
  bool any_expectation_ = false;
  std::string error_{};
};

}  // namespace

Expected<Sequence> parse_text(std::string_view text, std::string_view file_name) {
  return Parser(text, file_name).run();
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::expected<KernelVersion, std::string> parse_kernel(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot != std::string_view::npos) {
    const auto major = parse_number(text.substr(0, dot));
    const auto minor = parse_number(text.substr(dot + 1));
    if (major && minor && *major <= 0xffff && *minor <= 0xffff) {
      const KernelVersion version{.major = static_cast<std::uint16_t>(*major),
                                  .minor = static_cast<std::uint16_t>(*minor)};
      if (modeled_kernel_index(version) < kModeledKernels.size()) return version;
    }
  }
  std::string known = "is not a modeled kernel; known are:";
  for (const KernelVersion version : kModeledKernels) known += " " + format_kernel(version);
  return std::unexpected(known);
}

std::expected<PolicySet, std::string> parse_policy(std::string_view text) {
  PolicySet policy;
  std::array<bool, kPolicyAxes.size()> seen{};
  std::array<std::string_view, kPolicyAxes.size()> names;
  std::ranges::transform(kPolicyAxes, names.begin(), &PolicyAxis::name);
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view one = trimmed(text.substr(0, comma));
    const std::size_t equals = one.find('=');
    const std::string_view name = one.substr(0, equals);
    const auto axis = static_cast<std::size_t>(std::ranges::find(names, name) - names.begin());
    if (equals == std::string_view::npos) {
      return std::unexpected("expected axis=value, found " + quoted(one) + suggestion(name, names));
    }
    if (axis == names.size()) {
      return std::unexpected("unknown policy axis " + quoted(name) + suggestion(name, names));
    }
    if (seen[axis]) {
      return std::unexpected("policy axis '" + std::string(name) + "' is given twice; keep one");
    }
    seen[axis] = true;
    std::vector<std::string_view> values;
    for (const std::string_view value : kPolicyAxes[axis].values) {
      if (!value.empty()) values.push_back(value);
    }
    const auto found = std::ranges::find(values, one.substr(equals + 1));
    if (found == values.end()) {
      return std::unexpected(fmt::format("policy axis '{}' has no value {}{}", name,
                                         quoted(one.substr(equals + 1)),
                                         suggestion(one.substr(equals + 1), values)));
    }
    set_policy_value(policy, axis, static_cast<std::uint8_t>(found - values.begin()));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  const std::string_view wrong = why_invalid(policy);
  if (!wrong.empty()) return std::unexpected(std::string(wrong));
  return policy;
}

}  // namespace sluice
