#include "trace/host_profile.h"

#include <fmt/format.h>

#include <charconv>
#include <functional>

#include "trace/kernel_behavior.h"

namespace sluice {
namespace {

constexpr std::uint64_t kGmemMmap = 1;
constexpr std::uint64_t kGmemInitShared = 2;

/// Visits every field with its key, so that reading and writing cannot disagree.
template <class Profile, class Visit>
void each_field(Profile& profile, Visit&& visit) {
  visit("kernel_major", profile.version.major), visit("kernel_minor", profile.version.minor);
  visit("tdp", profile.tdp), visit("snp", profile.snp), visit("guest_memfd", profile.guest_memfd);
  visit("memory_attributes", profile.memory_attributes),
      visit("exit_hypercall", profile.exit_hypercall),
      visit("slot_zap_all_quirk", profile.slot_zap_all_quirk);
  visit("gmem_only_slots", profile.gmem_only_slots);
  visit("root_level_by_cpuid", profile.root_level_by_cpuid);
  visit("debug", profile.debug);
  visit("smm_address_space", profile.smm_address_space), visit("vm_types", profile.vm_types);
  visit("gmem_flags", profile.gmem_flags), visit("max_gfn", profile.max_gfn),
      visit("max_hva", profile.max_hva);
  visit("frame_count", profile.frame_count);
}

bool parse_number(std::string_view text, std::uint64_t& value) {
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

/// Sets the field named `key`; false if there is none or the value does not fit it.
bool set_field(HostProfile& profile, std::string_view key, std::uint64_t value, bool& known) {
  bool fits = false;
  each_field(profile, [&](std::string_view name, auto& field) {
    using T = std::remove_reference_t<decltype(field)>;
    if (name != key) return;
    known = true;
    fits = static_cast<std::uint64_t>(static_cast<T>(value)) == value;
    if (fits) field = static_cast<T>(value);
  });
  return fits;
}

}  // namespace

HostProfile default_profile(KernelVersion version) {
  HostProfile profile{};
  profile.version = version;
  if (behavior::gmem_for_every_vm(version)) profile.gmem_flags |= kGmemMmap;
  if (behavior::tdx_vms(version)) profile.vm_types |= 1u << static_cast<unsigned>(VmType::kTdx);
  if (behavior::gmem_init_shared(version)) profile.gmem_flags |= kGmemInitShared;
  return profile;
}

std::string format_profile(const HostProfile& profile) {
  std::string out;
  each_field(profile, [&](std::string_view name, const auto& field) {
    out += fmt::format("{}={:#x}\n", name, static_cast<std::uint64_t>(field));
  });
  return out;
}

Expected<HostProfile> parse_profile(std::string_view text, std::string_view file_name) {
  HostProfile profile{};
  bool has_field = false;
  for (unsigned line_number = 1; !text.empty(); ++line_number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line.front() == '#') continue;
    const std::size_t equals = line.find('=');
    std::uint64_t value = 0;
    if (equals == std::string_view::npos || !parse_number(line.substr(equals + 1), value)) {
      return input_error(
          fmt::format("{}:{}: expected key=number, found '{}'", file_name, line_number, line));
    }
    bool known = false;
    if (!set_field(profile, line.substr(0, equals), value, known)) {
      return input_error(fmt::format(
          "{}:{}: {} '{}'; keys are those that 'sluice doctor --profile' prints", file_name,
          line_number, known ? "value out of range for" : "unknown key", line.substr(0, equals)));
    }
    has_field = true;
  }
  if (!has_field)
    return input_error(fmt::format(
        "{}: no profile in it; 'sluice doctor --profile' prints that of this host", file_name));
  return profile;
}

}  // namespace sluice
