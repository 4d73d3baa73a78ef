// The guest program as bytes, and where it lies in guest memory.
//
// The payload has a memslot of its own, out of the way of sequences: slot kPayloadSlot (the last
// that every kernel has), 64 KiB of guest-physical memory at 63 GiB: below 2^36, which a vCPU
// without CPUID still reaches. A sequence that uses that slot, or a range that overlaps, cannot run
// guest code; kvm_backend skips its guest operations and says so.
#pragma once
#include <cstdint>
#include <span>

#include "base/units.h"

extern "C" {
extern const unsigned char sluice_payload_begin[], sluice_payload_end[];
extern const unsigned char sluice_payload_read[], sluice_payload_write[], sluice_payload_fetch[];
extern const unsigned char sluice_payload_vmmcall[], sluice_payload_vmcall[];
extern const unsigned char sluice_payload_touch[], sluice_payload_exits[], sluice_payload_spin[];
}

namespace sluice::kvm {

inline constexpr std::uint32_t kPayloadSlot = 32763;  // KVM_USER_MEM_SLOTS - 1
inline constexpr Gpa kPayloadGpa{std::uint64_t{63} << 30};
inline constexpr unsigned kPayloadAddressBits = 36;  // MAXPHYADDR it takes to reach it
static_assert((kPayloadGpa.value + (std::uint64_t{64} << 10) - 1) >> kPayloadAddressBits == 0);
inline constexpr std::uint16_t kDonePort = 0xe9;

/// Pages of the payload's slot, in order.
enum class PayloadPage : std::uint64_t {
  kCode = 0,
  kScratch = 1,
  kPml4 = 2,
  kPdpt = 3,
  kDirectory = 4,  // of the payload's own GiB
  kTable = 5,      // of the payload's own 2 MiB: itself, and the windows
  kIdentity = 6,   // four directories: guest-physical 0 to 4 GiB, 2 MiB pages
  kCount = 10,
};
inline constexpr ByteCount kPayloadBytes{16 * kPageBytes};
static_assert(static_cast<std::uint64_t>(PayloadPage::kCount) * kPageBytes <= kPayloadBytes.value);

/// Guest-virtual = guest-physical for the payload's pages and for 0..kIdentityBytes.
inline constexpr std::uint64_t kIdentityBytes = std::uint64_t{4} << 30;
constexpr Gpa payload_address(PayloadPage page) {
  return {kPayloadGpa.value + static_cast<std::uint64_t>(page) * kPageBytes};
}

/// Each vCPU has two neighbouring entries in kTable: its window, and the landing page after it.
inline constexpr unsigned kFirstWindowEntry = 64;
inline constexpr unsigned kMaxPayloadVcpus = (512 - kFirstWindowEntry) / 2;
constexpr unsigned window_entry(unsigned vcpu) { return kFirstWindowEntry + 2 * vcpu; }
constexpr std::uint64_t window_address(unsigned vcpu) {
  return kPayloadGpa.value + window_entry(vcpu) * kPageBytes;
}
constexpr std::uint64_t window_entry_address(unsigned vcpu) {
  return payload_address(PayloadPage::kTable).value + window_entry(vcpu) * sizeof(std::uint64_t);
}

inline std::span<const unsigned char> payload_code() {
  return {sluice_payload_begin,
          static_cast<std::size_t>(sluice_payload_end - sluice_payload_begin)};
}
/// Guest address of an entry point of payload.S.
inline std::uint64_t payload_entry(const unsigned char* entry) {
  return kPayloadGpa.value + static_cast<std::uint64_t>(entry - sluice_payload_begin);
}

}  // namespace sluice::kvm
