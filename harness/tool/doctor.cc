// sluice doctor: what this host can do, and what will be skipped because it cannot.
#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "kvm/probe.h"
#include "ops/files.h"
#include "platform/counters.h"
#include "platform/fingerprint.h"
#include "tool/command.h"
#include "trace/capability.h"

namespace sluice::tool {
namespace {

using Json = nlohmann::ordered_json;

Json value_of(const Fact& fact) {
  return std::visit(
      [](const auto& value) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::monostate>) {
          return nullptr;
        } else {
          return value;
        }
      },
      fact.value);
}

struct Report {
  Facts host{};
  Facts counters{};
  Expected<kvm::ProbeResult> probe = input_error("not asked");
};

Report examine() {
  Report report;
  report.host = platform::read_fingerprint().facts;
  auto counters = platform::Counters::open(
      {"page_faults", "context_switches", "instructions", "cycles", "kvm:kvm_exit"});
  counters.start();
  report.counters = counters.stop();
  // A counter that counted nothing in this short while is there all the same: show that it is, not
  // its number.
  for (Fact& counter : report.counters) {
    if (!counter.missing()) counter.value = true;
  }
  const auto system = kvm::Kvm::open();
  report.probe = system ? kvm::probe(*system) : std::unexpected(system.error());
  return report;
}

/// The capabilities that this host lacks.
std::vector<CapabilityRow> lacking(const Report& report) {
  std::vector<CapabilityRow> out;
  for (const CapabilityRow& row : kCapabilities) {
    const bool has = report.probe && report.probe->has(row.capability);
    if (row.capability != Capability::kNone && !has) out.push_back(row);
  }
  return out;
}

/// Numbers of the KVM capabilities as the VM answered them.
Facts kvm_facts(const kvm::ProbeResult& probe) {
  const auto number = [](std::uint64_t n) { return static_cast<std::int64_t>(n); };
  return {{.name = "release", .value = probe.release},
          {.name = "module",
           .value = probe.module.empty() ? std::string("built in or unknown") : probe.module},
          {.name = "paging",
           .value = std::string(!probe.tdp      ? "shadow"
                                : probe.tdp_mmu ? "two-dimensional, TDP MMU"
                                                : "two-dimensional")},
          {.name = "vm_types", .value = number(probe.vm_types)},
          {.name = "guest_memfd", .value = number(probe.guest_memfd)},
          {.name = "guest_memfd_files", .value = probe.guest_memfd_files},
          {.name = "guest_memfd_flags", .value = number(probe.gmem_flags)},
          {.name = "user_memory2", .value = number(probe.user_memory2)},
          {.name = "memory_fault_info", .value = number(probe.memory_fault_info)},
          {.name = "memory_attributes", .value = number(probe.memory_attributes)},
          {.name = "pre_fault_memory", .value = number(probe.pre_fault)},
          {.name = "exit_hypercall", .value = number(probe.exit_hypercall)},
          {.name = "quirks", .value = number(probe.quirks)},
          {.name = "address_spaces", .value = number(probe.address_spaces)},
          {.name = "memslots", .value = number(probe.memslots)},
          {.name = "max_gfn", .value = number(probe.max_gfn)},
          {.name = "max_hva", .value = number(probe.max_hva)},
          {.name = "binary_stats", .value = probe.binary_stats}};
}

std::string text_of(const Fact& fact) {
  if (fact.missing()) return "missing: " + fact.reason;
  const Json value = value_of(fact);
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void print_facts(const char* title, const Facts& facts) {
  fmt::print("{}\n", title);
  for (const Fact& fact : facts) fmt::print("  {:<28} {}\n", fact.name, text_of(fact));
}

void print_text(const Report& report) {
  print_facts("Host", report.host);
  if (report.probe) {
    print_facts("KVM (asked of a VM)", kvm_facts(*report.probe));
  } else {
    fmt::print("KVM\n  {:<28} {}\n", "/dev/kvm", "missing: " + report.probe.error().message());
  }
  print_facts("Counters", report.counters);
  fmt::print("Will be skipped here\n");
  for (const CapabilityRow& row : lacking(report))
    fmt::print("  {:<28} {}\n", row.name, row.skipped_without);
  for (const Fact& counter : report.counters) {
    if (counter.missing())
      fmt::print("  {:<28} counted as null: {}\n", counter.name, counter.reason);
  }
}

Json json_of(const Facts& facts) {
  Json out = Json::object();
  for (const Fact& fact : facts) {
    if (fact.missing()) {
      out[fact.name] = {{"missing", fact.reason}};
    } else {
      out[fact.name] = value_of(fact);
    }
  }
  return out;
}

void print_json(const Report& report) {
  Json skipped = Json::array();
  for (const CapabilityRow& row : lacking(report)) {
    skipped.push_back(
        {{"capability", row.name}, {"skipped", row.skipped_without}, {"meaning", row.meaning}});
  }
  Json out = {
      {"host", json_of(report.host)}, {"counters", json_of(report.counters)}, {"skipped", skipped}};
  out["kvm"] = report.probe ? json_of(kvm_facts(*report.probe))
                            : Json{{"missing", report.probe.error().message()}};
  fmt::print("{}\n", out.dump(2));
}

int doctor(bool json, const std::string& profile_file) {
  const Report report = examine();
  json ? print_json(report) : print_text(report);
  if (profile_file.empty()) return kFine;
  if (!report.probe) return complain("no profile written: " + report.probe.error().message());
  const auto written = write_file(profile_file, format_profile(kvm::profile_of(*report.probe)));
  return written ? kFine : complain(written.error());
}

}  // namespace

void add_doctor(CLI::App& app, int& status) {
  Command command(app, "doctor", "What this host can do, what will be skipped, and why");
  static bool json = false;
  static std::string profile;
  command.flag("--json", json, "Machine-readable output");
  command.option("--profile", profile,
                 "Also write the host's profile, which configures the model, to this file");
  command.on_run([&status] { status = doctor(json, profile); });
}

}  // namespace sluice::tool
