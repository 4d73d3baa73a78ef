// Sequence to text.
#include <fmt/format.h>

#include "ops/reflect.h"
#include "ops/text.h"

namespace sluice {
namespace {

void append_op(const Op& op, std::string& out) {
  const OpInfo& info = info_of(op);
  out += info.name;
  const auto fields = fields_of(op.index());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const FieldValue value = get_field(op, i);
    const bool is_positional = info.positional && i == 0;
    if (value == fields[i].default_value && !is_positional) continue;
    out += ' ';
    if (!is_positional) out.append(fields[i].name) += '=';
    format_value(*fields[i].domain, value, out);
  }
}

void append_step(const Step& step, std::string& out) {
  if (step.actor != default_actor(step.op)) out += '@' + format_actor(step.actor) + ' ';
  append_op(step.op, out);
  if (step.park != 0) out += fmt::format(" park={}", step.park);
}

void append_header(const Sequence& sequence, std::string& out) {
  const SequenceHeader& header = sequence.header;
  const SequenceNotes& notes = sequence.notes;
  if (!notes.title.empty()) out += "# title: " + notes.title + '\n';
  if (!notes.source.empty()) out += "# source: " + notes.source + '\n';
  for (const std::string& requirement : notes.requirements) {
    out += "# requires: " + requirement + '\n';
  }
  if (!notes.finds.empty()) out += "# finds: " + notes.finds + '\n';
  if (header.kernel != kDefaultKernel) out += "# kernel: " + format_kernel(header.kernel) + '\n';
  if (header.scope == Scope::kMachine) out += "# scope: machine\n";
  if (header.policy != PolicySet{}) out += "# policy: " + format_policy(header.policy) + '\n';
}

}  // namespace

std::string format_kernel(KernelVersion version) {
  return fmt::format("{}.{}", version.major, version.minor);
}

std::string format_policy(const PolicySet& policy) {
  std::string out;
  for (std::size_t axis = 0; axis < kPolicyAxes.size(); ++axis) {
    const std::uint8_t value = policy_value(policy, axis);
    if (value == policy_value(PolicySet{}, axis)) continue;
    if (!out.empty()) out += ',';
    out.append(kPolicyAxes[axis].name) += '=';
    out += kPolicyAxes[axis].values[value];
  }
  return out;
}

std::string format_op(const Op& op) {
  std::string out;
  append_op(op, out);
  return out;
}

std::string format_step(const Step& step) {
  std::string out;
  append_step(step, out);
  return out;
}

std::string format_text(const Sequence& sequence) {
  std::string out;
  append_header(sequence, out);
  for (std::size_t i = 0; i < sequence.steps.size(); ++i) {
    append_step(sequence.steps[i], out);
    if (i < sequence.expectations.size() && !sequence.expectations[i].empty()) {
      out += " => " + sequence.expectations[i];
    }
    out += '\n';
  }
  return out;
}

}  // namespace sluice
