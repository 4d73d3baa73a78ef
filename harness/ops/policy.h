// Policy axes: names and values of the design alternatives. Text needs the names; what each value
// does is in model/policy. Only axes whose values are implemented are listed; the first value of
// each is what mainline 6.12 does.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace sluice {

/// How user space answers an exit that wants a conversion (alternatives E).
enum class VmmPolicy : std::uint8_t { kConvert, kKill, kIgnore, kRefuse };
/// What user space does with the unreachable copy after a conversion (alternatives C).
enum class ConvertReclaim : std::uint8_t { kPunchHole, kKeep };
/// What a guest does about the rules for page state changes (snp_host.md 10): it keeps them all, or
/// breaks one.
enum class GuestPolicy : std::uint8_t {
  kEnlightened,
  kKeepsValidated,  // to shared: no PVALIDATE first, nor later
  kRescindsLate,    // to shared: PVALIDATE after the change
  kValidatesEarly,  // to private: PVALIDATE before the change
  kNeverValidates,  // to private: no PVALIDATE
  kTrustsTheHost,   // looks at no answer: neither PVALIDATE's nor the hypervisor's
  kAcceptsOnVc      // an access to a page that is not validated validates it
};
/// Largest guest_memfd folio (alternatives C): 4K is mainline, 2M and 1G are ahead of mainline and
/// labelled so.
enum class GmemOrder : std::uint8_t { k4K, k2M, k1G };
/// Pages behind the host region where its alignment allows them: 2M is what transparent huge pages
/// give.
enum class HostOrder : std::uint8_t { k4K, k2M };

struct PolicySet {
  VmmPolicy vmm = VmmPolicy::kConvert;
  ConvertReclaim convert_reclaim = ConvertReclaim::kPunchHole;
  GmemOrder gmem_order = GmemOrder::k4K;
  GuestPolicy guest = GuestPolicy::kEnlightened;
  HostOrder host_order = HostOrder::k4K;
  friend constexpr bool operator==(const PolicySet&, const PolicySet&) = default;
};

struct PolicyAxis {
  std::string_view name;
  std::array<std::string_view, 8> values;  // unused ones are empty
  std::string_view source;
};
inline constexpr std::array<PolicyAxis, 5> kPolicyAxes{{
    {"vmm",
     {"convert", "kill", "ignore", "refuse"},
     "how user space answers KVM_EXIT_HYPERCALL and KVM_EXIT_MEMORY_FAULT"},
    {"convert_reclaim",
     {"punch_hole", "keep"},
     "what user space does with the copy that a conversion leaves unreachable"},
    {"gmem_order",
     {"4K", "2M", "1G"},
     "largest guest_memfd folio; 2M and 1G are ahead of mainline"},
    {"guest",
     {"enlightened", "keeps_validated", "rescinds_late", "validates_early", "never_validates",
      "trusts_the_host", "accepts_on_vc"},
     "which rule for page state changes an SNP guest breaks, if any"},
    {"host_order", {"4K", "2M"}, "largest page behind the host region"},
}};

/// The value of axis `axis` (an index into kPolicyAxes) as an index into its values. Pre: axis in
/// range.
constexpr std::uint8_t policy_value(const PolicySet& set, std::size_t axis) {
  return axis == 0   ? static_cast<std::uint8_t>(set.vmm)
         : axis == 1 ? static_cast<std::uint8_t>(set.convert_reclaim)
         : axis == 2 ? static_cast<std::uint8_t>(set.gmem_order)
         : axis == 3 ? static_cast<std::uint8_t>(set.guest)
                     : static_cast<std::uint8_t>(set.host_order);
}
constexpr void set_policy_value(PolicySet& set, std::size_t axis, std::uint8_t value) {
  if (axis == 0) set.vmm = static_cast<VmmPolicy>(value);
  if (axis == 1) set.convert_reclaim = static_cast<ConvertReclaim>(value);
  if (axis == 2) set.gmem_order = static_cast<GmemOrder>(value);
  if (axis == 3) set.guest = static_cast<GuestPolicy>(value);
  if (axis == 4) set.host_order = static_cast<HostOrder>(value);
}
/// True where mainline (up to 7.0) has no such behaviour: rows, tables and verdicts carry the
/// label.
constexpr bool is_ahead_of_mainline(const PolicySet& set) {
  return set.gmem_order != GmemOrder::k4K;
}

}  // namespace sluice
