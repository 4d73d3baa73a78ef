#include "run/runner.h"

#include <fmt/format.h>

#include "ops/text.h"
#include "run/run_template.h"
#include "trace/kernel_behavior.h"
#include "trace/outcome_text.h"

namespace sluice::run {

bool BackendTraits<model::ModelBackend>::lacks(const model::ModelBackend& model,
                                               Capability capability) {
  const HostProfile& profile = model.view().profile();
  switch (capability) {
    case Capability::kGuestMemfd:
      return !profile.guest_memfd;
    case Capability::kMemoryAttributes:
      return !profile.memory_attributes;
    case Capability::kPreFault:
    case Capability::kTdp:
      return !profile.tdp;
    case Capability::kHypercallExit:
      return !profile.exit_hypercall;
    case Capability::kSlotZapAllQuirk:
      return !profile.slot_zap_all_quirk;
    case Capability::kSwProtectedVm:
      return !profile.tdp || !profile.has_vm_type(VmType::kSwProtected);
    case Capability::kSnp:
      return !profile.snp || !profile.has_vm_type(VmType::kSnp);
    case Capability::kTdx:
      // A sequence may name a later kernel than the host's, which knows TDs.
      return behavior::tdx_vms(profile.version) && !profile.has_vm_type(VmType::kTdx);
    case Capability::kRmpInstructions:
      return !profile.snp;
    case Capability::kSmmAddressSpace:
      return !profile.smm_address_space;
    case Capability::kNone:
    case Capability::kKvm:
    case Capability::kUserMemory2:
    case Capability::kMemoryFaultInfo:
    case Capability::kAdversity:
    case Capability::kGuestMode:
    case Capability::kIrqchip:
    case Capability::kParking:
    case Capability::kHypercallInstruction:
    case Capability::kRing3Payload:
    case Capability::kLostMemoryReport:
      break;
  }
  return false;
}

std::expected<std::vector<Expectation>, std::string> resolve_expectations(const Sequence& sequence,
                                                                          std::string_view file) {
  std::vector<Expectation> out(sequence.steps.size());
  for (std::size_t i = 0; i < sequence.expectations.size(); ++i) {
    auto parsed = parse_expectation(sequence.expectations[i]);
    if (!parsed) {
      const std::uint32_t line = i < sequence.lines.size() ? sequence.lines[i] : 0;
      return std::unexpected(fmt::format("{}:{}: {}", file, line, parsed.error()));
    }
    out[i] = *std::move(parsed);
  }
  return out;
}

std::expected<Requirement, std::string> parse_requirement(std::string_view text) {
  const std::size_t equals = text.find('=');
  const std::string_view key = text.substr(0, equals);
  const auto capability =
      equals == std::string_view::npos ? std::nullopt : find_capability(text.substr(equals + 1));
  const bool known = capability && *capability != Capability::kNone;
  if (!known || (key != "cap" && key != "no")) {
    std::string names;
    for (const CapabilityRow& row : kCapabilities) {
      if (row.capability != Capability::kNone) names += fmt::format(" {}", row.name);
    }
    return std::unexpected(
        fmt::format("'{}' is no requirement; write '# requires: cap=NAME', or no=NAME for a host "
                    "that lacks it; names are:{}",
                    text, names));
  }
  return Requirement{.capability = *capability, .present = key == "cap"};
}

HostProfile profile_without(const HostProfile& profile, const Sequence& sequence) {
  HostProfile out = profile;
  for (const std::string& text : sequence.notes.requirements) {
    const auto wanted = parse_requirement(text);
    if (!wanted || wanted->present) continue;
    const Capability absent = wanted->capability;
    if (absent == Capability::kGuestMemfd) out.guest_memfd = false;
    if (absent == Capability::kMemoryAttributes) out.memory_attributes = false;
    if (absent == Capability::kTdp || absent == Capability::kPreFault) out.tdp = false;
    if (absent == Capability::kHypercallExit) out.exit_hypercall = false;
    if (absent == Capability::kSlotZapAllQuirk) out.slot_zap_all_quirk = false;
    if (absent == Capability::kSnp || absent == Capability::kRmpInstructions) out.snp = false;
    if (absent == Capability::kSnp) out.vm_types &= ~(1u << static_cast<unsigned>(VmType::kSnp));
    if (absent == Capability::kSmmAddressSpace) out.smm_address_space = false;
    if (absent == Capability::kSwProtectedVm) {
      out.vm_types &= ~(1u << static_cast<unsigned>(VmType::kSwProtected));
    }
  }
  return out;
}

Expected<model::ModelBackend> open_model_for(const Sequence& sequence) {
  return model::ModelBackend::open(profile_without(default_profile(kDefaultKernel), sequence));
}

StepMismatch Collector::describe_step(std::size_t step, std::string expected,
                                      std::string got) const {
  return {.step = step,
          .line = line_of(step),
          .text = format_step(sequence_.steps[step]),
          .expected = std::move(expected),
          .got = std::move(got)};
}

void Collector::differs(std::size_t step, const oracle::Mismatch& mismatch) {
  verdict_.differences.push_back(describe_step(step, mismatch.left, mismatch.right));
  verdict_.differences.back().key =
      fmt::format("{} {}", info_of(sequence_.steps[step].op).name, mismatch.key);
}

void Collector::take(std::size_t step, const Outcome& outcome, const std::string& words) {
  ++verdict_.counts.steps;
  if (outcome.skipped()) {
    verdict_.skips.push_back({.step = step,
                              .line = line_of(step),
                              .what = sequence_.steps[step],
                              .outcome = outcome,
                              .words = words});
    if (outcome.check == Check::kSkipCapability) excuse_the_rest();
  } else {
    ++verdict_.counts.acted;
  }
  const Expectation& expected = expectations_[step];
  if (expected.kind == Expectation::Kind::kNone) return;
  const bool met = meets(expected, outcome);
  if (!met && (parted_ || excused_ == step)) {
    ++verdict_.counts.uncompared;
    return;
  }
  ++verdict_.counts.compared;
  if (met) return;
  verdict_.mismatches.push_back(
      describe_step(step, sequence_.expectations[step], describe(outcome)));
}

void compare_finding(Verdict& verdict, const Sequence& sequence, Findings& found) {
  const std::string& wanted = sequence.notes.finds;
  if (wanted.empty()) return;
  ++verdict.counts.compared;
  if (found.finding && found.finding->finding.name() == wanted) {
    found.finding.reset();
    return;
  }
  verdict.mismatches.push_back(
      {.step = sequence.steps.size(),
       .text = "the end of the sequence",
       .expected = "the finding " + wanted,
       .got = found.finding ? fmt::format("the finding {}", found.finding->finding.name())
                            : std::string("no finding")});
}

void conclude(Verdict& verdict, const Sequence& sequence, Findings found) {
  verdict.finding = found.finding;
  verdict.known_upstream = found.known_upstream;
  const auto& shown = found.finding ? found.finding : found.known_upstream;
  if (shown && shown->step < sequence.steps.size()) {
    verdict.finding_text = format_step(sequence.steps[shown->step]);
    verdict.finding_line = shown->step < sequence.lines.size() ? sequence.lines[shown->step] : 0;
  }
  verdict.kind = found.finding                  ? VerdictKind::kFinding
                 : !verdict.differences.empty() ? VerdictKind::kDifference
                 : !verdict.mismatches.empty()  ? VerdictKind::kMismatch
                 : found.known_upstream         ? VerdictKind::kKnownUpstream
                                                : VerdictKind::kPass;
}

template std::expected<std::string, std::string> missing_requirement(const model::ModelBackend&,
                                                                     const Sequence&,
                                                                     std::string_view);
template Verdict run_sequence(model::ModelBackend&, oracle::Oracle&, const Sequence&,
                              const RunOptions&);

}  // namespace sluice::run
