#include "kvm/export_c.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "kvm/export/text.h"
#include "kvm/payload/payload.h"
#include "ops/repertoire.h"
#include "ops/text.h"

namespace sluice::kvm {
namespace {

std::uint32_t line_of(const Sequence& sequence, std::size_t step) {
  return step < sequence.lines.size() ? sequence.lines[step] : static_cast<std::uint32_t>(step + 1);
}

std::string_view why_no_call(const Step& step) {
  if (step.park != 0 || is_one_of<Resume>(step.op)) {
    return "stopping inside an operation is possible in the model only";
  }
  if (info_of(step.op).machine_scope_only ||
      is_one_of<RmpContention, SeamcallContention, SendSignal, FailAllocation, HostMemoryFailure,
                GmemMemoryFailure, DropCaches, KernelWrite>(step.op)) {
    return "no system call executes it; it exists in the model only";
  }
  if (is_one_of<CreateIrqchip, SetGuestDebug>(step.op)) {
    return "its guest program has no interrupts to wake up by";
  }
  if (is_one_of<EnterGuestMode, LeaveGuestMode>(step.op)) {
    return "its guest program is no hypervisor";
  }
  if (needs_snp(step.op)) {
    return "it needs SEV-SNP hardware and a guest of its own, which an exported program has not";
  }
  if (needs_tdx(step.op)) {
    return "it needs TDX hardware and a guest of its own, which an exported program has not";
  }
  return {};
}

bool needs_guest(const Op& op) { return is_one_of<GuestAccess, MapGpaRange>(op); }

std::string number(std::uint64_t value) { return fmt::format("{:#x}ull", value); }

std::string address(HostVa hva) {
  return hva.raw ? number(hva.value) : fmt::format("host({})", number(hva.value));
}

std::string file_of(GmemRef gmem) {
  if (gmem.is_gmem()) return std::to_string(gmem.value);
  return gmem.value == GmemRef::kNone ? "NO_GMEM" : "OTHER_FILE";
}

/// The call of the runtime that an operation is. What why_no_call() refuses has none.
struct CallOf {
  const SequenceHeader& header;
  unsigned actor;

