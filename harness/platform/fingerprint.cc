#include "platform/fingerprint.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "platform/build_info.h"

namespace sluice::platform {
namespace {

std::string trimmed(std::string text) {
  const auto last = text.find_last_not_of(" \t\r\n");
  text.erase(last == std::string::npos ? 0 : last + 1);
  text.erase(0, text.find_first_not_of(" \t\r\n"));
  return text;
}

/// Collects facts from files below one root.
class Reader {
 public:
  explicit Reader(std::string root) : root_(std::move(root)) {
    if (!root_.ends_with('/')) root_ += '/';
  }

  std::optional<std::string> first_line(const std::string& path) const {
    std::ifstream file(root_ + path);
    std::string line;
    if (!file || !std::getline(file, line)) return std::nullopt;
    return trimmed(line);
  }

  /// The value behind "key : value" in a file of such lines.
  std::optional<std::string> value_of(const std::string& path, std::string_view key) const {
    std::ifstream file(root_ + path);
    for (std::string line; std::getline(file, line);) {
      const std::size_t colon = line.find(':');
      if (colon != std::string::npos && trimmed(line.substr(0, colon)) == key)
        return trimmed(line.substr(colon + 1));
    }
    return std::nullopt;
  }

  std::vector<std::string> names_in(const std::string& path) const {
    std::vector<std::string> names;
    DIR* const folder = ::opendir((root_ + path).c_str());
    if (folder == nullptr) return names;
    while (const dirent* entry = ::readdir(folder)) {
      if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    }
    ::closedir(folder);
    std::ranges::sort(names);
    return names;
  }

  bool exists(const std::string& path) const {
    return std::ifstream(root_ + path).good() || !names_in(path).empty();
  }

  void add_text(Facts& to, std::string name, const std::string& path) const {
    add(to, std::move(name), first_line(path), path);
  }
  void add(Facts& to, std::string name, std::optional<std::string> value,
           const std::string& path) const {
    if (value && !value->empty()) {
      to.push_back({.name = std::move(name), .value = std::move(*value)});
    } else {
      to.push_back(missing_fact(std::move(name), fmt::format("{}{} does not tell", root_, path)));
    }
  }
  void add_number(Facts& to, std::string name, const std::optional<std::string>& value,
                  const std::string& path, std::int64_t unit = 1) const {
    std::int64_t number = 0;
    if (value &&
        std::from_chars(value->data(), value->data() + value->size(), number).ec == std::errc{}) {
      to.push_back({.name = std::move(name), .value = number * unit});
    } else {
      to.push_back(missing_fact(std::move(name), fmt::format("{}{} does not tell", root_, path)));
    }
  }

