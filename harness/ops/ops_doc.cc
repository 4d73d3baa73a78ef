#include "ops/ops_doc.h"

#include <fmt/format.h>

#include <vector>

#include "ops/reflect.h"
#include "ops/text.h"

namespace sluice {
namespace {

std::string_view kind_name(ActorKind kind) {
  switch (kind) {
    case ActorKind::kVmm:
      return "vmm";
    case ActorKind::kVcpu:
      return "vcpu";
    case ActorKind::kKernel:
      break;
  }
  return "kernel";
}

std::string in_table(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

std::string values_of(const DomainSpec& domain) {
  std::string names;
  for (const NamedValue& named : domain.names) {
    if (!names.empty()) names += domain.text == TextKind::kFlags ? " | " : ", ";
    names += fmt::format("`{}`", named.name);
  }
  switch (domain.text) {
    case TextKind::kNumber:
      return fmt::format("0 to {:#x}", domain.max_number);
    case TextKind::kAddress:
      return fmt::format("0x0 to {:#x}; K, M, G understood", domain.max_number);
    case TextKind::kSize:
      return "any 64 bits; `4K`, `2M`, `1G` where exact";
    case TextKind::kFlags:
      return names.empty() ? fmt::format("bits, up to {:#x}", domain.max_number)
                           : fmt::format("{}, other bits as a number", names);
    case TextKind::kChoice:
      return domain.takes_numbers ? fmt::format("{}, or 0 to {}", names, domain.max_number) : names;
    case TextKind::kPscEntry:
      return fmt::format(
          "`shared:0x200:2M+300`: {} or 0 to 15, a GFN of 40 bits; then, where there are any, the "
          "size, the pages done, reserved bits as `!0x1`",
          names);
    case TextKind::kHostVa:
      break;
  }
  return fmt::format("offset below {:#x} in the host region, or `raw:0x...` passed through",
                     kHostRegionBytes);
}

std::string operation_section(std::size_t index) {
  const OpInfo& info = kOpInfo[index];
  std::string out = fmt::format("\n### {}\n\n{}\n\n", info.name, info.summary);
  out += takes_actor(index) ? fmt::format("Done by: {}.", kind_name(info.actor))
                            : std::string("Done by: whom its field names.");
  if (info.machine_scope_only) out += " Only under `# scope: machine`.";
  out += fmt::format(" Source: {}.\n", info.source);
  const auto fields = fields_of(index);
  if (!fields.empty()) out += "\n| field | meaning | default |\n|---|---|---|\n";
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const FieldInfo& field = fields[i];
    std::string value;
    format_value(*field.domain, field.default_value, value);
    const bool is_positional = info.positional && i == 0;
    out += fmt::format("| `{}` | {} | {} |\n", field.name, in_table(field.domain->name),
                       is_positional ? "given without its name" : "`" + in_table(value) + "`");
  }
  return out;
}

std::string value_table() {
  std::vector<const DomainSpec*> seen;
  std::string out = "| kind | values |\n|---|---|\n";
  for (std::size_t index = 0; index < AllOps::kCount; ++index) {
    for (const FieldInfo& field : fields_of(index)) {
      bool is_new = true;
      for (const DomainSpec* const domain : seen) is_new = is_new && domain != field.domain;
      if (!is_new) continue;
      seen.push_back(field.domain);
      out += fmt::format("| {} | {} |\n", in_table(field.domain->name),
                         in_table(values_of(*field.domain)));
    }
  }
  return out;
}

std::string header_table() {
  std::string kernels;
  for (const KernelVersion version : kModeledKernels)
    kernels += " `" + format_kernel(version) + "`";
  std::string out =
      "| header | meaning |\n|---|---|\n"
      "| `# title: TEXT` | what the sequence shows |\n"
      "| `# source: TEXT` | where that comes from |\n"
      "| `# requires: cap=NAME, ...` | what a host must have to run it |\n"
      "| `# finds: INVARIANT` | what the model is to break by it: a counterexample, which passes "
      "if "
      "that is found |\n"
      "| `# scope: host` or `machine` | machine: raw host instructions are legal |\n";
  out += "| `# kernel: VERSION` | which kernel is modeled:" + kernels + " |\n";
  for (const PolicyAxis& axis : kPolicyAxes) {
    std::string values;
    for (const std::string_view value : axis.values) {
      if (!value.empty()) values += fmt::format(" `{}`", value);
    }
    out += fmt::format("| `# policy: {}=VALUE` | {}:{} |\n", axis.name, axis.source, values);
  }
  return out;
}

}  // namespace

std::string ops_document() {
  std::string out = fmt::format(
      "# Operations\n\n"
      "Written from the registry (`harness/ops/op_list.h`); do not edit, run the test\n"
      "`OpsDoc.MatchesTheRegistry` with `SLUICE_UPDATE_DOCS=1`.\n\n"
      "## Form\n\n"
      "One operation a line: `@ACTOR NAME FIELD=VALUE ... park=K => EXPECTATION # comment`. "
      "Everything but the\nname may be left out: the actor is then the first of its kind, a field "
      "has its default, the operation\nruns to its end. `park=K` (1 to {}) leaves it at its K-th "
      "interleaving point, `resume ACTOR` lets it go on.\nActors are `vmm0` to `vmm{}`, `vcpu0` to "
      "`vcpu{}`, `kernel0` to `kernel{}`. A sequence has at most {} operations.\n\n"
      "Header lines come before the first operation:\n\n",
      kMaxPark, kMaxVmmThreads - 1, kMaxVcpus - 1, kMaxKernelWorkers - 1, kMaxOps);
  out += header_table();
  out += "\n## Values\n\n" + value_table();
  out += "\n## Operations\n";
  for (std::size_t index = 0; index < AllOps::kCount; ++index) out += operation_section(index);
  return out;
}

}  // namespace sluice