  std::string operator()(const CreateVm& op) const {
    return fmt::format("create_vm({}, {}, {}, {})", op.vm.value, static_cast<unsigned>(op.type),
                       op.exit_hypercall ? 1 : 0, op.slot_zap_all ? 1 : 0);
  }
  std::string operator()(const DestroyVm& op) const {
    return fmt::format("destroy_vm({})", op.vm.value);
  }
  std::string operator()(const CreateVcpu& op) const {
    return fmt::format("create_vcpu({}, {})", op.vm.value, op.vcpu.value);
  }
  std::string operator()(const SetCpuid& op) const {
    return fmt::format("set_cpuid({}, {})", actor, op.phys_addr_bits.value);
  }
  std::string operator()(const EnterSmm&) const { return fmt::format("set_smm({}, 1)", actor); }
  std::string operator()(const LeaveSmm&) const { return fmt::format("set_smm({}, 0)", actor); }
  std::string operator()(const CreateGuestMemfd& op) const {
    return fmt::format("create_guest_memfd({}, {}, {}, {})", op.vm.value, op.gmem.value,
                       number(op.size.value), number(op.flags.value));
  }
  std::string operator()(const CloseGuestMemfd& op) const {
    return fmt::format("close_guest_memfd({})", op.gmem.value);
  }
  std::string operator()(const GmemAllocate& op) const {
    return fmt::format("file_allocate({}, {:#x}, {}, {})", op.gmem.value, op.mode.value,
                       number(op.offset.value), number(op.size.value));
  }
  std::string operator()(const GmemPunchHole& op) const {
    return fmt::format("file_allocate({}, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, {}, {})",
                       op.gmem.value, number(op.offset.value), number(op.size.value));
  }
  std::string operator()(const SetMemoryRegion& op) const {
    const std::string region = fmt::format(
        "(struct region2){{.slot = {:#x}, .flags = {:#x}, .guest_phys_addr = {},\n"
        "                         .memory_size = {}, .userspace_addr = {}{}}}",
        op.slot.value, op.flags.value, number(op.gpa.value), number(op.size.value), address(op.hva),
        op.legacy ? std::string()
                  : fmt::format(",\n                         .guest_memfd_offset = {}",
                                number(op.gmem_offset.value)));
    if (op.legacy) return fmt::format("set_memory_region_legacy({}, {})", op.vm.value, region);
    return fmt::format("set_memory_region({}, {}, {})", op.vm.value, region, file_of(op.gmem));
  }
  std::string operator()(const SetMemoryAttributes& op) const {
    return fmt::format(
        "set_memory_attributes({}, (struct attributes){{.address = {}, .size = {},\n"
        "                         .attributes = {}, .flags = {}}})",
        op.vm.value, number(op.address.value), number(op.size.value), number(op.attributes.value),
        number(op.flags.value));
  }
  std::string operator()(const PreFaultMemory& op) const {
    return fmt::format(
        "pre_fault_memory({}, (struct pre_fault){{.gpa = {}, .size = {}, .flags = {}}})", actor,
        number(op.gpa.value), number(op.size.value), number(op.flags.value));
  }
  std::string operator()(const HostAccess& op) const {
    if (op.kind == AccessKind::kRead) return fmt::format("host_read({})", number(op.hva.value));
    return fmt::format("host_write({}, {})", number(op.hva.value), number(op.value.value));
  }
  std::string operator()(const GmemAccess& op) const {
    if (op.kind == AccessKind::kRead) {
      return fmt::format("file_read({}, {})", op.gmem.value, number(op.offset.value));
    }
    return fmt::format("file_write({}, {}, {})", op.gmem.value, number(op.offset.value),
                       number(op.value.value));
  }
  std::string operator()(const HostUnmap& op) const {
    return fmt::format("host_unmap({}, {})", number(op.hva.value), number(op.size.value));
  }
  std::string operator()(const HostDontneed& op) const {
    return fmt::format("host_dontneed({}, {})", number(op.hva.value), number(op.size.value));
  }
  std::string operator()(const NumaBalancing& op) const {
    return fmt::format("numa_balancing({}, {})", number(op.hva.value), number(op.size.value));
  }
  std::string operator()(const GuestAccess& op) const {
    const std::string gpa = number(address_of(op.gfn).value);
    if (op.kind == AccessKind::kRead) return fmt::format("guest_read({}, {})", actor, gpa);
    if (op.kind == AccessKind::kFetch) return fmt::format("guest_fetch({}, {})", actor, gpa);
    return fmt::format("guest_write({}, {}, {})", actor, gpa, number(op.value.value));
  }
  std::string operator()(const MapGpaRange& op) const {
    constexpr std::array<std::string_view, 4> kVmm{"VMM_CONVERTS", "VMM_KILLS", "VMM_IGNORES",
                                                   "VMM_REFUSES"};
    return fmt::format(
        "map_gpa_range({}, (struct hypercall){{.gpa = {}, .pages = {}, .attributes = {},\n"
        "                         .cpl = {}, .vmm = {}, .punches = {}}})",
        actor, number(op.gpa.value), number(op.page_count.value), number(op.attributes.value),
        op.cpl.value, kVmm[static_cast<std::size_t>(header.policy.vmm)],
        header.policy.convert_reclaim == ConvertReclaim::kPunchHole ? 1 : 0);
  }
  template <class Other>
  std::string operator()(const Other&) const {
    SLUICE_CHECK(false);  // Pre of export_c()
    return {};
  }
};

/// An outcome as the runtime's struct answer.
std::string answer_of(const Outcome& out) {
  struct Name {
    StatusKind kind;
    std::string_view name;
  };
  constexpr std::array<Name, 6> kNames{{{StatusKind::kOk, "OK"},
                                        {StatusKind::kErrno, "ERRNO"},
                                        {StatusKind::kExit, "EXIT"},
                                        {StatusKind::kRax, "RAX"},
                                        {StatusKind::kHostFault, "HOST_FAULT"},
                                        {StatusKind::kLoop, "LOOPS"}}};
  const auto at = std::ranges::find(kNames, out.kind, &Name::kind);
  SLUICE_CHECK(at != kNames.end());
  std::string text = fmt::format("(struct answer){{.kind = {}", at->name);
  if (out.number != 0) text += fmt::format(", .number = {}", out.number);
  if (out.has_progress) {
    text += fmt::format(", .has_progress = 1, .gpa = {}, .left = {}", number(out.progress.gpa),
                        number(out.progress.left));
  }
  if (out.has_value) text += fmt::format(", .has_value = 1, .value = {}", number(out.value));
  if (out.exit.reason != 0) {
    text += fmt::format(
        ",\n                         .exit = {{.reason = {}, .flags = {:#x}, .gpa = {}, .size = "
        "{},\n"
        "                                  .attributes = {}}}",
        out.exit.reason, out.exit.flags, number(out.exit.gpa), number(out.exit.size),
        number(out.exit.attributes));
  }
  return text + "}";
}

/// The guest's program as numbers, and where its commands begin.
std::string guest_code() {
  std::string text = "\nstatic const unsigned char guest_code[] = {";
  std::size_t column = 12;
  for (const unsigned char byte : payload_code()) {
    if (column++ == 12) text += "\n   ", column = 1;
    text += fmt::format(" {:#04x},", byte);
  }
  text += "\n};\nenum {\n";
  struct Entry {
    std::string_view name;
    const unsigned char* at;
  };
  for (const Entry& entry :
       {Entry{"READ", sluice_payload_read}, Entry{"WRITE", sluice_payload_write},
        Entry{"FETCH", sluice_payload_fetch}, Entry{"VMMCALL", sluice_payload_vmmcall},
        Entry{"VMCALL", sluice_payload_vmcall}}) {
    text += fmt::format("  ENTRY_{} = {},\n", entry.name, entry.at - sluice_payload_begin);
  }
  return text + "};\n";
}

/// Text that may stand in a C comment.
std::string in_comment(std::string_view text) {
  std::string out(text);
  for (std::size_t at = 0; (at = out.find("*/", at)) != std::string::npos;)
    out.replace(at, 2, "* /");
  return out;
}

}  // namespace

std::string why_not_exportable(const Sequence& sequence, std::string_view file) {
  const PolicySet& policy = sequence.header.policy;
  if (needs_other_kernel(policy))
    return fmt::format("{}: no kernel does what it wants: {}", file, format_policy(policy));
  const bool converts = std::ranges::any_of(
      sequence.steps, [](const Step& step) { return is_one_of<MapGpaRange>(step.op); });
  if (converts && (discards_shared(policy) || punches_anywhere(policy)))
    return fmt::format(
        "{}: user space of an exported program punches holes after a conversion, or "
        "keeps all: set convert_reclaim to punch_hole or keep",
        file);
  std::array<bool, kMaxVcpus> smm{};
  for (std::size_t i = 0; i < sequence.steps.size(); ++i) {
    const Step& step = sequence.steps[i];
    std::string_view reason = why_no_call(step);
    if (reason.empty() && needs_guest(step.op) && smm[step.actor.index]) {
      reason = "the guest program is not in the address space of SMM";
    }
    if (is_one_of<EnterSmm, LeaveSmm>(step.op))
      smm[step.actor.index] = is_one_of<EnterSmm>(step.op);
    if (reason.empty()) continue;
    return fmt::format("{}:{}: {}: {}", file, line_of(sequence, i), format_step(sequence.steps[i]),
                       reason);
  }
  return {};
}

std::string export_c(const Sequence& sequence, std::span<const ExportedStep> steps,
                     std::string_view file, std::string_view host) {
  SLUICE_CHECK(steps.size() == sequence.steps.size());
  std::string text =
      fmt::format("/* {}\n *\n", in_comment(sequence.notes.title.empty()
                                                ? std::string_view("A sequence of KVM calls")
                                                : std::string_view(sequence.notes.title)));
  if (!sequence.notes.source.empty())
    text += " * Source: " + in_comment(sequence.notes.source) + "\n";
  text += fmt::format(
      " * Written by 'sluice export-c' from {}; \"model\" is {}.\n"
      " * Compile: cc -Wall -Wextra -o reproducer THIS_FILE.c; run where /dev/kvm can be opened.\n"
      " * Status: 0 the kernel answers as the model does, 1 it does not, 3 no /dev/kvm. */\n",
      in_comment(file), in_comment(host));
  text += export_text::kRuntime;
  const bool guest =
      std::ranges::any_of(sequence.steps, [](const Step& step) { return needs_guest(step.op); });
  if (guest) {
    text += guest_code();
    text += export_text::kGuest;
  }
  text += "\nint main(void) {\n  begin();\n";
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = sequence.steps[i];
    const std::string words = format_step(step);
    if (!steps[i].left_out.empty()) {
      text += fmt::format("  /* line {}: {}: left out: {} */\n", line_of(sequence, i), words,
                          in_comment(steps[i].left_out));
      continue;
    }
    if (i < sequence.expectations.size() && !sequence.expectations[i].empty()) {
      text += fmt::format("  /* The author expects: {} */\n", in_comment(sequence.expectations[i]));
    }
    text += fmt::format("  step({}, \"{}\",\n       {},\n       {});\n", line_of(sequence, i),
                        words, std::visit(CallOf{sequence.header, step.actor.index}, step.op),
                        answer_of(steps[i].modeled));
  }
  return text + "  return end();\n}\n";
}

}  // namespace sluice::kvm