 private:
  std::string root_;
};

/// The bracketed word of "always [madvise] never".
std::optional<std::string> chosen(const std::optional<std::string>& line) {
  if (!line) return std::nullopt;
  const std::size_t open = line->find('[');
  const std::size_t close = line->find(']');
  if (open == std::string::npos || close == std::string::npos || close < open) return line;
  return line->substr(open + 1, close - open - 1);
}

void add_processor(const Reader& reader, Facts& to) {
  reader.add_text(to, "kernel", "proc/sys/kernel/osrelease");
  reader.add(to, "cpu", reader.value_of("proc/cpuinfo", "model name"), "proc/cpuinfo");
  std::array<std::string, 3> parts;
  for (std::size_t i = 0; const char* key : {"cpu family", "model", "stepping"}) {
    parts[i++] = reader.value_of("proc/cpuinfo", key).value_or("?");
  }
  to.push_back(
      {.name = "cpu_model",
       .value = fmt::format("family {} model {} stepping {}", parts[0], parts[1], parts[2])});
  reader.add(to, "microcode", reader.value_of("proc/cpuinfo", "microcode"), "proc/cpuinfo");
  const std::string flags = " " + reader.value_of("proc/cpuinfo", "flags").value_or("") + " ";
  to.push_back(
      {.name = "virtual_machine", .value = flags.find(" hypervisor ") != std::string::npos});
  reader.add_text(to, "governor", "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  reader.add_text(to, "smt", "sys/devices/system/cpu/smt/control");
  reader.add_text(to, "clock_source",
                  "sys/devices/system/clocksource/clocksource0/current_clocksource");
}

void add_memory(const Reader& reader, Facts& to) {
  reader.add_number(to, "memory_bytes", reader.value_of("proc/meminfo", "MemTotal"), "proc/meminfo",
                    1024);
  const std::string pages = "sys/kernel/mm/hugepages/hugepages-";
  reader.add_number(to, "huge_pages.2M", reader.first_line(pages + "2048kB/nr_hugepages"),
                    pages + "2048kB/nr_hugepages");
  reader.add_number(to, "huge_pages.1G", reader.first_line(pages + "1048576kB/nr_hugepages"),
                    pages + "1048576kB/nr_hugepages");
  const std::string thp = "sys/kernel/mm/transparent_hugepage/enabled";
  reader.add(to, "huge_pages.thp", chosen(reader.first_line(thp)), thp);
}

void add_mitigations(const Reader& reader, Facts& to) {
  const std::string folder = "sys/devices/system/cpu/vulnerabilities";
  const std::vector<std::string> names = reader.names_in(folder);
  if (names.empty()) to.push_back(missing_fact("mitigations", folder + " does not exist"));
  for (const std::string& name : names)
    reader.add_text(to, "mitigations." + name, folder + "/" + name);
}

/// The vendor's module of KVM. One that is built in has its folder in sysfs whether or not the
/// processor is its own.
std::vector<std::string> kvm_modules(const Reader& reader) {
  const std::string vendor = reader.value_of("proc/cpuinfo", "vendor_id").value_or("");
  const bool amd = vendor == "AuthenticAMD" || vendor == "HygonGenuine";
  const bool both = reader.exists("sys/module/kvm_amd") && reader.exists("sys/module/kvm_intel");
  std::vector<std::string> modules;
  for (const std::string& name : reader.names_in("sys/module")) {
    const bool not_its_own = both && name == (amd ? "kvm_intel" : "kvm_amd");
    if (name.starts_with("kvm_") && !not_its_own) modules.push_back(name);
  }
  return modules;
}

/// How this kernel's KVM maps guest memory, from the parameters of its modules.
Fact kvm_flavour_fact(const Reader& reader, const std::string& kernel) {
  if (!reader.exists("sys/module/kvm"))
    return missing_fact("kvm_flavour", "no kvm module is loaded");
  const auto on = [&](const char* path) {
    const std::string value = reader.first_line(path).value_or("");
    return value == "Y" || value == "1";
  };
  bool nested = false;
  std::string modules;
  for (const std::string& name : kvm_modules(reader)) {
    modules += (modules.empty() ? "" : ", ") + name;
    nested |= name == "kvm_amd" && on("sys/module/kvm_amd/parameters/npt");
    nested |= name == "kvm_intel" && on("sys/module/kvm_intel/parameters/ept");
  }
  const bool tdp_mmu = nested && on("sys/module/kvm/parameters/tdp_mmu");
  return {.name = "kvm_flavour",
          .value = fmt::format("{}{}, {}{}", nested ? "nested paging" : "shadow paging",
                               tdp_mmu ? " (TDP MMU)" : "", modules.empty() ? "" : modules + ", ",
                               kernel)};
}

void add_kvm_parameters(const Reader& reader, Facts& to) {
  static constexpr std::array kOfInterest = {
      "kvm/tdp_mmu",    "kvm/nx_huge_pages", "kvm/eager_page_split", "kvm_amd/npt",  "kvm_amd/sev",
      "kvm_amd/sev_es", "kvm_amd/sev_snp",   "kvm_intel/ept",        "kvm_intel/tdx"};
  for (const std::string_view parameter : kOfInterest) {
    const std::size_t slash = parameter.find('/');
    const std::string path = fmt::format("sys/module/{}/parameters/{}", parameter.substr(0, slash),
                                         parameter.substr(slash + 1));
    std::string name = fmt::format("kvm_parameters.{}.{}", parameter.substr(0, slash),
                                   parameter.substr(slash + 1));
    if (auto value = reader.first_line(path)) {
      to.push_back({.name = std::move(name), .value = std::move(*value)});
    } else {
      to.push_back(missing_fact(std::move(name), "this kernel's modules have no such parameter"));
    }
  }
}

/// A guest of `sluice lane` says what it is: numbers from an emulator must never stand beside a
/// processor's.
void add_lane(const Reader& reader, Facts& to) {
  if (const auto lane = reader.first_line("lane/machine")) {
    to.push_back({.name = "lane", .value = *lane});
  }
}

void add_topology(const Topology* given, Facts& to) {
  Expected<Topology> own = given == nullptr ? Topology::open() : Expected<Topology>(*given);
  if (!own) {
    for (const char* name : {"cores", "cpus", "numa_nodes", "topology", "synthetic_topology"}) {
      to.push_back(missing_fact(name, own.error().message()));
    }
    return;
  }
  to.push_back({.name = "cores", .value = std::int64_t{own->core_count()}});
  to.push_back({.name = "cpus", .value = std::int64_t{own->cpu_count()}});
  to.push_back({.name = "numa_nodes", .value = static_cast<std::int64_t>(own->nodes().size())});
  if (const Expected<std::string> text = own->description()) {
    to.push_back({.name = "topology", .value = *text});
  } else {
    to.push_back(missing_fact("topology", text.error().message()));
  }
  to.push_back({.name = "synthetic_topology", .value = !own->is_this_system()});
}

std::string text_of(const Fact* fact) {
  if (fact == nullptr) return "";
  if (const auto* text = std::get_if<std::string>(&fact->value)) return *text;
  if (const auto* number = std::get_if<std::int64_t>(&fact->value)) return std::to_string(*number);
  if (const auto* flag = std::get_if<bool>(&fact->value)) return *flag ? "true" : "false";
  return "";
}

std::string identity(const Facts& facts) {
  static constexpr std::array kStable = {
      "kernel",     "cpu",          "cpu_model",          "microcode",   "virtual_machine",
      "governor",   "smt",          "clock_source",       "cores",       "cpus",
      "numa_nodes", "memory_bytes", "synthetic_topology", "kvm_flavour", "huge_pages.thp",
      "lane"};
  Hash hash;
  for (const Fact& fact : facts) {
    const bool stable =
        std::ranges::any_of(kStable, [&](const char* name) { return fact.name == name; });
    if (!stable && !fact.name.starts_with("mitigations.") &&
        !fact.name.starts_with("kvm_parameters."))
      continue;
    hash.add_text(fact.name);
    hash.add_text(text_of(&fact));
  }
  return fmt::format("{:016x}", hash.value());
}

}  // namespace

Fingerprint read_fingerprint(const FingerprintSource& source) {
  const Reader reader(source.root);
  Fingerprint result;
  Facts& facts = result.facts;
  add_processor(reader, facts);
  add_memory(reader, facts);
  add_topology(source.topology, facts);
  add_mitigations(reader, facts);
  facts.push_back(kvm_flavour_fact(reader, text_of(find_fact(facts, "kernel"))));
  add_kvm_parameters(reader, facts);
  add_lane(reader, facts);
  result.id = identity(facts);
  for (Fact& fact : facts) {
    if (fact.name == "kvm_flavour" && !source.kvm_flavour.empty())
      fact = {.name = "kvm_flavour", .value = source.kvm_flavour};
  }
  facts.push_back({.name = "compiler", .value = build_info().compiler});
  facts.push_back({.name = "build_type", .value = build_info().build_type});
  return result;
}

}  // namespace sluice::platform
